"""Tables of header fields: name, place, bits and kind of each on a line, so that a header's module reads like its RFC.

A table is the only source of field names: what is put into a layer is put there by its row, and so `names` of all the
tables are all the names there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from dsrkit.classes import dataclass

KindName: TypeAlias = Literal["int", "mac", "ip", "text", "bytes"]
Show: TypeAlias = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field's value is: a number or flag, an address as text, text, or octets; and where it is defined."""

    kind: KindName
    source: str


@dataclass(frozen=True, slots=True)
class Row:
    """One field: `size` octets at `at` of its header, the bits of `mask` in them, times `scale`.

    A field that is computed, or whose place depends on the packet, has its place given when it is put.
    """

    name: str
    at: int = 0
    size: int = 0
    kind: KindName = "int"
    mask: int = 0
    scale: int = 1
    show: Show | None = None
    source: str = ""
    shift: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", (self.mask & -self.mask).bit_length() - 1 if self.mask else 0)


@dataclass(frozen=True, slots=True)
class Table:
    """The fixed part of a header, `size` octets: its layer's name, its fields and their source."""

    name: str
    source: str
    size: int
    rows: tuple[Row, ...]


def names(*tables: Table) -> dict[str, Kind]:
    """The fields of tables, each with its own source or its table's."""
    return {row.name: Kind(row.kind, row.source or table.source) for table in tables for row in table.rows}


def hexed(digits: int) -> Show:
    """A number as Wireshark shows one in hexadecimal: ``0x0800``."""
    return lambda value: f"0x{value:0{digits}x}"


def named(values: Mapping[int, str], otherwise: str = "") -> Show:
    """A number with its name where it has one: ``6 (TCP)``."""

    def show(value: int) -> str:
        name = values.get(value, otherwise)
        return f"{value} ({name})" if name else str(value)

    return show
