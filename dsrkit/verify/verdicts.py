"""Verdicts: what became of each cell, counted over all batches of the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from dsrkit.classes import dataclass

if TYPE_CHECKING:
    from dsrkit.verify.connections import Connection

MOST_FRAMES: Final = 10
"""Examples that a verdict keeps; its counts are complete."""

Frame = tuple[int, int]
"""Index of the tap, frame number in its file (from 1)."""


@dataclass(slots=True, eq=False)
class Point:
    """An observation point of one direction: a tap, or one of several passes of a packet through it.

    The name is given last, when all points of the input are known.
    """

    tap: int
    port: int  # interface within the tap
    form: int
    turn: int  # which pass, where routers show a packet twice
    direction: int
    name: str = ""


@dataclass(slots=True)
class Verdict:
    """One cell at one hop: how much was judged, how much failed, the first examples, and words for them."""

    cell: str
    field: str
    direction: int
    severity: str = "error"
    source: Point | None = None
    target: Point | None = None
    place: str = ""  # instead of two points: where a presence cell was judged
    nodes: tuple[str, ...] = ()
    tap: int | None = None
    checked: int = 0
    failed: int = 0
    reason: str | None = None
    frames: list[Frame] = dataclasses.field(default_factory=list)
    expected: str = ""
    actual: str = ""
    wireshark: str | None = None
    connections: list[Connection] = dataclasses.field(default_factory=list)  # those that failed, up to a bound
    message: str = ""  # what is wrong, where the verdict itself knows better than its numbers tell
    signs: frozenset[str] = frozenset()  # what the message says that causes are told apart by

    @property
    def hop(self) -> str:
        if self.target is None:
            return self.place
        return f"{self.source.name if self.source is not None else ''}→{self.target.name}"

    def show(self, frames: Iterable[Frame]) -> None:
        """Keep examples, up to `MOST_FRAMES`."""
        for frame in frames:
            if len(self.frames) >= MOST_FRAMES:
                return
            if frame not in self.frames:
                self.frames.append(frame)

    def blame(self, names: Iterable[str]) -> None:
        self.nodes = tuple(dict.fromkeys([*self.nodes, *names]))

    def add(self, other: Verdict) -> None:
        """Count another batch's verdict on the same cell and hop."""
        self.checked += other.checked
        self.failed += other.failed
        self.show(other.frames)
        self.blame(other.nodes)
        if other.failed and not self.actual:
            self.expected, self.actual, self.tap, self.wireshark, self.message, self.signs = (
                other.expected,
                other.actual,
                other.tap,
                other.wireshark,
                other.message,
                other.signs,
            )
        if self.checked:
            self.reason = None


class Tally:
    """Verdicts by cell and hop."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, int, int, str], Verdict] = {}

    def add(self, verdict: Verdict) -> Verdict:
        """Count a verdict; returns the one that stands for its cell and hop."""
        key = (verdict.cell, id(verdict.source), id(verdict.target), verdict.place)
        known = self._all.get(key)
        if known is None:
            self._all[key] = verdict
            return verdict
        known.add(verdict)
        return known

    def all(self) -> list[Verdict]:
        return list(self._all.values())
