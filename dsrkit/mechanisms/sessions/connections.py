"""A TCP session of all taps as one: its octets from the tap that shows most, its times at both ends of a path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.sessions.collect import Sight, Stream
from dsrkit.mechanisms.sessions.http import Request, request_of, status_of
from dsrkit.mechanisms.sessions.proxy_protocol import BadHeader, ProxyHeader, parse, starts_like_header
from dsrkit.verify.verdicts import Frame

_SURE: Final = 20_000_000
"""Clocks further apart are. Units: ns."""


@dataclass(slots=True)
class Message:
    """A request on a session and the head of its answer; times on the first tap's clock, 0 where nothing came."""

    ts: int
    ref: Frame
    request: Request
    answer: bytes = b""
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Times:
    """When a session began, when its client said something and when its server did; 0 for never."""

    opened: int
    said: int
    heard: int


@dataclass(eq=False)
class Connection:
    """`first` is the sight nearest to the client, `last` that nearest to the server, by time."""

    sights: list[Sight]
    offsets: Sequence[int]
    messages_taken: set[int] = field(default_factory=set)

    @cached_property
    def _by_time(self) -> list[Sight]:
        return sorted(self.sights, key=lambda s: self.at(s, s.start))

    @cached_property
    def first(self) -> Sight:
        return self._by_time[0]

    @cached_property
    def last(self) -> Sight:
        return self._by_time[-1]

    def at(self, sight: Sight, ts: int | None) -> int:
        """A time stamp on the first tap's clock; 0 for none."""
        return 0 if ts is None else ts + self.offsets[sight.tap]

    @cached_property
    def client(self) -> int:
        return self.sights[0].client

    @cached_property
    def server(self) -> int:
        return self.sights[0].server

    @cached_property
    def _richest(self) -> Sight:
        def seen(sight: Sight) -> tuple[int, int]:
            whole = [sum(len(s.octets) for s in stream.segments.values()) for stream in (sight.request, sight.reply)]
            return sum(n > 0 for n in whole), sum(whole)

        return max(self.sights, key=seen)

    @property
    def request(self) -> Stream:
        return self._richest.request

    @property
    def reply(self) -> Stream:
        return self._richest.reply

    @cached_property
    def opening(self) -> bytes:
        """The first octets that the client sends."""
        return self.request.prefix()

    @cached_property
    def answer(self) -> bytes:
        """The first octets that the server sends."""
        return self.reply.prefix()

    @cached_property
    def header(self) -> ProxyHeader | BadHeader | None:
        """The PROXY header in front; None where there is none. Only a session that was seen from its start has one."""
        if not starts_like_header(self.opening) or not any(s.syn or s.synack for s in self.sights):
            return None
        return parse(self.opening)

    @cached_property
    def header_size(self) -> int:
        return self.header.length if isinstance(self.header, ProxyHeader) else 0

    @cached_property
    def body(self) -> bytes:
        """What the client says, behind a PROXY header."""
        return self.opening[self.header_size :]

    @cached_property
    def isns(self) -> tuple[int | None, int | None]:
        """First sequence numbers of both sides, as any tap shows them; NAT keeps one of them at least."""
        client = next((s.request.base for s in self.sights if s.request.base is not None), None)
        server = next((s.reply.base for s in self.sights if s.reply.base is not None), None)
        return client, server

    @cached_property
    def whole(self) -> bool:
        """Whether its first packet was seen."""
        return any(s.syn is not None for s in self.sights)

    @cached_property
    def as_front(self) -> Times:
        """Its times as session 1, at the tap nearest to the proxy."""
        return Times(*(read(self.last) for read in (self.opened, self.said, self.heard)))

    @cached_property
    def as_back(self) -> Times:
        """Its times as session 2, at the tap nearest to the proxy."""
        return Times(*(read(self.first) for read in (self.opened, self.said, self.heard)))

    def opened(self, sight: Sight) -> int:
        return self.at(sight, sight.start)

    def said(self, sight: Sight) -> int:
        """When its client's first octets passed a tap; a PROXY header is the proxy's own, and comes before them."""
        size = self.header_size
        behind = [s.ts for at, s in sight.request.segments.items() if at + s.size > size] if size else []
        return self.at(sight, min(behind) if behind else sight.request.first)

    def heard(self, sight: Sight) -> int:
        """When its server's first octets passed a tap."""
        return self.at(sight, sight.reply.first)

    def ended(self, sight: Sight) -> int:
        """When the first side to end it did; 0 while it is open."""
        ends = [m.ts for s in (sight.request, sight.reply) for m in (s.fin, s.reset) if m is not None]
        return self.at(sight, min(ends)) if ends else 0

    @cached_property
    def sizes(self) -> tuple[int | None, int | None]:
        """Octets that each side sent in all, without the PROXY header."""
        ends = [next((s.size for s in side if s.size is not None), None) for side in self._streams()]
        return (None if ends[0] is None else ends[0] - self.header_size), ends[1]

    def _streams(self) -> tuple[list[Stream], list[Stream]]:
        return [s.request for s in self.sights], [s.reply for s in self.sights]

    @cached_property
    def ways(self) -> set[tuple[int, int, int]]:
        """Tap and MACs of its SYNs: where it comes from and where it goes."""
        return {(s.tap, s.syn.src, s.syn.dst) for s in self.sights if s.syn is not None and s.syn.src}

    @cached_property
    def was_reset(self) -> bool:
        return any(s.request.reset or s.reply.reset for s in self.sights)

    @cached_property
    def refused(self) -> bool:
        """The server answers its SYN with RST."""
        return self.whole and any(s.reply.reset for s in self.sights) and not self.established

    @cached_property
    def established(self) -> bool:
        return any(s.synack or s.request.segments or s.reply.segments for s in self.sights)

    @property
    def rejected(self) -> bool:
        """The server ends it before it has said anything, or says that it was asked wrongly."""
        if not self.opening:
            return False
        if self.answer:
            return status_of(self.answer) == 400
        ends = [m.ts for s in self.sights for m in (s.reply.fin, s.reply.reset) if m is not None]
        client = [m.ts for s in self.sights for m in (s.request.fin, s.request.reset) if m is not None]
        return bool(ends) and (not client or min(ends) <= min(client))

    @cached_property
    def messages(self) -> list[Message]:
        """Its HTTP requests, each with what the server says next."""
        sight = self._richest
        out: list[Message] = []
        answers = sight.reply.turns()
        for turn in sight.request.turns():
            octets = turn.octets[self.header_size :] if turn.at == 0 else turn.octets
            request = request_of(octets)
            if request is not None:
                out.append(Message(self.at(sight, turn.ts), turn.ref, request))
        for i, message in enumerate(out):
            until = out[i + 1].ts if i + 1 < len(out) else None
            for turn in answers:
                ts = self.at(sight, turn.ts)
                if ts >= message.ts and (until is None or ts <= until) and status_of(turn.octets) is not None:
                    message.answer, message.answered = turn.octets, ts
                    break
        return out


def connections(sights: Sequence[Sight], offsets: Sequence[int]) -> list[Connection]:
    """Sights of one session at several taps put together.

    Offsets of clocks that paths of different lengths there and back explain as well are left out: the taps on both
    sides of a proxy share no packet, so they would only move one side.
    """
    offsets = [0 if abs(offset) < _SURE else offset for offset in offsets]
    groups: dict[tuple[int, int, int], list[Sight]] = defaultdict(list)
    for sight in sights:
        groups[sight.identity].append(sight)
    return [Connection(group, offsets) for group in groups.values()]
