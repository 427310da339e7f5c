"""The judge: joins and judges batch by batch, and keeps only counts, examples and what is still open."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.names import REWRITES
from dsrkit.tables import PROFILES
from dsrkit.tables.fields import FIELDS
from dsrkit.tables.nodes import cell_id
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.batches import SETTLE_NS
from dsrkit.verify.cells import fitting_profiles, judge_hops
from dsrkit.verify.flows import Flows, identities, oriented
from dsrkit.verify.frames import ICMP, ICMPV6, PAST, REQUEST, TUNNEL_NAMES, Frames, Ints, Mask
from dsrkit.verify.journeys import (
    PLAIN,
    REWRITTEN,
    Beside,
    Clocks,
    Joiner,
    Journeys,
    by_row,
    forms,
    in_service,
    left_as_it_came,
    pair_counts,
    servers_named,
)
from dsrkit.verify.observer import Bulk, Observer
from dsrkit.verify.presence import Presence
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.strays import Strays
from dsrkit.verify.verdicts import Point, Tally, Verdict
from dsrkit.wire.rows import joined as joined_rows

_MOST_CARRIED: Final = 30_000
_FITTED_BATCHES: Final = 3
"""A profile is a habit: what the first batches show is enough to name the one that fits."""


@dataclass(slots=True)
class Octets:
    """Octets of IP packets, each packet counted once however many taps saw it."""

    request: int = 0
    reply: int = 0
    crossed: int = 0  # those that crossed the load balancer


@dataclass(slots=True)
class Examples:
    """Which of some journeys are `right`, which `complete`; their directions; each packet's point, if known."""

    right: Mask
    complete: Mask
    direction: Ints
    points: list[Point | None]


@dataclass(slots=True)
class Judge:
    """Feed it every batch, then read the results."""

    scene: Scene
    taps: list[TapInfo]
    observers: Sequence[Observer] = ()
    joiner: Joiner = field(init=False)
    presence: Presence = field(init=False)
    strays: Strays = field(init=False)
    cells: Tally = field(default_factory=Tally)
    clocks: Clocks = field(default_factory=Clocks)
    pairs: Counter[tuple[int, int, str]] = field(default_factory=Counter)  # ids of points, protocol -> packets at both
    alone: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    ends: dict[tuple[int, int], tuple[Point, Point]] = field(default_factory=dict)
    octets: Octets = field(default_factory=Octets)
    link_macs: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # tap -> MACs of journeys
    forms_at: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    profiles: list[str] | None = None
    _services: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _carried: Frames | None = None
    _fitted: int = 0

    def __post_init__(self) -> None:
        self.joiner = Joiner(self.scene, self.taps)
        self.presence = Presence(self.scene, self.taps, self.joiner)
        self.strays = Strays(self.scene, self.taps)

    def feed(self, new: Frames, until: int | None, beside: Mapping[int, Beside] | None = None) -> Flows:
        """Judge one batch; `until` is the time up to which it is complete, None for the last one. Returns its flows.

        `beside` are journeys that were found right in bulk so far and are not in any batch, by direction.
        """
        f = new if self._carried is None else joined(self._carried, new)
        flows = self.orient(f)
        for observer in self.observers:
            observer.see(new, flows.last(new.n))
        journeys = self.joiner.join(f, flows)
        self.clocks.learn(f, journeys)
        when = f.ts + np.asarray([t.shift_ns for t in self.taps], np.int64)[f.tap] if f.n else f.ts
        settled, waiting = self.joiner.settled(when, journeys, horizon(when, until))
        for direction, way in settled.ways.items():
            way.beside = (beside or {}).get(direction)
        for verdict in judge_hops(f, self.scene, settled, self.scene.profile):
            self.cells.add(verdict)
        self.presence.feed(f, flows, settled, ~waiting)
        self.strays.feed(f, flows, ~waiting)
        for observer in self.observers:
            observer.follow(f, flows, settled, ~waiting)
        self._count(f, flows, settled)
        self._fit(f, settled)
        self._carried = f.take(waiting)
        return flows.last(new.n)

    def rehearse(self, f: Frames) -> None:
        """Learn points, their order and the servers behind them from packets that are judged later."""
        flows = self.orient(f)
        journeys = self.joiner.join(f, flows)
        self.clocks.learn(f, journeys)
        self._fit(f, journeys)

    def see_traffic(self, frames: Frames) -> None:
        """Count packets and octets for their taps."""
        for tap, packets in enumerate(np.bincount(frames.tap, minlength=len(self.taps)).tolist()):
            self.taps[tap].packets += packets
            self.taps[tap].octets += int(frames.rec["wirelen"][frames.tap == tap].sum()) if packets else 0

    def example(self, f: Frames, journey: Ints, server: Ints) -> Examples:
        """Whether journeys are complete at every point and right in every field, counting nothing.

        `journey` is that of each packet, `server` each journey's real server, -1 if it is not known. Points are those
        that are known; a journey past another one is not right.
        """
        flows = self.orient(f, learn=False)
        form = forms(f, flows, self.scene)
        count = len(server)
        direction = np.zeros(count, np.int64)
        direction[journey] = flows.direction
        points = [self.joiner.known_point(f, row, int(form[row]), int(flows.direction[row])) for row in range(f.n)]
        fine = np.ones(count, bool)
        strange = [i for i, point in enumerate(points) if point is None]
        fine[journey[strange]] = False
        fine[journey[~in_service(f, flows, self.scene, form)]] = False
        fine[journey[left_as_it_came(f, flows, self.scene, form)]] = False  # whether rightly so, the others tell
        fine[journey[flows.direction != direction[journey]]] = False
        fine &= _of_one_server(journey, servers_named(f, flows, self.scene, np.arange(f.n)), count)
        passed = Counter((j, id(point)) for j, point in zip(journey.tolist(), points, strict=True))
        fine[[j for (j, _), times in passed.items() if times > 1]] = False  # a copy, or a loop
        rows = np.flatnonzero(fine[journey])
        proto = np.zeros(count, np.int64)
        proto[journey] = f.proto
        ways = self.joiner.ways_of(
            rows, [p for i in rows if (p := points[i]) is not None], journey[rows], server, proto
        )
        judge_hops(f, self.scene, by_row(f, ways), self.scene.profile)
        f.blemished |= self.presence.misdirected(f, flows)
        complete = np.zeros(count, bool)
        for one, way in ways.items():
            which, seen = np.flatnonzero(fine & (direction == one)), way.rows >= 0
            complete[which] = ~(self.joiner.passes(way) & ~seen).any(axis=1)
            fine[which] &= ~(seen & f.blemished[np.where(seen, way.rows, 0)]).any(axis=1)
        return Examples(fine & complete, complete, direction, points)

    def weigh(self, f: Frames, flows: Flows, journeys: Journeys, bulk: dict[int, Bulk]) -> None:
        """Count journeys that were found right in bulk: each stands for many, `bulk` says by direction for how many."""
        for verdict in judge_hops(f, self.scene, journeys, self.scene.profile):
            self.cells.add(verdict)
        self.presence.weigh(f, flows, journeys)
        self._count(f, flows, journeys, {direction: many.octets for direction, many in bulk.items()})
        for observer in self.observers:
            observer.weigh(f, flows, journeys, bulk)

    def orient(self, f: Frames, *, learn: bool = True) -> Flows:
        """Directions and identities, with what earlier batches showed to be servers.

        `learn`: what is a server here is one from now on. A few packets out of many are no ground for that.
        """
        flows = oriented(f, self._services)
        served = flows.direction == REQUEST
        tagged = (f.proto << 56 | flows.server)[served]
        if learn and len(self._services) < 100_000:
            self._services = distinct(np.concatenate([self._services, tagged]))
        return without_clients(f, flows, self.scene) if self.scene.mode == "fullnat" else flows

    def verdicts(self) -> list[Verdict]:
        """Everything that was judged; call once, after the last batch."""
        self.joiner.name_points()
        for verdict in self.strays.judge(self.cells.all()):
            self.cells.add(verdict)
        return [*self._mode(), *self._in_order(self.cells.all()), *self.presence.verdicts()]

    def _in_order(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Cells by direction, along the path, and in the order of the fields, however the packets came."""
        rank = self.joiner.ranks()
        fields = {name: i for i, name in enumerate(FIELDS)}

        def place(v: Verdict) -> tuple[int, int, int, int]:
            source, target = rank.get(id(v.source), -1), rank.get(id(v.target), -1)
            return v.direction, source, target, fields.get(v.field, len(fields))

        return sorted(verdicts, key=place)

    def _mode(self) -> list[Verdict]:
        """A stated mode that the packets contradict: nothing comes out of the load balancer in its form."""
        stated, shown = self.scene.mode, self.scene.contradiction
        if shown is None or stated is None:
            return []
        return [
            Verdict(
                cell_id(stated, "lb", "request", "mode"),
                "mode",
                REQUEST,
                place="all taps",
                nodes=tuple(p.name for p in self.scene.role("lb")),
                checked=1,
                failed=1,
                expected=TUNNEL_NAMES[self.scene.tunnel] if shown in TUNNEL_NAMES else stated,
                actual=shown,
            )
        ]

    def _count(self, f: Frames, flows: Flows, journeys: Journeys, octets: dict[int, Ints] | None = None) -> None:
        """Count pairs, and octets, in all and through the load balancer; `octets` where a journey stands for many."""
        lb = list(self.scene.macs("lb") - {0})
        for way in journeys.ways.values():
            for a, b, proto, both, alone in pair_counts(f, flows, self.joiner, way):
                key = (id(a), id(b))
                self.ends[key] = (a, b)
                self.pairs[*key, proto] += both
                self.alone[*key, proto] += alone
            if not len(way.rows):
                continue
            length = f.ip_len[way.rows.max(axis=1)] if octets is None else octets[way.direction]
            through = among(way.proto, (ICMP, ICMPV6))  # the load balancer answers pings of the VIP itself
            # A request in the form for servers has been through the load balancer; a reply in the form for clients
            # has, where the load balancer makes it.
            made = REWRITTEN if way.direction == REQUEST else PLAIN if self.scene.mode in ("nat", "fullnat") else None
            for i, point in enumerate(way.points):
                seen = way.rows[:, i] >= 0
                rows = way.rows[seen, i]
                if len(rows):
                    ends = distinct(np.concatenate([f.eth_src[rows], f.eth_dst[rows]]))
                    self.link_macs[point.tap] |= set(ends.tolist()) - {0}
                    self.forms_at[point.tap].add(point.form)
                through[seen] |= among(f.eth_dst[rows], lb) | among(f.eth_src[rows], lb)
                if point.form == made:
                    through[seen] = True
            if way.direction == REQUEST:
                self.octets.request += int(length.sum())
            else:
                self.octets.reply += int(length.sum())
            self.octets.crossed += int(length[through].sum())

    def _fit(self, f: Frames, journeys: Journeys) -> None:
        if self.scene.mode not in REWRITES or self._fitted >= _FITTED_BATCHES:
            return
        if not any(p.form == REWRITTEN for way in journeys.ways.values() for p in way.points):
            return
        self._fitted += 1
        fits = fitting_profiles(f, self.scene, journeys, PROFILES if self.profiles is None else self.profiles)
        if fits or self.profiles is None:
            self.profiles = fits or None


def _of_one_server(journey: Ints, named: tuple[Ints, Ints], count: int) -> Mask:
    """Journeys whose packets name no two servers; `journey` is that of each packet."""
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, np.int64)
    first, last = named
    told = last >= 0
    np.minimum.at(low, journey[told], first[told])
    np.maximum.at(high, journey[told], last[told])
    return np.asarray((high < 0) | (low == high), bool)


def joined(a: Frames, b: Frames) -> Frames:
    """Two batches as one."""
    out = Frames(
        a.book,
        joined_rows([a.rec, b.rec]),
        np.concatenate([a.tap, b.tap]),
        np.concatenate([a.number, b.number]),
        b.reader,
    )
    if b.past is not None:
        out.past = np.concatenate([np.zeros(a.n, PAST) if a.past is None else a.past, b.past])
    return out


def horizon(when: Ints, until: int | None, sampled: int = 1) -> int | None:
    """Journeys with a packet after this time stay open. Units: ns.

    Memory bounds what may stay open: on a very fast capture the margin shrinks. `when` holds every `sampled`-th packet.
    """
    if until is None or not len(when):
        return None
    at, most = until - SETTLE_NS, _MOST_CARRIED // sampled
    late = when[when > at]
    return int(np.partition(late, -most)[-most]) if len(late) > most else at


def without_clients(f: Frames, flows: Flows, scene: Scene) -> Flows:
    """Full NAT replaces the client's address, so nothing but TCP's numbers, ids and payload identify a packet."""
    own = among(flows.server >> 16, list(scene.vips | scene.ips("real-server")))
    bare = identities(f, flows.direction, flows.client, addressless=True)
    return Flows(flows.direction, flows.client, flows.server, np.where(own, bare, flows.identity))
