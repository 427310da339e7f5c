"""How commands print a report, and the options that say how: one text each, for every command that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dsrkit.cli.common import complain, one_of, page, write_to
from dsrkit.errors import UsageError
from dsrkit.model.names import FAIL_ON

if TYPE_CHECKING:
    from dsrkit.model.report import Report

FORMATS: Final = ("text", "json")


def text_or_json(more: str = "") -> Any:
    """The option --format; `more` ends its help."""
    return one_of(FORMATS, "--format", f"One of: {', '.join(FORMATS)}{more}.", "FORMAT")


TextOrJson = Annotated[str, text_or_json()]
FailingOn = Annotated[
    str,
    one_of(FAIL_ON, "--fail-on", f"Exit with 1 for findings at or above: {', '.join(FAIL_ON)}.", "SEVERITY"),
]
ReportFile = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the report there instead of to stdout.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the verdict and the findings.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print every cell at every hop, and every address.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours, even on a terminal.")]


def not_both(quiet: bool, verbose: bool) -> None:
    """Raises: UsageError for --quiet together with --verbose."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose contradict each other")


def show(report: Report, output_format: str, output: str | None, *, quiet: bool, verbose: bool, no_color: bool) -> None:
    """Write a report to a file or to stdout, and why there is nothing to verify to stderr."""
    if output_format == "json":
        from dsrkit.report import json

        text = json.render(report)
    else:
        from dsrkit.report.text import render

        color, width = page(no_color=no_color, to_stdout=output is None or output == "-")
        text = render(report, color=color, width=width, verbose=verbose, quiet=quiet)
    write_to(output, text)
    if report.exit_code == 2:
        from dsrkit.report.text import nothing_checked_reason

        complain(f"{'incomplete' if report.incomplete else 'nothing to verify'}: {nothing_checked_reason(report)}")
