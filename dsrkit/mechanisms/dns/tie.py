"""Which answer led to a connection: the last one before its SYN that holds the address and went to that client."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from dsrkit.mechanisms.dns.collect import Attempt, Lookup, Sightings

_CLOCKS_NS: Final = 50_000_000
"""Clocks of two taps that share no packet may differ by this much."""
_BESIDE_NS: Final = 5_000_000_000
"""Two questions of one client may be open at a time for so long (resolv.conf(5): timeout)."""


@dataclass(slots=True, eq=False)
class Tie:
    """A connection and the lookup that led to it; `upstream` is the resolver's own question behind that.

    Units: `at` ns on the first tap's clock, `age` ns from the answer to the SYN.  Absent: `lookup` None where no answer
    that was captured explains the connection, `age` None then.
    `direct` is False where only a resolver's own lookup is captured, not the client's.
    """

    attempt: Attempt
    at: int
    lookup: Lookup | None = None
    upstream: Lookup | None = None
    age: int | None = None
    direct: bool = True
    first: bool = False  # the first connection that this answer led to

    @property
    def client(self) -> int:
        return self.attempt.client >> 16

    @property
    def server(self) -> int:
        return self.attempt.server >> 16

    @property
    def position(self) -> int | None:
        """Place of the address in the answer, from 0."""
        return None if self.lookup is None else self.lookup.addresses.index(self.server)


class Clock:
    """Times of several taps on the first tap's clock."""

    def __init__(self, offsets: list[int]) -> None:
        self._offsets = offsets

    def at(self, sightings: Sightings) -> int:
        """The earliest sighting."""
        return min(when + self._offsets[tap] for tap, (when, _) in sightings.items())

    def between(self, first: Sightings, second: Sightings) -> tuple[int, bool]:
        """Time from one event to another, by a tap that saw both where there is one (then True)."""
        common = first.keys() & second.keys()
        if common:
            tap = min(common)
            return second[tap][0] - first[tap][0], True
        return self.at(second) - self.at(first), False


def tie(attempts: list[Attempt], lookups: list[Lookup], clock: Clock) -> list[Tie]:
    """Every connection with its answer, in the order of time."""
    answered = sorted((one for one in lookups if one.answered and one.addresses), key=lambda x: clock.at(x.answered))
    of_client: dict[int, list[Lookup]] = defaultdict(list)
    asking: dict[int, set[int]] = defaultdict(set)  # address -> who got it in answers
    for lookup in answered:
        of_client[lookup.client >> 16].append(lookup)
        for address in lookup.addresses:
            asking[address].add(lookup.client >> 16)
    times = {client: [clock.at(one.answered) for one in own] for client, own in of_client.items()}
    askers = {one.client >> 16 for one in lookups}
    ties = [Tie(attempt, clock.at(attempt.asked)) for attempt in attempts]
    ties.sort(key=lambda one: one.at)
    used: set[Lookup] = set()
    for one in ties:
        via, direct = one.client, True
        if via not in askers and len(asking[one.server]) == 1:
            via, direct = next(iter(asking[one.server])), False  # the resolver that the client must have asked
        found = _latest(one, of_client.get(via, []), times.get(via, []), clock, used)
        if found is None:
            continue
        one.lookup, one.direct, one.first = found, direct, found not in used
        one.age = max(0, clock.between(found.answered, one.attempt.asked)[0])
        used.add(found)
        resolver = found.server >> 16
        one.upstream = _behind(found, of_client.get(resolver, []), times.get(resolver, []), clock)
    return ties


def _latest(one: Tie, own: list[Lookup], times: list[int], clock: Clock, used: set[Lookup]) -> Lookup | None:
    """The last answer with the address; an unused one shortly before it, where that had the address in front and the
    last one had not: two questions were open side by side."""
    latest: Lookup | None = None
    for lookup in reversed(own[: bisect_right(times, one.at + _CLOCKS_NS)]):
        if one.server not in lookup.addresses:
            continue
        age, same = clock.between(lookup.answered, one.attempt.asked)
        if age < (0 if same else -_CLOCKS_NS):
            continue
        if latest is None:
            latest = lookup
            if lookup.addresses[0] == one.server:
                return lookup
        elif age > _BESIDE_NS:
            break
        elif lookup.addresses[0] == one.server and lookup not in used:
            return lookup
    return latest


def _behind(lookup: Lookup, own: list[Lookup], times: list[int], clock: Clock) -> Lookup | None:
    """The resolver's own question from which it knew the answer."""
    for other in reversed(own[: bisect_right(times, clock.at(lookup.answered) + _CLOCKS_NS)]):
        if (other.name, other.kind) == (lookup.name, lookup.kind) and set(lookup.addresses) <= set(other.addresses):
            return other
    return None
