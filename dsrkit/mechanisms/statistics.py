"""Statistics of an even spread: is what was counted what fair choices would give, and did they suffice to tell.

Pure functions on counts. The test asks about independent choices: a rotation in turn is more even than chance and
always passes, while one choice that is used many times (a cached answer, a persistent session) must be counted once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from dsrkit.classes import dataclass

SIGNIFICANT: Final = 0.001
"""A fair spread looks this uneven once in a thousand times; a report runs many such tests, so 5 % would cry wolf."""
_LEAST_EXPECTED: Final = 5.0
"""Below this expected count per category the chi-square approximation is poor. Source: W. G. Cochran, Biometrics 10
(1954), p. 417."""
_MOST_CELLS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Fairness:
    """How well counts fit the expected shares.

    `p_value` is the probability that fair, independent choices come out at least as uneven; None where there is
    nothing to test. `conclusive` is False where even the most uneven outcome of so few choices would not be
    significant.
    """

    total: int
    categories: int
    statistic: float | None
    p_value: float | None
    method: Literal["exact", "chi-square", "none"]
    conclusive: bool
    jain: float

    @property
    def uneven(self) -> bool:
        """Whether chance is ruled out."""
        return self.conclusive and self.p_value is not None and self.p_value < SIGNIFICANT


def fairness(counts: Sequence[int], weights: Sequence[int] | None = None) -> Fairness:
    """Pearson's goodness-of-fit test of `counts` against equal shares, or shares in proportion to `weights`.

    Exact (multinomial) where few counts are expected per category, else by the chi-square distribution.
    Source: K. Pearson, Phil. Mag. 50 (1900), p. 157; A. Agresti, Categorical Data Analysis, s1.5.
    """
    shares = list(weights) if weights is not None else [1] * len(counts)
    if len(shares) != len(counts) or any(w <= 0 for w in shares) or any(c < 0 for c in counts):
        raise ValueError("a weight above 0 for each count, no count below 0")
    total, categories = sum(counts), len(counts)
    even = jain_index([c / w for c, w in zip(counts, shares, strict=True)])
    if total == 0 or categories < 2:
        return Fairness(total, categories, None, None, "none", False, even)
    statistic = pearson(counts, shares)
    # The most uneven outcome: everything falls to the category of the smallest share.
    extreme = total * math.log(min(shares) / sum(shares)) + math.log(shares.count(min(shares)))
    conclusive = extreme <= math.log(SIGNIFICANT)
    cells = (total + 1) * (total * total * _scale(shares) // min(shares) + 1)
    if total * min(shares) / sum(shares) < _LEAST_EXPECTED and cells <= _MOST_CELLS:
        return Fairness(total, categories, statistic, _exact(counts, shares), "exact", conclusive, even)
    return Fairness(
        total, categories, statistic, chi_square_tail(statistic, categories - 1), "chi-square", conclusive, even
    )


def pearson(counts: Sequence[int], weights: Sequence[int]) -> float:
    """Pearson's statistic: the squared differences from what is expected, each by what is expected."""
    total, whole = sum(counts), sum(weights)
    expected = [total * w / whole for w in weights]
    return sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Probability that a chi-square variable of so many degrees of freedom is at least `statistic`.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.4.4 and 26.4.5 (finite sums).
    """
    if freedom < 1 or statistic < 0 or math.isnan(statistic):
        raise ValueError("one degree of freedom or more, and a statistic of 0 or more")
    half = statistic / 2
    if half == 0:
        return 1.0
    odd = freedom % 2
    tail = math.erfc(math.sqrt(half)) if odd else math.exp(-half)
    for step in range((freedom - 1) // 2):
        power = step + (0.5 if odd else 1.0)
        tail += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(tail, 1.0)


def jain_index(shares: Sequence[float]) -> float:
    """Jain's fairness index: 1 if all shares are equal, 1/n if one has everything.

    Source: R. Jain, D. Chiu, W. Hawe, DEC Research Report TR-301 (1984).
    """
    squares = sum(x * x for x in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _scale(weights: Sequence[int]) -> int:
    """What makes every ``count**2 / weight`` a whole number."""
    return math.lcm(*weights)


def _exact(counts: Sequence[int], weights: Sequence[int]) -> float:
    """Multinomial probability of all outcomes whose statistic is at least that of `counts`.

    Pearson's statistic grows with ``sum(count**2 / weight)``, a whole number once scaled: one category after the
    other is added to the joint distribution of (choices placed, that number).
    """
    total, whole, scale = sum(counts), sum(weights), _scale(weights)
    price = [scale // w for w in weights]
    most = total * total * max(price)
    table: npt.NDArray[np.float64] = np.zeros((total + 1, most + 1))
    table[0, 0] = 1.0
    for weight, each in zip(weights, price, strict=True):
        grown = np.zeros_like(table)
        for count in range(total + 1):
            cost = count * count * each
            chance = math.exp(count * math.log(weight / whole) - math.lgamma(count + 1))
            grown[count:, cost:] += chance * table[: total + 1 - count, : most + 1 - cost]
        table = grown
    seen = sum(c * c * each for c, each in zip(counts, price, strict=True))
    return float(min(table[total, seen:].sum() * math.exp(math.lgamma(total + 1)), 1.0))
