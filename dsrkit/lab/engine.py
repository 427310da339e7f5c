"""The machine that a lab runs in, and which one a set-up can run in here.

An engine runs `dsrkit.lab.inside` as root of namespaces that nobody else is in. Those, and every process in them, end
with the process that `dsrkit` starts; that one ends with `dsrkit`, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dsrkit.errors import DsrkitError
from dsrkit.lab.job import LOG_FILE
from dsrkit.lab.parts import search_path

LIMIT: Final = 240.0
PACKAGE_ROOT: Final = Path(__file__).parents[2]


class LabError(DsrkitError):
    """A lab could not be built, or its machine did not come back; the message says which command said what."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A kind of machine.

    `run` carries out the job of a folder. `missing` says what this computer lacks for some kernel modules and programs.
    """

    name: str
    what: str
    run: Callable[[Path], None]
    missing: Callable[[Sequence[str], Sequence[str]], list[str]]
    interactive: bool = False


def started(argv: Sequence[str], folder: Path, *, interactive: bool = False) -> None:
    """Run the process that holds a lab, and end it whatever happens here.

    Raises: LabError if it takes far too long.
    """
    with (folder / LOG_FILE).open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            cwd=folder,
            env={**os.environ, "PATH": search_path()},
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=None if interactive else log,
            stderr=None if interactive else log,
            start_new_session=not interactive,  # else Ctrl-C would end the machine before it could be asked to
        )
        try:
            process.wait(None if interactive else LIMIT)
        except subprocess.TimeoutExpired:
            raise LabError(f"the lab did not end within {LIMIT:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def inside() -> list[str]:
    """The command that carries out the job of the current folder."""
    program = f"import sys; sys.path.insert(0, {str(PACKAGE_ROOT)!r}); from dsrkit.lab.inside import main; main()"
    return [sys.executable, "-I", "-S", "-B", "-c", program, "."]
