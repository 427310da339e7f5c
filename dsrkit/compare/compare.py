"""`compare`: two captures in, what differs between their packets out."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Final, Literal

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.compare.fields import HEADER, INNER, OUTER, QUOTED, Differing, Wanted, differing
from dsrkit.compare.packets import HEADERS, Batch, Paired, one_place, same_packets
from dsrkit.compare.side import Both, Source, side
from dsrkit.compare.turns import like_packets
from dsrkit.errors import UsageError
from dsrkit.inspect.packets import packet_text
from dsrkit.model.comparison import Comparison, Difference, Example, Unpaired
from dsrkit.model.names import MODES, did_you_mean
from dsrkit.model.spec import Spec

How = Literal["auto", "path", "copy", "rerun"]

MOST_TAKEN_APART: Final = 20_000
"""Pairs that differ in an octet and are looked at field by field; the others are counted."""
_MOST_EXAMPLES: Final = 5
_MOST_VALUES: Final = 5
_ENOUGH: Final = 0.25
"""Captures that share less than this part of their packets hold other runs, not the same packets."""

FRESH: Final = (
    *("ip.id", "ipv6.flow", "ipv6.fraghdr.ident", "tcp.seq", "tcp.ack", "tcp.options.timestamp.*", "tcp.options.sack*"),
    *("tcp.window_size_value", "tcp.flags.push"),  # how fast an application read and wrote
    *("tcp.srcport", "udp.srcport", "tcp.dstport", "udp.dstport", "icmp.ident", "icmpv6.echo.identifier", "dns.id"),
)
"""What another run chooses anew. Ports count only where they serve."""

_NETWORK: Final = {
    "src": "src",
    "dst": "dst",
    "ttl": "ttl",
    "hlim": "ttl",
    "dsfield.dscp": "dsfield.dscp",
    "tclass.dscp": "dsfield.dscp",
    "dsfield.ecn": "dsfield.ecn",
    "tclass.ecn": "dsfield.ecn",
    "id": "id",
    "flags.df": "flags.df",
    "len": "len",
    "plen": "len",
    "checksum": "checksum",
}
_TRANSPORT: Final = {
    "srcport": "l4.srcport",
    "dstport": "l4.dstport",
    "port": "l4.srcport",
    "checksum": "l4.checksum",
}
_TUNNEL: Final = {"udp.srcport": "tunnel.srcport", "udp.dstport": "tunnel.dstport", "udp.checksum": "tunnel.checksum"}


def compare(
    a: Source,
    b: Source,
    *,
    mode: str | None = None,
    spec: Spec | str | None = None,
    vip: Collection[str] = (),
    ignore: Collection[str] = (),
    only: Collection[str] = (),
    how: How = "auto",
) -> Comparison:
    """Find out what differs between the same packets of two captures.

    `how` says what the two are to each other: two places on the ``path`` of the same packets, of which each pair is
    judged by the nodes between them; a ``copy`` of one place, in which every packet has its like and nothing but time
    may differ; or a ``rerun``, in which packets of the same turn in like conversations are compared, without what each
    run chooses anew. Without it the packets tell. `mode` and `spec` state what is else inferred: what its tables let
    change between two places is allowed. `ignore` and `only` are field names without layer number, with ``*``; with
    ``outer.`` before them they mean the headers around the innermost packet alone.

    Raises: DsrkitError for files and statements that make no sense.
    """
    if mode is not None and mode not in MODES:
        raise UsageError(f"mode {mode!r}: {did_you_mean(mode, MODES)}one of {', '.join(MODES)}")
    loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
    both = Both(side(a, "A"), side(b, "B"), loaded)
    wanted = Wanted(tuple(ignore), tuple(only))
    paired = same_packets(both, mode, tuple(vip))
    fewest = min(len(both.a), len(both.b))
    if how == "auto":
        shared = paired.pairs >= max(1, _ENOUGH * fewest)
        how = "rerun" if not shared else "copy" if one_place(both, paired) else "path"
    if how == "rerun":
        return _of_another_run(both, paired, wanted)
    return _of_a_copy(both, paired, wanted) if how == "copy" else _along_the_path(both, paired, wanted)


@dataclass(slots=True)
class _Found:
    """Differences as they are met, by field and by what allows them."""

    both: Both
    wanted: Wanted
    pairs: int = 0
    same: int = 0
    skipped: int = 0
    looked: int = 0
    _differences: dict[tuple[str, str], Difference] = field(default_factory=dict)
    _values: dict[tuple[str, str], Counter[tuple[str, str]]] = field(default_factory=dict)

    def batch(self, batch: Batch, *, fresh: bool = False) -> None:
        """Look at the pairs of a batch; `fresh` leaves out what another run chooses anew."""
        order = np.argsort(batch.a, kind="stable")
        for i, a, b in zip(order.tolist(), batch.a[order].tolist(), batch.b[order].tolist(), strict=True):
            self.pairs += 1
            if self.both.octets(a) == self.both.octets(b):
                self.same += 1
            elif self.looked >= MOST_TAKEN_APART:
                self.skipped += 1
            else:
                self.looked += 1
                self._pair(batch, i, a, b, fresh=fresh)

    def _pair(self, batch: Batch, i: int, a: int, b: int, *, fresh: bool) -> None:
        noted = set()
        for one in differing(self.both.dissect(a), self.both.dissect(b)):
            if not self.wanted(one) or one.name in noted or (fresh and self._is_fresh(one, a, b)):
                continue
            noted.add(one.name)
            judged = judged_name(one)
            mask = batch.allowed.get(judged)
            self.note(one, batch.by if mask is not None and bool(mask[i]) else "", a, b)

    def _is_fresh(self, one: Differing, a: int, b: int) -> bool:
        """Whether a difference is one that every run makes: a port is, unless it is the service's."""
        name = one.name.removeprefix("quoted ").partition("#")[0]
        if name.endswith(("srcport", "dstport")):
            f = self.both.frames
            ports = ("sport", "dport") if name.endswith("srcport") else ("dport", "sport")
            low = [min(int(f.rec[p][row]) for p in ports) for row in (a, b)]
            return one.place != INNER or (int(f.rec[ports[0]][a]) != low[0] and int(f.rec[ports[0]][b]) != low[1])
        return any(fnmatchcase(name, pattern) for pattern in FRESH)

    def note(self, one: Differing, because: str, a: int, b: int) -> None:
        """Count one difference of one pair."""
        key = (one.name, because)
        found = self._differences.setdefault(key, Difference(one.name, because))
        found.pairs += 1
        self._values.setdefault(key, Counter())[one.a, one.b] += 1
        if len(found.examples) < _MOST_EXAMPLES:
            number = self.both.frames.number
            context = packet_text(self.both.frames, a, outer=False)
            found.examples.append(Example(int(number[a]), int(number[b]), (one.a, one.b), context))

    def differences(self) -> tuple[Difference, ...]:
        """The unexpected ones first, then by how many pairs differ so, then by name."""
        for key, found in self._differences.items():
            counted = self._values[key]
            found.values = [(*pair, n) for pair, n in counted.most_common(_MOST_VALUES)]
            found.more = len(counted) - len(found.values)
        return tuple(sorted(self._differences.values(), key=lambda d: (d.allowed, -d.pairs, d.field)))

    def notes(self) -> Iterator[str]:
        if self.skipped:
            yield f"{self.skipped} more pairs differ and were not looked at field by field"


def judged_name(one: Differing) -> str:
    """The field of the rewrite tables that a difference is about; empty where no table has it."""
    if one.place == HEADER:
        return HEADERS
    name = one.name.partition("#")[0]
    layer, _, rest = name.partition(".")
    if one.place == QUOTED:
        return ""
    if layer in ("eth", "vlan"):
        return name
    if name == "sll.src.eth":
        return "eth.src"
    if layer in ("ip", "ipv6"):
        if name == "ipv6.flow":
            return name
        known = _NETWORK.get(rest)
        return "" if known is None else f"{'outer' if one.place == OUTER else 'ip'}.{known}"
    if one.place == OUTER:
        return _TUNNEL.get(name, "tunnel.header" if layer in ("gre", "gue") else "")
    if name == "payload":
        return "l4.payload"
    if name.startswith(("tcp.option", "tcp.hdr_len")):
        return "tcp.options"
    if layer in ("tcp", "udp") and rest in _TRANSPORT:
        return _TRANSPORT[rest]
    if name.startswith("tcp.flags"):
        return "tcp.flags"
    return "icmp.type" if layer in ("icmp", "icmpv6") and rest in ("type", "code") else name


def _along_the_path(both: Both, paired: Paired, wanted: Wanted) -> Comparison:
    found = _Found(both, wanted)
    for batch in paired.batches:
        found.batch(batch)
    lone = set(np.flatnonzero(~_used(both, paired)).tolist()) - paired.again - paired.missing
    notes = [*_notes(both), *paired.scene.notes, *found.notes()]
    if lone:
        notes.append(f"{len(lone)} packets are on no way that leads past both places, and are not compared")
    return _comparison(both, paired, found, "path", paired.missing, notes)


def _of_a_copy(both: Both, paired: Paired, wanted: Wanted) -> Comparison:
    found = _Found(both, wanted)
    alike = _equal_to_the_octet(both)
    left = np.ones(both.frames.n, bool)
    left[[row for pair in alike for row in pair]] = False
    rows = np.flatnonzero(left).astype(np.int64)  # changed in passing, or there on one side only
    halves = rows[rows < both.split], rows[rows >= both.split]
    pairs, a, b = like_packets(both.frames, paired.flows, *halves, numbers_kept=True)
    found.batch(_as_batch([*alike, *pairs]))
    paired.again.clear()
    return _comparison(both, paired, found, "copy", [*a, *b], [*_notes(both), *found.notes()])


def _of_another_run(both: Both, paired: Paired, wanted: Wanted) -> Comparison:
    found = _Found(both, wanted)
    rows = np.arange(both.frames.n, dtype=np.int64)
    pairs, a, b = like_packets(both.frames, paired.flows, rows[: both.split], rows[both.split :])
    found.batch(_as_batch(pairs), fresh=True)
    paired.again.clear()
    return _comparison(both, paired, found, "rerun", [*a, *b], [*_notes(both), *found.notes()])


def _equal_to_the_octet(both: Both) -> list[tuple[int, int]]:
    """Pairs of equal frames, in order: whatever else is to be matched, these stand for each other."""
    linktype = both.frames.rec["linktype"].tolist()
    waiting: dict[tuple[int, bytes], deque[int]] = defaultdict(deque)
    for row in range(both.split, both.frames.n):
        waiting[linktype[row], both.octets(row)].append(row)
    pairs = []
    for row in range(both.split):
        line = waiting.get((linktype[row], both.octets(row)))
        if line:
            pairs.append((row, line.popleft()))
    return pairs


def _as_batch(pairs: list[tuple[int, int]]) -> Batch:
    rows = np.asarray(pairs, np.int64).reshape(-1, 2)
    return Batch(rows[:, 0], rows[:, 1])


def _used(both: Both, paired: Paired) -> np.ndarray:
    used = np.zeros(both.frames.n, bool)
    for batch in paired.batches:
        used[batch.a] = used[batch.b] = True
    return used


def _comparison(
    both: Both, paired: Paired, found: _Found, how: str, lone: Iterable[int], notes: Iterable[str]
) -> Comparison:
    ordered = sorted(lone)
    again = [row < both.split for row in paired.again]
    return Comparison(
        both.a.name,
        both.b.name,
        how,
        paired.scene.mode,
        (len(both.a), len(both.b)),
        found.pairs,
        found.same,
        found.differences(),
        _unpaired(both, [row for row in ordered if row < both.split]),
        _unpaired(both, [row for row in ordered if row >= both.split]),
        (sum(again), len(again) - sum(again)),
        (both.a.unread, both.b.unread),
        tuple(dict.fromkeys(notes)),
    )


def _unpaired(both: Both, rows: list[int]) -> Unpaired:
    f = both.frames
    return Unpaired(len(rows), tuple((int(f.number[row]), packet_text(f, row)) for row in rows[:_MOST_EXAMPLES]))


def _notes(both: Both) -> Iterator[str]:
    for one in (both.a, both.b):
        yield from (f"{one.name}: {note}" for note in one.capture.notes)
        if one.left_open:
            yield f"{one.name}: a pipe is read no further than it is compared: its first {len(one)} packets"
        elif one.unread:
            yield f"{one.name}: {one.unread} packets behind the first {len(one)} are not compared"
