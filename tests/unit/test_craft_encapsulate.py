"""Encapsulation: against recorded kernels, against other projects' literal values, and for any packet at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, fragment
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import RawPcapReader

from dsrkit.craft.encapsulate import fragments, overhead, push
from dsrkit.craft.packets.octets import Octets, packed
from dsrkit.craft.profiles import PROFILES, Encapsulation, Flows, cilium, profile_of
from dsrkit.craft.profiles.cilium import geneve_source_port
from dsrkit.craft.profiles.glb import source_port
from dsrkit.craft.profiles.hashes import siphash24
from dsrkit.craft.profiles.ipvs import gue_source_port
from dsrkit.craft.rewrite import Bindings, rewritten, with_rule
from dsrkit.errors import UsageError
from dsrkit.tables import tables
from dsrkit.tables.rules import const

PCAPS = Path(__file__).parents[2] / "pcaps" / "l3dsr-tunnel"
TABLE = tables("l3dsr-tunnel").table("lb", "request")
LB = {4: packed("192.0.2.10"), 6: packed("2001:db8:b::10")}
SERVER = {4: packed("10.1.1.12"), 6: packed("2001:db8:c::12")}
PAIRS = {"ipip": (4, 4), "6in6": (6, 6), "4in6": (4, 6), "6in4": (6, 4)}


def roles(outer: int, **more: int | bytes) -> Bindings:
    return Bindings({("lb", "ip"): LB[outer], ("real-server", "ip"): SERVER[outer]}).bound(**more)


def request(version: int = 4, *, tos: int = 0, ttl: int = 63, payload: bytes = b"hello", **fields: object) -> Octets:
    """A client's segment as it reaches the load balancer."""
    if version == 4:
        network = IP(src="198.51.100.10", dst="192.0.2.100", ttl=ttl, tos=tos, **{"id": 7, "flags": "DF", **fields})
    else:
        network = IPv6(src="2001:db8:a::10", dst="2001:db8:b::100", hlim=ttl, tc=tos, **fields)
    link = Ether(src="02:aa:00:00:00:0b", dst="02:1b:00:00:01:0b")
    return Octets(bytes(link / network / TCP(sport=40000, dport=80, flags="S") / Raw(payload)), depth=1)


def pushed(before: Octets, encapsulation: Encapsulation, outer: int, profile: str, **more: int | bytes) -> bytes:
    bindings = replace(roles(outer, **more), next_id=lambda: 0x4242)
    habits = PROFILES[profile].habits_in(encapsulation.type)
    after = rewritten(before, TABLE, bindings, profile=profile, habits=habits)
    return push(before, after, TABLE, bindings, encapsulation, profile=profile)


# --- recorded kernels -------------------------------------------------------------------------------------------------


def _forwarded(path: Path) -> Iterator[tuple[Octets, Octets]]:
    """Frames into a one-armed load balancer, each with the tunnel frame that it made of it."""
    waiting: dict[bytes, Octets] = {}
    with RawPcapReader(str(path)) as reader:
        for data, _ in reader:
            frame = Octets(bytes(data))
            if len(frame.networks) == 1:
                after = rewritten(frame, TABLE, Bindings(), profile="ipvs")
                waiting.setdefault(after.ip_packet, frame)
            elif len(frame.networks) == 2:
                inner = frame.networks[1]
                yield waiting[bytes(frame.data[inner.at : inner.end])], frame


@pytest.mark.parametrize(
    ("scenario", "type", "pairs"),
    [
        ("ipvs-tun-ipip", "ipip", 300),
        ("ipvs-tun-6in6", "6in6", 280),
        ("ipvs-tun-gue", "gue", 320),
        ("b07-tun-mtu-frag-needed", "ipip", 60),
    ],
)
def test_ipvs_is_the_recorded_kernel(scenario: str, type: str, pairs: int) -> None:
    """All octets, with the two values that the kernel draws put in: the id where DF is 0, the source port of GUE."""
    count = 0
    for before, recorded in _forwarded(PCAPS / scenario / "B_lb.pcap"):
        outer, source, server = recorded.outer, recorded.get("outer.src"), recorded.get("outer.dst")
        drawn = recorded.get("outer.id")
        assert outer is not None
        assert isinstance(source, bytes)
        assert isinstance(server, bytes)
        bindings = Bindings(
            {("lb", "ip"): source, ("real-server", "ip"): server},
            next_id=lambda drawn=drawn: drawn,
        )
        table = TABLE
        if type == "gue":
            port = recorded.word(outer.payload)
            assert 32768 <= port <= 60999
            table = with_rule(TABLE, "tunnel.srcport", const(port))
        after = rewritten(before, table, bindings, profile="ipvs")
        assert push(before, after, table, bindings, Encapsulation(type), profile="ipvs") == recorded.ip_packet
        count += 1
    assert count >= pairs


def test_ipvs_writes_id_0_under_df_and_counts_else() -> None:
    assert pushed(request(), Encapsulation("ipip"), 4, "ipvs")[4:8].hex() == "00004000"
    assert pushed(request(flags=0), Encapsulation("ipip"), 4, "ipvs")[4:8].hex() == "42420000"


def test_ipvs_writes_no_df_around_ipv6() -> None:
    assert pushed(request(6), Encapsulation("6in4"), 4, "ipvs")[4:8].hex() == "42420000"


def test_ipvs_hides_congestion_as_ect_0() -> None:
    ect = [pushed(request(tos=0xB8 | ecn), Encapsulation("ipip"), 4, "ipvs")[1] for ecn in range(4)]
    assert ect == [0xB8, 0xB9, 0xBA, 0xBA]


@pytest.mark.parametrize(
    ("encapsulation", "version", "expected"),
    [
        (Encapsulation("gre"), 4, "00000800"),
        (Encapsulation("gre"), 6, "000086dd"),
        (Encapsulation("gue"), 4, "00040000"),
        (Encapsulation("gue"), 6, "00290000"),
    ],
)
def test_the_tunnel_header_of_ipvs(encapsulation: Encapsulation, version: int, expected: str) -> None:
    at = 20 + (8 if encapsulation.type == "gue" else 0)
    assert pushed(request(version), encapsulation, 4, "ipvs")[at : at + 4].hex() == expected


def test_a_gre_checksum_covers_the_whole_packet() -> None:
    packet = pushed(request(), Encapsulation("gre", checksum=True), 4, "ipvs")
    assert packet[20:24].hex() == "80000800"
    assert packet[26:28] == b"\0\0"
    words = [int.from_bytes((packet + b"\0")[i : i + 2], "big") for i in range(20, len(packet), 2)]
    assert sum(words) % 0xFFFF == 0


# --- literal values of other projects ---------------------------------------------------------------------------------


def _flows(client: str, port: int, **more: int) -> Flows:
    address = np.frombuffer(packed(client), np.uint8)[None]
    return Flows(address, np.array([port], np.uint16), packed("192.0.2.100"), 80, **more)


@pytest.mark.parametrize(
    ("client", "backend_port", "expected"),
    [
        ("110.0.11.1", 22331, 56602),
        ("110.0.11.1", 33441, 24364),
        ("110.0.11.1", 44551, 34671),
        ("2001::1", 22331, 52625),
        ("2001::1", 33441, 18056),
        ("2001::1", 44551, 25189),
    ],
)
def test_the_geneve_port_is_ciliums(client: str, backend_port: int, expected: int) -> None:
    """Source: cilium bpf/tests/scapy/kpr_dsr_pkt_defs.py, ``*_post_geneve_xdp``."""
    assert geneve_source_port(_flows(client, 22330, backend_port=backend_port)).tolist() == [expected]


@pytest.mark.parametrize(
    ("octets", "digest"),
    [(0, "310e0edd47db6f72"), (4, "b7877127e09427cf"), (15, "e545be4961ca29a1"), (16, "db9bc2577fcc2a3f")],
)
def test_siphash_is_the_reference(octets: int, digest: str) -> None:
    """Source: vectors.h of the reference implementation of SipHash: key 00 01 .. 0f, message 00 01 .. ."""
    message = np.arange(octets, dtype=np.uint8)[None]
    assert siphash24(bytes(range(16)), message).astype("<u8").tobytes().hex() == digest


# The scenarios of cilium bpf/tests/scapy/kpr_dsr_pkt_defs.py, with its addresses and ports.
HOST, FIRST = "ce:72:a7:03:88:56", "de:ad:be:ef:de:ef"
EXTERNAL, SERVICE, POD = ("110.0.11.1", "2001::1"), ("172.16.10.1", "fd10::1"), ("192.168.0.1", "fd04::1")
NODES = packed("10.0.10.1"), packed("10.0.10.2")


def _cilium(version: int, flags: str, data: bytes = b"") -> Octets:
    six = version == 6
    network = (IPv6 if six else IP)(src=EXTERNAL[six], dst=SERVICE[six])
    segment = TCP(sport=22330, dport=80, flags=flags) / Raw(data)
    return Octets(bytes(Ether(src=HOST, dst=FIRST) / network / segment), depth=1)


def _rewritten_by_cilium(version: int, flags: str, ttl: int = 64) -> IP | IPv6:
    six = version == 6
    network = IPv6(src=EXTERNAL[six], dst=POD[six], hlim=ttl) if six else IP(src=EXTERNAL[0], dst=POD[0], ttl=ttl)
    return network / TCP(sport=22330, dport=22331, flags=flags)


def _by_cilium(before: Octets, type: str, outer: int = 4) -> bytes:
    pod = packed(POD[before.ether_type == 0x86DD])
    more: dict[str, int | bytes] = {"backend_ip": pod, "backend_port": 22331}
    if type != "option":
        more |= {"lb_ip": NODES[0], "real_server_ip": NODES[1]}
    return pushed(before, Encapsulation(type, port=6081), outer, "cilium", **more)


def test_the_ipv4_option_is_ciliums() -> None:
    expected = _rewritten_by_cilium(4, "S", 63)
    expected.options = [IPOption(bytes.fromhex("9a080050ac100a01"))]
    assert _by_cilium(_cilium(4, "S"), "option").hex() == bytes(expected).hex()


def test_the_ipv6_option_is_ciliums() -> None:
    packet = _by_cilium(_cilium(6, "S"), "option", 6)
    assert packet[:8].hex() == "60000000002c3c40"
    assert packet[40:64].hex() == "0602" + "1b14" + packed(SERVICE[1]).hex() + "0050" + "0000"
    assert packet[64:] == bytes(_rewritten_by_cilium(6, "S"))[40:]
    assert int.from_bytes(packet[80:82], "big") == 50277  # literal in kpr_v6_dsr_lb1_syn_post_option


@pytest.mark.parametrize(("version", "ttl"), [(4, 63), (6, 64)])
def test_the_option_comes_with_the_syn_only(version: int, ttl: int) -> None:
    packet = _by_cilium(_cilium(version, "A"), "option", version)
    assert packet == bytes(_rewritten_by_cilium(version, "A", ttl))


@pytest.mark.parametrize(("version", "port", "ttl"), [(4, 56602, 63), (6, 52625, 64)])
def test_geneve_is_ciliums(version: int, port: int, ttl: int) -> None:
    service = packed(SERVICE[version == 6])
    option = GeneveOptions(classid=0x014B, type=0x81, length=len(service) // 4 + 1, data=service + b"\0\x50\0\0")
    expected = (
        IP(src="10.0.10.1", dst="10.0.10.2", id=0, ttl=ttl)
        / UDP(sport=port, dport=6081, chksum=0)
        / GENEVE(vni=2, proto=0x6558, options=[option])
        / Ether(src=HOST, dst=FIRST)
        / _rewritten_by_cilium(version, "S")
    )
    before = _cilium(version, "S")
    assert _by_cilium(before, "geneve").hex() == bytes(expected).hex()


def test_geneve_carries_the_option_with_the_syn_only() -> None:
    packet = _by_cilium(_cilium(4, "A"), "geneve")
    assert packet[28:36].hex() == "0000655800000200"


def test_cilium_needs_a_backend_of_the_packets_family() -> None:
    with pytest.raises(UsageError, match="no backend"):
        pushed(request(6), Encapsulation("geneve", port=6081), 4, "cilium")


def test_the_gue_header_of_glb() -> None:
    """Source: glb-director docs/development/gue-header.md; glb_encap.c; src/glb-director/tests."""
    bindings = {"lb_ip": packed("65.65.65.65"), "real_server_ip": packed("3.4.5.6"), "alternate_ip": packed("2.3.4.5")}
    before = request(tos=0xB9)
    packet = pushed(before, Encapsulation("gue", port=19523), 4, "glb", **bindings)
    header = IP(packet[:20])
    assert (header.ttl, header.tos, header.id, int(header.flags)) == (64, 0, 0, 2)
    assert (header.src, header.dst) == ("65.65.65.65", "3.4.5.6")
    assert int.from_bytes(packet[22:24], "big") == 19523
    assert packet[26:28] == b"\0\0"
    assert packet[28:40].hex() == "02040000" + "00000001" + "02030405"
    assert packet[40:] == before.ip_packet


def test_the_source_port_of_glb_follows_client_and_port() -> None:
    first, second = (int(source_port(_flows("10.11.12.13", port))[0]) for port in (45678, 45679))
    assert first & 0x8000
    assert first ^ second == 45678 ^ 45679


# --- any packet -------------------------------------------------------------------------------------------------------

CASES = [
    (profile.name, tunnel.default, variant, pair)
    for profile in PROFILES.values()
    for tunnel in profile.tunnels.values()
    for variant in sorted(tunnel.variants)
    for pair in sorted(tunnel.pairs)
    if tunnel.default.type not in ("geneve", "option")  # they write into the packet
]


@pytest.mark.parametrize(("profile", "default", "variant", "pair"), CASES)
@given(data=st.data())
def test_the_inner_packet_stays_but_for_its_ttl(
    profile: str, default: Encapsulation, variant: int, pair: tuple[int, int], data: st.DataObject
) -> None:
    inner, outer = pair
    before = request(
        inner,
        tos=data.draw(st.integers(0, 255)),
        ttl=data.draw(st.integers(2, 255)),
        payload=data.draw(st.binary(max_size=64)),
    )
    encapsulation = replace(default, variant=variant, checksum=data.draw(st.booleans()))
    packet = pushed(before, encapsulation, outer, profile)
    within = packet[overhead(encapsulation, outer_version=outer, profile=profile) :]
    kept = bytearray(within)
    was = bytearray(before.ip_packet)
    for octets in (kept, was):
        octets[8 if inner == 4 else 7] = 0  # TTL
        if inner == 4:
            octets[10:12] = b"\0\0"
    assert kept == was
    assert (packet[0] >> 4) == outer
    length = int.from_bytes(packet[2:4], "big") if outer == 4 else 40 + int.from_bytes(packet[4:6], "big")
    assert length == len(packet)


@pytest.mark.parametrize(("profile", "default", "variant", "pair"), CASES)
def test_columns_of_flows_are_the_single_packets(
    profile: str, default: Encapsulation, variant: int, pair: tuple[int, int]
) -> None:
    """What the volume path patches in is what `push` writes."""
    inner, outer = pair
    before = request(inner)
    packet = Octets(
        before.data[:12] + (b"\x08\x00" if outer == 4 else b"\x86\xdd") + pushed(before, default, outer, profile),
        depth=1,
    )
    client, port = before.get("ip.src"), 40000
    assert isinstance(client, bytes)
    many = np.frombuffer(client * 3, np.uint8).reshape(3, -1)
    flows = Flows(many, np.full(3, port, np.uint16), b"", 0, outer=outer)
    for field, derive in PROFILES[profile].tunnels[default.type].derived.items():
        values = derive(flows)
        assert len(values) == 3
        if field == "tunnel.srcport":
            assert values.dtype == np.uint16
            assert packet.outer is not None
            assert {packet.word(packet.outer.payload)} == set(values.tolist())
        else:
            assert {row.tobytes() for row in values} == {packet.get(field.replace("outer.", "ip."))}


@given(st.integers(0, 0xFFFF), st.binary(min_size=4, max_size=4))
def test_the_gue_port_of_ipvs_is_a_local_port(port: int, client: bytes) -> None:
    ports = gue_source_port(_flows(str(ip_address(client)), port))
    assert 32768 <= int(ports[0]) < 60999


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "encapsulation", "inner", "outer", "message"),
    [
        ("ipvs", Encapsulation("geneve"), 4, 4, "no tunnel of type geneve"),
        ("ipvs", Encapsulation("gue", variant=1), 4, 4, "GUE variant 0 only"),
        ("katran", Encapsulation("gue"), 4, 4, "GUE variant 1 only"),
        ("katran", Encapsulation("gue", variant=1), 6, 4, "IPv6 packet into an IPv4 tunnel"),
        ("glb", Encapsulation("gue"), 4, 6, "IPv4 packet into an IPv6 tunnel"),
        ("ipvs", Encapsulation("ipip"), 6, 4, "IPv6 packet into an IPv4 tunnel of type ipip"),
    ],
)
def test_what_an_implementation_does_not_do_is_refused(
    profile: str, encapsulation: Encapsulation, inner: int, outer: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        pushed(request(inner), encapsulation, outer, profile)


def test_profile_any_cannot_be_crafted() -> None:
    with pytest.raises(UsageError, match="cannot be crafted"):
        profile_of("any")


def test_a_profile_has_a_default_for_the_families_it_does() -> None:
    assert PROFILES["ipvs"].default((6, 4)) == Encapsulation("6in4")
    assert PROFILES["katran"].default((4, 6)) == Encapsulation("4in6")
    assert PROFILES["glb"].default((6, 4)) == Encapsulation("gue", port=19523)
    assert PROFILES["cilium"].default((4, 4)) == Encapsulation("option")
    with pytest.raises(UsageError, match="no tunnel for IPv6 packets over IPv4"):
        PROFILES["katran"].default((6, 4))


def test_the_usual_gue_of_a_profile() -> None:
    assert PROFILES["katran"].tunnels["gue"].default == Encapsulation("gue", variant=1, port=9886, checksum=True)
    assert "gue" not in PROFILES["cilium"].tunnels


@pytest.mark.parametrize(
    ("encapsulation", "outer", "hops", "expected"),
    [
        (Encapsulation("ipip"), 4, 0, 20),
        (Encapsulation("4in6"), 6, 0, 40),
        (Encapsulation("gre", checksum=True), 4, 0, 28),
        (Encapsulation("gue", port=19523), 4, 1, 40),
        (Encapsulation("geneve"), 4, 0, 62),
        (Encapsulation("option"), 4, 0, 8),
        (Encapsulation("option"), 6, 0, 24),
    ],
)
def test_the_overhead(encapsulation: Encapsulation, outer: int, hops: int, expected: int) -> None:
    profile = "glb" if hops else "generic"
    assert overhead(encapsulation, outer_version=outer, profile=profile, hops=hops) == expected


@pytest.mark.parametrize("pair", sorted(PAIRS.values()))
def test_the_overhead_of_geneve_is_that_of_its_longest_packet(pair: tuple[int, int]) -> None:
    inner, outer = pair
    before = request(inner)
    packet = pushed(before, Encapsulation("geneve", port=6081), outer, "cilium", backend_ip=SERVER[inner])
    more = overhead(Encapsulation("geneve"), outer_version=outer, inner_version=inner)
    assert len(packet) == len(before.ip_packet) + more


# --- fragments --------------------------------------------------------------------------------------------------------


def test_ipv4_fragments_are_scapys() -> None:
    packet = IP(src="192.0.2.10", dst="10.1.1.12", id=0x1234) / Raw(bytes(range(256)) * 12)
    expected = [bytes(piece) for piece in fragment(packet, fragsize=1480)]
    assert fragments(bytes(packet), 1500) == expected
    assert len(expected) == 3


def test_a_fragment_is_cut_again_in_its_place() -> None:
    packet = IP(src="192.0.2.10", dst="10.1.1.12", id=1, flags="MF", frag=185) / Raw(bytes(1000))
    pieces = [IP(piece) for piece in fragments(bytes(packet), 576)]
    assert [(int(piece.flags), piece.frag, len(piece.payload)) for piece in pieces] == [(1, 185, 552), (1, 254, 448)]


def test_nothing_passes_where_df_forbids_to_cut() -> None:
    packet = bytes(IP(dst="10.1.1.12", flags="DF") / Raw(bytes(100)))
    assert fragments(packet, 100) == []
    assert fragments(packet, 120) == [packet]


def test_later_fragments_carry_the_copied_options_only() -> None:
    copied, single = bytes.fromhex("9a080050ac100a01"), bytes.fromhex("440800000000abcd")
    packet = bytearray(bytes(IP(dst="10.1.1.12") / Raw(copied + single + bytes(1000))))
    packet[0], packet[10:12] = 0x49, b"\0\0"
    first, second = fragments(bytes(packet), 576)
    assert first[20:36] == copied + single
    assert second[20:36] == copied + b"\x01" * 8


def test_ipv6_fragments_are_scapys() -> None:
    packet = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2) / Raw(bytes(3000))
    marked = IPv6(bytes(packet))
    body = marked.payload
    marked.remove_payload()
    marked.nh = 44
    whole = marked / IPv6ExtHdrFragment(id=0x01020304) / body
    expected = [bytes(piece) for piece in fragment6(whole, 1500)]
    assert fragments(bytes(packet), 1500, identification=0x01020304) == expected
    assert len(expected) == 3


def test_two_datagrams_do_not_share_an_ipv6_identification() -> None:
    packets = [bytes(IPv6(dst="2001:db8::2") / UDP(sport=port, dport=2) / Raw(bytes(2000))) for port in (1, 3)]
    assert len({fragments(packet, 1500)[0][44:48] for packet in packets}) == 2


@given(st.integers(1, 4000), st.integers(68, 1500))
def test_fragments_hold_all_octets_in_order(size: int, mtu: int) -> None:
    content = bytes(i % 251 for i in range(size))
    packet = bytes(IP(dst="10.1.1.12", id=9) / Raw(content))
    pieces = [IP(piece) for piece in fragments(packet, mtu)]
    assert b"".join(bytes(piece.payload) for piece in pieces) == content
    assert all(len(piece) <= mtu for piece in pieces)
    assert all(int(piece.flags) == 1 for piece in pieces[:-1])
    assert int(pieces[-1].flags) == 0


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (
            IP(src="192.0.2.1", dst="192.0.2.2", tos=0x1D, id=77) / UDP(sport=1, dport=2) / Raw(bytes(1400)),
            IP(src="192.0.2.2", dst="192.0.2.1", tos=0x1D, id=77, flags="DF") / ICMP(type=3, code=4, nexthopmtu=1400),
        ),
        (
            IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0x1D, fl=77) / UDP(sport=1, dport=2) / Raw(bytes(1400)),
            IPv6(src="2001:db8::2", dst="2001:db8::1", tc=0x1D, fl=77, hlim=64) / ICMPv6PacketTooBig(mtu=1400),
        ),
    ],
)
def test_cilium_says_too_big_with_the_fields_of_the_packet(sent: Packet, error: Packet) -> None:
    own, peer = "02:00:00:00:00:01", "02:00:00:00:00:02"
    quoted = bytes(sent)[: 28 if sent.version == 4 else 104]
    made = cilium.too_big(Octets(bytes(Ether(src=own, dst=peer) / sent)), 1400)
    assert made == bytes(Ether(src=peer, dst=own) / error / Raw(quoted))
