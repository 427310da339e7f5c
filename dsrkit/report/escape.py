"""Text that came from packets or files, made harmless for a terminal."""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls, DEL, line and paragraph separators, bidirectional overrides and isolates, zero-width marks, and
# the lone surrogates that stand for undecodable octets of a file name.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def escape(text: str) -> str:
    r"""One line of printable text; everything else becomes a visible escape.

    >>> print(escape("a\x1b[31mb\n"))
    a\x1b[31mb\x0a
    """
    return _UNSAFE.sub(_visible, text)


def escape_lines(text: str) -> list[str]:
    """The lines of a text, each of them escaped."""
    return [escape(line.rstrip("\r")) for line in text.split("\n")]


def _visible(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"
