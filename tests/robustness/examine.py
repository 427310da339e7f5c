"""Everything that the library does with a capture, done to many mutants; run as a program, so that a crash is seen.

``python -m robustness.examine SEED FIRST STOP`` prints a line per mutant that hurt, then the peak of its memory.
"""

from __future__ import annotations

import faulthandler
import io
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from types import FrameType

import dsrkit
from dsrkit.errors import DsrkitError
from dsrkit.wire.columns import FIELDS
from dsrkit.wire.dissect.frame import dissect
from robustness import mutations
from robustness.peak import peak_mb

MOST_SECONDS = 2.0
MOST_OCTETS = 100_000
FRAMES = 12
"""Frames of each mutant that are taken apart field by field."""


class Hang(Exception):
    """It took too long."""


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang(f"more than {MOST_SECONDS} s of CPU")


def scan(octets: bytes) -> None:
    """Read a capture with its comments, and take its first frames apart."""
    capture = dsrkit.read(io.BytesIO(octets))
    left = FRAMES
    for window in capture.windows():
        list(window.commented())
        rows = window.rec[:left]
        for i in range(len(rows)):
            frame = dissect(bytes(window.packet(i)), int(rows["linktype"][i]), wirelen=int(rows["wirelen"][i]))
            for layer in frame.layers:
                assert all(0 <= f.start <= f.stop <= len(frame.octets) for f in layer.fields)
        left -= len(rows)


def decode(octets: bytes) -> None:
    """Read all columns of a capture."""
    columns = dsrkit.decode(dsrkit.read(io.BytesIO(octets)))
    for name in FIELDS:
        columns[name]


def verify(octets: bytes, folder: Path) -> None:
    """Verify a capture and write its report."""
    path = folder / "mutant"
    path.write_bytes(octets)
    dsrkit.verify(str(path)).to_json()


def main(seed: int, first: int, stop: int) -> None:
    """Examine the mutants of a seed from `first` on; every second is decoded, every tenth verified as well."""
    faulthandler.enable()
    signal.signal(signal.SIGPROF, _hang)
    files = mutations.corpus(MOST_OCTETS)
    with tempfile.TemporaryDirectory() as folder:
        for i in range(first, stop):
            name, octets = mutations.mutant(i, seed, files)
            print(f"at {name}", file=sys.stderr, flush=True)  # the last line that a crash leaves
            signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
            try:
                scan(octets)
                if i % 2:
                    decode(octets)
                if i % 10 == 0:
                    verify(octets, Path(folder))
            except DsrkitError as error:
                if "\n" in str(error):
                    print(f"{name}: an error of several lines: {error!s}")
            except Exception:
                print(f"{name}: {traceback.format_exc(limit=-3)}")
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    print(peak_mb())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
