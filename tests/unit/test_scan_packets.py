"""The scan's reading of packets that are built here octet by octet; expected values are written down by hand."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsrkit.wire import capture, layout, scanner
from dsrkit.wire.address import ip_text, mac_text

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

A, B = "192.0.2.1", "198.51.100.1"
A6, B6 = "2001:db8::1", "2001:db8::2"
PORTS = {"GUE": 6080, "VXLAN": 4789, "Geneve": 6081}


def read(frame: bytes, *, linktype: int = 1, snaplen: int = 262144, gue_ports: Any = scanner.GUE_PORTS) -> Any:
    octets = make.pcap([frame], linktype=linktype, snaplen=snaplen)
    (window,) = capture.read(io.BytesIO(octets), gue_ports=gue_ports).windows()
    return window.rec[0].copy()


def addresses(row: Any, level: int) -> tuple[str, str]:
    return (
        ip_text(row["src_hi"][level], row["src_lo"][level]),
        ip_text(row["dst_hi"][level], row["dst_lo"][level]),
    )


def defect(row: Any) -> tuple[int, ...]:
    return tuple(int(row[name]) for name in ("defect", "defect_layer", "defect_need", "defect_have", "defect_by"))


def test_the_scan_places_fields_where_the_record_has_them() -> None:
    module = scanner.load(interpreted=True)
    for name in layout.RECORD.names or ():
        place = getattr(module, name.upper(), None)
        if place is None:
            continue
        dtype, offset = layout.RECORD.fields[name][:2]  # type: ignore[index]
        assert place * dtype.base.itemsize == offset, name
    # written as neighbours of a named field
    for high, low in (("res_spa_hi", "res_spa_lo"), ("q_src_hi", "q_src_lo"), ("qi_dst_hi", "qi_dst_lo")):
        assert layout.RECORD.fields[low][1] - layout.RECORD.fields[high][1] == 8  # type: ignore[index]
    for prefix in ("q", "qi"):
        fields = layout.RECORD.fields
        assert fields is not None
        assert fields[f"{prefix}_dst_hi"][1] - fields[f"{prefix}_src_hi"][1] == 16
        assert fields[f"{prefix}_len"][1] - fields[f"{prefix}_id"][1] == 2
        for place, name in enumerate(("ver", "tos", "ttl", "proto")):
            assert fields[f"{prefix}_{name}"][1] - fields[f"{prefix}_ver"][1] == place
    assert fields["src_lo"][1] - fields["src_hi"][1] == 8 * layout.LEVELS
    assert layout.RECORD.itemsize % 8 == 0


def test_tcp_over_ipv4_with_options() -> None:
    options = bytes.fromhex("020405b40402080a11223344aabbccdd01030307")
    row = read(make.ethernet(make.ipv4(make.tcp(b"hello", options=options), 6, ttl=61, tos=0x1C)))
    assert mac_text(row["eth_src"]) == "02:00:00:00:00:01"
    assert mac_text(row["eth_dst"]) == "02:00:00:00:00:02"
    assert (row["depth"], row["ver"][0], row["ttl"][0], row["tos"][0], row["nxt"][0]) == (1, 4, 61, 0x1C, 6)
    assert addresses(row, 0) == (A, B)
    assert (row["sport"], row["dport"], row["seq"], row["ack"]) == (40000, 80, 0x01020304, 0x05060708)
    assert (row["tcp_flags"], row["window"], row["urgent"]) == (0x018 | 0xA << 12 & 0xFFF, 512, 3)
    assert (row["mss"], row["wscale"], row["tsval"], row["tsecr"]) == (1460, 8, 0x11223344, 0xAABBCCDD)
    assert (row["l3_at"], row["in_at"], row["l4_at"], row["payload_at"], row["payload_len"]) == (14, 14, 34, 74, 5)
    assert (row["sum_state"][0], row["l4_state"]) == (layout.SUM_VALID, layout.SUM_VALID)
    assert row["fp"] != 0
    assert row["opt_fp"] != 0
    assert row["has"] == (
        layout.HAS_ETH_SRC | layout.HAS_ETH_DST | layout.HAS_IP | layout.HAS_L4 | layout.HAS_ALL_PAYLOAD
    )
    assert defect(row) == (0, 0, 0, 0, 0)


def _tunnel(kind: str, version: int) -> tuple[bytes, str, str]:
    """An Ethernet frame with a tunnel packet around a TCP packet of `version`; its outer addresses."""
    inner = make.ipv4(make.tcp(b"data"), 6) if version == 4 else make.ipv6(make.tcp(b"data", A6, B6), 6)
    ether = 0x0800 if version == 4 else 0x86DD
    proto = 4 if version == 4 else 41
    udp_payload = {
        "GUE": struct.pack("!BBH", 0, proto, 0) + inner,
        "GUE private": struct.pack("!BBHI", 1, proto, 1, 0xDEADBEEF) + inner,
        "GUE1": inner,
        "VXLAN": struct.pack("!II", 0x08000000, 77 << 8) + make.ethernet(inner, ether),
        "Geneve": struct.pack("!BBHI", 1, 0, 0x6558, 77 << 8) + b"\0\1\2\0" + make.ethernet(inner, ether),
    }
    if kind in udp_payload:
        port = PORTS.get(kind.replace("GUE1", "GUE").replace("GUE private", "GUE"), 6080)
        return make.ethernet(make.ipv4(make.udp(udp_payload[kind], dport=port), 17)), A, B
    if kind == "GRE":
        return make.ethernet(make.ipv4(struct.pack("!HH", 0, ether) + inner, 47)), A, B
    if kind == "GRE CKS":
        gre = struct.pack("!HHHHII", 0xB000, ether, 0, 0, 77, 5) + inner
        gre = gre[:4] + struct.pack("!H", make.checksum(gre)) + gre[6:]
        return make.ethernet(make.ipv6(gre, 47), 0x86DD), A6, B6
    if kind == "GRE TEB":
        return make.ethernet(make.ipv4(struct.pack("!HH", 0, 0x6558) + make.ethernet(inner, ether), 47)), A, B
    return make.ethernet(make.ipv6(inner, proto), 0x86DD), A6, B6


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("kind", "encap", "key", "hlen"),
    [
        ("IPIP", layout.ENCAP_IPIP, 0, 0),
        ("GRE", layout.ENCAP_GRE, 0, 4),
        ("GRE CKS", layout.ENCAP_GRE, 77, 16),
        ("GRE TEB", layout.ENCAP_GRE, 0, 18),
        ("GUE", layout.ENCAP_GUE, 0, 4),
        ("GUE private", layout.ENCAP_GUE, 0, 8),
        ("GUE1", layout.ENCAP_GUE1, 0, 0),
        ("VXLAN", layout.ENCAP_VXLAN, 77, 22),
        ("Geneve", layout.ENCAP_GENEVE, 77, 26),
    ],
)
def test_tunnels(kind: str, encap: int, key: int, hlen: int, version: int) -> None:
    frame, src, dst = _tunnel(kind, version)
    row = read(frame)
    assert (row["depth"], row["ver"][1], row["encap"].tolist()) == (2, version, [0, encap, 0, 0])
    assert addresses(row, 0) == (src, dst)
    assert addresses(row, 1) == ((A, B) if version == 4 else (A6, B6))
    assert (row["proto"], row["sport"], row["dport"], row["payload_len"]) == (6, 40000, 80, 4)
    assert (row["tun_key"], row["tun_hlen"]) == (key, hlen)
    assert row["l4_state"] == layout.SUM_VALID
    if kind == "GRE CKS" or "U" in kind or kind in PORTS:
        assert row["tun_state"] == layout.SUM_VALID
    else:
        assert row["tun_state"] == layout.SUM_NONE
    if kind in ("GUE", "GUE private"):
        assert row["tun_word"] >> 16 & 0xFF == (4 if version == 4 else 41)
    plain = make.ipv4(make.tcp(b"data"), 6) if version == 4 else make.ipv6(make.tcp(b"data", A6, B6), 6)
    assert read(plain, linktype=101)["fp"] == row["fp"]
    assert defect(row)[0] == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["IPIP", "GRE", "GRE CKS", "GUE", "GUE private", "GUE1", "VXLAN", "Geneve"])
def test_every_truncation_keeps_what_was_readable(kind: str, version: int) -> None:
    frame, _, _ = _tunnel(kind, version)
    whole = read(frame)
    for size in range(len(frame)):
        row = read(frame, snaplen=size)
        assert row["caplen"] == size
        assert row["wirelen"] == len(frame)
        assert row["depth"] <= 2
        for level in range(int(row["depth"])):
            assert row["src_lo"][level] == whole["src_lo"][level]
            assert row["ttl"][level] == whole["ttl"][level]
        if row["has"] & layout.HAS_L4 and row["depth"] == 2:
            assert row["sport"] == whole["sport"]
            assert row["l4_state"] == layout.SUM_UNVERIFIABLE
            assert row["payload_len"] == whole["payload_len"] or row["defect"]
        else:
            assert row["defect"] == layout.DEFECT_TRUNCATED
        assert not row["has"] & layout.HAS_ALL_PAYLOAD


@pytest.mark.parametrize("size", range(40))
@pytest.mark.parametrize("shift", range(9))
def test_fingerprints_do_not_depend_on_where_the_payload_lies(size: int, shift: int) -> None:
    payload = bytes(range(1, size + 1))
    frames = [
        make.ethernet(make.ipv4(make.udp(payload), 17)),
        make.ethernet(make.ipv4(make.udp(payload), 17), tags=((0x8100, 5),)),
        make.ethernet(make.ipv6(make.udp(payload, A6, B6), 17), 0x86DD),
        make.ethernet(make.ipv4(make.tcp(payload), 6)) + bytes(11),
    ]
    filler = make.ethernet(bytes(shift), 0x88B5)
    (window,) = capture.read(io.BytesIO(make.pcap([filler, *frames]))).windows()
    prints = set(window.rec["fp"][1:].tolist())
    assert len(prints) == 1
    assert (prints == {0}) == (size == 0)
    assert (window.rec["l4_state"][1:] == layout.SUM_VALID).all()


def test_fingerprints_differ_for_each_changed_octet_and_length() -> None:
    payloads = [bytes(64), *(bytes(n) for n in range(1, 64))]
    payloads += [bytes(at) + bytes([1 << bit]) + bytes(63 - at) for at in range(64) for bit in range(8)]
    frames = [make.ethernet(make.ipv4(make.udp(payload), 17)) for payload in payloads]
    (window,) = capture.read(io.BytesIO(make.pcap(frames))).windows()
    assert len(set(window.rec["fp"].tolist())) == len(payloads)


def test_checksum_states_of_tcp() -> None:
    size = 20 + 4
    words = np.frombuffer(make.pseudo(A, B, 6, size), ">u2").sum(dtype=np.uint64)
    partial = int(words % 0xFFFF)
    for field, state in (
        (None, layout.SUM_VALID),
        (partial, layout.SUM_PARTIAL),
        (0, layout.SUM_ZERO),
        (0x1234, layout.SUM_INVALID),
    ):
        assert read(make.ethernet(make.ipv4(make.tcp(b"data", field=field), 6)))["l4_state"] == state


def test_checksum_states_of_udp() -> None:
    for src, dst, wrap, ether, zero in (
        (A, B, make.ipv4, 0x0800, layout.SUM_ABSENT),
        (A6, B6, make.ipv6, 0x86DD, layout.SUM_ZERO),
    ):
        partial = int(np.frombuffer(make.pseudo(src, dst, 17, 12), ">u2").sum(dtype=np.uint64) % 0xFFFF)
        for field, state in (
            (None, layout.SUM_VALID),
            (partial, layout.SUM_PARTIAL),
            (0, zero),
            (0x1234, layout.SUM_INVALID),
        ):
            packet = wrap(make.udp(b"data", src, dst, field=field), 17)  # type: ignore[operator]
            assert read(make.ethernet(packet, ether))["l4_state"] == state


def test_ip_checksum_states() -> None:
    good = make.ethernet(make.ipv4(make.tcp(), 6))
    assert read(good)["sum_state"][0] == layout.SUM_VALID
    assert read(good[:24] + b"\0\0" + good[26:])["sum_state"][0] == layout.SUM_ZERO
    assert read(good[:24] + b"\x12\x34" + good[26:])["sum_state"][0] == layout.SUM_INVALID


def test_a_udp_tunnel_without_checksum_over_ipv6_is_allowed() -> None:
    inner = make.ipv4(make.tcp(), 6)
    frame = make.ethernet(make.ipv6(make.udp(inner, A6, B6, dport=6080, field=0), 17), 0x86DD)
    row = read(frame)
    assert (row["depth"], row["tun_state"]) == (2, layout.SUM_ABSENT)


@pytest.mark.parametrize(
    "payload",
    [
        b"E" * 60,  # nibble 4, but a length that does not fit
        b"GET / HTTP/1.1\r\n\r\n" * 4,
        struct.pack("!BBH", 0x20, 4, 0) + make.ipv4(make.tcp(), 6),  # a control message
        struct.pack("!BBH", 0, 6, 0) + make.ipv4(make.tcp(), 6),  # another protocol
        make.ipv4(make.tcp(), 6, total=400),
        bytes(60),
        b"",
    ],
)
def test_what_is_not_gue_on_its_port_is_plain_udp(payload: bytes) -> None:
    row = read(make.ethernet(make.ipv4(make.udp(payload, dport=6080), 17)))
    assert (row["depth"], row["proto"], row["dport"], row["payload_len"]) == (1, 17, 6080, len(payload))
    assert defect(row)[0] == 0


def test_gue_on_another_port_must_fit_to_the_last_octet() -> None:
    inner = make.ipv4(make.tcp(), 6)
    for head in (b"", b"\0\x04\0\0"):
        frame = make.ethernet(make.ipv4(make.udp(head + inner, dport=5555), 17))
        assert read(frame)["depth"] == 2
        longer = make.ethernet(make.ipv4(make.udp(head + inner + b"more", dport=5555), 17))
        assert read(longer)["depth"] == 1
        broken = make.ethernet(make.ipv4(make.udp(head + inner[:8] + b"\x07" + inner[9:], dport=5555), 17))
        assert read(broken)["depth"] == 1
        assert read(longer, gue_ports={5555})["depth"] == 2


def test_ipv6_in_udp_is_teredo_unless_the_port_is_gue() -> None:
    frame = make.ethernet(make.ipv4(make.udp(make.ipv6(make.udp(b"x", A6, B6), 17), dport=5555), 17))
    assert read(frame)["depth"] == 1
    assert read(frame, gue_ports={5555})["depth"] == 2


@pytest.mark.parametrize("tags", [0, 1, 2, 3, 7])
def test_vlan_tags(tags: int) -> None:
    kinds = (0x88A8, 0x8100, 0x9100, 0x8100, 0x8100, 0x8100, 0x8100)
    stack = tuple((kinds[n], 0x2001 + n) for n in range(tags))
    row = read(make.ethernet(make.ipv4(make.udp(), 17), tags=stack))
    assert (row["nvlan"], row["ethertype"], row["l3_at"], row["depth"]) == (tags, 0x0800, 14 + 4 * tags, 1)
    assert (row["vlan0"], row["vlan1"]) == (0x2001 if tags else 0, 0x2002 if tags > 1 else 0)


def test_link_types() -> None:
    v4, v6 = make.ipv4(make.udp(b"x"), 17), make.ipv6(make.udp(b"x", A6, B6), 17)
    mac = bytes.fromhex("020000000001") + b"\0\0"
    for linktype, head4, head6 in (
        (101, b"", b""),
        (12, b"", b""),
        (14, b"", b""),
        (228, b"", None),
        (229, None, b""),
        (0, b"\2\0\0\0", b"\x1e\0\0\0"),
        (0, b"\0\0\0\2", b"\0\0\0\x0a"),
        (108, b"\0\0\0\2", b"\0\0\0\x18"),
        (113, struct.pack("!HHH", 4, 1, 6) + mac + b"\x08\0", struct.pack("!HHH", 4, 1, 6) + mac + b"\x86\xdd"),
        (113, struct.pack("!HHH", 4, 1, 6) + mac + b"\x81\0\0\5\x08\0", None),
        (276, struct.pack("!HHIHBB", 0x0800, 0, 3, 1, 4, 6) + mac, struct.pack("!HHIHBB", 0x86DD, 0, 3, 1, 4, 6) + mac),
    ):
        for head, packet, version in ((head4, v4, 4), (head6, v6, 6)):
            if head is None:
                continue
            row = read(head + packet, linktype=linktype)
            assert (row["depth"], row["ver"][0], row["payload_len"]) == (1, version, 1), linktype
            assert row["linktype"] == linktype
            if linktype in (113, 276):
                assert mac_text(row["eth_src"]) == "02:00:00:00:00:01"
                assert row["pkttype"] == 4
                assert row["has"] & (layout.HAS_ETH_SRC | layout.HAS_ETH_DST) == layout.HAS_ETH_SRC
                assert row["ifindex"] == (3 if linktype == 276 else 0)
    assert defect(read(v4, linktype=147))[0] == layout.DEFECT_LINKTYPE
    assert read(make.ethernet(v4, 100))["depth"] == 0


def test_padding_is_no_payload() -> None:
    row = read(make.ethernet(make.ipv4(make.tcp(), 6)) + b"\x55" * 6)
    assert (row["payload_len"], row["fp"], row["l4_state"]) == (0, 0, layout.SUM_VALID)


def test_total_length_zero_is_the_rest_of_the_frame() -> None:
    row = read(make.ethernet(make.ipv4(make.tcp(bytes(70000)), 6, total=0)))
    assert (row["ip_len"][0], row["payload_len"], row["l4_state"]) == (0, 70000, layout.SUM_VALID)
    assert defect(row)[0] == 0
    row = read(make.ethernet(make.ipv6(make.tcp(bytes(70000), A6, B6), 6, plen=0), 0x86DD))
    assert (row["ip_len"][0], row["payload_len"], row["l4_state"]) == (0, 70000, layout.SUM_VALID)


def test_fragments() -> None:
    whole = make.udp(bytes(range(200)))
    first = read(make.ethernet(make.ipv4(whole[:64], 17, frag=0x2000)))
    assert (first["sport"], first["l4_state"]) == (40000, layout.SUM_UNVERIFIABLE)
    assert first["payload_len"] == 56
    assert defect(first)[0] == 0
    later = read(make.ethernet(make.ipv4(whole[64:], 17, frag=8)))
    assert (later["sport"], later["dport"], later["has"] & layout.HAS_L4) == (0, 0, 0)
    assert (later["proto"], later["payload_len"], later["frag"][0]) == (17, 144, 8)
    assert later["fp"] != 0
    assert later["has"] & layout.HAS_ALL_PAYLOAD
    header = struct.pack("!BBHI", 17, 0, 8 << 3 | 1, 0xCAFE)
    six = read(make.ethernet(make.ipv6(header + whole[64:], 44), 0x86DD))
    assert (six["frag"][0], six["ip_id"][0], six["nxt"][0], six["hdr_len"][0]) == (0x2008, 0xCAFE, 17, 48)
    assert (six["payload_len"], six["fp"]) == (144, later["fp"])


def test_the_first_fragment_of_a_tunnel_packet_shows_the_inner_header() -> None:
    inner = make.ipv4(make.tcp(bytes(1000)), 6)
    row = read(make.ethernet(make.ipv4(inner[:600], 4, frag=0x2000)))
    assert (row["depth"], row["sport"], row["ip_len"][1]) == (2, 40000, 1040)
    assert (row["l4_state"], defect(row)[0]) == (layout.SUM_UNVERIFIABLE, 0)
    assert not row["has"] & layout.HAS_ALL_PAYLOAD
    gue = make.udp(struct.pack("!BBH", 0, 4, 0) + inner, dport=6080)
    row = read(make.ethernet(make.ipv4(gue[:600], 17, frag=0x2000)))
    assert (row["depth"], row["sport"], row["tun_state"]) == (2, 40000, layout.SUM_UNVERIFIABLE)
    assert defect(row)[0] == 0


def test_ipv6_extension_headers() -> None:
    segment = make.udp(b"abc", A6, B6)
    chain = (
        bytes([60, 0])
        + bytes(6)  # hop-by-hop
        + bytes([43, 0])
        + bytes(6)  # destination options
        + bytes([51, 2, 0, 0])
        + bytes(20)  # routing, none left
        + bytes([17, 4])
        + bytes(22)  # AH
    )
    row = read(make.ethernet(make.ipv6(chain + segment, 0), 0x86DD))
    assert (row["nxt"][0], row["proto"], row["hdr_len"][0]) == (17, 17, 40 + len(chain))
    assert (row["payload_len"], row["l4_state"]) == (3, layout.SUM_VALID)
    routed = bytes([17, 2, 0, 1]) + bytes(4) + make.pseudo(A6, B6, 0, 0)[16:32]
    row = read(make.ethernet(make.ipv6(routed + segment, 43, dst="2001:db8::99"), 0x86DD))
    assert row["l4_state"] == layout.SUM_VALID


def test_too_deep() -> None:
    packet = make.ipv4(make.tcp(), 6)
    for depth in range(2, 8):
        packet = make.ipv4(packet, 4)
        row = read(make.ethernet(packet))
        assert row["depth"] == min(depth, 4)
        assert defect(row)[0] == (layout.DEFECT_TOO_DEEP if depth > 4 else 0)


@pytest.mark.parametrize("code", [(3, 4), (11, 0), (5, 1), (12, 0), (4, 0)])
def test_icmp_errors_quote(code: tuple[int, int]) -> None:
    quoted = make.ipv4(make.tcp(bytes(1000)), 6, ttl=3, tos=8, ident=99)
    row = read(make.ethernet(make.ipv4(make.icmp(*code, 1400, quoted[:28]), 1, "10.0.0.1", A)))
    assert (row["depth"], row["icmp_type"], row["icmp_code"], row["seq"]) == (1, *code, 1400)
    assert row["has"] & (layout.HAS_QUOTE | layout.HAS_QUOTE_INNER) == layout.HAS_QUOTE
    assert ip_text(row["q_src_hi"], row["q_src_lo"]) == A
    assert ip_text(row["q_dst_hi"], row["q_dst_lo"]) == B
    assert [row[f"q_{name}"] for name in ("ver", "ttl", "tos", "id", "len", "proto")] == [4, 3, 8, 99, 1040, 6]
    assert [row[f"q_{name}"] for name in ("sport", "dport", "seq")] == [40000, 80, 0x01020304]
    assert (row["l4_state"], row["sport"], defect(row)[0]) == (layout.SUM_VALID, 0, 0)


@pytest.mark.parametrize("kind", ["IPIP", "GRE", "GUE", "GUE1"])
def test_icmp_errors_quote_tunnel_packets(kind: str) -> None:
    inner = make.ipv4(make.tcp(bytes(1000)), 6, ttl=9, ident=5)
    outer = {
        "IPIP": lambda: make.ipv4(inner, 4, "10.0.0.1", "10.0.0.2"),
        "GRE": lambda: make.ipv4(struct.pack("!HH", 0, 0x0800) + inner, 47, "10.0.0.1", "10.0.0.2"),
        "GUE": lambda: make.ipv4(
            make.udp(struct.pack("!BBH", 0, 4, 0) + inner, dport=6080), 17, "10.0.0.1", "10.0.0.2"
        ),
        "GUE1": lambda: make.ipv4(make.udp(inner, dport=6080), 17, "10.0.0.1", "10.0.0.2"),
    }[kind]()
    row = read(make.ethernet(make.ipv4(make.icmp(3, 4, 1400, outer[:80]), 1, "10.0.0.9", "10.0.0.1")))
    assert row["has"] & layout.HAS_QUOTE_INNER
    assert (row["depth"], row["qi_ver"], row["qi_ttl"], row["qi_id"], row["qi_len"]) == (1, 4, 9, 5, 1040)
    assert ip_text(row["q_dst_hi"], row["q_dst_lo"]) == "10.0.0.2"
    assert ip_text(row["qi_dst_hi"], row["qi_dst_lo"]) == B
    assert (row["q_sport"], row["q_dport"], row["q_seq"]) == (40000, 80, 0x01020304)


def test_icmpv6_packet_too_big() -> None:
    quoted = make.ipv6(make.tcp(bytes(1400), A6, B6), 6)[:200]
    body = make.icmp(2, 0, 1280, quoted, make.pseudo("fe80::1", A6, 58, 208))
    row = read(make.ethernet(make.ipv6(body, 58, "fe80::1", A6), 0x86DD))
    assert (row["icmp_type"], row["seq"], row["q_ver"], row["q_len"]) == (2, 1280, 6, 1420)
    assert (row["q_sport"], row["l4_state"]) == (40000, layout.SUM_VALID)


def test_arp() -> None:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + bytes.fromhex("0200000000aa c0000201 0200000000bb c6336401")
    row = read(make.ethernet(body, 0x0806) + bytes(18))
    assert (row["res_op"], mac_text(row["res_sha"]), mac_text(row["res_tha"])) == (
        2,
        "02:00:00:00:00:aa",
        "02:00:00:00:00:bb",
    )
    assert ip_text(row["res_spa_hi"], row["res_spa_lo"]) == A
    assert ip_text(row["res_tpa_hi"], row["res_tpa_lo"]) == B
    assert row["has"] & layout.HAS_RES
    assert defect(read(make.ethernet(body[:20], 0x0806))) == (layout.DEFECT_TRUNCATED, layout.LAYER_ARP, 28, 20, 0)


@pytest.mark.parametrize(("kind", "option"), [(135, 1), (136, 2)])
def test_neighbour_discovery(kind: int, option: int) -> None:
    target = make.pseudo("fe80::77", "fe80::77", 0, 0)[:16]
    payload = target + bytes([option, 1]) + bytes.fromhex("0200000000aa")
    body = make.icmp(kind, 0, 0x60000000, payload, make.pseudo("fe80::1", "ff02::1", 58, 8 + len(payload)))
    row = read(make.ethernet(make.ipv6(body, 58, "fe80::1", "ff02::1"), 0x86DD))
    assert (row["res_op"], mac_text(row["res_sha"])) == (kind, "02:00:00:00:00:aa")
    spa, tpa = ip_text(row["res_spa_hi"], row["res_spa_lo"]), ip_text(row["res_tpa_hi"], row["res_tpa_lo"])
    assert (spa, tpa) == (("fe80::1", "fe80::77") if kind == 135 else ("fe80::77", "ff02::1"))
    assert row["res_flags"] == (3 if kind == 136 else 0)


V4 = make.ipv4(make.tcp(b"data"), 6)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (make.ethernet(b"\x55" + V4[1:]), (layout.DEFECT_VERSION, layout.LAYER_IP, 4, 5, layout.BY_HEADER)),
        (make.ethernet(b"\x44" + V4[1:]), (layout.DEFECT_VERSION, layout.LAYER_IP, 20, 16, layout.BY_HEADER)),
        (make.ethernet(V4[:12]), (layout.DEFECT_TRUNCATED, layout.LAYER_IP, 20, 12, layout.BY_CAPTURE)),
        (
            make.ethernet(make.ipv4(make.tcp(b"data"), 6, total=999)),
            (layout.DEFECT_LENGTH, layout.LAYER_IP, 999, 44, layout.BY_IP_LEN),
        ),
        (
            make.ethernet(make.ipv4(make.tcp(b"data"), 6, total=19)),
            (layout.DEFECT_LENGTH, layout.LAYER_IP, 20, 19, layout.BY_IP_LEN),
        ),
        (
            make.ethernet(make.ipv4(make.tcp(b"data"), 6, total=30)),
            (layout.DEFECT_LENGTH, layout.LAYER_TCP, 20, 10, layout.BY_IP_LEN),
        ),
        (
            make.ethernet(make.ipv4(make.udp(b"data", size=100), 17)),
            (layout.DEFECT_LENGTH, layout.LAYER_UDP, 100, 12, layout.BY_UDP_LEN),
        ),
        (
            make.ethernet(make.ipv4(make.udp(b"data", size=5), 17)),
            (layout.DEFECT_LENGTH, layout.LAYER_UDP, 8, 5, layout.BY_UDP_LEN),
        ),
        (
            make.ethernet(make.ipv6(bytes([17, 200]) + bytes(6) + make.udp(), 60), 0x86DD),
            (layout.DEFECT_LENGTH, layout.LAYER_IPV6_EXT, 1608, 16, layout.BY_HEADER),
        ),
        (b"\2\0\0", (layout.DEFECT_TRUNCATED, layout.LAYER_LINK, 14, 3, layout.BY_CAPTURE)),
    ],
)
def test_defects_say_what_was_needed_and_who_claimed_it(frame: bytes, says: tuple[int, ...]) -> None:
    assert defect(read(frame)) == says


def test_a_data_offset_that_cannot_be() -> None:
    for offset, need, have in ((4, 20, 16), (15, 60, 24)):
        segment = bytearray(make.tcp(b"data"))
        segment[12] = offset << 4
        row = read(make.ethernet(make.ipv4(bytes(segment), 6)))
        assert defect(row) == (layout.DEFECT_LENGTH, layout.LAYER_TCP, need, have, layout.BY_HEADER)
        assert row["sport"] == 40000
