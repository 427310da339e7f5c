"""A ladder: packets as rows, taps as columns, and in each cell the header fields that matter there."""

from __future__ import annotations

from dsrkit.classes import dataclass


@dataclass(frozen=True, slots=True)
class LadderField:
    """A field by the tables' name, its value in words, and whether the cell before had another."""

    name: str
    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class LadderCell:
    """One frame at one tap: who sent it to whom on that link, as far as that is known, and its fields."""

    sender: str
    receiver: str
    fields: tuple[LadderField, ...]

    def field(self, name: str) -> LadderField | None:
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True, slots=True)
class LadderRow:
    """One packet: when it was first seen, which way it goes (→, ← or nothing), what it is, between whom.

    `cells` runs beside the ladder's taps; a tap that saw the packet before and after a node holds two.
    A packet to a group goes no way, and has fields only where they are not those of the cell before.

    Units: `offset_ns` in nanoseconds after the first frame.
    """

    offset_ns: int
    direction: str
    summary: str
    endpoints: str
    cells: tuple[tuple[LadderCell, ...], ...]


@dataclass(frozen=True, slots=True)
class LadderTap:
    """A column: the name of the tap, and the nodes whose frames it saw."""

    name: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The first packets of a scenario at every tap.

    Of MACs only `mac_octets` are shown, counted from 1.

    Absent: `left_out` is None where what follows was not counted.
    """

    title: str
    taps: tuple[LadderTap, ...]
    rows: tuple[LadderRow, ...]
    left_out: int | None = 0
    mac_octets: tuple[int, ...] = (5, 6)
