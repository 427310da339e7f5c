"""What another decoder tells of a frame, in a shape that can be laid beside ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from dsrkit.wire.dissect.frame import NAMES
from dsrkit.wire.dissect.tree import Dissection, Scalar

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
class Seen:
    """A field as somebody reads it: where it lies in the frame, or for `start` and `stop` the number of its layer.

    `layer` are the ends of the header that it belongs to, for those that stand in no octets of their own.
    """

    name: str
    value: Scalar
    start: int
    stop: int
    layer: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """What an oracle says of one frame: fields in order, and the layers that it read."""

    fields: list[Seen]
    layers: tuple[str, ...] = ()


class Oracle(Protocol):
    """A decoder other than ours.

    `by_offset` says whether its fields have offsets in the frame (else numbers of layers).
    """

    name: str
    version: str
    by_offset: bool

    def tell(self, frames: Iterable[Frame]) -> Iterator[Told]:
        """What it says of each frame, in order."""


def ours(d: Dissection, *, by_offset: bool) -> list[Seen]:
    """Our own reading. Quoted packets have no layer number, so only offsets tell them apart."""
    found: list[Seen] = []
    for layer in d.layers:
        if layer.quoted and not by_offset:
            continue
        for f in layer.fields:
            start, stop = (f.start, f.stop) if by_offset else (layer.number, layer.number)
            found.append(Seen(f.name, f.value, start, stop, (layer.start, layer.stop)))
    return found


def paired(mine: Iterable[Seen], theirs: Iterable[Seen]) -> Iterator[tuple[Seen | None, Seen | None]]:
    """The same fields side by side, None where only one reads it.

    Decoders differ on which octets a field of some bits stands in, and where one that they compute does: first come
    fields that begin at the same octet, then those that overlap, then those without octets within the same header.
    """
    by_name: dict[str, list[Seen]] = defaultdict(list)
    for one in mine:
        by_name[one.name].append(one)
    asked: dict[str, list[Seen]] = defaultdict(list)
    for one in theirs:
        asked[one.name].append(one)
    for name, wanted in asked.items():
        left = by_name.pop(name, [])
        for alike in (_same_start, _overlap, _same_header):
            still = []
            for their in wanted:
                found = next((i for i, one in enumerate(left) if alike(one, their)), None)
                if found is None:
                    still.append(their)
                else:
                    yield left.pop(found), their
            wanted = still
        yield from ((None, one) for one in wanted)
        yield from ((one, None) for one in left)
    yield from ((one, None) for rest in by_name.values() for one in rest)


def _same_start(mine: Seen, their: Seen) -> bool:
    return mine.start == their.start


def _overlap(mine: Seen, their: Seen) -> bool:
    return mine.start < their.stop and their.start < mine.stop


def _same_header(mine: Seen, their: Seen) -> bool:
    return mine.start == mine.stop and mine.layer[0] <= their.start <= mine.layer[1]


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
