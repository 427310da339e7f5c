"""How far a long reading has got, on stderr, if that is a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE: Final = 1.0
"""Seconds that pass before anything is shown."""


class Watch:
    """A bar that appears after a while; `step` moves it, `hide` makes room for lines on the same terminal."""

    def __init__(self, file: str, *, wanted: bool) -> None:
        self._wanted = wanted and sys.stderr is not None and sys.stderr.isatty()
        self._size = os.path.getsize(file) if os.path.isfile(file) else None
        self._since = time.monotonic()
        self._bar: Progress | None = None

    def step(self, octets: int, frames: int) -> None:
        """So far: octets of the capture, and frames."""
        if not self._wanted or time.monotonic() - self._since < PATIENCE:
            return
        if self._bar is None:
            self._bar = _bar()
            self._bar.add_task("reading", total=self._size, frames=frames)
            self._bar.start()
        known = self._size is not None and octets <= self._size  # what is unpacked is more than the file
        self._bar.update(self._bar.task_ids[0], completed=octets, total=self._size if known else None, frames=frames)

    def hide(self) -> None:
        """Clear the bar away; the next step shows it again, after a while."""
        self._since = time.monotonic()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def watching(file: str, *, wanted: bool) -> Iterator[Watch]:
    """A watch that is cleared away at the end."""
    watch = Watch(file, wanted=wanted)
    try:
        yield watch
    finally:
        watch.hide()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[frames]:,} frames"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
