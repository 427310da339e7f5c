"""JSON Schemas of the report and of the spec file, built from the same vocabularies that the parsers use.

The published copies in `docs/` are these dictionaries as text: `python -m dsrkit.model.schema docs` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from dsrkit.model.json_schema import (
    COUNT,
    FRAME,
    INTEGER,
    MAYBE_STRING,
    STRING,
    STRINGS,
    TEXT,
    Schema,
    closed,
    enum,
    list_of,
    open_,
    or_null,
)
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
from dsrkit.model.sections import SECTIONS
from dsrkit.model.spec import HEALTH_THROUGH, HEALTH_TYPES, TAKEOVER_PROTOCOLS, VERSION

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TAGS: Final[Schema] = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [STRING, {"type": "object", "additionalProperties": STRING}],
    },
}
_PORT_NUMBER: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}


REPORT_SCHEMA: Final[Schema] = {
    "$schema": _DIALECT,
    "title": "dsrkit report",
    "description": "What `dsrkit verify --format json` prints.",
    **closed(
        {
            "schema": {"const": SCHEMA},
            "mode": enum(MODES, null=True),
            "mode_from": enum(MODE_FROM),
            "profile": enum(PROFILES, null=True),
            "mechanisms": list_of(enum(MODES)),
            "service": closed(
                {
                    "vip": STRINGS,
                    "ports": STRINGS,
                    "tunnel": or_null(
                        open_(
                            {
                                "type": enum(TUNNEL_TYPES, null=True),
                                "variant": or_null(COUNT),
                                "port": or_null(_PORT_NUMBER),
                                "checksum": {"type": ["boolean", "null"]},
                                "mtu": or_null(COUNT),
                            },
                            required=["type"],
                        )
                    ),
                    "dscp": _TAGS,
                }
            ),
            "nodes": list_of(closed({"name": STRING, "role": enum(ROLES), "ip": STRINGS, "mac": STRINGS})),
            "path": closed({"request": STRINGS, "reply": STRINGS}),
            "taps": list_of(
                closed(
                    {
                        "name": STRING,
                        "file": STRING,
                        "interface": MAYBE_STRING,
                        "node": MAYBE_STRING,
                        "link": MAYBE_STRING,
                        "packets": COUNT,
                        "octets": COUNT,
                        "clock_offset_ns": INTEGER,
                    }
                )
            ),
            "journeys": list_of(
                closed(
                    {
                        "from": STRING,
                        "to": STRING,
                        "direction": enum(DIRECTIONS),
                        "protocol": STRING,
                        "paired": COUNT,
                        "unpaired": COUNT,
                    }
                )
            ),
            "findings": list_of(
                closed(
                    {
                        "code": TEXT,
                        "name": TEXT,
                        "severity": enum(SEVERITIES),
                        "candidates": {"type": "array", "items": TEXT, "minItems": 1},
                        "node": MAYBE_STRING,
                        "nodes": STRINGS,
                        "tap": MAYBE_STRING,
                        "count": COUNT,
                        "frames": list_of(FRAME),
                        "field": MAYBE_STRING,
                        "expected": MAYBE_STRING,
                        "actual": MAYBE_STRING,
                        "message": STRING,
                        "fix": MAYBE_STRING,
                        "filter": MAYBE_STRING,
                        "symptoms": STRINGS,
                        "ruled_out": {"type": "object", "additionalProperties": STRING},
                        "settle": MAYBE_STRING,
                        "known": {"type": "boolean"},
                    }
                )
            ),
            "rules": closed(
                {
                    "pass": COUNT,
                    "fail": COUNT,
                    "not_observable": COUNT,
                    "detail": list_of(
                        closed(
                            {
                                "cell": TEXT,
                                "hop": STRING,
                                "direction": enum(DIRECTIONS),
                                "verdict": enum(VERDICTS),
                                "checked": COUNT,
                                "failed": COUNT,
                                "reason": STRING,
                            },
                            optional=["reason"],
                        )
                    ),
                }
            ),
            "traffic": closed(
                {
                    "request_octets": COUNT,
                    "reply_octets": COUNT,
                    "lb_octets": COUNT,
                    "bypassed_lb": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                }
            ),
            **{name: list_of(section.SCHEMA) for name, section in SECTIONS.items()},
            "notes": STRINGS,
            "incomplete": STRINGS,
        },
        optional=["incomplete"],
    ),
}

_ONE_OR_MORE: Final[Schema] = {"anyOf": [TEXT, list_of(TEXT)]}
_PORT: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z]+/[0-9]{1,5}(:[0-9]{1,5})?$"}
_NAME_OR_MORE: Final[Schema] = {"type": "array", "items": TEXT}
_SPEC_DSCP: Final[Schema] = {
    "type": "object",
    "description": 'Tag to VIP. A key is a DSCP (7), an octet ("tos=0x1c") or a name (EF); a bare `tos` is ambiguous.',
    "additionalProperties": TEXT,
    "propertyNames": {
        "pattern": "^([0-9]+|[Tt][Oo][Ss] *= *[0-9A-FXa-fx]+|[Cc][Ss][0-7]|[Aa][Ff][1-4][1-3]|[Ee][Ff]|[Dd][Ff]"
        "|[Bb][Ee]|[Ll][Ee]|[Vv][Aa]|[Vv][Oo][Ii][Cc][Ee]-[Aa][Dd][Mm][Ii][Tt])$"
    },
}
_SPEC_SERVICE: Final = open_(
    {
        "mode": enum(MODES),
        "vip": _ONE_OR_MORE,
        "ports": {"anyOf": [_PORT, list_of(_PORT)]},
        "profile": enum(PROFILES),
    }
)
_SPEC_LINK: Final = open_({"link": TEXT, "interface": TEXT, "mac": _ONE_OR_MORE, "ip": _ONE_OR_MORE, "gateway": TEXT})
_SPEC_HEALTH: Final = open_(
    {
        "type": enum(HEALTH_TYPES),
        "interval": {"type": "number", "exclusiveMinimum": 0},
        "path": TEXT,
        "through": enum(HEALTH_THROUGH),
    },
    required=["type"],
)


def _one_or_list(schema: Schema) -> Schema:
    return {"anyOf": [schema, list_of(schema)]}


SPEC_SCHEMA: Final[Schema] = {
    "$schema": _DIALECT,
    "title": "dsrkit spec file",
    "description": "dsr.toml: what a load-balancing set-up is meant to be.",
    **open_(
        {
            "spec": {"const": VERSION},
            "service": _one_or_list(_SPEC_SERVICE),
            "path": open_({"request": _NAME_OR_MORE, "reply": _NAME_OR_MORE}),
            "dscp": _SPEC_DSCP,
            "tunnel": open_(
                {
                    "type": enum(TUNNEL_TYPES),
                    "variant": {"enum": [0, 1]},
                    "port": _PORT_NUMBER,
                    "checksum": {"type": "boolean"},
                    "mtu": {"type": "integer", "minimum": 68, "maximum": 65535},
                }
            ),
            "node": list_of(
                open_(
                    {
                        "name": TEXT,
                        "role": enum(ROLES),
                        "ip": _ONE_OR_MORE,
                        "mac": _ONE_OR_MORE,
                        "link": _one_or_list(_SPEC_LINK),
                        "dscp": _SPEC_DSCP,
                    },
                    required=["name", "role"],
                )
            ),
            "tap": list_of(
                open_(
                    {"name": TEXT, "file": TEXT, "interface": TEXT, "node": TEXT, "link": TEXT},
                    required=["name"],
                )
            ),
            "snat": open_({"source": _ONE_OR_MORE}),
            "proxy": open_({"version": {"enum": [1, 2]}}),
            "dns": open_({"name": TEXT, "records": _ONE_OR_MORE, "ttl": COUNT}),
            "health": _one_or_list(_SPEC_HEALTH),
            "takeover": open_(
                {
                    "protocol": enum(TAKEOVER_PROTOCOLS),
                    "vrid": {"type": "integer", "minimum": 1, "maximum": 255},
                }
            ),
            "rules": open_({"ignore": _ONE_OR_MORE, "select": _ONE_OR_MORE}),
            "allow": list_of(open_({"code": TEXT, "node": TEXT, "reason": TEXT}, required=["code", "reason"])),
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
