"""What facts are made of: how often something was seen, and equal rows of columns."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.frames import Frames, mix
from dsrkit.verify.verdicts import MOST_FRAMES, Frame


@dataclass(slots=True)
class Seen:
    """How often something was seen, and the first frames."""

    count: int = 0
    frames: list[Frame] = field(default_factory=list)

    def add(self, f: Frames, rows: Any) -> None:
        self.count += f.count(np.asarray(rows, np.int64))
        self.frames += [f.ref(int(r)) for r in rows[: max(0, MOST_FRAMES - len(self.frames))]]


def grouped(*columns: Any) -> list[tuple[Any, Any]]:
    """Equal rows of some columns: (their values, the positions where they stand)."""
    if not len(columns[0]):
        return []
    _, first, inverse = np.unique(mix(*columns), return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(first) + 1))
    values = zip(*(np.asarray(c)[first].tolist() for c in columns), strict=True)
    return [(tuple(map(int, v)), order[starts[i] : starts[i + 1]]) for i, v in enumerate(values)]
