"""Copies of a connection: each must be what scapy builds from that copy's values, octet for octet."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from dsrkit.craft.frame import Batch, Frame
from dsrkit.craft.volume.templates import Derive, Endpoints, FlowArrays, Template, drawn, expand, stream

COPIES = 50
SECOND = 1_000_000_000
VIP, RIP, DIP = "192.0.2.100", "10.0.0.13", "192.0.2.10"
VIP6, RIP6, DIP6 = "2001:db8::100", "2001:db8:1::13", "2001:db8::10"
EDGES = (0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)


@dataclass(frozen=True)
class Values:
    """One connection's own values; `shift` of the template is 0 everywhere."""

    client: str
    port: int
    lb_port: int = 5000
    key: int | None = None

    def shift(self, name: str) -> int:
        return 0 if self.key is None else int(drawn(np.array([self.key], np.uint64), name)[0])

    def seq(self, side: str, number: int) -> int:
        return (number + self.shift(f"{side}.seq")) & 0xFFFFFFFF

    def ts(self, side: str, number: int) -> int:
        return (number + self.shift(f"{side}.ts")) & 0xFFFFFFFF

    def ident(self, side: str, number: int) -> int:
        return (number + self.shift(f"{side}.id")) & 0xFFFF

    def label(self, side: str, number: int) -> int:
        return (number + self.shift(f"{side}.label")) & 0xFFFFF


Build = Callable[[Values], list[Any]]
LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # without, scapy would ask the network for them


@dataclass(frozen=True)
class Case:
    build: Build
    client: str = "198.51.100.10"
    port: int = 40000
    sessions: tuple[Endpoints, ...] = ()
    lb_ip: str | None = None
    derived: dict[str, Derive] = field(default_factory=dict)


def ether(packet: Any) -> Any:
    return LINK / packet


def session(client: str, *servers: str, port: int = 40000, name: str = "s", server_port: int = 80) -> Endpoints:
    return Endpoints(name, ((client, port),), tuple((server, server_port) for server in servers))


UP, DOWN = "s.initiator", "s.responder"


def tcp_exchange(v: Values, request: Callable[[Any], Any], reply: Callable[[Any], Any], *options: Any) -> list[Any]:
    """SYN, SYN-ACK, data (with further options), a SACK and a reset from 0, inside whatever IP headers."""

    def stamps(a: int, b: int | None, a_side: str, b_side: str) -> list[Any]:
        return [("NOP", None), ("NOP", None), ("Timestamp", (v.ts(a_side, a), 0 if b is None else v.ts(b_side, b)))]

    up, down = {"sport": v.port, "dport": 80}, {"sport": 80, "dport": v.port}
    isn, peer = v.seq(UP, 0xFFFFFF00), v.seq(DOWN, 77)
    ack, after = v.seq(DOWN, 78), v.seq(UP, 0xFFFFFF01)
    edges = (v.seq(UP, 0xFFFFFFF0), v.seq(UP, 0x10))  # over the wrap
    return [
        request(TCP(**up, flags="S", seq=isn, options=[("MSS", 1460), *stamps(5, None, UP, DOWN)])),
        reply(TCP(**down, flags="SA", seq=peer, ack=after, options=stamps(9, 5, DOWN, UP))),
        request(
            TCP(**up, flags="PA", seq=after, ack=ack, options=[*stamps(6, 9, UP, DOWN), *options])
            / Raw(b"GET / HTTP/1.0")
        ),
        reply(TCP(**down, flags="A", seq=ack, ack=after, options=[*stamps(10, 6, DOWN, UP), ("SAck", edges)])),
        reply(TCP(**down, flags="RA", seq=0, ack=after)),
        reply(TCP(**down, flags="R", seq=ack)),
    ]


def plain4(v: Values) -> list[Any]:
    return tcp_exchange(
        v,
        lambda tcp: ether(IP(src=v.client, dst=VIP, id=v.ident(UP, 0xFFF0), flags="DF") / tcp),
        lambda tcp: ether(IP(src=VIP, dst=v.client, id=0, flags="DF") / tcp),
    )


def nat4(v: Values) -> list[Any]:
    """The same counters under both addresses of the server, in a VLAN."""
    frames = []
    for server in (VIP, RIP):
        frames += tcp_exchange(
            v,
            lambda tcp, server=server: LINK / Dot1Q(vlan=100) / IP(src=v.client, dst=server, id=v.ident(UP, 7)) / tcp,
            lambda tcp, server=server: ether(IP(src=server, dst=v.client, id=v.ident(DOWN, 9)) / tcp),
        )
    return frames


def plain6(v: Values) -> list[Any]:
    return tcp_exchange(
        v,
        lambda tcp: ether(IPv6(src=v.client, dst=VIP6, tc=0xB8, fl=v.label(UP, 0xFFFFF)) / tcp),
        lambda tcp: ether(IPv6(src=VIP6, dst=v.client, fl=0) / tcp),
    )


def toa(v: Values) -> list[Any]:
    """Full NAT: the load balancer's own end outside, the client's in an option."""
    option = (254, struct.pack(">H4s", v.port, ip_address(v.client).packed))
    outside = tcp_exchange(
        v,
        lambda tcp: ether(IP(src=v.client, dst=VIP, id=v.ident(UP, 1)) / tcp),
        lambda tcp: ether(IP(src=VIP, dst=v.client) / tcp),
    )[2:3]
    inside = Values(v.client, v.lb_port, key=v.key)
    return outside + tcp_exchange(
        inside,
        lambda tcp: ether(IP(src=DIP, dst=RIP, id=v.ident(UP, 3)) / tcp),
        lambda tcp: ether(IP(src=RIP, dst=DIP, id=v.ident(DOWN, 3)) / tcp),
        option,
    )


def in_tunnel(v: Values, wrap: Callable[[Any], Any]) -> list[Any]:
    request = tcp_exchange(v, lambda tcp: IP(src=v.client, dst=VIP, id=v.ident(UP, 3)) / tcp, lambda tcp: None)
    return [ether(wrap(packet)) for packet in request if packet is not None]


def ipip(v: Values) -> list[Any]:
    outer = IP(src=DIP, dst=RIP, id=(8 + v.shift(f"{DIP}.id")) & 0xFFFF)
    return in_tunnel(v, lambda packet: outer / packet)


def ipip6(v: Values) -> list[Any]:
    outer = IPv6(src=DIP6, dst=RIP6, fl=v.label(DIP6, 5))
    return in_tunnel(v, lambda packet: outer / IPv6ExtHdrDestOpt() / packet)


def gre(v: Values) -> list[Any]:
    return in_tunnel(v, lambda packet: IP(src=DIP, dst=RIP, id=0) / GRE(chksum_present=1) / packet)


def gre_keyed(v: Values) -> list[Any]:
    return in_tunnel(v, lambda packet: IP(src=DIP, dst=RIP, id=0) / GRE(key_present=1, key=7) / packet)


def source_address(addresses: Any, ports: Any) -> Any:
    """Made as katran does, and by the same function for one copy and for all."""
    outer = np.empty((len(ports), 4), np.uint8)
    outer[:, 0], outer[:, 1] = 172, 16
    outer[:, 2] = (ports & 0xFF) ^ addresses[:, 2]
    outer[:, 3] = (ports >> 8) ^ addresses[:, 3]
    return outer


def source_port(addresses: Any, ports: Any) -> Any:
    return 0x8000 | (ports ^ addresses[:, -1]) & 0x7FFF


DERIVED: dict[str, Derive] = {"outer.src": source_address, "tunnel.srcport": source_port}


def of_one(derive: Derive, v: Values) -> Any:
    return derive(np.frombuffer(ip_address(v.client).packed, np.uint8)[None], np.array([v.port]))[0]


def gue(v: Values) -> list[Any]:
    source = str(ip_address(of_one(source_address, v).tobytes()))
    udp = UDP(sport=int(of_one(source_port, v)), dport=6080)
    return in_tunnel(v, lambda packet: IP(src=source, dst=RIP, id=0) / udp / Raw(b"\0\4\0\0" + bytes(packet)))


def gue_variant_1(v: Values) -> list[Any]:
    udp = UDP(sport=int(of_one(source_port, v)), dport=9886)
    inner = tcp_exchange(v, lambda tcp: IPv6(src=v.client, dst=VIP6) / tcp, lambda tcp: None)
    return [ether(IPv6(src=DIP6, dst=RIP6) / udp / Raw(bytes(packet))) for packet in inner if packet is not None]


def geneve(v: Values) -> list[Any]:
    udp = UDP(sport=int(of_one(source_port, v)), dport=6081)
    return in_tunnel(v, lambda packet: IP(src=DIP, dst=RIP, id=0) / udp / GENEVE(vni=2) / LINK / packet)


def udp(v: Values) -> list[Any]:
    up, down = {"sport": v.port, "dport": 80}, {"sport": 80, "dport": v.port}
    return [
        ether(IP(src=v.client, dst=VIP, id=0) / UDP(**up) / Raw(b"odd")),
        ether(IP(src=VIP, dst=v.client, id=0) / UDP(**down, chksum=0) / Raw(b"none")),
        ether(ARP(hwsrc="02:00:00:00:00:01", psrc=VIP, pdst=DIP)),
    ]


def udp6(v: Values) -> list[Any]:
    return [ether(IPv6(src=v.client, dst=VIP6) / UDP(sport=v.port, dport=80) / Raw(b"even"))]


def echo(v: Values) -> list[Any]:
    return [
        ether(IP(src=v.client, dst=VIP, id=v.ident(UP, 1)) / ICMP(type=8, id=v.port, seq=3) / Raw(b"ping")),
        ether(IP(src=VIP, dst=v.client, id=0) / ICMP(type=0, id=v.port, seq=3) / Raw(b"ping")),
    ]


def echo6(v: Values) -> list[Any]:
    return [
        ether(IPv6(src=v.client, dst=VIP6) / ICMPv6EchoRequest(id=v.port, seq=3, data=b"ping")),
        ether(IPv6(src=VIP6, dst=v.client) / ICMPv6EchoReply(id=v.port, seq=3, data=b"ping")),
    ]


def too_big(v: Values) -> list[Any]:
    """ICMP errors of a router: with all headers of the quoted packet, with eight octets, about a tunnel."""
    quoted = [bytes(packet)[14:] for packet in (plain4(v)[2], udp(v)[0], ipip(v)[1])]
    router = {"src": "203.0.113.1", "id": (4 + v.shift("203.0.113.1.id")) & 0xFFFF}
    error = ICMP(type=3, code=4, nexthopmtu=1400)
    return [
        *(ether(IP(**router, dst=VIP) / error / Raw(quote)) for quote in quoted),
        *(ether(IP(**router, dst=v.client) / error / Raw(quote[:28])) for quote in quoted[:2]),
        *(ether(IP(src=DIP, dst=RIP, id=0) / IP(**router, dst=VIP) / error / Raw(quote)) for quote in quoted),
    ]


def too_big6(v: Values) -> list[Any]:
    quoted = bytes(plain6(v)[2])[14:]
    return [ether(IPv6(src="2001:db8:9::1", dst=VIP6) / ICMPv6PacketTooBig(mtu=1280) / Raw(quoted))]


def fragments(v: Values) -> list[Any]:
    whole = bytes(IP(src=v.client, dst=VIP, id=0) / UDP(sport=v.port, dport=80) / Raw(bytes(range(200))))[20:]
    header = {"src": v.client, "dst": VIP, "proto": 17, "id": v.ident(UP, 0xFFFF)}
    return [
        ether(IP(**header, flags="MF") / Raw(whole[:64])),
        ether(IP(**header, flags="MF", frag=8) / Raw(whole[64:128])),
        ether(IP(**header, frag=16) / Raw(whole[128:])),
    ]


def fragments6(v: Values) -> list[Any]:
    whole = bytes(IPv6(src=v.client, dst=VIP6) / UDP(sport=v.port, dport=80) / Raw(bytes(range(200))))[40:]
    ident = (0xFFFFFFFF + v.shift(f"{UP}.fragment")) & 0xFFFFFFFF
    base = IPv6(src=v.client, dst=VIP6)
    return [
        ether(base / IPv6ExtHdrFragment(nh=17, id=ident, m=1) / Raw(whole[:128])),
        ether(base / IPv6ExtHdrFragment(nh=17, id=ident, offset=16) / Raw(whole[128:])),
    ]


def crc32c(data: bytes) -> int:
    """Bit by bit, from RFC 3720 s12.1's polynomial."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def proxy_2(v: Values, *, server: str) -> bytes:
    client, vip = ip_address(v.client).packed, ip_address(server).packed
    family = b"\x11" if len(client) == 4 else b"\x21"
    body = client + vip + struct.pack(">HH", v.port, 80) + b"\x01\x00\x02h2"
    length = struct.pack(">H", len(body) + 7)
    head = b"\r\n\r\n\0\r\nQUIT\n\x21" + family + length + body + b"\x03\x00\x04"
    return head + struct.pack(">I", crc32c(head + bytes(4)))


def layer_7(v: Values) -> list[Any]:
    """Two sessions with counters of their own; the second names the client in each of the three ways."""
    ports = {"sport": v.lb_port, "dport": 8080}
    inside = {"src": DIP, "dst": RIP, "id": v.ident("back.initiator", 3)}
    named = f"GET / HTTP/1.1\r\nX-Forwarded-For: {v.client}\r\nX-No: 1{v.client}1\r\n\r\n".encode()
    seq, ack = v.seq("back.initiator", 11), v.seq("back.responder", 22)
    return [
        plain4(v)[0],
        ether(IP(**inside) / TCP(**ports, flags="S", seq=seq)),
        *(
            ether(IP(**inside) / TCP(**ports, flags="PA", seq=seq, ack=ack) / Raw(payload))
            for payload in (
                named.replace(f"1{v.client}1".encode(), b"1198.51.100.101"),  # no address of the client
                f"PROXY TCP4 {v.client} {VIP} {v.port} 80\r\n".encode() + b"GET /",
                proxy_2(v, server=VIP) + b"GET /",
            )
        ),
        ether(IP(src=RIP, dst=DIP, id=0) / TCP(sport=8080, dport=v.lb_port, flags="A", seq=ack, ack=seq)),
    ]


def layer_7_in_6(v: Values) -> list[Any]:
    header = {"src": DIP6, "dst": RIP6}
    seq, ack = v.seq("back.initiator", 11), v.seq("back.responder", 22)
    return [
        ether(IPv6(**header) / TCP(sport=v.lb_port, dport=8080, flags="PA", seq=seq, ack=ack) / Raw(payload))
        for payload in (
            f"GET / HTTP/1.1\r\nX-Forwarded-For: {v.client}\r\n\r\n".encode(),
            proxy_2(v, server=VIP6),
        )
    ]


CLIENT6 = "2001:db8:7::1234"
FOUR = (session("198.51.100.10", VIP, RIP),)
SIX = (session(CLIENT6, VIP6),)
BACK = Endpoints("back", ((DIP, 5000),), ((RIP, 8080),))
BACK6 = Endpoints("back", ((DIP6, 5000),), ((RIP6, 8080),))
INSIDE = Endpoints("s", (("198.51.100.10", 40000), (DIP, 5000)), ((VIP, 80), (RIP, 80)))
CASES = {
    "plain4": Case(plain4, sessions=FOUR),
    "nat4": Case(nat4, sessions=FOUR),
    "plain6": Case(plain6, CLIENT6, sessions=SIX),
    "ipip": Case(ipip, sessions=FOUR),
    "ipip6": Case(ipip6, sessions=FOUR),
    "gre": Case(gre, sessions=FOUR),
    "gre-keyed": Case(gre_keyed, sessions=FOUR),
    "gue": Case(gue, sessions=FOUR, derived=DERIVED),
    "gue-variant-1": Case(gue_variant_1, CLIENT6, sessions=SIX, derived={"tunnel.srcport": source_port}),
    "geneve": Case(geneve, sessions=FOUR, derived={"tunnel.srcport": source_port}),
    "udp": Case(udp, sessions=FOUR),
    "udp6": Case(udp6, CLIENT6, sessions=SIX),
    "echo": Case(echo, sessions=FOUR),
    "echo6": Case(echo6, CLIENT6, sessions=SIX),
    "too-big": Case(too_big, sessions=FOUR),
    "too-big6": Case(too_big6, CLIENT6, sessions=SIX),
    "fragments": Case(fragments, sessions=FOUR),
    "fragments6": Case(fragments6, CLIENT6, sessions=SIX),
    "toa": Case(toa, sessions=(INSIDE,), lb_ip=DIP),
    "layer-7": Case(layer_7, sessions=(*FOUR, BACK), lb_ip=DIP),
    "layer-7-in-6": Case(layer_7_in_6, CLIENT6, sessions=(*SIX, BACK6), lb_ip=DIP6),
}


def template_of(case: Case, *, step_ns: int = 1000) -> Template:
    built = [bytes(packet) for packet in case.build(Values(case.client, case.port))]
    frames = (Frame("AB"[i % 2], i * step_ns, data, len(data), "", "", f"frame {i}") for i, data in enumerate(built))
    lb_port = None if case.lb_ip is None else 5000
    return Template(tuple(frames), case.client, case.port, case.sessions, case.lb_ip, lb_port, case.derived)


def some_flows(case: Case, number: int = COPIES, *, apart_ns: int = SECOND, seed: int = 1) -> FlowArrays:
    """Clients whose texts are as wide as the template's."""
    rng = np.random.default_rng(seed)
    if ":" in case.client:
        texts = [f"2001:db8:7::{n:x}" for n in rng.integers(0x1000, 0x10000, number)]
    else:
        texts = [
            f"198.51.{n}.{m}"
            for n, m in zip(rng.integers(100, 256, number), rng.integers(10, 100, number), strict=True)
        ]
    return FlowArrays(
        start_ns=1_700_000_000 * SECOND + apart_ns * np.arange(number),
        client_ip=np.array([list(ip_address(text).packed) for text in texts], np.uint8),
        client_port=rng.integers(10000, 65536, number),
        key=rng.integers(0, 2**64, number, np.uint64),
        lb_port=rng.integers(0, 65536, number) if case.lb_ip else None,
    )


def values_of(flows: FlowArrays, row: int) -> Values:
    return Values(
        str(ip_address(flows.client_ip[row].tobytes())),
        int(flows.client_port[row]),
        5000 if flows.lb_port is None else int(flows.lb_port[row]),
        int(flows.key[row]),
    )


def frames_of(batch: Batch) -> list[bytes]:
    return [
        batch.buffer[at : at + size].tobytes()
        for at, size in zip(batch.offset.tolist(), batch.caplen.tolist(), strict=True)
    ]


def by_copy(batch: Batch, frames: int) -> list[list[bytes]]:
    """The frames of each copy, where the copies are far apart in time."""
    data = frames_of(batch)
    return [data[i : i + frames] for i in range(0, len(data), frames)]


@pytest.mark.parametrize("name", CASES)
def test_a_copy_is_what_scapy_builds_from_its_values(name: str) -> None:
    case = CASES[name]
    template, flows = template_of(case), some_flows(case)
    copies = by_copy(expand(template, flows, ["A", "B"]), len(template.frames))
    assert len(copies) == COPIES
    for row, copy in enumerate(copies):
        for number, (got, packet) in enumerate(zip(copy, case.build(values_of(flows, row)), strict=True)):
            assert got.hex() == bytes(packet).hex(), f"frame {number} of copy {row}"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_no_bad_checksum(tmp_path: Path) -> None:
    frames = [
        data
        for case in CASES.values()
        for data in frames_of(expand(template_of(case), some_flows(case, 5), ["A", "B"]))
    ]
    file = tmp_path / "copies.pcap"
    wrpcap(str(file), frames, linktype=1)
    statuses = ("ip", "tcp", "udp", "icmp", "icmpv6", "gre")
    options = [f"-o{proto}.check_checksum:TRUE" for proto in ("ip", "tcp", "udp")]

    def count(expression: str) -> int:
        command = ["tshark", "-r", str(file), *options, "-Y", expression, "-T", "fields", "-e", "frame.number"]
        return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert count(" || ".join(f"{proto}.checksum.status == 1" for proto in statuses)) > 300
    assert count(" || ".join([*(f"{proto}.checksum.status == 0" for proto in statuses), "_ws.malformed"])) == 0


addresses = st.binary(min_size=4, max_size=4)
words = st.sampled_from(EDGES) | st.integers(0, 0xFFFF)
keys = st.integers(0, 2**64 - 1)


@given(old=addresses, new=addresses, old_port=words, new_port=words, payload=st.binary(max_size=5), key=keys)
@example(bytes(4), bytes(4), 0, 0xFFFF, b"", 0)
@example(b"\xff" * 4, bytes(4), 0xFFFF, 0, b"\xff", 0)
def test_any_address_and_port(old: bytes, new: bytes, old_port: int, new_port: int, payload: bytes, key: int) -> None:
    was, is_now = str(ip_address(old)), str(ip_address(new))

    def build(v: Values) -> list[Any]:
        ports = {"sport": v.port, "dport": 80}
        inner = IP(src=v.client, dst=VIP, id=v.ident(UP, 1)) / UDP(**ports) / Raw(payload)
        tcp = TCP(**ports, flags="PA", seq=v.seq(UP, 0xFFFFFFFF), ack=v.seq(DOWN, 0)) / Raw(payload)
        return [
            ether(inner),
            ether(IP(src=DIP, dst=RIP, id=0) / UDP(sport=1, dport=6080) / Raw(b"\0\4\0\0" + bytes(inner))),
            ether(IP(src=v.client, dst=VIP, id=v.ident(UP, 1)) / tcp),
        ]

    case = Case(build, was, old_port, (session(was, VIP, port=old_port),))
    flows = FlowArrays(
        np.array([0]), np.frombuffer(new, np.uint8)[None], np.array([new_port]), np.array([key], np.uint64)
    )
    expected = [bytes(packet).hex() for packet in build(Values(is_now, new_port, key=key))]
    assert [data.hex() for data in frames_of(expand(template_of(case), flows, ["A", "B"]))] == expected


@pytest.mark.parametrize("wanted", [0, 0xFFFF])
def test_a_sum_of_all_ones(wanted: int) -> None:
    """The port for which the one's complement sum is 0xffff: TCP writes 0, UDP 0xffff (RFC 768)."""

    def build(v: Values) -> list[Any]:
        layer = TCP(sport=v.port, dport=80, flags="S") if wanted == 0 else UDP(sport=v.port, dport=80)
        return [ether(IP(src=v.client, dst=VIP, id=0) / layer)]

    case = Case(build, port=40000)
    template = template_of(case)
    old = template.frames[0].data
    at = 14 + 20 + (16 if wanted == 0 else 6)
    port = (40000 + int.from_bytes(old[at : at + 2], "big")) % 0xFFFF
    flows = FlowArrays(
        np.array([0]), np.array([[198, 51, 100, 10]], np.uint8), np.array([port]), np.zeros(1, np.uint64)
    )
    (data,) = frames_of(expand(template, flows, ["A", "B"]))
    assert int.from_bytes(data[at : at + 2], "big") == wanted
    assert data == bytes(build(Values(case.client, port))[0])


def test_a_wrong_checksum_stays_wrong_by_the_same_difference() -> None:
    def build(v: Values, *, wrong: int = 0) -> list[bytes]:
        right = bytes(plain4(v)[2])
        checksum = (int.from_bytes(right[50:52], "big") + wrong) % 0xFFFF
        return [right[:50] + checksum.to_bytes(2, "big") + right[52:]]

    case = Case(lambda v: build(v, wrong=0x1234), sessions=FOUR)
    flows = some_flows(case)
    copies = by_copy(expand(template_of(case), flows, ["A", "B"]), 1)
    assert [copy for (copy,) in copies] == [build(values_of(flows, i), wrong=0x1234)[0] for i in range(COPIES)]


def test_two_counters_of_one_end_move_together_and_those_of_two_ends_do_not() -> None:
    names = ["s.initiator.seq", "s.responder.seq", "s.initiator.ts"]
    shifts = {name: drawn(np.arange(100, dtype=np.uint64), name) for name in names}
    assert all(len(np.unique(shift)) == 100 for shift in shifts.values())
    assert not np.any(shifts[names[0]] == shifts[names[1]])


def rows(batch: Batch) -> list[tuple[int, int, str, bytes]]:
    comments = [batch.comments[i] for i in batch.comment.tolist()]
    return list(zip(batch.ts_ns.tolist(), batch.tap.tolist(), comments, frames_of(batch), strict=True))


@pytest.mark.parametrize("jitter_ns", [0, 5000])
@pytest.mark.parametrize("octets", [1, 20_000, 1 << 30])
def test_a_stream_is_all_frames_in_order_of_time_however_it_is_cut(octets: int, jitter_ns: int) -> None:
    groups = [
        (template_of(CASES[name], step_ns=700), some_flows(CASES[name], 40, apart_ns=apart, seed=apart))
        for name, apart in (("plain4", 1000), ("nat4", 1300), ("udp", 4000))
    ]
    skew = {"B": -2500}
    batches = list(stream(groups, ["A", "B"], jitter_ns=jitter_ns, skew_ns=skew, octets=octets))
    streamed = [row for batch in batches for row in rows(batch)]
    expanded = [
        row
        for template, flows in groups
        for row in rows(expand(template, flows, ["A", "B"], jitter_ns=jitter_ns, skew_ns=skew))
    ]
    assert sorted(streamed) == sorted(expanded)
    times = [row[0] for row in streamed]
    assert times == sorted(times)
    assert (len(batches) == 1) == (octets == 1 << 30)


def test_connections_longer_than_a_slice_do_not_pile_up() -> None:
    """Frames are made when their time has come: no batch grows, though every connection is open to the end."""
    case = CASES["plain4"]
    groups = [(template_of(case, step_ns=SECOND), some_flows(case, 1000, apart_ns=1000))]
    batches = list(stream(groups, ["A", "B"], octets=50_000))
    assert sum(len(batch) for batch in batches) == 1000 * 6
    assert max(len(batch.buffer) for batch in batches) <= 100_000


def test_jitter_never_reorders_a_connection_and_skew_moves_one_tap() -> None:
    case = CASES["plain4"]
    template, flows = template_of(case), some_flows(case)
    still = expand(template, flows, ["A", "B"])
    late = expand(template, flows, ["A", "B"], jitter_ns=50_000)
    assert frames_of(still) == frames_of(late)
    delays = (late.ts_ns - still.ts_ns).reshape(COPIES, -1)
    assert np.all(np.diff(delays, axis=1) >= 0)
    assert 0 < delays.max() <= 6 * 50_000
    skewed = expand(template, flows, ["A", "B"], skew_ns={"B": 30})
    assert sorted(set((skewed.ts_ns - still.ts_ns)[still.tap == 1].tolist())) == [30]
    assert np.array_equal(skewed.ts_ns[still.tap == 0], still.ts_ns[still.tap == 0])


def test_snaplen_cuts_what_is_captured_and_not_what_was_on_the_wire() -> None:
    case = CASES["plain4"]
    template, flows = template_of(case), some_flows(case, 2)
    whole, cut = (expand(template, flows, ["A", "B"], snaplen=snaplen) for snaplen in (None, 60))
    assert [data[:60] for data in frames_of(whole)] == frames_of(cut)
    assert cut.caplen.max() == 60
    assert np.array_equal(cut.wire_octets, whole.caplen)


def test_comments_follow_their_frames() -> None:
    case = CASES["plain4"]
    batch = expand(template_of(case), some_flows(case, 2), ["A", "B"])
    assert [batch.comments[i] for i in batch.comment] == [f"frame {i}" for i in range(6)] * 2


def test_no_connections_are_no_frames() -> None:
    case = CASES["plain4"]
    flows = some_flows(case, 1)[0:0]
    assert len(expand(template_of(case), flows, ["A", "B"])) == 0
    assert list(stream([(template_of(case), flows)], ["A", "B"])) == []
    assert list(stream([], ["A"])) == []


def test_widths_that_differ_from_the_template() -> None:
    case = CASES["layer-7"]
    flows = some_flows(case, 1)
    narrow = FlowArrays(
        flows.start_ns, np.array([[10, 0, 0, 1]], np.uint8), flows.client_port, flows.key, flows.lb_port
    )
    with pytest.raises(ValueError, match="client texts of 13 octets"):
        expand(template_of(case), narrow, ["A", "B"])
    six = some_flows(CASES["plain6"], 1)
    with pytest.raises(ValueError, match="IP version"):
        expand(template_of(CASES["plain4"]), six, ["A", "B"])
    with pytest.raises(ValueError, match="one per connection"):
        expand(template_of(case), some_flows(CASES["plain4"], 1), ["A", "B"])


@given(data=st.binary(max_size=120), ether_type=st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x81\x00"]))
def test_broken_frames_are_copied(data: bytes, ether_type: bytes) -> None:
    frame = bytes(12) + ether_type + data
    template = Template((Frame("A", 0, frame, len(frame), "", "", ""),), "198.51.100.10", 40000, FOUR)
    (copy,) = frames_of(expand(template, some_flows(CASES["plain4"], 1), ["A"]))
    assert len(copy) == len(frame)


@pytest.mark.parametrize("name", CASES)
def test_frames_cut_anywhere_are_copied(name: str) -> None:
    """A quoted or truncated packet: the spots that are left are patched, and nothing else is touched."""
    case = CASES[name]
    template, flows = template_of(case), some_flows(case, 1)
    for frame, copy in zip(template.frames, frames_of(expand(template, flows, ["A", "B"])), strict=True):
        cuts = tuple(Frame("A", size, frame.data[:size], size, "", "", "") for size in range(15, len(frame.data), 3))
        cut = Template(
            cuts,
            template.client_ip,
            template.client_port,
            template.sessions,
            *(template.lb_ip, template.lb_port),
            template.derived,
        )
        for data in frames_of(expand(cut, flows, ["A"])):
            assert len(data) <= len(copy)
            assert data[:12] == copy[:12]
