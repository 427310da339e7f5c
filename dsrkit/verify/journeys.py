"""Journeys: the same packet at every observation point, as an integer matrix of rows.

An observation point is a tap, or a tap before and after its node where it holds a packet twice. Packets are joined by
identity and occurrence, so retransmissions, copies of a mirror port and the hairpin copy of DSR stay apart.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import PROTOCOLS, REPLY, REQUEST, Frames, Ints, Mask, Words, mix
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.steps import causal_order, decapsulated, rewritten, sent_anew

PLAIN, REWRITTEN, DECAPSULATED, BOUNCED = 0, 1, 2, 3
"""Forms of a packet: as the client or for the client; as between load balancer and server; out of a server's tunnel
device; sent back by a machine that should have kept it."""

_MIRROR_NS = 1_000_000
_MIRROR_SHARE = 0.3
_SHARE_OF_TWICE = 0.5


@dataclass(slots=True)
class Point:
    """An observation point of one direction."""

    name: str
    tap: int
    port: int
    form: int
    turn: int  # which pass through the tap, where routers show a packet twice
    direction: int


@dataclass(slots=True)
class Hop:
    """Packets seen at two points in a row: `before[i]` and `after[i]` are rows of the same packet."""

    source: Point
    target: Point
    before: Ints
    after: Ints


@dataclass(slots=True)
class Journeys:
    """Matrices of rows, one per direction.

    Shape: `rows[d]` (journeys, points), -1 where the packet was not seen; `server[d]` and `proto[d]` (journeys,).
    """

    points: dict[int, list[Point]] = field(default_factory=dict)
    rows: dict[int, Ints] = field(default_factory=dict)
    server: dict[int, Ints] = field(default_factory=dict)
    proto: dict[int, Ints] = field(default_factory=dict)
    expected: dict[int, dict[tuple[int, int, int], bool]] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    mirrors: set[int] = field(default_factory=set)

    def hops(self, direction: int) -> list[Hop]:
        """Consecutive sightings: each packet's pairs of neighbouring points."""
        rows, points = self.rows[direction], self.points[direction]
        out = []
        for a in range(len(points)):
            for b in range(a + 1, len(points)):
                between = rows[:, a + 1 : b] >= 0
                both = (rows[:, a] >= 0) & (rows[:, b] >= 0) & ~between.any(axis=1)
                if both.any():
                    out.append(Hop(points[a], points[b], rows[both, a], rows[both, b]))
        return out

    def passes(self, direction: int, point: int) -> Mask:
        """Journeys whose way leads through a point, as far as others of the same server and protocol show."""
        expected = self.expected[direction]
        server, proto = self.server[direction], self.proto[direction]
        out = np.zeros(len(server), bool)
        for s, p in {(int(s), int(p)) for s, p in zip(server, proto, strict=True)}:
            if s >= 0:
                through = expected.get((point, s, p), False)
            else:  # unknown server: only where every server's packets pass
                known = [v for (q, k, r), v in expected.items() if q == point and r == p and k >= 0]
                through = all(known) if known else expected.get((point, -1, p), False)
            if through:
                out |= (server == s) & (proto == p)
        return out


def forms(f: Frames, flows: Flows, scene: Scene) -> Ints:
    """In which form each packet is, by the mode. Shape: (n,)."""
    form = np.zeros(f.n, np.int64)
    server = flows.server >> 16
    request = flows.direction == REQUEST
    if scene.mode == "l2dsr":
        form[request & np.isin(f.eth_src, list(scene.macs("lb") - {0}))] = REWRITTEN
        form[request & np.isin(f.eth_src, list(scene.macs("real-server")))] = BOUNCED
    elif scene.mode == "l3dsr-tunnel":
        form[f.tunnel > 0] = REWRITTEN
        form[request & (f.tunnel == 0) & np.isin(f.eth_src, list(scene.macs("real-server")))] = BOUNCED
        form[decapsulated(f, flows)] = DECAPSULATED
    elif scene.mode in ("nat", "fullnat", "l3dsr-dscp"):
        form[np.isin(server, list(scene.ips("real-server") - scene.vips))] = REWRITTEN
    return form


def in_service(f: Frames, flows: Flows, scene: Scene, form: Ints) -> Mask:
    """Packets of the balanced services; the rest of a capture is nobody's fault."""
    known = (flows.identity != 0) & (flows.direction != 0) & (form != BOUNCED)
    if scene.mode is None or scene.mode not in _JUDGED:
        return known & (f.tunnel == 0)
    server, port = flows.server >> 16, flows.server & 0xFFFF
    vip = np.isin(server, list(scene.vips))
    if scene.mode == "l3dsr-tunnel":
        vip &= (f.tunnel == 0) | (f.tunnel == scene.tunnel) | (scene.tunnel == 0)
    real = np.isin(server, list(scene.ips("real-server"))) & (form == REWRITTEN)
    if scene.services:
        wanted = [(proto, p) for proto, p in scene.services] + [
            (proto, p) for (proto, _), ports in scene.services.items() for p in ports
        ]
        codes = np.asarray(sorted({proto << 16 | p for proto, p in wanted}))
        real &= np.isin(f.proto << 16 | port, codes) | f.fragment
    # The load balancer's own conversations with servers are checks, not traffic (full NAT apart).
    if scene.mode != "fullnat":
        real &= ~np.isin(flows.client >> 16, list(scene.ips("lb")))
        vip &= ~np.isin(flows.client >> 16, list(scene.ips("lb")))
    return known & (vip | real)


_JUDGED = frozenset({"nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"})


def join(f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo]) -> Journeys:
    """Join all packets of the services into journeys."""
    out = Journeys()
    form = forms(f, flows, scene)
    wanted = in_service(f, flows, scene, form)
    identity = flows.identity.copy()
    if scene.mode is None:
        # Without a mode only sightings with the same addresses can be said to be one packet.
        identity = mix(identity, flows.client, flows.server)
    identity = _apart(f, flows, identity, np.flatnonzero(wanted))
    turn = _turns(f, identity, form, np.flatnonzero(wanted))
    wanted &= turn >= 0
    for direction in (REQUEST, REPLY):
        rows = np.flatnonzero(wanted & (flows.direction == direction))
        rows = _without_mirrors(f, identity, rows, out)
        _matrix(f, flows, scene, taps, direction, rows, identity, form, turn, out)
    if scene.mode in ("nat", "fullnat", "l3dsr-dscp"):
        _drop_foreign(flows, form, out)
    for direction in (REQUEST, REPLY):
        _servers(f, flows, scene, form, out, direction)
    _share_servers(f, flows, out)
    for direction in (REQUEST, REPLY):
        _expectations(out, direction)
    return out


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


def _turns(f: Frames, identity: Words, form: Ints, rows: Ints) -> Ints:
    """Which pass of a packet through its tap a row is; -1 for passes that are not part of a path (loops).

    A capture of all sides of a router shows each packet again with a smaller TTL. It is taken for that only if most
    packets do so; a few that come back are a loop, and only their first pass counts.
    """
    turn = np.full(f.n, -1, np.int64)
    if not len(rows):
        return turn
    place = mix(f.tap[rows], f.port_of_tap[rows], form[rows])
    group = mix(identity[rows], place)
    # The same MACs again with a smaller TTL: the packet goes in circles.
    ends = mix(group, f.eth_src[rows], f.eth_dst[rows], f.rec["pkttype"][rows])
    _, first, inverse = np.unique(ends, return_index=True, return_inverse=True)
    highest = np.zeros(len(first), np.int64)
    np.maximum.at(highest, inverse, f.wire_ttl[rows])
    circling = f.wire_ttl[rows] < highest[inverse]
    rows, group, place = rows[~circling], group[~circling], place[~circling]
    order = np.lexsort((f.number[rows], -f.wire_ttl[rows], group))
    g, ttl = group[order], f.wire_ttl[rows][order]
    fresh = np.append(True, g[1:] != g[:-1])
    falls = np.append(False, (g[1:] == g[:-1]) & (ttl[1:] < ttl[:-1]))
    count = np.cumsum(falls)
    start = np.maximum.accumulate(np.where(fresh, np.arange(len(g)), 0))
    rank = count - count[start]
    ranks = np.empty(len(rows), np.int64)
    ranks[order] = rank
    for p in np.unique(place):
        here = place == p
        packets = len(np.unique(group[here]))
        twice = len(np.unique(group[here & (ranks == 1)]))
        most = int(ranks[here].max()) if twice > _SHARE_OF_TWICE * packets else 0
        ranks[here & (ranks > min(most, 3))] = -1
    turn[rows] = ranks
    return turn


def _without_mirrors(f: Frames, identity: Words, rows: Ints, out: Journeys) -> Ints:
    """Drop the second copies of taps that hold every frame twice (both directions of a mirror port)."""
    if not len(rows):
        return rows
    key = mix(identity[rows], f.tap[rows], f.port_of_tap[rows], f.wire_ttl[rows], f.eth_src[rows], f.eth_dst[rows])
    order = np.lexsort((f.number[rows], key))
    k, ts = key[order], f.ts[rows][order]
    twin = np.append(False, (k[1:] == k[:-1]) & (np.abs(ts[1:] - ts[:-1]) < _MIRROR_NS))
    copies = np.zeros(len(rows), bool)
    copies[order] = twin
    drop = np.zeros(len(rows), bool)
    for tap in np.unique(f.tap[rows[copies]]):
        here = f.tap[rows] == tap
        if copies[here].sum() > _MIRROR_SHARE * here.sum():
            drop |= here & copies
            out.mirrors.add(int(tap))
    return rows[~drop]


def _matrix(
    f: Frames,
    flows: Flows,
    scene: Scene,
    taps: list[TapInfo],
    direction: int,
    rows: Ints,
    identity: Words,
    form: Ints,
    turn: Ints,
    out: Journeys,
) -> None:
    place = np.stack([f.tap[rows], f.port_of_tap[rows], form[rows], turn[rows]]) if len(rows) else np.zeros((4, 0), int)
    unique, at = np.unique(place, axis=1, return_inverse=True)
    at = np.asarray(at).reshape(-1)
    points = [Point("", int(t), int(p), int(m), int(k), direction) for t, p, m, k in unique.T]
    order = _order_points(f, flows, scene, taps, rows, at, points, identity)
    rank = np.empty(len(points), np.int64)
    rank[order] = np.arange(len(points))
    points = [points[i] for i in order]
    at = rank[at] if len(rows) else at
    _name(points, taps)
    out.points[direction] = points
    journey = _occurrences(f, identity, rows, at)
    matrix = np.full((int(journey.max()) + 1 if len(rows) else 0, len(points)), -1, np.int64)
    matrix[journey, at] = rows
    out.rows[direction] = matrix


def _order_points(
    f: Frames,
    flows: Flows,
    scene: Scene,
    taps: list[TapInfo],
    rows: Ints,
    at: Ints,
    points: list[Point],
    identity: Words,
) -> list[int]:
    """Points in the order in which packets meet them, from pairwise majorities."""
    n = len(points)
    before = np.zeros((n, n), np.int64)
    if len(rows):
        view = Flows(flows.direction, flows.client, flows.server, identity)
        order = causal_order(f, view, rows)
        where = np.full(f.n, -1, np.int64)
        where[rows] = at
        lane = where[order]
        for step in range(1, n + 1):
            a, b = order[:-step], order[step:]
            same = identity[a] == identity[b]
            if not same.any():
                break
            la, lb = lane[:-step][same], lane[step:][same]
            a, b = a[same], b[same]
            ends = la != lb
            tie = (f.wire_ttl[a] == f.wire_ttl[b]) & (f.eth_src[a] == f.eth_src[b]) & (f.tunnel[a] == f.tunnel[b])
            np.add.at(before, (la[ends & ~tie], lb[ends & ~tie]), 1)
            for x, y, row in {(int(x), int(y)): (int(x), int(y), int(r)) for x, y, r in zip(la[ends & tie], lb[ends & tie], a[ends & tie], strict=True)}.values():
                first, second = _along_link(f, scene, taps, points, x, y, row)
                before[first, second] += 1
    _form_order(points, before)
    return _topological(before)


def _along_link(f: Frames, scene: Scene, taps: list[TapInfo], points: list[Point], x: int, y: int, row: int) -> tuple[int, int]:
    """Two captures of the same link: the sender's end is first."""
    sender, receiver = scene.party_of_mac(int(f.eth_src[row])), scene.party_of_mac(int(f.eth_dst[row]))
    owners = {i: taps[points[i].tap].node for i in (x, y)}
    for i, j in ((x, y), (y, x)):
        if sender is not None and owners[i] == sender.name and owners[j] != sender.name:
            return i, j
        if receiver is not None and owners[j] == receiver.name and owners[i] != receiver.name:
            return i, j
    return (x, y) if (points[x].tap, points[x].port) <= (points[y].tap, points[y].port) else (y, x)


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
    n = len(before)
    ahead = before > before.T
    left = set(range(n))
    order: list[int] = []
    while left:
        # The one that fewest of the rest must precede; a cycle (packets going in circles) is cut at its weakest.
        best = min(left, key=lambda j: (sum(bool(ahead[i, j]) for i in left), -sum(int(before[j, i]) for i in left), j))
        order.append(best)
        left.remove(best)
    return order


def _name(points: list[Point], taps: list[TapInfo]) -> None:
    by_tap: dict[int, list[Point]] = defaultdict(list)
    for point in points:
        by_tap[point.tap].append(point)
    for tap, group in by_tap.items():
        name = taps[tap].name
        if len(group) == 1:
            group[0].name = name
            continue
        ends = [".in", ".out"] if len(group) == 2 else [f".{i}" for i in range(1, len(group) + 1)]
        for point, end in zip(group, ends, strict=True):
            point.name = name + end


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
    repeated = np.unique(identity[rows][occurrence > 0])
    if len(repeated):
        _align(f, identity, rows, at, occurrence, repeated)
    _, journey = np.unique(mix(identity[rows], occurrence), return_inverse=True)
    return np.asarray(journey).reshape(-1).astype(np.int64)


def _align(f: Frames, identity: Words, rows: Ints, at: Ints, occurrence: Ints, repeated: Words) -> None:
    """Give copies of one identity the numbers of the copies that they are, where points saw different counts."""
    order = np.flatnonzero(np.isin(identity[rows], repeated))
    order = order[np.argsort(identity[rows[order]], kind="stable")]
    cuts = np.flatnonzero(np.diff(identity[rows[order]].view(np.int64)) != 0) + 1
    for members in np.split(order, cuts):
        lanes = [members[at[members] == p] for p in np.unique(at[members])]
        longest = max(lanes, key=len)
        if all(len(lane) == len(longest) for lane in lanes):
            continue
        clock = f.ts[rows[longest[np.argsort(f.ts[rows[longest]])]]]
        for lane in lanes:
            if len(lane) < len(longest):
                lane = lane[np.argsort(f.ts[rows[lane]])]
                occurrence[lane] = _nearest(f.ts[rows[lane]], clock)


def _nearest(times: Ints, clock: Ints) -> list[int]:
    """Place each of `times` (ascending) at its own slot of `clock`, in order, with the least total distance."""
    m, n = len(times), len(clock)
    cost = np.full((m + 1, n + 1), np.iinfo(np.int64).max // 4, np.int64)
    cost[0, :] = 0
    for i in range(1, m + 1):
        for j in range(i, n - (m - i) + 1):
            cost[i, j] = min(cost[i, j - 1], cost[i - 1, j - 1] + abs(int(times[i - 1]) - int(clock[j - 1])))
    slots, i, j = [], m, n
    while i:
        if j > i and cost[i, j] == cost[i, j - 1]:
            j -= 1
            continue
        slots.append(j - 1)
        i, j = i - 1, j - 1
    return slots[::-1]


def _drop_foreign(flows: Flows, form: Ints, out: Journeys) -> None:
    """Conversations with a real server's own address that never were the VIP's: monitoring, checks, administration."""
    for direction in (REQUEST, REPLY):
        matrix = out.rows[direction]
        if not len(matrix) or not any(p.form == PLAIN for p in out.points[direction]):
            continue
        plain = np.asarray([p.form == PLAIN for p in out.points[direction]])
        has_plain = (matrix[:, plain] >= 0).any(axis=1)
        has_rewritten = (matrix[:, ~plain] >= 0).any(axis=1)
        seen_both = np.unique(talk_of(flows, matrix[has_plain & has_rewritten], ~plain))
        rewritten_talk = talk_of(flows, matrix, ~plain)
        foreign = has_rewritten & ~has_plain & ~np.isin(rewritten_talk, seen_both)
        out.rows[direction] = matrix[~foreign]


def talk_of(flows: Flows, matrix: Ints, columns: Mask) -> Words:
    """The conversation (client and server endpoint) of each journey at one of some points; 0 where it was at none."""
    part = matrix[:, columns]
    row = part.max(axis=1) if part.shape[1] else np.full(len(matrix), -1)
    return np.where(row >= 0, mix(flows.client[row], flows.server[row]), np.uint64(0))


def _servers(f: Frames, flows: Flows, scene: Scene, form: Ints, out: Journeys, direction: int) -> None:
    """Which real server each journey leads to, by any sighting that tells; -1 where none does."""
    matrix = out.rows[direction]
    server = np.full(len(matrix), -1, np.int64)
    parties = scene.role("real-server")
    for column in range(matrix.shape[1]):
        rows = matrix[:, column]
        seen = rows >= 0
        r = rows[seen]
        found = np.full(len(r), -1, np.int64)
        for i, party in enumerate(parties):
            ips, macs = list(party.ips - scene.vips), list(party.macs - {0})
            here = np.isin(f.outer_dst[r], ips) | np.isin(flows.server[r] >> 16, ips)
            here |= np.isin(f.eth_dst[r] if direction == REQUEST else f.eth_src[r], macs)
            found[here] = i
        server[seen] = np.where(found >= 0, found, server[seen])
    out.server[direction] = server
    first = matrix.max(axis=1) if len(matrix) else np.zeros(0, np.int64)
    out.proto[direction] = f.proto[first]


def _share_servers(f: Frames, flows: Flows, out: Journeys) -> None:
    """A conversation stays with its server: packets that do not tell it follow those of the same client that do."""
    seen: dict[int, set[int]] = defaultdict(set)
    keys = {}
    for direction in (REQUEST, REPLY):
        matrix = out.rows[direction]
        plain = np.asarray([p.form == PLAIN for p in out.points[direction]], bool)
        row = np.where((matrix[:, plain] >= 0).any(axis=1), matrix[:, plain].max(axis=1), matrix.max(axis=1)) if len(matrix) and plain.any() else matrix.max(axis=1) if len(matrix) else np.zeros(0, np.int64)
        keys[direction] = mix(flows.client[row], f.proto[row]) if len(row) else np.zeros(0, np.uint64)
        known = out.server[direction] >= 0
        for key, server in set(zip(keys[direction][known].tolist(), out.server[direction][known].tolist(), strict=True)):
            seen[key].add(server)
    single = {key: next(iter(s)) for key, s in seen.items() if len(s) == 1}
    for direction in (REQUEST, REPLY):
        unknown = np.flatnonzero(out.server[direction] < 0)
        out.server[direction][unknown] = [single.get(int(keys[direction][i]), -1) for i in unknown]


def _expectations(out: Journeys, direction: int) -> None:
    """Through which points the packets of each server and protocol were seen to pass."""
    matrix, server, proto = out.rows[direction], out.server[direction], out.proto[direction]
    table: dict[tuple[int, int, int], bool] = {}
    for s, p in {(int(s), int(p)) for s, p in zip(server, proto, strict=True)}:
        mine = (server == s) & (proto == p)
        for i in range(matrix.shape[1]):
            table[i, s, p] = bool((matrix[mine, i] >= 0).any())
    out.expected[direction] = table


def pair_counts(out: Journeys) -> list[tuple[Point, Point, int, str, int, int]]:
    """For every two points of a direction and protocol: (from, to, direction, protocol, paired, unpaired)."""
    counts = []
    for direction in (REQUEST, REPLY):
        matrix, points, proto = out.rows[direction], out.points[direction], out.proto[direction]
        through = [out.passes(direction, i) for i in range(len(points))]
        for i in range(len(points)):
            for j in range(i + 1, len(points)):
                a, b = matrix[:, i] >= 0, matrix[:, j] >= 0
                both = a & b
                alone = (a & ~b & through[j]) | (b & ~a & through[i])
                for p in sorted({int(x) for x in proto[both]}):
                    mine = proto == p
                    name = PROTOCOLS.get(p, str(p))
                    counts.append((points[i], points[j], direction, name, int((both & mine).sum()), int((alone & mine).sum())))
    return counts


def clock_offsets(f: Frames, out: Journeys, taps: int) -> dict[int, int]:
    """How much to add to each tap's time stamps to meet the first tap's clock, in ns.

    Requests and replies cross in opposite directions, so half the difference of both medians is the clocks'; with one
    direction only, the transit time stays in the estimate.
    """
    gaps: dict[tuple[int, int], list[float]] = {}
    for direction in (REQUEST, REPLY):
        for hop in out.hops(direction):
            a, b = hop.source.tap, hop.target.tap
            if a == b:
                continue
            gap = float(np.median(f.ts[hop.after] - f.ts[hop.before]))
            low, high = min(a, b), max(a, b)
            forward = gap if a < b else -gap
            gaps.setdefault((low, high), [np.nan, np.nan])[direction - 1] = forward
    edges = defaultdict(dict)
    for (low, high), pair in gaps.items():
        value = float(np.nanmean(pair))
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
    return offsets


