"""Connections that go on after a long silence: how long it was, and whether anybody still knew them."""

from __future__ import annotations

from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import ACK, REPLY, REQUEST, RST, SYN, Frames, Ints, Words, mix
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame

_SECOND: Final = 1_000_000_000
IDLE_NS: Final = 60 * _SECOND
"""Timeouts of load balancers, firewalls and cloud gateways for open connections begin here."""
_ANSWER_NS: Final = 30 * _SECOND
_SLOTS: Final = 1 << 18
_MOST: Final = 10_000
_FIN: Final = 0x01


@dataclass(slots=True)
class Woken:
    """The first data of a client after a silence, at one tap. Units: `gap` and `when` ns."""

    frame: Frame
    flow: int
    gap: int
    when: int
    ack: int
    reset: Frame | None = None
    resetter: int = 0  # MAC
    answered: bool = False


@dataclass(slots=True)
class Idle:
    """Silences of TCP connections with the VIP, by tap.

    What was seen last of a connection is in one of so many slots; of two that share one, the later is remembered, so
    that a silence may be missed but none is made up.
    """

    woken: dict[tuple[int, int], Woken] = field(default_factory=dict)
    """(tap, flow) -> its last waking."""
    _flow: Words = field(default_factory=lambda: np.zeros(_SLOTS, np.uint64))
    _last: Ints = field(default_factory=lambda: np.zeros(_SLOTS, np.int64))

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Take in a batch; every packet once."""
        if not scene.vips:
            return
        vips = list(scene.vips)
        request, reply = flows.direction == REQUEST, flows.direction == REPLY
        mine = f.is_tcp & (f.tunnel == 0) & ((request & among(f.dst, vips)) | (reply & among(f.src, vips)))
        rows = np.flatnonzero(mine)
        if not len(rows):
            return
        rows = rows[np.argsort(f.ts[rows], kind="stable")]
        flow = mix(flows.client[rows], flows.server[rows], f.tap[rows])
        # No two packets of a silence that counts are in one of these times.
        cuts = np.flatnonzero(np.diff(f.ts[rows] // (IDLE_NS // 2))) + 1
        speaks = request[rows] & (f.payload_len[rows] > 0) & ((f.flags[rows] & (SYN | RST | _FIN)) == 0)
        for part in np.split(np.arange(len(rows)), cuts):
            self._wake(f, rows[part], flow[part], speaks[part])
            self._hear(f, rows[part], flow[part], reply)
            slot = flow[part] & np.uint64(_SLOTS - 1)
            self._flow[slot], self._last[slot] = flow[part], f.ts[rows[part]]

    def _wake(self, f: Frames, rows: Ints, flow: Words, speaks: Ints) -> None:
        slot = flow & np.uint64(_SLOTS - 1)
        known = self._flow[slot] == flow
        last = self._last[slot]
        if f.past is not None:
            past = f.past["last"][rows]
            last = np.where(known, np.maximum(last, past), past)
            known |= past > 0
        gap = f.ts[rows] - last
        late = np.flatnonzero(known & (gap >= IDLE_NS))
        if not len(late):
            return
        _, first = np.unique(flow[late], return_index=True)
        for i in late[first].tolist():
            key = int(f.tap[rows[i]]), int(flow[i])
            if speaks[i] and (key in self.woken or len(self.woken) < _MOST):
                row = int(rows[i])
                self.woken[key] = Woken(f.ref(row), key[1], int(gap[i]), int(f.ts[row]), int(f.ack[row]))

    def _hear(self, f: Frames, rows: Ints, flow: Words, reply: Ints) -> None:
        """What comes back: a RST of somebody who knows no such connection has the number that the client acknowledged.

        Source: RFC 9293 s3.5.2.
        """
        if not self.woken:
            return
        known = np.asarray([key for _, key in self.woken], np.uint64)
        for i in np.flatnonzero(reply[rows] & among(flow, known)).tolist():
            row = int(rows[i])
            one = self.woken.get((int(f.tap[row]), int(flow[i])))
            if one is None or not 0 <= int(f.ts[row]) - one.when <= _ANSWER_NS:
                continue
            flags = int(f.flags[row])
            if not flags & RST:
                one.answered = True
            elif not flags & ACK and int(f.seq[row]) == one.ack and not one.answered:
                one.reset, one.resetter = f.ref(row), int(f.eth_src[row])
