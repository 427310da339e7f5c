"""Rows of wide structured arrays, moved as octets: numpy moves them field by field, which takes thirty times longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]


def taken(rows: Rows, which: Any) -> Rows:
    """The rows of an index array, a mask or a slice. Shape: as ``rows[which]``."""
    if isinstance(which, slice):
        return rows[which]
    return np.asarray(_blocks(rows)[which].view(rows.dtype))


def copied(rows: Rows) -> Rows:
    """Rows of their own."""
    return np.asarray(_blocks(rows).copy().view(rows.dtype))


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows of one or more arrays of one type."""
    return np.asarray(np.concatenate([_blocks(rows) for rows in parts]).view(parts[0].dtype))


def octets(array: npt.NDArray[Any]) -> memoryview:
    """The memory of an array without gaps, as octets, for compiled code."""
    return memoryview(cast(Any, array.view(np.uint8)))


def _blocks(rows: Rows) -> Rows:
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))
