"""Scenarios as capture files: octets pinned by hand, read back by tshark, and what happens when a file cannot be."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from craft_scenarios import TAPS, failing, l2dsr, volume

from dsrkit import __version__
from dsrkit.craft.frame import Frame
from dsrkit.craft.output.files import write_pcapng, write_split
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def one_frame(**changes: object) -> Scenario:
    frame = Frame("eth0", 0x0001_0002_0003_0004, b"\xaa" * 5, 1500, "", "", "hi")
    return Scenario("nat", "ipvs", ("eth0",), Spec(), kept=(dataclasses.replace(frame, **changes),))


def pcapng(scenario: Scenario) -> bytes:
    stream = io.BytesIO()
    write_pcapng(stream, scenario)
    return stream.getvalue()


def tshark(file: Path, *fields: str) -> list[list[str]]:
    argv = ["tshark", "-r", str(file), "-T", "fields", "-E", "separator=\x01"]
    run = subprocess.run([*argv, *(x for f in fields for x in ("-e", f))], capture_output=True, text=True, check=True)
    return [line.split("\x01") for line in run.stdout.splitlines()]


def test_pcapng_octets() -> None:
    """Typed from draft-ietf-opsawg-pcapng s4.1 to s4.3."""
    appl = f"dsrkit {__version__}".encode()
    padded = appl.ljust(-(-len(appl) // 4) * 4, b"\0")
    length = 28 + 4 + len(padded) + 4
    section = (
        bytes.fromhex("0a0d0d0a") + struct.pack("<I", length) + bytes.fromhex("4d3c2b1a 0100 0000 ffffffffffffffff")
    )
    section += struct.pack("<HH", 4, len(appl)) + padded + bytes(4) + struct.pack("<I", length)
    interface = bytes.fromhex(
        "01000000 28000000 0100 0000 00000400"
        "0200 0400 65746830"  # if_name eth0
        "0900 0100 09000000"  # if_tsresol: nanoseconds
        "00000000 28000000"
    )
    packet = bytes.fromhex(
        "06000000 34000000 00000000 02000100 04000300 05000000 dc050000"
        "aaaaaaaaaa000000"
        "0100 0200 68690000 00000000"  # opt_comment, opt_endofopt
        "34000000"
    )
    assert pcapng(one_frame()) == section + interface + packet


def test_a_frame_without_a_comment_has_no_options() -> None:
    assert pcapng(one_frame(comment="", data=b"\xaa" * 4))[-36:] == bytes.fromhex(
        "06000000 24000000 00000000 02000100 04000300 04000000 dc050000 aaaaaaaa 24000000"
    )


def test_pcap_octets(tmp_path: Path) -> None:
    """Typed from draft-ietf-opsawg-pcap s4 and s5."""
    ts_ns = 1_700_000_000_123_456_789
    files = write_split(tmp_path / "out", one_frame(ts_ns=ts_ns))
    assert [file.name for file in files] == ["eth0.pcap", "dsr.toml"]
    assert (
        files[0].read_bytes()
        == bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000")
        + struct.pack("<IIII", 1_700_000_000, 123_456_789, 5, 1500)
        + b"\xaa" * 5
    )


def test_a_long_comment_is_cut_between_characters() -> None:
    written = pcapng(one_frame(comment="é" * 40_000))
    size = struct.unpack_from("<H", written, written.index(b"\x01\0\xfe\xff") + 2)[0]
    assert size == 65_534
    assert written.endswith(struct.pack("<I", 28 + 8 + 4 + 65_536 + 4 + 4))


@needs_tshark
@pytest.mark.parametrize("scenario", [l2dsr(), volume(copies=7)], ids=["kept", "source"])
def test_tshark_reads_every_frame(tmp_path: Path, scenario: Scenario) -> None:
    frames = list(scenario.frames())
    assert scenario.write(tmp_path / "x.pcapng") == len(frames) > 0
    rows = tshark(tmp_path / "x.pcapng", "frame.interface_name", "frame.time_epoch", "frame.len", "frame.comment")
    assert rows == [
        [
            frame.tap,
            f"{frame.ts_ns // 10**9}.{frame.ts_ns % 10**9:09d}",
            str(frame.wire_octets),
            frame.comment.replace("\n", "\\n"),
        ]
        for frame in frames
    ]


@needs_tshark
def test_split_files_hold_the_frames_of_their_taps(tmp_path: Path) -> None:
    scenario = volume(copies=5)
    *files, spec = scenario.write_split(tmp_path)
    for tap, file in zip(TAPS, files, strict=True):
        times = [row[0] for row in tshark(file, "frame.time_epoch")]
        assert times == [f"{f.ts_ns // 10**9}.{f.ts_ns % 10**9:09d}" for f in scenario.frames(tap)]
    assert spec.name == "dsr.toml"


def test_octets_come_back(tmp_path: Path) -> None:
    """All frames of all lengths, read by walking the records."""
    scenario = volume()
    for tap, file in zip(TAPS, scenario.write_split(tmp_path), strict=False):
        data, at, found = file.read_bytes(), 24, []
        while at < len(data):
            size = struct.unpack_from("<I", data, at + 8)[0]
            found.append(data[at + 16 : at + 16 + size])
            at += 16 + size
        assert found == scenario[tap]


def test_the_spec_beside_the_files_names_them(tmp_path: Path) -> None:
    l2dsr().write_split(tmp_path)
    spec = Spec.load(tmp_path / "dsr.toml")
    assert [(tap.name, tap.file) for tap in spec.taps] == [(tap, tmp_path / f"{tap}.pcap") for tap in TAPS]
    assert (spec.taps[1].node, spec.taps[1].interface) == ("lb1", None)
    assert (spec.services, spec.nodes) == (l2dsr().spec.services, l2dsr().spec.nodes)


def test_tap_names_become_safe_file_names(tmp_path: Path) -> None:
    taps = ("web1/eth0", "web1:eth0", "../x", "b", "B", ".")
    files = write_split(tmp_path, Scenario("nat", "ipvs", taps, Spec()))
    assert [file.name for file in files[:-1]] == [
        "web1_eth0.pcap",
        "web1_eth0-2.pcap",
        "_._x.pcap",
        "b.pcap",
        "B-2.pcap",
        "_.pcap",
    ]
    assert [tap.file for tap in Spec.load(files[-1]).taps] == files[:-1]


def test_no_frames(tmp_path: Path) -> None:
    empty = Scenario("nat", "ipvs", TAPS, Spec())
    assert empty.write(tmp_path / "x.pcapng") == 0
    assert [file.stat().st_size for file in empty.write_split(tmp_path)[:-1]] == [24] * 4


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        l2dsr().write(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("kept")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        l2dsr().write_split(tmp_path / "x")
    assert (tmp_path / "x").read_text() == "kept"


@pytest.mark.parametrize("write", [write_pcapng, lambda path, scenario: write_split(path, scenario)])
def test_a_missing_folder_is_named(tmp_path: Path, write: object) -> None:
    assert callable(write)
    with pytest.raises(UsageError, match="missing' does not exist"):
        write(tmp_path / "missing" / "x", l2dsr())


def test_a_nul_in_the_name() -> None:
    with pytest.raises(UsageError, match="cannot write"):
        l2dsr().write("x\0y")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk() -> None:
    with pytest.raises(UsageError, match=f"cannot write '/dev/full': {os.strerror(errno.ENOSPC)}"):
        volume().write("/dev/full")
    assert os.path.exists("/dev/full")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_is_left(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises((UsageError, KeyboardInterrupt)):
        failing(error).write(tmp_path / "x.pcapng")
    with pytest.raises((UsageError, KeyboardInterrupt)):
        failing(error).write_split(tmp_path / "new")
    (tmp_path / "old").mkdir()
    with pytest.raises((UsageError, KeyboardInterrupt)):
        failing(error).write_split(tmp_path / "old")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old"]
