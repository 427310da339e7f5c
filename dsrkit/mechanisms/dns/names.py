"""One name as the capture shows it: who answers, in what order, and where the connections went."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import field
from functools import cached_property
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.dns.collect import Lookup
from dsrkit.mechanisms.dns.tie import Clock, Tie
from dsrkit.mechanisms.statistics import SIGNIFICANT, Fairness, fairness
from dsrkit.model.sections.dns import Rotation

_MOST_SINGLE: Final = 1_000


@dataclass(slots=True)
class Source:
    """One machine that answers for a name: its answers in the order of time."""

    server: int  # address
    answers: list[Lookup] = field(default_factory=list)
    unanswered: int = 0

    @property
    def clients(self) -> set[int]:
        return {one.client >> 16 for one in self.answers}

    @property
    def full(self) -> list[tuple[int, ...]]:
        """The orders of those answers that hold the most frequent set of addresses, two or more."""
        orders = [one.addresses for one in self.answers if len(one.addresses) > 1]
        if not orders:
            return []
        usual, _ = Counter(frozenset(order) for order in orders).most_common(1)[0]
        return [order for order in orders if frozenset(order) == usual]

    @property
    def rotation(self) -> Rotation:
        """How the order of the answers changes."""
        orders = self.full
        if len(orders) < 2:
            return "unknown"
        if len(set(orders)) == 1:
            # Orders by chance would all be equal with probability (k!)^(1-n).
            chance = (1 - len(orders)) * math.lgamma(len(orders[0]) + 1)
            return "fixed" if chance <= math.log(SIGNIFICANT) else "unknown"
        firsts = Counter(order[0] for order in orders)
        if fairness([firsts[address] for address in orders[0]]).uneven:
            return "uneven"
        return "cyclic" if all(_turned(orders[0], order) for order in orders) else "random"


def _turned(first: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether one order is the other with its beginning moved to the end."""
    at = other.index(first[0])
    return other[at:] + other[:at] == first


@dataclass(eq=False)
class Name:
    """A name and one type of address; read it when all its `ties` are known."""

    name: str
    kind: str
    lookups: list[Lookup]
    resolvers: set[int]  # addresses that ask and are asked
    ties: list[Tie] = field(default_factory=list)
    untied: list[Tie] = field(default_factory=list)  # to its addresses, and no captured answer explains them
    strays: list[Tie] = field(default_factory=list)  # those of clients that got answers, without that address

    @cached_property
    def union(self) -> tuple[int, ...]:
        """All addresses of all answers."""
        return tuple(dict.fromkeys(address for one in self.lookups for address in one.addresses))

    @cached_property
    def edge(self) -> list[Lookup]:
        """Lookups of clients; those of resolvers where no client's is captured."""
        own = [one for one in self.lookups if one.client >> 16 not in self.resolvers]
        return own or self.lookups

    @cached_property
    def behind(self) -> list[Lookup]:
        """The resolvers' own lookups, where those of clients are captured too."""
        known = set(self.edge)
        return [one for one in self.lookups if one not in known]

    def sources(self, lookups: list[Lookup]) -> list[Source]:
        out: dict[int, Source] = {}
        for one in lookups:
            source = out.setdefault(one.server >> 16, Source(one.server >> 16))
            if one.answered:
                source.answers.append(one)
            else:
                source.unanswered += 1
        return list(out.values())

    @cached_property
    def used(self) -> set[int]:
        """Addresses that somebody connected to after an answer."""
        return {one.server for one in self.ties}

    @cached_property
    def choices(self) -> list[Tie]:
        """The first connection after each answer: what a client does with an answer is one choice."""
        return [one for one in self.ties if one.first and one.via != "resolver"]

    def fairness(self, ties: list[Tie]) -> Fairness:
        """The test of choices against equal shares."""
        counts = Counter(one.server for one in ties)
        return fairness([counts[address] for address in self.union])


def names_of(lookups: list[Lookup], ties: list[Tie], clock: Clock) -> dict[tuple[str, str], Name]:
    """Names that were asked for, with the connections that came of it."""
    servers = {one.server >> 16 for one in lookups if one.answered}
    resolvers = {one.client >> 16 for one in lookups} & servers
    grouped: dict[tuple[str, str], list[Lookup]] = defaultdict(list)
    for one in sorted(lookups, key=lambda x: clock.at(x.answered or x.asked)):
        grouped[one.name, one.kind].append(one)
    out = {key: Name(*key, own, resolvers) for key, own in grouped.items()}
    for each in ties:
        if each.lookup is not None:
            out[each.lookup.name, each.lookup.kind].ties.append(each)
    astray: dict[int, list[Tie]] = defaultdict(list)
    for each in ties:
        if each.lookup is None:
            astray[each.server].append(each)
    for name in out.values():
        if len(name.union) == 1 and len(out) > _MOST_SINGLE:
            continue  # thousands of names may share the address of one provider
        name.untied = [one for address in name.union for one in astray[address]] if astray else []
        name.strays = _strays(name, clock)
    return out


def _strays(name: Name, clock: Clock) -> list[Tie]:
    told: dict[int, int] = {}  # client -> when it first got addresses of this name
    for one in name.lookups:
        if one.addresses and one.answered:
            told.setdefault(one.client >> 16, clock.at(one.answered))
    return [one for one in name.untied if told.get(one.client, one.at) < one.at]
