"""A comparison as text: what differs, how often, in which frames, and what the mode is meant to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.model.comparison import Comparison, Difference, Unpaired
from dsrkit.report.escape import escape

_HOW: Final = {
    "path": "the same packets at two places of their path",
    "copy": "the same packets at one place",
    "rerun": "like packets of two runs, by their turn in like conversations",
}
_SHOWN: Final = 3


def render(c: Comparison, *, allowed: bool = False) -> str:
    """The comparison for a reader; `allowed` also shows what the path or the mode is meant to change."""
    return "\n".join([*_lines(c, allowed=allowed), ""])


def _lines(c: Comparison, *, allowed: bool) -> Iterator[str]:
    yield f"A {escape(c.a)}: {c.packets[0]} packets"
    yield f"B {escape(c.b)}: {c.packets[1]} packets"
    mode = f", mode {c.mode}" if c.mode is not None and c.how == "path" else ""
    yield f"{_HOW[c.how]}{mode}: {c.pairs} pairs, {c.same} of them equal to the octet"
    for found in c.unexpected:
        yield ""
        yield from _difference(found)
    for side, unpaired in (("A", c.only_a), ("B", c.only_b)):
        if unpaired.packets:
            yield ""
            yield from _unpaired(side, unpaired)
    if c.allowed and allowed:
        yield ""
        yield "changed as it should be"
        for found in c.allowed:
            yield f"  {found.field}: {_values(found)}, {_pairs(found.pairs)} ({found.because})"
    elif c.allowed:
        yield ""
        names = list(dict.fromkeys(found.field for found in c.allowed))
        yield f"changed as it should be (--all shows how): {', '.join(names)}"
    if c.notes:
        yield ""
        yield from (f"note: {escape(note)}" for note in c.notes)
    yield ""
    yield _verdict(c)


def _difference(found: Difference) -> Iterator[str]:
    yield f"{found.field}: {_values(found)} in {_pairs(found.pairs)}"
    for example in found.examples[:_SHOWN]:
        values = f"{escape(example.values[0]) or 'absent'} → {escape(example.values[1]) or 'absent'}"
        yield f"  A {example.a} ↔ B {example.b}  {values}  {escape(example.context)}"
    if found.pairs > _SHOWN:
        yield f"  … and {found.pairs - _SHOWN} more"


def _values(found: Difference) -> str:
    """The commonest change, and how many others there are."""
    a, b, _ = found.values[0]
    others = len(found.values) - 1 + found.more
    more = f" and {others} other changes" if others > 1 else " and one other change" if others else ""
    return f"{escape(a) or 'absent'} → {escape(b) or 'absent'}{more}"


def _unpaired(side: str, unpaired: Unpaired) -> Iterator[str]:
    plural = "s" if unpaired.packets > 1 else ""
    yield f"only in {side}: {unpaired.packets} packet{plural}"
    for number, text in unpaired.first[:_SHOWN]:
        yield f"  {side} {number}  {escape(text)}"
    if unpaired.packets > _SHOWN:
        yield f"  … and {unpaired.packets - _SHOWN} more"


def _pairs(count: int) -> str:
    return f"{count} pair{'s' if count != 1 else ''}"


def _verdict(c: Comparison) -> str:
    if not c.pairs:
        return "NOTHING TO COMPARE: no packet of one capture has its like in the other"
    if c.equal:
        return "EQUAL: nothing differs but what should" if c.allowed else "EQUAL: nothing differs"
    fields = len({found.field for found in c.unexpected})
    words = [f"{fields} field{'s' if fields != 1 else ''} differ{'s' if fields == 1 else ''}"] if fields else []
    lone = c.only_a.packets + c.only_b.packets
    if lone:
        words.append(f"{lone} packet{'s' if lone != 1 else ''} on one side only")
    return "DIFFERENT: " + ", ".join(words)
