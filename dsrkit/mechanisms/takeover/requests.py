"""Requests to VIPs and what became of them, all taps together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import field
from functools import cached_property
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.takeover.collect import Collected
from dsrkit.verify.arrays import among, distinct

SLOW: Final = 900_000_000
"""An answer that took so long came to a request that was repeated. Source: RFC 6298 s2.1; Linux, 1 s."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Copies of a request at one tap, between two MACs; times by the first tap's clock."""

    tap: int
    number: int
    eth_src: int
    eth_dst: int
    first: int
    last: int


@dataclass(slots=True)
class Request:
    """A TCP handshake or a ping."""

    client: int
    vip: int
    first: int
    last: int
    answer: int | None
    proto: int
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def repeated(self) -> bool:
        """Whether its sender had to send it again. What a tap shows before and after a node is no repetition."""
        return any(s.last - s.first > SLOW for s in self.sightings)

    @property
    def in_vain(self) -> bool:
        """Whether the first copy was not answered."""
        return self.answer is None or self.answer - self.first > SLOW

    def went_to(self, macs: set[int]) -> bool:
        """Whether the first copy was handed to one of some MACs."""
        return any(s.eth_dst in macs and s.first - self.first < SLOW for s in self.sightings)

    def frame_at(self, tap: int) -> tuple[int, int]:
        """Tap and number where a tap saw it first."""
        first = min((s for s in self.sightings if s.tap == tap), key=lambda s: s.first)
        return first.tap, first.number

    @property
    def frame(self) -> tuple[int, int]:
        first = min(self.sightings, key=lambda s: s.first)
        return first.tap, first.number


class Requests:
    """All requests that were kept, by VIP and in order; put together when first asked for."""

    def __init__(self, seen: Collected, offsets: list[int]) -> None:
        self._seen, self._offsets = seen, offsets

    @cached_property
    def unanswered(self) -> int:
        """How many got no answer at any tap."""
        asked = distinct(self._seen.requests.all()["key"])
        return int((~among(asked, self._seen.answers.all()["key"])).sum())

    @cached_property
    def _by_vip(self) -> dict[int, list[Request]]:
        offsets = self._offsets
        answered: dict[int, int] = {}
        for key, ts, tap in self._seen.answers.all()[["key", "ts", "tap"]].tolist():
            at = ts + offsets[tap]
            answered[key] = min(at, answered.get(key, at))
        found: dict[int, Request] = {}
        for key, ts, last, tap, number, client, vip, src, dst, proto in self._seen.requests.all().tolist():
            first, last = ts + offsets[tap], last + offsets[tap]
            known = found.get(key)
            if known is None:
                known = found[key] = Request(client, vip, first, last, answered.get(key), proto)
            known.first, known.last = min(known.first, first), max(known.last, last)
            known.sightings.append(Sighting(tap, number, src, dst, first, last))
        out: dict[int, list[Request]] = defaultdict(list)
        for request in sorted(found.values(), key=lambda r: r.first):
            out[request.vip].append(request)
        return out

    def to(self, vip: int) -> Sequence[Request]:
        return self._by_vip.get(vip, ())
