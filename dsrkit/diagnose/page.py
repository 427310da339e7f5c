"""How a page of text is laid out: headings, paragraphs, lists and commands of a given width."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import Final

WIDTH: Final = 96
_INDENT: Final = "  "


class Page:
    """Text that grows from top to bottom.

    >>> page = Page(20)
    >>> page.heading("To decide")
    >>> page.commands(["ip address"])
    >>> print(page.text(), end="")
    To decide
      $ ip address
    """

    def __init__(self, width: int = WIDTH) -> None:
        self._width = width
        self._lines: list[str] = []

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"

    def heading(self, words: str) -> None:
        if self._lines:
            self._lines.append("")
        self._lines.append(words)

    def line(self, words: str) -> None:
        self._lines.append(words)

    def paragraph(self, words: str, *, indent: bool = True) -> None:
        self._wrapped(words, _INDENT if indent else "", "")

    def items(self, entries: Iterable[tuple[str, str]]) -> None:
        """Each a word and what is said of it."""
        for name, words in entries:
            self._wrapped(f"{name}: {words}" if words else name, f"{_INDENT}- ", _INDENT * 2)

    def commands(self, lines: Iterable[str], *, prompt: str = "$ ") -> None:
        """As they are: a command is never broken, so that it can be copied."""
        self._lines += [f"{_INDENT}{prompt}{line}" for line in lines]

    def _wrapped(self, words: str, first: str, then: str) -> None:
        self._lines.append(
            fill(
                words,
                self._width,
                initial_indent=first,
                subsequent_indent=then or first,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
