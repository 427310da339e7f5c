"""Reports back from their JSON: checked against the published schema, then built class by class."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dsrkit.errors import UsageError
from dsrkit.model.json_schema import fault
from dsrkit.model.report import SCHEMA, Journey, Json, Report, Service
from dsrkit.model.schema import REPORT_SCHEMA
from dsrkit.model.sections import Dns, HealthCheck
from dsrkit.model.sections.dns import DnsParty

MOST_OCTETS: Final = 256 << 20

C = TypeVar("C")


def read_document(path: str | os.PathLike[str], what: str = "") -> Json:
    """The JSON object of a report's file; ``-`` is standard input. `what` names the option that the file is of.

    Raises: UsageError for a file that cannot be read, or that holds no report of this version.
    """
    shown = f"{what} {os.fspath(path)!r}".lstrip()
    try:
        if os.fspath(path) == "-":
            octets = sys.stdin.buffer.read(MOST_OCTETS + 1)
        else:
            with open(path, "rb") as file:
                octets = file.read(MOST_OCTETS + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UsageError(f"{shown}: {getattr(error, 'strerror', None) or error}") from None
    if len(octets) > MOST_OCTETS:
        raise UsageError(f"{shown}: longer than {MOST_OCTETS >> 20} MiB: this is no report")
    try:
        data = json.loads(octets, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise UsageError(f"{shown}: not JSON: give a report of dsrkit verify --format json") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        found = f"its schema is {schema!r}" if isinstance(schema, str) else "it names no schema"
        raise UsageError(f"{shown}: not a report of this version: {found}, not {SCHEMA!r}")
    return dict(data)


def _no_number(word: str) -> float:
    raise ValueError(word)


def report_of(data: Json) -> Report:
    """The report that a JSON object says.

    Raises: UsageError naming the first place that does not follow the schema.
    """
    wrong = fault(data, REPORT_SCHEMA)
    if wrong is not None:
        raise UsageError(f"not a report: {wrong}")
    return _built(Report, data)


_FORMS: Final[dict[type, Callable[[Json], Json]]] = {
    Report: lambda data: {**data, "cells": data["rules"]["detail"]},
    Journey: lambda data: {**data, "source": data["from"], "target": data["to"]},
    HealthCheck: lambda data: {**data, "kind": data["type"]},
    Service: lambda data: {**data, "dscp": _tags(data["dscp"])},
    Dns: lambda data: {**data, **{f"ttl_{end}": value for end, value in (data["ttl"] or {}).items()}},
    DnsParty: lambda data: {**data, "shares": list(data["shares"].items())},
}
"""Classes whose JSON has other keys than they have fields; what follows from other keys is left out by all."""


def _tags(table: Mapping[str, Any]) -> dict[Any, Any]:
    """Tags are numbers, nodes' names are not; in JSON both are strings."""
    return {
        key if isinstance(value, dict) or not key.isdecimal() else int(key): _tags(value)
        if isinstance(value, dict)
        else value
        for key, value in table.items()
    }


def _built(cls: type[C], data: Json) -> C:
    data = _FORMS[cls](data) if cls in _FORMS else data
    types = _types(cast(Hashable, cls))
    return cls(**{name: _value(types[name], data[name]) for name in types if name in data})


@cache
def _types(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _value(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):  # of something and None
        kind = next(one for one in get_args(kind) if one is not type(None)) if value is not None else None
    if is_dataclass(kind) and isinstance(kind, type):
        return _built(kind, value)
    if get_origin(kind) is tuple:
        types = get_args(kind)
        each = [types[0]] * len(value) if types[-1] is ... else types
        return tuple(_value(one, item) for one, item in zip(each, value, strict=True))
    return float(value) if kind is float else value
