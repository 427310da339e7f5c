"""A page of text: what every part of the terminal report is printed with."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Final

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dsrkit.report.console import console
from dsrkit.report.escape import escape

_UNLIMITED: Final = 100_000
_NARROWEST: Final = 40
_ROOM: Final = 8
"""Cells that a column which may be folded should have at least."""


class Page:
    """What is printed to memory, line by line."""

    def __init__(self, color: bool, width: int | None) -> None:
        self._out = StringIO()
        self._console = console(self._out, color=color, width=_UNLIMITED if width is None else max(width, _NARROWEST))

    def add(self, item: RenderableType, *, indent: int = 0, gap: int = 0) -> None:
        for _ in range(gap):
            self._console.print()
        if isinstance(item, Table):
            _fit(item, self._console.width - indent)
        self._console.print(Padding(item, (0, 0, 0, indent), expand=False) if indent else item)

    def heading(self, title: str) -> None:
        self.add(Text(title, "bold"), gap=1)

    def text(self) -> str:
        return "".join(line.rstrip(" ") + "\n" for line in self._out.getvalue().splitlines())


def plain_table(*columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """A table without lines; the `right` columns hold numbers, and those and the `whole` ones are never broken."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(
            Text(column),
            justify="right" if column in right else "left",
            no_wrap=column in right or column in whole,
            overflow="fold",
        )
    return table


def _fit(table: Table, width: int) -> None:
    """Let columns be folded where the unbroken ones leave too little room: rich would drop what does not fit."""
    for words in (True, False):  # numbers are broken last
        taken = 0
        for column in table.columns:
            widest = max(cell_len(str(text)) for text in (column.header, *column.cells))
            taken += 2 + (widest if column.no_wrap else min(widest, _ROOM))
        for column in table.columns:
            if taken > width and words == (column.justify == "left"):
                column.no_wrap = False


def add_row(table: Table, *values: str | Text) -> None:
    table.add_row(*(value if isinstance(value, Text) else Text(value) for value in values))


def bullet(text: str) -> Table:
    """A paragraph whose wrapped lines hang under its first word."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text("  -"), Text(text))
    return grid


def number(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 or word == "info" else f"{count:,} {word}s"


def maybe(text: str | None) -> str:
    return "-" if text is None else escape(text)


def join(items: Sequence[str]) -> str:
    return ", ".join(escape(item) for item in items)
