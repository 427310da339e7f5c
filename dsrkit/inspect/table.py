"""Chosen fields of chosen frames, as columns of values and of texts.

A name without a layer number means the outermost layer, so that a cell holds one value and a column has one type;
a field that its header has several times (TCP options, DNS answers) gives all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dsrkit.errors import UsageError
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.fields import ANY_OF, DESCRIBED, STATES, Reference, reference
from dsrkit.model.dscp import dscp_text
from dsrkit.wire.address import V4_MAPPED, ip_text, mac_text
from dsrkit.wire.columns import ADDRESS, Array

Cell: TypeAlias = int | float | str | bool | list[Any] | None
Indices: TypeAlias = npt.NDArray[np.intp]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATE_WORDS: Final = {number: word for word, number in STATES.items()}
_HEX: Final = {
    "eth.type": 4,
    "gre.flags_and_version": 4,
    "gre.key": 8,
    "gre.proto": 4,
    "gue.word": 8,
    "icmp.checksum": 4,
    "icmpv6.checksum": 4,
    "ip.checksum": 4,
    "ip.dsfield": 2,
    "ip.id": 4,
    "ipv6.flow": 5,
    "ipv6.fraghdr.ident": 8,
    "ipv6.tclass": 2,
    "outer.tos": 2,
    "inner.tos": 2,
    "payload.fingerprint": 16,
    "quoted.id": 4,
    "quoted.inner.id": 4,
    "quoted.inner.tos": 2,
    "quoted.tos": 2,
    "tcp.checksum": 4,
    "tcp.flags": 4,
    "tunnel.checksum": 4,
    "udp.checksum": 4,
}
"""Columns that Wireshark prints in hexadecimal → digits."""


class Table:
    """Some fields, by their names.

    Raises: UsageError for a name that is no field.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.fields = tuple(_first_layer(name) for name in names)

    @property
    def asks_roles(self) -> bool:
        """Whether the batches have to be described."""
        return any(field.name in DESCRIBED for field in self.fields)

    @property
    def right(self) -> list[bool]:
        """Which columns are numbers, to be printed on the right."""
        return [field.kind in ("int", "flag", "span") and not field.is_layer for field in self.fields]

    def values(self, batch: Batch, rows: Sequence[int]) -> list[list[Cell]]:
        """A list for each field: numbers, addresses and words as text, None where absent."""
        return [self.column(field, batch, rows) for field in self.fields]

    @staticmethod
    def column(field: Reference, batch: Batch, rows: Sequence[int]) -> list[Cell]:
        """The values of one field."""
        return _values(field, batch, np.asarray(rows, np.intp))

    def texts(self, batch: Batch, rows: Sequence[int], *, remarks: bool = True) -> list[list[str]]:
        """The same as text, unescaped, as Wireshark prints it; ``""`` where absent. `remarks` may follow a value."""
        at = np.asarray(rows, np.intp)
        return [_texts(field, batch, at, remarks) for field in self.fields]


def _first_layer(name: str) -> Reference:
    if name in ANY_OF:
        raise UsageError(f"--fields: {name} may be either of two; name {' or '.join(ANY_OF[name])}")
    try:
        field = reference(name)
        return field if field.row or field.number else reference(f"{name}#1")
    except KeyError as error:
        raise UsageError(f"--fields: {error.args[0]}") from None


def _values(field: Reference, batch: Batch, at: Indices) -> list[Cell]:
    if field.row:
        return _row_values(field, batch, at)
    if not field.columns:
        return [_one(found) for found in _deep(field, batch, at, lambda one: _plain(one.value))]
    if field.is_layer:
        return list(batch.columns.present(field.columns[0])[at].tolist())
    convert = _converter(field)
    return _filled(field, batch, at, convert) if convert else _filled(field, batch, at, None)


def _texts(field: Reference, batch: Batch, at: Indices, remarks: bool) -> list[str]:
    if field.row:
        return _row_texts(field, batch, at)
    if not field.columns:
        return [",".join(found) for found in _deep(field, batch, at, lambda one: one.shown)]
    if field.is_layer:
        return ["1" if there else "" for there in batch.columns.present(field.columns[0])[at].tolist()]
    base = field.name.partition("#")[0]
    convert = _converter(field)
    if base in _HEX:
        digits = _HEX[base]
        convert = lambda value: f"0x{int(value):0{digits}x}"  # noqa: E731  # one of several converters
    elif field.kind == "dscp" and remarks:
        convert = lambda value: dscp_text(int(value))  # noqa: E731
    return ["" if one is None else str(one) for one in _filled(field, batch, at, convert)]


def _filled(field: Reference, batch: Batch, at: Indices, convert: Callable[[Any], str] | None) -> list[Any]:
    """Values of a column, None where absent; each distinct one is converted once."""
    there, values = batch.column(field.columns[0])
    there, values = there[at], values[at]
    if convert is None:
        return [value if is_there else None for value, is_there in zip(values.tolist(), there.tolist(), strict=True)]
    distinct, places = _distinct(values)
    texts = [convert(value) for value in distinct]
    return [texts[n] if is_there else None for n, is_there in zip(places.tolist(), there.tolist(), strict=True)]


def _distinct(values: Array) -> tuple[Array, Indices]:
    """Distinct values, and which of them stands in each place."""
    if values.dtype != ADDRESS:
        distinct, places = np.unique(values, return_inverse=True)
        return distinct, places
    if not values["hi"].any():  # IPv4: numbers sort faster than pairs of numbers
        low, places = np.unique(values["lo"], return_inverse=True)
        halves = np.zeros(len(low), ADDRESS)
        halves["lo"] = low
        return halves, places
    distinct, places = np.unique(values, return_inverse=True)
    return distinct, places


def _converter(field: Reference) -> Callable[[Any], str] | None:
    """How a column's values become text, where numbers are not what they mean."""
    if field.kind == "mac":
        return lambda value: mac_text(int(value))
    if field.kind == "state":
        return lambda value: _STATE_WORDS.get(int(value), str(value))
    if field.kind == "ip":
        return _address_text
    return None


def _address_text(value: Any) -> str:
    if value.dtype == ADDRESS:
        return ip_text(int(value["hi"]), int(value["lo"]))
    return ip_text(0, V4_MAPPED | int(value))


def _deep(field: Reference, batch: Batch, at: Indices, what: Callable[[Any], Any]) -> list[list[Any]]:
    """What the dissector finds in each frame: all the fields of a name in the layer that is asked for."""
    found: list[list[Any]] = []
    for i in at.tolist():
        layers = [one for one in batch.dissection(i).layers if one.number == (field.number or 1) and not one.quoted]
        if field.is_layer:
            found.append([what(_THERE)] if any(one.name in field.deep for one in layers) else [])
        else:
            found.append([what(one) for layer in layers for one in layer.fields if one.name in field.deep])
    return found


class _There:
    """A header that is there, as a field would say it."""

    value = 1
    shown = "1"


_THERE: Final = _There()


def _plain(value: int | str | bytes) -> int | str:
    return value.hex() if isinstance(value, bytes) else value


def _one(found: list[Any]) -> Cell:
    """Nothing, the value, or all of several."""
    return found if len(found) > 1 else found[0] if found else None


# --- what is said of a frame itself -----------------------------------------------------------------------------------


def _row_values(field: Reference, batch: Batch, at: Indices) -> list[Cell]:
    if field.kind == "text":
        return [_one(batch.texts(field.name, i)) for i in at.tolist()]
    numbers = batch.numbers(field.name)[at].tolist()
    if field.name == "frame.time":
        return [f"{time_text(number).replace(' ', 'T')}Z" for number in numbers]
    return [number / 1e9 for number in numbers] if field.kind in ("time", "span") else numbers


def _row_texts(field: Reference, batch: Batch, at: Indices) -> list[str]:
    if field.kind == "text":
        return [" | ".join(batch.texts(field.name, i)) for i in at.tolist()]
    numbers = batch.numbers(field.name)[at].tolist()
    if field.name == "frame.time":
        return [time_text(number) for number in numbers]
    return [seconds_text(number) if field.kind in ("time", "span") else str(number) for number in numbers]


def time_text(nanoseconds: int) -> str:
    """A time since 1970 as a date and a time in UTC.

    >>> time_text(1_000_000_001)
    '1970-01-01 00:00:01.000000001'
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{(_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(' ')}.{rest:09d}"


def seconds_text(nanoseconds: int) -> str:
    """Seconds with all their decimals.

    >>> seconds_text(-1)
    '-0.000000001'
    """
    seconds, rest = divmod(abs(nanoseconds), 1_000_000_000)
    return f"{'-' if nanoseconds < 0 else ''}{seconds}.{rest:09d}"
