"""Text that came from packets or files, made harmless for a terminal."""

from __future__ import annotations

import re

from dsrkit.model.printable import UNSAFE


def escape(text: str) -> str:
    r"""One line of printable text; everything else becomes a visible escape.

    >>> print(escape("a\x1b[31mb\n"))
    a\x1b[31mb\x0a
    """
    return UNSAFE.sub(_visible, text)


def escape_lines(text: str) -> list[str]:
    """The lines of a text, each of them escaped."""
    return [escape(line.rstrip("\r")) for line in text.split("\n")]


def _visible(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
