"""Frames typed octet by octet, and what is said of each."""

from __future__ import annotations

import io
import ipaddress
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dsrkit.inspect import head
from dsrkit.inspect.flows import table
from dsrkit.inspect.repeats import Repeats
from dsrkit.inspect.survey import Described, Survey
from dsrkit.model.spec import Spec
from dsrkit.verify.frames import AddressBook

sys.path.insert(0, str(Path(__file__).parent))
from capture_files import (
    block,
    enhanced,
    ethernet,
    icmp,
    interface,
    ipv4,
    ipv6,
    option,
    pcap,
    pseudo,
    section,
    tcp,
    udp,
)

A, B = "192.0.2.1", "198.51.100.1"
SYN, ACK, FIN, RST, PSH = 0x02, 0x10, 0x01, 0x04, 0x08
UNSEEN = "no load balancing seen; if there is any, state it by --vip and --mode"


class Pipe(io.RawIOBase):
    """Octets that can be read once."""

    def __init__(self, octets: bytes) -> None:
        self._left = octets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def segment(
    flags: int = ACK, payload: bytes = b"", *, back: bool = False, ident: int = 7, ttl: int = 64, **words: int
) -> bytes:
    """A TCP segment between the two, of client port 40000 and server port 80."""
    ends = (B, A) if back else (A, B)
    ports = {"sport": 80, "dport": 40000} if back else {"sport": 40000, "dport": 80}
    return ethernet(ipv4(tcp(payload, *ends, flags=flags, **ports, **words), 6, *ends, ident=ident, ttl=ttl))


def described(
    frames: Sequence[bytes], *, linktype: int = 1, snaplen: int = 262144, step: int = 1000
) -> list[Described]:
    return list(Survey(io.BytesIO(pcap(list(frames), linktype=linktype, snaplen=snaplen, step=step))).batches())


def said(*frames: bytes, **how: int) -> list[tuple[str, str]]:
    """Role and summary of each frame."""
    batches = described(frames, **how)
    return [(batch.role(i), batch.summary(i)) for batch in batches for i in range(len(batch))]


def arp(op: int, sender: str, target: str, tha: str = "000000000000", *, to: str = "ff" * 6) -> bytes:
    def four(text: str) -> bytes:
        return bytes(map(int, text.split(".")))

    head = bytes.fromhex(to + "020000000001" + "0806" + "0001080006040001")[:-1] + bytes([op])
    return head + bytes.fromhex("020000000001") + four(sender) + bytes.fromhex(tha) + four(target)


# --- ordinary traffic -----------------------------------------------------------------------------------------------


def test_ordinary_traffic_is_itself() -> None:
    rows = said(
        segment(SYN, seq=100),
        segment(SYN | ACK, back=True, seq=500, ack=101),
        segment(PSH | ACK, b"GET /x HTTP/1.1\r\n\r\n", seq=101, ack=501),
        segment(FIN | ACK, back=True, seq=501, ack=120),
    )
    assert [role for role, _ in rows] == [""] * 4
    assert [summary for _, summary in rows] == [
        "TCP 192.0.2.1:40000 → 198.51.100.1:80 SYN seq 100 win 512",
        "TCP 198.51.100.1:80 → 192.0.2.1:40000 SYN ACK seq 500 ack 101 win 512",
        "TCP 192.0.2.1:40000 → 198.51.100.1:80 PSH ACK seq 101 ack 501 len 19 HTTP GET /x",
        "TCP 198.51.100.1:80 → 192.0.2.1:40000 FIN ACK seq 501 ack 120 len 0",
    ]


def test_the_heading_of_ordinary_traffic_claims_nothing() -> None:
    assert Survey(io.BytesIO(pcap([segment(SYN), segment(ACK)]))).heading == [UNSEEN]
    assert Survey(io.BytesIO(pcap([]))).heading == [UNSEEN]


def test_both_versions_and_protocols_are_written_as_urls_are() -> None:
    six = ethernet(ipv6(tcp(b"", "2001:db8::1", "2001:db8::2", flags=RST), 6), 0x86DD)
    datagram = ethernet(ipv4(udp(b"abc", A, B, dport=9999), 17, A, B))
    assert said(six)[0][1].startswith("TCP [2001:db8::1]:40000 → [2001:db8::2]:80 RST seq ")
    assert said(datagram)[0][1] == "UDP 192.0.2.1:40000 → 198.51.100.1:9999 len 3"
    assert said(ethernet(ipv4(b"\0" * 20, 89, A, B)))[0][1] == "OSPF 192.0.2.1 → 198.51.100.1"
    assert said(ethernet(ipv4(b"\0" * 20, 200, A, B)))[0][1] == "IP protocol 200 192.0.2.1 → 198.51.100.1"
    assert said(ethernet(b"\0" * 46, 0x88CC))[0][1] == "EtherType 0x88cc 02:00:00:00:00:01 → 02:00:00:00:00:02"
    tagged = ethernet(ipv4(udp(b"", A, B), 17, A, B), tags=((0x8100, 42),))
    assert said(tagged)[0][1].startswith("UDP ")
    assert "VLAN 42" in said(ethernet(b"\0" * 46, 0x88CC, tags=((0x8100, 42),)))[0][1]


def test_tunnels_are_said_from_the_outside() -> None:
    inner = ipv4(tcp(b"", A, B, flags=SYN, seq=1), 6, A, B)
    twice = ipv4(ipv4(inner, 4, "10.0.0.1", "10.0.0.2"), 4, "10.1.0.1", "10.1.0.2")
    text = "TCP 192.0.2.1:40000 → 198.51.100.1:80 SYN seq 1 win 512"
    (one,) = described([ethernet(twice)])
    assert one.summary(0) == f"IPIP 10.1.0.1 → 10.1.0.2 | IPIP 10.0.0.1 → 10.0.0.2 | {text}"
    assert one.packet(0) == one.summary(0)
    assert one.role(0) == ""  # a tunnel alone is no load balancing


def test_fragments_say_where_they_lie() -> None:
    first = ethernet(ipv4(udp(b"x" * 16, A, B, size=48), 17, A, B, frag=0x2000, ident=9))
    last = ethernet(ipv4(b"x" * 16, 17, A, B, frag=3, ident=9))
    rows = said(first, last)
    assert rows[0][1].endswith("fragment of 0x0009 at 0, more follow len 16")
    assert rows[1][1] == "UDP 192.0.2.1 → 198.51.100.1 fragment of 0x0009 at 24, last"


# --- who has which address ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "role"),
    [
        (arp(1, A, B), f"ARP who-has {B}, tell {A}"),
        (arp(2, A, B, to="020000000002"), f"ARP answer, {A} is-at 02:00:00:00:00:01"),
        (arp(1, "0.0.0.0", B), f"ARP probe for {B}"),
        (arp(1, A, A), f"GARP (RFC 5227 form) {A} is-at 02:00:00:00:00:01"),
        (arp(1, A, A, "ff" * 6), f"GARP (keepalived form) {A} is-at 02:00:00:00:00:01"),
        (arp(2, A, A, "020000000001"), f"GARP (reply, RFC 5944 form) {A} is-at 02:00:00:00:00:01"),
        (arp(2, A, A, "ff" * 6), f"GARP (reply, MetalLB form) {A} is-at 02:00:00:00:00:01"),
        (arp(8, A, B), "ARP operation 8"),
    ],
)
def test_arp_is_told_by_its_form(frame: bytes, role: str) -> None:
    assert said(frame)[0][0] == role


def neighbour(kind: int, flags: int, target: str, dst: str) -> bytes:
    src = "fe80::1"
    body = ipaddress.IPv6Address(target).packed + bytes.fromhex("0201020000000001")
    size = 8 + len(body)
    message = icmp(kind, 0, flags << 24, body, pseudo(src, dst, 58, size))
    return ethernet(struct.pack("!IHBB", 6 << 28, size, 58, 255) + _six(src) + _six(dst) + message, 0x86DD)


def _six(text: str) -> bytes:
    return ipaddress.IPv6Address(text).packed


def test_neighbour_discovery_is_told_by_its_form() -> None:
    roles = [
        role
        for role, _ in said(
            neighbour(135, 0, "2001:db8::9", "ff02::1:ff00:9"),
            neighbour(136, 0x60, "2001:db8::9", "fe80::2"),
        )
    ]
    assert roles == [
        "neighbour solicitation, who has 2001:db8::9, tell fe80::1",
        "neighbour advertisement, 2001:db8::9 is-at 02:00:00:00:00:01",
    ]


def test_vrrp_says_whom_it_serves() -> None:
    advert = bytes([0x31, 51, 100, 1, 0, 100, 0, 0]) + bytes([203, 0, 113, 10])
    frame = ethernet(ipv4(advert, 112, A, "224.0.0.18"))
    survey = Survey(io.BytesIO(pcap([frame, arp(1, "203.0.113.10", "203.0.113.10", "ff" * 6)])))
    (batch,) = survey.batches()
    assert survey.heading == [UNSEEN, "VRRP announces VIP 203.0.113.10"]
    assert batch.role(0) == "VRRP advertisement vrid 51 prio 100, VIP 203.0.113.10"
    assert batch.role(1) == "GARP (keepalived form) VIP 203.0.113.10 is-at 02:00:00:00:00:01"
    gone = ethernet(ipv4(advert[:2] + b"\0" + advert[3:], 112, A, "224.0.0.18"))
    assert said(gone)[0][0].startswith("VRRP advertisement vrid 51 prio 0 (stops being master)")
    assert said(ethernet(ipv4(advert[:5], 112, A, "224.0.0.18")))[0] == ("", f"VRRP {A} → 224.0.0.18")


# --- errors, names, headers -----------------------------------------------------------------------------------------


def test_an_icmp_error_names_what_it_quotes() -> None:
    quoted = ipv4(tcp(b"", A, B, flags=ACK), 6, A, B)[:28]
    error = ethernet(ipv4(icmp(3, 4, 1480, quoted), 1, "10.9.9.9", A))
    ((role, summary),) = said(error)
    assert role == f"ICMP fragmentation needed (mtu 1480) from 10.9.9.9 about TCP {A}:40000 → {B}:80"
    assert summary == f"ICMP 10.9.9.9 → {A} fragmentation needed (mtu 1480)"
    tunnelled = ipv4(ipv4(tcp(b"", A, B, flags=ACK), 6, A, B), 4, "10.0.0.1", "10.0.0.2")[:48]
    ((role, _),) = said(ethernet(ipv4(icmp(3, 2, 0, tunnelled), 1, "10.0.0.2", "10.0.0.1")))
    assert role.endswith(f"about TCP {A}:40000 → {B}:80 in the tunnel 10.0.0.1→10.0.0.2")


def dns(name: bytes, addresses: Sequence[str] = (), rcode: int = 0) -> bytes:
    labels = b"".join(bytes([len(part)]) + part for part in name.split(b".")) + b"\0"
    answer = bool(addresses) or rcode
    out = struct.pack("!6H", 1, 0x8180 | rcode if answer else 0x0100, 1, len(addresses), 0, 0)
    out += labels + struct.pack("!2H", 1, 1)
    for address in addresses:
        out += struct.pack("!3HIH", 0xC00C, 1, 1, 60, 4) + bytes(map(int, address.split(".")))
    return out


def asked(payload: bytes) -> bytes:
    return ethernet(ipv4(udp(payload, A, B, dport=53), 17, A, B))


def told(payload: bytes) -> bytes:
    return ethernet(ipv4(udp(payload, B, A, sport=53, dport=40000), 17, B, A))


def test_names_of_several_addresses_are_roles_and_others_are_themselves() -> None:
    rows = said(
        asked(dns(b"www.example.com")),
        told(dns(b"www.example.com", ["10.0.0.21", "10.0.0.22"])),
        asked(dns(b"one.example.com")),
        told(dns(b"one.example.com", ["10.0.0.9"])),
        told(dns(b"none.example.com", rcode=3)),
    )
    assert [role for role, _ in rows] == [
        "DNS query www.example.com A",
        "DNS answer www.example.com → 10.0.0.21 10.0.0.22",
        "",
        "",
        "",
    ]
    assert rows[3][1].endswith("DNS answer one.example.com → 10.0.0.9")
    assert rows[4][1].endswith("DNS answer none.example.com → no such name")


def test_what_the_role_says_is_not_said_again() -> None:
    frames = [told(dns(b"www.example.com", ["10.0.0.21", "10.0.0.22"])), arp(1, A, B), segment(ACK, b"HTTP/1.1 200 OK")]
    (batch,) = described(frames)
    assert [batch.packet(i) for i in range(3)] == [
        f"UDP {B}:53 → {A}:40000 len 65",
        "ARP 02:00:00:00:00:01 → broadcast",
        batch.summary(2),
    ]
    assert batch.summary(1) == f"ARP 02:00:00:00:00:01 → broadcast who-has {B} tell {A}"


def test_a_hostile_name_stays_text() -> None:
    ((_, summary),) = said(asked(dns(b"a\x1b[2Jb\n.example")))
    assert summary.endswith("DNS query a\\027[2jb\\010.example A")


def test_a_proxy_header_is_told_wherever_it_is() -> None:
    line = b"PROXY TCP4 203.0.113.7 203.0.113.10 50000 80\r\nGET / HTTP/1.0\r\n\r\n"
    ((role, summary),) = said(segment(PSH | ACK, line))
    assert role == "PROXY v1 header (TCP4 203.0.113.7:50000 → 203.0.113.10:80)"
    assert summary.endswith("PROXY v1 HTTP GET /")


# --- what could not be read -----------------------------------------------------------------------------------------


def test_a_defect_says_what_is_missing_and_who_says_so() -> None:
    cut = said(segment(), snaplen=14 + 20 + 6)[0]
    assert cut[0] == "truncated in the TCP header: 20 octets needed, 6 there (captured)"
    assert cut[1] == f"TCP {A} → {B}"
    short = said(ethernet(ipv4(b"\0" * 8, 6, A, B)))[0][0]
    assert short == "bad length in the TCP header: 20 octets needed, 8 there (by the IP header's length)"
    assert said(ethernet(b"\x65" + b"\0" * 40))[0][0] == "malformed IP header: version 6"
    assert said(b"\0" * 40, linktype=105)[0] == ("link type 105 (IEEE 802.11) is not decoded", "40 octets")
    assert said(b"\0" * 40, linktype=888)[0][0] == "link type 888 is not decoded"


# --- the service, as a spec states it -------------------------------------------------------------------------------

SPEC = """
[[service]]
mode = "l2dsr"
vip = "198.51.100.1"
ports = ["tcp/80"]

[[node]]
name = "lb1"
role = "lb"
mac = "02:00:00:00:00:02"

[[node]]
name = "web1"
role = "real-server"
mac = "02:00:00:00:00:11"
"""
LB, WEB, ROUTER = "020000000002", "020000000011", "020000000001"


def between(src: str, dst: str, frame: bytes) -> bytes:
    """A frame with other MACs."""
    return bytes.fromhex(dst + src) + frame[12:]


def stated(*frames: bytes) -> list[str]:
    survey = Survey(io.BytesIO(pcap(list(frames), step=1000)), spec=Spec.parse(SPEC))
    return [batch.role(i) for batch in survey.batches() for i in range(len(batch))]


def test_replies_are_told_by_who_sends_them_to_whom() -> None:
    ask = between(ROUTER, LB, segment(SYN, seq=1))
    answer = segment(SYN | ACK, back=True, seq=7, ack=2)
    gone_on = segment(SYN | ACK, back=True, seq=7, ack=2, ttl=63)
    assert stated(ask, between(LB, WEB, segment(SYN, seq=1)), between(WEB, ROUTER, answer)) == [
        "request before LB",
        "request after LB, MAC rewritten to web1 02:00:00:00:00:11",
        "reply, bypasses LB, from web1",
    ]
    assert stated(ask, between(WEB, LB, answer), between(LB, ROUTER, gone_on))[1:] == [
        "reply, goes through the LB, which it should bypass, from web1",
        "reply, goes through the LB, which it should bypass",
    ]
    refusal = between(LB, ROUTER, segment(RST | ACK, back=True, ack=2))
    assert stated(ask, refusal)[1] == "reply of the LB itself"
    assert stated(between(ROUTER, WEB, segment(SYN, seq=1)))[0] == "request, straight to web1, not by way of the LB"
    assert stated(between(WEB, LB, segment(SYN, seq=1)))[0] == "request, sent on by web1, which should have kept it"


def test_a_port_that_a_spec_does_not_balance_is_told() -> None:
    frame = ethernet(ipv4(tcp(b"", A, B, flags=SYN, dport=22), 6, A, B))
    assert stated(between(ROUTER, LB, frame)) == ["request to the VIP, not of the service"]


# --- repeats --------------------------------------------------------------------------------------------------------


def test_a_retransmission_is_told_from_a_copy() -> None:
    rows = said(
        segment(PSH | ACK, b"abc", ident=1),
        segment(PSH | ACK, b"abc", ident=1),  # a mirror port's
        segment(PSH | ACK, b"abc", ident=2),
        segment(ACK, b"a", ident=3),  # a keep-alive, perhaps
        segment(ACK, b"a", ident=4),
    )
    assert [role for role, _ in rows] == ["", "copy of frame 1", "retransmission of frame 1", "", ""]


def test_segments_are_remembered_from_window_to_window_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from dsrkit.inspect import repeats

    monkeypatch.setattr(repeats, "_KEPT", 10)
    memory = Repeats()
    for number in range(50):
        (batch,) = described([segment(PSH | ACK, b"abc", seq=number * 10, ident=number + 1)])
        batch._frames.number += number
        assert not memory.see(batch._frames).of.any()
        assert len(memory._keys) <= 10


# --- the head, and streams ------------------------------------------------------------------------------------------


def test_a_stream_is_read_once_and_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [segment(ACK, b"ab", seq=n) for n in range(100)]
    monkeypatch.setattr(head, "MOST_ROWS", 10)
    monkeypatch.setattr("dsrkit.wire.files.reading.WINDOW_ROWS", 10, raising=False)
    survey = Survey(Pipe(pcap(frames)))  # type: ignore[arg-type]
    numbers = [batch.first + i for batch in survey.batches() for i in range(len(batch))]
    assert numbers == list(range(1, 101))


def test_the_heading_says_how_much_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "MOST_ROWS", 5)
    survey = Survey(io.BytesIO(pcap([segment(ACK)] * 20)))
    assert survey.heading[-1] == "roles were decided on the first 20 packets"
    monkeypatch.setattr(head, "MOST_ROWS", 50)
    assert "decided" not in " ".join(Survey(io.BytesIO(pcap([segment(ACK)] * 20))).heading)


def test_a_file_can_be_described_twice() -> None:
    survey = Survey(io.BytesIO(pcap([segment(SYN), segment(ACK)])))
    once = [batch.summary(i) for batch in survey.batches() for i in range(len(batch))]
    assert once == [batch.summary(i) for batch in survey.batches() for i in range(len(batch))]


def test_comments_survive_the_head(tmp_path: Path) -> None:
    frame = segment(SYN)
    commented = struct.pack("<IIIII", 0, 0, 0, len(frame), len(frame)) + frame + b"\0" * (-len(frame) % 4)
    octets = section() + interface(options=option(2, b"eth7")) + block(6, commented + option(1, b"look here"))
    survey = Survey(io.BytesIO(octets + enhanced(segment(ACK))))
    (batch,) = survey.batches()
    assert batch.window.comments(0) == ["look here"]
    assert batch.window.comments(1) == []


def test_taps_are_called_as_their_interfaces_are() -> None:
    octets = section() + interface(options=option(2, b"in")) + interface(options=option(2, b"in"))
    survey = Survey(io.BytesIO(octets + enhanced(segment(SYN), 0) + enhanced(segment(SYN), 1)))
    (batch,) = survey.batches()
    assert survey.several_taps
    assert [batch.tap(0), batch.tap(1)] == ["in", "in'"]
    assert not Survey(io.BytesIO(pcap([segment(SYN)]))).several_taps


def test_an_address_book_that_starts_from_another_keeps_its_own_to_itself() -> None:
    base = AddressBook()
    known = base.number("10.0.0.1")
    own = AddressBook(base)
    fresh = own.number("10.0.0.2")
    later = base.number("10.0.0.3")
    assert own.number("10.0.0.1") == known
    assert own.text(fresh) == "10.0.0.2"
    assert own.number("10.0.0.3") not in (fresh, known)
    assert base.text(later) == "10.0.0.3"
    assert own.text(known) == "10.0.0.1"


# --- flows ----------------------------------------------------------------------------------------------------------


def states(*frames: bytes) -> list[str]:
    return [flow.state for flow in table(io.BytesIO(pcap(list(frames), step=1000))).flows]


def test_states_of_connections() -> None:
    syn, synack = segment(SYN, seq=9), segment(SYN | ACK, back=True, seq=4, ack=10)
    ack = segment(ACK, seq=10, ack=5)
    fin, fin_back = segment(FIN | ACK, seq=10, ack=5), segment(FIN | ACK, back=True, seq=5, ack=11)
    assert states(syn) == ["SYN only"]
    assert states(syn, synack) == ["half-open"]
    assert states(syn, synack, ack) == ["established"]
    assert states(syn, synack, ack, fin) == ["closing"]
    assert states(syn, synack, ack, fin, fin_back) == ["closed"]
    assert states(syn, segment(RST | ACK, back=True, ack=10)) == ["refused"]
    assert states(syn, synack, ack, segment(RST, seq=10)) == ["reset"]


def test_a_flow_counts_both_ways_from_its_first_packet() -> None:
    frames = [segment(SYN, seq=9), segment(SYN | ACK, back=True, seq=4, ack=10), segment(ACK, b"hello", seq=10, ack=5)]
    (flow,) = table(io.BytesIO(pcap(frames, step=1000))).flows
    assert (flow.client, flow.service, flow.protocol) == (f"{A}:40000", f"{B}:80", "TCP")
    assert (flow.packets, flow.octets, flow.packets_back, flow.octets_back) == (2, 85, 1, 40)
    assert (flow.start, flow.duration, flow.retransmissions) == (0.0, 0.002, 0)
    assert (flow.server, flow.path) == ("", "")


def test_fragments_belong_to_their_datagram() -> None:
    body = udp(b"x" * 40, A, B, dport=9999)
    first = ethernet(ipv4(body[:24], 17, A, B, frag=0x2000, ident=9))
    last = ethernet(ipv4(body[24:], 17, A, B, frag=3, ident=9))
    (flow,) = table(io.BytesIO(pcap([first, last], step=1000))).flows
    assert (flow.client, flow.service, flow.packets) == (f"{A}:40000", f"{B}:9999", 2)


def test_what_is_neither_tcp_nor_udp_is_a_flow_between_addresses() -> None:
    found = table(io.BytesIO(pcap([ethernet(ipv4(b"\0" * 20, 89, B, A)), arp(1, A, B)], step=1000)))
    (flow,) = found.flows
    assert (flow.client, flow.service, flow.protocol) == (B, A, "OSPF")
    assert (flow.packets, flow.packets_back, flow.state) == (1, 0, "")


def test_copies_of_a_mirror_port_are_counted_once() -> None:
    frames = [segment(PSH | ACK, b"abc", ident=5)] * 2 + [segment(PSH | ACK, b"abc", ident=6)]
    (flow,) = table(io.BytesIO(pcap(frames, step=100))).flows
    assert (flow.packets, flow.retransmissions) == (2, 1)


def test_nothing_makes_no_flow() -> None:
    found = table(io.BytesIO(pcap([])))
    assert found.flows == []
    assert found.heading == [UNSEEN]
    assert found.columns == [[] for _ in range(13)]
