"""Building blocks of the JSON Schemas: closed objects, lists, enumerations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, Final

Schema = dict[str, Any]


def closed(properties: Schema, *, optional: Sequence[str] = ()) -> Schema:
    """A closed object: no key beyond these, and every one required unless it is optional."""
    shape: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [key for key in properties if key not in optional]
    return {**shape, "required": required} if required else shape


def open_(properties: Schema, *, required: Sequence[str] = ()) -> Schema:
    """A closed object whose keys are optional unless required, as in a file that people write."""
    return closed(properties, optional=[key for key in properties if key not in required])


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def enum(words: Sequence[str], *, null: bool = False) -> Schema:
    return {"enum": [*words, None] if null else list(words)}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


STRING: Final[Schema] = {"type": "string"}
TEXT: Final[Schema] = {"type": "string", "minLength": 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
MAYBE_STRING: Final[Schema] = {"type": ["string", "null"]}
STRINGS: Final = list_of(STRING)
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
FRAME: Final = closed({"file": STRING, "frame": {"type": "integer", "minimum": 1}})
"""A frame as `FrameRef.to_dict` gives it."""


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fault(value: Any, schema: Schema) -> str | None:
    """The first thing about a JSON value that a schema forbids, with its place; None where there is none.

    Knows the words that the schemas of this package use, besides those about the keys of open objects.

    >>> fault({"a": [1, -2]}, closed({"a": list_of(COUNT)}))
    'a[1]: -2 is less than 0'
    """
    return next(_faults(value, schema, ""), None)


def _faults(value: Any, schema: Schema, where: str) -> Iterator[str]:
    at = f"{where}: " if where else ""
    shown = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"{type(value).__name__}"
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"
    if "anyOf" in schema:
        if all(next(_faults(value, one, where), None) is not None for one in schema["anyOf"]):
            yield next(_faults(value, schema["anyOf"][0], where))
        return
    if "const" in schema and value != schema["const"]:
        yield f"{at}{shown} instead of {schema['const']!r}"
    if "enum" in schema and not any(value == one and type(value) is type(one) for one in schema["enum"]):
        yield f"{at}{shown} is none of {', '.join(map(str, schema['enum']))}"
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{at}{shown} is no {' or '.join(kinds)}"
        return
    if isinstance(value, (int, float)) and value < schema.get("minimum", value):
        yield f"{at}{shown} is less than {schema['minimum']}"
    if isinstance(value, (int, float)) and value > schema.get("maximum", value):
        yield f"{at}{shown} is more than {schema['maximum']}"
    if isinstance(value, (str, list)) and len(value) < max(schema.get("minLength", 0), schema.get("minItems", 0)):
        yield f"{at}empty"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, schema.get("items", {}), f"{where}[{index}]")
    if isinstance(value, dict):
        yield from _faults_of_keys(value, schema, where, at)


def _faults_of_keys(value: dict[str, Any], schema: Schema, where: str, at: str) -> Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{at}{key!r} is missing"
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for key, item in value.items():
        if key not in known and others is False:
            yield f"{at}unknown key {key!r}"
        else:
            yield from _faults(item, known.get(key, others), f"{where}.{key}" if where else key)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):  # which Python counts as an integer
        return kind == "boolean"
    return isinstance(value, _TYPES[kind]) and not (isinstance(value, float) and not isfinite(value))
