"""Which server got the clients' new connections, when, and which of them were in vain."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.names import REWRITES
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import ACK, REQUEST, RST, Frames, Ints, Mask, Words, mix
from dsrkit.verify.journeys import Journeys, Way
from dsrkit.verify.scene import Scene

_MOST_TIMES: Final = 2_000_000
_MOST_PENDING: Final = 100_000
_MOST_TAPS: Final = 62
_MOST_FRAMES: Final = 10


@dataclass(slots=True)
class Pending:
    """A connection without an answer so far."""

    server: int
    at: int
    taps: int  # bit mask
    frame: tuple[int, int]


@dataclass(slots=True)
class Traffic:
    """New TCP connections by real server (its index in the scene), from settled journeys."""

    scene: Scene
    checkers: set[int]  # addresses whose connections are no clients'
    times: dict[int, array[int]] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    tap_of: dict[int, array[int]] = field(default_factory=lambda: defaultdict(lambda: array("h")))
    total: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    examples: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _pending: dict[int, Pending] = field(default_factory=dict)
    _two_way: int = 0  # taps that show connections with their answers
    _kept: int = 0

    def feed(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        """Take in a batch's settled journeys."""
        way = journeys.ways.get(REQUEST)
        if self.scene.mode not in REWRITES or way is None:
            return
        answers = self._keys(f.ack - 1, flows, is_synack(f) & leaving)
        refusing = f.is_tcp & ((f.flags & (RST | ACK)) == (RST | ACK)) & (f.payload_len == 0) & leaving
        refusals = self._keys(f.ack - 1, flows, refusing)
        self._learn(f, flows, way, answers, refusals[0])
        if self._pending:
            keys = np.asarray(list(self._pending), np.uint64)
            for key in keys[among(keys, answers[0])].tolist():
                del self._pending[key]
            self._refuse(keys[among(keys, refusals[0])])

    def _keys(self, number: Ints, flows: Flows, rows: Mask) -> tuple[Words, Ints]:
        """Connections by their first sequence number and client, and the rows they are of."""
        at = np.flatnonzero(rows)
        who = np.zeros(len(at), np.int64) if self.scene.mode == "fullnat" else flows.client[at]
        return mix(number[at] & 0xFFFF_FFFF, who), at

    def _learn(self, f: Frames, flows: Flows, way: Way, answers: tuple[Words, Ints], refused: Words) -> None:
        lead = way.rows.max(axis=1) if len(way.rows) else np.zeros(0, np.int64)
        wanted = np.flatnonzero((way.server >= 0) & (lead >= 0))
        if len(wanted):
            wanted = wanted[is_syn(f)[lead[wanted]]]
            own = among(flows.client >> 16, list(self.checkers))
            # Full NAT makes connections of its own, too, out of others'.
            wanted = wanted[((way.rows[wanted] >= 0) & ~own[way.rows[wanted]]).any(axis=1)]
        if not len(wanted):
            return
        rows = lead[wanted]
        who = np.zeros(len(rows), np.int64) if self.scene.mode == "fullnat" else flows.client[rows]
        keys = mix(f.seq[rows], who)
        _, first = np.unique(keys, return_index=True)
        wanted, rows, keys = wanted[first], rows[first], keys[first]
        if self._pending:
            new = ~among(keys, np.asarray(list(self._pending), np.uint64))
            wanted, rows, keys = wanted[new], rows[new], keys[new]
        seen = np.zeros(len(wanted), np.int64)
        for i, point in enumerate(way.points):
            seen |= np.where(way.rows[wanted, i] >= 0, 1 << min(point.tap, _MOST_TAPS), 0)
        answered, by = answers
        for tap in distinct(f.tap[by]).tolist():
            bit = 1 << min(tap, _MOST_TAPS)
            if not self._two_way & bit and among(keys[(seen & bit) != 0], answered[f.tap[by] == tap]).any():
                self._two_way |= bit
        server = way.server[wanted]
        self.began(server, f.ts[rows], f.tap[rows])
        for i in np.flatnonzero(~among(keys, answered)).tolist():
            if len(self._pending) < _MOST_PENDING:
                row = int(rows[i])
                self._pending[int(keys[i])] = Pending(int(server[i]), int(f.ts[row]), int(seen[i]), f.ref(row))
        self._refuse(keys[among(keys, refused)])

    def began(self, server: Ints, when: Ints, tap: Ints) -> None:
        """Count connections by their server."""
        for one in distinct(server).tolist():
            mine = server == one
            self.total[one] += int(mine.sum())
            if self._kept < _MOST_TIMES:
                self._kept += int(mine.sum())
                self.times[one].extend(when[mine].tolist())
                self.tap_of[one].extend(tap[mine].tolist())

    def _refuse(self, keys: Words) -> None:
        for key in keys.tolist():
            lost = self._pending.pop(key, None)
            if lost is not None:
                self.refused[lost.server] += 1
                self._show(lost)

    def _show(self, lost: Pending) -> None:
        if len(self.examples[lost.server]) < _MOST_FRAMES:
            self.examples[lost.server].append(lost.frame)

    def failures(self) -> Counter[int]:
        """Connections in vain by server: refused, or unanswered at a tap that shows answers to others. Call once."""
        lost = Counter(self.refused)
        for pending in self._pending.values():
            if pending.taps & self._two_way:
                lost[pending.server] += 1
                self._show(pending)
        self._pending.clear()
        return lost
