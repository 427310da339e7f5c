"""Client ports that are used again: which first packets in front of a translating load balancer came out behind it.

Source: Linux ip_vs_core.c ip_vs_in_hook: a SYN that meets a closed connection is dropped where conntrack holds that
connection too, and the next one gets through.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import field
from typing import Any, Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows, is_syn
from dsrkit.verify.frames import REPLY, REQUEST, RST, Frames, Ints, Mask, Records, mix
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame

_MOST: Final = 200_000
_FIN: Final = 0x01
_SECOND: Final = 1_000_000_000
_CLOSING_NS: Final = 120 * _SECOND
"""A closed connection is remembered for so long. Source: ip_vs_proto_tcp.c, TIME_WAIT."""
_COPY_NS: Final = _SECOND // 5
"""Copies that are closer together are a mirror port's. Source: Linux TCP_RTO_MIN."""

_ROW: Final = np.dtype(
    [("key", np.uint64), ("flow", np.uint64)] + [(name, np.int64) for name in ("ts", "tap", "number", "near")]
)
"""`key` is the attempt's on both sides of the load balancer, `flow` its four addresses and ports in front of it; `near`
is whether the frame went to the load balancer itself."""


@dataclass(slots=True)
class Again:
    """What became of connections by whether their four addresses and ports were in use shortly before."""

    reused: int = 0
    delayed: list[tuple[Frame, Frame]] = field(default_factory=list)
    """Of the reused ones: the first SYN, which was lost at the load balancer, and the next, which got through."""
    waits: list[int] = field(default_factory=list)  # ns
    fresh: int = 0
    fresh_lost: int = 0


@dataclass(slots=True)
class Reuse:
    """SYNs in front of the load balancer and behind it, and ends of connections in front; the first ones of each."""

    _asked: list[Records] = field(default_factory=list)
    _sent: list[Records] = field(default_factory=list)
    _closed: list[Records] = field(default_factory=list)

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Take in a batch; every packet once."""
        if scene.mode not in ("nat", "fullnat"):
            return
        vips, lbs = list(scene.vips), list(scene.macs("lb") - {0})
        request = flows.direction == REQUEST
        opening = request & is_syn(f)
        near = among(f.eth_dst, lbs)
        who = np.zeros(f.n, np.int64) if scene.mode == "fullnat" else f.source
        to_vip = among(f.dst, vips)
        ends = f.is_tcp & ((f.flags & (_FIN | RST)) != 0)
        ends &= (request & to_vip) | ((flows.direction == REPLY) & among(f.src, vips))
        behind = opening & ~to_vip & among(f.dst, list(scene.ips("real-server")))
        for kept, mask in ((self._asked, opening & to_vip), (self._sent, behind), (self._closed, ends)):
            self._keep(kept, f, flows, mask, who, near)

    def _keep(self, kept: list[Records], f: Frames, flows: Flows, mask: Mask, who: Ints, near: Mask) -> None:
        rows = np.flatnonzero(mask)[: max(0, _MOST - sum(map(len, kept)))]
        if not len(rows):
            return
        part = np.zeros(len(rows), _ROW)
        part["key"] = mix(f.seq[rows], who[rows])
        part["flow"] = mix(flows.client[rows], flows.server[rows])
        part["ts"], part["tap"], part["number"], part["near"] = f.ts[rows], f.tap[rows], f.number[rows], near[rows]
        kept.append(part)

    def again(self, offsets: list[int]) -> Again:
        """Connections that are seen on both sides; `offsets` (ns, by tap) bring times to one clock."""
        out = Again()
        if not self._asked or not self._sent or not self._closed:
            return out
        asked, sent, closed = (np.concatenate(kept) for kept in (self._asked, self._sent, self._closed))
        shift = np.asarray(offsets, np.int64)
        if asked["near"].any():
            asked = asked[asked["near"] > 0]
        tap = np.bincount(asked["tap"]).argmax()  # one place tells of all: another shows the same once more
        asked, closed = asked[asked["tap"] == tap], closed[closed["tap"] == tap]
        keys, count = np.unique(asked["key"], return_counts=True)
        if not (among(asked["key"], keys[count > 1]) & among(asked["flow"], closed["flow"])).any():
            return out  # nothing was repeated on a port that was in use before
        copies = _copies(asked)
        passed = {key: min(ts + int(shift[at]) for ts, at, _ in rows) for key, rows in _by_key(sent).items()}
        ends = defaultdict(list)
        for flow, ts in np.sort(closed, order="ts")[["flow", "ts"]].tolist():
            ends[flow].append(ts)
        for key, (flow, rows) in copies.items():
            first, again = rows[0], rows[1] if len(rows) > 1 else None
            before = bisect_left(ends[flow], first[0]) if flow in ends else 0
            reused = before > 0 and first[0] - ends[flow][before - 1] < _CLOSING_NS
            came = passed.get(key)
            lost = came is None
            if again is not None and came is not None:
                lost = came - int(shift[tap]) > (first[0] + again[0]) // 2
            if not reused:
                out.fresh += 1
                out.fresh_lost += lost
                continue
            out.reused += 1
            if lost and again is not None and came is not None and came - int(shift[tap]) < again[0] + _SECOND // 2:
                out.delayed.append(((int(tap), first[1]), (int(tap), again[1])))
                out.waits.append(again[0] - first[0])
        return out


def _by_key(rows: Records) -> dict[int, list[tuple[int, int, int]]]:
    """(time, tap, frame number) of each attempt."""
    out: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for key, ts, tap, number in rows[["key", "ts", "tap", "number"]].tolist():
        out[key].append((ts, tap, number))
    return out


def _copies(rows: Records) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Per attempt, its flow and the (time, frame number) of each transmission."""
    out: dict[Any, tuple[int, list[tuple[int, int]]]] = {}
    for key, flow, ts, number in np.sort(rows, order="ts")[["key", "flow", "ts", "number"]].tolist():
        _, known = out.setdefault(key, (flow, []))
        if not known or ts - known[-1][0] >= _COPY_NS:
            known.append((ts, number))
    return out
