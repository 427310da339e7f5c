"""The report: its JSON against the published schema, and its exit code."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import pytest
from hypothesis import given, settings
from random_reports import REPORTS
from report_example import clean_report, faulty_report

from dsrkit.model.report import CellVerdict, Finding, Report, Service, Traffic
from dsrkit.model.schema import REPORT_SCHEMA


@settings(deadline=None)  # a whole report against its schema takes its time on a busy machine
@given(REPORTS)
def test_json_follows_the_schema(report: Report) -> None:
    jsonschema.validate(json.loads(report.to_json()), REPORT_SCHEMA)


def test_json_has_the_documented_keys_in_their_order() -> None:
    document = faulty_report().to_dict()
    assert list(document) == [
        "schema", "mode", "mode_from", "profile", "mechanisms", "service", "nodes", "path", "taps", "journeys",
        "findings", "rules", "traffic", "takeovers", "health_checks", "sessions", "dns", "spread", "notes",
    ]  # fmt: skip
    assert document["schema"] == "dsrkit.report/1"
    assert document["journeys"][0] == {
        "from": "A", "to": "B.in", "direction": "request", "protocol": "tcp", "paired": 120, "unpaired": 1,
    }  # fmt: skip
    assert document["findings"][0] == {
        "code": "DSR301",
        "name": "vip-missing-on-real-server",
        "severity": "error",
        "candidates": ["DSR301", "DSR311"],
        "node": "web1",
        "nodes": ["web1"],
        "tap": "D",
        "count": 12,
        "frames": [
            {"file": "D.pcap", "frame": 7},
            {"file": "D.pcap", "frame": 9},
            {"file": "B.pcapng", "frame": 4},
        ],
        "field": "ip.dst",
        "expected": "answered",
        "actual": "silence",
        "message": "web1 takes the frames for the VIP and answers none of them.",
        "fix": "ip address add 203.0.113.10/32 dev lo\nsysctl -w net.ipv4.conf.all.arp_ignore=1",
        "filter": "frame.number in {7,9}",
        "symptoms": ["l2dsr.real-server.answered"],
        "ruled_out": {"DSR303": "nothing at all comes back, not even a RST"},
        "settle": "ip -4 address show dev lo on web1",
        "known": False,
    }
    assert document["rules"]["pass"] == 3
    assert document["rules"]["fail"] == 2
    assert document["rules"]["not_observable"] == 1
    assert document["rules"]["detail"][0] == {
        "cell": "l2dsr.router.ip.ttl",
        "hop": "A→B.in",
        "direction": "request",
        "verdict": "pass",
        "checked": 120,
        "failed": 0,
    }
    assert clean_report().to_dict()["rules"]["detail"][3]["reason"] == "no capture of D"
    assert clean_report().to_dict()["traffic"]["bypassed_lb"] == 0.9286


def test_tags_are_strings_in_json() -> None:
    service = Service(dscp={7: "203.0.113.10", "web1": {9: "203.0.113.10"}})
    document = Report(service=service).to_dict()
    assert document["service"]["dscp"] == {"7": "203.0.113.10", "web1": {"9": "203.0.113.10"}}
    jsonschema.validate(document, REPORT_SCHEMA)


def test_the_schema_is_strict() -> None:
    document = faulty_report().to_dict()
    for part in (document, document["findings"][0], document["rules"]["detail"][0], document["service"]):
        part["extra"] = 1
        with pytest.raises(jsonschema.ValidationError, match="extra"):
            jsonschema.validate(document, REPORT_SCHEMA)
        del part["extra"]
    del document["rules"]["not_observable"]
    with pytest.raises(jsonschema.ValidationError, match="not_observable"):
        jsonschema.validate(document, REPORT_SCHEMA)


def test_json_is_safe_on_a_terminal() -> None:
    text = Report(notes=("\x1b[2J \x9b2J \u202e \x7f \udc80 →",)).to_json()
    assert json.loads(text)["notes"] == ["\x1b[2J \x9b2J \u202e \x7f \udc80 →"]
    assert not [char for char in text if char != "\n" and not char.isprintable()]
    assert "→" in text
    assert text.encode("utf-8").isascii() is False


def test_a_finding_names_its_first_node_and_candidate() -> None:
    assert Finding("X", "x", "info", "").candidates == ("X",)
    assert Finding("X", "x", "info", "", node="web1").nodes == ("web1",)
    assert Finding("X", "x", "info", "", nodes=("web2", "web1")).node == "web2"


CELL = CellVerdict("l2dsr.lb.ip.ttl", "B.in→B.out", "request", "pass", 3, 0)
BLIND = dataclasses.replace(CELL, verdict="not_observable", checked=0, reason="no capture of C")
BROKEN = dataclasses.replace(CELL, verdict="fail", failed=1)
ERROR, WARNING, INFO = (Finding("X", "x", severity, "") for severity in ("error", "warning", "info"))


@pytest.mark.parametrize(
    ("cells", "findings", "fail_on", "code"),
    [
        ((CELL,), (), "warning", 0),
        ((BLIND, CELL), (), "warning", 0),
        ((CELL,), (INFO,), "warning", 0),
        ((CELL,), (WARNING,), "warning", 1),
        ((CELL,), (WARNING,), "error", 0),
        ((CELL,), (ERROR,), "error", 1),
        ((CELL,), (INFO,), "info", 1),
        ((BROKEN,), (ERROR,), "never", 0),
        ((BROKEN,), (), "warning", 0),
        ((), (), "warning", 2),
        ((BLIND,), (), "warning", 2),
        ((BLIND,), (INFO,), "warning", 2),
        ((BLIND,), (ERROR,), "never", 2),
        ((), (ERROR,), "warning", 1),
    ],
)
def test_exit_code(cells: tuple[CellVerdict, ...], findings: tuple[Finding, ...], fail_on: str, code: int) -> None:
    assert Report(cells=cells, findings=findings, fail_on=fail_on).exit_code == code


def test_traffic_share_is_unknown_if_part_of_it_is() -> None:
    known, unknown = Traffic.of(100, 900, 100), Traffic(100, 900, 0)
    assert known.bypassed_lb == 0.9
    assert known.merge(known) == Traffic(200, 1800, 200, 0.9)
    assert known.merge(unknown).bypassed_lb is None
    assert known.merge(Traffic()) == known
    assert Traffic.of(10, 0, 30).bypassed_lb == 0.0, "a hairpin counted twice cannot make the share negative"
