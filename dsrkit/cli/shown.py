"""How commands print a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsrkit.cli.common import complain, page, write_to

if TYPE_CHECKING:
    from dsrkit.model.report import Report

FORMATS: Final = ("text", "json")


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
