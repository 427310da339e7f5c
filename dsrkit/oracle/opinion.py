"""`second_opinion`: every frame decoded twice, and each field that both read differently, or we not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee

from dsrkit.errors import UsageError
from dsrkit.model.opinion import Disagreement, Opinion
from dsrkit.oracle import ORACLES
from dsrkit.oracle.known import Case, why
from dsrkit.oracle.told import Frame, Oracle, Seen, Told, ours, paired
from dsrkit.wire.dissect.frame import LINKTYPES, dissect
from dsrkit.wire.dissect.tree import Dissection, Scalar
from dsrkit.wire.dissect.walk import SUM_WORDS
from dsrkit.wire.scanner import GUE_PORTS

_STATE = ".checksum.state"


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
        if not told.layers or frame.linktype not in LINKTYPES:
            found.unread += 1
            continue
        for one in _disagreements(found, frame, d, told, oracle):
            found.add(one)
    return found


def _disagreements(found: Opinion, frame: Frame, d: Dissection, told: Told, oracle: Oracle) -> Iterator[Disagreement]:
    for mine, theirs in paired(ours(d, by_offset=oracle.by_offset), told.fields):
        if theirs is None:
            assert mine is not None
            found.alone[mine.name] += 1
            continue
        value = mine.value if mine else None
        if value is not None:
            found.fields += 1
            if _same(value, theirs.value):
                continue
        yield Disagreement(
            frame.number,
            _named(theirs, oracle),
            _shown(theirs.name, value),
            _shown(theirs.name, theirs.value),
            why(Case(oracle.name, theirs.name, value, theirs.value, d, told.layers)),
        )


def _named(seen: Seen, oracle: Oracle) -> str:
    """Its name, with the number of the layer where that is known."""
    return seen.name if oracle.by_offset or seen.start == 1 else f"{seen.name}#{seen.start}"


def _same(a: Scalar, b: Scalar) -> bool:
    return _plain(a) == _plain(b) if isinstance(a, str) and isinstance(b, str) else a == b


def _plain(text: str) -> str:
    """Text without what its notation adds: tshark writes controls as octal escapes, and names in either case."""
    return "".join(one if one.isprintable() else f"\\{ord(one):03o}" for one in text).lower()


def _shown(name: str, value: Scalar | None) -> str:
    if value is None:
        return ""
    if name.endswith(_STATE) and isinstance(value, int):
        return SUM_WORDS.get(value) or "none"
    return value.hex() if isinstance(value, bytes) else str(value)
