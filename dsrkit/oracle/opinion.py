"""`second_opinion`: every frame decoded twice, and each field in which both readings differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.oracle.known import why
from dsrkit.oracle.told import Frame, Oracle, Place, Told, ours
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Dissection, Scalar
from dsrkit.wire.scanner import GUE_PORTS

ORACLES: Final = ("tshark", "dpkt")
_MOST_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One field of one frame: our value and the oracle's, as text (empty where one does not see the field).

    `why` explains a disagreement that is known and where ours is right.
    """

    frame: int
    field: str
    ours: str
    theirs: str
    why: str = ""


@dataclass(slots=True)
class Opinion:
    """What came out. `listed` holds the first thousand disagreements, `by_field` counts all by field, those that are
    explained apart."""

    oracle: str
    version: str
    frames: int = 0
    fields: int = 0
    unread: int = 0
    listed: list[Disagreement] = field(default_factory=list)
    by_field: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        """0 where all agree or the difference is explained, 1 where not, 2 where nothing was compared."""
        if not self.fields:
            return 2
        return 1 if self.by_field else 0


def oracle_of(name: str) -> Oracle:
    """An oracle by its name.

    Raises: MissingDependency where it is not installed; UsageError for an unknown one.
    """
    if name == "tshark":
        from dsrkit.oracle.tshark import Tshark

        return Tshark()
    if name == "dpkt":
        from dsrkit.oracle.with_dpkt import Dpkt

        return Dpkt()
    raise UsageError(f"unknown oracle {name!r}; one of: {', '.join(ORACLES)}")


def second_opinion(frames: Iterable[Frame], oracle: Oracle, *, gue_ports: frozenset[int] = GUE_PORTS) -> Opinion:
    """Decode frames twice and compare every field that both name.

    Raises: DsrkitError where the oracle cannot be run.
    """
    found = Opinion(oracle.name, oracle.version)
    mine, theirs = tee(frames)
    for frame, told in zip(mine, oracle.tell(theirs), strict=True):
        found.frames += 1
        d = dissect(frame.octets, frame.linktype, wirelen=frame.wirelen, gue_ports=gue_ports)
        if not told.layers:
            found.unread += 1
            continue
        for one in _disagreements(found, frame, d, told, oracle):
            (found.explained if one.why else found.by_field)[one.field] += 1
            if len(found.listed) < _MOST_LISTED:
                found.listed.append(one)
    return found


def _disagreements(found: Opinion, frame: Frame, d: Dissection, told: Told, oracle: Oracle) -> Iterator[Disagreement]:
    mine = ours(d, by_offset=oracle.by_offset)
    for place, theirs in told.fields.items():
        name = place[0]
        if place not in mine:
            reason = why(oracle.name, name, None, theirs, d)
            if reason is not None:
                yield Disagreement(frame.number, _named(place, oracle), "", str(theirs), reason)
            continue
        found.fields += 1
        value = mine[place]
        if not _same(value, theirs):
            yield Disagreement(
                frame.number,
                _named(place, oracle),
                _shown(value),
                _shown(theirs),
                why(oracle.name, name, value, theirs, d) or "",
            )


def _named(place: Place, oracle: Oracle) -> str:
    name, number = place
    if oracle.by_offset:
        return name
    return name if number == 1 else f"{name}#{number}"


def _same(a: Scalar, b: Scalar) -> bool:
    return a.lower() == b.lower() if isinstance(a, str) and isinstance(b, str) else a == b


def _shown(value: Scalar) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
