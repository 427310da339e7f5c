"""Capture files that are entered in the middle, and several files of one tap as one capture.

An index is made by reading a file once as anybody would, so that numbers of frames and what is damaged are the same
wherever reading starts later. Only plain files with one section and all interfaces in front can be entered in the
middle; others are read from their start.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final, cast

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError
from dsrkit.verify.frames import AddressBook, Frames, Ints, Words, mix
from dsrkit.wire.capture import Capture, Interface, Window, read
from dsrkit.wire.layout import DEFECT_RECORD

FILE_SHIFT: Final = 40
"""The number of a file among those of its tap stands above so many bits of frame numbers and offsets."""
_LOW: Final = (1 << FILE_SHIFT) - 1
_EARLY, _LATE = -(1 << 63), (1 << 63) - 1
_SAMPLED_ROWS: Final = 30_000
_SAMPLES: Final = 20_000
_PACKET_BLOCKS: Final = (b"\x06\0\0\0", b"\0\0\0\x06", b"\x02\0\0\0", b"\0\0\0\x02")
"""pcapng blocks with 28 octets before the packet. Source: draft-ietf-opsawg-pcapng s4.3, appendix A."""


@dataclass(frozen=True, slots=True)
class Index:
    """Where a file can be entered, and what is known of it without its packets.

    Shape: `marks` (n, 4): the record at an offset is that of a row (from 0); no earlier one has a time after the third
    column, no later one a time before the fourth. `keys` and `times` (samples,): TCP segments. Units: ns.
    Absent: `head` 0, octets before the first record, where the file can only be read from its start.
    """

    path: str
    packets: int
    head: int
    marks: Ints
    last_ns: int
    interfaces: tuple[Interface, ...]
    keys: Words
    times: Ints
    notes: tuple[str, ...]


def index_of(path: str) -> Index:
    """Read a file once.

    Raises: CaptureError where it cannot be read, UsageError where it cannot be read again.
    """
    capture = read(path)
    if not capture.rewindable:
        raise UsageError(f"{path}: what is read in slices must be a regular file")
    described, packets, last = len(capture.interfaces), 0, _EARLY
    marks: list[tuple[int, int, int, int]] = []
    keys, times = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for window in capture.windows():
        if not len(window.rec):
            continue
        when = window.rec["ts_ns"]
        start = _start(capture, window)
        if start is None and marks:
            marks[-1] = (*marks[-1][:3], min(marks[-1][3], int(when.min())))
        else:
            marks.append((start or 0, window.first_row, last, int(when.min())))
        if sum(map(len, keys)) < _SAMPLES:
            sample = _sample(window, 8 if packets < _SAMPLED_ROWS else 64)
            keys.append(sample[0])
            times.append(sample[1])
        packets += len(when)
        last = max(last, int(when.max()))
    table = np.asarray(marks, np.int64).reshape(-1, 4)
    table[:, 3] = np.minimum.accumulate(table[::-1, 3])[::-1]
    enters = capture.plain and len(capture.sections) < 2 and len(capture.interfaces) == described
    head = int(table[0, 0]) if enters and len(table) else 0
    capture.vouch()
    return Index(
        path,
        packets,
        head,
        table if head else table[:1],
        last,
        tuple(capture.interfaces),
        np.concatenate(keys),
        np.concatenate(times),
        tuple(capture.notes),
    )


def _start(capture: Capture, window: Window) -> int | None:
    """Where the record of a window's first packet begins; None where that is not sure."""
    if window.rec["defect"][0] == DEFECT_RECORD:
        return None
    packet = int(window.rec["offset"][0])
    if capture.format != "pcapng":
        return packet - (24 if "modified" in capture.format else 16)
    at = packet - 28 - window.base
    if at >= 0 and bytes(window.buf[at : at + 4]) in _PACKET_BLOCKS:
        return packet - 28
    return None  # a simple packet block


def _sample(window: Window, one_of: int) -> tuple[Words, Ints]:
    """Keys and times of some TCP segments, the same ones at every tap."""
    rows = np.zeros(len(window.rec), np.int64)
    f = Frames(AddressBook(), window.rec, rows, rows)
    tcp = np.flatnonzero(f.is_tcp & (f.seq != 0))
    key = mix(f.seq[tcp], f.ack[tcp], f.flags[tcp], f.payload_len[tcp])
    chosen = key % np.uint64(one_of) == 0
    return key[chosen], f.ts[tcp][chosen]


class Parts(Capture):
    """The files of one tap as one capture, between two times.

    Numbers of frames and offsets carry the number of their file, see `FILE_SHIFT`.
    Units: `since` and `until` in ns of the tap's own clock; what is read is at least what lies between them.
    """

    def __init__(self, indexes: Sequence[Index], since: int = _EARLY, until: int = _LATE) -> None:
        self.indexes = indexes
        self.since, self.until = since, until
        self.path, self.tap, self.format = indexes[0].path, None, ""
        self.interfaces = list(indexes[0].interfaces)
        self.sections, self.comments, self.comments_left_off = [], {}, 0
        self.notes: list[str] = []
        self.rewindable = True
        self.plain = all(read(index.path).plain for _, index in self._wanted())

    def _wanted(self) -> Iterator[tuple[int, Index]]:
        """Files with packets between the two times, and their numbers."""
        for number, index in enumerate(self.indexes):
            if index.packets and index.marks[0, 3] <= self.until and index.last_ns >= self.since:
                yield number, index

    def windows(self) -> Iterator[Window]:
        for number, index in self._wanted():
            yield from self._windows(number, index)

    def _windows(self, number: int, index: Index) -> Iterator[Window]:
        enter = max(int(np.searchsorted(index.marks[:, 2], self.since, "left")) - 1, 0)
        offset, first_row = index.marks[enter, :2].tolist()
        ends = index.marks[index.marks[:, 3] > self.until, 1]
        end = int(ends[0]) if len(ends) else index.packets
        shift = (number << FILE_SHIFT) + (offset - index.head if enter else 0)
        row = (number << FILE_SHIFT) + (first_row if enter else 0)
        capture = read(cast(IO[bytes], _From(index.path, index.head, offset))) if enter else read(index.path)
        windows = cast(Any, capture.windows())
        try:
            for window in windows:
                if shift:
                    window.rec["offset"] += shift
                yield Window(window.rec, window.first_row + row, window.buf, window.base + shift)
                if window.first_row + len(window.rec) + (first_row if enter else 0) >= end:
                    return
        finally:
            windows.close()

    def octets(self, offset: int, size: int) -> bytes:
        with open(self.indexes[offset >> FILE_SHIFT].path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset & _LOW)


class _From(io.RawIOBase):
    """A file from one of its records on, behind the head that describes them."""

    def __init__(self, path: str, head: int, offset: int) -> None:
        self.name = path
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed with this)
        self._head = self._file.read(head)
        self._offset = offset
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, at: int, whence: int = 0) -> int:
        """To the start, which is all that is asked for."""
        self._at = at
        self._file.seek(self._offset)
        return at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        if self._at < len(self._head):
            part = self._head[self._at : self._at + len(view)]
            view[: len(part)] = part
            got = len(part)
        else:
            got = self._file.readinto(view) or 0
        self._at += got
        return got

    def close(self) -> None:
        self._file.close()
        super().close()
