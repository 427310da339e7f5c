"""Blocks of a page without colours, as wide as they come: what pipes and files get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from dsrkit.report.blocks import Placed, Table, width_of


def written(blocks: Iterable[Placed]) -> str:
    """All blocks, one after the other; spaces may end lines. As in a terminal, an empty text has no indented line."""
    out: list[str] = []
    for item, indent, gap in blocks:
        out += [""] * gap
        lines = _rows(item) if isinstance(item, Table) else str(item).split("\n")
        if not indent:
            out += lines
        elif any(lines):
            out += [" " * indent + line for line in lines]
    return "\n".join([*out, ""])


def _rows(table: Table) -> list[str]:
    texts = [table.texts(index) for index in range(len(table.columns))]
    widths = list(map(_widest, texts))
    rows = []
    for row in zip(*texts, strict=True):
        for parts in zip_longest(*[cell.split("\n") for cell in row], fillvalue=""):
            cells = zip(parts, widths, table.columns, strict=True)
            rows.append((" " * table.gap).join([_filled(text, width, column.right) for text, width, column in cells]))
    return rows


def _widest(texts: Sequence[str]) -> int:
    return max([width_of(line) for text in texts for line in text.split("\n")], default=0)


def _filled(text: str, width: int, right: bool) -> str:
    if right:
        text = text.rstrip()
    space = " " * (width - width_of(text))
    return space + text if right else text + space
