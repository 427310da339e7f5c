"""Fields of frames as a Parquet file, for questions in SQL: written row group by row group, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from dsrkit.errors import MissingDependency, UsageError
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.fields import Reference
from dsrkit.inspect.table import Cell, Table
from dsrkit.wire.columns import FIELDS

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS: Final = 65536
"""Rows of a row group: what is held in memory at most, with one window."""
_NUMBERED: Final = ("ip.", "ipv6.", "vlan.", "udp.")
"""Fields of these layers are written for the second one, too: the inner packet of a tunnel."""


def every_column() -> tuple[str, ...]:
    """What is written where no fields are asked for: all that the scan keeps of the outermost two layers."""
    second = [f"{name}#2" for name in FIELDS if name.startswith(_NUMBERED)]
    return ("frame.number", "frame.time", "frame.interface_name", *FIELDS, *second)


def write_parquet(path: str, table: Table | None, picked: Iterable[tuple[Batch, list[int]]]) -> None:
    """Write chosen frames; columns are named as the fields, and null where a frame has none.

    Raises: MissingDependency without pyarrow; UsageError where the file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingDependency("--parquet needs pyarrow: pip install 'dsrkit[parquet]'") from None
    table = table or Table(every_column())
    schema = pa.schema([(name, _type(field)) for name, field in zip(table.names, table.fields, strict=True)])
    unfinished = f"{path}.part"
    try:
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            waiting: list[list[list[Cell]]] = []
            for batch, rows in picked:
                waiting.append(_columns(table, batch, rows))
                if sum(len(columns[0]) for columns in waiting) >= GROUP_ROWS:
                    writer.write_table(_group(waiting, schema))
                    waiting = []
            if waiting:
                writer.write_table(_group(waiting, schema))
        os.replace(unfinished, path)
    except OSError as error:
        raise UsageError(f"cannot write {path!r}: {error.strerror or error}") from None
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def _type(field: Reference) -> pa.DataType:
    import pyarrow as pa

    if field.is_layer or field.kind == "flag":
        return pa.bool_()
    if field.name == "frame.time":
        return pa.timestamp("ns", tz="UTC")
    if field.kind in ("time", "span"):
        return pa.float64()
    if field.kind in ("int", "dscp", "tos"):
        return pa.int64() if field.layer == "frame" else pa.uint64()
    return pa.string()


def _columns(table: Table, batch: Batch, rows: Sequence[int]) -> list[list[Any]]:
    """The values of some frames: exact times, and one text for fields that a header has several of."""
    columns: list[list[Any]] = []
    for field, values in zip(table.fields, table.values(batch, rows), strict=True):
        if field.name == "frame.time":
            columns.append(batch.numbers("frame.time")[rows].tolist())
        elif field.kind == "flag" and not field.is_layer:
            columns.append([None if value is None else bool(value) for value in values])
        elif any(isinstance(value, list) for value in values):
            columns.append([_joined(field, value) for value in values])
        else:
            columns.append(values)
    return columns


def _joined(field: Reference, value: Cell) -> Cell:
    """The first of several numbers; texts joined."""
    if not isinstance(value, list):
        return value
    return value[0] if field.kind == "int" else ",".join(map(str, value))


def _group(waiting: Sequence[Sequence[Sequence[Any]]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = zip(*waiting, strict=True)
    arrays = [
        pa.array(chain.from_iterable(parts), type=field.type) for parts, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
