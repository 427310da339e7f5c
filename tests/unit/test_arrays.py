"""`dsrkit.verify.arrays` agrees with numpy's own functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.verify.arrays import among, distinct, distinct_columns, median

NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-3, 3)
COLUMN = st.lists(NUMBERS, max_size=40).map(lambda numbers: np.asarray(numbers, np.int64))


@given(COLUMN)
def test_distinct(values: np.ndarray) -> None:
    assert distinct(values).tolist() == np.unique(values).tolist()


@given(COLUMN, COLUMN)
def test_among(values: np.ndarray, wanted: np.ndarray) -> None:
    assert among(values, wanted).tolist() == np.isin(values, wanted).tolist()


@pytest.mark.parametrize("wanted", [[], [6, 17], [300], [1, 6, 17, 58, 300, -1]], ids=str)
def test_among_of_small_numbers(wanted: list[int]) -> None:
    values = np.asarray([[0, 6], [17, 255]], np.uint8)
    assert among(values, wanted).tolist() == np.isin(values, wanted).tolist()


def test_among_of_large_numbers() -> None:
    values = np.asarray([2**64 - 1, 2**64 - 2, 5], np.uint64)
    assert among(values, values[:1]).tolist() == [True, False, False]
    assert among(values, np.append(values[1:], np.arange(9, 19, dtype=np.uint64))).tolist() == [False, True, True]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), NUMBERS), max_size=40))
def test_distinct_columns(rows: list[tuple[int, int, int]]) -> None:
    table = np.asarray(rows, np.int64).reshape(-1, 3).T
    columns, which, count = distinct_columns(table)
    assert [tuple(column) for column in columns.T.tolist()] == sorted(set(rows))
    assert columns[:, which].tolist() == table.tolist()
    assert count.tolist() == [rows.count(column) for column in sorted(set(rows))]


@given(st.lists(st.integers(-(1 << 52), 1 << 52), min_size=1, max_size=40))
def test_median(values: list[int]) -> None:
    assert median(values) == np.median(values)
