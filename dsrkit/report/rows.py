"""Tables of any length, written as they come: aligned text, CSV, JSON.

A block is some rows of the table, as one list for each column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import accumulate, islice, repeat
from operator import add
from typing import Any, Final, TypeAlias

from dsrkit.model.printable import json_line
from dsrkit.report.escape import escape
from dsrkit.report.paint import Paint, Style

Block: TypeAlias = Sequence[Sequence[Any]]
_WIDEST: Final = 44
"""Columns that a column may take at first: one long value must not push all others out of sight."""
_TOGETHER: Final = 256
"""Lines of a block that are written together."""


def as_table(
    names: Sequence[str],
    right: Sequence[bool],
    blocks: Iterable[Block],
    paint: Paint,
    styles: Mapping[str, Style] | None = None,
    *,
    head: bool = True,
    forms: Sequence[str] | None = None,
) -> Iterator[str]:
    """Aligned columns. Widths are those of the first block, and grow where a value needs more; nothing is cut.

    Columns are texts; where `forms` has one (``d``, ``.6f``), they are numbers, put into words by it.
    """
    colors = [(styles or {}).get(name) for name in names]
    widths = [len(name) if head else 0 for name in names]
    forms = forms or [""] * len(names)
    for n, block in enumerate(blocks):
        columns = [column if form else _escaped(column) for column, form in zip(block, forms, strict=True)]
        longest = [_longest(column, form) for column, form in zip(columns, forms, strict=True)]
        if n == 0:
            widths = [max(width, min(most, _WIDEST)) for width, most in zip(widths, longest, strict=True)]
            if head:
                yield from _lines([[name] for name in names], widths, right, ["bold"] * len(names), paint)
        if not any(colors) and all(most <= width for most, width in zip(longest, widths, strict=True)):
            yield from _together(map(_row_form(widths, right, forms).__mod__, zip(*columns, strict=True)))
        else:
            columns = [_in_words(column, form) for column, form in zip(columns, forms, strict=True)]
            yield from _lines(columns, widths, right, colors, paint)
        widths = [max(width, min(most, _WIDEST)) for width, most in zip(widths, longest, strict=True)]


def _escaped(column: Sequence[str]) -> Sequence[str]:
    """The cells of a column, each escaped; plain ASCII, which nearly all are, is looked at only once."""
    together = "".join(column)
    return column if together.isascii() and together.isprintable() else [escape(text) for text in column]


def _longest(column: Sequence[Any], form: str) -> int:
    """The length of a column's longest cell; of numbers it is the least or the greatest."""
    return max(map(len, _in_words((min(column), max(column)), form) if form and column else column), default=0)


def _in_words(column: Sequence[Any], form: str) -> Sequence[str]:
    return list(map(f"%{form}".__mod__, column)) if form else column


def _row_form(widths: Sequence[int], right: Sequence[bool], forms: Sequence[str]) -> str:
    """What makes a line of a row whose cells all fit: at once, not cell by cell."""
    aligned = ("%" if on_right else "%-" for on_right in right)
    return "  ".join(f"{sign}{width}{form or 's'}" for sign, width, form in zip(aligned, widths, forms, strict=True))


def _lines(
    columns: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: Sequence[bool],
    styles: Sequence[Style | None],
    paint: Paint,
) -> Iterator[str]:
    """The rows of some columns, cell by cell."""
    filled = [_filled(*one, paint) for one in zip(columns, widths, right, styles, strict=True)]
    return _together(map("  ".join, zip(*filled, strict=True)))


def _together(rows: Iterable[str]) -> Iterator[str]:
    """Rows as lines, many to a text: a table may have a hundred thousand of them."""
    lines = map(str.rstrip, rows)
    while some := list(islice(lines, _TOGETHER)):
        yield "\n".join(some) + "\n"


def _filled(column: Sequence[str], width: int, on_right: bool, style: Style | None, paint: Paint) -> Iterable[str]:
    """The cells of a column as wide as it is there; from a cell on that needs more, it is wider."""
    widths: Iterable[int] = repeat(width)
    if max(map(len, column), default=0) > width:
        widths = islice(accumulate((min(len(cell), _WIDEST) for cell in column), max, initial=width), 1, None)
    if not style:
        return map(str.rjust if on_right else str.ljust, column, widths)
    spaces = (" " * (width - len(cell)) for cell, width in zip(column, widths, strict=False))
    shown = (paint(cell, style) if cell else cell for cell in column)
    return map(add, spaces, shown) if on_right else map(add, shown, spaces)


def as_csv(names: Sequence[str], blocks: Iterable[Block]) -> Iterator[str]:
    """Comma-separated values with a first line of names. Source: RFC 4180, with line feeds alone."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for block in blocks:
        writer.writerows(zip(*map(_escaped, block), strict=True))
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
