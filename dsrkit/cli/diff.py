"""`dsrkit diff`: what differs between the same packets of two captures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from dsrkit.cli.common import addresses, check_output, complain, one_of, split, user_errors, write_to
from dsrkit.cli.shown import TextOrJson
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES

if TYPE_CHECKING:
    from dsrkit.compare.compare import How

HOW: Final = ("auto", "path", "copy", "rerun")


def command(
    a: Annotated[str, typer.Argument(metavar="A", help="A capture file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one; one of both may be '-', standard input.")],
    how: Annotated[
        str,
        one_of(
            HOW,
            "--as",
            "What the two are to each other: two places on the path of the same packets, a copy of one place, "
            f"or a rerun with other ports and numbers; one of: {', '.join(HOW)}.",
            "HOW",
        ),
    ] = "auto",
    mode: Annotated[
        str | None,
        one_of(MODES, "--mode", "The mode between the two places, instead of inferring it.", "MODE"),
    ] = None,
    spec: Annotated[str | None, typer.Option(metavar="FILE", help="The spec file of the set-up (dsr.toml).")] = None,
    vip: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="A virtual address; may be repeated.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD", help="Leave out these fields: names without layer number, with * (tcp.options*)."
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="FIELD", help="Compare these fields alone.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also show what the path or the mode is meant to change.")
    ] = False,
    output_format: TextOrJson = "text",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout.")
    ] = None,
) -> None:
    """Compare the same packets of two captures, field by field.

    What the nodes between two places of a path are meant to change is not reported; what is left out of headers or
    added to them is one difference. Exit codes: 0 nothing differs, 1 something does, 2 could not run, or no packet of
    one capture has its like in the other.
    """
    with user_errors():
        if a == b or (a != "-" != b and os.path.realpath(a) == os.path.realpath(b)):
            raise UsageError(f"{a!r} is given twice")
        check_output(output, [a, b, *filter(None, [spec])])
        from dsrkit.compare.compare import compare

        found = compare(
            a,
            b,
            mode=mode,
            spec=spec,
            vip=addresses(split(vip)),
            ignore=split(ignore),
            only=split(only),
            how=cast("How", how),
        )
        if output_format == "json":
            from dsrkit.model.printable import json_text

            text = json_text(found.to_dict()) + "\n"
        else:
            from dsrkit.report.diff import render

            text = render(found, allowed=every)
        write_to(output, text)
        if found.exit_code == 2:
            complain("nothing to compare: no packet of one capture has its like in the other")
    raise typer.Exit(found.exit_code)
