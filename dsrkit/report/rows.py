"""Tables of any length, written as they come: aligned text, CSV, JSON.

A block is some rows of the table, as one list for each column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import Any, Final, TypeAlias

from dsrkit.model.printable import json_line
from dsrkit.report.escape import escape
from dsrkit.report.paint import Paint, Style

Block: TypeAlias = Sequence[Sequence[Any]]
_WIDEST: Final = 44
"""Columns that a column may take at first: one long value must not push all others out of sight."""


def as_table(
    names: Sequence[str],
    right: Sequence[bool],
    blocks: Iterable[Block],
    paint: Paint,
    styles: Mapping[str, Style] | None = None,
    *,
    head: bool = True,
) -> Iterator[str]:
    """Aligned columns. Widths are those of the first block, and grow where a value needs more; nothing is cut."""
    colors = [(styles or {}).get(name) for name in names]
    widths = [len(name) if head else 0 for name in names]
    for n, block in enumerate(blocks):
        columns = [[escape(text) for text in column] for column in block]
        for place, column in enumerate(columns):
            longest = max(map(len, column), default=0)
            widths[place] = max(widths[place], min(longest, _WIDEST) if n == 0 else 0)
        if n == 0 and head:
            yield _line(list(names), widths, right, ["bold"] * len(names), paint)
        for row in zip(*columns, strict=True):
            widths = [min(max(width, len(cell)), max(width, _WIDEST)) for width, cell in zip(widths, row, strict=True)]
            yield _line(row, widths, right, colors, paint)


def _line(
    cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], styles: Sequence[Style | None], paint: Paint
) -> str:
    last = len(cells) - 1
    parts = []
    for place, (cell, width, on_right, style) in enumerate(zip(cells, widths, right, styles, strict=True)):
        space = " " * (width - len(cell))
        shown = paint(cell, style) if style and cell else cell
        parts.append(space + shown if on_right else shown if place == last else shown + space)
    return "  ".join(parts).rstrip() + "\n"


def as_csv(names: Sequence[str], blocks: Iterable[Block]) -> Iterator[str]:
    """Comma-separated values with a first line of names. Source: RFC 4180, with line feeds alone."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for block in blocks:
        writer.writerows(zip(*([escape(text) for text in column] for column in block), strict=True))
        yield _taken(out)
    yield _taken(out)


def _taken(out: StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def as_jsonl(names: Sequence[str], blocks: Iterable[Block]) -> Iterator[str]:
    """An object on each line."""
    return objects_as_jsonl(_objects(names, blocks))


def as_json(names: Sequence[str], blocks: Iterable[Block]) -> Iterator[str]:
    """An array of objects."""
    return objects_as_json(_objects(names, blocks))


def objects_as_jsonl(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """An object on each line, in ASCII."""
    for one in objects:
        yield json_line(one) + "\n"


def objects_as_json(objects: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """An array that is written as its objects come, one on each line, in ASCII."""
    before = "[\n  "
    for one in objects:
        yield before + json_line(one)
        before = ",\n  "
    yield "\n]\n" if before[0] == "," else "[]\n"


def _objects(names: Sequence[str], blocks: Iterable[Block]) -> Iterator[Mapping[str, Any]]:
    for block in blocks:
        for row in zip(*block, strict=True):
            yield dict(zip(names, row, strict=True))
