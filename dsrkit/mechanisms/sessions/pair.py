"""Which session of a proxy belongs to which: by what the proxy says, by what both sessions carry, by time.

Nothing of a header passes through a proxy, so a pair needs a reason: an address that the second session names (PROXY
header, TOA option), the same octets both ways, the same requests with the same answers, or, once a proxy is known, that
one session alone was waiting.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.sessions.connections import Connection, Message
from dsrkit.mechanisms.sessions.http import same_answer, status_of
from dsrkit.mechanisms.sessions.proxy_protocol import ProxyHeader
from dsrkit.verify.frames import AddressBook

SLACK: Final = 5_000_000
"""How far clocks of taps may be apart where no packet tells. Units: ns."""
_LEAST: Final = 8
"""Octets that two streams must have in common to be compared at all."""
_MOST_LOOKED: Final = 200
_MOST_COMPARED: Final = 1_000_000
"""Pairs of sessions that are compared in all: where tens of thousands look alike, no pair of them would be certain."""
_SOON: Final = 5_000_000_000
"""A session that a proxy opens without octets to tell belongs to one that waited no longer. Units: ns."""
_RETRY: Final = 1_000_000_000
"""HAProxy's pause before it tries a server again that refused it. Source: HAProxy configuration manual, `retries`."""
_TLS: Final = b"\x16\x03"
"""How a TLS client begins. Source: RFC 8446 s5.1."""
_MOST_APART: Final = 86_400_000_000_000


@dataclass(slots=True, eq=False)
class Pair:
    """A client's session and one that was opened for it; `by` says how that is known."""

    front: Connection
    back: Connection
    by: set[str] = field(default_factory=set)
    requests: int = 0

    @property
    def certain(self) -> bool:
        return bool(self.by - {"time", "forwarded-for"})


class Pairing:
    """Pairs found so far, and what is still alone."""

    def __init__(self, book: AddressBook, everything: Sequence[Connection]) -> None:
        self.book = book
        self.all = sorted(everything, key=lambda c: c.opened(c.first))
        self.pairs: list[Pair] = []
        self.compared = 0
        self._of: dict[tuple[int, int], Pair] = {}
        self.fronts: dict[int, list[Pair]] = defaultdict(list)  # by id of the connection
        self.backs: dict[int, list[Pair]] = defaultdict(list)

    def add(self, front: Connection, back: Connection, by: str, requests: int = 0) -> None:
        pair = self._of.get((id(front), id(back)))
        if pair is None:
            pair = self._of[id(front), id(back)] = Pair(front, back)
            self.pairs.append(pair)
            self.fronts[id(front)].append(pair)
            self.backs[id(back)].append(pair)
        pair.by.add(by)
        pair.requests += requests

    @property
    def gave_up(self) -> bool:
        """Whether so many sessions look alike that the rest was not compared."""
        return self.compared >= _MOST_COMPARED

    def keep(self, proxies: set[int]) -> None:
        """Drop the pairs whose second session is not one of these proxies'."""
        kept = [p for p in self.pairs if p.back.client >> 16 in proxies]
        self.pairs, self._of = [], {}
        self.fronts.clear()
        self.backs.clear()
        for pair in kept:
            self._of[id(pair.front), id(pair.back)] = pair
            self.pairs.append(pair)
            self.fronts[id(pair.front)].append(pair)
            self.backs[id(pair.back)].append(pair)

    # --- what the second session names --------------------------------------------------------------------------------

    def by_address(self) -> None:
        """Sessions whose PROXY header or TOA option names another session's client, address and port."""
        waiting = defaultdict(list)
        for c in self.all:
            waiting[c.client].append(c)
        for back in self.all:
            for by, address, port in self._named(back):
                number = self.book.number(address) << 16 | port
                known = [c for c in waiting.get(number, ()) if differ(c, back)]
                before = [c for c in known if c.opened(c.last) <= back.opened(back.first) + SLACK]
                # The clocks of two taps may be apart; the one session of that client it is, then.
                found = before[-1] if before else known[0] if len(known) == 1 else None
                if found is not None:
                    self.add(found, back, by)

    def _named(self, back: Connection) -> Iterable[tuple[str, str, int]]:
        if isinstance(back.header, ProxyHeader) and back.header.speaks_for_client:
            yield "proxy-header", back.header.source, back.header.source_port
        for sight in back.sights:
            if sight.toa is not None:
                yield "toa", *sight.toa
                return

    # --- what both carry ----------------------------------------------------------------------------------------------

    def by_octets(self) -> None:
        """Sessions that carry the same octets both ways, as a proxy that only copies them does."""
        groups: dict[bytes, list[Connection]] = defaultdict(list)
        for c in self.all:
            if len(c.body) >= _LEAST:
                groups[c.body[:16]].append(c)
        for group in groups.values():
            servers = {c.server for c in group}
            if len(servers) > 1:
                self._copies(group)
        for pair in self.pairs:
            if "payload" not in pair.by and self._carry_the_same(pair.front, pair.back):
                pair.by.add("payload")

    def _copies(self, group: list[Connection]) -> None:
        """Of sessions that begin alike, those that follow each other in the same order: a proxy hands on at once."""
        backs = sorted((c for c in group if not self.backs[id(c)]), key=lambda c: c.as_back.heard or c.as_back.said)
        fronts = sorted((c for c in group if not self.fronts[id(c)]), key=lambda c: c.as_front.heard or c.as_front.said)
        times = [c.as_front.heard or c.as_front.said for c in fronts]
        taken: set[int] = set()
        for back in backs:
            when = back.as_back
            start = bisect_left(times, when.heard - SLACK if back.answer else when.said - _SOON)
            left = _MOST_LOOKED
            if self.gave_up:
                return
            for front in fronts[start : start + _MOST_LOOKED * 8]:
                self.compared += 1
                if id(front) in taken or front is back or not in_time(front, back):
                    # A session that began after this one was answered has nothing to do with it, nor have most later.
                    left -= bool(when.heard) and front.as_front.opened > when.heard + SLACK
                elif not self.backs[id(front)] and not self.fronts[id(front)] and self._carry_the_same(front, back):
                    taken.add(id(front))
                    self.add(front, back, "payload")
                    break
                else:
                    left -= 1
                if left <= 0:
                    break

    def _carry_the_same(self, front: Connection, back: Connection) -> bool:
        if not two_machines(front, back) or bool(front.answer) != bool(back.answer):
            return False
        asked, said = min(len(front.body), len(back.body)), min(len(front.answer), len(back.answer))
        if asked < _LEAST or front.body[:asked] != back.body[:asked] or front.answer[:said] != back.answer[:said]:
            return False
        if front.was_reset or back.was_reset:
            return True
        return all(a is None or b is None or a == b for a, b in zip(front.sizes, back.sizes, strict=True))

    def by_requests(self) -> None:
        """Requests that go in on one session and out on another with the same answer: HTTP, where a proxy may change
        heads, and put requests of several clients on one session."""
        groups: dict[tuple[bytes, bytes], list[tuple[Connection, int, Message]]] = defaultdict(list)
        for pair in self.pairs:
            if "payload" in pair.by:
                pair.requests = min(len(pair.front.messages), len(pair.back.messages))
                pair.front.messages_taken |= set(range(pair.requests))
                pair.back.messages_taken |= set(range(pair.requests))
        for c in self.all:
            for i, message in enumerate(c.messages):
                if i not in c.messages_taken and not message.request.to_proxy:
                    groups[message.request.method, message.request.target].append((c, i, message))
        for group in groups.values():
            if len({c.server for c, _, _ in group}) > 1:
                self._requests(group)

    def _requests(self, group: list[tuple[Connection, int, Message]]) -> None:
        def when(entry: tuple[Connection, int, Message]) -> int:
            return entry[2].answered or entry[2].ts

        ordered = sorted(group, key=when)
        times = [when(entry) for entry in ordered]
        for back, i, out in ordered:
            if i in back.messages_taken or self.fronts[id(back)]:
                continue
            asked_for = out.request.forwarded_for
            start = bisect_left(times, when((back, i, out)) - SLACK)
            if self.gave_up:
                return
            for front, k, into in ordered[start : start + _MOST_LOOKED]:
                self.compared += 1
                if front is back or k in front.messages_taken or self.backs[id(front)]:
                    continue
                known = {id(p.front) for p in self.backs[id(back)] if "proxy-header" in p.by}
                if known and id(front) not in known:
                    continue
                if not two_machines(front, back) or not self._one_request(front, into, back, out):
                    continue
                if asked_for and self.book.text(front.client >> 16) not in asked_for:
                    continue
                front.messages_taken.add(k)
                back.messages_taken.add(i)
                self.add(front, back, "request", 1)
                if asked_for:
                    self.add(front, back, "forwarded-for")
                break

    def _one_request(self, front: Connection, into: Message, back: Connection, out: Message) -> bool:
        if into.ts > out.ts + SLACK or bool(into.answer) != bool(out.answer):
            return False
        if into.answered:
            # Waiting for the proxy takes longer than waiting for the server, whatever the clocks of the taps say.
            if out.answered > into.answered + SLACK or out.answered - out.ts > into.answered - into.ts:
                return False
        elif into.ts > out.ts:
            return False
        return not into.answer or same_answer(into.answer, out.answer)

    # --- what is left, where a proxy is known -------------------------------------------------------------------------

    def by_time(self, vips: set[int], proxies: set[int], servers: set[int]) -> None:
        """Sessions of a known proxy that carry nothing to compare: refused, ended at once, or in another form (TLS that
        the proxy ends). They belong to a client's session that was waiting then, rather to one that waited in vain."""
        fronts = [c for c in self.all if c.server in vips and c.client >> 16 not in proxies]
        opened = [c.opened(c.last) for c in fronts]
        slack = self._slack()
        for back in self.all:
            if back.client >> 16 not in proxies or back.server in vips or self.backs[id(back)]:
                continue
            if back.server not in servers and not back.refused:
                continue
            at = back.opened(back.first) + slack
            start, end = bisect_left(opened, at - 60_000_000_000), bisect_left(opened, at)
            named = {a for m in back.messages for a in m.request.forwarded_for}
            waiting = [c for c in fronts[max(start, end - _MOST_LOOKED) : end] if self._waits(c, back, named, slack)]
            alone = [c for c in waiting if not self._served(c)] or waiting
            best = min(alone, key=lambda c: self._since(c, back, at), default=None)
            if best is None or self._since(best, back, at) > _SOON:
                continue
            self.add(best, back, "time")
            if named:
                self.add(best, back, "forwarded-for")

    def _slack(self) -> int:
        """How far the clocks of both sides' taps may be apart, by the sessions that are known to follow each other."""
        gaps = [p.back.opened(p.back.first) - p.front.opened(p.front.last) for p in self.pairs if "request" not in p.by]
        return max(0, -min(gaps)) if gaps else SLACK

    def _served(self, front: Connection) -> list[Pair]:
        return [p for p in self.fronts[id(front)] if not p.back.refused]

    def _waits(self, front: Connection, back: Connection, named: set[str], slack: int) -> bool:
        at = back.opened(back.first)
        ended = front.ended(front.last)
        if not differ(front, back) or (ended and ended < at - slack):
            return False
        if named and self.book.text(front.client >> 16) not in named:
            return False
        served = self._served(front)
        if served:
            # A refused attempt comes before the session that served.
            return back.refused and all(p.back.opened(p.back.first) >= at for p in served)
        if front.answer and not back.answer and (status_of(front.answer) or 0) // 100 != 5:
            return False
        if front.body and back.body and not front.body.startswith(_TLS):
            # In the clear on both sides: what goes out must begin as what came in.
            size = min(len(front.body), len(back.body), _LEAST)
            if front.body[:size] != back.body[:size]:
                return False
        return bool(back.answer) or bool(back.opening) or back.refused

    def _since(self, front: Connection, back: Connection, at: int) -> int:
        """How long ago something happened that makes a proxy open a session: the client's session or its octets came,
        another server refused, or this one did a second ago."""
        tried = [p.back for p in self.fronts[id(front)]]
        if tried:
            events = [t.opened(t.first) + (_RETRY if t.server == back.server else 0) for t in tried]
        else:
            events = [front.opened(front.last), front.said(front.last)]
        # Timers of proxies are not that exact.
        early = at + (_RETRY // 20 if tried else 0)
        return min((abs(at - e) for e in events if e and e <= early), default=_MOST_APART)


def differ(front: Connection, back: Connection) -> bool:
    """Two sessions, not one that NAT shows twice: each side has its own sequence numbers."""
    if front is back or front.server == back.server:
        return False
    return not any(a is not None and a == b for a, b in zip(front.isns, back.isns, strict=True))


def two_machines(front: Connection, back: Connection) -> bool:
    """Two sessions of two clients, one on either side of a proxy.

    A proxy is no client of its own VIP; one that speaks with the client's address still has its own MAC. Where a tap
    sees both sessions come the same way, their clients are on the same side.
    """
    if not differ(front, back):
        return False
    if front.ways & back.ways:
        return False
    if front.client >> 16 != back.client >> 16:
        return True
    macs = {src for _, src, _ in front.ways}
    return all(s.syn is not None and s.syn.src not in macs for s in back.sights)


def translated(everything: Sequence[Connection]) -> list[tuple[Connection, Connection]]:
    """Sessions with both initial sequence numbers in common, but not the server: one session, translated on its way."""
    known: dict[tuple[int | None, int | None], Connection] = {}
    out = []
    for c in everything:
        if None in c.isns or not c.whole:
            continue
        first = known.setdefault(c.isns, c)
        if first.server != c.server:
            out.append((first, c))
    return out


def in_time(front: Connection, back: Connection) -> bool:
    """A proxy passes on what it has got: requests to the server after, answers to the client after.

    Waiting for the proxy takes longer than waiting for the server, whatever the clocks of the taps say: that tells
    which of two sessions is whose.
    """
    one, two = front.as_front, back.as_back
    asked, passed, heard, told = one.said, two.said, two.heard, one.heard
    if passed < asked - SLACK or (told and passed > told + SLACK):
        return False
    if not heard or not told:
        return one.opened <= two.opened
    return told >= heard - SLACK and told - asked >= heard - passed
