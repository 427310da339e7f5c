"""Two dissections side by side: which headers are only in one, and which fields of the others differ.

Link headers are matched from the outside, everything behind them from the innermost outwards, so that a header that a
load balancer puts around a packet is one difference and not one in every field.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Final, TypeAlias

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError
from dsrkit.model.names import did_you_mean
from dsrkit.wire.dissect.frame import LAYERS, NAMES
from dsrkit.wire.dissect.tree import Dissection, Field, Layer

LINK: Final = frozenset({"eth", "vlan", "ieee8021ad", "llc", "sll", "sll2", "null", "raw"})
NETWORK: Final = frozenset({"ip", "ipv6"})
_FILE: Final = frozenset({"frame"})
_OCTETS_SHOWN: Final = 8

_OF_OTHERS: Final = (".checksum_calculated", ".checksum.state")
_RIGHT: Final = frozenset({"good", "partial", "zero", "unverifiable"})
_AS_IT_SHOULD: Final = "right"
INNER: Final = "inner"
OUTER: Final = "outer"
QUOTED: Final = "quoted"
HEADER: Final = "header"

PARTS: Final = frozenset({"ip.dsfield", "ip.flags", "tcp.flags", "ipv6.tclass"})
"""Fields of which every bit is a field of its own."""
OF_THE_TAP: Final = frozenset({"sll.pkttype", "sll.ifindex", "sll.hatype", "sll.halen", "sll.unused"})
"""What a cooked capture says of the place that it was taken at."""


Aligned: TypeAlias = tuple[list[tuple[Layer, Layer]], list[Layer], list[Layer]]
"""Layers that belong together, those of the first frame only, those of the second only."""


@dataclass(frozen=True, slots=True)
class Differing:
    """One field of a pair: its name with layer number, both values as text (empty where absent).

    `place` says whose field it is: the innermost packet's, a header's around it, a quoted packet's, or a whole header.
    """

    name: str
    a: str
    b: str
    place: str = INNER


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which fields count, by name without layer number, with ``*``: all, only some, or all but some.

    A name stands for all that begins with it and a dot: ``tcp.flags`` for every flag. ``outer.`` before a name means
    the headers around the innermost packet alone.

    Raises: UsageError for a name that no field has: what is compared by it is nothing.
    """

    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, patterns in (("ignore", self.ignore), ("only", self.only)):
            for pattern in patterns:
                _check_name(option, pattern)

    def __call__(self, one: Differing) -> bool:
        return self._counts(one.name.removeprefix("quoted ").partition("#")[0], one.place)

    def meets(self, d: Dissection) -> bool:
        """Whether a frame has anything that counts."""
        layers = _headers(d)
        innermost = max((i for i, one in enumerate(layers) if one.name in NETWORK and not one.quoted), default=0)
        for i, layer in enumerate(layers):
            place = OUTER if i < innermost and layer.name not in LINK else INNER
            if any(self._counts(name, place) for name in (layer.name, *(f.name for f in layer.fields))):
                return True
        return d.payload is not None and self._counts("payload", INNER)

    def _counts(self, base: str, place: str) -> bool:
        names = [base, base.lstrip("+-"), *([f"outer.{base}"] if place == OUTER else [])]
        if self.only and not any(_means(pattern, name) for name in names for pattern in self.only):
            return False
        return not any(_means(pattern, name) for name in names for pattern in self.ignore)


def _means(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _check_name(option: str, pattern: object) -> None:
    """Refuse what names no field that is ever compared."""
    if not isinstance(pattern, str):
        raise UsageError(f"{option}: {pattern!r} is no name of a field")
    if "#" in pattern:
        raise UsageError(f"{option}: {pattern!r}: names go without a layer number here; outer. means headers around it")
    known = _compared_names()
    bare = pattern.removeprefix("outer.").lstrip("+-")
    if not any(_means(bare, name) for name in known):
        hint = did_you_mean(bare, known, cutoff=0.6).rstrip()
        raise UsageError(f"{option}: {pattern!r} is no field that is compared{hint and f' ({hint})'}")


@cache
def _compared_names() -> frozenset[str]:
    """What a difference may be called, without what is told in other words, or not at all."""
    fields = {name for name in NAMES if not name.endswith(_OF_OTHERS)} - PARTS - OF_THE_TAP
    return frozenset({name for name in fields if name.partition(".")[0] not in _FILE} | LAYERS | LINK | {"payload"})


def deviating(expected: Dissection, got: Dissection) -> list[Differing]:
    """What is wrong with a frame that should have been another one, told as shortly as it can be.

    A header that is missing or too much shows when headers are matched from the inside, a wrong length or protocol
    number, behind which nothing is what it was, when they are matched from the outside.
    """
    whole = _headers(expected), _headers(got)
    from_outside, from_inside = _matched(*whole, in_step=True), _aligned(*whole)
    told = list(_differing(expected, got, from_outside, exact=True))
    shorter = list(_differing(expected, got, from_inside, exact=True))
    _, less, more = from_inside
    if len(shorter) < len(told) and not (less and more):
        return shorter
    unread = (list(_unread(expected, got, layer)) for layer in from_outside[1])
    return [*next(filter(None, unread), ()), *told]


def _unread(expected: Dissection, got: Dissection, layer: Layer) -> Iterator[Differing]:
    """What made a header unreadable: those of its fields that differ, as they stand in its place."""
    for field in layer.fields:
        if field.name in PARTS or field.name.endswith(_OF_OTHERS) or field.stop > len(got.octets):
            continue
        every = (1 << 8 * (field.stop - field.start)) - 1
        one, other = (
            int.from_bytes(d.octets[field.start : field.stop], "big") & (field.mask or every) for d in (expected, got)
        )
        if one != other:
            low = (field.mask & -field.mask or 1).bit_length() - 1
            yield Differing(_labelled(field.name, layer, layer), f"{one >> low:#x}", f"{other >> low:#x}")


def differing(a: Dissection, b: Dissection) -> Iterator[Differing]:
    """Every difference between two frames, headers first, in the order of the wire."""
    return _differing(a, b, _aligned(_headers(a), _headers(b)))


def _differing(a: Dissection, b: Dissection, aligned: Aligned, *, exact: bool = False) -> Iterator[Differing]:
    pairs, less, more = aligned
    if a.linktype != b.linktype:  # how frames were captured, not what they are
        less, more = ([layer for layer in layers if layer.name not in LINK] for layers in (less, more))
    for layer in less:
        yield Differing(f"-{layer.name}", _header(layer), "", HEADER)
    for layer in more:
        yield Differing(f"+{layer.name}", "", _header(layer), HEADER)
    whole = all(len(d.octets) >= d.wirelen for d in (a, b))
    innermost = max((i for i, (one, _) in enumerate(pairs) if one.name in NETWORK and not one.quoted), default=0)
    for i, (one, other) in enumerate(pairs):
        around = i < innermost and one.name not in LINK
        yield from _of_layers(one, other, QUOTED if one.quoted else OUTER if around else INNER, exact, whole)
    yield from _payload(a, b)


def _headers(d: Dissection) -> list[Layer]:
    return [layer for layer in d.layers if layer.name not in _FILE]


def _aligned(a: list[Layer], b: list[Layer]) -> Aligned:
    """Layers that belong together, and those that only one side has."""
    (link_a, rest_a), (link_b, rest_b) = _split(a), _split(b)
    pairs, less, more = _matched(link_a, link_b)
    behind, less_in, more_in = _matched(rest_a[::-1], rest_b[::-1])
    return [*pairs, *behind[::-1]], [*less, *less_in[::-1]], [*more, *more_in[::-1]]


def _split(layers: list[Layer]) -> tuple[list[Layer], list[Layer]]:
    at = next((i for i, layer in enumerate(layers) if layer.name not in LINK), len(layers))
    return layers[:at], layers[at:]


def _matched(a: list[Layer], b: list[Layer], *, in_step: bool = False) -> Aligned:
    """Layers of the same name in order, as far as both go; what is between is on one side only.

    `in_step`: behind the first that differs, none belongs to another.
    """
    pairs, less, more = [], [], []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i].name == b[j].name and a[i].quoted == b[j].quoted:
            pairs.append((a[i], b[j]))
            i, j = i + 1, j + 1
        elif in_step:
            break
        elif a[i].name in [one.name for one in b[j:]]:
            more.append(b[j])
            j += 1
        else:
            less.append(a[i])
            i += 1
    return pairs, [*less, *a[i:]], [*more, *b[j:]]


def headline(d: Dissection) -> str:
    """A frame in one line: its headers from the outside."""
    return ", ".join(_header(layer) for layer in _headers(d))


def _header(layer: Layer) -> str:
    """A header in a few words."""
    ends = [layer.get(f"{layer.name}.{side}") for side in ("src", "dst", "srcport", "dstport")]
    return f"{layer.name} " + " → ".join(f.shown for f in ends if f is not None) if any(ends) else layer.name


def _of_layers(a: Layer, b: Layer, place: str, exact: bool, whole: bool) -> Iterator[Differing]:
    """The fields of two like headers; one that is met several times (TCP options) counts by its turn."""
    theirs: dict[tuple[str, int], Field] = dict(_numbered(b))
    mine = dict(_numbered(a))
    for key in [*mine, *(key for key in theirs if key not in mine)]:
        name = key[0]
        one, other = mine.get(key), theirs.get(key)
        if name in PARTS or name in OF_THE_TAP or name.endswith(_OF_OTHERS) or _alike(one, other, exact, whole):
            continue
        yield Differing(_labelled(name, a, b), _shown(one), _shown(other), place)


def _numbered(layer: Layer) -> Iterator[tuple[tuple[str, int], Field]]:
    met: dict[str, int] = {}
    for f in layer.fields:
        met[f.name] = met.get(f.name, 0) + 1
        yield (f.name, met[f.name]), f


def _alike(a: Field | None, b: Field | None, exact: bool, whole: bool) -> bool:
    if a is None or b is None:
        return False
    if (
        whole and a.remark == b.remark == "unverifiable"
    ):  # a fragment's: that it changed can be told, not if it is right
        return a.value == b.value
    if a.remark or b.remark:  # a sum follows from what it covers: only whether it is right counts
        known = _worth(a) == _AS_IT_SHOULD and "unverifiable" not in (a.remark, b.remark)
        return _worth(a) == _worth(b) and (known or not exact or a.value == b.value)
    return a.value == b.value


def _worth(f: Field) -> str:
    """What a checksum is worth: one that is left to the network card, or cut, counts as right."""
    word = f.remark.partition(",")[0]
    return _AS_IT_SHOULD if word in _RIGHT else word


def _shown(f: Field | None) -> str:
    if f is None:
        return ""
    return f.remark if f.remark else f.shown


def _labelled(name: str, a: Layer, b: Layer) -> str:
    quoted = "quoted " if a.quoted else ""
    if a.number == b.number == 1:
        return quoted + name
    if a.number == b.number:
        return f"{quoted}{name}#{a.number}"
    return f"{quoted}{name}#{max(a.number, b.number)}"


def _payload(a: Dissection, b: Dissection) -> Iterator[Differing]:
    """The innermost payload, as far as both frames were captured."""
    if a.payload is None or b.payload is None:
        return
    one, other = a.octets[slice(*a.payload)], b.octets[slice(*b.payload)]
    if len(a.octets) < a.wirelen or len(b.octets) < b.wirelen:  # cut by the snap length: what both have is compared
        shared = min(len(one), len(other))
        one, other = one[:shared], other[:shared]
    if one == other:
        return
    at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other)))
    yield Differing("payload", _cut_out(one, at), _cut_out(other, at))


def _cut_out(octets: bytes, at: int) -> str:
    shown = octets[at : at + _OCTETS_SHOWN].hex(" ")
    return f"{len(octets)} octets, from {at}: {shown}" if shown else f"{len(octets)} octets"
