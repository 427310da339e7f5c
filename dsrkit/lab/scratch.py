"""The folder of a running lab: locked while it runs, so that the next lab can clear what a killed one left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dsrkit.errors import UsageError

PREFIX: Final = "dsrkit-lab-"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that goes away with the lab; those of labs that were killed go first.

    Raises: UsageError if there is no place for it.
    """
    try:
        clear(Path(tempfile.gettempdir()))
        folder, lock = _made()
    except OSError as error:
        raise UsageError(f"no temporary folder for the lab: {error.strerror or error}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear(parent: Path) -> None:
    """Remove the folders there whose lab has ended; another user's, and what only has the name, stay."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _made() -> tuple[Path, int]:
    """A new folder, locked. Somebody may clear it before the lock is there: then another one is made."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)
