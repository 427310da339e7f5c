"""Rows moved as octets are the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dsrkit.wire.layout import RECORD
from dsrkit.wire.rows import copied, joined, taken

ROWS = np.frombuffer(np.random.default_rng(9).bytes(RECORD.itemsize * 7), RECORD)
SELECTIONS: list[Any] = [slice(2, 5), slice(0, 0), np.asarray([3, 3, 0]), np.arange(7) % 2 > 0, ~np.zeros(7, bool)]


@pytest.mark.parametrize("which", SELECTIONS, ids=str)
def test_taken(which: Any) -> None:
    rows = taken(ROWS, which)
    assert rows.dtype == RECORD
    assert rows.tobytes() == ROWS[which].tobytes()


@pytest.mark.parametrize("step", [1, 2, -1])
def test_copied(step: int) -> None:
    """Rows that do not lie side by side, too."""
    rows = copied(ROWS[::step])
    assert rows.dtype == RECORD
    assert rows.tobytes() == ROWS[::step].tobytes()
    assert not np.shares_memory(rows, ROWS)


def test_joined() -> None:
    rows = joined([ROWS[:3], ROWS[4:4], ROWS[3:]])
    assert rows.dtype == RECORD
    assert rows.tobytes() == ROWS.tobytes()
