"""Fields of frames as a Parquet file, for questions in SQL: written row group by row group, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dsrkit.errors import MissingDependency, UsageError
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.fields import Reference
from dsrkit.inspect.table import Cell, Table
from dsrkit.wire.columns import FIELDS

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS: Final = 32768
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
    if os.path.exists(path) and not os.path.isfile(path):  # replacing a device or a pipe would take it away
        raise UsageError(f"cannot write {path!r}: not a regular file")
    target = os.path.realpath(path)  # a link stays one
    unfinished = f"{target}.{os.getpid()}.part"
    try:
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            waiting: list[pa.RecordBatch] = []
            for batch, rows in picked:
                waiting.append(_arrays(table, batch, rows, schema))
                if sum(part.num_rows for part in waiting) >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting))
        os.replace(unfinished, target)
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


def _arrays(table: Table, batch: Batch, rows: Sequence[int], schema: pa.Schema) -> pa.RecordBatch:
    """The values of some frames, a column at a time: as Python objects they take much more room."""
    import pyarrow as pa

    columns = zip(table.fields, schema, strict=True)
    arrays = [
        pa.array(_column(field, table.column(field, batch, rows), batch, rows), kind.type) for field, kind in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _column(field: Reference, values: list[Cell], batch: Batch, rows: Sequence[int]) -> list[Any]:
    """The values of a field as its column takes them: exact times, one value where a header has several."""
    if field.name == "frame.time":
        return list(batch.numbers("frame.time")[np.asarray(rows, np.intp)].tolist())
    if field.kind == "flag" and not field.is_layer:
        return [None if value is None else bool(value) for value in values]
    return [_joined(field, value) for value in values]


def _joined(field: Reference, value: Cell) -> Cell:
    """The first of several numbers; texts joined."""
    if not isinstance(value, list):
        return value
    return value[0] if field.kind == "int" else ",".join(map(str, value))
