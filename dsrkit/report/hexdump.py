"""The octets of a frame, header by header, each line with the fields that begin in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dsrkit.report.escape import escape
from dsrkit.report.paint import CYCLE, Paint, Style
from dsrkit.report.tree import Field, Layer, title

_IN_HEADERS: Final = 8
_IN_DATA: Final = 16
"""Octets in a line: of a header, which has its fields beside it, and of data."""
_TOLD: Final = 40
"""Characters of a field's value beside the octets."""


def lines(octets: bytes, layers: Sequence[Layer], paint: Paint, *, padding: int | None = None) -> Iterator[str]:
    """Every octet once, in order: the headers that were recognised, and what lies between and behind them.

    From octet `padding` on is nothing that a header claims.
    """
    at = 0
    for layer in sorted((one for one in layers if one.stop > one.start), key=lambda one: one.start):
        start, stop = max(layer.start, at), min(layer.stop, len(octets))
        if stop <= start:
            continue
        if start > at:
            yield from _data(octets, at, start, paint)
        yield f"  {paint(title(layer), 'bold')}"
        yield from _header(octets, start, stop, layer.fields, paint)
        at = stop
    end = len(octets) if padding is None else max(at, min(padding, len(octets)))
    if at < end:
        yield from _data(octets, at, end, paint)
    if end < len(octets):
        yield from _data(octets, end, len(octets), paint, "padding")


def _data(octets: bytes, start: int, stop: int, paint: Paint, name: str = "data") -> Iterator[str]:
    yield f"  {paint(name, 'bold')}"
    for at in range(start, stop, _IN_DATA):
        part = octets[at : min(at + _IN_DATA, stop)]
        yield f"    {paint(f'{at:04x}', 'dim')}  {part.hex(' '):<{3 * _IN_DATA - 1}}  {_characters(part)}"


def _header(octets: bytes, start: int, stop: int, fields: Sequence[Field], paint: Paint) -> Iterator[str]:
    ranges = _ranges(fields, start, stop)
    styles: list[Style | None] = [None] * (stop - start)
    for n, (begin, end, _) in enumerate(ranges):
        for at in range(begin, end):
            if styles[at - start] is None:
                styles[at - start] = CYCLE[n % len(CYCLE)]
    for at in range(start, stop, _IN_HEADERS):
        end = min(at + _IN_HEADERS, stop)
        parts = [_styled(f"{octets[n]:02x}", styles[n - start], paint) for n in range(at, end)]
        gap = "   " * (_IN_HEADERS - (end - at))
        texts = [paint(text, CYCLE[n % len(CYCLE)]) for n, (begin, _, text) in enumerate(ranges) if at <= begin < end]
        characters = f"{_characters(octets[at:end]):<{_IN_HEADERS}}"
        yield f"    {paint(f'{at:04x}', 'dim')}  {' '.join(parts)}{gap}  {characters}  {', '.join(texts)}".rstrip()


def _ranges(fields: Sequence[Field], start: int, stop: int) -> list[tuple[int, int, str]]:
    """Octets from, to, and what stands in them; fields that share their first octet stand together."""
    places: dict[int, tuple[int, list[Field]]] = {}
    for field in fields:
        if not start <= field.start < min(field.stop, stop) or field.name.endswith((".state", "_calculated")):
            continue
        end, together = places.setdefault(field.start, (field.stop, []))
        parents = {one.name for one in together}
        if field.name.rpartition(".")[0] in parents:  # a part of one that is told already
            continue
        together.append(field)
        places[field.start] = max(end, field.stop), together
    return [(begin, min(end, stop), _told(begin, end, together)) for begin, (end, together) in sorted(places.items())]


def _told(start: int, stop: int, fields: Sequence[Field]) -> str:
    where = f"{start}–{stop - 1}" if stop - start > 1 else f"{start}"
    return f"{where} " + " ".join(f"{_short(one.name)} {_cut(escape(one.shown))}" for one in fields)


def _short(name: str) -> str:
    return name.partition(".")[2] or name


def _cut(text: str) -> str:
    return text if len(text) <= _TOLD else text[: _TOLD - 1] + "…"


def _styled(text: str, style: Style | None, paint: Paint) -> str:
    return paint(text, style) if style else text


def _characters(octets: bytes) -> str:
    return "".join(chr(octet) if 32 <= octet < 127 else "." for octet in octets)
