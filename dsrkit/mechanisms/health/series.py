"""Series of probes: what one checker asks one server again and again, and how regular that is."""

from __future__ import annotations

from array import array
from dataclasses import field
from typing import Final, NamedTuple

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.sections.health_check import Interval
from dsrkit.verify.arrays import median

UP, DOWN, UNKNOWN = 1, 0, -1
MOST_PROBES: Final = 100_000
"""Probes of one series that are kept one by one."""
_LEAST_GAP_NS: Final = 90_000_000
"""Nobody checks a server more often. HAProxy's and keepalived's usual intervals are 1 s and more."""
_SLACK: Final = 0.2
_SLACK_NS: Final = 20_000_000
_REGULAR: Final = 0.6
"""So many gaps have to be one interval: checkers change pace after a failure, and captures start and stop."""
_MOST_MISSED: Final = 3


class Base(NamedTuple):
    """Who asks whom by which way, as one tap shows it; addresses and MACs as numbers."""

    tap: int
    source: int
    target: int
    proto: int
    port: int
    tunnel: int
    outer_dst: int
    dscp: int
    mac: int


class Ask(NamedTuple):
    """What is asked; `mark` tells requests apart that are no text."""

    kind: str
    text: str | None
    mark: int = 0


@dataclass(slots=True)
class Series:
    """The probes of one checker with one request to one server, in order."""

    base: Base
    ask: Ask
    at: array[int] = field(default_factory=lambda: array("q"))
    number: array[int] = field(default_factory=lambda: array("q"))
    result: array[int] = field(default_factory=lambda: array("b"))
    why: array[int] = field(default_factory=lambda: array("i"))
    reasons: list[str] = field(default_factory=list)
    answer_ns: array[int] = field(default_factory=lambda: array("q"))
    timeout_ns: array[int] = field(default_factory=lambda: array("q"))
    size: int = 0
    typical: bool = False
    untaken: list[int] = field(default_factory=list)  # frames of answers that the checker did not take
    from_other: list[int] = field(default_factory=list)  # frames of answers from another address than was asked
    other_source: int = 0
    lost: int = 0  # probes beyond the bound

    def add(self, at: int, number: int, result: int, reason: str) -> None:
        if len(self.at) >= MOST_PROBES:
            self.lost += 1
            return
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.at.append(at)
        self.number.append(number)
        self.result.append(result)
        self.why.append(self.reasons.index(reason))

    def absorb(self, other: Series) -> None:
        """Take in the probes of another series."""
        for i, at in enumerate(other.at):
            self.add(at, other.number[i], other.result[i], other.reasons[other.why[i]])
        self.answer_ns.extend(other.answer_ns)
        self.timeout_ns.extend(other.timeout_ns)
        self.untaken += other.untaken
        self.from_other += other.from_other
        self.other_source = self.other_source or other.other_source
        self.lost += other.lost
        self.sort()

    def sort(self) -> None:
        """By time: a probe without an answer is over later than those after it."""
        order = np.argsort(np.asarray(self.at, np.int64), kind="stable").tolist()
        for kept in (self.at, self.number, self.result, self.why):
            kept[:] = array(kept.typecode, [kept[i] for i in order])

    def interval(self) -> Interval | None:
        """The interval, if the probes keep one."""
        gaps = np.diff(np.asarray(self.at, np.float64))
        if len(gaps) < 2:
            return None
        middle = median(gaps)
        if middle < _LEAST_GAP_NS:
            return None
        # A probe that the capture missed leaves a gap of several intervals.
        times = np.clip(np.rint(gaps / middle), 1, _MOST_MISSED)
        off = np.abs(gaps - times * middle)
        regular = off <= _SLACK * middle + _SLACK_NS
        if np.count_nonzero(regular) < max(2, _REGULAR * len(gaps)):
            return None
        return Interval(len(gaps), round(middle / 1e6, 3), round(median(off) / 1e6, 3))


def middle_ms(values: array[int]) -> float | None:
    """The median in ms of some ns."""
    return round(median(values) / 1e6, 3) if values else None
