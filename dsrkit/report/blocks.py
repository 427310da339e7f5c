"""What a page of text is made of: text in styles, and tables without lines.

Widths are counted in the cells that a terminal gives to characters.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from dsrkit.classes import dataclass

_NARROW: Final = frozenset([*map(chr, range(0x20, 0x7F)), *"→─…±–"])
"""Characters of one cell, of which nearly all pages are made."""


class Text:
    """Text, or lines of it, in a style of its own, with parts that have others."""

    __slots__ = ("parts", "style")

    def __init__(self, text: str = "", style: str = "") -> None:
        self.style = style
        self.parts = [(text, "")]

    @classmethod
    def assemble(cls, *parts: str | tuple[str, str]) -> Text:
        made = cls()
        for part in parts:
            made.append(*((part,) if isinstance(part, str) else part))
        return made

    def append(self, text: str, style: str = "") -> Text:
        self.parts.append((text, style))
        return self

    def __str__(self) -> str:
        return "".join([text for text, _ in self.parts])


@dataclass(frozen=True, slots=True)
class Column:
    """What a column holds: numbers, on the `right`; what is never broken but where all else is; what may be cut."""

    title: str = ""
    right: bool = False
    whole: bool = False
    cut: bool = False
    style: str = ""


class Table:
    """Rows of cells in columns that are `gap` cells apart; with titles, or as a grid without."""

    __slots__ = ("columns", "gap", "rows", "titled")

    def __init__(self, *columns: Column, gap: int = 2, titled: bool = True) -> None:
        self.columns = columns
        self.gap = gap
        self.titled = titled
        self.rows: list[list[Text]] = []

    def add_row(self, *values: str | Text) -> None:
        self.rows.append([value if isinstance(value, Text) else Text(value) for value in values])

    def texts(self, index: int) -> list[str]:
        """What stands in a column, its title first."""
        cells = [str(row[index]) for row in self.rows]
        return [self.columns[index].title, *cells] if self.titled else cells


Placed: TypeAlias = tuple[Text | Table, int, int]
"""A block, how far it is indented, and how many lines are left free before it."""


def width_of(text: str) -> int:
    """The cells that one line takes in a terminal."""
    if _NARROW.issuperset(text):
        return len(text)
    from rich.cells import cell_len  # its tables take longer to load than a page to write

    return cell_len(text)
