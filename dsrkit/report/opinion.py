"""A second opinion as text: what was compared, what differs, and why, where that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from dsrkit.model.opinion import Disagreement, Opinion
from dsrkit.report.escape import escape
from dsrkit.report.paint import Paint
from dsrkit.report.rows import as_table

_ALONE: Final = 8


def texts(o: Opinion, paint: Paint) -> Iterator[str]:
    """The opinion for a reader; all text of the oracle and of packets is escaped."""
    who = f"{o.oracle} {escape(o.version)}"
    yield f"{who}: {_count(o.frames - o.unread, 'frame')}, {_count(o.fields, 'value')} compared\n"
    if o.unread:
        yield f"{_count(o.unread, 'frame')} not compared: not read by both\n"
    if o.alone:
        most = ", ".join(name for name, _ in o.alone.most_common(_ALONE))
        more = f" and {len(o.alone) - _ALONE} more" if len(o.alone) > _ALONE else ""
        yield f"{_count(o.alone.total(), 'value')} read by dsrkit alone: {most}{more}\n"
    for title, kept, count in (
        ("disagreements", o.listed, o.by_field.total()),
        ("explained disagreements", o.listed_explained, o.explained.total()),
    ):
        if count:
            yield f"\n{paint(title, 'bold')}\n"
            yield from _listed(o, kept, paint)
            if count > len(kept):
                yield f"… and {count - len(kept)} more\n"
    if o.by_field:
        yield "\n" + "".join(f"{escape(name)}: {n}\n" for name, n in o.by_field.most_common())
    yield f"\n{_verdict(o)}\n"


def _listed(o: Opinion, kept: Sequence[Disagreement], paint: Paint) -> Iterator[str]:
    """A row for each; those that are not explained need no column for why."""
    names = ["frame", "field", "dsrkit", o.oracle]
    columns = [
        [str(one.frame) for one in kept],
        [one.field for one in kept],
        [one.ours or "–" for one in kept],
        [one.theirs for one in kept],
    ]
    if any(one.why for one in kept):
        names.append("why")
        columns.append([one.why for one in kept])
    yield from as_table(names, [True, *([False] * (len(names) - 1))], [columns], paint)


def _verdict(o: Opinion) -> str:
    if o.exit_code == 2:
        return "NOTHING COMPARED: no frame that both read"
    if o.by_field:
        fields = len(o.by_field)
        return f"DISAGREE: {_count(o.by_field.total(), 'value')} of {_count(fields, 'field')}"
    return "AGREE: what differs is explained" if o.explained else "AGREE: nothing differs"


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"
