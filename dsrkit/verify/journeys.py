"""Journeys: the same packet at every observation point, as an integer matrix of rows.

Packets are joined by identity and occurrence, so retransmissions, copies of a mirror port and the hairpin copy of DSR
stay apart. A `Joiner` works batch by batch: what it learns about points, their order and the servers behind them stays.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.names import REWRITES
from dsrkit.verify.arrays import among, distinct, distinct_columns, median
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import DIRECTIONS, PROTOCOLS, REPLY, REQUEST, Frames, Ints, Mask, Words, mix
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.steps import SENT, causal_order, decapsulated, rewritten, sent_anew
from dsrkit.verify.verdicts import Point

PLAIN, REWRITTEN, DECAPSULATED, BOUNCED = 0, 1, 2, 3
"""Forms of a packet: as the client or for the client; as between load balancer and server; out of a server's tunnel
device; sent back by a machine that should have kept it."""

_MIRROR_NS: Final = 1_000_000
_MIRROR_SHARE: Final = 0.2
_SHARE_OF_TWICE: Final = 0.5
_MOST_TURNS: Final = 3
_MOST_ALIGNED: Final = 4_000_000
_MOST_CLIENTS: Final = 200_000
_MOST_COMPARED: Final = 100
_OF_A_PLACE: Final = ("tap", "port", "form", "turn")
_RARE_HOP: Final = 200
"""A pair of points that fewer than one packet in so many has as neighbours is no hop of the path."""
_NEIGHBOURS: Final = 4
"""With more points than that in one direction, each is compared with so many that follow it, not with all."""


@dataclass(slots=True)
class Hop:
    """Packets seen at two points in a row: `before[i]` and `after[i]` are rows of the same packet."""

    source: Point | None  # None: no packet before, `before` is `after`
    target: Point
    before: Ints
    after: Ints
    weight: Ints | None = None  # how many packets each pair stands for; None: one

    def count(self, wanted: Mask) -> int:
        """Packets of some pairs."""
        return int(wanted.sum() if self.weight is None else self.weight[wanted].sum())

    def take(self, wanted: Mask) -> Hop:
        """Some of the pairs."""
        weight = None if self.weight is None else self.weight[wanted]
        return Hop(self.source, self.target, self.before[wanted], self.after[wanted], weight)


@dataclass(slots=True)
class Beside:
    """Journeys of one direction that were found right in bulk: how many, and how many by pairs of neighbouring points
    (their ids)."""

    journeys: int = 0
    hops: Counter[tuple[int, int]] = field(default_factory=Counter)


@dataclass(slots=True)
class Way:
    """The journeys of one direction in one batch.

    Shape: `rows` (journeys, points), -1 where the packet was not seen; `server` and `proto` (journeys,). A server is
    the index of a real server in the scene, -1 where no packet tells.
    """

    direction: int
    points: list[Point]
    rows: Ints
    server: Ints
    proto: Ints
    ambiguous: Mask  # several packets with one identity and no IP id: which is which is a guess by time
    weight: Ints | None = None  # how many journeys each stands for; None: one
    beside: Beside | None = None  # those that are not here, because they were found right in bulk

    def count(self, wanted: Mask) -> int:
        """How many journeys some of these are."""
        return int(wanted.sum() if self.weight is None else self.weight[wanted].sum())

    def is_rare(self, hop: Hop) -> bool:
        """Whether so few journeys have these two points as neighbours that only loss or a copy makes them so."""
        mine, every = hop.count(np.ones(len(hop.before), bool)), self.count(np.ones(len(self.rows), bool))
        if self.beside is not None and hop.source is not None:
            mine += self.beside.hops[id(hop.source), id(hop.target)]
            every += self.beside.journeys
        return mine * _RARE_HOP < every

    def hops(self, *, sure: bool = False) -> list[Hop]:
        """Consecutive sightings: each packet's pairs of neighbouring points; `sure` leaves ambiguous ones out."""
        out = []
        shared = self.shared()
        for a in range(len(self.points)):
            for b in (np.flatnonzero(shared[a, a + 1 : self.reach(a)]) + a + 1).tolist():
                between = self.rows[:, a + 1 : b] >= 0
                both = (self.rows[:, a] >= 0) & (self.rows[:, b] >= 0) & ~between.any(axis=1)
                if sure:
                    both &= ~self.ambiguous
                if both.any():
                    weight = None if self.weight is None else self.weight[both]
                    out.append(Hop(self.points[a], self.points[b], self.rows[both, a], self.rows[both, b], weight))
        return out

    def reach(self, point: int) -> int:
        """Index behind the last point that is compared with one: all, unless there are absurdly many."""
        many = len(self.points) > _MOST_COMPARED
        return point + 1 + _NEIGHBOURS if many else len(self.points)

    def shared(self) -> Mask:
        """Which two points have packets in common. Shape: (points, points)."""
        seen = (self.rows >= 0).astype(np.float32)
        return np.asarray(seen.T @ seen > 0, bool)

    def keep(self, wanted: Mask) -> Way:
        return Way(
            self.direction,
            self.points,
            self.rows[wanted],
            self.server[wanted],
            self.proto[wanted],
            self.ambiguous[wanted],
            None if self.weight is None else self.weight[wanted],
            self.beside,
        )


@dataclass(slots=True)
class Journeys:
    """What a batch holds: journeys by direction, and for each row its server and its point (-1: none)."""

    ways: dict[int, Way]
    server_of_row: Ints
    point_of_row: Ints


@dataclass(slots=True)
class Joiner:
    """Joins batches; see the module."""

    scene: Scene
    taps: list[TapInfo]
    _points: dict[tuple[int, int, int, int, int], Point] = field(default_factory=dict)
    _before: Counter[tuple[int, int]] = field(default_factory=Counter)  # ids of points: (first, second) -> packets
    _passes: dict[int, list[int]] = field(default_factory=dict)
    _copies: dict[int, list[int]] = field(default_factory=dict)
    _server_of_client: dict[int, int] = field(default_factory=dict)
    expected: set[tuple[int, int, int]] = field(default_factory=set)  # (id of point, server, protocol)
    known: set[tuple[int, int, int]] = field(default_factory=set)  # (direction, server, protocol)
    mirrors: set[int] = field(default_factory=set)
    _together: set[tuple[int, int]] = field(default_factory=set)  # ids of points that one packet passed both

    def join(self, f: Frames, flows: Flows) -> Journeys:
        """Join one batch's packets of the services into journeys."""
        form = forms(f, flows, self.scene)
        wanted = in_service(f, flows, self.scene, form)
        identity = flows.identity
        if self.scene.mode is None:
            # Without a mode only sightings with the same addresses can be said to be one packet.
            identity = np.where(identity != 0, mix(identity, flows.client, flows.server), identity)
        elif self.scene.mode != "fullnat":
            identity = _told_apart_by_ends(f, flows, identity, form, np.flatnonzero(wanted), self.scene.mode)
        identity = _apart(f, flows, identity, np.flatnonzero(wanted))
        turn = self._turns(f, identity, form, np.flatnonzero(wanted))
        wanted &= turn >= 0
        ways = {}
        for direction in (REQUEST, REPLY):
            rows = np.flatnonzero(wanted & (flows.direction == direction))
            rows = self._without_mirrors(f, identity, form, turn, rows)
            ways[direction] = self._way(f, flows, direction, rows, identity, form, turn)
        if self.scene.mode in ("nat", "fullnat", "l3dsr-dscp"):
            served = {d: _served(flows, way) for d, way in ways.items()}
            if self.scene.mode != "l3dsr-dscp":  # there a reply in a server's own name is on no way of the service's
                served = dict.fromkeys(ways, np.concatenate([*served.values()]))
            ways = {d: _without_foreign(flows, way, served[d]) for d, way in ways.items()}
        for way in ways.values():
            self._servers(f, flows, way)
        self._share_servers(f, flows, ways)
        for way in ways.values():
            self._learn(way)
        return by_row(f, ways)

    def settled(self, when: Ints, journeys: Journeys, until: int | None) -> tuple[Journeys, Mask]:
        """Split off the journeys that no later packet can belong to: (those, rows that have to wait).

        Packets outside any journey wait as well, so that answers and errors never overtake what they answer.
        """
        if until is None:
            return journeys, np.zeros(len(when), bool)
        waiting = when > until
        ways = {}
        for direction, way in journeys.ways.items():
            stamps = np.where(way.rows >= 0, when[way.rows], np.iinfo(np.int64).min)
            open_ = stamps.max(axis=1) > until if way.rows.size else np.zeros(len(way.rows), bool)
            rows = way.rows[open_]
            waiting[rows[rows >= 0]] = True
            ways[direction] = way.keep(~open_)
        return Journeys(ways, journeys.server_of_row, journeys.point_of_row), waiting

    def passes(self, way: Way) -> Mask:
        """Through which points each journey's way leads, as far as others of its server and protocol show.

        A packet that was seen at a point which no packet shares with this one went another way (the other load
        balancer of a pair, say). Shape: (journeys, points).
        """
        leads = np.zeros((len(way.server), len(way.points)), bool)
        for s, p in _kinds(way):
            row = [self._through(way.direction, point, s, p) for point in way.points]
            leads[(way.server == s) & (way.proto == p)] = row
        at = {id(point): i for i, point in enumerate(way.points)}
        apart = ~np.eye(len(at), dtype=bool)
        for a, b in self._together:
            if a in at and b in at:
                apart[at[a], at[b]] = False
        elsewhere = (way.rows >= 0).astype(np.float32) @ apart.astype(np.float32) > 0
        return leads & ~elsewhere

    def together(self, a: Point, b: Point) -> bool:
        """Whether any packet was seen at both points."""
        return (id(a), id(b)) in self._together

    @property
    def pairs_known(self) -> int:
        """How many pairs of points packets are known to have passed both of."""
        return len(self._together)

    def leads(self, point: Point, server: int, proto: int) -> bool:
        """Whether packets of this server and protocol were seen at a point."""
        return (id(point), server, proto) in self.expected

    def _through(self, direction: int, point: Point, server: int, proto: int) -> bool:
        return self.leads(point, server, proto) if server >= 0 else self.all_pass(direction, point, proto)

    def all_pass(self, direction: int, point: Point, proto: int) -> bool:
        """Whether every server's packets pass a point, so that those of an unknown one must too."""
        others = [s for d, s, p in self.known if d == direction and p == proto and s >= 0]
        return all(self.leads(point, s, proto) for s in others) if others else self.leads(point, -1, proto)

    def points(self, direction: int) -> list[Point]:
        """All points of a direction in the order in which packets meet them."""
        mine = [self._points[key] for key in sorted(self._points) if key[-1] == direction]
        before = np.zeros((len(mine), len(mine)), np.int64)
        at = {id(p): i for i, p in enumerate(mine)}
        for (a, b), n in self._before.items():
            if a in at and b in at:
                before[at[a], at[b]] = n
        _form_order(mine, before)
        return [mine[i] for i in _topological(before)]

    def ranks(self) -> dict[int, int]:
        """Places of all points in the order of their direction, by their ids."""
        return {id(p): i for direction in DIRECTIONS for i, p in enumerate(self.points(direction))}

    def ways_of(self, rows: Ints, points: Sequence[Point], journey: Ints, server: Ints, proto: Ints) -> dict[int, Way]:
        """Journeys of packets whose points are known, by direction; each passes a point once.

        Shape: `rows`, `points` and `journey` (packets,), the last being indices of `server` and `proto` (journeys,).
        """
        rank = self.ranks()
        column = np.asarray([rank[id(point)] for point in points], np.int64)
        direction = np.zeros(len(server), np.int64)
        direction[journey] = [point.direction for point in points]
        ways = {}
        for one in DIRECTIONS:
            ordered = self.points(one)
            mine = direction == one
            matrix = np.full((len(server), len(ordered)), -1, np.int64)
            here = mine[journey]
            matrix[journey[here], column[here]] = rows[here]
            count = int(mine.sum())
            ways[one] = Way(one, ordered, matrix[mine], server[mine], proto[mine], np.zeros(count, bool))
        return ways

    def name_points(self) -> None:
        """Name all points: by their tap, with what tells several of one tap and direction apart."""
        for direction in (REQUEST, REPLY):
            by_tap: dict[int, list[Point]] = defaultdict(list)
            for point in self.points(direction):
                by_tap[point.tap].append(point)
            for tap, group in by_tap.items():
                ends = [""] if len(group) == 1 else [".in", ".out"]
                if len(group) > len(ends):
                    ends = [f".{i}" for i in range(1, len(group) + 1)]
                for point, end in zip(group, ends, strict=True):
                    point.name = self.taps[tap].name + end

    # --- steps of a join ------------------------------------------------------------------------------------------

    def _turns(self, f: Frames, identity: Words, form: Ints, rows: Ints) -> Ints:
        """Which pass of a packet through its tap a row is; -1 for passes that are not part of a path (loops).

        A capture of all sides of a router shows each packet again with a smaller TTL. It is taken for that only if
        most packets do so; a few that come back are a loop, and only their first pass counts.
        """
        turn = np.full(f.n, -1, np.int64)
        if not len(rows):
            return turn
        place = mix(f.tap[rows], f.port_of_tap[rows], form[rows], f.proto[rows])
        group = mix(identity[rows], place)
        # The same MACs again with a smaller TTL: the packet goes in circles.
        ends = mix(group, f.eth_src[rows], f.eth_dst[rows], f.rec["pkttype"][rows])
        _, inverse = np.unique(ends, return_inverse=True)
        highest = np.zeros(int(inverse.max()) + 1, np.int64)
        np.maximum.at(highest, inverse, f.wire_ttl[rows])
        straight = f.wire_ttl[rows] == highest[inverse]
        rows, group, place = rows[straight], group[straight], place[straight]
        ranks = _rank_by_fall(f, rows, group)
        for p in distinct(place):
            here = place == p
            seen = self._passes.setdefault(int(p), [0, 0])
            seen[0] += len(distinct(group[here]))
            seen[1] += len(distinct(group[here & (ranks == 1)]))
            most = _MOST_TURNS if seen[1] > _SHARE_OF_TWICE * seen[0] else 0
            ranks[here & (ranks > most)] = -1
        turn[rows] = ranks
        return turn

    def _without_mirrors(self, f: Frames, identity: Words, form: Ints, turn: Ints, rows: Ints) -> Ints:
        """Drop the second copies where a capture holds every frame of a link twice.

        A mirror port of both directions does that, and a merge of two captures of one link. A place is taken for one
        only if many of its packets are there twice; single copies are the network's.
        """
        if not len(rows):
            return rows
        place = mix(f.tap[rows], f.port_of_tap[rows], form[rows], turn[rows])
        key = mix(identity[rows], place, f.wire_ttl[rows], f.eth_src[rows], f.eth_dst[rows])
        order = np.lexsort((f.number[rows], key))
        k, ts = key[order], f.ts[rows][order]
        twin = np.append(False, (k[1:] == k[:-1]) & (np.abs(ts[1:] - ts[:-1]) < _MIRROR_NS))
        copies = np.zeros(len(rows), bool)
        copies[order] = twin
        drop = np.zeros(len(rows), bool)
        for p in distinct(place):
            here = place == p
            seen = self._copies.setdefault(int(p), [0, 0])
            seen[0] += int(here.sum())
            seen[1] += int(copies[here].sum())
            if seen[1] > _MIRROR_SHARE * seen[0]:
                drop |= here & copies
                self.mirrors.add(int(f.tap[rows[here][0]]))
        return rows[~drop]

    def _way(self, f: Frames, flows: Flows, direction: int, rows: Ints, identity: Words, form: Ints, turn: Ints) -> Way:
        place = np.stack([f.tap[rows], f.port_of_tap[rows], form[rows], turn[rows]])
        unique, at, _ = distinct_columns(place)
        here = [self._point(int(t), int(p), int(m), int(k), direction) for t, p, m, k in unique.T]
        self._learn_order(f, flows, rows, at, here, identity)
        ordered = self.points(direction)
        rank = {id(p): i for i, p in enumerate(ordered)}
        column = np.asarray([rank[id(p)] for p in here], np.int64)[at] if len(rows) else at
        journey = _occurrences(f, identity, rows, column)
        matrix = np.full((int(journey.max()) + 1 if len(rows) else 0, len(ordered)), -1, np.int64)
        matrix[journey, column] = rows
        proto = f.proto[matrix.max(axis=1)] if len(matrix) else np.zeros(0, np.int64)
        ambiguous = np.zeros(len(matrix), bool)
        if len(rows):
            twice = _seen_twice(identity[rows], column)
            ambiguous[journey[twice & (f.ip_id[rows] == 0)]] = True
        return Way(direction, ordered, matrix, np.full(len(matrix), -1, np.int64), proto, ambiguous)

    def _point(self, tap: int, port: int, form: int, turn: int, direction: int) -> Point:
        return self._points.setdefault((tap, port, form, turn, direction), Point(tap, port, form, turn, direction))

    def passed_once(self, points: list[Point], proto: int, count: int) -> None:
        """Count packets that were seen once at each of some points, and are in no batch."""
        tap, port, form, turn = (np.asarray([getattr(p, name) for p in points]) for name in _OF_A_PLACE)
        protos = np.full(len(points), proto)
        for place in mix(tap, port, form, protos).tolist():
            self._passes.setdefault(place, [0, 0])[0] += count
        for place in mix(tap, port, form, turn).tolist():
            self._copies.setdefault(place, [0, 0])[0] += count

    def known_point(self, f: Frames, row: int, form: int, direction: int) -> Point | None:
        """The point where a packet in this form was seen on its only pass, if packets were seen there before."""
        return self._points.get((int(f.tap[row]), int(f.port_of_tap[row]), form, 0, direction))

    def _learn_order(self, f: Frames, flows: Flows, rows: Ints, at: Ints, here: list[Point], identity: Words) -> None:
        """Which of two points packets meet first, counted over pairs of sightings."""
        if not len(rows):
            return
        order = causal_order(f, Flows(flows.direction, flows.client, flows.server, identity), rows)
        where = np.full(f.n, -1, np.int64)
        where[rows] = at
        lane = where[order]
        for distance in range(1, len(here) + 1):
            a, b = order[:-distance], order[distance:]
            pairs = (identity[a] == identity[b]) & (lane[:-distance] != lane[distance:])
            if not (identity[a] == identity[b]).any():
                break
            a, b, la, lb = a[pairs], b[pairs], lane[:-distance][pairs], lane[distance:][pairs]
            link = (f.wire_ttl[a] == f.wire_ttl[b]) & (f.eth_src[a] == f.eth_src[b]) & (f.tunnel[a] == f.tunnel[b])
            for first, second, n in _count_pairs(la[~link], lb[~link]):
                self._before[id(here[first]), id(here[second])] += n
            for x, y, n in _count_pairs(la[link], lb[link]):
                one = np.flatnonzero((la[link] == x) & (lb[link] == y))[0]
                first, second = self._along_link(f, here, x, y, int(a[link][one]), int(b[link][one]))
                self._before[id(here[first]), id(here[second])] += n

    def _along_link(self, f: Frames, here: list[Point], x: int, y: int, at_x: int, at_y: int) -> tuple[int, int]:
        """Two captures of the same link: the sender's end is first."""
        sent = (f.rec["pkttype"][at_x] == SENT, f.rec["pkttype"][at_y] == SENT)
        if sent[0] != sent[1]:
            return (x, y) if sent[0] else (y, x)
        sender = self.scene.party_of_mac(int(f.eth_src[at_x]))
        receiver = self.scene.party_of_mac(int(f.eth_dst[at_x]))
        owner = {i: self.taps[here[i].tap].node for i in (x, y)}
        for i, j in ((x, y), (y, x)):
            if sender is not None and owner[i] == sender.name and owner[j] != sender.name:
                return i, j
            if receiver is not None and owner[j] == receiver.name and owner[i] != receiver.name:
                return i, j
        # Nothing tells: the capture that holds more is nearer to the middle of things. Not the order of the arguments.
        sizes = [
            (-self.taps[here[i].tap].packets, -self.taps[here[i].tap].octets, here[i].tap, here[i].port) for i in (x, y)
        ]
        return (x, y) if sizes[0] <= sizes[1] else (y, x)

    def _servers(self, f: Frames, flows: Flows, way: Way) -> None:
        """Which real server each journey leads to, by any sighting that tells."""
        for column in range(way.rows.shape[1]):
            seen = way.rows[:, column] >= 0
            found = servers_of(f, flows, self.scene, way.rows[seen, column])
            if f.past is not None:  # the fast path may know whom the flow was with
                past = f.past[way.rows[seen, column]]
                found = np.where((found < 0) & (past["last"] > 0), past["server"], found)
            way.server[seen] = np.where(found >= 0, found, way.server[seen])

    def _share_servers(self, f: Frames, flows: Flows, ways: dict[int, Way]) -> None:
        """A conversation stays with its server: packets that do not tell it follow those of the same client that do."""
        keys = {d: _client_keys(f, flows, way) for d, way in ways.items()}
        memory = self._server_of_client
        for d, way in ways.items():
            known = way.server >= 0
            for key, server in set(zip(keys[d][known].tolist(), way.server[known].tolist(), strict=True)):
                memory[key] = server if memory.get(key, server) == server else -1
        for d, way in ways.items():
            unknown = np.flatnonzero(way.server < 0)
            way.server[unknown] = [memory.get(int(keys[d][i]), -1) for i in unknown]
        while len(memory) > _MOST_CLIENTS:
            del memory[next(iter(memory))]

    def _learn(self, way: Way) -> None:
        """Through which points the packets of each server and protocol pass."""
        for s, p in _kinds(way):
            self.known.add((way.direction, s, p))
            mine = (way.server == s) & (way.proto == p)
            for i, point in enumerate(way.points):
                if (way.rows[mine, i] >= 0).any():
                    self.expected.add((id(point), s, p))
        for i, j in zip(*np.nonzero(way.shared()), strict=True):
            self._together.add((id(way.points[i]), id(way.points[j])))


def servers_of(f: Frames, flows: Flows, scene: Scene, r: Ints) -> Ints:
    """Which real server each of some rows comes from or goes to: its index in the scene, -1 where no address tells.

    Shape: as `r`.
    """
    return servers_named(f, flows, scene, r)[1]


def servers_named(f: Frames, flows: Flows, scene: Scene, r: Ints) -> tuple[Ints, Ints]:
    """The first and the last of the real servers that the addresses of some rows name, -1 where they name none.

    Where these differ, a packet goes to one server's address in a frame for another one. Shape: as `r`.
    """
    first, last = np.full(len(r), -1, np.int64), np.full(len(r), -1, np.int64)
    mac = np.where(flows.direction[r] == REQUEST, f.eth_dst[r], f.eth_src[r])
    for i, party in enumerate(scene.role("real-server")):
        ips, macs = list(party.ips - scene.vips), list(party.macs - {0})
        here = among(f.outer_dst[r], ips) | among(flows.server[r] >> 16, ips) | among(mac, macs)
        first[here & (first < 0)] = i
        last[here] = i
    return first, last


def forms(f: Frames, flows: Flows, scene: Scene) -> Ints:
    """In which form each packet is, by the mode. Shape: (n,)."""
    form = np.zeros(f.n, np.int64)
    server = flows.server >> 16
    request = flows.direction == REQUEST
    if scene.mode == "l2dsr":
        form[request & among(f.eth_src, list(scene.macs("lb") - {0}))] = REWRITTEN
        form[request & among(f.eth_src, list(scene.macs("real-server")))] = BOUNCED
    elif scene.mode == "l3dsr-tunnel":
        form[f.tunnel > 0] = REWRITTEN
        form[request & (f.tunnel == 0) & among(f.eth_src, list(scene.macs("real-server")))] = BOUNCED
        form[decapsulated(f, flows)] = DECAPSULATED
    elif scene.mode in ("nat", "fullnat", "l3dsr-dscp"):
        form[among(server, list(scene.ips("real-server") - scene.vips))] = REWRITTEN
        left = np.flatnonzero(left_as_it_came(f, flows, scene, form))
        form[left[_of_the_vip(f, flows, scene, left)]] = PLAIN
    return form


def left_as_it_came(f: Frames, flows: Flows, scene: Scene, form: Ints) -> Mask:
    """Replies that the load balancer sends on towards clients in a server's own name.

    So does one that routes what clients ask a server itself.
    """
    if scene.mode not in ("nat", "fullnat"):
        return np.zeros(f.n, bool)
    out = (flows.direction == REPLY) & (form == REWRITTEN)
    out &= among(f.eth_src, list({mac for _, mac, _ in scene.answers_leave}))
    rows = np.flatnonzero(out)
    if len(rows):
        ways = np.asarray(sorted(scene.answers_leave), np.int64).T
        out[rows] = among(mix(f.tap[rows], f.eth_src[rows], f.eth_dst[rows]), mix(*ways))
    return np.asarray(out, bool)


def _of_the_vip(f: Frames, flows: Flows, scene: Scene, rows: Ints) -> Mask:
    """Which of some replies are to clients that ask the VIP, and no server itself. Shape: as `rows`."""
    if not len(rows):
        return np.zeros(0, bool)
    who, server = mix(flows.client, f.proto), flows.server >> 16
    asks = flows.direction == REQUEST
    of_vip = among(who[rows], distinct(who[asks & among(server, list(scene.vips))]))
    if f.past is not None:
        of_vip |= f.past["last"][rows] > 0
    past_lb = asks & ~among(server, list(scene.vips)) & ~among(f.eth_src, list(scene.macs("lb")))
    return np.asarray(of_vip & ~among(who[rows], distinct(who[past_lb])), bool)


def in_service(f: Frames, flows: Flows, scene: Scene, form: Ints) -> Mask:
    """Packets of the balanced services; the rest of a capture is nobody's fault."""
    known = (flows.identity != 0) & (flows.direction != 0) & (form != BOUNCED)
    if scene.mode not in REWRITES:
        return np.asarray(known & (f.tunnel == 0), bool)
    server, port = flows.server >> 16, flows.server & 0xFFFF
    vip = among(server, list(scene.vips))
    if scene.mode == "l3dsr-tunnel":
        vip &= (f.tunnel == 0) | (f.tunnel == scene.tunnel) | (scene.tunnel == 0)
    real = among(server, list(scene.ips("real-server")))
    if scene.mode not in ("nat", "fullnat"):  # there the load balancer may have left a reply as it came
        real &= form == REWRITTEN
    if scene.services:
        real &= among(f.proto << 16 | port, scene.port_codes()) | f.fragment
    # The load balancer's own conversations with servers are checks, not traffic (full NAT apart).
    if scene.mode != "fullnat":
        own = among(flows.client >> 16, list(scene.ips("lb")))
        real &= ~own
        vip &= ~own
    return np.asarray(known & (vip | real), bool)


def _told_apart_by_ends(f: Frames, flows: Flows, identity: Words, form: Ints, rows: Ints, mode: str | None) -> Words:
    """Where one place holds an identity more than once, let the endpoints that the mode keeps tell packets apart.

    Alone, an identity needs no addresses, so that a wrongly rewritten one is seen as that; but packets whose numbers
    are not random (generated ones) share identities, and then only the endpoints say which belong together.
    """
    place = mix(identity[rows], f.tap[rows], f.port_of_tap[rows], form[rows])
    _, inverse, count = np.unique(place, return_inverse=True, return_counts=True)
    shared = among(identity, identity[rows][count[inverse] > 1]) & (identity != 0)
    if not shared.any():
        return identity
    kept = flows.server if mode in ("l2dsr", "l3dsr-tunnel") else np.zeros(f.n, np.int64)
    return np.where(shared, mix(identity, flows.client, kept), identity)


def _apart(f: Frames, flows: Flows, identity: Words, rows: Ints) -> Words:
    """Split identities whose sightings cannot be one packet: rewritten, yet in frames of the same sender."""
    if len(rows) < 2:
        return identity
    order = causal_order(f, Flows(flows.direction, flows.client, flows.server, identity), rows)
    a, b = order[:-1], order[1:]
    same = identity[a] == identity[b]
    broken = np.append(False, same & rewritten(f, flows, a, b) & ~sent_anew(f, a, b))
    if not broken.any():
        return identity
    out = identity.copy()
    count = np.cumsum(broken)
    fresh = np.append(True, ~same)
    start = count[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
    piece = count - start
    later = piece > 0
    out[order[later]] = mix(identity[order[later]], piece[later])
    return out


def _rank_by_fall(f: Frames, rows: Ints, group: Words) -> Ints:
    """0 for the sighting with the highest TTL of each group, 1 for the next lower TTL, and so on."""
    order = np.lexsort((f.number[rows], -f.wire_ttl[rows], group))
    g, ttl = group[order], f.wire_ttl[rows][order]
    fresh = np.append(True, g[1:] != g[:-1])
    falls = np.append(False, (g[1:] == g[:-1]) & (ttl[1:] < ttl[:-1]))
    count = np.cumsum(falls)
    start = np.maximum.accumulate(np.where(fresh, np.arange(len(g)), 0))
    ranks = np.empty(len(rows), np.int64)
    ranks[order] = count - count[start]
    return ranks


def _count_pairs(a: Ints, b: Ints) -> list[tuple[int, int, int]]:
    codes, counts = np.unique(a << 32 | b, return_counts=True)
    return [(code >> 32, code & 0xFFFF_FFFF, n) for code, n in zip(codes.tolist(), counts.tolist(), strict=True)]


def _form_order(points: list[Point], before: Ints) -> None:
    """Rewritten copies come after plain ones on the way in, before them on the way back."""
    for i, p in enumerate(points):
        for j, q in enumerate(points):
            if p.form == q.form:
                continue
            first = p.form < q.form if p.direction == REQUEST else p.form > q.form
            if first:
                before[i, j] += before[j, i] + 1
                before[j, i] = 0


def _topological(before: Ints) -> list[int]:
    """Indices so that whatever mostly comes first is first; a cycle (packets going in circles) is cut somewhere."""
    n = len(before)
    ahead = before > before.T
    waiting = ahead.sum(axis=0)  # how many of the rest must precede
    wins = before.sum(axis=1)
    left = np.ones(n, bool)
    order: list[int] = []
    for _ in range(n):
        candidates = np.flatnonzero(left)
        least = candidates[waiting[candidates] == waiting[candidates].min()]
        best = int(least[np.argmax(wins[least])])
        order.append(best)
        left[best] = False
        waiting = waiting - ahead[best]
        wins = wins - before[:, best]
    return order


def _seen_twice(identity: Words, at: Ints) -> Mask:
    """Rows whose identity some point holds more than once. Shape: (rows,)."""
    _, inverse, count = np.unique(mix(identity, at), return_inverse=True, return_counts=True)
    return among(identity, identity[count[inverse] > 1])


def _occurrences(f: Frames, identity: Words, rows: Ints, at: Ints) -> Ints:
    """Number the journeys: rows of one identity are one journey, unless a point saw the identity more than once."""
    if not len(rows):
        return np.zeros(0, np.int64)
    group = mix(identity[rows], at)
    order = np.lexsort((f.ts[rows], group))
    g = group[order]
    fresh = np.append(True, g[1:] != g[:-1])
    start = np.maximum.accumulate(np.where(fresh, np.arange(len(g)), 0))
    occurrence = np.empty(len(rows), np.int64)
    occurrence[order] = np.arange(len(g)) - start
    repeated = distinct(identity[rows][occurrence > 0])
    if len(repeated):
        _align(f, identity, rows, at, occurrence, repeated)
    _, journey = np.unique(mix(identity[rows], occurrence), return_inverse=True)
    return np.asarray(journey).reshape(-1).astype(np.int64)


def _align(f: Frames, identity: Words, rows: Ints, at: Ints, occurrence: Ints, repeated: Words) -> None:
    """Give copies of one identity the numbers of the copies that they are, where points saw different counts."""
    order = np.flatnonzero(among(identity[rows], repeated))
    order = order[np.argsort(identity[rows[order]], kind="stable")]
    cuts = np.flatnonzero(identity[rows[order]][1:] != identity[rows[order]][:-1]) + 1
    for members in np.split(order, cuts):
        lanes = [members[at[members] == p] for p in distinct(at[members])]
        longest = max(lanes, key=len)
        if all(len(lane) == len(longest) for lane in lanes):
            continue
        clock = np.sort(f.ts[rows[longest]])
        for lane in lanes:
            if len(lane) < len(longest):
                lane = lane[np.argsort(f.ts[rows[lane]])]
                occurrence[lane] = nearest(f.ts[rows[lane]], clock)


def nearest(times: Ints, clock: Ints) -> Ints:
    """Place each of `times` (ascending) at a slot of `clock` of its own, in order, with the least total distance.

    Beyond a bound of memory each takes the first free slot that is not before it in time.
    """
    count, spare = len(times), len(clock) - len(times)
    index = np.arange(count)
    if count * (spare + 1) > _MOST_ALIGNED:
        skipped = np.maximum.accumulate(np.searchsorted(clock, times) - index)
        return np.asarray(index + np.clip(skipped, 0, spare), np.int64)
    best = np.zeros(spare + 1, np.int64)  # by slots skipped so far: the least distance of the times placed so far
    chosen = np.zeros((count, spare + 1), np.int32)
    for i in index.tolist():
        cost = best + np.abs(clock[i : i + spare + 1] - times[i])
        best = np.minimum.accumulate(cost)
        fresh = np.append(True, best[1:] < best[:-1])
        chosen[i] = np.maximum.accumulate(np.where(fresh, np.arange(spare + 1), 0))
    slots, skips = np.zeros(count, np.int64), spare
    for i in index[::-1].tolist():
        skips = int(chosen[i, skips])
        slots[i] = i + skips
    return slots


def _served(flows: Flows, way: Way) -> Words:
    """Conversations of the VIP: seen on both sides of the load balancer."""
    plain = np.asarray([p.form == PLAIN for p in way.points], bool)
    if not len(way.rows) or not plain.any():
        return np.zeros(0, np.uint64)
    both = (way.rows[:, plain] >= 0).any(axis=1) & (way.rows[:, ~plain] >= 0).any(axis=1)
    return distinct(_talk(flows, way.rows, ~plain)[both])


def _without_foreign(flows: Flows, way: Way, served: Words) -> Way:
    """Drop conversations with a real server's own address that never were the VIP's: monitoring, administration."""
    plain = np.asarray([p.form == PLAIN for p in way.points], bool)
    if not len(way.rows) or not plain.any():
        return way
    has_plain = (way.rows[:, plain] >= 0).any(axis=1)
    has_rewritten = (way.rows[:, ~plain] >= 0).any(axis=1)
    return way.keep(~(has_rewritten & ~has_plain & ~among(_talk(flows, way.rows, ~plain), served)))


def _talk(flows: Flows, matrix: Ints, columns: Mask) -> Words:
    """The conversation (client and server endpoint) of each journey at one of some points; 0 where it was at none."""
    part = matrix[:, columns]
    row = part.max(axis=1) if part.shape[1] else np.full(len(matrix), -1)
    return np.where(row >= 0, mix(flows.client[row], flows.server[row]), np.uint64(0))


def _client_keys(f: Frames, flows: Flows, way: Way) -> Words:
    """Client endpoint and protocol of each journey, from a packet in the client's own form if there is one."""
    if not len(way.rows):
        return np.zeros(0, np.uint64)
    plain = np.asarray([p.form == PLAIN for p in way.points], bool)
    row = way.rows.max(axis=1)
    if plain.any():
        own = way.rows[:, plain].max(axis=1)
        row = np.where(own >= 0, own, row)
    return mix(flows.client[row], f.proto[row])


def _kinds(way: Way) -> list[tuple[int, int]]:
    """The servers and protocols that occur."""
    if not len(way.server):
        return []
    codes = distinct((way.server + 1) << 8 | way.proto)
    return [((code >> 8) - 1, code & 0xFF) for code in codes.tolist()]


def by_row(f: Frames, ways: dict[int, Way]) -> Journeys:
    """Ways with what they say of each packet."""
    server, point = np.full(f.n, -1, np.int64), np.full(f.n, -1, np.int64)
    for way in ways.values():
        for i in range(way.rows.shape[1]):
            seen = way.rows[:, i] >= 0
            server[way.rows[seen, i]] = way.server[seen]
            point[way.rows[seen, i]] = i
    return Journeys(ways, server, point)


def pair_counts(f: Frames, flows: Flows, joiner: Joiner, way: Way) -> list[tuple[Point, Point, str, int, int]]:
    """For every two points and each protocol: (from, to, protocol, packets at both, packets missing at one)."""
    counts = []
    through = joiner.passes(way).T
    for i in range(len(way.points)):
        for j in range(i + 1, min(way.reach(i), len(way.points))):
            if not joiner.together(way.points[i], way.points[j]):
                continue
            a, b = way.rows[:, i] >= 0, way.rows[:, j] >= 0
            both = a & b
            gone, new = a & ~b & through[j], b & ~a & through[i]
            recut = resegmented(f, flows, way, i, j)
            alone = (gone & ~recut) | (new & ~resegmented(f, flows, way, j, i))
            both = both | (gone & recut)
            for p in sorted({int(x) for x in way.proto[both | alone]}):
                mine = way.proto == p
                name = PROTOCOLS.get(p, str(p))
                counts.append((way.points[i], way.points[j], name, way.count(both & mine), way.count(alone & mine)))
    return counts


def resegmented(f: Frames, flows: Flows, way: Way, here: int, there: int) -> Mask:
    """Journeys of one point whose TCP octets another point holds in segments of other sizes.

    Offload engines join segments into super-packets (GRO) and cut them again (GSO, TSO), so that two taps of one path
    can hold the same octets in different packets. Only packets that found no partner on either side are looked at: a
    retransmission has one. Shape: (journeys,).
    """
    out = np.zeros(len(way.rows), bool)
    a, b = way.rows[:, here], way.rows[:, there]
    lone = np.flatnonzero((a >= 0) & (b < 0))
    other = b[(b >= 0) & (a < 0)]
    lone = lone[f.is_tcp[a[lone]] & (f.payload_len[a[lone]] > 0)]
    other = other[f.is_tcp[other] & (f.payload_len[other] > 0)]
    if len(lone) and len(other):
        out[lone] = _covered(f, flows.client, a[lone], other)
    return out


def _covered(f: Frames, client: Ints, rows: Ints, by: Ints) -> Mask:
    """Which of `rows` have all their octets in the union of the segments `by` of the same client endpoint."""
    known, flow = np.unique(client[by], return_inverse=True)
    base = np.zeros(len(known), np.int64)
    base[flow] = f.seq[by]
    start = _ahead(f.seq[by], base[flow])
    order = np.lexsort((start, flow))
    flow, start = flow[order], start[order]
    end = start + f.payload_len[by][order]
    wide = flow << 34
    reach = np.maximum.accumulate(wide + end)  # flows are far apart, so one running maximum serves all
    fresh = np.append(True, (wide + start)[1:] > reach[:-1])
    block = np.cumsum(fresh) - 1
    first = (wide + start)[fresh]
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, block, wide + end)
    at = np.minimum(np.searchsorted(known, client[rows]), len(known) - 1)
    mine = known[at] == client[rows]
    begin = (at << 34) + _ahead(f.seq[rows], base[at])
    where = np.searchsorted(first, begin, "right") - 1
    inside = (where >= 0) & (begin + f.payload_len[rows] <= last[np.maximum(where, 0)])
    return np.asarray(mine & inside, bool)


def _ahead(seq: Ints, base: Ints) -> Ints:
    """Sequence numbers relative to another, within half the number space, all positive. Source: RFC 9293 s3.4."""
    return ((seq - base + (1 << 31)) & 0xFFFF_FFFF) + (1 << 20)


class Clocks:
    """Clock offsets between taps, from the time that packets take in both directions.

    Requests and replies cross a hop in opposite directions, so half the difference of their medians is the clocks';
    with one direction only, the transit time stays in the estimate. The first batch that shows a hop decides.
    """

    def __init__(self) -> None:
        self._gaps: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)

    def learn(self, f: Frames, journeys: Journeys) -> None:
        for direction, way in journeys.ways.items():
            for hop in way.hops():
                assert hop.source is not None
                a, b = hop.source.tap, hop.target.tap
                if a == b:
                    continue
                gap = median(f.ts[hop.after] - f.ts[hop.before])
                self._gaps[min(a, b), max(a, b)].setdefault(direction, gap if a < b else -gap)

    def offsets(self, taps: int) -> list[int]:
        """How much to add to each tap's time stamps to meet the first connected tap's clock. Units: ns."""
        edges: dict[int, dict[int, float]] = defaultdict(dict)
        for (low, high), by_direction in self._gaps.items():
            value = sum(by_direction.values()) / len(by_direction)
            edges[low][high], edges[high][low] = value, -value
        offsets: dict[int, int] = {}
        for root in range(taps):
            if root in offsets:
                continue
            offsets[root] = 0
            queue = [root]
            while queue:
                at = queue.pop(0)
                for other, gap in sorted(edges[at].items()):
                    if other not in offsets:
                        offsets[other] = offsets[at] - round(gap)
                        queue.append(other)
        return [offsets[i] for i in range(taps)]
