"""Sets of numbers, and their middle: what `numpy.unique` and `numpy.isin` give, and sorting less.

`numpy.unique` that gives nothing but the values also loads `numpy.ma`, which takes as long as all else that a small
capture asks of numpy. Asked for places or counts as well, it does not, and is used as it is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_FEW: Final = 4
"""So many comparisons of whole columns cost less than a search in a sorted list."""


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each value once, sorted."""
    ordered = np.sort(values, axis=None)
    return ordered[_new(ordered)]


def distinct_columns(table: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each column of a table once, sorted by the first row, then the next; which of them each was; how often it came.

    Shape: (rows, different), (columns,), (different,).
    """
    order = np.lexsort(table[::-1])
    ordered = table[:, order]
    new = np.zeros(table.shape[1], bool)
    for row in ordered:
        new |= _new(row)
    which = np.empty(table.shape[1], np.int64)
    which[order] = np.cumsum(new) - 1
    return ordered[:, new], which, np.diff(np.append(np.flatnonzero(new), len(new)))


def median(values: npt.ArrayLike) -> float:
    """The middle of some numbers, of which there must be one: `numpy.median` loads `numpy.ma` as well."""
    ordered = np.sort(np.asarray(values, np.float64), axis=None)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def among(values: npt.NDArray[Any], wanted: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each value is one of those wanted. Shape: as `values`."""
    few = np.asarray(wanted).reshape(-1)
    if len(few) <= _FEW:
        out = np.zeros(np.shape(values), bool)
        for one in few.tolist():
            out |= values == one
        return out
    ordered = np.sort(few)
    at = np.searchsorted(ordered, values)
    return np.asarray(np.take(ordered, at, mode="clip") == values, bool)


def _new(ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before it."""
    out = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=out[1:])
    return out
