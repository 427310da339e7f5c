"""Streams of gigabytes from a pipe: memory does not grow with them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from robustness import stream

TESTS = Path(__file__).parents[1]
OCTETS = 5_000_000_000
PAYLOAD = 60_000
MOST_MB = 300


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def _run(args: list[str], stdin: IO[bytes]) -> tuple[int, str, str, int]:
    """``dsrkit ARGS <stdin``: exit code, output, errors, and the peak of its memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        out, err, peak = (Path(folder) / name for name in ("out", "err", "peak"))
        command = [sys.executable, "-m", "robustness.peak", str(peak), *args]
        with stdin, out.open("w") as to_out, err.open("w") as to_err:
            done = subprocess.run(command, stdin=stdin, stdout=to_out, stderr=to_err, env=_environment(), check=False)
        return done.returncode, out.read_text(), err.read_text(), int(peak.read_text())


def _streamed(args: list[str]) -> tuple[int, str, str, int]:
    writer = [sys.executable, "-m", "robustness.stream", str(OCTETS), str(PAYLOAD)]
    with subprocess.Popen(writer, stdout=subprocess.PIPE, env=_environment()) as source:
        assert source.stdout is not None
        return _run(args, source.stdout)


def test_five_gigabytes_are_verified_in_constant_memory() -> None:
    code, out, err, peak = _streamed(["verify", "-", "--format", "json"])
    assert (code, err) == (0, "")
    assert json.loads(out)["traffic"]["request_octets"] > 0.49 * OCTETS  # each packet is there twice
    assert peak <= MOST_MB


def test_five_gigabytes_are_inspected_in_constant_memory() -> None:
    syn = "tcp.flags.syn == 1 and ip.ttl == 62 and tcp.srcport == 1024"  # one of each round
    code, out, err, peak = _streamed(["inspect", "-", "--where", syn])
    assert (code, err) == (0, "")
    rounds = OCTETS / (2 * stream.CONNECTIONS * 8 * (PAYLOAD + 70))
    assert 0.99 * rounds < sum("10.0." in line and "SYN" in line for line in out.splitlines()) < 1.01 * rounds
    assert peak <= MOST_MB


def test_a_sparse_file_is_read_over_its_hole(tmp_path: Path) -> None:
    made = io.BytesIO()
    stream.write(made, 20_000, 100)
    head, records = made.getvalue()[:24], made.getvalue()[24:]
    sparse = tmp_path / "sparse.pcap"
    with sparse.open("wb") as file:
        file.write(head + records)
        file.seek(1_000_000_000, os.SEEK_CUR)
        file.write(records)
    code, out, err, peak = _run(["verify", "-", "--format", "json"], sparse.open("rb"))
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert any(f"damaged at offset {24 + len(records)}: zeros" in note for note in report["notes"])
    assert any("1000000000 octets are skipped" in note for note in report["notes"])
    assert peak <= MOST_MB
