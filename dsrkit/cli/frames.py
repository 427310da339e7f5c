"""What `dsrkit inspect` prints, as it comes: the list of frames, chosen fields, headers and octets, connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from dsrkit.inspect.table import Table, time_text
from dsrkit.report import frames, rows
from dsrkit.report.escape import escape
from dsrkit.report.frames import Frame
from dsrkit.report.paint import Paint

if TYPE_CHECKING:
    from dsrkit.inspect.batch import Batch
    from dsrkit.inspect.flows import FlowTable
    from dsrkit.inspect.view import View

Chosen = Iterable[tuple["Batch", list[int]]]

_LISTED: Final = ("frame.number", "frame.time_relative", "frame.interface_name", "role")
_TITLES: Final = {"frame.number": "frame", "frame.time_relative": "time", "frame.interface_name": "interface"}
_IN_CSV: Final = ("frame.number", "frame.time", "frame.interface_name", "node", "role", "summary", "defect")


def texts(
    view: View,
    picked: Chosen,
    table: Table | None,
    output_format: str,
    paint: Paint,
    *,
    headers: bool,
    octets: bool,
    quiet: bool,
) -> Iterator[str]:
    """The chosen frames: the fields of `table`, or what there is to say of each, with its `headers` and `octets`."""
    if table is None and output_format in ("json", "jsonl"):
        found = (frames.to_dict(one, headers=headers, octets=octets) for one in _frames(picked, headers))
        yield from rows.objects_as_json(found) if output_format == "json" else rows.objects_as_jsonl(found)
        return
    if table is None and output_format == "table" and not quiet:
        yield from _above(view.heading)
    if headers or octets:
        for n, one in enumerate(_frames(picked, True)):
            lines = frames.lines(one, paint, headers=headers, octets=octets)
            yield ("\n" if n else "") + "\n".join(lines) + "\n"
    elif table is None and output_format == "table":
        yield from _listing(view, picked, paint)
    else:
        yield from _fields(table or Table(_IN_CSV), picked, output_format, paint)


def flow_texts(found: FlowTable, output_format: str, paint: Paint, *, quiet: bool) -> Iterator[str]:
    """The table of connections."""
    from dsrkit.inspect.flows import FORMS, NAMES, RIGHT

    blocks = [found.columns]
    if output_format in ("json", "jsonl"):
        yield from rows.as_json(NAMES, blocks) if output_format == "json" else rows.as_jsonl(NAMES, blocks)
        return
    if output_format == "csv":
        yield from rows.as_csv(NAMES, [found.texts()])
        return
    if not quiet:
        yield from _above(found.heading)
    yield from rows.as_table(NAMES, RIGHT, blocks, paint, forms=FORMS)


def _above(heading: Sequence[str]) -> Iterator[str]:
    """Lines above a table."""
    if heading:
        yield "".join(f"{escape(line)}\n" for line in heading) + "\n"


def _fields(table: Table, picked: Chosen, output_format: str, paint: Paint) -> Iterator[str]:
    """Fields of frames, a row each."""
    if output_format in ("json", "jsonl"):
        values = (table.values(batch, at) for batch, at in picked)
        return rows.as_json(table.names, values) if output_format == "json" else rows.as_jsonl(table.names, values)
    if output_format == "csv":
        return rows.as_csv(table.names, (table.texts(batch, at, remarks=False) for batch, at in picked))
    return rows.as_table(table.names, table.right, (table.texts(batch, at) for batch, at in picked), paint)


def _listing(view: View, picked: Chosen, paint: Paint) -> Iterator[str]:
    """The list of frames. A role says what the outer headers are for, so that the innermost packet goes with it."""
    table = Table([name for name in _LISTED if name != "frame.interface_name" or view.several_taps])
    names = [*(_TITLES.get(name, name) for name in table.names), "packet"]

    def packet(batch: Batch, i: int, role: str) -> str:
        assert batch.described
        text = batch.described.packet(i) if role else batch.described.summary(i)
        return "  # ".join([text, *batch.texts("frame.comment", i)])

    def blocks() -> Iterator[list[list[str]]]:
        for batch, at in picked:
            columns = table.texts(batch, at)
            yield [*columns, [packet(batch, i, role) for i, role in zip(at, columns[-1], strict=True)]]

    return rows.as_table(names, [*table.right, False], blocks(), paint, {"role": "cyan"})


def _frames(picked: Chosen, headers: bool) -> Iterator[Frame]:
    """Each frame with all there is to say of it."""
    for batch, at in picked:
        for i in at:
            say: dict[str, Any] = {
                name: " | ".join(batch.texts(name, i)) for name in ("node", "role", "summary", "defect")
            }
            taken = batch.dissection(i) if headers else None
            yield Frame(
                batch.number(i),
                time_text(int(batch.window.rec["ts_ns"][i])),
                int(batch.window.rec["wirelen"][i]),
                bytes(batch.window.packet(i)),
                interface=" ".join(batch.texts("frame.interface_name", i)),
                comments=batch.texts("frame.comment", i),
                layers=taken.layers if taken else (),
                padding=taken.trailer[0] if taken and taken.trailer else None,
                **say,
            )
