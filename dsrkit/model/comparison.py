"""What a comparison finds, as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from dsrkit.classes import dataclass

SCHEMA: Final = "dsrkit.diff/1"


@dataclass(frozen=True, slots=True)
class Example:
    """One pair in which a field differs: frame numbers, both values, and the packet in a line."""

    a: int
    b: int
    values: tuple[str, str]
    context: str


@dataclass(slots=True)
class Difference:
    """One field that differs between the two sides.

    `field` is Wireshark's name with its layer number; ``+ipv6`` and ``-ip`` stand for headers that only one side has.
    `because` says, where the difference is allowed, by what. `values` are pairs of values with how often each is met,
    the most frequent first; `more` counts other pairs of values.
    """

    field: str
    because: str = ""
    pairs: int = 0
    values: list[tuple[str, str, int]] = dataclasses.field(default_factory=list)
    more: int = 0
    examples: list[Example] = dataclasses.field(default_factory=list)

    @property
    def allowed(self) -> bool:
        return bool(self.because)


@dataclass(frozen=True, slots=True)
class Unpaired:
    """Packets that only one side has: how many, and the first of them with their frame numbers."""

    packets: int = 0
    first: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was found out about two sides.

    `how` is ``"path"``, ``"copy"`` or ``"rerun"``, as `dsrkit.compare.compare.compare` takes it. `pairs` were paired;
    `same` of them are equal to the octet. `again` counts packets that one side shows a second time, as a tap at a load
    balancer does. `unread` are packets beyond what is held in memory, which nobody looked at.
    """

    a: str
    b: str
    how: str
    mode: str | None = None
    packets: tuple[int, int] = (0, 0)
    pairs: int = 0
    same: int = 0
    differences: tuple[Difference, ...] = ()
    only_a: Unpaired = Unpaired()
    only_b: Unpaired = Unpaired()
    again: tuple[int, int] = (0, 0)
    unread: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()

    @property
    def unexpected(self) -> tuple[Difference, ...]:
        """The differences that nothing allows."""
        return tuple(d for d in self.differences if not d.allowed)

    @property
    def allowed(self) -> tuple[Difference, ...]:
        """The differences that the mode or the way between the two places makes."""
        return tuple(d for d in self.differences if d.allowed)

    @property
    def equal(self) -> bool:
        """Whether every packet has its like and nothing unexpected differs."""
        return not (self.unexpected or self.only_a.packets or self.only_b.packets)

    @property
    def exit_code(self) -> int:
        """0 equal, 1 not, 2 nothing could be compared."""
        if not self.pairs:
            return 2
        return 0 if self.equal else 1

    def to_dict(self) -> Mapping[str, Any]:
        """The comparison as JSON data."""
        return {
            "schema": SCHEMA,
            "a": self.a,
            "b": self.b,
            "how": self.how,
            "mode": self.mode,
            "packets": {"a": self.packets[0], "b": self.packets[1]},
            "pairs": self.pairs,
            "same": self.same,
            "differences": [_difference(d) for d in self.unexpected],
            "allowed": [_difference(d) for d in self.allowed],
            "only_a": _unpaired(self.only_a),
            "only_b": _unpaired(self.only_b),
            "again": {"a": self.again[0], "b": self.again[1]},
            "unread": {"a": self.unread[0], "b": self.unread[1]},
            "notes": list(self.notes),
        }


def _difference(d: Difference) -> dict[str, Any]:
    return {
        "field": d.field,
        "because": d.because or None,
        "pairs": d.pairs,
        "values": [{"a": a, "b": b, "pairs": n} for a, b, n in d.values],
        "more": d.more,
        "examples": [{"a": e.a, "b": e.b, "values": list(e.values), "context": e.context} for e in d.examples],
    }


def _unpaired(u: Unpaired) -> dict[str, Any]:
    return {"packets": u.packets, "first": [{"frame": n, "context": text} for n, text in u.first]}
