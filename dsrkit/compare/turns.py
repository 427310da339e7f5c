"""Pairs of like packets where they cannot be the same ones: another run chose other ports, numbers and ids.

Conversations are matched first, by their ends, else by their service and shape, else in order; within two matched ones
packets are paired by direction, flags and numbers relative to the first, and what is left in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from dsrkit.classes import dataclass
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames, Ints

Key: TypeAlias = Hashable


@dataclass(slots=True)
class Conversation:
    """The rows of one conversation on one side, in order; `ends` are its protocol and endpoints, by role."""

    ends: tuple[int, int, int]
    rows: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a packet is in its conversation, whatever the run: relative numbers, sizes."""

    direction: int
    flags: int
    seq: int
    ack: int
    size: int
    content: int


def like_packets(
    f: Frames, flows: Flows, a: Ints, b: Ints, *, numbers_kept: bool = False
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs (row of A, row of B), and the rows of either that are left.

    `numbers_kept` says that both sides count from the same sequence numbers, and not each from its own.
    """
    columns = _Columns(f, flows, numbers_kept)
    mine, theirs = _conversations(columns, a), _conversations(columns, b)
    pairs: list[tuple[int, int]] = []
    for one, other in _matched(columns, mine, theirs):
        pairs += _within(columns, one.rows, other.rows)
    used = {row for pair in pairs for row in pair}
    # What belongs to no conversation and has not been matched by its ends: in order, if it is of one kind.
    rest = [[row for row in rows.tolist() if row not in used and not columns.direction[row]] for rows in (a, b)]
    pairs += _rounds(rest[0], rest[1], [columns.kind])
    used = {row for pair in pairs for row in pair}
    pairs.sort()
    return pairs, [int(r) for r in a if int(r) not in used], [int(r) for r in b if int(r) not in used]


class _Columns:
    """The columns that pairing reads, as Python numbers."""

    def __init__(self, f: Frames, flows: Flows, numbers_kept: bool) -> None:
        self.numbers_kept = numbers_kept
        self.link = list(zip(f.eth_src.tolist(), f.eth_dst.tolist(), strict=True))
        self.proto = f.proto.tolist()
        self.direction = flows.direction.tolist()
        self.client, self.server = flows.client.tolist(), flows.server.tolist()
        self.flags, self.size = f.flags.tolist(), f.payload_len.tolist()
        self.seq, self.ack = f.seq.tolist(), f.ack.tolist()
        self.content = f.rec["fp"].tolist()
        self.ethertype = f.field("ethertype").tolist()
        self.op = f.field("res_op").tolist()
        self.src, self.dst = f.src.tolist(), f.dst.tolist()
        self.is_tcp = f.is_tcp.tolist()
        self.icmp = (f.icmp_type << 8 | f.field("icmp_code")).tolist()

    def kind(self, row: int) -> Key:
        """What kind of packet it is, where it belongs to no conversation."""
        return self.ethertype[row], self.proto[row], self.op[row], self.icmp[row]

    def ends(self, row: int) -> tuple[int, int, int]:
        """Protocol and both ends; outside of conversations source and target."""
        if self.direction[row]:
            return self.proto[row], self.client[row], self.server[row]
        return -1, hash(self.kind(row)), self.src[row] << 64 | self.dst[row]

    def turn(self, row: int, base: dict[int, int]) -> Turn:
        way = self.direction[row]
        seq = ack = 0
        if self.is_tcp[row]:
            seq = (self.seq[row] - base.get(way, self.seq[row])) & 0xFFFF_FFFF
            ack = (self.ack[row] - base.get(-way, self.ack[row])) & 0xFFFF_FFFF if self.flags[row] & 0x10 else 0
        return Turn(way, self.flags[row], seq, ack, self.size[row], self.content[row])

    def base(self, rows: Iterable[int]) -> dict[int, int]:
        """The first sequence number of each direction; that of the other one under the negative direction."""
        first: dict[int, int] = {}
        if self.numbers_kept:
            return dict.fromkeys((1, 2, -1, -2), 0)
        for row in rows:
            if self.is_tcp[row]:
                first.setdefault(self.direction[row], self.seq[row])
        return first | {-way: first[other] for way, other in ((1, 2), (2, 1)) if other in first}


def _conversations(columns: _Columns, rows: Ints) -> list[Conversation]:
    found: dict[tuple[int, int, int], Conversation] = {}
    for row in rows.tolist():
        ends = columns.ends(row)
        found.setdefault(ends, Conversation(ends)).rows.append(row)
    return list(found.values())


def _matched(
    columns: _Columns, a: Sequence[Conversation], b: Sequence[Conversation]
) -> list[tuple[Conversation, Conversation]]:
    """Conversations that stand for each other: the same ends; else the same service and shape; else in order."""

    def shape(one: Conversation, *, content: bool) -> Key:
        base = columns.base(one.rows)
        turns = (columns.turn(row, base) for row in one.rows)
        return tuple(
            (t.direction, t.flags, t.seq, t.size, t.content) if content else (t.direction, t.flags) for t in turns
        )

    rounds: list[Callable[[Conversation], Key]] = [
        lambda one: one.ends,
        lambda one: (one.ends[0], one.ends[2], shape(one, content=True)),
        lambda one: (one.ends[0], one.ends[2], shape(one, content=False)),
        lambda one: (one.ends[0], one.ends[2]),
        lambda one: (one.ends[0], one.ends[2] & 0xFFFF),
        lambda one: one.ends[:2] if one.ends[0] < 0 else one.ends[:1],
    ]
    return _rounds(a, b, rounds)


def _within(columns: _Columns, a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """Packets of two conversations that stand for each other."""
    turn = {row: columns.turn(row, base) for rows in (a, b) for base in [columns.base(rows)] for row in rows}
    rounds: list[Callable[[int], Key]] = [
        lambda row: (turn[row], columns.link[row]),  # a tap at a load balancer sees a packet come in and go out
        lambda row: turn[row],
        lambda row: (turn[row].direction, turn[row].flags, turn[row].seq, turn[row].size),
        lambda row: (turn[row].direction, turn[row].seq),
        lambda row: (turn[row].direction, turn[row].flags),
        lambda row: turn[row].direction,
    ]
    return _rounds(a, b, rounds)


def _rounds(a: Sequence[Any], b: Sequence[Any], keys: Sequence[Callable[[Any], Key]]) -> list[tuple[Any, Any]]:
    """Pair two lists round by round, each with a key less strict: what has the same key, in order."""
    left, right = list(range(len(a))), list(range(len(b)))
    pairs: list[tuple[int, int]] = []
    for key in keys:
        if not left or not right:
            break
        waiting: dict[Key, list[int]] = defaultdict(list)
        for j in reversed(right):
            waiting[key(b[j])].append(j)
        taken_a: set[int] = set()
        taken_b: set[int] = set()
        for i in left:
            line = waiting.get(key(a[i]))
            if line:
                j = line.pop()
                pairs.append((i, j))
                taken_a.add(i)
                taken_b.add(j)
        left = [i for i in left if i not in taken_a]
        right = [j for j in right if j not in taken_b]
    pairs.sort()
    return [(a[i], b[j]) for i, j in pairs]
