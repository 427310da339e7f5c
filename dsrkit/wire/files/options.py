"""The options of pcapng blocks: type, length, value. Source: draft-ietf-opsawg-pcapng s3.5."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

END: Final = 0
COMMENT: Final = 1
MOST_TEXT: Final = 500
"""Characters that are kept of a text, which may have 65,535 octets."""
MOST_TEXTS: Final = 20
"""Texts that are kept of one block, which may have hundreds of thousands."""


def walk(octets: bytes | memoryview, order: str) -> Iterator[tuple[int, bytes]]:
    """Codes and values, as far as they are whole; `order` is that of `struct`."""
    at = 0
    while at + 4 <= len(octets):
        code, size = struct.unpack_from(order + "HH", octets, at)
        if code == END or at + 4 + size > len(octets):
            return
        yield code, bytes(octets[at + 4 : at + 4 + size])
        at += 4 + size + -size % 4


def first(octets: bytes | memoryview, order: str) -> dict[int, bytes]:
    """The first value of each code."""
    found: dict[int, bytes] = {}
    for code, value in walk(octets, order):
        found.setdefault(code, value)
    return found


def text(value: bytes) -> str:
    """UTF-8 text as it stands in the file, cut where it is long."""
    shown = value[: 4 * MOST_TEXT].rstrip(b"\0").decode("utf-8", "replace")
    return shown if len(shown) <= MOST_TEXT and len(value) <= 4 * MOST_TEXT else shown[:MOST_TEXT] + "…"


def texts(octets: bytes | memoryview, order: str, wanted: int) -> list[str]:
    """The texts of one code, and how many more there are."""
    found: list[str] = []
    more = 0
    for code, value in walk(octets, order):
        if code != wanted:
            continue
        if len(found) < MOST_TEXTS:
            found.append(text(value))
        else:
            more += 1
    return [*found, f"({more} more comments)"] if more else found
