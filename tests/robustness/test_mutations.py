"""Captures of other projects and our own, mutated: nothing crashes, hangs, floods memory or writes to the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from robustness import examine, forks, mutations

SEED = 7
CHUNK = 1000
PLAIN = 30
"""Files that the command line gets as they are."""
MUTANTS = 270


@pytest.mark.parametrize("chunk", range(10))
def test_ten_thousand_mutants_in_the_library(chunk: int) -> None:
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "robustness.examine", *map(str, (SEED, chunk * CHUNK, (chunk + 1) * CHUNK))],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *hurt, peak = done.stdout.splitlines()
    assert not hurt, "\n".join(hurt[:60])
    assert int(peak) <= 300


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_three_hundred_files_on_the_command_line(command: str, tmp_path: Path) -> None:
    files = mutations.corpus(examine.MOST_OCTETS)
    plain = files[:: len(files) // PLAIN][:PLAIN]
    mutants = [mutations.mutant(i, SEED + 1, files) for i in range(MUTANTS)]
    commands, names = [], {}
    for i, (name, octets) in enumerate([*plain, *mutants]):
        path = tmp_path / f"{i}.pcap"
        path.write_bytes(octets)
        names[str(path)] = name
        commands.append([command, str(path)])
    done = list(forks.runs(commands))
    hurt = [f"{names[run.args[-1]]}: {what}" for run in done for what in run.complaints]
    assert not hurt, "\n".join(hurt[:40])
    assert len(done) == PLAIN + MUTANTS
    assert {run.code for run in done} >= {0, 2}
