"""Pairs of the same packet: by the journeys that verify joins, and, outside of them, by identity and addresses.

Each pair knows which of its fields may differ: those that the tables of the nodes between the two places change.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.compare.side import Both
from dsrkit.tables.fields import FIELDS
from dsrkit.tables.nodes import cell_id
from dsrkit.tables.rules import Free, keep
from dsrkit.verify.cells import Stretch, between, evaluate
from dsrkit.verify.flows import Flows, oriented
from dsrkit.verify.frames import DIRECTIONS, REQUEST, Ints, Mask, mix
from dsrkit.verify.journeys import PLAIN, Hop, Joiner, Journeys
from dsrkit.verify.judge import without_clients
from dsrkit.verify.pipeline import decide
from dsrkit.verify.scene import Scene
from dsrkit.verify.stated import scene_of
from dsrkit.verify.verdicts import Point

HEADERS: Final = "headers"
"""Stands for whole headers that are put around a packet or taken off it."""
_MOSTLY: Final = 0.9


@dataclass(slots=True)
class Batch:
    """Pairs between two points: rows of A and B, and for each judged field whether a change of it is allowed there.

    `by` names what allows: the nodes between the two points, as cells name them.
    """

    a: Ints
    b: Ints
    by: str = ""
    allowed: dict[str, Mask] = field(default_factory=dict)


@dataclass(slots=True)
class Paired:
    """All pairs of packets. `again` are rows that their side shows a second time; `missing` those that the other side
    should have seen as well: it saw others of their conversation."""

    scene: Scene
    flows: Flows
    batches: list[Batch] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)

    @property
    def pairs(self) -> int:
        return sum(len(batch.a) for batch in self.batches)


def same_packets(both: Both, mode: str | None, vip: tuple[str, ...] = ()) -> Paired:
    """Pair what can be told to be one packet."""
    f = both.frames
    scene = scene_of(both.book, both.spec, mode, None, vip)
    decide(both.taps, scene, [f])
    flows = oriented(f)
    if scene.mode == "fullnat":
        flows = without_clients(f, flows, scene)
    joiner = Joiner(scene, both.taps)
    journeys = joiner.join(f, flows)
    paired = Paired(scene, flows)
    _along_journeys(both, paired, joiner, journeys)
    _elsewhere(both, paired)
    return paired


def _along_journeys(both: Both, paired: Paired, joiner: Joiner, journeys: Journeys) -> None:
    split = both.split
    taps_of_a = set(both.frames.tap[:split].tolist())
    for way in journeys.ways.values():
        used = np.zeros(both.frames.n, bool)
        for hop in way.hops():
            assert hop.source is not None
            across = (hop.before < split) != (hop.after < split)
            if across.any():
                hop = Hop(hop.source, hop.target, hop.before[across], hop.after[across])
                used[hop.before] = used[hop.after] = True
                paired.batches += _judged(both, paired.scene, hop)
        leads = joiner.passes(way)
        in_a = np.asarray([point.tap in taps_of_a for point in way.points], bool)
        for journey, rows in enumerate(way.rows):
            seen = rows[rows >= 0]
            if used[seen].any():
                paired.again.update(seen[~used[seen]].tolist())
                continue
            for wanted, mine in ((~in_a, seen < split), (in_a, seen >= split)):
                if (leads[journey] & wanted).any() and mine.any() and not (~mine).any():
                    paired.missing.update(seen[mine].tolist())
    _without_strangers(both, paired)


def _without_strangers(both: Both, paired: Paired) -> None:
    """Forget missing packets of conversations that the other side saw nothing of: they went another way."""
    server = paired.flows.server if paired.scene.mode is None else 0  # what a mode may rewrite
    talk = mix(paired.flows.client, both.frames.proto, paired.flows.direction, np.broadcast_to(server, both.frames.n))
    met = [talk[rows] for batch in paired.batches for rows in (batch.a, batch.b)]
    rows = np.asarray(sorted(paired.missing), np.int64)
    paired.missing = set(rows[np.isin(talk[rows], np.concatenate(met))].tolist()) if met else set()


def _judged(both: Both, scene: Scene, hop: Hop) -> list[Batch]:
    """The pairs of a hop, and what its nodes may change. Nothing raises a TTL: where it rises, the pair went back."""
    assert hop.source is not None
    f, out = both.frames, []
    ahead = f.wire_ttl[hop.before] >= f.wire_ttl[hop.after]
    if hop.source.form != hop.target.form:
        ahead = np.ones(len(hop.after), bool)
    for wanted, (source, before), (target, after) in (
        (ahead, (hop.source, hop.before), (hop.target, hop.after)),
        (~ahead, (hop.target, hop.after), (hop.source, hop.before)),
    ):
        if wanted.any():
            part = Hop(source, target, before[wanted], after[wanted])
            stretch = between(f, scene, part, scene.profile)
            from_a = part.before < both.split
            a, b = np.where(from_a, part.before, part.after), np.where(from_a, part.after, part.before)
            out.append(Batch(a, b, *_allowed(both, scene, part, stretch)) if stretch is not None else Batch(a, b))
    return out


def _allowed(both: Both, scene: Scene, hop: Hop, stretch: Stretch) -> tuple[str, dict[str, Mask]]:
    """Where each field with a rule of its own obeys it: a change there is what the node is for."""
    allowed: dict[str, Mask] = {}
    for name in FIELDS:
        rule = stretch.rules.get(name, keep(name))
        if rule == keep(name):
            continue
        if isinstance(rule, Free):
            allowed[name] = np.ones(len(hop.after), bool)
            continue
        passed, seen, _ = evaluate(both.frames, scene, name, rule, hop.before, hop.after)
        allowed[name] = passed | ~seen
    deeper = both.frames.field("depth")
    if hop.source is not None and hop.source.form != hop.target.form:
        allowed[HEADERS] = np.asarray(deeper[hop.before] != deeper[hop.after], bool)
    kinds = "+".join(stretch.kinds)
    return cell_id(scene.mode or "path", kinds, DIRECTIONS[hop.target.direction], "").rstrip("."), allowed


def _elsewhere(both: Both, paired: Paired) -> None:
    """Packets of no service: those with one identity and the same addresses on both sides, in order."""
    f, flows = both.frames, paired.flows
    free = np.ones(f.n, bool)
    for batch in paired.batches:
        free[batch.a] = free[batch.b] = False
    free[sorted(paired.again | paired.missing)] = False
    key = mix(flows.identity, flows.client, flows.server, flows.direction)
    rows = np.flatnonzero(free & (flows.identity != 0))
    a, b = _by_key(key, rows, both)
    others = np.flatnonzero(free & (flows.identity == 0))
    bare = np.zeros(f.n, np.uint64)
    bare[others] = [_fingerprint(both, row) for row in others.tolist()]
    c, d = _by_key(bare, others, both)
    a, b = np.concatenate([a, c]), np.concatenate([b, d])
    if not len(a):
        return
    moved = (f.eth_src[a] != f.eth_src[b]) | (f.eth_dst[a] != f.eth_dst[b]) | (f.wire_ttl[a] != f.wire_ttl[b])
    here, there = Point(0, 0, PLAIN, 0, REQUEST), Point(len(both.taps), 0, PLAIN, 0, REQUEST)
    for wanted in (~moved, moved):
        if wanted.any():
            paired.batches += _judged(both, paired.scene, Hop(here, there, a[wanted], b[wanted]))


def _fingerprint(both: Both, row: int) -> int:
    """What a frame without a transport header says behind its link header."""
    start = int(both.frames.rec["l3_at"][row])
    return hash(both.octets(row)[start if start else 12 :]) & 0xFFFF_FFFF_FFFF_FFFF


def _by_key(key: np.ndarray, rows: Ints, both: Both) -> tuple[Ints, Ints]:
    """Rows of A and B with the same key, the first with the first, the second with the second."""
    order = rows[np.argsort(key[rows], kind="stable")]
    sides = []
    for mine in (order[order < both.split], order[order >= both.split]):
        keys = key[mine]
        start = np.searchsorted(keys, keys, side="left")
        sides.append((mine, mix(keys, np.arange(len(keys)) - start)))
    (a, of_a), (b, of_b) = sides
    _, i, j = np.intersect1d(of_a, of_b, return_indices=True)
    return a[i], b[j]


def one_place(both: Both, paired: Paired) -> bool:
    """Whether both sides look at one link from one machine: their pairs have the same MACs and TTL, and between which
    MACs the packets go is the same on both sides."""
    f = both.frames
    if not paired.batches:
        return False
    a = np.concatenate([batch.a for batch in paired.batches])
    b = np.concatenate([batch.b for batch in paired.batches])
    like = (f.eth_src[a] == f.eth_src[b]) & (f.eth_dst[a] == f.eth_dst[b]) & (f.wire_ttl[a] == f.wire_ttl[b])
    ends = mix(f.eth_src, f.eth_dst, f.rec["pkttype"])
    here, there = ends[: both.split], ends[both.split :]
    shared = [np.isin(here, there).mean(), np.isin(there, here).mean()]
    return bool(like.mean() >= _MOSTLY and min(shared) >= _MOSTLY)
