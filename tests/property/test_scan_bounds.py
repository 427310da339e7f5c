"""What the compiled scan reads and writes without a bounds check stays inside its buffers, and changes no row.

Interpreted, the same source checks every index, so the interpreted scan in buffers that end where they may is the
proof: what no input makes it do, the compiled one does not do either.
"""

from __future__ import annotations

import itertools
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsrkit.wire import layout, scanner

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make
from strategies import changed, changes, packets

SLACK = 8
"""Octets behind the last one that is scanned, as `Scanner.attach` asks for."""
V4, V6 = ("192.0.2.1", "198.51.100.1"), ("2001:db8::1", "2001:db8::2")
MODULES = [scanner.load(interpreted=True), *([scanner.load()] if scanner.backend() == "compiled" else [])]


GUE = bytearray(65536)
GUE[6080] = GUE[9886] = 1


class Walking(scanner.load(interpreted=True).Scanner):  # type: ignore[misc]
    """The interpreted scan without its straight line for packets of the usual shape."""

    def usual(self, at: int, end: int, linktype: int) -> int:
        return 0


class Counting(scanner.load(interpreted=True).Scanner):  # type: ignore[misc]
    """The interpreted scan that says which way it went."""

    straight = 0

    def usual(self, at: int, end: int, linktype: int) -> int:
        taken: int = super().usual(at, end, linktype)
        self.straight += taken
        return taken


def row(
    scan: object, frame: bytes, *, before: bytes = b"", behind: int = 0, wirelen: int = 0, linktype: int = 1
) -> bytes:
    """The row of one frame in buffers that end where they may."""
    octets = bytearray(before + frame + bytes([behind]) * SLACK)
    rows = bytearray(b"\xa5" * layout.RECORD.itemsize)
    scan.attach(memoryview(octets), memoryview(rows), memoryview(GUE))  # type: ignore[attr-defined]
    scan.packet(len(before), len(frame), wirelen or len(frame), 0, linktype)  # type: ignore[attr-defined]
    return bytes(rows)


def usual_packets() -> st.SearchStrategy[bytes]:
    """Frames of the usual shape, and some that miss it by one field."""
    option = [
        b"",
        bytes.fromhex("020405b4"),
        bytes.fromhex("0101080a11223344aabbccdd"),
        b"\1\1\3\3" * 10,
        b"\x08\x0a\0\0",
    ]
    field = st.none() | st.sampled_from([0, 1, 0xFFFF])
    payload = st.binary(max_size=70) | st.builds(bytes, st.integers(0, 300))

    def transport(ends: tuple[str, str]) -> st.SearchStrategy[tuple[int, bytes]]:
        tcp = st.builds(
            lambda p, o, f: (6, make.tcp(p, *ends, options=o, field=f)), payload, st.sampled_from(option), field
        )
        ports = st.sampled_from([53, 443, 4789, 6080])
        return tcp | st.builds(lambda p, d, f: (17, make.udp(p, *ends, dport=d, field=f)), payload, ports, field)

    def ip(inner: tuple[int, bytes], version: int, frag: int) -> tuple[int, bytes]:
        return (4, make.ipv4(inner[1], inner[0], frag=frag)) if version == 4 else (41, make.ipv6(inner[1], inner[0]))

    def tunnel(inner: tuple[int, bytes], how: int) -> tuple[int, bytes]:
        if how < 0:
            return inner
        return 47, struct.pack("!HH", how, {4: 0x0800, 41: 0x86DD}[inner[0]]) + bytes(
            4 * (how & 0xB000).bit_count()
        ) + inner[1]

    frags = st.sampled_from([0x4000, 0x4000, 0, 0x8000, 0x2000, 1])
    hows = st.sampled_from([-1, -1, 0, 0x2000, 0x1000, 0x3000, 0xB000, 1])
    inner = st.builds(ip, transport(V4), st.just(4), frags) | st.builds(ip, transport(V6), st.just(6), frags)
    outer = st.builds(ip, st.builds(tunnel, inner, hows), st.sampled_from([4, 6]), frags)
    tags = st.sampled_from([(), ((0x8100, 5),), ((0x88A8, 5), (0x8100, 6))])
    return st.builds(
        lambda p, t, pad: make.ethernet(p[1], 0x0800 if p[0] == 4 else 0x86DD, t) + bytes(pad),
        inner | outer,
        tags,
        st.sampled_from([0, 0, 1, 6]),
    )


def assert_within(frame: bytes, before: bytes = b"", wirelen: int = 0, linktype: int = 1) -> None:
    """Every way of scanning a frame gives one row, whatever stands before and behind it."""
    wanted = row(Walking(), frame, wirelen=wirelen, linktype=linktype)
    for module in MODULES:
        for behind in (0, 0xFF):
            found = row(module.Scanner(), frame, before=before, behind=behind, wirelen=wirelen, linktype=linktype)
            assert found == wanted


@settings(max_examples=300, deadline=None)
@given(usual_packets(), changes(), st.binary(max_size=8))
@example(make.ethernet(make.ipv4(make.udp(make.ipv4(make.udp(b"GUE"), 17), *V4, dport=443), 17)), [], b"")
@example(make.ethernet(make.ipv4(make.udp(b"\0\4\0\0" + make.ipv4(make.udp(b"GUE"), 17), *V4, dport=443), 17)), [], b"")
@example(make.ethernet(make.ipv4(make.udp(b"\x40" * 40, *V4, dport=443), 17)), [], b"")
def test_the_straight_line_gives_the_rows_of_the_walk(frame: bytes, change: list[tuple[int, int]], at: bytes) -> None:
    assert_within(changed(frame, change), at)


@settings(max_examples=20, deadline=None)
@given(usual_packets())
def test_frames_of_the_usual_shape_cut_at_every_length(frame: bytes) -> None:
    for size in range(len(frame)):
        assert_within(frame[:size])
        assert_within(frame[:size], wirelen=len(frame))


@settings(max_examples=200, deadline=None)
@given(packets() | st.binary(max_size=200), changes(), st.binary(max_size=8), st.integers(0, 3))
def test_any_frame_at_the_end_of_its_buffer(
    frame: bytes, change: list[tuple[int, int]], before: bytes, missing: int
) -> None:
    frame = changed(frame, change)
    assert_within(frame, before, wirelen=len(frame) + missing)


LINKS = {
    "ethernet": (1, lambda kind: bytes(12) + struct.pack("!H", kind)),
    "tagged": (1, lambda kind: bytes(12) + struct.pack("!HHH", 0x8100, 5, kind)),
    "sll": (113, lambda kind: struct.pack("!HHHQH", 4, 1, 6, 0x0203040506070000, kind)),
    "sll-no-mac": (113, lambda kind: struct.pack("!HHHQH", 4, 1, 0, 0x0203040506070000, kind)),
    "sll2": (276, lambda kind: struct.pack("!HHIHBBQ", kind, 0, 7, 1, 4, 6, 0x0203040506070000)),
    "sll2-tagged": (276, lambda kind: struct.pack("!HHIHBBQHH", 0x8100, 0, 7, 1, 4, 0, 0, 5, kind)),
}


def shape(link: str, version: int, how: str, proto: int) -> tuple[bytes, int]:
    """A packet of the usual shape and its link type."""
    ends = V4 if version == 4 else V6
    packet = make.tcp(b"data", *ends, options=bytes(4)) if proto == 6 else make.udp(b"d" * 30, *ends, dport=53)
    packet, kind = (make.ipv4 if version == 4 else make.ipv6)(packet, proto), (0x0800 if version == 4 else 0x86DD)
    number = 4 if version == 4 else 41
    if how == "ipip":
        packet, kind = make.ipv4(packet, number), 0x0800
    elif how == "ip6":
        packet, kind = make.ipv6(packet, number), 0x86DD
    elif how == "gre":
        packet, kind = make.ipv4(struct.pack("!HHI", 0x2000, kind, 9) + packet, 47), 0x0800
    elif how == "gue":
        packet = make.udp(struct.pack("!BBHI", 1, number, 0, 3) + packet, *V4, dport=6080)
        packet, kind = make.ipv4(packet, 17), 0x0800
    elif how == "gue1":
        packet, kind = make.ipv6(make.udp(packet, *V6, dport=9886, field=0), 17), 0x86DD
    linktype, header = LINKS[link]
    return header(kind) + packet, linktype


SHAPES = pytest.mark.parametrize(
    ("link", "version", "how", "proto"),
    [
        *itertools.product(["tagged"], [4, 6], ["plain", "ipip", "ip6", "gre", "gue", "gue1"], [6, 17]),
        *itertools.product(LINKS, [4, 6], ["plain", "ipip"], [6]),
    ],
)


@SHAPES
def test_the_usual_shapes_go_straight(link: str, version: int, how: str, proto: int) -> None:
    scan = Counting()
    frame, linktype = shape(link, version, how, proto)
    row(scan, frame, linktype=linktype)
    assert scan.straight == 1


@SHAPES
def test_every_octet_of_a_usual_shape_changed(link: str, version: int, how: str, proto: int) -> None:
    frame, linktype = shape(link, version, how, proto)
    for place, octet in enumerate(frame):
        for value in {octet + 1 & 255, octet - 1 & 255, octet ^ 0x10, octet ^ 0x20, octet ^ 0x80, 0, 4, 41, 255}:
            assert_within(changed(frame, [(place, value)]), linktype=linktype)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_lies_outside_the_buffers_is_an_error(module: object) -> None:
    octets, rows = bytearray(64 + SLACK), bytearray(2 * layout.RECORD.itemsize)
    scan = module.Scanner()  # type: ignore[attr-defined]
    scan.attach(memoryview(octets), memoryview(rows), memoryview(bytearray(65536)))
    for at, size, number in [(0, 65, 0), (60, 8, 0), (1 << 40, 1, 0), (0, 1 << 40, 0), (0, 64, 2), (0, 64, 1 << 40)]:
        with pytest.raises((IndexError, ValueError)):
            scan.packet(at, size, size, number, 1)
    with pytest.raises(IndexError):
        scan.pcap(0, 65, 0, 0, 0, 1000, 16, 1, 1)
    with pytest.raises(IndexError):
        scan.pcapng(0, 65, 0, 0, 0, 0, 1, memoryview(bytearray(8 * 6)).cast("q"))
