"""Counts connections, packets and octets per service and real server, batch by batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import Any, Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.mechanisms.spread.moves import Course, Move
from dsrkit.mechanisms.spread.packets import Finder, Packets
from dsrkit.mechanisms.spread.table import CLIENT_DONE, OVER, SERVER_DONE, FlowTable, States
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames, Ints, Mask
from dsrkit.verify.journeys import Journeys
from dsrkit.verify.observer import Bulk

MOST_MOVES: Final = 10_000
_MOST_SERVICES: Final = 20_000
_NONE: Final = 1 << 15  # above every index

Loads = Counter[tuple[int, int]]
"""By service and index of the party; -1: no packet tells which."""


@dataclass(slots=True)
class Counts:
    """What was counted, by service and real server, and by service and load balancer."""

    connections: Loads = field(default_factory=Counter)
    request_packets: Loads = field(default_factory=Counter)
    request_octets: Loads = field(default_factory=Counter)
    reply_packets: Loads = field(default_factory=Counter)
    reply_octets: Loads = field(default_factory=Counter)

    def of(self, request: bool) -> tuple[Loads, Loads]:
        """Packets and octets of one direction."""
        if request:
            return self.request_packets, self.request_octets
        return self.reply_packets, self.reply_octets

    def count(self, request: bool, service: Ints, who: Ints, octets: Ints) -> None:
        packets, weights = self.of(request)
        _add(packets, service, who)
        _add(weights, service, who, octets)


@dataclass(slots=True)
class Collector:
    """Feed it every batch of settled journeys."""

    finder: Finder
    table: FlowTable = field(default_factory=FlowTable)
    servers: Counts = field(default_factory=Counts)
    balancers: Counts = field(default_factory=Counts)
    judged: Counter[int] = field(default_factory=Counter)  # service -> TCP connections whose server is known
    moved: Counter[int] = field(default_factory=Counter)
    rescheduled: Counter[int] = field(default_factory=Counter)
    handed_over: Counter[int] = field(default_factory=Counter)
    moves: list[Move] = field(default_factory=list)

    def feed(self, f: Frames, flows: Flows, journeys: Journeys) -> None:
        both = [self.finder.packets(f, flows, way) for way in journeys.ways.values() if len(way.rows)]
        for p in sorted(both, key=lambda p: not p.request):
            known = self._within_bounds(p.service)
            likely = np.where(p.server >= 0, p.server, p.likely)
            self.servers.count(p.request, p.service[known], likely[known], p.octets[known])
            self.balancers.count(p.request, p.service[known], p.balancer[known], p.octets[known])
            named = (p.flow != 0) & known
            if p.request:
                self._connections(f, p, _sorted(p, named & p.tcp))
            else:
                self._answers(p, _sorted(p, named & p.tcp), likely)
            self._datagrams(p, _sorted(p, named & ~p.tcp), likely)

    def weigh(self, f: Frames, flows: Flows, journeys: Journeys, bulk: dict[int, Bulk]) -> None:
        """Count what the fast path has counted."""
        for direction, way in journeys.ways.items():
            if not len(way.rows):
                continue
            p, many = self.finder.columns(f, flows, way), bulk[direction]
            known = p.service >= 0
            service, likely = p.service[known], np.where(p.server >= 0, p.server, p.likely)[known]
            for counts, who in ((self.servers, likely), (self.balancers, p.balancer[known])):
                packets, octets = counts.of(p.request)
                _add(packets, service, who, many.count[known])
                _add(octets, service, who, many.octets[known])
                _add(counts.connections, service, who, many.began[known])
            sure = known & p.tcp
            for one, n in zip(p.service[sure].tolist(), many.spoke[sure].tolist(), strict=True):
                self.judged[one] += n

    def _within_bounds(self, service: Ints) -> Mask:
        """Packets whose service is known; where no mode says what a service is, a port scan makes any number."""
        if len(self.servers.request_packets) <= _MOST_SERVICES:
            return np.asarray(service >= 0, bool)
        return among(service, [known for known, _ in self.servers.request_packets])

    # --- TCP ----------------------------------------------------------------------------------------------------------

    def _connections(self, f: Frames, p: Packets, rows: Ints) -> None:
        """Requests, by flow and time: cut into connections, of which the unusual ones are looked at one by one."""
        if not len(rows):
            return
        group, first = _groups(p, rows)
        at = self.table.find(p.flow[rows[first]])
        old, known = self._before(p, rows[first], at)
        isn = _isn_before(p, rows, group, first, old["isn"])
        starts = _first_of(first, len(rows))
        fresh = (starts & ~known[group]) | (p.syn[rows] & (p.seq[rows] != isn))
        cut = np.flatnonzero(starts | fresh)
        fresh, owner = fresh[cut], group[cut]
        rowed = rows[cut]
        before = old[owner]
        before[fresh] = _unknown(int(fresh.sum()))
        last = np.append(cut[1:], len(rows)) - 1
        server, several = _one_of(p.server[rows], cut, before["server"])
        balancer, two = _one_of(p.balancer[rows], cut, before["balancer"])
        after = before.copy()
        after["flow"], after["service"] = p.flow[rowed], p.service[rowed]
        after["last"] = np.maximum(before["last"], p.when[rows[last]])
        after["isn"] = np.where(p.syn[rowed] & fresh, p.seq[rowed], before["isn"])
        after["seq"] = p.seq[rows[last]]
        after["server"], after["balancer"] = server, balancer
        after["begun"] |= np.logical_or.reduceat(~p.syn[rows] & ~p.rst[rows], cut)
        done = np.where(np.logical_or.reduceat(p.fin[rows], cut), CLIENT_DONE, 0)
        after["closed"] |= np.where(np.logical_or.reduceat(p.rst[rows], cut), OVER, done).astype(np.uint8)
        likely = np.maximum.reduceat(p.likely[rows], cut)
        counted = np.where(server >= 0, server, np.where(before["counted"] >= 0, before["counted"], likely))
        for i in np.flatnonzero(several | two).tolist():
            counted[i] = self._course(f, p, rows[cut[i] : last[i] + 1].tolist(), before[i], after[i : i + 1])
        after["counted"] = counted
        self._recount(p, before, after, fresh, rowed)
        sure = after["begun"] & (after["server"] >= 0) & ~(before["begun"] & (before["server"] >= 0))
        _add_one(self.judged, after["service"][sure])
        keep = np.append(owner[1:] != owner[:-1], True)  # the youngest connection of each flow
        self.table.put(after[keep], at)

    def _course(self, f: Frames, p: Packets, rows: list[int], before: States, after: States) -> int:
        """One connection that was at several servers or load balancers; the server that it counts for."""
        service = int(after["service"][0])
        course = Course(
            service,
            int(before["seq"]),
            int(before["last"]),
            int(before["server"]),
            int(before["balancer"]),
            bool(before["begun"]),
            int(before["closed"]),
        )
        course.follow(f, p, rows)
        self.moved[service] += bool(course.moves)
        self.rescheduled[service] += course.rescheduled
        self.handed_over[service] += course.handed_over
        self.moves += course.moves[: max(0, MOST_MOVES - len(self.moves))]
        after["server"], after["balancer"] = course.server, course.balancer
        if before["counted"] >= 0 and before["begun"]:
            return int(before["counted"])
        return course.moves[0].servers[0] if course.moves else course.server

    def _recount(self, p: Packets, before: States, after: States, fresh: Mask, rows: Ints) -> None:
        """Count new connections, and move those to their server whose server was not known or was changed."""
        _add(self.servers.connections, after["service"][fresh], after["counted"][fresh])
        _add(self.balancers.connections, after["service"][fresh], after["balancer"][fresh])
        other = ~fresh & (before["counted"] != after["counted"])
        if other.any():
            _add(self.servers.connections, after["service"][other], before["counted"][other], sign=-1)
            _add(self.servers.connections, after["service"][other], after["counted"][other])

    def _before(self, p: Packets, rows: Ints, at: Ints) -> tuple[States, Mask]:
        """The states of flows, and which of them are known: here, or to the fast path."""
        old, known = self.table.get(at), at >= 0
        if p.past is None:
            return old, known
        past = p.past[rows]
        counted = ~known & (past["last"] > 0)
        for column in ("server", "counted"):
            old[column][counted] = past["server"][counted]
        old["isn"][counted] = past["isn"][counted]
        old["begun"][counted] = past["begun"][counted]
        old["closed"][counted] = np.where(past["closed"][counted], CLIENT_DONE, 0)
        old["balancer"][counted] = p.balancer[rows][counted]
        old["last"][counted] = past["last"][counted]
        return old, known | counted

    def _carried_on(self, p: Packets, rows: Ints) -> tuple[Ints, Ints, Ints, Mask, States, States]:
        """Each flow's first and last row, its place in the table, whether it is known, its state before, and a copy to
        change."""
        _, first = _groups(p, rows)
        last = np.append(first[1:], len(rows)) - 1
        at = self.table.find(p.flow[rows[first]])
        before, known = self._before(p, rows[first], at)
        after = before.copy()
        after["flow"], after["service"] = p.flow[rows[first]], p.service[rows[first]]
        after["last"] = np.maximum(before["last"], p.when[rows[last]])
        return first, last, at, known, before, after

    def _answers(self, p: Packets, rows: Ints, likely: Ints) -> None:
        """Replies: they close connections, and tell the server where no request does."""
        if not len(rows):
            return
        first, _, at, known, before, after = self._carried_on(p, rows)
        ended = p.rst[rows] & ((p.server[rows] < 0) | (p.server[rows] == _spread_out(before["server"], first, rows)))
        done = np.where(np.logical_or.reduceat(p.fin[rows], first), SERVER_DONE, 0)
        after["closed"] |= np.where(np.logical_or.reduceat(ended, first), OVER, done).astype(np.uint8)
        told = np.maximum.reduceat(likely[rows], first)
        after["counted"] = np.where(before["counted"] >= 0, before["counted"], told)
        self._recount(p, before, after, ~known, rows[first])
        self.table.put(after, at)

    # --- UDP ----------------------------------------------------------------------------------------------------------

    def _datagrams(self, p: Packets, rows: Ints, likely: Ints) -> None:
        """Each time a flow of datagrams gets a server, that is one decision of the load balancer."""
        if not len(rows):
            return
        first, last, at, known, before, after = self._carried_on(p, rows)
        # Datagrams that do not tell their server are with that of the ones before them.
        server = likely[rows].copy()
        server[first] = np.where(server[first] >= 0, server[first], before["counted"])
        place = np.arange(len(rows))
        told = np.where((server >= 0) | _first_of(first, len(rows)), place, 0)
        server = server[np.maximum.accumulate(told)]
        previous = np.append(-1, server[:-1])
        previous[first] = before["counted"]
        service = p.service[rows]
        starts = _first_of(first, len(rows)) & ~_spread_out(known, first, rows)
        changed = ~starts & (server != previous) & (server >= 0)
        again = changed & (previous >= 0)
        learned = changed & (previous < 0)
        if not p.request:  # only where no request was seen
            again[:] = False
        _add(self.servers.connections, service[starts | again | learned], server[starts | again | learned])
        _add(self.servers.connections, service[learned], previous[learned], sign=-1)
        _add(self.balancers.connections, service[starts | again], p.balancer[rows][starts | again])
        _add_one(self.rescheduled, service[again])
        after["counted"] = (
            server[last] if p.request else np.where(before["counted"] >= 0, before["counted"], server[last])
        )
        self.table.put(after, at)


def _sorted(p: Packets, wanted: Mask) -> Ints:
    rows = np.flatnonzero(wanted)
    return rows[np.lexsort((~p.syn[rows], p.when[rows], p.flow[rows]))]


def _groups(p: Packets, rows: Ints) -> tuple[Ints, Ints]:
    """Number of each row's flow, and where each flow begins."""
    flow = p.flow[rows]
    fresh = np.append(True, flow[1:] != flow[:-1])
    return np.cumsum(fresh) - 1, np.flatnonzero(fresh)


def _first_of(first: Ints, count: int) -> Mask:
    out = np.zeros(count, bool)
    out[first] = True
    return out


def _spread_out(values: Any, first: Ints, rows: Ints) -> Any:
    """A value per flow as one per row."""
    return np.repeat(values, np.diff(np.append(first, len(rows))))


def _isn_before(p: Packets, rows: Ints, group: Ints, first: Ints, known: Ints) -> Ints:
    """The initial sequence number of the connection that was open before each row; -1: none known."""
    place = np.arange(len(rows))
    latest = np.maximum.accumulate(np.where(p.syn[rows], place, -1))
    before = np.append(-1, latest[:-1])
    mine = before >= first[group]
    return np.where(mine, p.seq[rows][np.maximum(before, 0)], known[group])


def _unknown(count: int) -> States:
    return FlowTable().get(np.full(count, -1, np.int64))


def _one_of(values: Ints, cut: Ints, known: Ints) -> tuple[Ints, Mask]:
    """The one value that each piece has, what was known before included, and which pieces have several; -1: none."""
    known = known.astype(np.int64)
    highest = np.maximum(np.maximum.reduceat(values, cut), known)
    lowest = np.minimum.reduceat(np.where(values >= 0, values, _NONE), cut)
    lowest = np.minimum(lowest, np.where(known >= 0, known, _NONE))
    return highest, (highest >= 0) & (lowest < highest)


def _add(loads: Loads, service: Ints, who: Ints, weights: Ints | None = None, *, sign: int = 1) -> None:
    if not len(service):
        return
    services, inverse = np.unique(service, return_inverse=True)
    width = int(who.max()) + 2
    code = inverse * width + who + 1
    # Sums of whole numbers, far below the 53 bits that a float holds exactly.
    sums = np.bincount(code, weights)
    for at in np.flatnonzero(sums).tolist():
        loads[int(services[at // width]), at % width - 1] += sign * int(sums[at])


def _add_one(counter: Counter[int], service: Ints) -> None:
    for value, count in zip(*np.unique(service, return_counts=True), strict=True):
        counter[int(value)] += int(count)
