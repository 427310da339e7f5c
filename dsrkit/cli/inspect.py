"""`dsrkit inspect`: what each frame of a capture is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dsrkit.cli.common import (
    addresses,
    check_output,
    complain,
    one_of,
    page,
    split,
    user_errors,
    write_all,
)
from dsrkit.cli.loading import loading
from dsrkit.cli.shown import NoColor
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES
from dsrkit.oracle import ORACLES

if TYPE_CHECKING:
    from dsrkit.cli.progress import Watch
    from dsrkit.inspect.batch import Batch
    from dsrkit.inspect.view import View
    from dsrkit.model.opinion import Opinion

FORMATS: Final = ("table", "json", "jsonl", "csv")


def _fields(incomplete: str) -> list[str]:
    """What the shell offers for names of fields: the last of several behind a comma."""
    from dsrkit.inspect.fields import every_name

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{one}" for one in every_name() if one.startswith(last)]


def _expression(incomplete: str) -> list[str]:
    """The same for the last word of an expression."""
    from dsrkit.inspect.fields import every_name

    match = re.fullmatch(r"(.*?)([a-z][\w.]*)?", incomplete, re.DOTALL)
    before, last = (match[1], match[2] or "") if match else (incomplete, "")
    return [before + one for one in every_name() if one.startswith(last)]


def command(
    capture: Annotated[str, typer.Argument(metavar="CAPTURE", help="A capture file; '-' reads standard input.")],
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            "-Y",
            metavar="EXPR",
            autocompletion=_expression,
            help="Only frames for which this holds: 'ip.dst#2 == 203.0.113.10 and tcp.flags.syn'.",
        ),
    ] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="LIST", help="Only these frames: 4,9-12,100-.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-c", metavar="N", min=1, help="Stop after N frames that are shown.")
    ] = None,
    tree: Annotated[bool, typer.Option("-V", help="Show each frame header by header, field by field.")] = False,
    octets: Annotated[bool, typer.Option("-x", help="Show the octets of each frame, and what stands in them.")] = False,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--fields",
            "-e",
            metavar="NAMES",
            autocompletion=_fields,
            help="Show these fields of each frame: ip.src,ip.dst#2,tcp.flags; may be repeated.",
        ),
    ] = None,
    flows: Annotated[bool, typer.Option("--flows", help="Show connections instead of frames.")] = False,
    output_format: Annotated[
        str,
        one_of(FORMATS, "--format -T", f"One of: {', '.join(FORMATS)}.", "FORMAT"),
    ] = "table",
    parquet: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the fields of all chosen frames as columns of a Parquet file."),
    ] = None,
    oracle: Annotated[
        str | None,
        one_of(
            ORACLES,
            "--oracle",
            "Have another decoder read the chosen frames as well, and list every field in which both differ; "
            f"one of: {', '.join(ORACLES)}.",
            "DECODER",
        ),
    ] = None,
    spec: Annotated[str | None, typer.Option(metavar="FILE", help="The spec file (dsr.toml) of the set-up.")] = None,
    mode: Annotated[
        str | None,
        one_of(MODES, "--mode", f"The mode, instead of inferring it: {', '.join(MODES)}.", "MODE"),
    ] = None,
    vip: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="A virtual address; may be repeated.")
    ] = None,
    gue_port: Annotated[
        list[int] | None,
        typer.Option(
            "--gue-port", metavar="PORT", min=1, max=65535, help="A further UDP port of GUE tunnels; may be repeated."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No lines above the frames, and no progress.")] = False,
    no_color: NoColor = False,
) -> None:
    """Show what each frame is: its role in the load balancing, its fields, its octets.

    Mode and machines are inferred from the capture's head, and stated above the frames. Exit codes: 0 shown, also
    where no frame matches; 2 could not be read, or options that make no sense. With --oracle: 0 both agree, or what
    differs is explained; 1 both differ; 2 the decoder is not there, or nothing was compared.
    """
    names = split(fields)
    detail = tree or octets
    with user_errors():
        _check(names, detail, parquet, output_format, output)
        if oracle and (names or detail or parquet or flows or output_format not in ("table", "json")):
            raise UsageError(
                "--oracle compares all fields, as --format table or json; leave out --fields, -V, -x, "
                "--flows and --parquet"
            )
        if flows and (names or detail or parquet or where is not None or frames is not None):
            raise UsageError(
                "--flows shows whole connections; leave out --where, --frames, --fields, --parquet, -V and -x"
            )
        check_output(output, [capture, *filter(None, [spec])])
        check_output(parquet, [capture, *filter(None, [spec])], "--parquet")
        from dsrkit.cli.progress import watching
        from dsrkit.report.paint import painter

        stated: dict[str, Any] = {"spec": spec, "mode": mode, "vip": addresses(split(vip))}
        paint = painter(color=page(no_color=no_color, to_stdout=output in (None, "-"))[0])
        with watching(capture, wanted=not quiet) as watch:
            if flows:
                with loading():
                    from dsrkit.cli.frames import flow_texts
                    from dsrkit.inspect.flows import table as flow_table
                    from dsrkit.wire.scanner import GUE_PORTS

                ports = GUE_PORTS.union(gue_port or ())
                found = flow_table(capture, gue_ports=ports, first=count, watch=watch.step, **stated)
                _write(output, flow_texts(found, output_format, paint, quiet=quiet), watch)
                _notes(found.notes)
                return
            with loading():
                from dsrkit.cli.frames import texts
                from dsrkit.inspect.choose import Numbers, chosen
                from dsrkit.inspect.table import Table
                from dsrkit.inspect.view import View
                from dsrkit.inspect.where import compile_filter

            numbers = Numbers.parse(frames) if frames is not None else None
            compiled = compile_filter(where) if where is not None else None
            table = Table(names) if names else None
            listing = not (parquet or oracle)
            asked = (compiled is not None and compiled.asks_roles) or (table.asks_roles if table else listing)
            view = View(capture, roles=asked, gue_ports=gue_port or (), **stated)
            picked = chosen(_watched(view, watch), numbers=numbers, where=compiled, count=count)
            counted = _Counted(picked)
            judged: Opinion | None = None
            if oracle:
                from dsrkit.cli.oracle import opinion, opinion_texts

                judged = opinion(oracle, counted, gue_port or ())
                _write(output, opinion_texts(judged, output_format, paint), watch)
            elif parquet:
                from dsrkit.inspect.parquet import write_parquet

                write_parquet(parquet, table, counted)
            else:
                shown = texts(view, counted, table, output_format, paint, headers=tree, octets=octets, quiet=quiet)
                _write(output, shown, watch)
        _notes(view.capture.notes)
        if parquet:
            complain(f"{counted.frames} frames written to {parquet}")
        elif not counted.frames:
            complain("no frame matches")
    if judged is not None:
        raise typer.Exit(judged.exit_code)


def _check(names: tuple[str, ...], detail: bool, parquet: str | None, output_format: str, output: str | None) -> None:
    """Refuse options that contradict each other."""
    if names and detail:
        raise UsageError("--fields shows chosen fields, -V and -x all of them; give one or the other")
    if detail and output_format == "csv":
        raise UsageError("-V and -x have no lines of a table; use --format table, json or jsonl")
    if parquet and (detail or output or output_format != "table"):
        raise UsageError("--parquet writes a file of its own; leave out -V, -x, -o and --format")


class _Counted:
    """Chosen frames, counted as they go by."""

    def __init__(self, picked: Iterator[tuple[Batch, list[int]]]) -> None:
        self._picked = picked
        self.frames = 0

    def __iter__(self) -> Iterator[tuple[Batch, list[int]]]:
        for batch, rows in self._picked:
            self.frames += len(rows)
            yield batch, rows


def _watched(view: View, watch: Watch) -> Iterator[Batch]:
    """The batches, with the progress of reading them."""
    for batch in view.batches():
        watch.step(batch.window.base, batch.window.first_row)
        yield batch


def _write(output: str | None, texts: Iterator[str], watch: Watch) -> None:
    """To stdout or into a file."""
    if output is None or output == "-":
        write_all(sys.stdout, _around(texts, watch) if sys.stdout and sys.stdout.isatty() else texts)
        return
    try:
        with open(output, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(texts)
    except OSError as error:
        raise UsageError(f"cannot write {output!r}: {error.strerror or error}") from None


def _around(texts: Iterator[str], watch: Watch) -> Iterator[str]:
    """Lines and the progress share a terminal."""
    for text in texts:
        watch.hide()
        yield text


def _notes(notes: list[str]) -> None:
    """What the reader has to say, on stderr."""
    for note in notes:
        complain(f"note: {note}")
