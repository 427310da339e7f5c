"""Frames damaged one field at a time."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.compare.fields import PARTS
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Field

DERIVED = (".checksum_calculated", ".checksum.state")


def fields_of(frame: bytes) -> Iterator[tuple[str, Field]]:
    """Every field that stands in a header of its own, with its name as a judgement has it."""
    packet = dissect(frame, 1)
    for layer in packet.layers:
        for field in layer.fields:
            if field.stop > field.start and field.name not in PARTS and not field.name.endswith(DERIVED):
                number = f"#{layer.number}" if layer.number > 1 else ""
                yield f"{'quoted ' if layer.quoted else ''}{field.name}{number}", field


def damaged(frame: bytes, field: Field) -> bytes:
    """The frame with the lowest bit of a field turned over."""
    bit = (field.mask & -field.mask) or 1
    width = field.stop - field.start
    number = int.from_bytes(frame[field.start : field.stop], "big") ^ bit
    return frame[: field.start] + number.to_bytes(width, "big") + frame[field.stop :]
