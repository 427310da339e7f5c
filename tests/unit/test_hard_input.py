"""What verify does with input that is hard to read: damaged compression, disorder, pipes that come in bits or stall."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import dsrkit
from dsrkit.errors import CaptureError
from dsrkit.wire.files.headers import PCAP_HEADER

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import generate
from generate import Plan

PACKETS = 30_000
"""Per tap: together more than one batch."""
END_S = 10


@pytest.fixture(scope="module")
def taps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    plan = Plan(mode="nat", packets=PACKETS, sizes="small", rate=5000)
    return [Path(file) for file in generate.generate(plan, tmp_path_factory.mktemp("nat")).files.values()]


def flipped(octets: bytes) -> bytes:
    """One bit of the middle is another."""
    middle = len(octets) // 2
    return octets[:middle] + bytes([octets[middle] ^ 8]) + octets[middle + 1 :]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_nothing_is_judged_by_damaged_compression(taps: list[Path], tmp_path: Path, packed: str, jobs: int) -> None:
    file = tmp_path / f"behind.pcap.{packed}"
    octets = taps[1].read_bytes()
    if packed == "gz":
        file.write_bytes(flipped(gzip.compress(octets, 1)))
    else:
        zstandard = pytest.importorskip("zstandard")
        file.write_bytes(flipped(zstandard.ZstdCompressor(write_checksum=True).compress(octets)))
    with pytest.raises(CaptureError, match="compressed data is damaged"):
        dsrkit.verify([taps[0], file], jobs=jobs)


def test_compressed_data_that_is_cut_is_judged_as_far_as_it_goes(taps: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "behind.pcap.gz"
    packed = gzip.compress(taps[1].read_bytes(), 1)
    file.write_bytes(packed[: len(packed) // 2])
    report = dsrkit.verify([taps[0], file])
    assert report.exit_code == 0
    assert sum(journey.paired for journey in report.journeys) > PACKETS // 4
    assert any("before its end mark" in note for note in report.notes)


@pytest.mark.parametrize("jobs", [1, 2])
def test_disorder_beyond_a_batch_is_said(taps: list[Path], tmp_path: Path, jobs: int) -> None:
    octets = taps[1].read_bytes()
    half = record_at(octets, PACKETS // 2)
    file = tmp_path / "behind.pcap"
    file.write_bytes(octets[:PCAP_HEADER] + octets[half:] + octets[PCAP_HEADER:half])
    report = dsrkit.verify([taps[0], file], jobs=jobs)
    assert not report.findings
    assert any(note.startswith("behind: ") and "come long after later ones" in note for note in report.notes)
    assert not any("come long after" in note for note in dsrkit.verify(taps, jobs=jobs).notes)


def record_at(octets: bytes, number: int) -> int:
    """Where a record of a little-endian capture begins. Units: octets."""
    at = PCAP_HEADER
    for _ in range(number):
        at += 16 + int.from_bytes(octets[at + 8 : at + 12], "little")
    return at


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dsrkit", "verify", *words]


def test_a_pipe_says_the_same_however_it_is_written(taps: list[Path]) -> None:
    octets = taps[1].read_bytes()
    said = set()
    for jobs, step in (("1", len(octets)), ("1", 50_001), ("3", 7_919)):
        words = command(str(taps[0]), "-", "--format", "json", "--jobs", jobs)
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            for at in range(0, len(octets), step):
                running.stdin.write(octets[at : at + step])
                running.stdin.flush()
            running.stdin.close()
            said.add(running.stdout.read())
        assert running.returncode == 0
    assert len(said) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("jobs", ["1", "2", "8"])
def test_ctrl_c_ends_a_stalled_pipe(taps: list[Path], jobs: int) -> None:
    octets = taps[1].read_bytes()
    words = command(str(taps[0]), "-", "--jobs", str(jobs))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in a shell's background ignore it, as do theirs
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(octets[: 2 << 20])  # more than a pipe holds: it is being read when this ends
        running.stdin.flush()
        running.send_signal(signal.SIGINT)
        watch = threading.Timer(END_S, running.kill)
        watch.start()
        try:
            said = running.stderr.read()
        finally:
            watch.cancel()
    assert running.returncode == 130
    assert b"Traceback" not in said
    assert b"Fatal" not in said
