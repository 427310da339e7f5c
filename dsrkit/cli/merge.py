"""`dsrkit merge`: one report of the reports of parts of a capture set."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from dsrkit.cli.common import check_output, complete, user_errors, word
from dsrkit.cli.shown import FORMATS, show
from dsrkit.errors import UsageError
from dsrkit.model.names import FAIL_ON, FailOn


def command(
    reports: Annotated[
        list[str],
        typer.Argument(metavar="REPORT...", help="Reports of verify --format json; '-' reads standard input."),
    ],
    fail_on: Annotated[
        str,
        typer.Option(
            metavar="SEVERITY",
            callback=word(FAIL_ON),
            autocompletion=complete(FAIL_ON),
            help=f"Exit with 1 for findings at or above: {', '.join(FAIL_ON)}.",
        ),
    ] = "warning",
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            callback=word(FORMATS),
            autocompletion=complete(FORMATS),
            help=f"One of: {', '.join(FORMATS)}.",
        ),
    ] = "text",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the report there instead of to stdout.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the verdict and the findings.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every cell at every hop.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, even on a terminal.")] = False,
) -> None:
    """Merge reports of parts of one capture set: rotated files, hosts.

    Counts add up, and machines are known by their addresses. Exit codes: 0 clean, 1 findings at or above --fail-on,
    2 could not run, the reports contradict each other, or nothing could be checked in any part.
    """
    with user_errors():
        if quiet and verbose:
            raise UsageError("--quiet and --verbose contradict each other")
        check_output(output, reports)
        from dsrkit.model.parts import merge_files

        report = merge_files(reports, fail_on=cast(FailOn, fail_on))
        show(report, output_format, output, quiet=quiet, verbose=verbose, no_color=no_color)
    raise typer.Exit(report.exit_code)
