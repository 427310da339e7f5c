"""A comparison frame by frame, as a failing test shows it: which packet, and its fields that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from dsrkit.model.comparison import Comparison, Unpaired
from dsrkit.report.escape import escape

_FRAMES_SHOWN: Final = 10


def by_frame(c: Comparison, numbers: tuple[Callable[[int], int], Callable[[int], int]] = (int, int)) -> Iterator[str]:
    """The lines of what differs between what should be, A, and what was seen, B; `numbers` make frame numbers those
    that are to be shown."""
    frames: dict[tuple[int, int], list[str]] = {}
    context: dict[tuple[int, int], str] = {}
    for found in c.unexpected:
        for example in found.examples:
            at = (example.a, example.b)
            context[at] = example.context
            frames.setdefault(at, []).append(f"    {_values(found.field, *example.values)}")
    order = sorted(frames)
    for a, b in order[:_FRAMES_SHOWN]:
        mine, theirs = numbers[0](a), numbers[1](b)
        other = f" (seen as frame {theirs})" if theirs != mine else ""
        yield f"frame {mine}{other}: {escape(context[a, b])}"
        yield from frames[a, b]
    shown = set(order[:_FRAMES_SHOWN])
    for found in c.unexpected:
        more = found.pairs - sum((e.a, e.b) in shown for e in found.examples)
        if more:
            yield f"… {found.field} differs in {_frames(more)} more"
    yield from _lone("missing", c.only_a, numbers[0])
    yield from _lone("too many", c.only_b, numbers[1])


def _values(field: str, expected: str, seen: str) -> str:
    if field.startswith(("-", "+")):  # a whole header, put into words
        return f"{field}: {'missing' if field[0] == '-' else 'too many'}: {escape(expected or seen)}"
    return f"{field}: {escape(expected) or 'absent'} → {escape(seen) or 'absent'}"


def _lone(title: str, unpaired: Unpaired, number: Callable[[int], int]) -> Iterator[str]:
    if not unpaired.packets:
        return
    yield f"{title}: {_frames(unpaired.packets)}"
    for at, text in unpaired.first:
        yield f"    {number(at)}: {escape(text)}"
    if unpaired.packets > len(unpaired.first):
        yield f"    … and {unpaired.packets - len(unpaired.first)} more"


def _frames(count: int) -> str:
    return f"{count} frame{'s' if count != 1 else ''}"
