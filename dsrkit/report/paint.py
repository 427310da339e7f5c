"""Colours for lines that are written as they come, by the thousand: too many for rich."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

Style = Literal["bold", "dim", "red", "green", "yellow", "blue", "magenta", "cyan"]
Paint: TypeAlias = Callable[[str, Style], str]

_CODES: Final[dict[Style, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
CYCLE: Final[tuple[Style, ...]] = ("cyan", "green", "yellow", "magenta", "blue")
"""Colours of neighbours that belong together, such as octets and the names of their fields."""


def painter(*, color: bool) -> Paint:
    """What styles a text that is escaped already; without colours it leaves it alone."""
    if not color:
        return lambda text, style: text
    return lambda text, style: f"\x1b[{_CODES[style]}m{text}\x1b[0m" if text else text
