"""Whatever the octets are: a dissection ends, stays inside the frame, has known names, and agrees with the scan."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Collection
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make
from dissections import scanned_differently
from strategies import LINKTYPES, changed, changes, packets

from dsrkit.wire import capture, layout
from dsrkit.wire.columns import FIELDS
from dsrkit.wire.dissect.frame import MAX_LAYERS, NAMES, dissect
from dsrkit.wire.dissect.tree import Dissection

TYPES = {"int": int, "mac": str, "ip": str, "text": str, "bytes": bytes}


def assert_sound(taken: Dissection) -> None:
    size = len(taken.octets)
    assert taken.layers[0].name == "frame"
    assert len(taken.layers) <= MAX_LAYERS
    for layer in taken.layers:
        assert 0 <= layer.start <= layer.stop <= size, layer.name
        for field in layer.fields:
            assert field.name in NAMES
            assert isinstance(field.value, TYPES[NAMES[field.name].kind]), field
            assert 0 <= field.start <= field.stop <= size, field
            assert field.shown is not None
    for span in (taken.payload, taken.trailer):
        assert span is None or 0 <= span[0] <= span[1] <= size


def assert_agreed(frame: bytes, linktype: int, cuts: Collection[int]) -> None:
    """Sound, and as the scan reads it, cut at some places."""
    taken = [dissect(frame[:cut], linktype, wirelen=len(frame)) for cut in cuts]
    for one in taken:
        assert_sound(one)
    records = (make.pcap([frame], linktype=linktype, snaplen=cut)[24:] for cut in cuts)
    octets = make.pcap([], linktype=linktype) + b"".join(records)
    rows = [row for window in capture.read(io.BytesIO(octets)).windows() for row in window.rec.copy()]
    _, wrong = scanned_differently([(f"cut {c}", row, one) for c, row, one in zip(cuts, rows, taken, strict=True)])
    assert not wrong, "\n".join(wrong[:20])


@settings(max_examples=100, deadline=None)
@given(packets(), changes(), st.sampled_from([1, 1, 1, *LINKTYPES]), st.lists(st.integers(0, 300), max_size=6))
def test_a_changed_frame_reads_as_in_the_scan(
    frame: bytes, change: list[tuple[int, int]], linktype: int, cuts: list[int]
) -> None:
    data = changed(frame, change) if linktype == 1 else changed(frame, change)[14:]
    assert_agreed(data, linktype, sorted({len(data), *(min(cut, len(data)) for cut in cuts)}))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(LINKTYPES), st.integers(0, 70000) | st.none())
@example(b"", 1, None)
@example(bytes(14), 1, 0)
def test_any_octets(octets: bytes, linktype: int, wirelen: int | None) -> None:
    assert_sound(dissect(octets, linktype, wirelen=wirelen))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([1, 2, 4, 6, 17, 41, 47, 50, 51, 58, 112, 132, 143, 0, 43, 44, 60]),
    st.sampled_from([53, 80, 4754, 4789, 4790, 6080, 6081, 6635]),
    st.binary(max_size=200),
)
def test_any_octets_behind_ip_and_udp(protocol: int, port: int, octets: bytes) -> None:
    assert_sound(dissect(make.ethernet(make.ipv4(octets, protocol)), 1))
    assert_sound(dissect(make.ethernet(make.ipv6(octets, protocol), 0x86DD), 1))
    assert_sound(dissect(make.ethernet(make.ipv4(make.udp(octets, dport=port), 17)), 1))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([b"GET ", b"HTTP/1.1 ", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n", b"\0\x20"]), st.binary(max_size=80))
def test_any_payload(start: bytes, rest: bytes) -> None:
    for port in (80, 53):
        assert_sound(dissect(make.ethernet(make.ipv4(make.tcp(start + rest, dport=port), 6)), 1))


def test_hostile_nesting_is_bounded() -> None:
    began = time.perf_counter()
    labels = dissect(bytes(12) + b"\x88\x47" + bytes(60_000), 1)
    tags = dissect(bytes(12) + b"\x81\x00\x00\x01" * 15_000, 1)
    packet = b""
    for _ in range(200):
        packet = make.ipv4(packet, 4)
    tunnels = dissect(make.ethernet(packet), 1)
    names = make.udp(b"\0\1\0\0\xff\xff\xff\xff\0\0\0\0" + b"\xc0\x0c" * 9000, dport=53)
    pointers = dissect(make.ethernet(make.ipv4(names, 17)), 1)
    options = dissect(make.ethernet(make.ipv6(b"\x3b\xff" + bytes(2046), 0), 0x86DD), 1)
    for taken in (labels, tags, tunnels, pointers, options):
        assert_sound(taken)
    for taken in (labels, tags, tunnels):
        assert len(taken.layers) == MAX_LAYERS
        assert taken.defect is not None
        assert taken.defect.kind == layout.DEFECT_TOO_DEEP
    assert time.perf_counter() - began < 5


def test_names_are_those_of_the_columns_where_they_mean_the_same() -> None:
    kinds = {"int": "int", "mac": "mac", "ipv4": "ip", "address": "ip"}
    shared = FIELDS.keys() & NAMES.keys()
    assert len(shared) > 80
    for name in shared:
        assert NAMES[name].kind == kinds[FIELDS[name].kind], name
    assert all(kind.source for kind in NAMES.values())
