"""Which answer led to a connection: the last one before its SYN that holds the address and went to that client."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Final, Literal, TypeAlias

from dsrkit.classes import dataclass
from dsrkit.mechanisms.dns.collect import Attempt, Lookup, Sightings
from dsrkit.verify.scene import Scene

Via = Literal["client", "machine", "resolver"]
Pool: TypeAlias = tuple[list[Lookup], list[int]]

_CLOCKS_NS: Final = 50_000_000
"""Clocks of two taps that share no packet may differ by this much."""
_BESIDE_NS: Final = 5_000_000_000
"""Two questions of one client may be open at a time for so long (resolv.conf(5): timeout)."""

_MOST_LOOKED: Final = 200
"""Answers that are looked at for one connection, the last ones before it."""


@dataclass(slots=True, eq=False)
class Tie:
    """A connection and the lookup that led to it; `upstream` is the resolver's own question behind that.

    Units: `at` ns on the first tap's clock, `age` ns from the answer to the SYN.  Absent: `lookup` None where no answer
    that was captured explains the connection, `age` None then.
    `via` says who got the answer: the client itself, its machine by another address, or the only resolver that asked.
    """

    attempt: Attempt
    at: int
    lookup: Lookup | None = None
    upstream: Lookup | None = None
    age: int | None = None
    via: Via = "client"
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


def tie(attempts: list[Attempt], lookups: list[Lookup], scene: Scene, clock: Clock) -> list[Tie]:
    """Every connection with its answer, in the order of time."""
    answered = sorted((one for one in lookups if one.answered and one.addresses), key=lambda x: clock.at(x.answered))
    of_client: dict[tuple[int, int], list[Lookup]] = defaultdict(list)
    own: dict[tuple[int, str, str], list[Lookup]] = defaultdict(list)
    asking: dict[int, set[int]] = defaultdict(set)  # address -> who got it in answers
    for lookup in answered:
        own[lookup.client >> 16, lookup.name, lookup.kind].append(lookup)
        for address in lookup.addresses:
            of_client[lookup.client >> 16, address].append(lookup)
            asking[address].add(lookup.client >> 16)
    pools = _Pools(of_client, {one.client >> 16 for one in lookups}, asking, scene, clock)
    ties = [Tie(attempt, clock.at(attempt.asked)) for attempt in attempts]
    ties.sort(key=lambda one: one.at)
    used: set[Lookup] = set()
    for one in ties:
        via, known, times = pools.of(one)
        found = _latest(one, known, times, clock, used)
        if found is None:
            continue
        one.lookup, one.via, one.first = found, via, found not in used
        one.age = max(0, clock.between(found.answered, one.attempt.asked)[0])
        used.add(found)
        one.upstream = _behind(found, own.get((found.server >> 16, found.name, found.kind), []), clock)
    return ties


class _Pools:
    """Answers that a client may have used, in the order of time."""

    def __init__(
        self,
        of_client: dict[tuple[int, int], list[Lookup]],
        askers: set[int],
        asking: dict[int, set[int]],
        scene: Scene,
        clock: Clock,
    ) -> None:
        self._of_client = of_client
        self._askers = askers
        self._asking = asking
        self._scene = scene
        self._clock = clock
        self._known: dict[tuple[frozenset[int], int], Pool] = {}

    def of(self, one: Tie) -> tuple[Via, list[Lookup], list[int]]:
        """Those of the client; if it never asked by this address, of its machine, or of who alone got the address."""
        if one.client in self._askers:
            return "client", *self._pool(frozenset((one.client,)), one.server)
        party = self._scene.party_of_ip(one.client)
        machine = frozenset(party.ips & self._askers) if party is not None else frozenset()
        if machine:
            return "machine", *self._pool(machine, one.server)
        who = frozenset(self._asking.get(one.server, ()))
        return "resolver", *(self._pool(who, one.server) if len(who) == 1 else ([], []))

    def _pool(self, who: frozenset[int], target: int) -> Pool:
        """Answers with an address that somebody got."""
        if (who, target) not in self._known:
            lookups = [one for address in who for one in self._of_client.get((address, target), ())]
            lookups.sort(key=lambda one: self._clock.at(one.answered))
            self._known[who, target] = lookups, [self._clock.at(one.answered) for one in lookups]
        return self._known[who, target]


def _latest(one: Tie, own: list[Lookup], times: list[int], clock: Clock, used: set[Lookup]) -> Lookup | None:
    """The last answer with the address; or, where several questions were open side by side, the last one with the
    address in front that has led to no connection yet."""
    latest: Lookup | None = None
    end = bisect_right(times, one.at + _CLOCKS_NS)
    for lookup in reversed(own[max(0, end - _MOST_LOOKED) : end]):
        age, same = clock.between(lookup.answered, one.attempt.asked)
        if age < (0 if same else -_CLOCKS_NS):
            continue
        if latest is not None and age > _BESIDE_NS:
            break
        if lookup.addresses[0] == one.server and lookup not in used:
            return lookup
        latest = latest or lookup
    return latest


def _behind(lookup: Lookup, own: list[Lookup], clock: Clock) -> Lookup | None:
    """The resolver's own question, of all about that name, from which it knew the answer."""
    end = bisect_right(own, clock.at(lookup.answered) + _CLOCKS_NS, key=lambda one: clock.at(one.answered))
    for other in reversed(own[max(0, end - _MOST_LOOKED) : end]):
        if set(lookup.addresses) <= set(other.addresses):
            return other
    return None
