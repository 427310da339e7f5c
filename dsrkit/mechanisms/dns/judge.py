"""How the checks of DNS round robin are judged; see `checks` for what each of them means."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.dns.collect import Collector, Lookup, first_of
from dsrkit.mechanisms.dns.names import Name, Source
from dsrkit.mechanisms.dns.tie import Tie
from dsrkit.mechanisms.statistics import Fairness
from dsrkit.model.spec import Dns as Stated
from dsrkit.tables.checks.dns import CHECKS
from dsrkit.verify.connections import COPIES
from dsrkit.verify.frames import REPLY, REQUEST
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame, Verdict

GRACE_NS: Final = 1_000_000_000
"""TTLs are whole seconds, so an answer may be used for so much longer."""
_WAIT_NS: Final = 1_000_000_000
"""A SYN without an answer for so long is not answered. Source: RFC 6298 s2.1 (first time-out)."""
_MANY_CLIENTS: Final = 3
_SETTLED: Final = 4
"""So many choices of one client show a habit."""


@dataclass(slots=True)
class Bench:
    """Everything that the checks of one name look at; `quiet` turns every failure into information."""

    scene: Scene
    seen: Collector
    name: Name
    lookups: list[Lookup]  # of all names
    stated: Stated | None = None
    quiet: bool = False

    def text(self, address: int) -> str:
        return self.scene.address(address)

    def node(self, address: int) -> str:
        party = self.scene.party_of_ip(address)
        return party.name if party is not None else self.text(address)

    def verdict(self, cell: str, direction: int, about: str = "", nodes: tuple[str, ...] = ()) -> Verdict:
        severity = "info" if self.quiet else CHECKS[cell].severity
        place = f"{self.name.kind} {self.name.name}" + (f" at {about}" if about else "")
        return Verdict(cell, cell.rsplit(".", 1)[-1], direction, severity, place=place, nodes=nodes)


def judge(bench: Bench) -> Iterator[Verdict]:
    """All checks of one name."""
    yield from _rotation(bench)
    for check in _CHECKERS:
        verdict = check(bench)
        if verdict is not None:
            yield verdict
    yield from _alive(bench)


# --- answers ----------------------------------------------------------------------------------------------------------


def _rotation(b: Bench) -> Iterator[Verdict]:
    sources = b.name.sources(b.name.edge)
    everyone = sources + b.name.sources(b.name.behind)
    for source in sources:
        orders, where = source.full, b.node(source.server)
        first = orders[0][0] if orders else 0
        others = {order[0] for other in everyone if other is not source for order in other.full}
        pins, elsewhere = len(source.clients) >= _MANY_CLIENTS, bool(others - {first})
        fixed = source.rotation == "fixed"
        cell = "dns-rr.resolver.shares" if pins and elsewhere and fixed else "dns-rr.resolver.rotates"
        v = b.verdict(cell, REPLY, b.text(source.server), (where,))
        v.show(_frames(source.answers))
        if source.rotation == "unknown":
            v.reason = f"{len(orders)} answers with several addresses are too few to tell"
        else:
            v.checked = len(orders)
        if fixed:
            v.failed = len(orders)
            v.message = _fixed(b, source, first, elsewhere)
            if not pins and elsewhere:
                v.severity = "info"  # one resolver with few clients: the others rotate
            v.expected, v.actual = "another address first", b.text(first)
            v.tap = min(source.answers[0].answered)
        yield v


def _fixed(b: Bench, source: Source, first: int, elsewhere: bool) -> str:
    clients = len(source.clients)
    whom = "its client" if clients == 1 else f"its {clients} clients"
    text = (
        f"{b.node(source.server)} answers {b.name.name} with the addresses in one order: {b.text(first)} comes first in"
        f" all {len(source.full)} answers to {whom}"
    )
    if elsewhere:
        text += ", while other answers begin with another one"
    mine = [one for one in b.name.choices if one.lookup is not None and one.lookup.server >> 16 == source.server]
    there = sum(one.server == first for one in mine)
    return f"{text}; {there} of the {len(mine)} connections that followed went there" if mine else text


def _complete(b: Bench) -> Verdict | None:
    """Nothing where no spec states records."""
    wanted = {b.scene.book.number(r) for r in b.stated.records if _kind(r) == b.name.kind} if b.stated else set()
    if not wanted:
        return None
    v = b.verdict("dns-rr.resolver.complete", REPLY)
    answers = [one for one in b.name.edge if one.answered and one.addresses and not one.cut]
    if not answers:
        v.reason = "no whole answer with addresses was captured"
        return v
    wrong = [one for one in answers if set(one.addresses) != wanted]
    v.checked, v.failed = len(answers), len(wrong)
    v.show(_frames(wrong or answers))
    if wrong:
        given = set().union(*(one.addresses for one in wrong))
        missing = sorted({a for one in wrong for a in wanted - set(one.addresses)})
        parts = [
            f"{word} {', '.join(b.text(a) for a in found[:4])}"
            for word, found in (("lack", missing), ("have besides", sorted(given - wanted)))
            if found
        ]
        v.blame(b.node(one.server >> 16) for one in wrong)
        v.expected, v.actual = f"{len(wanted)} records", f"{len(wrong[0].addresses)} records"
        v.message = f"{len(wrong)} of {len(answers)} answers for {b.name.name} {' and '.join(parts)}"
    return v


def _uncut(b: Bench) -> Verdict:
    v = b.verdict("dns-rr.resolver.uncut", REPLY)
    answers = [one for one in b.name.edge if one.answered]
    if not answers:
        v.reason = "no answer was captured"
        return v
    cut = {one.lookup for one in b.name.ties if one.via != "resolver" and one.lookup is not None and one.lookup.cut}
    v.checked, v.failed = len(answers), len(cut)
    v.show(_frames([one for one in answers if one in cut] or answers))
    if cut:
        most = max(len(one.addresses) for one in cut)
        v.blame(dict.fromkeys(b.node(one.server >> 16) for one in answers if one in cut))
        v.expected, v.actual = "the whole answer by TCP", "TC is set"
        v.message = (
            f"{len(cut)} answers for {b.name.name} were cut (TC is set, at most {most} addresses fitted), and the"
            " clients made do with them instead of asking again by TCP: the rest of the servers gets less"
        )
    return v


def _ttl(b: Bench) -> Verdict | None:
    """Nothing where no spec states a TTL."""
    limit = b.stated.ttl if b.stated is not None else None
    if limit is None:
        return None
    v = b.verdict("dns-rr.resolver.ttl", REPLY)
    answers = [one for one in b.name.lookups if one.answered and one.ttl is not None]
    if not answers:
        v.reason = "no answer with addresses was captured"
        return v
    wrong = [one for one in answers if (one.ttl or 0) > limit]
    v.checked, v.failed = len(answers), len(wrong)
    v.show(_frames(wrong or answers))
    if wrong:
        worst = max(one.ttl or 0 for one in wrong)
        v.blame(dict.fromkeys(b.node(one.server >> 16) for one in wrong))
        v.expected, v.actual = f"{limit} s at most", f"{worst} s"
        v.message = (
            f"{len(wrong)} of {len(answers)} answers for {b.name.name} have a TTL of up to {worst} s, not {limit} s"
        )
    return v


# --- clients ----------------------------------------------------------------------------------------------------------


def stale(b: Bench) -> list[Tie]:
    """Connections to an address whose last answer had run out, with no question since."""
    asked: dict[int, list[Lookup]] = defaultdict(list)
    for one in b.name.lookups:
        asked[one.client >> 16].append(one)
    out: list[Tie] = []
    trying: set[Lookup] = set()  # the last connection failed, so the next one is part of the same visit
    for tie in b.name.ties:
        lookup = tie.lookup
        if lookup is None or lookup.ttl is None or tie.age is None or tie.via != "client":
            continue
        late = tie.age > lookup.ttl * 1_000_000_000 + GRACE_NS
        if late and lookup not in trying and not _asked_since(asked[tie.client], lookup, tie):
            out.append(tie)
        (trying.discard if tie.attempt.answered or (late and lookup not in trying) else trying.add)(lookup)
    return out


def _asked_since(own: list[Lookup], used: Lookup, tie: Tie) -> bool:
    for other in own:
        if other is used:
            continue
        for tap, (when, _) in (other.asked or other.answered).items():
            answer, syn = used.answered.get(tap), tie.attempt.asked.get(tap)
            if answer is not None and syn is not None and answer[0] < when <= syn[0]:
                return True
    return False


def _fresh(b: Bench) -> Verdict:
    v = b.verdict("dns-rr.client.fresh", REQUEST)
    ties = [one for one in b.name.ties if one.via == "client" and one.lookup is not None and one.lookup.ttl is not None]
    if not ties:
        v.reason = "no connection after a client's own question was captured"
        return v
    late = stale(b)
    v.checked, v.failed = len(ties), len(late)
    v.show(first_of(one.attempt.asked) for one in (late or ties))
    if late:
        worst = max(late, key=lambda one: (one.age or 0) - (one.lookup.ttl or 0) * 10**9 if one.lookup else 0)
        assert worst.lookup is not None
        assert worst.age is not None
        v.blame(dict.fromkeys(b.node(one.client) for one in late))
        v.tap = min(worst.attempt.asked)
        v.expected, v.actual = f"{worst.lookup.ttl} s at most", f"{worst.age / 1e9:.1f} s"
        clients = len({one.client for one in late})
        v.message = (
            f"{len(late)} of {len(ties)} connections of {clients} client{'s' if clients > 1 else ''} began after the"
            f" TTL of the answer for {b.name.name} was over, without another question: up to {worst.age / 1e9:.1f} s"
            f" after an answer with TTL {worst.lookup.ttl} s"
        )
    return v


def _order(b: Bench) -> Verdict:
    v = b.verdict("dns-rr.client.order", REQUEST)
    chosen: dict[int, list[Tie]] = defaultdict(list)
    for one in b.name.choices:
        chosen[one.client].append(one)
    judged = {client: own for client, own in chosen.items() if len({_front(one) for one in own}) > 1}
    judged = {client: own for client, own in judged.items() if len(own) >= _SETTLED}
    if not judged:
        v.reason = f"no client connected after {_SETTLED} answers that begin with different addresses"
        return v
    always = {c: own for c, own in judged.items() if len({one.server for one in own}) == 1}
    v.checked, v.failed = sum(map(len, judged.values())), sum(map(len, always.values()))
    v.show(first_of(one.attempt.asked) for own in (always or judged).values() for one in own)
    if always:
        client, own = next(iter(always.items()))
        v.blame(b.node(one) for one in always)
        v.expected, v.actual = "the first address", b.text(own[0].server)
        v.message = (
            f"{len(always)} client{'s' if len(always) > 1 else ''} ({b.text(client)}) always took the same address"
            f" ({b.text(own[0].server)}, {len(own)} times), though the answers began with different ones: it sorts them"
            " itself or goes back to the one it knows"
        )
    return v


def _front(one: Tie) -> int:
    return one.lookup.addresses[0] if one.lookup is not None else 0


def _address(b: Bench) -> Verdict:
    """Connections by clients whose own questions are seen, to an address that none of the answers had."""
    v = b.verdict("dns-rr.client.address", REQUEST)
    tied = [one for one in b.name.ties if one.via == "client"]
    if not tied:
        v.reason = "no connection after a client's own question was captured"
        return v
    strays = b.name.strays
    v.checked, v.failed = len(tied) + len(strays), len(strays)
    v.show(first_of(one.attempt.asked) for one in (strays or tied))
    if strays:
        v.blame(dict.fromkeys(b.node(one.client) for one in strays))
        v.actual = b.text(strays[0].server)
        v.message = (
            f"{len(strays)} connections of clients that asked for {b.name.name} went to addresses ({v.actual}) that"
            " none of their captured answers holds: remembered from before, or configured"
        )
    return v


def _spread(b: Bench) -> Verdict:
    v = b.verdict("dns-rr.client.spread", REQUEST)
    choices = b.name.choices
    fair = b.name.fairness(choices)
    if not fair.conclusive:
        v.reason = f"too few choices to tell an uneven spread from chance (n = {fair.total})"
        return v
    v.checked = fair.total
    v.show(first_of(one.attempt.asked) for one in choices)
    if fair.uneven:
        v.failed = fair.total
        counts = Counter(one.server for one in choices)
        shares = ", ".join(f"{b.text(a)} {n}" for a, n in counts.most_common(4))
        unused = len(b.name.union) - len(counts)
        v.message = (
            f"the first connections after {fair.total} answers are not spread evenly over the {len(b.name.union)}"
            f" addresses of {b.name.name}: {shares}{f', none to {unused}' if unused else ''} ({p_text(fair)})"
        )
    return v


def p_text(fair: Fairness) -> str:
    """The result of a test in a few words."""
    if fair.p_value is None:
        return "no test"
    value = "p < 0.0001" if fair.p_value < 0.0001 else f"p = {fair.p_value:.2g}"
    return f"{fair.method} test, n = {fair.total}, {value}"


# --- servers ----------------------------------------------------------------------------------------------------------


def failed(b: Bench, one: Tie) -> bool | None:
    """Whether a connection came to nothing; None where the capture cannot tell."""
    if one.attempt.answered:
        return False
    if one.attempt.refusal:
        return True
    if not any(tap in b.seen.answering for tap in one.attempt.asked):
        return None
    waited = max(b.seen.ends[tap] - when for tap, (when, _) in one.attempt.asked.items())
    return True if waited >= _WAIT_NS else None


def _alive(b: Bench) -> Iterator[Verdict]:
    by_server: dict[int, list[tuple[Tie, bool]]] = defaultdict(list)
    for one in b.name.ties:
        came = failed(b, one)
        if came is not None:
            by_server[one.server].append((one, came))
    if not by_server:
        v = b.verdict("dns-rr.real-server.alive", REQUEST)
        v.reason = "no answer to a connection was captured"
        yield v
    for server, own in by_server.items():
        v = b.verdict("dns-rr.real-server.alive", REQUEST, b.text(server), (b.node(server),))
        v.checked = len(own)
        v.show(first_of(one.attempt.asked) for one, _ in own)
        lost = _lost(own)
        since = lost[0].at if lost else 0
        fine = [one for other, rest in by_server.items() if other != server for one, bad in rest if not bad]
        if lost and any(one.at >= since for one in fine):
            _dead(b, v, server, lost)
        yield v


def _lost(own: list[tuple[Tie, bool]]) -> list[Tie]:
    """The failures since the last success: two without any success, three after one, or one SYN sent so often."""
    lost: list[Tie] = []
    for one, bad in reversed(own):
        if not bad:
            break
        lost.insert(0, one)
    enough = 2 if len(lost) == len(own) else 3
    often = len(lost) == len(own) and any(one.attempt.copies >= COPIES for one in lost)
    return lost if len(lost) >= enough or often else []


def _dead(b: Bench, v: Verdict, server: int, lost: list[Tie]) -> None:
    first = lost[0]
    assert first.lookup is not None
    later = [
        one
        for one in b.name.lookups
        if one.answered and one.addresses and max(t for t, _ in one.answered.values()) > first.at
    ]
    if later and not any(server in one.addresses for one in later[len(later) // 2 :]):
        return  # the name server has taken it out: only what was remembered led there
    v.failed = len(lost)
    v.frames.clear()
    v.show(first_of(one.attempt.asked) for one in lost)
    v.tap = min(first.attempt.asked)
    how = Counter(one.attempt.refusal or "not answered" for one in lost)
    with_it = sum(server in one.addresses for one in b.name.edge)
    v.expected, v.actual = "SYN-ACK", next(iter(how))
    text = ", ".join(f"{n} {word}" for word, n in how.items())
    v.message = (
        f"{b.text(server)} stands in {with_it} answers for {b.name.name}, but nobody serves there: the last {len(lost)}"
        f" connections failed ({text}), while other addresses answered"
    )


_CHECKERS: Final[tuple[Callable[[Bench], Verdict | None], ...]] = (
    _complete, _uncut, _ttl, _fresh, _order, _address, _spread,
)  # fmt: skip


def _frames(lookups: list[Lookup]) -> Iterator[Frame]:
    return (first_of(one.answered) for one in lookups if one.answered)


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"
