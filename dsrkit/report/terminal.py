"""Blocks of a page for a terminal, by rich: in colours, and folded where they are too wide."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import Final

from rich import table, text
from rich.padding import Padding

from dsrkit.report.blocks import Placed, Table, Text, width_of
from dsrkit.report.console import console

_UNLIMITED: Final = 100_000
_NARROWEST: Final = 40
_ROOM: Final = 8
"""Cells that a column which may be folded should have at least."""


def printed(items: Iterable[Placed], *, color: bool, width: int | None) -> str:
    """All blocks, one after the other."""
    out = StringIO()
    to = console(out, color=color, width=_UNLIMITED if width is None else max(width, _NARROWEST))
    for item, indent, gap in items:
        for _ in range(gap):
            to.print()
        shown = _text(item) if isinstance(item, Text) else _table(item, to.width - indent)
        to.print(Padding(shown, (0, 0, 0, indent), expand=False) if indent else shown)
    return out.getvalue()


def _text(item: Text) -> text.Text:
    made = text.Text("", item.style)
    for part, style in item.parts:
        made.append(part, style)
    return made


def _table(item: Table, width: int) -> table.Table:
    whole = _unbroken(item, width)
    made = table.Table(
        box=None,
        pad_edge=False,
        padding=(0, item.gap, 0, 0),
        header_style="dim",
        show_header=item.titled,
        show_edge=False,
        collapse_padding=True,
    )
    for column, unbroken in zip(item.columns, whole, strict=True):
        made.add_column(
            text.Text(column.title),
            justify="right" if column.right else "left",
            style=column.style,
            no_wrap=unbroken,
            overflow="ellipsis" if column.cut else "fold",
        )
    for row in item.rows:
        made.add_row(*map(_text, row))
    return made


def _unbroken(item: Table, width: int) -> list[bool]:
    """Columns that are not folded: not all that should not be where the others have too little room.

    rich would drop what does not fit.
    """
    whole = [column.whole for column in item.columns]
    widths = [max(map(width_of, item.texts(index)), default=0) for index in range(len(item.columns))]
    for numbers in (False, True):  # numbers are broken last
        taken = sum(2 + (widest if kept else min(widest, _ROOM)) for widest, kept in zip(widths, whole, strict=True))
        if taken > width:
            whole = [kept and column.right != numbers for kept, column in zip(whole, item.columns, strict=True)]
    return whole
