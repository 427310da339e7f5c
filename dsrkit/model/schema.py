"""JSON Schemas of the report and of the spec file, built from the same vocabularies that the parsers use.

The published copies in `docs/` are these dictionaries as text: `python -m dsrkit.model.schema docs` writes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dsrkit.model.names import (
    DIRECTIONS,
    MODE_FROM,
    MODES,
    PROFILES,
    ROLES,
    SEVERITIES,
    TUNNEL_TYPES,
    VERDICTS,
)
from dsrkit.model.report import SCHEMA
from dsrkit.model.spec import HEALTH_THROUGH, HEALTH_TYPES, TAKEOVER_PROTOCOLS, VERSION

Schema = dict[str, Any]
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _object(properties: Schema, *, optional: Sequence[str] = ()) -> Schema:
    """A closed object: no key beyond these, and every one required unless it is optional."""
    closed: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [key for key in properties if key not in optional]
    return {**closed, "required": required} if required else closed


def _open(properties: Schema, *, required: Sequence[str] = ()) -> Schema:
    """A closed object whose keys are optional unless required, as in a file that people write."""
    return _object(properties, optional=[key for key in properties if key not in required])


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _enum(words: Sequence[str], *, null: bool = False) -> Schema:
    return {"enum": [*words, None] if null else list(words)}


_STRING: Final[Schema] = {"type": "string"}
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MAYBE_STRING: Final[Schema] = {"type": ["string", "null"]}
_STRINGS: Final = _list(_STRING)
_TAGS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [_STRING, {"type": "object", "additionalProperties": _STRING}],
    },
}
_PORT_NUMBER: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


REPORT_SCHEMA: Final[Schema] = {
    "$schema": _DIALECT,
    "title": "dsrkit report",
    "description": "What `dsrkit verify --format json` prints.",
    **_object(
        {
            "schema": {"const": SCHEMA},
            "mode": _enum(MODES, null=True),
            "mode_from": _enum(MODE_FROM),
            "profile": _enum(PROFILES, null=True),
            "mechanisms": _list(_enum(MODES)),
            "service": _object(
                {
                    "vip": _STRINGS,
                    "ports": _STRINGS,
                    "tunnel": _or_null(
                        _open(
                            {
                                "type": _enum(TUNNEL_TYPES, null=True),
                                "variant": _or_null(_COUNT),
                                "port": _or_null(_PORT_NUMBER),
                                "checksum": {"type": ["boolean", "null"]},
                                "mtu": _or_null(_COUNT),
                            },
                            required=["type"],
                        )
                    ),
                    "dscp": _TAGS,
                }
            ),
            "nodes": _list(_object({"name": _STRING, "role": _enum(ROLES), "ip": _STRINGS, "mac": _STRINGS})),
            "path": _object({"request": _STRINGS, "reply": _STRINGS}),
            "taps": _list(
                _object(
                    {
                        "name": _STRING,
                        "file": _STRING,
                        "interface": _MAYBE_STRING,
                        "node": _MAYBE_STRING,
                        "link": _MAYBE_STRING,
                        "packets": _COUNT,
                        "octets": _COUNT,
                        "clock_offset_ns": {"type": "integer"},
                    }
                )
            ),
            "journeys": _list(
                _object(
                    {
                        "from": _STRING,
                        "to": _STRING,
                        "direction": _enum(DIRECTIONS),
                        "protocol": _STRING,
                        "paired": _COUNT,
                        "unpaired": _COUNT,
                    }
                )
            ),
            "findings": _list(
                _object(
                    {
                        "code": _TEXT,
                        "name": _TEXT,
                        "severity": _enum(SEVERITIES),
                        "candidates": {"type": "array", "items": _TEXT, "minItems": 1},
                        "node": _MAYBE_STRING,
                        "nodes": _STRINGS,
                        "tap": _MAYBE_STRING,
                        "count": _COUNT,
                        "frames": _list(_object({"file": _STRING, "frame": {"type": "integer", "minimum": 1}})),
                        "field": _MAYBE_STRING,
                        "expected": _MAYBE_STRING,
                        "actual": _MAYBE_STRING,
                        "message": _STRING,
                        "fix": _MAYBE_STRING,
                        "filter": _MAYBE_STRING,
                        "symptoms": _STRINGS,
                    }
                )
            ),
            "rules": _object(
                {
                    "pass": _COUNT,
                    "fail": _COUNT,
                    "not_observable": _COUNT,
                    "detail": _list(
                        _object(
                            {
                                "cell": _TEXT,
                                "hop": _STRING,
                                "direction": _enum(DIRECTIONS),
                                "verdict": _enum(VERDICTS),
                                "checked": _COUNT,
                                "failed": _COUNT,
                                "reason": _STRING,
                            },
                            optional=["reason"],
                        )
                    ),
                }
            ),
            "traffic": _object(
                {
                    "request_octets": _COUNT,
                    "reply_octets": _COUNT,
                    "lb_octets": _COUNT,
                    "bypassed_lb": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                }
            ),
            "notes": _STRINGS,
        }
    ),
}

_ONE_OR_MORE: Final[Schema] = {"anyOf": [_TEXT, _list(_TEXT)]}
_PORT: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z]+/[0-9]{1,5}(:[0-9]{1,5})?$"}
_NAME_OR_MORE: Final[Schema] = {"type": "array", "items": _TEXT}
_SPEC_DSCP: Final[Schema] = {
    "type": "object",
    "description": 'Tag to VIP. A key is a DSCP (7), an octet ("tos=0x1c") or a name (EF); a bare `tos` is ambiguous.',
    "additionalProperties": _TEXT,
    "propertyNames": {
        "pattern": "^([0-9]+|[Tt][Oo][Ss] *= *[0-9A-FXa-fx]+|[Cc][Ss][0-7]|[Aa][Ff][1-4][1-3]|[Ee][Ff]|[Dd][Ff]"
        "|[Bb][Ee]|[Ll][Ee]|[Vv][Aa]|[Vv][Oo][Ii][Cc][Ee]-[Aa][Dd][Mm][Ii][Tt])$"
    },
}
_SPEC_SERVICE: Final = _open(
    {
        "mode": _enum(MODES),
        "vip": _ONE_OR_MORE,
        "ports": {"anyOf": [_PORT, _list(_PORT)]},
        "profile": _enum(PROFILES),
    }
)
_SPEC_LINK: Final = _open(
    {"link": _TEXT, "interface": _TEXT, "mac": _ONE_OR_MORE, "ip": _ONE_OR_MORE, "gateway": _TEXT}
)
_SPEC_HEALTH: Final = _open(
    {
        "type": _enum(HEALTH_TYPES),
        "interval": {"type": "number", "exclusiveMinimum": 0},
        "path": _TEXT,
        "through": _enum(HEALTH_THROUGH),
    },
    required=["type"],
)


def _one_or_list(schema: Schema) -> Schema:
    return {"anyOf": [schema, _list(schema)]}


SPEC_SCHEMA: Final[Schema] = {
    "$schema": _DIALECT,
    "title": "dsrkit spec file",
    "description": "dsr.toml: what a load-balancing set-up is meant to be.",
    **_open(
        {
            "spec": {"const": VERSION},
            "service": _one_or_list(_SPEC_SERVICE),
            "path": _open({"request": _NAME_OR_MORE, "reply": _NAME_OR_MORE}),
            "dscp": _SPEC_DSCP,
            "tunnel": _open(
                {
                    "type": _enum(TUNNEL_TYPES),
                    "variant": {"enum": [0, 1]},
                    "port": _PORT_NUMBER,
                    "checksum": {"type": "boolean"},
                    "mtu": {"type": "integer", "minimum": 68, "maximum": 65535},
                }
            ),
            "node": _list(
                _open(
                    {
                        "name": _TEXT,
                        "role": _enum(ROLES),
                        "ip": _ONE_OR_MORE,
                        "mac": _ONE_OR_MORE,
                        "link": _one_or_list(_SPEC_LINK),
                        "dscp": _SPEC_DSCP,
                    },
                    required=["name", "role"],
                )
            ),
            "tap": _list(
                _open(
                    {"name": _TEXT, "file": _TEXT, "interface": _TEXT, "node": _TEXT, "link": _TEXT},
                    required=["name"],
                )
            ),
            "snat": _open({"source": _ONE_OR_MORE}),
            "proxy": _open({"version": {"enum": [1, 2]}}),
            "dns": _open({"name": _TEXT, "records": _ONE_OR_MORE, "ttl": _COUNT}),
            "health": _one_or_list(_SPEC_HEALTH),
            "takeover": _open(
                {
                    "protocol": _enum(TAKEOVER_PROTOCOLS),
                    "vrid": {"type": "integer", "minimum": 1, "maximum": 255},
                }
            ),
            "rules": _open({"ignore": _ONE_OR_MORE, "select": _ONE_OR_MORE}),
            "allow": _list(_open({"code": _TEXT, "node": _TEXT, "reason": _TEXT}, required=["code", "reason"])),
        }
    ),
}

PUBLISHED: Final[dict[str, Schema]] = {"report.schema.json": REPORT_SCHEMA, "spec.schema.json": SPEC_SCHEMA}


def schema_text(schema: Schema) -> str:
    """A schema as it stands in `docs/`."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _write(folder: str) -> None:
    for name, schema in PUBLISHED.items():
        (Path(folder) / name).write_text(schema_text(schema), encoding="utf-8")


if __name__ == "__main__":
    _write(sys.argv[1])
