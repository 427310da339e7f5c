"""`dsrkit inspect`: what each frame of a capture is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dsrkit.cli.common import (
    addresses,
    check_output,
    complain,
    complete,
    page,
    split,
    user_errors,
    word,
    write_all,
)
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES

if TYPE_CHECKING:
    from dsrkit.cli.progress import Watch
    from dsrkit.inspect.batch import Batch
    from dsrkit.inspect.table import Table
    from dsrkit.inspect.view import View
    from dsrkit.report.frames import Frame
    from dsrkit.report.paint import Paint

Chosen = Iterable[tuple["Batch", list[int]]]

FORMATS: Final = ("table", "json", "jsonl", "csv")
_LISTED: Final = ("frame.number", "frame.time_relative", "frame.interface_name", "role")
_IN_CSV: Final = ("frame.number", "frame.time", "frame.interface_name", "node", "role", "summary", "defect")


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
        typer.Option(
            "--format",
            "-T",
            metavar="FORMAT",
            callback=word(FORMATS),
            autocompletion=complete(FORMATS),
            help=f"One of: {', '.join(FORMATS)}.",
        ),
    ] = "table",
    parquet: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the fields of all chosen frames as columns of a Parquet file."),
    ] = None,
    spec: Annotated[str | None, typer.Option(metavar="FILE", help="The spec file (dsr.toml) of the set-up.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            callback=word(MODES),
            autocompletion=complete(MODES),
            help=f"The mode, instead of inferring it: {', '.join(MODES)}.",
        ),
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
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, even on a terminal.")] = False,
) -> None:
    """Show what each frame is: its role in the load balancing, its fields, its octets.

    Mode and machines are inferred from the capture's head, and stated above the frames. Exit codes: 0 shown, also
    where no frame matches; 2 could not be read, or options that make no sense.
    """
    names = split(fields)
    with user_errors():
        _check(names, tree or octets, flows, parquet, output_format, output)
        check_output(output, [capture, *filter(None, [spec])])
        check_output(parquet, [capture, *filter(None, [spec])])
        from dsrkit.cli.progress import watching
        from dsrkit.inspect.choose import Numbers, chosen
        from dsrkit.inspect.table import Table
        from dsrkit.inspect.view import View
        from dsrkit.inspect.where import compile_filter
        from dsrkit.report.paint import painter

        numbers = Numbers.parse(frames) if frames else None
        compiled = compile_filter(where) if where is not None else None
        table = Table(names) if names else None
        roles = (compiled is not None and compiled.asks_roles) or (table.asks_roles if table else not parquet)
        view = View(capture, roles=roles, spec=spec, mode=mode, vip=addresses(split(vip)), gue_ports=gue_port or ())
        color, _ = page(no_color=no_color, to_stdout=output in (None, "-"))
        shown = _Shown()
        with watching(capture, wanted=not quiet) as watch:
            picked = shown.counted(chosen(watched(view, watch), numbers=numbers, where=compiled, count=count))
            if parquet:
                from dsrkit.inspect.parquet import write_parquet

                write_parquet(parquet, table, picked)
            else:
                texts = _texts(view, picked, table, output_format, painter(color=color), tree, octets, quiet)
                _write(output, texts, watch)
        _afterwards(view, shown, parquet)


def _check(
    names: tuple[str, ...], detail: bool, flows: bool, parquet: str | None, fmt: str, output: str | None
) -> None:
    """Options that contradict each other."""
    if names and detail:
        raise UsageError("--fields shows chosen fields, -V and -x all of them; give one or the other")
    if detail and fmt == "csv":
        raise UsageError("-V and -x have no lines of a table; use --format table, json or jsonl")
    if flows and (names or detail or parquet):
        raise UsageError("--flows shows connections, not fields of frames")
    if parquet and (detail or output or fmt != "table"):
        raise UsageError("--parquet writes a file of its own; leave out -V, -x, -o and --format")


class _Shown:
    """How many frames were chosen."""

    def __init__(self) -> None:
        self.frames = 0

    def counted(self, picked: Chosen) -> Iterator[tuple[Batch, list[int]]]:
        for batch, rows in picked:
            self.frames += len(rows)
            yield batch, rows


def watched(view: View, watch: Watch) -> Iterator[Batch]:
    """The batches, with the progress of reading them."""
    for batch in view.batches():
        yield batch
        watch.step(batch.window.base + len(batch.window.buf), batch.number(len(batch) - 1))


def _texts(
    view: View, picked: Chosen, table: Table | None, fmt: str, paint: Paint, tree: bool, octets: bool, quiet: bool
) -> Iterator[str]:
    """What is printed, as it comes."""
    from dsrkit.report import frames, rows
    from dsrkit.report.escape import escape

    if fmt == "table" and not table and not quiet:
        for line in view.heading:
            yield escape(line) + "\n"
        if view.heading:
            yield "\n"
    if fmt in ("json", "jsonl") and not table:
        objects = (frames.to_dict(one, headers=tree, octets=octets) for one in _frames(view, picked, detail=tree))
        yield from rows.objects_as_json(objects) if fmt == "json" else rows.objects_as_jsonl(objects)
    elif tree or octets:
        for n, one in enumerate(_frames(view, picked, detail=True)):
            lines = frames.lines(one, paint, headers=tree, octets=octets)
            yield ("\n" if n else "") + "\n".join(lines) + "\n"
    else:
        yield from _rows(view, picked, table, fmt, paint)


def _rows(view: View, picked: Chosen, table: Table | None, fmt: str, paint: Paint) -> Iterator[str]:
    """Frames as the rows of a table: of the fields asked for, or of what there is to say of each."""
    from dsrkit.inspect.table import Table as Fields
    from dsrkit.report import rows

    if fmt in ("json", "jsonl"):
        assert table
        values = (table.values(batch, at) for batch, at in picked)
        yield from rows.as_json(table.names, values) if fmt == "json" else rows.as_jsonl(table.names, values)
    elif fmt == "csv":
        table = table or Fields(_IN_CSV)
        fields = table
        yield from rows.as_csv(table.names, (fields.texts(batch, at, remarks=False) for batch, at in picked))
    elif table:
        asked = table
        blocks = (asked.texts(batch, at) for batch, at in picked)
        yield from rows.as_table(table.names, table.right, blocks, paint)
    else:
        yield from _listing(view, picked, paint)


def _listing(view: View, picked: Chosen, paint: Paint) -> Iterator[str]:
    """The list of frames. A role says what the outer headers are for, so that the innermost packet goes with it."""
    from dsrkit.inspect.table import Table as Fields
    from dsrkit.report import rows

    table = Fields([name for name in _LISTED if name != "frame.interface_name" or view.several_taps])
    titles = {"frame.number": "frame", "frame.time_relative": "time", "frame.interface_name": "interface"}
    names = [*(titles.get(name, name) for name in table.names), "packet"]

    def packet(batch: Batch, i: int, role: str) -> str:
        assert batch.described
        text = batch.described.packet(i) if role else batch.described.summary(i)
        return "  # ".join([text, *batch.texts("frame.comment", i)])

    def blocks() -> Iterator[list[list[str]]]:
        for batch, at in picked:
            columns = table.texts(batch, at)
            yield [*columns, [packet(batch, i, role) for i, role in zip(at, columns[-1], strict=True)]]

    return rows.as_table(names, [*table.right, False], blocks(), paint, {"role": "cyan"})


def _frames(view: View, picked: Chosen, *, detail: bool) -> Iterator[Frame]:
    """Each frame with all there is to say of it."""
    from dsrkit.inspect.table import time_text
    from dsrkit.report.frames import Frame

    for batch, at in picked:
        for i in at:
            say: dict[str, Any] = {
                name: " | ".join(batch.texts(name, i)) for name in ("node", "role", "summary", "defect")
            }
            yield Frame(
                batch.number(i),
                time_text(int(batch.window.rec["ts_ns"][i])),
                int(batch.window.rec["wirelen"][i]),
                bytes(batch.window.packet(i)),
                interface=" ".join(batch.texts("frame.interface_name", i)),
                comments=batch.texts("frame.comment", i),
                layers=batch.dissection(i).layers if detail else (),
                **say,
            )


def _write(output: str | None, texts: Iterator[str], watch: Watch) -> None:
    """To stdout or into a file."""
    if output is None or output == "-":
        write_all(sys.stdout, _around(texts, watch) if sys.stdout and sys.stdout.isatty() else texts)
        return
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.writelines(texts)
    except OSError as error:
        raise UsageError(f"cannot write {output!r}: {error.strerror or error}") from None


def _around(texts: Iterator[str], watch: Watch) -> Iterator[str]:
    """Lines and the progress share a terminal."""
    for text in texts:
        watch.hide()
        yield text


def _afterwards(view: View, shown: _Shown, parquet: str | None) -> None:
    """What is to be said of the reading, on stderr."""
    for note in view.capture.notes:
        complain(f"note: {note}")
    if parquet:
        complain(f"{shown.frames} frames written to {parquet}")
    elif not shown.frames:
        complain("no frame matches")
