"""What another decoder tells of a frame, in a shape that can be laid beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from dsrkit.wire.dissect.frame import NAMES
from dsrkit.wire.dissect.tree import Dissection, Scalar

Place: TypeAlias = tuple[str, int]
"""What makes a field one: its name and where it begins in the frame, or its name and the number of its layer."""

_TRUTH: Final = {"true": 1, "false": 0}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame to be decoded: its number in the capture, link type, octets and length on the wire."""

    number: int
    linktype: int
    octets: bytes
    wirelen: int
    ts_ns: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What an oracle says of one frame: fields by their place, and the layers that it read, in order."""

    fields: dict[Place, Scalar]
    layers: tuple[str, ...] = ()


class Oracle(Protocol):
    """A decoder other than ours.

    `by_offset` says whether its fields' places are offsets in the frame (else numbers of layers).
    """

    name: str
    version: str
    by_offset: bool

    def tell(self, frames: Iterable[Frame]) -> Iterator[Told]:
        """What it says of each frame, in order."""


def ours(d: Dissection, *, by_offset: bool) -> dict[Place, Scalar]:
    """Our own reading by place. Quoted packets have no layer number, so only offsets tell them apart."""
    found: dict[Place, Scalar] = {}
    for layer in d.layers:
        if layer.quoted and not by_offset:
            continue
        for f in layer.fields:
            found.setdefault((f.name, f.start if by_offset else layer.number), f.value)
    return found


def as_scalar(name: str, shown: str) -> Scalar | None:
    """A value that another program shows as text, as ours are; None for what is no such value."""
    kind = NAMES[name].kind
    if kind == "int":
        text = shown.strip().lower()
        try:
            return _TRUTH[text] if text in _TRUTH else int(text, 0)
        except ValueError:
            return None
    if kind == "bytes":
        try:
            return bytes.fromhex(shown.replace(":", ""))
        except ValueError:
            return None
    return shown.lower() if kind in ("mac", "ip") else shown
