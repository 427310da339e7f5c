"""Requests that a translating load balancer sends to one server's address, but in a frame for another server.

Which MAC an address has is the neighbours' business: gateways, bonded links, takeovers and machines with several
addresses all make it change. Only a single frame is called wrong whose conversation has the other MAC right before and
right behind it, where that MAC is the address's home and the wrong one is another server's home, both servers being
on the link.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.tables.nodes import cell_id
from dsrkit.verify.arrays import among, distinct_columns
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REQUEST, Frames, Ints, Mask, Words, mix
from dsrkit.verify.journeys import REWRITTEN
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.verdicts import MOST_FRAMES, Frame, Verdict
from dsrkit.wire.address import mac_text

_MODES: Final = ("nat", "fullnat")
_RARER: Final = 10
"""An address's other MACs are so much rarer than its home."""
_MOST_PLACES: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Kind:
    """Frames for an address at a tap, between others of their conversations to one MAC, that go to another."""

    tap: int
    address: int
    home: int
    mac: int


@dataclass(slots=True)
class Strays:
    """Feed it every batch; `judge` says at the end what was wrong, by the scene that holds then."""

    scene: Scene
    taps: list[TapInfo]
    _macs: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # of a tap and address
    _several: set[int] = field(default_factory=set)  # taps and addresses that have more than one
    _count: Counter[_Kind] = field(default_factory=Counter)
    _frames: dict[_Kind, list[Frame]] = field(default_factory=lambda: defaultdict(list))
    _open: dict[int, tuple[_Kind, Frame]] = field(default_factory=dict)  # conversation -> one at its end so far
    _earlier: tuple[Words, Ints] = field(default_factory=lambda: (np.zeros(0, np.uint64), np.zeros(0, np.int64)))

    def feed(self, f: Frames, flows: Flows, leaving: Mask) -> None:
        """Take in the rows of a batch that will not be seen again."""
        if self.scene.mode not in _MODES:
            return
        wanted = leaving & (flows.direction == REQUEST) & (f.is_tcp | f.is_udp) & f.has_eth_dst
        wanted &= among(f.eth_src, list(self.scene.macs("lb") - {0}))
        rows = np.flatnonzero(wanted & among(f.dst, list(self.scene.ips("real-server") - self.scene.vips)))
        if not len(rows):
            return
        talk = mix(f.tap[rows], flows.client[rows], flows.server[rows], f.proto[rows])
        self._learn(f, rows)
        if self._several:
            self._look(f, rows, talk)
        self._earlier = talk, f.eth_dst[rows]

    def _learn(self, f: Frames, rows: Ints) -> None:
        if len(self._macs) > _MOST_PLACES:
            return
        pairs, _, _ = distinct_columns(np.stack([_places(f, rows), f.eth_dst[rows]]))
        for place, mac in pairs.T.tolist():
            self._macs[place].add(mac)
            if len(self._macs[place]) > 1:
                self._several.add(place)

    def _look(self, f: Frames, rows: Ints, talk: Words) -> None:
        """Find single frames that differ from both neighbours of their conversation."""
        here = among(_places(f, rows), list(self._several))
        rows, talk = rows[here], talk[here]
        order = np.lexsort((f.ts[rows], talk))
        rows, talk = rows[order], talk[order]
        mac = f.eth_dst[rows]
        same = talk[1:] == talk[:-1]
        other = mac[1:] != mac[:-1]
        alone = np.append(True, ~same | other) & np.append(~same | other, True)
        self._close(talk, mac, np.append(True, ~same))
        for i in np.flatnonzero(alone).tolist():
            before = int(mac[i - 1]) if i and same[i - 1] else self._home_before(f, int(rows[i]), int(talk[i]))
            ends = i == len(rows) - 1 or not same[i]
            behind = None if ends else int(mac[i + 1])
            if before is None or before == mac[i] or (behind is not None and before not in (0, behind)):
                continue
            kind = _Kind(int(f.tap[rows[i]]), int(f.dst[rows[i]]), before or behind or 0, int(mac[i]))
            if behind is not None:
                self._add(kind, f.ref(int(rows[i])))
            elif len(self._open) < _MOST_PLACES:
                self._open[int(talk[i])] = kind, f.ref(int(rows[i]))

    def _home_before(self, f: Frames, row: int, talk: int) -> int | None:
        """The MAC of the packet before a batch's first one of a conversation; 0: the right one; None: there is none."""
        keys, macs = self._earlier
        seen = np.flatnonzero(keys == np.uint64(talk))
        if len(seen):
            return int(macs[seen[-1]])
        return 0 if f.past is not None and f.past["last"][row] > 0 else None

    def _close(self, talk: Words, mac: Ints, first: Mask) -> None:
        """Decide about those that ended the last batch, by what follows them."""
        going_on = np.flatnonzero(first)
        for i in going_on[among(talk[going_on], np.asarray(list(self._open), np.uint64))].tolist():
            (kind, frame), goes = self._open.pop(int(talk[i])), int(mac[i])
            if goes != kind.mac and kind.home in (0, goes):
                self._add(_Kind(kind.tap, kind.address, goes, kind.mac), frame)

    def _add(self, kind: _Kind, frame: Frame) -> None:
        self._count[kind] += 1
        if len(self._frames[kind]) < MOST_FRAMES:
            self._frames[kind].append(frame)

    # --- judging ------------------------------------------------------------------------------------------------------

    def judge(self, cells: Iterable[Verdict]) -> Iterator[Verdict]:
        """Count what was wrong in the load balancer's cells; those that no tap in front shows are made, and given."""
        known = {v.target.tap: v for v in cells if _is_of_frames(v) and v.target is not None}
        for kind, count in sorted(self._count.items(), key=lambda item: -item[1]):
            if not self._is_wrong(kind):
                continue
            verdict = known.get(kind.tap)
            if verdict is None:
                verdict = known[kind.tap] = self._alone(kind.tap)
                yield verdict
            verdict.failed += count
            verdict.show(self._frames[kind])
            if not verdict.actual:
                verdict.tap, verdict.wireshark = kind.tap, "eth.dst"
                verdict.expected = f"{mac_text(kind.home)} for {self.scene.address(kind.address)}"
                verdict.actual = f"{mac_text(kind.mac)}, the MAC of {self.scene.address(self._at_home(kind)[0])}"

    def _alone(self, tap: int) -> Verdict:
        every = sum(sum(macs.values()) for (at, _), macs in self.scene.frames_to.items() if at == tap)
        return Verdict(
            cell_id(str(self.scene.mode), "lb", "request", "eth.dst"),
            "eth.dst",
            REQUEST,
            place=self.taps[tap].name,
            nodes=tuple(p.name for p in self.scene.role("lb")),
            tap=tap,
            checked=every,
        )

    def _is_wrong(self, kind: _Kind) -> bool:
        """Whether nothing but a mistake explains such frames."""
        to = self.scene.frames_to.get((kind.tap, kind.address), Counter())
        others = sum(to.values()) - to[kind.home]
        rare = others * _RARER <= to[kind.home] and to[kind.mac] <= 2 * self._count[kind]
        kinds = [_Kind(kind.tap, kind.address, kind.home, mac) for mac in to if mac != kind.home]
        return rare and (kind.tap, kind.address, kind.home) in self.scene.beside and all(map(self._is_foreign, kinds))

    def _is_foreign(self, kind: _Kind) -> bool:
        """Whether the MAC is that of one other server on the link, and never claimed this address."""
        homes = self._at_home(kind)
        elsewhere = self.scene.macs("lb") | self.scene.macs("router")
        return (
            len(homes) == 1
            and kind.mac not in elsewhere
            and (kind.tap, homes[0], kind.mac) in self.scene.beside
            and (kind.address, kind.mac) not in self.scene.claims
            and (kind.tap, kind.address, kind.mac) not in self.scene.beside
        )

    def _at_home(self, kind: _Kind) -> list[int]:
        """Addresses that frames for this MAC are mostly for."""
        return [
            address
            for (tap, address), macs in self.scene.frames_to.items()
            if tap == kind.tap and address != kind.address and macs.most_common(1)[0][0] == kind.mac
        ]


def _places(f: Frames, rows: Ints) -> Ints:
    """Tap and destination of some rows in one number."""
    return f.tap[rows] << 48 | f.dst[rows]


def _is_of_frames(v: Verdict) -> bool:
    """Whether a verdict is on the MACs of what the load balancer sends to servers."""
    out = v.direction == REQUEST and v.field == "eth.dst" and v.target is not None and v.target.form == REWRITTEN
    return out and "lb" in v.cell.split(".")[1].split("+")
