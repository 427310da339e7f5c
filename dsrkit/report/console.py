"""A console that writes to memory and interprets nothing: data is printed as `Text`, never as markup."""

from __future__ import annotations

from io import StringIO

from rich.console import Console


def console(out: StringIO, *, color: bool, width: int) -> Console:
    """The same page whatever terminal and environment there are."""
    return Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        force_jupyter=False,
        _environ={},
    )
