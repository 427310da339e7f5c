"""A frame taken apart, as text and as JSON: its headers in order, the IP headers of a tunnel packet side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from dsrkit.report.escape import escape
from dsrkit.report.paint import Paint, Style

_NAME: Final = 22
"""Columns of a field's name."""
_IP: Final = ("ip", "ipv6")
_SAME: Final = {
    "tclass": "dsfield",
    "tclass.dscp": "dsfield.dscp",
    "tclass.ecn": "dsfield.ecn",
    "hlim": "ttl",
    "nxt": "proto",
    "plen": "len",
}
"""Names of IPv6 fields → those of IPv4 that mean the same, so that they stand in one row."""
_STATES: Final[dict[str, Style]] = {"good": "green", "bad": "red", "partial": "yellow", "zero": "yellow"}


class Field(Protocol):
    """One field; `dsrkit.wire.dissect.tree.Field` is one."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int | str | bytes: ...
    @property
    def start(self) -> int: ...
    @property
    def stop(self) -> int: ...
    @property
    def mask(self) -> int: ...
    @property
    def remark(self) -> str: ...
    @property
    def shown(self) -> str: ...


class Layer(Protocol):
    """One header; `dsrkit.wire.dissect.tree.Layer` is one."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def stop(self) -> int: ...
    @property
    def fields(self) -> Sequence[Field]: ...
    @property
    def quoted(self) -> bool: ...


def lines(layers: Sequence[Layer], paint: Paint) -> Iterator[str]:
    """The headers of a frame, from the outside."""
    headers = [layer for layer in layers if layer.name in _IP and not layer.quoted]
    tunnel = len(headers) > 1
    for layer in layers:
        if layer.start == layer.stop and not layer.fields:
            yield f"  {paint(title(layer), 'bold')}"
        elif tunnel and layer is headers[0]:
            yield from _side_by_side(headers, paint)
        elif not (tunnel and layer in headers):
            yield f"  {paint(title(layer), 'bold')}{_octets(layer, paint)}"
            for name, text in shown(layer):
                yield f"    {name:<{_NAME}} {_marked(text, paint)}"


def title(layer: Layer) -> str:
    """A header's name, with its number where it is not the first, or whether it is quoted."""
    number = f"#{layer.number}" if layer.number > 1 else ""
    return f"{layer.name}{number}{' (quoted in the ICMP error)' if layer.quoted else ''}"


def shown(layer: Layer) -> list[tuple[str, str]]:
    """Names of a header's fields, without the header's own, and their values as text, escaped.

    Flags are told with the field that they are bits of, what a checksum should be with the checksum that is not.
    """
    result: list[tuple[str, list[str]]] = []
    bits: dict[str, list[str]] = {}
    places: dict[str, int] = {}
    for field in layer.fields:
        parent, _, last = field.name.rpartition(".")
        if field.name.endswith((".checksum.state", "checksum_calculated")):
            continue
        if parent in places and field.mask.bit_count() == 1:
            if field.value:
                bits.setdefault(parent, []).append(last)
            continue
        places[field.name] = len(result)
        text = escape(field.shown) + (f"  [{escape(field.remark)}]" if field.remark else "")
        result.append((field.name, [text]))
    for parent, names in bits.items():
        texts = result[places[parent]][1]
        if "(" not in texts[0]:
            texts.append(f"({', '.join(names)})")
    prefix = f"{layer.name}."
    return [(name.removeprefix(prefix), " ".join(texts)) for name, texts in result]


def to_dict(layer: Layer) -> dict[str, Any]:
    """A header for JSON: octets are hexadecimal text, numbers are numbers."""
    fields = []
    for field in layer.fields:
        value = field.value.hex() if isinstance(field.value, bytes) else field.value
        entry: dict[str, Any] = {"name": field.name, "value": value, "start": field.start, "stop": field.stop}
        if field.mask:
            entry["mask"] = field.mask
        if field.shown != str(value):
            entry["text"] = field.shown
        if field.remark:
            entry["remark"] = field.remark
        fields.append(entry)
    result: dict[str, Any] = {"name": layer.name, "number": layer.number, "start": layer.start, "stop": layer.stop}
    if layer.quoted:
        result["quoted"] = True
    return {**result, "fields": fields}


def _side_by_side(headers: Sequence[Layer], paint: Paint) -> Iterator[str]:
    """IP headers as the columns of a table, outermost first; a field stands where the first header has it."""
    columns = [{_SAME.get(name, name): text for name, text in shown(header)} for header in headers]
    names = list(dict.fromkeys(name for column in columns for name in column))
    words = ["outer", *(f"inner {n}" for n in range(1, len(headers) - 1)), "inner"]
    tops = [f"{word} {title(header)}{_octets(header)}" for word, header in zip(words, headers, strict=True)]
    widths = [
        max(len(top), *(len(text) for text in column.values()), 1) for top, column in zip(tops, columns, strict=True)
    ]
    head = "  ".join(f"{top:<{width}}" for top, width in zip(tops, widths, strict=True)).rstrip()
    yield f"  {paint('IP headers', 'bold')}{'':<{_NAME - 7}}{paint(head, 'bold')}"
    for name in names:
        cells = [column.get(name, "") for column in columns]
        padded = [_marked(cell, paint) + " " * (width - len(cell)) for cell, width in zip(cells, widths, strict=True)]
        yield f"    {name:<{_NAME}} {'  '.join(padded)}".rstrip()


def _octets(layer: Layer, paint: Paint | None = None) -> str:
    """Where a header lies in the frame."""
    if layer.start >= layer.stop:
        return ""
    text = f" ({layer.start}–{layer.stop - 1})" if layer.stop - layer.start > 1 else f" ({layer.start})"
    return paint(text, "dim") if paint else text


def _marked(text: str, paint: Paint) -> str:
    """A value whose remark stands in the colour of what it means."""
    value, bracket, remark = text.rpartition("  [")
    if not bracket:
        return text
    style = _STATES.get(remark.partition("]")[0].partition(",")[0])
    return f"{value}  {paint('[' + remark, style) if style else '[' + remark}"
