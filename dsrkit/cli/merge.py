"""`dsrkit merge`: one report of the reports of parts of a capture set."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from dsrkit.cli.common import check_output, user_errors
from dsrkit.cli.shown import FailingOn, NoColor, Quiet, ReportFile, TextOrJson, Verbose, not_both, show
from dsrkit.model.names import FailOn


def command(
    reports: Annotated[
        list[str],
        typer.Argument(metavar="REPORT...", help="Reports of verify --format json; '-' reads standard input."),
    ],
    fail_on: FailingOn = "warning",
    output_format: TextOrJson = "text",
    output: ReportFile = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    no_color: NoColor = False,
) -> None:
    """Merge reports of parts of one capture set: rotated files, hosts.

    Counts add up, and machines are known by their addresses. Exit codes: 0 clean, 1 findings at or above --fail-on,
    2 could not run, the reports contradict each other, or nothing could be checked in any part.
    """
    with user_errors():
        not_both(quiet, verbose)
        check_output(output, reports)
        from dsrkit.model.parts import merge_files

        report = merge_files(reports, fail_on=cast(FailOn, fail_on))
        show(report, output_format, output, quiet=quiet, verbose=verbose, no_color=no_color)
    raise typer.Exit(report.exit_code)
