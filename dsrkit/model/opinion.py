"""What came out when another decoder read the same frames, as plain data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, Final

from dsrkit.classes import dataclass

SCHEMA: Final = "dsrkit.opinion/1"
MOST_LISTED: Final = 1000
"""Disagreements that are kept one by one."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One field of one frame: our value and the oracle's, as text (empty where one does not read the field).

    `why` explains a disagreement that is known and where ours is right.
    """

    frame: int
    field: str
    ours: str
    theirs: str
    why: str = ""


@dataclass(slots=True)
class Opinion:
    """How one oracle reads frames beside us.

    `fields` counts values that both read, `unread` frames that only one or neither can read, `alone` values that the
    oracle does not read, by field. `by_field` counts disagreements by field, `explained` those that are known;
    `listed` and `listed_explained` hold the first thousand of each.
    """

    oracle: str
    version: str
    frames: int = 0
    fields: int = 0
    unread: int = 0
    by_field: Counter[str] = dataclasses.field(default_factory=Counter)
    explained: Counter[str] = dataclasses.field(default_factory=Counter)
    alone: Counter[str] = dataclasses.field(default_factory=Counter)
    listed: list[Disagreement] = dataclasses.field(default_factory=list)
    listed_explained: list[Disagreement] = dataclasses.field(default_factory=list)

    def add(self, one: Disagreement) -> None:
        """Count a disagreement, and keep it while there are not too many."""
        counts, kept = (self.explained, self.listed_explained) if one.why else (self.by_field, self.listed)
        counts[one.field] += 1
        if len(kept) < MOST_LISTED:
            kept.append(one)

    @property
    def exit_code(self) -> int:
        """0 where all agree or the difference is explained, 1 where not, 2 where nothing was compared."""
        if self.by_field:
            return 1
        return 0 if self.fields else 2

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "schema": SCHEMA,
            "oracle": self.oracle,
            "version": self.version,
            "exit_code": self.exit_code,
            "frames": self.frames,
            "unread": self.unread,
            "fields": self.fields,
            "disagreeing": dict(self.by_field.most_common()),
            "explained": dict(self.explained.most_common()),
            "alone": dict(self.alone.most_common()),
            "disagreements": [dataclasses.asdict(one) for one in (*self.listed, *self.listed_explained)],
        }
