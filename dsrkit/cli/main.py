"""The command line: parse, call one library function, render, exit.

A command's module is loaded when it is named, and what it calls when it runs, so that `--help` and shell completion
answer at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from dsrkit import __version__
from dsrkit.cli.command import Group
from dsrkit.cli.common import (
    addresses,
    check_output,
    chosen,
    complain,
    one_of,
    split,
    user_errors,
)
from dsrkit.cli.loading import loading
from dsrkit.cli.shown import FailingOn, NoColor, Quiet, ReportFile, TextOrJson, Verbose, not_both, show
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, PROFILES


class _Commands(Group):
    places: ClassVar[Mapping[str, str]] = {
        "inspect": "inspect:command",
        "diff": "diff:command",
        "merge": "merge:command",
        "setup": "setup:command",
        "lab": "lab:command",
        "doctor": "doctor:command",
        "explain": "explain:explain",
        "rules": "explain:rules",
        "verify": "main:verify",
        "craft": "craft:app",
    }


app = typer.Typer(
    name="dsrkit",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    app(prog_name="dsrkit")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dsrkit {__version__}")
        raise typer.Exit


@app.callback()
def dsrkit(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Craft the packets of server load balancing; check captures of it, and name what is wrong."""


def verify(
    capture: Annotated[
        list[str] | None,
        typer.Argument(metavar="CAPTURE", help="Capture files of one set-up; '-' reads standard input."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="NAME=FILE", help="A capture and the name of its tap; again for each file."),
    ] = None,
    spec: Annotated[
        str | None, typer.Option(metavar="FILE", help="The spec file (dsr.toml); without a CAPTURE its taps are read.")
    ] = None,
    mode: Annotated[
        str | None,
        one_of(MODES, "--mode", f"The mode, instead of inferring it: {', '.join(MODES)}.", "MODE"),
    ] = None,
    vip: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="A virtual address; may be repeated.")
    ] = None,
    profile: Annotated[
        str,
        one_of(
            PROFILES,
            "--profile",
            f"Accept only the header habits of one implementation: {', '.join(PROFILES)}.",
            "PROFILE",
        ),
    ] = "any",
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            autocompletion=chosen,
            help="Report only these: codes (DSR301), beginnings of codes (DSR), names, or beginnings of cells.",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", autocompletion=chosen, help="Leave out these, given in the same ways."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="An earlier report in JSON: only findings that it does not have count."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Judge slices of time on a dask cluster: its scheduler, tcp://HOST:PORT."),
    ] = None,
    fail_on: FailingOn = "warning",
    output_format: TextOrJson = "text",
    output: ReportFile = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="Work with so many threads [default: 1].")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    no_color: NoColor = False,
) -> None:
    """Check captures, hop by hop, and name what is misconfigured.

    Works on a single capture without a spec: mode, nodes and taps are inferred, and stated. Exit codes: 0 clean,
    1 findings at or above --fail-on that no --baseline knows, 2 could not run or nothing could be checked.
    """
    with user_errors():
        not_both(quiet, verbose)
        source = _sources(capture or [], at or [], has_spec=spec is not None)
        files = [*(capture or []), *(text.partition("=")[2] for text in at or [])]
        check_output(output, [*files, *filter(None, [spec, baseline])])
        addresses_given = addresses(split(vip))

        with loading():
            from dsrkit import verification
            from dsrkit.wire import scanner

        if scanner.backend() == "interpreted":  # before the work, which will take a while
            complain(f"note: {scanner.INTERPRETED_NOTE}")
        report = verification.verify(
            source,
            spec=spec,
            mode=mode,
            profile=profile,
            vip=addresses_given,
            fail_on=fail_on,
            select=split(select),
            ignore=split(ignore),
            baseline=baseline,
            jobs=jobs or 1,
            cluster=cluster,
        )
        show(report, output_format, output, quiet=quiet, verbose=verbose, no_color=no_color)
    raise typer.Exit(report.exit_code)


def _sources(captures: list[str], taps: list[str], *, has_spec: bool) -> list[str] | dict[str, str | list[str]] | None:
    """The files in the order given, or by tap name; None leaves them to the spec."""
    if captures and taps:
        raise UsageError("give the captures either as CAPTURE or as --at NAME=FILE, not both ways")
    named: dict[str, list[str]] = {}
    for text in taps:
        name, equals, file = text.partition("=")
        if not (equals and name and file):
            raise UsageError(f"--at {text!r}: write NAME=FILE")
        named.setdefault(name, []).append(file)
    _distinct([*captures, *(file for files in named.values() for file in files)])
    if not captures and not named and not has_spec:
        raise UsageError("no capture: give a CAPTURE, --at NAME=FILE, or a --spec that names its taps' files")
    return {name: files[0] if len(files) == 1 else files for name, files in named.items()} or captures or None


def _distinct(files: list[str]) -> None:
    """The same packets under two names would look like a hop that rewrites nothing."""
    seen: dict[str, str] = {}
    for file in files:
        real = file if file == "-" else os.path.realpath(file)
        if real in seen:
            also = "" if seen[real] == file else f" (also as {seen[real]!r})"
            raise UsageError(f"{file!r} is given twice{also}")
        seen[real] = file
