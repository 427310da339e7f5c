"""`compare` on frames that are damaged one field at a time, put in another order, or recorded again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import scenarios

from dsrkit.compare.compare import compare
from dsrkit.wire.capture import read

DR = scenarios.PCAPS / "l2dsr" / "ipvs-dr"
TUNNEL = scenarios.PCAPS / "l3dsr-tunnel" / "ipvs-tun-ipip"


def frames(path: Path) -> list[bytes]:
    return [bytes(window.packet(i)) for window in read(path).windows() for i in range(len(window.rec))]


def first_syn(octets: list[bytes]) -> int:
    """Number of the first TCP SYN over plain IPv4."""
    return next(i for i, o in enumerate(octets) if o[12:14] == b"\x08\x00" and o[23] == 6 and o[47] == 0x02)


def patched(frame: bytes, at: int, octets: bytes) -> bytes:
    return frame[:at] + octets + frame[at + len(octets) :]


def ip_sum_repaired(frame: bytes, at: int = 14) -> bytes:
    header = bytearray(frame[at : at + 20])
    header[10:12] = b"\0\0"
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return patched(frame, at + 10, struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF))


def test_a_capture_equals_itself_in_any_order_and_at_any_time() -> None:
    octets = frames(DR / "A_client.pcap")
    shuffled = octets.copy()
    random.Random(7).shuffle(shuffled)
    found = compare(octets, shuffled)
    assert (found.how, found.pairs, found.same) == ("copy", len(octets), len(octets))
    assert found.equal
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("field", "at", "value", "repair"),
    [
        ("eth.dst", 5, b"\x99", False),
        ("eth.src", 11, b"\x99", False),
        ("ip.dsfield.dscp", 15, b"\xb8", True),
        ("ip.dsfield.ecn", 15, b"\x03", True),
        ("ip.id", 18, b"\x12\x34", True),
        ("ip.flags.df", 20, b"\x00", True),
        ("ip.ttl", 22, b"\x07", True),
        ("ip.checksum", 24, b"\x12\x34", False),
        ("ip.src", 26, b"\xc6\x33\x64\x63", True),
        ("ip.dst", 30, b"\xc6\x33\x64\x63", True),
        ("tcp.srcport", 34, b"\x12\x34", False),
        ("tcp.dstport", 36, b"\x12\x34", False),
        ("tcp.seq", 38, b"\x12\x34\x56\x78", False),
        ("tcp.flags.ece", 47, b"\x42", False),
        ("tcp.window_size_value", 48, b"\x12\x34", False),
        ("tcp.checksum", 50, b"\x12\x34", False),
        ("tcp.urgent_pointer", 52, b"\x12\x34", False),
        ("tcp.options.mss_val", 56, b"\x12\x34", False),
        ("tcp.options.wscale.shift", 73, b"\x01", False),
    ],
)
def test_one_damaged_field_is_named_and_its_frame(field: str, at: int, value: bytes, repair: bool) -> None:
    octets = frames(DR / "A_client.pcap")
    at_frame = first_syn(octets)
    damaged = octets.copy()
    damaged[at_frame] = patched(octets[at_frame], at, value)
    if repair:
        damaged[at_frame] = ip_sum_repaired(damaged[at_frame])
    found = compare(octets, damaged, how="copy")
    named = {difference.field for difference in found.unexpected}
    assert field in named
    assert named <= {field, "tcp.checksum", "ip.checksum"}  # a sum that was not repaired is wrong as well
    assert not found.only_a.packets
    assert not found.only_b.packets
    example = next(d for d in found.unexpected if d.field == field).examples[0]
    assert (example.a, example.b) == (at_frame + 1, at_frame + 1)


def test_a_changed_payload_is_shown_where_it_begins_to_differ() -> None:
    octets = frames(DR / "A_client.pcap")
    at_frame = next(i for i, o in enumerate(octets) if b"HTTP/1.1 200" in o)
    at = octets[at_frame].index(b"200")
    damaged = [*octets[:at_frame], patched(octets[at_frame], at, b"500"), *octets[at_frame + 1 :]]
    found = compare(octets, damaged, how="copy")
    assert {d.field for d in found.unexpected} == {"payload", "http.response.code", "tcp.checksum"}
    (payload,) = (d for d in found.unexpected if d.field == "payload")
    assert "from 9: 32 30 30" in payload.values[0][0]
    assert "from 9: 35 30 30" in payload.values[0][1]


def test_packets_of_one_side_only_are_named() -> None:
    octets = frames(DR / "A_client.pcap")
    found = compare(octets, octets[:40] + octets[41:], how="copy")
    assert (found.only_a.packets, found.only_b.packets) == (1, 0)
    assert found.only_a.first[0][0] == 41
    assert not found.unexpected
    assert found.exit_code == 1


def test_a_header_put_around_packets_is_one_difference_and_allowed() -> None:
    found = compare(TUNNEL / "A_client.pcap", TUNNEL / "C_rs1.pcap")
    assert found.mode == "l3dsr-tunnel"
    assert not found.unexpected
    assert "+ip" in {d.field for d in found.allowed}


def test_what_the_path_changes_is_allowed_and_what_a_router_may_not_touch_is_not() -> None:
    healthy = compare(DR / "A_client.pcap", DR / "B_lb.pcap")
    assert healthy.how == "path"
    assert {d.field for d in healthy.allowed} == {"eth.src", "eth.dst", "ip.ttl"}
    assert healthy.equal
    broken = scenarios.PCAPS / "l3dsr-dscp" / "b04-dscp-bleached"
    bleached = compare(broken / "B_lb.pcap", broken / "C_rs1.pcap")
    assert [d.field for d in bleached.unexpected] == ["ip.dsfield.dscp"]
    assert bleached.unexpected[0].values[0][:2] == ("11", "0")


def test_another_run_is_compared_without_what_it_chooses_anew() -> None:
    lab, other = (scenarios.PCAPS / name for name in ("l2dsr/ipvs-dr", "nat/ipvs-nat"))
    found = compare(lab / "A_client.pcap", other / "A_client.pcap")
    assert found.how == "rerun"
    assert found.pairs > 600
    assert found.unexpected[0].field == "ip.ttl"  # the load balancer is one hop more for replies in NAT
    assert not {"tcp.seq", "tcp.srcport", "ip.id"} & {d.field for d in found.unexpected}


@pytest.mark.parametrize("pick", [{"only": ["ip.ttl"]}, {"ignore": ["eth.*"]}])
def test_fields_can_be_chosen(pick: dict[str, list[str]]) -> None:
    octets = frames(DR / "A_client.pcap")
    at = first_syn(octets)
    damaged = octets.copy()
    damaged[at] = ip_sum_repaired(patched(patched(octets[at], 22, b"\x07"), 5, b"\x99"))
    assert {d.field for d in compare(octets, damaged, how="copy", **pick).unexpected} == {"ip.ttl"}


def test_a_tap_that_sees_packets_twice_equals_itself() -> None:
    folder = scenarios.PCAPS / "garp" / "b08-garp-not-sent"
    found = compare(folder / "B_lb1.pcap", folder / "B_lb1.pcap", how="copy")
    assert found.equal
    assert found.same == found.pairs == found.packets[0]


def test_at_a_tap_that_sees_packets_twice_the_changed_one_is_named() -> None:
    octets = [o for o in frames(DR / "B_lb.pcap") if o[12:14] == b"\x08\x00" and o[23] == 6]
    first = octets[0]
    copies = [i for i, o in enumerate(octets) if o[26:] == first[26:]]
    assert len(copies) == 2  # to the load balancer, and on to a server
    damaged = octets.copy()
    damaged[copies[1]] = ip_sum_repaired(patched(octets[copies[1]], 22, b"\x07"))
    damaged[copies[0]] = patched(first, 18, b"\xaa\xaa")
    found = compare(octets, damaged, how="copy")
    assert {(e.a, e.b) for d in found.unexpected for e in d.examples} == {(i + 1, i + 1) for i in copies}
    assert {d.field for d in found.unexpected} == {"ip.ttl", "ip.id", "ip.checksum"}


def test_fields_of_the_outer_headers_can_be_meant_alone() -> None:
    octets = [o for o in frames(TUNNEL / "C_rs1.pcap") if o[23] == 4]
    outer = [ip_sum_repaired(patched(o, 18, b"\xaa\xaa")) for o in octets]
    assert compare(octets, outer, how="copy", ignore=["outer.ip.id"]).equal
    inner = [ip_sum_repaired(patched(o, 38, b"\xaa\xaa"), 34) for o in octets]
    assert {d.field for d in compare(octets, inner, how="copy", ignore=["outer.ip.id"]).unexpected} == {"ip.id#2"}
    assert {d.field for d in compare(octets, outer, how="copy", only=["outer.ip.*"]).unexpected} == {"ip.id"}


def test_nothing_in_common_is_nothing_compared(tmp_path: Path) -> None:
    found = compare(frames(DR / "A_client.pcap")[:1], [])
    assert found.pairs == 0
    assert found.exit_code == 2


@pytest.mark.parametrize("make", [lambda o: o[:20], lambda o: b"", lambda o: bytes(60)])
def test_odd_frames_are_compared_without_an_exception(make: Callable[[bytes], bytes]) -> None:
    octets = frames(DR / "A_client.pcap")[:30]
    odd = [make(o) if i % 3 == 0 else o for i, o in enumerate(octets)]
    found = compare(octets, odd, how="copy")
    assert found.packets == (30, 30)
    assert found.pairs + found.only_a.packets == 30
    assert found.exit_code == 1
