"""The two sides of a comparison: their packets, held in memory up to a bound, and as one set of columns."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Final, TypeAlias

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.spec import Spec
from dsrkit.verify.batches import tap_of
from dsrkit.verify.frames import AddressBook, Frames, Ints
from dsrkit.verify.scene import TapInfo
from dsrkit.wire.capture import Capture, Rows, read
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Dissection
from dsrkit.wire.layout import RECORD
from dsrkit.wire.rows import joined

MOST_PACKETS: Final = 100_000
MOST_OCTETS: Final = 64 << 20
"""What one side holds at most; what is beyond is counted and not compared."""

Source: TypeAlias = str | os.PathLike[str] | Capture | Iterable[bytes]
"""A capture by its path, an open one, or Ethernet frames as octets."""


@dataclass(frozen=True, slots=True)
class Side:
    """`rec` are the records, `octets` the frames, both in the order of the file; `unread` counts what is beyond.

    `left_open` says that there may be more than that: a pipe, which may never end, is not read on only to count.
    """

    name: str
    capture: Capture
    rec: Rows
    octets: Sequence[bytes]
    unread: int
    left_open: bool

    def __len__(self) -> int:
        return len(self.rec)


def side(source: Source, name: str) -> Side:
    """Read a side.

    Raises: CaptureError where it cannot be read.
    """
    capture, title = _opened(source, name)
    parts: list[Rows] = []
    frames: list[bytes] = []
    held = unread = 0
    left_open = False
    for window in capture.windows():
        room = MOST_PACKETS - len(frames) if held < MOST_OCTETS else 0
        rows = min(room, len(window.rec))
        unread += len(window.rec) - rows
        if rows:
            parts.append(window.rec[:rows].copy())
            fresh = [bytes(window.packet(i)) for i in range(rows)]
            held += sum(map(len, fresh))
            frames += fresh
        if unread and not capture.rewindable:
            left_open = True
            break
    rec = np.concatenate(parts) if parts else np.zeros(0, RECORD)
    return Side(title, capture, rec, frames, unread, left_open)


def _opened(source: Source, name: str) -> tuple[Capture, str]:
    if isinstance(source, Capture):
        return source, source.path
    if isinstance(source, str | os.PathLike):
        return read(source), os.fspath(source)
    return read(io.BytesIO(_as_pcap(source))), name


def _as_pcap(frames: Iterable[bytes]) -> bytes:
    """Frames as a capture file, a microsecond apart. Source: draft-ietf-opsawg-pcap s4."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 1)]
    for number, frame in enumerate(frames):
        octets = bytes(frame)
        parts += [struct.pack("<IIII", *divmod(number, 1_000_000), len(octets), len(octets)), octets]
    return b"".join(parts)


@dataclass(slots=True)
class Both:
    """The packets of both sides as one set of columns: rows below `split` are A's. `taps` are those of both."""

    a: Side
    b: Side
    spec: Spec | None = None
    book: AddressBook = field(default_factory=AddressBook)
    taps: list[TapInfo] = field(default_factory=list)
    frames: Frames = field(init=False)

    def __post_init__(self) -> None:
        tap = np.concatenate([self._taps_of(self.a), self._taps_of(self.b)])
        number = np.concatenate([np.arange(1, len(side) + 1, dtype=np.int64) for side in (self.a, self.b)])
        self.frames = Frames(self.book, joined([self.a.rec, self.b.rec]), tap, number, self._octets)

    @property
    def split(self) -> int:
        return len(self.a)

    def octets(self, row: int) -> bytes:
        """A frame as it was captured."""
        return self.a.octets[row] if row < self.split else self.b.octets[row - self.split]

    def dissect(self, row: int) -> Dissection:
        """A frame taken apart."""
        rec = self.frames.rec[row]
        return dissect(self.octets(row), int(rec["linktype"]), wirelen=int(rec["wirelen"]))

    def _taps_of(self, one: Side) -> Ints:
        """The tap of each packet of a side; its interfaces are taps of their own."""
        file = TapInfo("a" if one is self.a else "b", one.capture.path)
        used, place = np.unique(one.rec["iface"], return_inverse=True)
        numbers = []
        for interface in used.tolist():
            numbers.append(len(self.taps))
            self.taps.append(tap_of(file, one.capture, interface, self.taps, self.spec))
        return np.asarray(numbers, np.int64)[place] if numbers else np.zeros(0, np.int64)

    def _octets(self, tap: int, offset: int, size: int) -> bytes:
        one = self.a if tap <= int(self.frames.tap[: self.split].max(initial=-1)) else self.b
        row = int(np.searchsorted(one.rec["offset"], offset, side="right")) - 1
        start = offset - int(one.rec["offset"][row])
        return one.octets[row][start : start + size]
