"""`dsrkit inspect --oracle`: the chosen frames, read by another decoder as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dsrkit.oracle.opinion import oracle_of, second_opinion
from dsrkit.oracle.told import Frame
from dsrkit.wire.scanner import GUE_PORTS

if TYPE_CHECKING:
    from dsrkit.inspect.batch import Batch
    from dsrkit.model.opinion import Opinion
    from dsrkit.report.paint import Paint


def opinion(name: str, picked: Iterable[tuple[Batch, list[int]]], gue_ports: Iterable[int]) -> Opinion:
    """How the oracle reads the chosen frames beside us."""
    return second_opinion(_frames(picked), oracle_of(name), gue_ports=GUE_PORTS.union(gue_ports))


def opinion_texts(found: Opinion, output_format: str, paint: Paint) -> Iterator[str]:
    """The opinion as text or JSON."""
    if output_format == "json":
        from dsrkit.model.printable import json_text

        yield json_text(found.to_dict()) + "\n"
        return
    from dsrkit.report.opinion import texts

    yield from texts(found, paint)


def _frames(picked: Iterable[tuple[Batch, list[int]]]) -> Iterator[Frame]:
    for batch, rows in picked:
        for i in rows:
            record = batch.window.rec[i]
            yield Frame(
                batch.number(i),
                int(record["linktype"]),
                bytes(batch.window.packet(i)),
                int(record["wirelen"]),
                int(record["ts_ns"]),
            )
