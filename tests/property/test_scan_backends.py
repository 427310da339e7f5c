"""The compiled and the interpreted scan are one source: on any input they write the same rows."""

from __future__ import annotations

import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsrkit.wire import capture, layout, scanner

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make
from strategies import LINKTYPES, changed, changes, packets

CAPTURES = Path(os.environ.get("DSRKIT_CAPTURES", Path(__file__).parents[3] / "shared" / "captures"))
FILES = sorted(CAPTURES.glob("*/*.pcap*"))
needs_both = pytest.mark.skipif(scanner.backend() != "compiled", reason="the compiled scan was not built")


def rows(source: object, *, interpreted: bool, at_most: int = 1 << 30) -> np.ndarray:
    parts, count = [np.zeros(0, layout.RECORD)], 0
    for window in capture.read(source, interpreted=interpreted).windows():  # type: ignore[arg-type]
        parts.append(window.rec.copy())
        count += len(window.rec)
        if count >= at_most:
            break
    return np.concatenate(parts)


def assert_same(octets: bytes) -> np.ndarray:
    compiled = rows(io.BytesIO(octets), interpreted=False)
    interpreted = rows(io.BytesIO(octets), interpreted=True)
    assert compiled.tobytes() == interpreted.tobytes()
    return compiled


@needs_both
@settings(max_examples=150, deadline=None)
@given(packets(), changes(), st.integers(0, 200), st.sampled_from([1, 1, 1, 1, *LINKTYPES]))
def test_any_frame_changed_and_cut(frame: bytes, change: list[tuple[int, int]], cut: int, linktype: int) -> None:
    data = changed(frame, change) if linktype == 1 else changed(frame, change)[14:]
    found = assert_same(make.pcap([data], linktype=linktype) + make.pcap([data], linktype=linktype, snaplen=cut)[24:])
    assert found["caplen"].tolist() == [len(data), min(cut, len(data))]


@needs_both
@settings(max_examples=10, deadline=None)
@given(packets())
@example(make.ethernet(make.ipv4(make.udp(make.ipv6(make.tcp(b"x" * 9), 6), dport=6080), 17)))
def test_a_frame_cut_at_every_length(frame: bytes) -> None:
    octets = make.pcap([frame]) + b"".join(make.pcap([frame], snaplen=n)[24:] for n in range(len(frame)))
    found = assert_same(octets)
    assert len(found) == len(frame) + 1
    assert (found["wirelen"] == len(frame)).all()


@needs_both
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(LINKTYPES))
def test_any_octets_as_a_packet(octets: bytes, linktype: int) -> None:
    assert len(assert_same(make.pcap([octets], linktype=linktype))) == 1


@needs_both
@settings(max_examples=150, deadline=None)
@given(st.lists(packets(), min_size=1, max_size=4), changes(), st.integers(0, 255), st.sampled_from("<>"))
def test_any_pcapng(frames: list[bytes], change: list[tuple[int, int]], resolution: int, order: str) -> None:
    octets = bytearray(
        make.section(order)
        + make.interface(1, 0, make.option(9, bytes([resolution]), order), order)
        + b"".join(make.enhanced(frame, 0, 2**63 + n * 10**15, order) for n, frame in enumerate(frames))
        + make.block(3, struct.pack(order + "I", len(frames[0])) + frames[0], order)
    )
    for at, value in change:
        if 28 + at < len(octets):
            octets[28 + at] = value
    assert len(assert_same(bytes(octets))) <= len(frames) + 2


@needs_both
@pytest.mark.skipif(not FILES, reason=f"no shared captures in {CAPTURES}")
def test_every_shared_capture() -> None:
    seen = 0
    for path in FILES:
        interpreted = rows(path, interpreted=True)
        compiled = rows(path, interpreted=False)
        assert compiled.tobytes() == interpreted.tobytes(), path
        seen += len(compiled)
    assert seen > 10_000


@pytest.mark.skipif(not FILES, reason=f"no shared captures in {CAPTURES}")
def test_shared_captures_have_no_defects_and_sound_checksums() -> None:
    for path in FILES:
        found = rows(path, interpreted=False)
        assert (found["defect"] == layout.DEFECT_NONE).all(), path
        assert (found["l4_state"] != layout.SUM_INVALID).all(), path
        assert (found["sum_state"] != layout.SUM_INVALID).all(), path


def test_the_interpreted_scan_says_so() -> None:
    opened = capture.read(io.BytesIO(make.pcap([])), interpreted=True)
    assert opened.notes == [scanner.INTERPRETED_NOTE]
    assert scanner.load(interpreted=True) is not scanner.load()
