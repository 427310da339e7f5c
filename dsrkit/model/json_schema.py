"""Building blocks of the JSON Schemas: closed objects, lists, enumerations."""

from __future__ import annotations

from collections.abc import Sequence
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
