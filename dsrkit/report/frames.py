"""One frame after the other, as people read it: a line above, its headers, its octets; and all of it as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any

from dsrkit.classes import dataclass
from dsrkit.report import hexdump, tree
from dsrkit.report.escape import escape
from dsrkit.report.paint import Paint
from dsrkit.report.tree import Layer


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame and what is said of it; texts are unescaped."""

    number: int
    time: str
    wirelen: int
    octets: bytes
    interface: str = ""
    node: str = ""
    role: str = ""
    summary: str = ""
    defect: str = ""
    comments: Sequence[str] = ()
    layers: Sequence[Layer] = field(default_factory=list)
    padding: int | None = None
    """The first octet that no header claims."""


def lines(frame: Frame, paint: Paint, *, headers: bool, octets: bool) -> Iterator[str]:
    """The frame as text, escaped."""
    size = f"{frame.wirelen} octets"
    if len(frame.octets) != frame.wirelen:
        size += f" ({len(frame.octets)} captured)"
    facts = [frame.time, size, *([f"at {frame.interface}"] if frame.interface else [])]
    if frame.node:
        facts.append(f"from {frame.node}")
    yield f"{paint(f'Frame {frame.number}', 'bold')}  {escape(', '.join(facts))}"
    if frame.summary:
        yield f"  {escape(frame.summary)}"
    if frame.role:
        yield f"  {paint(escape(frame.role), 'cyan')}"
    for comment in frame.comments:
        yield f"  comment: {escape(comment)}"
    if headers:
        yield from tree.lines(frame.layers, paint)
    if octets:
        yield from hexdump.lines(frame.octets, frame.layers, paint, padding=frame.padding)


def to_dict(frame: Frame, *, headers: bool, octets: bool) -> dict[str, Any]:
    """The frame for JSON: always the same keys, `layers` and `octets` where they are asked for."""
    result: dict[str, Any] = {
        "frame": frame.number,
        "time": frame.time.replace(" ", "T") + "Z",
        "length": frame.wirelen,
        "captured": len(frame.octets),
        "interface": frame.interface,
        "node": frame.node,
        "summary": frame.summary,
        "role": frame.role,
        "defect": frame.defect,
        "comments": list(frame.comments),
    }
    if headers:
        result["layers"] = [tree.to_dict(layer) for layer in frame.layers]
    if octets:
        result["octets"] = frame.octets.hex()
    return result
