"""Captures that once hurt, or that are made to: what must come of each is stated."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import dsrkit
from dsrkit.errors import CaptureError
from dsrkit.wire import capture, layout
from dsrkit.wire.files import reading, resync

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make

FRAMES = [make.ethernet(make.ipv4(make.udp(bytes([n]) * 40), 17)) for n in range(12)]
RECORD = 16 + len(FRAMES[0])


def opened(octets: bytes) -> tuple[capture.Capture, np.ndarray]:
    one = dsrkit.read(io.BytesIO(octets))
    parts = [window.rec.copy() for window in one.windows()]
    return one, np.concatenate([np.zeros(0, layout.RECORD), *parts])


def pcapng(frames: list[bytes]) -> bytes:
    return make.section() + make.interface() + b"".join(make.enhanced(frame) for frame in frames)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B2CD34])
def test_a_pcap_goes_on_behind_a_record_of_a_length_that_cannot_be(order: str, magic: int) -> None:
    octets = bytearray(make.pcap(FRAMES, order=order, magic=magic))
    size = len(FRAMES[0]) + (24 if magic == 0xA1B2CD34 else 16)
    struct.pack_into(order + "I", octets, 24 + 3 * size + 8, 0x40000000)
    one, rows = opened(bytes(octets))
    assert (rows["defect"] == layout.DEFECT_RECORD).tolist() == [i == 3 for i in range(12)]
    assert rows["offset"][4] == 24 + 4 * size + size - len(FRAMES[0])
    assert len(one.notes) == 1
    assert f"damaged at offset {24 + 3 * size}" in one.notes[0]
    assert f"{size} octets are skipped" in one.notes[0]


def test_a_pcap_goes_on_behind_garbage_and_says_how_much_is_lost() -> None:
    octets = make.pcap(FRAMES[:4]) + b"\xee" * 5000 + make.pcap(FRAMES[4:])[24:]
    one, rows = opened(octets)
    assert (rows["defect"] == layout.DEFECT_RECORD).tolist() == [i == 4 for i in range(13)]
    assert rows["fp"][5:].tolist() == opened(make.pcap(FRAMES))[1]["fp"][4:].tolist()
    assert "5000 octets are skipped" in one.notes[0]
    assert len(set(rows["ts_ns"].tolist())) == 1  # the damaged record has the time of the one before it


def test_one_or_two_plausible_headers_are_no_reason_to_go_on() -> None:
    octets = make.pcap(FRAMES[:4]) + b"\xee" * 100 + make.pcap(FRAMES[:2])[24:] + b"\xee" * 100
    one, rows = opened(octets)
    assert len(rows) == 5
    assert one.notes[0].endswith("nothing behind it is read")


def test_a_length_that_lies_about_the_end_of_the_file_hides_nothing() -> None:
    octets = bytearray(make.pcap(FRAMES))
    struct.pack_into("<I", octets, 24 + 2 * RECORD + 8, 200_000)
    one, rows = opened(bytes(octets))
    assert len(rows) == 11
    assert "claims 200016 octets, more than there are" in one.notes[0]


@pytest.mark.parametrize("end", [False, True])
def test_a_pcapng_goes_on_behind_a_block_whose_lengths_differ(end: bool) -> None:
    octets = bytearray(pcapng(FRAMES))
    size = len(make.enhanced(FRAMES[0]))
    third = 28 + 20 + 2 * size
    struct.pack_into("<I", octets, third + (size - 4 if end else 4), size + 40)
    one, rows = opened(bytes(octets))
    assert (rows["defect"] == layout.DEFECT_RECORD).tolist() == [i == 2 for i in range(12)]
    assert f"damaged at offset {third}" in one.notes[0]
    assert f"{size} octets are skipped" in one.notes[0]


def test_what_a_packet_carries_is_no_block_of_the_file() -> None:
    inside = make.ethernet(make.ipv4(make.udp(pcapng(FRAMES[:6])), 17))
    octets = bytearray(pcapng([FRAMES[0], inside, FRAMES[1]]))
    at = 48 + len(make.enhanced(FRAMES[0]))
    struct.pack_into("<I", octets, at + len(make.enhanced(inside)) - 4, 0)  # its length at the end
    _, rows = opened(bytes(octets))
    assert rows["caplen"].tolist() == [len(FRAMES[0]), 0, len(FRAMES[1])]


def test_an_interface_whose_description_is_damaged_keeps_its_number() -> None:
    first, second = make.interface(1), make.interface(101)
    broken = first[:-4] + struct.pack("<I", 8)
    octets = make.section() + broken + second + make.enhanced(FRAMES[0][14:], 1) * 3
    one, rows = opened(octets)
    assert rows["iface"].tolist() == [1, 1, 1]
    assert (rows["defect"] == 0).all()
    assert [i.linktype for i in one.interfaces] == [0xFFFF, 101]


def test_a_file_of_nothing_but_damage_ends() -> None:
    octets = pcapng([]) + (make.enhanced(b"x")[:-4] + bytes(4)) * 3000
    one, rows = opened(octets)
    assert len(rows) <= reading.MOST_DAMAGES + 1
    assert len(one.notes) <= reading.SHOWN_DAMAGES + 2


@pytest.mark.parametrize("extra", range(-2, 3))
def test_a_hole_as_long_as_what_is_looked_at_ends(extra: int) -> None:
    records = make.pcap(FRAMES)[24:]
    one, rows = opened(make.pcap(FRAMES) + bytes(reading.WINDOW_OCTETS + resync.SPAN + extra) + records)
    assert len(rows) == 24
    assert "zeros instead of a record" in one.notes[0]


def test_more_interfaces_than_anybody_has_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_INTERFACES", 5)
    one, rows = opened(make.section() + make.interface() * 9 + make.enhanced(b"x", 4) + make.enhanced(b"x", 5))
    assert len(one.interfaces) == 5
    assert rows["defect"].tolist()[1] == layout.DEFECT_RECORD
    assert "more than 5 interfaces" in one.notes[0]


@pytest.mark.parametrize("kind", ["gzip", "zstd", "lz4"])
def test_a_bomb_is_read_only_so_far(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BOMB_OCTETS", 1 << 22)
    monkeypatch.setattr(reading, "BOMB_RATIO", 100)
    plain = make.pcap(FRAMES[:1]) + b"\1" * (40 << 20)
    if kind == "gzip":
        packed = gzip.compress(plain, mtime=0)
    else:
        packed = pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}[kind]).compress(plain)
    one, _ = opened(packed)
    assert any("unpacks to more than 100 times its size" in note for note in one.notes)


def test_a_zstd_frame_that_asks_for_too_large_a_window_is_refused() -> None:
    pytest.importorskip("zstandard")
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (41 - 10) << 3]) + b"\x01\x00\x00"  # RFC 8878 s3.1.1.1.2: 2**41
    with pytest.raises(CaptureError, match="cannot be unpacked"):
        dsrkit.read(io.BytesIO(frame + bytes(60)))


@pytest.mark.parametrize("members", [1, 3])
def test_members_and_frames_one_behind_the_other(members: int) -> None:
    octets = make.pcap(FRAMES)
    cuts = [len(octets) * i // members for i in range(members + 1)]
    parts = [octets[a:b] for a, b in itertools.pairwise(cuts)]
    zstd, lz4 = pytest.importorskip("zstandard"), pytest.importorskip("lz4.frame")
    for pack in (gzip.compress, zstd.compress, lz4.compress):
        assert len(opened(b"".join(pack(part) for part in parts))[1]) == 12
