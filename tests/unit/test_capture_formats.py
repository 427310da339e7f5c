"""Reading capture files: every format, what is cut, damaged or no capture at all."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dsrkit.errors import CaptureError, MissingDependency
from dsrkit.wire import capture, layout
from dsrkit.wire.files import reading

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

FRAMES = [make.ethernet(make.ipv4(make.tcp(bytes(n)), 6)) for n in (0, 1, 100)]


def rows(source: object, **options: object) -> np.ndarray:
    opened = source if isinstance(source, capture.Capture) else capture.read(source, **options)  # type: ignore[arg-type]
    parts = [window.rec.copy() for window in opened.windows()]
    return np.concatenate(parts) if parts else np.zeros(0, layout.RECORD)


def of(octets: bytes) -> capture.Capture:
    return capture.read(io.BytesIO(octets))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1), (0xA1B2CD34, 1000)])
def test_pcap_in_both_orders_and_all_resolutions(order: str, magic: int, unit: int) -> None:
    found = rows(of(make.pcap(FRAMES, order=order, magic=magic)))
    assert found["ts_ns"].tolist() == [1_700_000_000 * 10**9 + 123_456 * unit] * 3
    assert found["caplen"].tolist() == [len(frame) for frame in FRAMES]
    assert found["payload_len"].tolist() == [0, 1, 100]
    assert (found["l4_state"] == layout.SUM_VALID).all()


def test_windows_give_the_octets_of_their_packets() -> None:
    octets = make.pcap(FRAMES)
    (window,) = of(octets).windows()
    assert [bytes(window.packet(i)) for i in range(3)] == FRAMES
    assert (window.first_row, window.base) == (0, 0)
    assert [octets[at : at + n] for at, n in zip(window.rec["offset"], window.rec["caplen"], strict=True)] == FRAMES


def test_pcapng_sections_orders_interfaces_and_blocks_without_packets() -> None:
    frame, raw = FRAMES[2], FRAMES[2][14:]
    named = make.option(2, b"eth0") + make.option(3, b"uplink") + make.option(1, b"hello") + make.option(0, b"")
    octets = (
        make.section("<")
        + make.interface(1, 0, named)
        + make.block(4, b"\0\0\0\0")  # names
        + make.enhanced(frame, 0, 1_700_000_000_123_456)
        + make.block(0x0BAD, bytes(40))
        + make.interface(101, 0, make.option(9, b"\x09"))
        + make.enhanced(raw, 1, 1_700_000_000_123_456_789)
        + make.block(3, struct.pack("<I", len(frame)) + frame)
        + make.block(5, bytes(12))  # statistics
        + make.section(">")
        + make.interface(101, 0, make.option(9, b"\x8a", ">") + make.option(14, struct.pack(">q", 100), ">"), ">")
        + make.enhanced(raw, 0, 3 * 1024 + 512, ">")
        + make.block(2, struct.pack(">HHIIII", 0, 0, 0, 1024, len(raw), len(raw)) + raw, ">")
    )
    opened = of(octets)
    found = rows(opened)
    assert opened.format == "pcapng"
    assert found["iface"].tolist() == [0, 1, 0, 2, 2]
    assert found["linktype"].tolist() == [1, 101, 1, 101, 101]
    assert found["ts_ns"].tolist() == [
        1_700_000_000_123_456_000,
        1_700_000_000_123_456_789,
        0,
        103_500_000_000,
        101_000_000_000,
    ]
    assert (found["payload_len"] == 100).all()
    assert (found["defect"] == 0).all()
    assert opened.interfaces == [
        capture.Interface(0, 1, 0, "eth0", "uplink", "hello"),
        capture.Interface(1, 101),
        capture.Interface(2, 101, section=1),
    ]


@pytest.mark.parametrize("resolution", [0, 3, 6, 9, 12, 19, 30, 0x80, 0x81, 0x94, 0xA0, 0xA8, 0xBF, 0xC0, 0xE0, 0xFF])
@pytest.mark.parametrize("ticks", [0, 1, 999, 2**32 + 12345])
def test_every_timestamp_resolution(resolution: int, ticks: int) -> None:
    octets = make.section() + make.interface(1, 0, make.option(9, bytes([resolution]))) + make.enhanced(b"x", 0, ticks)
    exponent = resolution & 127
    exact = ticks * 10**9 // (2**exponent if resolution & 128 else 10**exponent)
    assert rows(of(octets))["ts_ns"].astype(np.uint64).tolist() == [exact % 2**64]


@pytest.mark.parametrize("resolution", [0xA8, 0xBF])
def test_fine_binary_resolutions_of_large_values(resolution: int) -> None:
    ticks = 2**64 - 12345
    octets = make.section() + make.interface(1, 0, make.option(9, bytes([resolution]))) + make.enhanced(b"x", 0, ticks)
    exact = ticks * 10**9 // 2 ** (resolution & 127)
    assert abs(int(rows(of(octets))["ts_ns"][0]) - exact) <= 1


def test_a_cut_tail_keeps_what_was_read_and_says_where() -> None:
    octets = make.pcap(FRAMES)
    for size in range(24, len(octets)):
        opened = of(octets[:size])
        whole = sum(size >= end for end in itertools.accumulate((16 + len(frame) for frame in FRAMES), initial=24)) - 1
        assert len(rows(opened)) == whole
        ends = size in itertools.accumulate((16 + len(frame) for frame in FRAMES), initial=24)
        assert bool(opened.notes) != ends
        assert ends or f"cut at offset {size}" in opened.notes[0]


def test_a_cut_pcapng_keeps_what_was_read() -> None:
    octets = make.section() + make.interface() + make.enhanced(FRAMES[0]) + make.enhanced(FRAMES[2])
    for size in range(28, len(octets)):
        opened = of(octets[:size])
        found = rows(opened)
        assert len(found) <= 1
        assert opened.notes or size in (28, 48, 48 + 32 + len(FRAMES[0]) + -len(FRAMES[0]) % 4)


def test_a_record_that_claims_too_much_is_damaged() -> None:
    octets = make.pcap(FRAMES[:1]) + struct.pack("<IIII", 0, 0, 0xFFFFFFF0, 64) + bytes(100)
    opened = of(octets)
    found = rows(opened)
    assert found["defect"].tolist() == [0, layout.DEFECT_RECORD]
    assert found["defect_need"][1] == 0xFFFFFFF0
    assert "damaged" in opened.notes[0]


@pytest.mark.parametrize("size", [0, 8, 13, 0xFFFFFFFC])
def test_a_block_of_an_impossible_length_is_damaged(size: int) -> None:
    octets = make.section() + make.interface() + make.enhanced(FRAMES[0]) + struct.pack("<II", 6, size) + bytes(90)
    opened = of(octets)
    assert rows(opened)["defect"].tolist() == [0, layout.DEFECT_RECORD]
    assert len(opened.notes) == 1


def test_a_packet_block_that_claims_more_than_itself_or_no_interface_is_a_defect_and_reading_goes_on() -> None:
    lying = bytearray(make.enhanced(FRAMES[0]))
    struct.pack_into("<I", lying, 20, 5000)
    octets = make.section() + make.interface() + bytes(lying) + make.enhanced(FRAMES[0], 7) + make.enhanced(FRAMES[0])
    assert rows(of(octets))["defect"].tolist() == [layout.DEFECT_RECORD, layout.DEFECT_RECORD, 0]


def test_long_blocks_are_skipped_and_long_records_read() -> None:
    long = make.ethernet(make.ipv4(make.tcp(bytes(60000)), 6)) + bytes(150_000)
    parts = [make.block(0x0BAD, bytes(3_000_000)), make.enhanced(long), make.block(0x0BAD, bytes(9))] * 8
    found = rows(of(make.section() + make.interface() + b"".join(parts)))
    assert found["payload_len"].tolist() == [60000] * 8
    assert (found["l4_state"] == layout.SUM_VALID).all()


def test_a_record_longer_than_the_window_grows_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows(of(make.pcap(FRAMES * 50)))
    for size in (64, 200, 1000):
        monkeypatch.setattr(reading, "WINDOW_OCTETS", size)
        monkeypatch.setattr(reading, "WINDOW_ROWS", 3)
        assert (rows(of(make.pcap(FRAMES * 50))) == expected).all()
        octets = make.section() + make.interface() + b"".join(make.enhanced(frame) for frame in FRAMES * 50)
        assert (rows(of(octets))["fp"] == expected["fp"]).all()


def test_windows_that_are_held_do_not_change() -> None:
    frames = [make.ethernet(make.ipv4(make.udp(struct.pack("!I", n) * 300), 17)) for n in range(3000)]
    opened = of(make.pcap(frames))
    held = list(opened.windows())
    assert len(held) > 2
    assert [w.first_row for w in held] == list(itertools.accumulate((len(w.rec) for w in held[:-1]), initial=0))
    seen = [bytes(w.packet(i)) for w in held for i in range(len(w.rec))]
    assert seen == frames


def test_a_path_can_be_read_twice_a_pipe_once(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(make.pcap(FRAMES))
    opened = capture.read(path, tap="A")
    assert (opened.rewindable, opened.tap, opened.path) == (True, "A", str(path))
    assert (rows(opened) == rows(opened)).all()
    end, start = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(start, make.pcap(FRAMES)), os.close(start)))
    writer.start()
    with os.fdopen(end, "rb", buffering=0) as stream:
        piped = capture.read(stream)
        assert not piped.rewindable
        assert len(rows(piped)) == 3
        with pytest.raises(CaptureError, match="only once"):
            list(piped.windows())
    writer.join()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(make.pcap(FRAMES))))
    assert len(rows("-")) == 3


def _compressed(kind: str, octets: bytes) -> bytes:
    if kind == "gzip":
        return gzip.compress(octets)
    module = pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}[kind])
    return bytes(module.compress(octets))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "lz4"])
def test_compressed_captures(kind: str, tmp_path: Path) -> None:
    noise = random.Random(1)
    plain = make.pcap([make.ethernet(make.ipv4(make.udp(noise.randbytes(n % 700)), 17)) for n in range(6000)])
    packed = _compressed(kind, plain)
    path = tmp_path / "capture"
    path.write_bytes(packed)
    opened = capture.read(path)
    assert opened.rewindable
    assert (rows(opened) == rows(of(plain))).all()
    assert len(rows(opened)) == 6000
    path.write_bytes(packed[: len(packed) * 2 // 3])
    cut = capture.read(path)
    assert 0 < len(rows(cut)) < 6000
    assert cut.notes


@pytest.mark.parametrize("kind", ["gzip", "zstd", "lz4"])
def test_compressed_garbage(kind: str) -> None:
    with pytest.raises(CaptureError):
        of(_compressed(kind, b"")[:4] + b"\xff" * 40)


@pytest.mark.parametrize(("package", "head"), [("zstandard", b"\x28\xb5\x2f\xfd"), ("lz4.frame", b"\x04\x22\x4d\x18")])
def test_a_missing_package_is_named(package: str, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=package.partition(".")[0]):
        of(head + bytes(60))


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"", "is empty"),
        (b"hello, this is no capture at all", "looks like text"),
        (b"\x7fELF" + bytes(60), "ELF"),
        (bytes(range(128, 192)), "binary data"),
        (b"\xd4\xc3\xb2\xa1" + bytes(10), "cut inside the file header"),
        (b"\x0a\x0d\x0d\x0a" + bytes(10), "section header"),
        (b"\x0a\x0d\x0d\x0a" + bytes(60), "section header"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(b"some text that was packed", mtime=0), "looks like text"),
    ],
)
def test_what_is_no_capture_is_an_error_of_one_line(octets: bytes, says: str) -> None:
    with pytest.raises(CaptureError, match=says) as caught:
        of(octets)
    assert "\n" not in str(caught.value)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such file"):
        capture.read(tmp_path / "absent.pcap")
    with pytest.raises(CaptureError, match="directory"):
        capture.read(tmp_path)
    with pytest.raises(CaptureError):
        capture.read("nul\0octet")


def test_no_octet_flipped_in_a_pcapng_escapes_as_another_error() -> None:
    octets = make.section() + make.interface(1, 0, make.option(9, b"\x06")) + make.enhanced(FRAMES[0])
    for at in range(len(octets)):
        for value in (0x00, 0x7F, 0xFF):
            changed = octets[:at] + bytes([value]) + octets[at + 1 :]
            try:
                found = rows(of(changed))
            except CaptureError:
                continue
            assert len(found) <= 2


def test_first_interfaces_are_known_before_the_packets_are_read_and_no_file_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(make.section() + make.interface(1, 0, make.option(2, b"eth0")) + make.enhanced(FRAMES[0]))
    opened = capture.read(path)
    assert [interface.name for interface in opened.interfaces] == ["eth0"]
    links = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)}
    assert str(path) not in links
    assert len(rows(opened)) == 1
    assert len(opened.interfaces) == 1


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def test_comments_of_packets_sections_and_interfaces() -> None:
    def said(*texts: str, order: str = "<") -> bytes:
        return b"".join(make.option(1, text.encode(), order) for text in texts)

    def packet(order: str, options: bytes) -> bytes:
        head = struct.pack(order + "IIIII", 0, 0, 0, 5, 5)
        return make.block(6, head + b"12345\0\0\0" + options, order)

    flags = make.option(2, b"\1\0\0\0")
    octets = (
        make.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + said("whole") + make.option(4, b"dumpcap"))
        + make.interface(1, 0, make.option(11, b"\0port 80") + said("a", "b"))
        + packet("<", flags + said("first", "wörds"))
        + packet("<", b"")
        + packet("<", flags)
        + make.section(">")
        + make.interface(1, 0, order=">")
        + packet(">", said("x\x1b[31m", order=">"))
        + make.block(2, struct.pack(">HHIIII", 0, 0, 0, 0, 1, 1) + b"y\0\0\0" + said("old", order=">"), ">")
    )
    opened = of(octets)
    assert rows(opened)["commented"].tolist() == [2, 0, 0, 1, 1]
    assert opened.comments == {1: ["first", "wörds"], 4: ["x\x1b[31m"], 5: ["old"]}
    assert opened.sections == [capture.Section(0, 1, application="dumpcap", comment="whole"), capture.Section(1, 4)]
    assert (opened.interfaces[0].filter, opened.interfaces[0].comment) == ("port 80", "a\nb")


def test_comments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MOST_COMMENTED", 3)
    options = make.option(1, b"long " * 10_000) + make.option(1, b"") * 25
    head = struct.pack("<IIIII", 0, 0, 0, 4, 4) + b"1234"
    opened = of(make.section() + make.interface() + make.block(6, head + options) * 5)
    assert rows(opened)["commented"].tolist() == [26] * 5
    assert (sorted(opened.comments), opened.comments_left_off) == ([1, 2, 3], 2)
    assert [len(text) for text in opened.comments[1][:2]] == [501, 0]
    assert opened.comments[1][-1] == "(6 more comments)"


def test_a_simple_packet_is_as_long_as_its_snap_length_allows() -> None:
    frame = FRAMES[2]
    octets = make.section() + make.interface(1, 60)
    octets += make.block(3, struct.pack("<I", len(frame)) + frame[:60])
    octets += make.block(3, struct.pack("<I", 20) + frame[:20]) + make.block(3, struct.pack("<I", 5) + b"12345")
    found = rows(of(octets))
    assert found["caplen"].tolist() == [60, 20, 5]
    assert found["wirelen"].tolist() == [len(frame), 20, 5]


@pytest.mark.parametrize("length", [-1, 0, 3, 1 << 62])
def test_the_length_of_a_section_is_not_believed(length: int) -> None:
    head = make.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, length))
    found = of(head + make.interface() + make.enhanced(FRAMES[0]) + head + make.interface() + make.enhanced(FRAMES[1]))
    assert rows(found)["caplen"].tolist() == [len(frame) for frame in FRAMES[:2]]


def test_blocks_without_packets_are_skipped_and_their_secrets_not_kept() -> None:
    others = [
        make.block(4, struct.pack("<HH", 1, 9) + b"\xc0\0\2\1evil\0\0\0\0" + bytes(4)),  # names
        make.block(5, bytes(12) + make.option(2, bytes(8))),  # statistics
        make.block(9, b"MESSAGE=hello\n"),  # systemd journal
        make.block(10, struct.pack("<II", 0x544C534B, 30) + b"CLIENT_RANDOM 00 11" + bytes(13)),  # secrets
        make.block(0x0BAD, struct.pack("<I", 1) + bytes(20)),
        make.block(0x40000BAD, struct.pack("<I", 1) + bytes(20)),
        make.block(0x80000001, bytes(8)),
    ]
    octets = make.section() + make.interface() + b"".join(other + make.enhanced(FRAMES[0]) for other in others)
    opened = of(octets)
    assert (rows(opened)["defect"] == 0).all()
    assert len(rows(opened)) == len(others)
    assert opened.notes == []


def test_a_file_that_grows_is_read_as_far_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    octets = make.pcap(FRAMES)
    path.write_bytes(octets[:-10])
    opened = capture.read(path)
    assert len(rows(opened)) == 2
    assert "being written" not in opened.notes[0]
    path.write_bytes(octets + octets[24:])
    assert len(rows(opened)) == 2
    assert len(opened.notes) == 1
    assert opened.notes[0].endswith("(it is being written)")
    assert len(rows(capture.read(path))) == 6


def test_what_a_pipe_holds_is_given_before_more_comes() -> None:
    end, start = os.pipe()
    octets = make.pcap(FRAMES)
    with os.fdopen(end, "rb", buffering=0) as stream, os.fdopen(start, "wb", buffering=0) as writer:
        writer.write(octets[:-30])
        windows = capture.read(stream).windows()
        first = next(windows)
        assert len(first.rec) == 2
        held = bytes(first.buf)
        writer.write(octets[-30:])
        second = next(windows)
        assert (len(second.rec), second.first_row) == (1, 2)
        assert bytes(first.buf) == held
        assert bytes(second.packet(0)) == FRAMES[2]
        writer.close()
        assert list(windows) == []


@pytest.mark.parametrize("endian", ["modified", "nsecpcap", "pcap", "pcapng"])
def test_files_of_other_tools_read_as_capinfos_and_tshark_read_them(endian: str, tmp_path: Path) -> None:
    needed = ("editcap", "mergecap", "tshark")
    if missing := [tool for tool in needed if shutil.which(tool) is None]:
        pytest.skip(f"{', '.join(missing)} not installed")
    sources = []
    for i, linktype in enumerate((1, 101)):
        source = tmp_path / f"{i}.pcap"
        frames = [frame[14 * (linktype == 101) :] for frame in FRAMES]
        source.write_bytes(make.pcap(frames, linktype=linktype, magic=0xA1B23C4D, step=1 + i, order="<>"[i]))
        sources.append(source)
    made = tmp_path / "made"
    several = sources if endian == "pcapng" else sources[:1]
    kind = {"modified": "modpcap"}.get(endian, endian)
    subprocess.run(["mergecap", "-F", kind, "-w", made, *several], check=True, capture_output=True)
    if endian == "pcapng":
        subprocess.run(["editcap", "-a", "2:a comment", made, tmp_path / "said"], check=True, capture_output=True)
        made = tmp_path / "said"
    fields = ["frame.cap_len", "frame.len", "frame.time_epoch", "frame.interface_id", "frame.comment"]
    command = ["tshark", "-r", made, "-T", "fields", *[part for name in fields for part in ("-e", name)]]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    opened = capture.read(made)
    found = rows(opened)
    assert len(found) == len(shown) == 3 * len(several)
    for row, line, number in zip(found, shown, itertools.count(1), strict=False):
        caplen, wirelen, when, interface, comment = line.split("\t")
        assert (row["caplen"], row["wirelen"]) == (int(caplen), int(wirelen))
        assert row["ts_ns"] == int(when.replace(".", ""))
        assert row["iface"] == int(interface or 0)
        assert opened.comments.get(number, []) == ([comment] if comment else [])
