"""`dsrkit explain` and `dsrkit rules`: what the codes of findings mean."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from dsrkit.cli.common import complete, page, user_errors, write
from dsrkit.cli.shown import text_or_json

_MOST: Final = 100
"""Columns of text that are still easy to read."""


def _explained(incomplete: str) -> list[str]:
    from dsrkit.diagnose.explain import words_to_explain

    return [one for one in words_to_explain() if one.lower().startswith(incomplete.lower())]


def _areas(incomplete: str) -> list[str]:
    from dsrkit.diagnose.entry import AREAS

    return complete(AREAS)(incomplete.upper())


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="WORD",
            autocompletion=_explained,
            help="A code (DSR301) or its name, a mode (l2dsr), a field (ip.ttl), a cell (l2dsr.lb.ip.ttl) or a check"
            " (garp.owner.announced).",
        ),
    ],
) -> None:
    """Explain a code, a mode, a field, a cell or a check.

    For a code: what the packets show, how it comes about, what looks like it and how to tell, how to be sure and how
    to mend it. Exit codes: 0 explained, 2 unknown word.
    """
    with user_errors():
        from dsrkit.diagnose.explain import explain as page_of
        from dsrkit.diagnose.page import WIDTH

        _, width = page(no_color=True)
        write(sys.stdout, page_of(subject, width=min(width or WIDTH, _MOST)))


def rules(
    area: Annotated[
        str | None,
        typer.Option("--area", metavar="AREA", autocompletion=_areas, help="Only one area: the letters of its codes."),
    ] = None,
    output_format: Annotated[str, text_or_json("; json has all that explain says")] = "text",
) -> None:
    """List the codes that findings can have."""
    with user_errors():
        from dsrkit.diagnose.rules import as_json, as_text, of_area

        entries = of_area(area)
        write(sys.stdout, as_json(entries) if output_format == "json" else as_text(entries))
