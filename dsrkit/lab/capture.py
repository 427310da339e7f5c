"""tcpdump at every tap, inside the machine of the engine. Standard library only."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dsrkit.lab.job import Tap

READY_SECONDS: Final = 15.0
LAST_FRAMES: Final = 0.4
"""Seconds for what is still on its way when the last client is done."""


class CaptureFailed(Exception):
    """A tap that never listened, or that did not say what it lost."""


@contextmanager
def recording(taps: Iterable[Tap], folder: Path) -> Iterator[dict[str, int]]:
    """Listen at all taps; once it ends, the mapping holds the frames that the kernel dropped, by file.

    Raises: CaptureFailed if one does not listen in time.
    """
    running: list[tuple[Tap, subprocess.Popen[bytes], Path]] = []
    drops: dict[str, int] = {}
    try:
        for tap in taps:
            log = folder / f"{tap.file}.log"
            words = ["tcpdump", "-i", tap.interface, "-n", "-s", "0", "-U", "--immediate-mode", "-B", "4096"]
            with log.open("wb") as stream:
                command = ["ip", "netns", "exec", tap.node, *words, "-Z", "root", "-w", str(folder / tap.file)]
                running.append((tap, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stream), log))
        for tap, process, log in running:
            _wait(tap, process, log)
        yield drops
        time.sleep(LAST_FRAMES)
    finally:
        for _, process, _ in running:
            process.send_signal(signal.SIGINT)
        for tap, process, log in running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            found = re.search(r"(\d+) packets? dropped by kernel", log.read_text(errors="replace"))
            if found is None:
                raise CaptureFailed(f"tcpdump at {tap.node} {tap.interface} did not end well")
            drops[tap.file] = int(found[1])


def _wait(tap: Tap, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while "listening on" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            raise CaptureFailed(f"tcpdump at {tap.node} {tap.interface}: {log.read_text(errors='replace').strip()}")
        time.sleep(0.02)
