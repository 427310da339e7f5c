"""Rules: what a node may do to one header field, as plain data that composes.

A rule speaks about a field *after* a node in terms of the packet *before* it. The set is closed under composition, so
the tables of all nodes between two capture points fold into one table, whatever taps are missing in between.

`Affine`      after = base + delta, delta in ``[low, high]``; the base is a field of the packet before, a constant, or a
              role (any address of that role)
`Recomputed`  a checksum that must be right for the packet it stands in, whatever it was before
`Free`        nothing is promised
`Union`       any one of several rules
`PerProfile`  one rule per implementation; `narrow` picks one, or the union of all
"""

from __future__ import annotations

from functools import reduce
from typing import TypeAlias

from dsrkit.classes import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """The value of a field of the packet before the node."""

    name: str


@dataclass(frozen=True, slots=True)
class Const:
    """A fixed number."""

    value: int


@dataclass(frozen=True, slots=True)
class Role:
    """Any of the addresses that the nodes of a role have: ``Role("real-server", "mac")``."""

    role: str
    what: str  # "ip", "mac", "port", "dscp"


Base: TypeAlias = Field | Const | Role


@dataclass(frozen=True, slots=True)
class Affine:
    """after = base + delta for a delta in [low, high]."""

    base: Base
    low: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The checksum after the node is valid for the octets it covers (or left to an offload engine)."""


@dataclass(frozen=True, slots=True)
class Free:
    """No promise; never checked."""


@dataclass(frozen=True, slots=True)
class Union:
    """Any one of these."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class PerProfile:
    """One rule per implementation profile, in a fixed order."""

    rules: tuple[tuple[str, Rule], ...]

    def __getitem__(self, profile: str) -> Rule:
        named = dict(self.rules)
        return named[profile] if profile in named else named["generic"]


Rule: TypeAlias = Affine | Recomputed | Free | Union | PerProfile


def keep(field: str) -> Affine:
    """The field comes out as it went in: what every field without a cell must do."""
    return Affine(Field(field))


def const(value: int) -> Affine:
    return Affine(Const(value))


def role(name: str, what: str) -> Affine:
    return Affine(Role(name, what))


def profiles(**rules: Rule) -> PerProfile:
    """Rules by profile name; ``generic`` answers for every profile that is not named."""
    return PerProfile(tuple(sorted(rules.items())))


def union(*rules: Rule) -> Rule:
    """The flat union of rules, duplicates dropped; a union with `Free` is `Free`."""
    flat: list[Rule] = []
    for rule in rules:
        for one in rule.rules if isinstance(rule, Union) else (rule,):
            if isinstance(one, Free):
                return one
            if one not in flat:
                flat.append(one)
    return flat[0] if len(flat) == 1 else Union(tuple(flat))


def narrow(rule: Rule, profile: str) -> Rule:
    """The rule of one profile; ``any`` is the union over all profiles."""
    if isinstance(rule, PerProfile):
        if profile == "any":
            return union(*(narrow(r, profile) for _, r in rule.rules))
        return narrow(rule[profile], profile)
    if isinstance(rule, Union):
        return union(*(narrow(r, profile) for r in rule.rules))
    return rule


def shift(rule: Rule, low: int, high: int) -> Rule:
    """The rule of a value to which a delta in [low, high] is added later."""
    if low == 0 and high == 0:
        return rule
    match rule:
        case Affine(base, a, b):
            return Affine(base, a + low, b + high)
        case Union(rules):
            return union(*(shift(r, low, high) for r in rules))
        case PerProfile(rules):
            return PerProfile(tuple((name, shift(r, low, high)) for name, r in rules))
        case _:
            return Free()  # a checksum plus a number, or nothing promised


def substitute(rule: Rule, before: dict[str, Rule]) -> Rule:
    """`rule` rewritten in terms of the packet in front of an earlier node whose table is `before`."""
    match rule:
        case Affine(Field(name), low, high):
            return shift(before.get(name, keep(name)), low, high)
        case Union(rules):
            return union(*(substitute(r, before) for r in rules))
        case PerProfile(rules):
            return PerProfile(tuple((name, substitute(r, before)) for name, r in rules))
        case _:
            return rule


def compose(first: dict[str, Rule], second: dict[str, Rule]) -> dict[str, Rule]:
    """The table of two nodes in a row; fields in neither table are kept, so they stay absent."""
    fields = [*first, *(f for f in second if f not in first)]
    out = {f: substitute(second.get(f, keep(f)), first) for f in fields}
    return {f: r for f, r in out.items() if r != keep(f)}


def repeated(rules: dict[str, Rule], low: int, high: int) -> dict[str, Rule]:
    """The table of `low` to `high` equal nodes in a row, for rules that only count or are idempotent."""

    def times(field: str, rule: Rule) -> Rule:
        if isinstance(rule, Affine) and rule.base == Field(field):
            ends = [rule.low * low, rule.low * high, rule.high * low, rule.high * high]
            return Affine(rule.base, min(ends), max(ends))
        return rule

    return {field: times(field, rule) for field, rule in rules.items()}


def compose_all(tables: list[dict[str, Rule]]) -> dict[str, Rule]:
    return reduce(compose, tables, {})
