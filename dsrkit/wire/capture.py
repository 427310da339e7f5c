"""Capture files: from octets in pcap, pcapng, compressed or piped, to windows of decoded rows, in constant memory.

A `Capture` is read in windows: one buffer of octets, the rows (`layout.RECORD`) of the packets that lie in it. Buffers
are used again as soon as nobody holds a window, its rows or a packet of it any more, so memory does not grow with the
file and nothing that is still held ever changes.

Source: draft-ietf-opsawg-pcap s4-5, draft-ietf-opsawg-pcapng s3-4.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import islice
from typing import IO, Final

import numpy as np

from dsrkit.errors import CaptureError
from dsrkit.wire import scanner
from dsrkit.wire.files.parts import Interface, Rows, Section, Window
from dsrkit.wire.files.reading import Pass
from dsrkit.wire.files.source import Source

__all__ = ["MOST_COMMENTED", "Capture", "Interface", "Rows", "Section", "Window", "read"]

MOST_COMMENTED: Final = 1000
"""Packets whose comments a capture keeps; `Window.comments` gives those of every packet."""


class Capture:
    """A capture file, pipe or stream; made by `read`.

    All texts in it are the file's and unescaped: escape them where they are shown. `notes`, `comments` and
    `comments_left_off` are about the last pass of `windows`, as far as it has got; `interfaces` and `sections` are
    those found so far.
    """

    def __init__(
        self, source: Source, tap: str | None, gue_ports: Collection[int], interpreted: bool, whole: bool = False
    ) -> None:
        self.path = source.path
        self.tap = tap
        self.format = ""
        self.interfaces: list[Interface] = []
        self.sections: list[Section] = []
        """Sections of a pcapng file, the first of many; none in other formats."""
        self.comments: dict[int, list[str]] = {}
        """Comments of packets by frame number (1-based), of the first `MOST_COMMENTED` packets that have any."""
        self.comments_left_off = 0
        """Packets with comments that are not in `comments`."""
        self.notes: list[str] = []
        self.rewindable = source.rewindable
        self.plain = False
        """Whether `octets` can read single packets: an uncompressed file on disk."""
        self.corrupt = False
        """Whether the compressed data turned out to be damaged, so that anything read of it may be wrong."""
        self.whole = whole
        self._source = source
        self._module = scanner.load(interpreted=interpreted)
        self._gue = bytearray(65536)
        for port in gue_ports:
            self._gue[port] = 1
        if interpreted or scanner.backend() == "interpreted":
            self.notes.append(scanner.INTERPRETED_NOTE)
        self._standing = len(self.notes)
        self._pass: Pass | None = Pass(self, source.open())
        if self.rewindable:  # only looked at: a capture that waits to be read holds no file open
            self._pass.close()
            self._pass = None

    def windows(self) -> Iterator[Window]:
        """The capture from its start, window by window.

        Raises: CaptureError where a pipe is read a second time, or reading fails.
        """
        reading, self._pass = self._pass, None
        if reading is None:
            if not self.rewindable:
                raise CaptureError(f"{self._source.name}: a pipe can be read only once")
            del self.notes[self._standing :]
            self.comments.clear()
            self.comments_left_off = 0
            reading = Pass(self, self._source.open())
        return reading.windows()

    def octets(self, offset: int, size: int) -> bytes:
        """Octets of a `plain` capture from an offset (`rec["offset"]`), fewer at the file's end.

        Raises: CaptureError where the file cannot be read any more.
        """
        return self._source.octets(offset, size)

    def vouch(self) -> None:
        """Raises: CaptureError where what was read may be wrong."""
        if self.corrupt:
            raise CaptureError(
                f"{self._source.name}: the compressed data is damaged, so what was read of it may be wrong and is not "
                "judged; capture again, or unpack it and look at what is left"
            )

    def note(self, text: str) -> None:
        """Add to the notes what is not there yet."""
        if text not in self.notes:
            self.notes.append(text)

    def comment(self, window: Window) -> None:
        """Keep the comments of a window's packets, if there are not too many; the rest is only counted."""
        commented = int(np.count_nonzero(window.rec["commented"]))
        if commented:
            kept = len(self.comments)
            self.comments.update(islice(window.commented(), MOST_COMMENTED - kept))
            self.comments_left_off += commented - (len(self.comments) - kept)


def read(
    path: str | os.PathLike[str] | IO[bytes],
    *,
    tap: str | None = None,
    gue_ports: Collection[int] = scanner.GUE_PORTS,
    interpreted: bool = False,
    whole: bool = False,
) -> Capture:
    """Open a capture: a path, ``"-"`` for standard input, or a binary file object; packets are read by `windows`.

    `gue_ports` are the UDP ports whose datagrams may be GUE; `interpreted` takes the interpreted scan (for tests).
    `whole`: windows of a pipe are filled before they are given, so that what is made of them does not depend on when it
    was written; else there is one for what has come.

    Raises: CaptureError where there is no capture to read; MissingDependency where a package for its compression is
    absent.
    """
    return Capture(Source(path), tap, gue_ports, interpreted, whole)
