"""The fairness test against published values, and against plain enumeration."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.mechanisms.statistics import chi_square_tail, fairness, jain_index, pearson

# Critical values of the chi-square distribution: NIST/SEMATECH e-Handbook of Statistical Methods, s1.3.6.7.4.
CRITICAL = [
    (1, 0.05, 3.841),
    (1, 0.001, 10.828),
    (2, 0.05, 5.991),
    (2, 0.001, 13.816),
    (3, 0.01, 11.345),
    (5, 0.05, 11.070),
    (10, 0.001, 29.588),
    (25, 0.05, 37.652),
    (100, 0.001, 149.449),
]


@pytest.mark.parametrize(("freedom", "tail", "value"), CRITICAL)
def test_critical_values(freedom: int, tail: float, value: float) -> None:
    assert chi_square_tail(value, freedom) == pytest.approx(tail, rel=2e-3)


def test_the_ends_of_the_distribution() -> None:
    assert chi_square_tail(0.0, 7) == 1.0
    assert chi_square_tail(1e6, 3) == 0.0
    assert 0 < chi_square_tail(3000.0, 3000) < 1


def by_enumeration(counts: tuple[int, ...], weights: list[int]) -> float:
    """Every sequence of choices, one by one."""
    seen, whole = pearson(counts, weights), sum(weights)
    chance = 0.0
    for choices in itertools.product(range(len(counts)), repeat=sum(counts)):
        drawn = Counter(choices)
        if pearson([drawn[i] for i in range(len(counts))], weights) >= seen - 1e-9:
            chance += math.prod(weights[i] / whole for i in choices)
    return chance


@pytest.mark.parametrize(
    ("counts", "weights"),
    [((5, 0, 0), [1, 1, 1]), ((3, 2, 1), [1, 1, 1]), ((2, 2, 2), [1, 1, 1]), ((1, 6), [3, 1]), ((4, 1, 2), [2, 1, 3])],
)
def test_few_choices_are_judged_exactly(counts: tuple[int, ...], weights: list[int]) -> None:
    result = fairness(counts, weights)
    assert result.method == "exact"
    assert result.p_value == pytest.approx(by_enumeration(counts, weights))


def test_large_samples_agree_with_the_exact_test() -> None:
    near = fairness((30, 8, 12))
    assert near.method == "chi-square"
    assert near.p_value == pytest.approx(chi_square_tail(pearson((30, 8, 12), (1, 1, 1)), 2))
    assert near.uneven


def test_few_choices_prove_nothing_however_they_fall() -> None:
    assert not fairness((7, 0, 0)).conclusive
    assert fairness((8, 0, 0)).uneven
    assert not fairness((10, 0)).conclusive
    assert fairness((11, 0)).uneven


def test_rotation_in_turn_is_more_even_than_chance() -> None:
    result = fairness((6, 6, 6))
    assert result.p_value == pytest.approx(1.0)
    assert not result.uneven


def test_weights() -> None:
    assert not fairness((300, 100), (3, 1)).uneven
    assert fairness((200, 200), (3, 1)).uneven


def test_nothing_to_test() -> None:
    for counts in ((), (5,), (0, 0, 0)):
        result = fairness(counts)
        assert (result.p_value, result.conclusive, result.method) == (None, False, "none")


def test_bad_arguments() -> None:
    for counts, weights in (((1, 2), [1]), ((1, 2), [0, 1]), ((-1, 2), [1, 1])):
        with pytest.raises(ValueError, match="weight"):
            fairness(counts, weights)
    with pytest.raises(ValueError, match="degree"):
        chi_square_tail(1.0, 0)


def test_jain() -> None:
    assert jain_index([5, 5, 5]) == 1.0
    assert jain_index([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain_index([]) == 1.0


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=200))
def test_a_probability_comes_out_of_any_counts(counts: list[int]) -> None:
    result = fairness(counts)
    assert 0 < result.jain <= 1 + 1e-9
    assert result.p_value is None or 0 <= result.p_value <= 1
    assert not (len(set(counts)) == 1 and result.uneven)
