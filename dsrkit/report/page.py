"""A page of text: what every part of the terminal report is printed with."""

from __future__ import annotations

from collections.abc import Sequence

from dsrkit.report import plain
from dsrkit.report.blocks import Column, Placed, Table, Text
from dsrkit.report.escape import escape


class Page:
    """What is to be printed, block by block."""

    def __init__(self) -> None:
        self._blocks: list[Placed] = []

    def add(self, item: Text | Table, *, indent: int = 0, gap: int = 0) -> None:
        self._blocks.append((item, indent, gap))

    def heading(self, title: str) -> None:
        self.add(Text(title, "bold"), gap=1)

    def text(self, *, color: bool, width: int | None) -> str:
        """The page; without a `width` no line is wrapped."""
        if color or width is not None:
            from dsrkit.report.terminal import printed  # loads rich, which takes longer than all of the page

            text = printed(self._blocks, color=color, width=width)
        else:
            text = plain.written(self._blocks)
        return "".join(line.rstrip(" ") + "\n" for line in text.splitlines())


def plain_table(*titles: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """A table without lines; the `right` columns hold numbers, and those and the `whole` ones are never broken."""
    return Table(*[Column(title, right=title in right, whole=title in right or title in whole) for title in titles])


def grid(*, gap: int, style: str = "") -> Table:
    """Words, in a style, and what belongs to each: wrapped lines hang under its first word."""
    return Table(Column(whole=True, cut=True, style=style), Column(), gap=gap, titled=False)


def bullet(text: str) -> Table:
    """A paragraph whose wrapped lines hang under its first word."""
    made = grid(gap=1)
    made.add_row("  -", text)
    return made


def number(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 or word == "info" else f"{count:,} {word}s"


def maybe(text: str | None) -> str:
    return "-" if text is None else escape(text)


def join(items: Sequence[str]) -> str:
    return ", ".join(escape(item) for item in items)
