"""Crafted faults of tunnels beside recordings of the real ones: the same cells, ICMP errors and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import dpkt
import pytest
from pictures import frames_of
from scenarios import PCAPS, Scenario, accused, failing

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.scenario import Scenario as Crafted

NO_MODULE = Scenario(PCAPS / "l3dsr-tunnel" / "b03a-tun-no-ipip-module")
TOO_BIG = Scenario(PCAPS / "l3dsr-tunnel" / "b07-tun-mtu-frag-needed")


@dataclass(frozen=True)
class Error:
    """An ICMP error as seen at one place; ends as roles, `quoted` the header that it quotes: ends, TTL and length."""

    kind: tuple[int, int]
    src: str
    dst: str
    ttl: int
    tos: int
    df: int
    octets: int
    quoted: tuple[str, str, int, int]
    mtu: int = 0


def error_to_lb(code: int, octets: int, outer: int) -> Error:
    return Error((3, code), "real-server", "lb", 63, 0xC0, 0, octets, ("lb", "real-server", 61, outer))


def relayed(code: int) -> Error:
    """IPVS strips the tunnel and speaks for the VIP: a SYN of 60 octets, its TTL counted down by router and LB."""
    return Error((3, code), "vip", "client", 64, 0xC0, 0, 88, ("client", "vip", 62, 60))


# Recorded at the load balancer (design notes, "ICMP errors from the servers pass back through the LB"): the tunnel, the
# server's error with its length and the length of the outer packet that it quotes, and the relayed one.
DEVICE_DOWN = {error_to_lb(3, 108, 80), relayed(3)}  # b03b
GRE_WITHOUT_DEVICE = {error_to_lb(3, 112, 84), relayed(3)}  # b03c
GUE_OTHER_PORT = {error_to_lb(3, 120, 92), relayed(3)}  # b03d


def errors(frames: Iterable[bytes], roles: Mapping[str, str]) -> list[Error]:
    found = []
    for frame in frames:
        packet = dpkt.ethernet.Ethernet(frame).data
        if not isinstance(packet, dpkt.ip.IP) or packet.p != dpkt.ip.IP_PROTO_ICMP:
            continue
        icmp = bytes(packet.data)
        if icmp[0] not in (3, 11):
            continue
        quoted = icmp[8:]
        ends = [dpkt.utils.inet_to_str(one) for one in (packet.src, packet.dst, quoted[12:16], quoted[16:20])]
        named = [roles.get(one, "client") for one in ends]
        length, mtu = int.from_bytes(quoted[2:4], "big"), int.from_bytes(icmp[6:8], "big")
        kind = (icmp[0], icmp[1])
        about = (named[2], named[3], quoted[8], length)
        found.append(Error(kind, named[0], named[1], packet.ttl, packet.tos, packet.df, packet.len, about, mtu))
    return found


def recorded(scenario: Scenario, file: str) -> list[Error]:
    roles = {ip: scenario.role(node) for node in scenario.truth["nodes"] for ip in scenario.addresses(node)}
    return errors(frames_of(scenario.folder / file), roles | dict.fromkeys(scenario.vips, "vip"))


def crafted(scenario: Crafted, tap: str) -> list[Error]:
    roles = {ip: node.role for node in scenario.spec.nodes for ip in node.ips} | dict.fromkeys(
        scenario.spec.vips, "vip"
    )
    return errors((frame.data for frame in scenario.kept if frame.tap == tap), roles)


def made(fault: str, **options: object) -> Crafted:
    return craft("l3dsr-tunnel", fault=fault, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("recording", "fault"), [(NO_MODULE, "TUN401"), (TOO_BIG, "TUN404")], ids=str)
def test_the_same_cells_fail_as_in_the_recording(recording: Scenario, fault: str, tmp_path: Path) -> None:
    theirs = dsrkit.verify([str(path) for path in recording.files])
    made(fault).write(tmp_path / "made.pcapng")
    ours = dsrkit.verify(str(tmp_path / "made.pcapng"))
    assert failing(ours) == failing(theirs) != set()
    assert accused(ours) == accused(theirs)


def test_a_server_without_the_module() -> None:
    """Some clients of the recording mark with AF11, TOS 0x28: four bits of it come back beside precedence 6.

    Left aside: its datagrams, and a client that sends with TTL 10.
    """
    theirs = set(recorded(NO_MODULE, "B_lb.pcap"))
    plain, marked = ({*crafted(made("TUN401", client_dscp=mark), "B")} for mark in (0, 10))
    assert plain == {error_to_lb(2, 108, 80), relayed(2)}
    assert plain | marked == {one for one in theirs if one.quoted[3] in (60, 80) and one.quoted[2] > 10}


@pytest.mark.parametrize(
    ("fault", "tunnel", "seen"),
    [
        ("TUN422", "ipip", DEVICE_DOWN),
        ("TUN413", "gre", GRE_WITHOUT_DEVICE),
        ("TUN413", "gue", GUE_OTHER_PORT),
    ],
)
def test_refusals_at_the_load_balancer(fault: str, tunnel: str, seen: set[Error]) -> None:
    assert set(crafted(made(fault, tunnel=tunnel), "B")) == seen


def test_too_big_says_what_ipvs_says() -> None:
    theirs, ours = recorded(TOO_BIG, "B_lb.pcap"), crafted(made("TUN404"), "B")
    assert set(ours) == set(theirs)
    assert set(ours) == {Error((3, 4), "vip", "client", 64, 0xC0, 0, 576, ("client", "vip", 62, 1500), 1480)}
    assert {one.ttl for one in crafted(made("TUN404"), "A")} == {one.ttl for one in recorded(TOO_BIG, "A_client.pcap")}


def sizes(frames: Iterable[bytes]) -> list[tuple[int, str | int]]:
    """What the first client port sends and is told, in order: payload sizes, and the MTU of errors."""
    found: list[tuple[int, str | int]] = []
    port = None
    for frame in frames:
        packet = dpkt.ethernet.Ethernet(frame).data
        if not isinstance(packet, dpkt.ip.IP):
            continue
        if isinstance(packet.data, dpkt.tcp.TCP) and packet.data.dport == 80:
            port = port or packet.data.sport
            if packet.data.sport == port and packet.data.data:
                found.append((packet.data.seq, len(packet.data.data)))
        elif packet.p == dpkt.ip.IP_PROTO_ICMP and bytes(packet.data)[28:30] == (port or 0).to_bytes(2, "big"):
            found.append((0, "too big"))
    return found


def test_what_was_too_big_is_cut_anew_and_sent_at_once() -> None:
    """Two segments of one buffer become three: 2896 octets are 1428, 1428 and 40."""
    ours = [f.data for f in made("TUN404").kept if f.tap == "A"]
    for frames in (list(frames_of(TOO_BIG.folder / "A_client.pcap")), ours):
        found = sizes(frames)
        first = next(i for i, (_, what) in enumerate(found) if what == "too big")
        sent = [what for _, what in found[:first]]
        again = [(seq, what) for seq, what in found[first:] if what != "too big"][:3]
        start = found[0][0]
        assert sent[:2] == [1448, 1448]
        assert again == [(start, 1428), (start + 1428, 1428), (start + 2856, 40)]


def test_fragments_outside() -> None:
    """Recorded b07c: outer DF clear and inner DF set; 1500 octets leave as 1500 and 40, under an id that is not 0."""
    outer = []
    for frame in made("TUN407").kept:
        packet = dpkt.ethernet.Ethernet(frame.data).data
        if frame.tap == "B" and isinstance(packet, dpkt.ip.IP) and packet.p == dpkt.ip.IP_PROTO_IPIP:
            outer.append(packet)
    assert {packet.df for packet in outer} == {0}
    assert 0 not in {packet.id for packet in outer}
    cut = [packet for packet in outer if packet.mf or packet.offset]
    assert {(packet.len, packet.mf, packet.offset) for packet in cut} == {(1500, 1, 0), (40, 0, 185)}
    assert {packet.data.df for packet in outer if not packet.offset and isinstance(packet.data, dpkt.ip.IP)} <= {1}


def test_the_vip_as_outer_source() -> None:
    """Recorded b03f: 6in6 from the VIP, hop limits 62, flow label 0, and nobody answers."""
    scenario = made("TUN421")
    (vip,) = scenario.spec.vips
    seen = set()
    for frame in scenario.kept:
        packet = dpkt.ethernet.Ethernet(frame.data).data
        if isinstance(packet, dpkt.ip6.IP6) and packet.nxt == dpkt.ip.IP_PROTO_IP6 and frame.tap == "B":
            inner = packet.data
            seen.add((dpkt.utils.inet_to_str(packet.src), packet.hlim, packet.flow, packet.plen, inner.hlim))
        assert frame.sender not in ("web1", "web2") or b"\x02\x04\x05" not in frame.data  # no SYN-ACK
    assert seen == {(vip, 62, 0, 80, 62)}
