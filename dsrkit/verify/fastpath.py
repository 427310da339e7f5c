"""The fast path: journeys that look like one already found right are counted by the compiled `join`, others judged.

What the tables say of a journey depends on its *chain* alone: on how the packet looked at each point, in every field
that some rule reads (`dsrkit.verify.join`). So each chain is judged once, by the judge itself, and what looks the same
is counted with it at the end (`Judge.weigh`). A flow stays on the fast path while all its packets are such, complete at
every point, and its opening is answered; with the first one that is not, the flow goes to the judge from there on. Rows
that belong to no conversation with the service (ARP, ICMP, DNS, health checks, strangers) always do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, Final, cast

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.names import REWRITES
from dsrkit.verify import looks, roles
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.batches import LATER_ROWS, MOST_TAPS, Input, Piece, Portion
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import PAST, REPLY, REQUEST, UDP, Frames, Ints, Records
from dsrkit.verify.journeys import Beside, Journeys, by_row, servers_of
from dsrkit.verify.judge import Judge, horizon
from dsrkit.verify.observer import Bulk
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Point
from dsrkit.wire import _cython
from dsrkit.wire.rows import joined, taken

PORTION_ROWS: Final = 32_000
"""Packets that are put together at once: what is done once for each portion costs little for one packet."""
HEAD_ROWS: Final = 6_000
"""Packets at the beginning that show roles and points, before anything is counted."""
RIPE_NS: Final = 50_000_000
"""After so long, a packet has been at all points that it comes to."""
EDGE_NS: Final = 5_000_000
"""A second sighting at the same place (a mirror port's copy, a loop) comes within this time."""
_MOST_ENDPOINTS: Final = 1 << 14
_SAMPLED: Final = 8
"""Every so-manieth packet tells how far back journeys may wait."""
_MANY_NEWS: Final = 10_000
_SHOWN: Final = 16
_SLOTS: Final = 1 << 14
"""Of the tables of chains and classes: a few of each are the rule."""
_MOST_FLOWS: Final = 1 << 17
_FEW_FLOWS: Final = 1 << 16
"""Flows that are remembered while most of them are closed."""
_LINGER_NS: Final = 60_000_000_000
"""After so long, nobody sends anything more of a closed connection (TIME-WAIT of Linux, net/tcp.h TCP_TIMEWAIT_LEN)."""
_MOVED: Final = 1 << 12
"""Flows that are moved at once, when old ones are forgotten."""
_NEVER: Final = (1 << 63) - 1


def possible(scene: Scene) -> bool:
    """Whether what is known of the set-up lets packets be judged by what they look like.

    Full NAT makes new flows of the clients', and pairs of load balancers hand connections over.
    """
    return (
        scene.mode in REWRITES
        and scene.mode != "fullnat"
        and scene.contradiction is None
        and len(scene.role("lb")) == 1
        and bool(scene.services)
    )


def compiled() -> tuple[Any, Any] | None:
    """The compiled modules `sightings` and `join`, None where they were not built."""
    loaded = [_cython.load(f"dsrkit.verify.{name}") for name in ("sightings", "join")]
    return (loaded[0][0], loaded[1][0]) if all(backend == "compiled" for _, backend in loaded) else None


@dataclass(slots=True)
class Kind:
    """One class of journeys: an example, packet by packet, and the points where those were seen."""

    direction: int
    rec: Records
    tap: Ints
    number: Ints
    points: list[Point]
    server: int
    proto: int


class FastPath:
    """Takes in portions; hands the judge what it has to look at."""

    def __init__(self, judge: Judge, data: Input, modules: tuple[Any, Any]) -> None:
        self._judge = judge
        self._scene = judge.scene
        self._data = data
        sightings, self._module = modules
        self._looks = looks.Looks(sightings, _serving(self._scene))
        self._join = self._module.Join()
        self._join.begin(_SHOWN)
        self._memory: dict[str, Any] = {}
        self._kinds: dict[int, Kind] = {}
        self._waiting: list[Piece] = []
        self._backlog: list[Piece] = []
        self._known = (0, 0)
        self.evidence = roles.Evidence()
        """What was seen, for roles: of all packets, for those that are counted by their examples."""
        self._news: list[tuple[Ints, Ints, Ints]] = []
        self._told: Counter[int] = Counter()
        self._handshakes: Counter[tuple[int, int]] = Counter()
        self.forgotten = 0
        self.mistaken = 0  # journeys that were counted as complete, and were not
        self._allocate()

    # --- memory -------------------------------------------------------------------------------------------------------

    def _allocate(self) -> None:
        memory = self._memory
        for name in ("packets", "octets", "shift"):
            memory[f"t_{name}"] = np.zeros(MOST_TAPS, np.int64)
        memory["f_table"] = np.zeros(2 * _MOST_FLOWS, np.int64)
        self._flows = np.zeros(_MOST_FLOWS, looks.FLOW)
        self._most_flows = min(_FEW_FLOWS, _MOST_FLOWS)
        self._entries = np.zeros(0, looks.SIGHTING)
        for name, kind in (("f", np.uint64), ("fi", np.int64), ("fs", np.int32)):
            memory[name] = _numbers(self._flows, kind)
        memory["h_key"], memory["c_key"] = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint64)
        for name in ("h_server", "c_table", "c_state", "c_count", "c_octets", "c_fresh", "c_begun", "c_round"):
            memory[name] = np.zeros(_SLOTS, np.int64)
        self._make_room(2 * PORTION_ROWS)

    def _make_room(self, rows: int) -> None:
        """See to it that so many entries fit."""
        memory = self._memory
        if len(self._entries) >= rows:
            return
        size = 1 << (rows - 1).bit_length()
        self._entries, self._journeys = np.zeros(size, looks.SIGHTING), np.zeros(size, looks.JOURNEY)
        for name, rows_of in (("e", self._entries), ("j", self._journeys)):
            memory[name], memory[f"{name}i"] = (_numbers(rows_of, kind) for kind in (np.uint64, np.int64))
        memory["e_journey"] = np.zeros(size, np.int64)
        memory["j_table"] = np.zeros(2 * size, np.int64)
        for name, width in (("slow", 1), ("wait", 1), ("open", 3), ("new", 1)):
            memory[f"r_{name}"] = np.zeros(width * size, np.int64)
        self._join.attach({name: memoryview(column) for name, column in memory.items()})

    def _forget_flows(self, rows: int) -> None:
        """Make room for so many new flows: forget old ones, or remember more while too many of them are open."""
        flows = self._join.numbers()[1]
        if not flows or flows + rows <= self._most_flows:
            return
        shut = np.count_nonzero(self._flows["bits"][:flows] & self._module.CLOSED)
        while self._most_flows < _MOST_FLOWS and flows - shut > self._most_flows // 4:
            self._most_flows *= 2
        if flows + rows > self._most_flows:
            share = 2 if self._most_flows == _MOST_FLOWS else 4
            self._keep_flows(max(0, min(flows, self._most_flows // share, self._most_flows - rows)))

    def _keep_flows(self, room: int) -> None:
        """Keep so many of the youngest flows."""
        known = self._flows[: self._join.numbers()[1]]
        kept = np.sort(np.argsort(self._ages(known), kind="stable")[len(known) - room :])
        gone = known["hits"] > 0  # of others nothing was counted yet: they come again with what waits
        gone[kept] = False
        self.forgotten += int((gone & ((known["bits"] & self._module.CLOSED) == 0)).sum())
        for at in range(0, room, _MOVED):  # in place: none is overwritten before it has moved
            self._flows[at : min(at + _MOVED, room)] = taken(self._flows, kept[at : at + _MOVED])
        self._memory["f_table"][:] = 0
        self._join.rebuild(room)

    def _ages(self, flows: Records) -> Ints:
        """When flows were last seen: closed ones as if it were a while ago, those that the judge looks at never old."""
        last = flows["last"] - np.where(flows["bits"] & self._module.CLOSED, _LINGER_NS, 0)
        return np.where(flows["bits"] & self._module.SLOW, _NEVER, last)

    # --- taking in ----------------------------------------------------------------------------------------------------

    def run(self, portions: Iterator[Portion]) -> bool:
        """Go through everything; False where that was given up, because what an observer has seen must be looked at
        packet by packet, and the input can be read again."""
        self._data.see = self._looks.see
        for portion in portions:
            if self._doubtful():
                return False
            self.feed(portion)
            del portion  # its rows make room for those of the next
        self.finish()
        return not self._doubtful()

    def _doubtful(self) -> bool:
        doubts = self.mistaken > 0 or any(observer.doubts() for observer in self._judge.observers)
        return self._data.rewindable and doubts

    def feed(self, portion: Portion) -> None:
        """Take in a portion: count what is right, keep what waits, pass on the rest."""
        pieces = [*self._waiting, *portion.pieces]
        old = len(self._waiting)
        rows = sum(len(piece.rec) for piece in pieces)
        self._forget_flows(rows)
        self._make_room(rows)
        shift = self._memory["t_shift"]
        for tap, info in enumerate(self._judge.taps):
            shift[tap] = info.shift_ns
        for number, piece in enumerate(pieces):
            self._enter(piece, number, fresh=number >= old)
        self._settle(pieces, portion.until)
        self._count_taps()
        waiting = sum(len(piece.rec) for piece in self._backlog)
        if portion.until is None or waiting >= LATER_ROWS:
            self._pass_on(portion.until)

    def _enter(self, piece: Piece, number: int, *, fresh: bool) -> None:
        if not len(piece.rec):
            return
        if piece.sightings is None:
            piece.sightings = self._looks.see(piece.rec, piece.file)
        sightings, taps = (memoryview(cast(Any, column)) for column in (piece.sightings, piece.tap))
        self._join.add(sightings, len(piece.rec), taps, number, fresh)

    def _settle(self, pieces: list[Piece], until: int | None) -> None:
        memory = self._memory
        count, _, alarms = self._join.numbers()
        open_after, edge = horizon(self._entries["ts"][:count:_SAMPLED], until, _SAMPLED), _NEVER
        if until is not None and open_after is not None:
            edge = max(open_after, until - EDGE_NS)
        self._recognise(pieces, until)
        slow, wait, opened = self._join.settle(edge, _NEVER if open_after is None else open_after, int(alarms > 0))
        self._began(pieces, memory["r_open"][: 3 * opened].reshape(-1, 3))
        left = self._taken(pieces, memory["r_slow"][:slow], past=True)
        self._data.keep(left)
        self._backlog += left
        self._waiting = self._taken(pieces, memory["r_wait"][:wait])
        self._data.awaited = self._waiting

    def _taken(self, pieces: list[Piece], entries: Ints, *, past: bool = False) -> list[Piece]:
        """The rows of some entries, copied; with what is known of their flows' `past`."""
        out = []
        for piece, mine, rows in self._by_piece(pieces, entries):
            out.append(piece.take(rows))
            if past:
                out[-1].past = self._past(entries[mine], out[-1].tap)
        return out

    def _by_piece(self, pieces: list[Piece], entries: Ints) -> Iterator[tuple[Piece, slice, Ints]]:
        """Where some entries, in ascending order, come from: a piece, which of the entries are its own, their rows."""
        ref = self._entries["ref"][entries]
        row = ref & 0xFFFF_FFFF
        ends = np.searchsorted(ref >> 40, np.arange(len(pieces) + 1)).tolist()
        for piece, (first, end) in zip(pieces, pairwise(ends), strict=True):
            if first < end:
                yield piece, slice(first, end), row[first:end]

    def _past(self, entries: Ints, tap: Ints) -> Records | None:
        """What was counted of the flows of some entries before they were given to the judge."""
        memory, module = self._memory, self._module
        flow = self._entries["flow"][entries]
        flow = np.where(flow < -1, -2 - flow, flow)
        counted = np.where(flow >= 0, self._flows["hits"][flow], 0) > 0
        if not counted.any():
            return None
        out = np.zeros(len(entries), PAST)
        bits = self._flows["bits"][flow]
        out["last"] = np.where(counted, self._flows["last"][flow] - memory["t_shift"][tap], 0)
        out["server"] = np.where(counted, self._flows["server"][flow], -1)
        out["isn"] = np.where(counted, self._flows["begin"][flow], -1)
        out["begun"] = counted & ((bits & module.BEGUN) != 0)
        out["closed"] = counted & ((bits & module.CLOSED) != 0)
        return out

    def _began(self, pieces: list[Piece], opened: Ints) -> None:
        """Connections that began and were answered: (class of the SYN, class of the answer or -1, entry) each."""
        if not len(opened):
            return
        codes, counts = np.unique(opened[:, 0] << 32 | (opened[:, 1] + 1), return_counts=True)
        for code, n in zip(codes.tolist(), counts.tolist(), strict=True):
            self._handshakes[code >> 32, (code & 0xFFFF_FFFF) - 1] += n
        servers = np.zeros(int(opened[:, 0].max()) + 1, np.int64)
        kinds = distinct(opened[:, 0])
        servers[kinds] = [self._kinds[kind].server for kind in kinds.tolist()]
        entries = taken(self._entries, opened[:, 2])
        tap = entries["ref"] >> 32 & 0xFF
        self._news.append((servers[opened[:, 0]], entries["ts"] - self._memory["t_shift"][tap], tap))
        if len(self.evidence.clients) < roles.MOST_CLIENTS:
            self._clients(joined([taken(piece.rec, rows) for piece, _, rows in self._by_piece(pieces, opened[:, 2])]))
        if sum(len(when) for _, when, _ in self._news) > _MANY_NEWS:
            self._tell_news()

    def _tell_news(self) -> None:
        """Tell the observers of connections that began."""
        if self._news:
            server, when, tap = (np.concatenate(column) for column in zip(*self._news, strict=True))
            for observer in self._judge.observers:
                observer.began(server, when, tap)
            self._news.clear()

    def _tell_handshakes(self) -> None:
        connections = self._judge.presence.connections
        for (asked, answered), n in self._handshakes.items():
            begins, says = self._kinds[asked], self._kinds.get(answered)
            connections.began(self._alone(begins), self._alone(says) if says else None, begins.server, n)
        taps: dict[int, set[int]] = defaultdict(set)
        datagrams = [(number, kind) for number, kind in self._kinds.items() if kind.proto == UDP]
        for number, kind in datagrams:
            if kind.direction == REQUEST and (n := int(self._memory["c_begun"][number])):
                connections.conversed(self._alone(kind), kind.server, n)
                taps[kind.server] |= set(kind.tap.tolist())
        for number, kind in datagrams:
            if kind.direction == REPLY and (n := int(self._memory["c_begun"][number])):
                connections.heard(self._alone(kind), taps[kind.server], n)

    def _alone(self, kind: Kind) -> Frames:
        return Frames(self._scene.book, kind.rec, kind.tap, kind.number)

    def _clients(self, rec: Records) -> None:
        """Who asks, as evidence for roles has it: packets without an outer header."""
        rec = taken(rec, rec["depth"] == 1)
        intern = self._scene.book.intern
        sides = [intern(rec[f"{side}_hi"][:, 0], rec[f"{side}_lo"][:, 0]).tolist() for side in ("src", "dst")]
        self.evidence.clients.update(zip(sides[0], rec["eth_src"].tolist(), sides[1], strict=True))

    def _count_taps(self) -> None:
        packets, octets = self._memory["t_packets"], self._memory["t_octets"]
        for tap, info in enumerate(self._judge.taps):
            info.packets += int(packets[tap])
            info.octets += int(octets[tap])
        packets[:] = octets[:] = 0

    # --- the slow path ------------------------------------------------------------------------------------------------

    def _pass_on(self, until: int | None) -> None:
        frames = self._data.frames(self._backlog)
        self._backlog = []
        order = np.lexsort((frames.number, frames.tap))
        self._look_at(frames.take(order), until)
        self._data.let_go()

    def _look_at(self, frames: Frames, until: int | None) -> None:
        """Let the judge look at packets."""
        flows = self._judge.feed(frames, until, self._beside())
        if frames.n:
            self.evidence.merge(roles.gather(frames, flows))
        self._review()

    def _beside(self) -> dict[int, Beside]:
        """What was counted so far, by direction."""
        joiner = self._judge.joiner
        out = {REQUEST: Beside(), REPLY: Beside()}
        rank = joiner.ranks()
        for number, kind in self._kinds.items():
            count = int(self._memory["c_count"][number])
            out[kind.direction].journeys += count
            for a, b in pairwise(sorted(kind.points, key=lambda point: rank[id(point)])):
                out[kind.direction].hops[id(a), id(b)] += count
            joiner.passed_once(kind.points, kind.proto, count - self._told[number])
            self._told[number] = count
        return out

    # --- learning -----------------------------------------------------------------------------------------------------

    def _recognise(self, pieces: list[Piece], until: int | None) -> None:
        """Let the judge's rules look at one journey of each kind that is new."""
        memory = self._memory
        new = self._join.group()
        if new:
            journeys = memory["r_new"][:new].copy()
            frames, journey = self._sightings(pieces, journeys)
            flows = self._judge.orient(frames, learn=False)
            found = servers_of(frames, flows, self._scene, np.arange(frames.n))
            own = np.full(len(journeys), -1, np.int64)
            np.maximum.at(own, journey, found)
            for j, server in zip(journeys.tolist(), own.tolist(), strict=True):
                self._join.learn(int(self._journeys["chain"][j]), server)
        new = self._join.classify()
        if not new:
            return
        found = memory["r_new"][: 2 * new].reshape(-1, 2)
        if until is not None:
            found = found[self._journeys["last"][found[:, 0]] <= until - RIPE_NS]
        if len(found):
            self._judge_kinds(pieces, found[:, 0].copy(), found[:, 1].copy())

    def _sightings(self, pieces: list[Piece], journeys: Ints) -> tuple[Frames, Ints]:
        """All packets of some journeys, and which of those each belongs to."""
        count = self._join.numbers()[0]
        of = self._memory["e_journey"][:count]
        entries = np.flatnonzero(among(of, journeys))
        order = np.argsort(journeys)
        journey = order[np.searchsorted(journeys[order], of[entries])]
        parts = [(piece.take(rows), journey[mine]) for piece, mine, rows in self._by_piece(pieces, entries)]
        return self._data.frames([piece for piece, _ in parts]), np.concatenate([whose for _, whose in parts])

    def _judge_kinds(self, pieces: list[Piece], journeys: Ints, kinds: Ints) -> None:
        """Judge one journey for each class, and register those that are right."""
        frames, journey = self._sightings(pieces, journeys)
        flow = self._entries["flow"][self._journeys["entry"][journeys]]
        server = self._flows["server"][flow]
        found = self._judge.example(frames, journey, server)
        for i, (number, right) in enumerate(zip(kinds.tolist(), found.right.tolist(), strict=True)):
            if not right:
                # It may be asked again while it is not complete: a point may come into sight that makes it so.
                if found.complete[i]:
                    self._memory["c_state"][number] = self._module.WRONG
                continue
            mine = np.flatnonzero(journey == i)
            points = [found.points[row] for row in mine.tolist()]
            self._kinds[number] = Kind(
                int(found.direction[i]),
                frames.rec[mine].copy(),
                frames.tap[mine],
                frames.number[mine],
                [point for point in points if point is not None],
                int(server[i]),
                int(frames.proto[mine[0]]),
            )
            self._memory["c_state"][number] = self._module.RIGHT

    def _review(self) -> None:
        """Look again whether what was found right is complete: a point may have come into sight since."""
        joiner = self._judge.joiner
        known = (len(joiner.expected), joiner.pairs_known)
        if known == self._known or not self._kinds:
            return
        self._known = known
        _, _, journeys, of = self._examples(list(self._kinds))
        for direction, way in journeys.ways.items():
            missing = (joiner.passes(way) & (way.rows < 0)).any(axis=1)
            for number in of[direction][missing].tolist():
                self._memory["c_state"][number] = self._module.UNKNOWN
                self.mistaken += int(self._memory["c_count"][number])

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Count what was found right in bulk."""
        if self.forgotten:
            self._scene.notes.append(
                f"{self.forgotten:,} open connections rested too long to be remembered among so many: "
                "a later packet of theirs counts as a connection of its own"
            )
        self._tell_news()
        self._tell_handshakes()
        numbers = [number for number in self._kinds if self._memory["c_count"][number]]
        if not numbers:
            return
        frames, flows, journeys, of = self._examples(numbers)
        bulk = {
            direction: Bulk(*(self._memory[f"c_{name}"][at] for name in ("count", "octets", "fresh", "begun")))
            for direction, at in of.items()
        }
        self._judge.weigh(frames, flows, journeys, bulk)
        self.evidence.merge(roles.gather(frames, flows))

    def _examples(self, numbers: list[int]) -> tuple[Frames, Flows, Journeys, dict[int, Ints]]:
        """The examples of classes as journeys that weigh what was counted; and the class of each, by direction."""
        kinds = [self._kinds[number] for number in numbers]
        counted = self._memory["c_count"][numbers]
        sizes = np.asarray([len(kind.rec) for kind in kinds], np.int64)
        frames = Frames(
            self._scene.book,
            np.concatenate([kind.rec for kind in kinds]),
            np.concatenate([kind.tap for kind in kinds]),
            np.concatenate([kind.number for kind in kinds]),
        )
        frames.weight = np.repeat(counted, sizes)
        server, proto, direction = (
            np.asarray([getattr(kind, name) for kind in kinds], np.int64) for name in ("server", "proto", "direction")
        )
        points = [point for kind in kinds for point in kind.points]
        journey = np.repeat(np.arange(len(kinds)), sizes)
        ways = self._judge.joiner.ways_of(np.arange(frames.n), points, journey, server, proto)
        of = {one: np.asarray(numbers, np.int64)[direction == one] for one in ways}
        for one, way in ways.items():
            way.weight = counted[direction == one]
        return frames, self._judge.orient(frames, learn=False), by_row(frames, ways), of


def _numbers(rows: Records, kind: type[np.generic]) -> Any:
    """Rows without gaps as numbers. Shape: (rows, numbers in one)."""
    return rows.view(kind).reshape(len(rows), -1)


def _serving(scene: Scene) -> list[tuple[int, int, int, int]]:
    """Endpoints that serve, as the scene says: two halves of an address, port, protocol.

    Packets of those beyond what the table has room for are judged one by one.
    """
    addresses = [scene.book.halves(address) for address in sorted(scene.vips | scene.ips("real-server"))]
    every = ((hi, lo, code & 0xFFFF, code >> 16) for code in scene.port_codes() for hi, lo in addresses)
    return list(islice(every, _MOST_ENDPOINTS))
