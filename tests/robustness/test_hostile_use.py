"""Options, files and streams that nobody means well with: one line on stderr and exit code 2, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsrkit.compare import side
from dsrkit.compare.compare import compare
from dsrkit.verify.frames import AddressBook
from dsrkit.wire.address import V4_MAPPED, ip_text
from dsrkit.wire.capture import read

CAPTURE = str(next((Path(__file__).parents[2] / "pcaps" / "l2dsr").rglob("*.pcap*")))


def _run(args: list[str], *, closed: int | None = None) -> tuple[int, str]:
    """``dsrkit ARGS``, perhaps with a standard stream closed: exit code, and what stderr got."""
    command = [sys.executable, "-m", "dsrkit", *args]
    if closed is not None:
        command = ["sh", "-c", f'exec "$@" {closed}<&-', "sh", *command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def _refused(args: list[str], because: str, *, closed: int | None = None) -> None:
    code, err = _run(args, closed=closed)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert because in err


@pytest.mark.parametrize(
    "command", [["inspect", "-"], ["inspect", "--flows", "-"], ["verify", "-"], ["diff", "-", CAPTURE]]
)
def test_a_closed_standard_input_is_said(command: list[str]) -> None:
    _refused(command, "standard input is closed", closed=0)


@pytest.mark.parametrize(
    "command",
    [["inspect", CAPTURE], ["verify", CAPTURE], ["verify", "--format", "json", CAPTURE], ["craft", "nat", "-w", "-"]],
)
def test_a_closed_standard_output_is_said(command: list[str]) -> None:
    _refused(command, "the output is closed", closed=1)


def test_a_report_in_a_file_needs_no_standard_output(tmp_path: Path) -> None:
    report = tmp_path / "report"
    _, err = _run(["verify", "-o", str(report), CAPTURE], closed=1)
    assert "closed" not in err
    assert report.read_text()


@pytest.mark.parametrize("pattern", ["(" * 5000 + "a" + ")" * 5000, "a{99999999999999}"])
def test_a_regular_expression_beyond_measure_is_refused(pattern: str) -> None:
    _refused(["inspect", CAPTURE, "-Y", f'http.host matches "{pattern}"'], "too deep or repeats too often")


def test_a_count_beyond_any_capture_shows_all_of_it() -> None:
    assert _run(["inspect", CAPTURE, "-c", "9" * 40]) == (0, "")


def test_parquet_takes_nothing_away_but_a_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    neighbour = tmp_path / "file.part"
    neighbour.write_text("mine")
    _refused(["inspect", CAPTURE, "--parquet", str(pipe)], "not a regular file")
    assert pipe.is_fifo()
    assert _run(["inspect", CAPTURE, "--parquet", str(link)])[0] == 0
    assert link.is_symlink()
    assert file.read_bytes()[:4] == b"PAR1"
    assert neighbour.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 4


def test_clients_without_number_leave_nothing_in_the_address_book() -> None:
    v4 = np.uint64(V4_MAPPED) | np.random.default_rng(1).integers(0, 1 << 32, 100_000, np.uint64)
    hi, lo = np.zeros(len(v4) + 2, np.uint64), np.append(v4, [0, 1]).astype(np.uint64)
    book = AddressBook()
    numbers = book.intern(hi, lo)
    assert len(book) == 2  # no address, and ::1
    assert [book.halves(n) for n in numbers[-3:].tolist()] == [(0, int(v4[-1])), (0, 0), (0, 1)]
    assert (book.intern(hi, lo) == numbers).all()
    assert (AddressBook(book).intern(hi, lo) == numbers).all()
    assert book.number(ip_text(0, int(v4[7]))) == numbers[7]


def test_diff_leaves_a_pipe_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def readinto(self, buffer: Any) -> int:
            if not (got := super().readinto(buffer)):
                super().seek(24)  # the records again, for ever
                got = super().readinto(buffer)
            return got

    monkeypatch.setattr(side, "MOST_PACKETS", 10)
    found = compare(read(Pipe(Path(CAPTURE).read_bytes())), CAPTURE, how="copy")
    assert "pipe is read no further than it is compared: its first 10 packets" in " ".join(found.notes)
    assert found.packets[0] == 10
