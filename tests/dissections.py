"""Where the scan's columns and the dissector say different things of the same frames."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dsrkit.wire import layout
from dsrkit.wire.columns import FIELDS, Columns
from dsrkit.wire.dissect.frame import NAMES
from dsrkit.wire.dissect.tree import Dissection, Layer

Frame = tuple[str, Any, Dissection]
"""What to call a frame, its row of the scan, and the frame taken apart."""

SHARED = sorted(FIELDS.keys() & NAMES.keys())

_COOKED = (113, 276)
_QUOTED = {
    "ip": {"src": "ip.src", "dst": "ip.dst", "ttl": "ip.ttl", "tos": "ip.dsfield", "id": "ip.id", "len": "ip.len"},
    "ipv6": {"src": "ipv6.src", "dst": "ipv6.dst", "ttl": "ipv6.hlim", "tos": "ipv6.tclass", "len": "ipv6.plen"},
}
_NEIGHBOURS = {
    "icmpv6.nd.ns.target_address": "icmpv6.nd.target",
    "icmpv6.nd.na.target_address": "icmpv6.nd.source",
    "icmpv6.nd.rd.target_address": "icmpv6.nd.source",
    "icmpv6.rd.na.destination_address": "icmpv6.nd.target",
}
_REDIRECT = 137


def scanned_differently(frames: Sequence[Frame]) -> tuple[int, list[str]]:
    """How many values were compared, and every one that differs or that only the scan has."""
    columns = Columns(np.array([row for _, row, _ in frames]))
    compared, wrong = 0, []
    for name in SHARED:
        for number in range(1, layout.LEVELS + 1):
            key = f"{name}#{number}"
            rows = np.flatnonzero(columns.present(key)).tolist()
            texts = columns.text(key) if rows else []
            for i in rows:
                where, row, ours = frames[i]
                field = ours.get(key)
                compared += 1
                if field is None:
                    if not _says_more(name, row):
                        wrong.append(f"{where} {key}: only the scan has it")
                elif _text(field.value) != texts[i] and not (name == "sll.pkttype" and int(field.value) > 255):
                    wrong.append(f"{where} {key}: dissected {field.value}, scanned {texts[i]}")
    for one, frame in enumerate(frames):
        wrong += [f"{frame[0]} {text}" for text in _rest(columns, one, frame)]
    return compared, wrong


def _says_more(name: str, row: Any) -> bool:
    """Columns that say a little more: the sender of a cooked frame, the length of a segment with a broken header."""
    cooked = name == "eth.src" and row["linktype"] in _COOKED
    return bool(cooked or (name == "tcp.len" and row["defect_layer"] == layout.LAYER_TCP))


def _rest(columns: Columns, i: int, frame: Frame) -> Iterator[str]:
    """What has other names here and there: the defect, quoted packets, neighbours."""
    _, row, ours = frame
    if row["defect"] not in (layout.DEFECT_NONE, layout.DEFECT_TOO_DEEP) and ours.defect is None:
        yield f"only the scan has a defect: {row['defect']} of layer {row['defect_layer']}"
    quoted = [layer for layer in ours.layers if layer.quoted and layer.name in _QUOTED]
    redirect = row["icmp_type"] == _REDIRECT
    for prefix, record, layer in zip(("q_", "qi_"), (layout.HAS_QUOTE, layout.HAS_QUOTE_INNER), quoted, strict=False):
        if row["has"] & record and not redirect:
            yield from _quoted(row, prefix, layer)
    if row["has"] & layout.HAS_QUOTE and not quoted:
        yield "only the scan has a quoted packet"
    for name, column in _NEIGHBOURS.items():
        field = ours.get(name)
        if field is not None and row["has"] & layout.HAS_RES and ours.layer("icmpv6") is not None:
            ((there,), (text,)) = ([columns.present(column)[i]], [_address(row, column)])
            if there and text != _text(field.value):
                yield f"{name}: dissected {field.value}, scanned {text}"


def _quoted(row: Any, prefix: str, layer: Layer) -> Iterator[str]:
    for part, name in _QUOTED[layer.name].items():
        field = layer.get(name)
        if field is None:
            continue
        scanned = _ip(row, prefix + part) if part in ("src", "dst") else str(row[prefix + part])
        if scanned != _text(field.value):
            yield f"quoted {name}: dissected {field.value}, scanned {scanned}"


def _address(row: Any, column: str) -> str:
    return _ip(row, FIELDS[column].record)


def _ip(row: Any, record: str) -> str:
    return _text(str(ipaddress.IPv6Address(int(row[f"{record}_hi"]) << 64 | int(row[f"{record}_lo"]))))


def _text(value: object) -> str:
    """A value as columns write it: they hold IPv4-mapped IPv6 addresses as IPv4 ones."""
    if isinstance(value, int):
        return str(value)
    try:
        address = ipaddress.ip_address(str(value))
    except ValueError:
        return str(value)
    return str(getattr(address, "ipv4_mapped", None) or address)
