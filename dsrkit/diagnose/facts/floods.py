"""Frames that a switch gives to everybody, because it has not heard their receiver for long.

Source: IEEE 802.1Q s8.8.3, a MAC is forgotten when it was no source for the ageing time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.seen import grouped
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.frames import Frames, Ints
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.verdicts import Frame

SILENCE_NS: Final = 60_000_000_000
"""No switch forgets sooner, unless it is told to; most do after five times as long."""
_MOST: Final = 10_000
_MOST_TIMES: Final = 1_000

Lane = tuple[int, int, int]
"""Tap, sender's MAC, receiver's MAC."""


@dataclass(slots=True)
class Floods:
    """Frames to load balancers by tap, and how long those had been silent. Times: ns, taps brought near each other."""

    silent: dict[Lane, list[tuple[int, int, Frame]]] = field(default_factory=lambda: defaultdict(list))
    """When, after how long a silence of the receiver, which frame."""
    awake: dict[Lane, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The first of each half minute."""
    span: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Tap -> first and last packet."""
    _spoke: dict[int, int] = field(default_factory=dict)

    def see(self, f: Frames, scene: Scene, taps: Sequence[TapInfo]) -> None:
        """Take in a batch; every packet once."""
        lbs = list(scene.macs("lb") - {0})
        if not f.n or len(taps) < 2 or not lbs:
            return
        when = f.ts + np.asarray([tap.shift_ns for tap in taps], np.int64)[f.tap]
        for tap in distinct(f.tap).tolist():
            mine = when[f.tap == tap]
            first, last = self.span.get(tap, (int(mine[0]), int(mine[0])))
            self.span[tap] = min(first, int(mine.min())), max(last, int(mine.max()))
        rows = np.flatnonzero(among(f.eth_dst, lbs) | among(f.eth_src, lbs))
        rows = rows[np.argsort(when[rows], kind="stable")]
        cuts = np.flatnonzero(np.diff(when[rows] // (SILENCE_NS // 2))) + 1
        for part in np.split(rows, cuts):
            self._part(f, when, part, lbs)

    def _part(self, f: Frames, when: Ints, rows: Ints, lbs: list[int]) -> None:
        """Packets of half a minute, in order: who has spoken in it is awake for the rest of it."""
        for mac in lbs:
            spoken, given = rows[f.eth_src[rows] == mac], rows[f.eth_dst[rows] == mac]
            before = self._spoke.get(mac)
            woke = int(when[spoken[0]]) if len(spoken) else None
            for (tap, sender), members in grouped(f.tap[given], f.eth_src[given]):
                lane = tap, sender, mac
                if lane in self.awake or lane in self.silent or len(self.awake) + len(self.silent) < _MOST:
                    self._lane(f, when, lane, given[members], before, woke)
            if len(spoken):
                self._spoke[mac] = int(when[spoken[-1]])

    def _lane(self, f: Frames, when: Ints, lane: Lane, rows: Ints, before: int | None, woke: int | None) -> None:
        times = when[rows]
        gap = times - (times if before is None else before)
        late = gap >= SILENCE_NS
        known = np.full(len(rows), before is not None)
        if woke is not None:
            late &= times < woke
            known |= times >= woke
        for i in np.flatnonzero(late)[: max(0, _MOST_TIMES - len(self.silent.get(lane, ())))].tolist():
            self.silent[lane].append((int(times[i]), int(gap[i]), f.ref(int(rows[i]))))
        heard = times[known & ~late]
        if len(heard) and len(self.awake.get(lane, ())) < _MOST_TIMES:
            self.awake[lane].append(int(heard[0]))

    def flooded(self) -> dict[int, dict[int, list[tuple[int, Frame]]]]:
        """Receiver's MAC -> tap -> frames that came there only because the switch did not know where else to, each with
        how long the receiver had been silent.

        Such a tap shows frames of this sender to this receiver after a silence and at no other time, though others show
        them, before and right after.
        """
        out: dict[int, dict[int, list[tuple[int, Frame]]]] = defaultdict(dict)
        awake: dict[tuple[int, int], list[int]] = defaultdict(list)
        for (_, sender, mac), times in self.awake.items():
            awake[sender, mac] += times
        for times in awake.values():
            times.sort()
        for lane, seen in self.silent.items():
            tap, sender, mac = lane
            times = awake.get((sender, mac), [])
            if lane in self.awake or not _any_between(times, *self.span[tap]):
                continue
            ended = [(gap, frame) for at, gap, frame in seen if _any_between(times, at + 1, at + SILENCE_NS - 1)]
            if ended:
                out[mac][tap] = ended
        return out


def _any_between(times: list[int], first: int, last: int) -> bool:
    """Whether one of these times, which are in order, lies there; both ends count."""
    return bisect_left(times, first) < bisect_right(times, last)
