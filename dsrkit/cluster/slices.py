"""Slices of time, and which packets belong to each.

A cut at one time would part the sightings of packets that are on their way, and questions from their answers. So a
packet that is seen shortly after a cut belongs to the slice before it if its like was seen shortly before: whatever has
the same numbers, or answers the same SYN. Both slices read both sides of their cut, so they agree, and each packet is
counted in exactly one of them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Final, cast

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.cluster.files import Index, Parts
from dsrkit.model.spec import Spec
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.batches import File, Input, PathLike, Piece
from dsrkit.verify.flows import is_syn
from dsrkit.verify.frames import ACK, RST, SYN, AddressBook, Frames, Mask, Records, Words, mix
from dsrkit.wire.capture import Capture

MARGIN_NS: Final = 250_000_000
"""A packet crosses a path, and a SYN is answered, in less; clocks are brought together before."""
SLICE_PACKETS: Final = 4_000_000
"""Packets of all taps in a slice, about."""
EARLY, LATE = -(1 << 62), (1 << 62)
_LEAST_NS: Final = 2 * MARGIN_NS
"""Slices are longer than what is looked at around their cuts."""


@dataclass(frozen=True, slots=True)
class TapFiles:
    """The files of one tap in the order of their packets; `shift_ns` is added to its time stamps."""

    name: str
    label: str
    indexes: tuple[Index, ...]
    shift_ns: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """A time from `begin` on, before `end`, by the first tap's clock. Units: ns; `EARLY` and `LATE` are open ends."""

    number: int
    begin: int = EARLY
    end: int = LATE


def cut(taps: Sequence[TapFiles], packets: int = SLICE_PACKETS) -> list[Slice]:
    """Slices with about so many packets of all taps; the same ones wherever they are judged."""
    times, rows = [], []
    for tap in taps:
        for index in tap.indexes:
            if index.packets:
                marks = index.marks
                times.append(np.append(marks[:, 3], index.last_ns) + tap.shift_ns)
                rows.append(np.diff(np.append(marks[:, 1], index.packets), prepend=0))
    total = sum(index.packets for tap in taps for index in tap.indexes)
    wanted = -(-total // packets)
    if wanted < 2:
        return [Slice(0)]
    when, count = np.concatenate(times), np.concatenate(rows)
    order = np.argsort(when, kind="stable")
    at = np.interp(np.arange(1, wanted) * (total / wanted), count[order].cumsum(), (when - when.min())[order])
    cuts: list[int] = []
    for one in (at.astype(np.int64) + when.min()).tolist():
        if not cuts or one >= cuts[-1] + _LEAST_NS:
            cuts.append(one)
    edges = [EARLY, *cuts, LATE]
    return [Slice(i, begin, end) for i, (begin, end) in enumerate(pairwise(edges))]


class SliceInput(Input):
    """The packets of one slice, at all taps, as an input like any other."""

    def __init__(self, book: AddressBook, taps: Sequence[TapFiles], one: Slice, spec: Spec | None) -> None:
        self.slice = one
        self._by_label = {tap.label: tap for tap in taps}
        self._cuts = [at for at in (one.begin, one.end) if at not in (EARLY, LATE)]
        since = one.begin - MARGIN_NS if one.begin != EARLY else EARLY
        until = one.end + MARGIN_NS if one.end != LATE else LATE

        def opened(label: PathLike, name: str) -> Capture:
            tap = self._by_label[cast(str, label)]
            return Parts(tap.indexes, since - tap.shift_ns, until - tap.shift_ns)

        super().__init__(book, [(tap.name, tap.label) for tap in taps], spec, opened=opened)
        for file in self._files:
            file.offset = self._by_label[file.info.file].shift_ns
            for number in file.taps.values():
                self.taps[number].shift_ns = file.offset
        self._before = {at: self._seen_before(at) for at in self._cuts}

    def align(self) -> None:
        """The clocks were compared when the slices were cut."""

    def _seen_before(self, at: int) -> Words:
        """Keys of all packets in the margin before a cut."""
        found = [np.zeros(0, np.uint64)]
        for tap in self._by_label.values():
            part = Parts(tap.indexes, at - MARGIN_NS - tap.shift_ns, at - tap.shift_ns)
            for window in part.windows():
                when = window.rec["ts_ns"] + tap.shift_ns
                rows = window.rec[(when >= at - MARGIN_NS) & (when < at)]
                found.append(distinct(_keys(rows)))
        return distinct(np.concatenate(found))

    def _pieces(self, f: File, *, keep: bool = True, copied: bool = True) -> Generator[Piece]:
        with closing(super()._pieces(f, keep=keep, copied=copied)) as pieces:
            for piece in pieces:
                mine = self._mine(piece.rec, f.offset)
                if mine.all():
                    yield piece
                elif mine.any():
                    yield piece.take(mine)

    def _mine(self, rec: Records, offset: int) -> Mask:
        when = rec["ts_ns"] + offset
        begin, end = self.slice.begin, self.slice.end
        mine = np.asarray((when >= begin) & (when < end), bool)
        for at, belongs in ((begin, False), (end, True)):
            if at in self._before:
                rows = np.flatnonzero((when >= at) & (when < at + MARGIN_NS))
                if len(rows):
                    mine[rows[among(_keys(rec[rows]), self._before[at])]] = belongs
        return mine


def _keys(rec: Records) -> Words:
    """What is the same of a packet at every tap, and of a SYN and its answer; 0 for what is on no way."""
    zero = np.zeros(len(rec), np.int64)
    f = Frames(AddressBook(), rec, zero, zero)
    key = mix(f.proto, f.ip_id, f.payload_len)
    whole = f.is_tcp & ~f.fragment
    key[whole] = mix(f.seq, f.ack, f.flags, f.payload_len)[whole]
    opens = is_syn(f) & whole
    key[opens] = mix(f.seq, 1)[opens]
    answers = whole & (f.flags & ACK != 0) & (f.flags & (SYN | RST) != 0)
    key[answers] = mix((f.ack - 1) & 0xFFFF_FFFF, 1)[answers]
    return np.where(f.has_ip, key, np.uint64(0))
