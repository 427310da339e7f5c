"""Tables of any length: numbers stand as their words would."""

from __future__ import annotations

import pytest

from dsrkit.report.paint import painter
from dsrkit.report.rows import as_table

NAMES = ["who", "count", "time"]
RIGHT = [False, True, True]
COUNTS, TIMES = [7, 123_456_789, 0], [0.0000005, -12.5, 9.9999996]


@pytest.mark.parametrize("who", [["a", "", "%d"], ["short", "w" * 50, "\x1b[31m"]], ids=["narrow", "wide"])
@pytest.mark.parametrize("color", [False, True])
def test_numbers_are_aligned_as_words(who: list[str], color: bool) -> None:
    paint = painter(color=color)
    words = [who, [f"{count}" for count in COUNTS], [f"{time:.6f}" for time in TIMES]]
    expected = "".join(as_table(NAMES, RIGHT, [words], paint, {"who": "red"} if color else None))
    forms = ["", "d", ".6f"]
    shown = "".join(
        as_table(NAMES, RIGHT, [[who, COUNTS, TIMES]], paint, {"who": "red"} if color else None, forms=forms)
    )
    assert shown == expected
    assert "10.000000" in shown
    none: list[list[str]] = [[], [], []]
    assert list(as_table(NAMES, RIGHT, [none], paint, forms=forms)) == list(as_table(NAMES, RIGHT, [none], paint))
