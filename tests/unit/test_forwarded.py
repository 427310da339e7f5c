"""`assert_forwarded`: what a program made of a frame, against what a node makes of it, field by field."""

from __future__ import annotations

import re

import pytest
from damaging import damaged, fields_of

from dsrkit import Spec, UsageError, forward
from dsrkit.craft.forward import Workbench
from dsrkit.testing import assert_forwarded, scenario
from dsrkit.testing.forwarded import Wrong, wrong_frames

KINDS = {
    "nat": {},
    "fullnat": {},
    "l2dsr": {"ip": 6},
    "l3dsr-dscp": {},
    "l3dsr-tunnel ipip": {"tunnel": "ipip"},
    "l3dsr-tunnel gre": {"tunnel": "gre"},
    "l3dsr-tunnel gue": {"tunnel": "gue"},
    "l3dsr-tunnel 6in6": {"tunnel": "6in6", "ip": 6},
}
BENCH = scenario("l3dsr-tunnel", tunnel="ipip")
ARRIVED = BENCH.frames("B.in")
LEFT = BENCH.frames("B.out")


def told(given: object, got: object, **options: object) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_forwarded(given, got, "lb1", BENCH.spec, **options)  # type: ignore[arg-type]
    return str(caught.value)


def patched(frame: bytes, at: int, octets: bytes) -> bytes:
    return frame[:at] + octets + frame[at + len(octets) :]


@pytest.mark.parametrize("kind", KINDS)
def test_every_damaged_field_is_named(kind: str) -> None:
    bench = scenario(kind.split()[0], **KINDS[kind])
    for right in (bench.frames("B.out")[0], bench.frames("B.out")[2]):  # a SYN with options, and data
        for name, field in fields_of(right):
            (found,) = wrong_frames([right], [damaged(right, field)])
            assert name in [named for named, _, _ in found.fields]


def test_what_a_node_makes_of_frames_is_right_in_any_order() -> None:
    assert_forwarded(ARRIVED, reversed(LEFT), "lb1", BENCH.spec)
    assert_forwarded(ARRIVED[0], LEFT[0], "lb1", BENCH.spec)


def test_padding_and_sums_left_to_the_card_are_right() -> None:
    assert_forwarded(ARRIVED[0], [LEFT[0] + bytes(10)], "lb1", BENCH.spec)
    pseudo = sum(int.from_bytes(LEFT[0][i : i + 2], "big") for i in range(46, 54, 2)) + 6 + len(LEFT[0]) - 54
    partial = ((pseudo & 0xFFFF) + (pseudo >> 16)).to_bytes(2, "big")
    assert_forwarded(ARRIVED[0], [patched(LEFT[0], 54 + 16, partial)], "lb1", BENCH.spec)


def test_the_message_names_the_frame_and_its_fields() -> None:
    wrong = patched(LEFT[1], 6, bytes.fromhex("020000000099"))
    assert told(ARRIVED[:3], [LEFT[0], LEFT[2], wrong]) == (
        "not what lb1 makes of it in l3dsr-tunnel (profile ipvs):\n"
        "frame 3: eth 02:b1:00:00:00:0b → 02:aa:00:00:00:0b, ip 203.0.113.2 → 10.0.0.11,"
        " ip 198.51.100.10 → 203.0.113.10, tcp 40000 → 80\n"
        "  eth.src  expected 02:b1:00:00:00:0b, got 02:00:00:00:00:99"
    )


def test_frames_that_are_missing_or_too_many_are_told() -> None:
    assert "expected frame 2 did not come: eth" in told(ARRIVED[:2], LEFT[:1])
    assert "frame 2 should not have come: eth" in told(ARRIVED[:1], [LEFT[0], LEFT[0]])
    many = told([], LEFT * 4)
    assert many.count("should not have come") == 10
    assert many.endswith("… and 10 more frames")


def test_a_header_that_is_missing_is_one_difference() -> None:
    bare = LEFT[0][:14] + LEFT[0][34:]
    assert [name for found in wrong_frames(LEFT[:1], [bare]) for name, _, _ in found.fields] == ["-ip"]


def test_fields_can_be_left_out_or_chosen() -> None:
    other = [patched(LEFT[0], 6, bytes(6))]
    assert_forwarded(ARRIVED[0], other, "lb1", BENCH.spec, ignore=["eth.*"])
    assert_forwarded(ARRIVED[0], other, "lb1", BENCH.spec, only=["ip.*"])
    assert "eth.src" in told(ARRIVED[0], other, only=["eth.*"])


def test_text_from_packets_does_no_harm() -> None:
    assert "\x1b" not in str(Wrong(1, 1, "a\x1b[31m", (("dns.qry.name", "\x1b[0m", ""),)))


@pytest.mark.parametrize("octets", [b"", bytes(10), bytes(60), LEFT[0][:30]])
def test_what_is_no_frame_is_a_wrong_one(octets: bytes) -> None:
    assert "not what lb1 makes of it" in told(ARRIVED[0], [octets])


def test_a_workbench_remembers() -> None:
    bench = scenario("fullnat")
    nodes = Workbench(bench.spec)
    request, reply = bench.frames("B.in")[0], bench.frames("C.in")[0]
    assert_forwarded(request, bench.frames("C.out")[0], "lb1", nodes)
    assert_forwarded(reply, bench.frames("B.out")[0], "lb1", nodes)
    with pytest.raises(AssertionError):
        assert_forwarded(reply, bench.frames("B.out")[0], "lb1", bench.spec)


def test_a_node_that_is_not_there_is_a_mistake_of_the_test() -> None:
    with pytest.raises(UsageError, match=re.escape("no node 'lb9'")):
        assert_forwarded(ARRIVED[0], [], "lb9", BENCH.spec)


SPEC = """
spec = 1
[service]
mode = "l3dsr-tunnel"
vip = "203.0.113.10"
ports = ["tcp/80"]
[tunnel]
{tunnel}
[[node]]
name = "r1"
role = "router"
ip = "10.0.0.1"
mac = "02:00:00:00:00:01"
[[node]]
name = "lb"
role = "lb"
[[node.link]]
link = "B"
ip = "10.0.0.2/24"
mac = "02:00:00:00:00:02"
gateway = "10.0.0.1"
[[node]]
name = "server"
role = "real-server"
ip = "10.1.0.11"
"""
TO_LB = bytes.fromhex("0200000000020200000000010800")
PING = TO_LB + bytes.fromhex("450000200007000040011491c6336407cb00710a 080018080123000470696e67")
PONG = bytes.fromhex("0200000000010200000000020800 450000200007000040011491cb00710ac6336407 000020080123000470696e67")
SEGMENT = TO_LB + bytes.fromhex("4500002800024000400693d4c6336407cb00710a 7a6a0050 0000000100000000 50022000aee10000")


def made(frame: bytes, tunnel: str) -> list[bytes]:
    return forward(frame, "lb", Spec.parse(SPEC.format(tunnel=tunnel)), profile="katran")


def test_katran_turns_a_ping_round() -> None:
    """Source: katran handle_icmp.h send_icmp_reply: the identification stays."""
    assert made(PING, 'type = "ipip"') == [PONG]


def test_a_spec_can_say_that_a_tunnel_has_no_checksum() -> None:
    (summed,), (bare,) = (made(SEGMENT, f'type = "gue"\n{word}') for word in ("", "checksum = false"))
    assert summed[40:42] != b"\0\0"
    assert bare == summed[:40] + b"\0\0" + summed[42:]


def test_a_spec_can_say_what_the_links_carry() -> None:
    size = (1500).to_bytes(2, "big")
    long = SEGMENT[:16] + size + SEGMENT[18:24] + b"\0\0" + SEGMENT[26:] + bytes(1460)
    (refused,) = made(long, 'type = "ipip"\nmtu = 1500')
    assert refused[34:36] == b"\x03\x04"
    assert int.from_bytes(refused[40:42], "big") == 1480
    (sent,) = made(long, 'type = "ipip"\nmtu = 1520')
    assert len(sent) == 14 + 1520


def test_an_icmp_error_takes_the_way_of_the_connection_that_it_is_about() -> None:
    """Without a request before it: a load balancer that hashes needs none."""
    quoted = bytes.fromhex("45000028000240004006 93d4 cb00710ac6336407 0050 7a6a 00000001")
    error = bytes.fromhex("4500 0038 0009 0000 4001 89bd c6336401 cb00710a 0304 0000 0000 0578") + quoted
    (sent,) = made(TO_LB + error, 'type = "ipip"')
    assert sent[14 + 20 :] == error
    assert sent[30:34] == bytes([10, 1, 0, 11])


def test_a_vip_hashed_by_port_does_not_look_at_clients() -> None:
    bench = Workbench(Spec.parse(SPEC.format(tunnel='type = "ipip"')), profile="katran")
    bench.world.balancer.by_port = True
    (sent,) = bench.forward(SEGMENT, "lb")
    assert sent[26:30] == bytes.fromhex("ac106a7a")


def test_nothing_given_and_nothing_come_is_no_success() -> None:
    assert "nothing to compare" in told([], [])
