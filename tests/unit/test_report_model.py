"""The report: its JSON against the published schema, its exit code, and merging in any grouping."""

from __future__ import annotations

import dataclasses
import json
from functools import reduce

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_example import clean_report, faulty_report

from dsrkit.errors import UsageError
from dsrkit.model.frame import FrameRef
from dsrkit.model.names import DIRECTIONS, FAIL_ON, MODE_FROM, PROFILES, ROLES, SEVERITIES, VERDICTS
from dsrkit.model.report import (
    MAX_EXAMPLES,
    CellVerdict,
    Finding,
    Journey,
    Node,
    Path,
    Report,
    Service,
    Tap,
    Traffic,
)
from dsrkit.model.schema import REPORT_SCHEMA
from dsrkit.model.sections.dns import (
    RESULTS,
    ROTATIONS,
    Dns,
    DnsConnection,
    DnsFairness,
    DnsParty,
    DnsRecord,
)
from dsrkit.model.sections.health_check import KINDS, WAYS, Change, HealthCheck, Interval
from dsrkit.model.sections.health_check import VERDICTS as STATES
from dsrkit.model.sections.session import ENDS, PROOFS, Endpoint, Session
from dsrkit.model.sections.spread import EVENNESS, Fairness, Load, Spread

NAMES = st.sampled_from(["A", "B", "C", "web1"])
MAYBE = st.none() | NAMES
COUNTS = st.integers(0, 1000)


def tuples(items: st.SearchStrategy[object], size: int = 3) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=size).map(tuple)


FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(["DSR301", "l2dsr.lb.ip.ttl"]),
    name=NAMES,
    severity=st.sampled_from(SEVERITIES),
    message=st.text(),
    node=MAYBE,
    nodes=tuples(NAMES),
    tap=MAYBE,
    count=st.integers(1, 99),
    frames=tuples(st.builds(FrameRef, NAMES, st.integers(1, 9)), MAX_EXAMPLES + 2),
    field=MAYBE,
    candidates=tuples(NAMES),
    symptoms=tuples(NAMES),
)
CELLS = st.builds(
    CellVerdict,
    cell=NAMES,
    hop=st.sampled_from(["A→B.in", "B.in→B.out"]),
    direction=st.sampled_from(DIRECTIONS),
    verdict=st.sampled_from(VERDICTS),
    checked=COUNTS,
    failed=COUNTS,
    reason=MAYBE,
)
EVEN = st.none() | st.builds(DnsFairness, COUNTS, st.none() | st.floats(0, 1), st.just("exact"), st.booleans())
FRAMES = st.builds(FrameRef, NAMES, st.integers(1, 9))
NAMED = st.builds(
    Dns,
    NAMES,
    st.sampled_from(["A", "AAAA"]),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    ttl_min=st.none() | COUNTS,
    ttl_max=COUNTS,
    chain=tuples(NAMES),
    records=tuples(st.builds(DnsRecord, NAMES, MAYBE, COUNTS, COUNTS, COUNTS, COUNTS)),
    parties=tuples(
        st.builds(
            DnsParty,
            NAMES,
            st.sampled_from(["server", "client"]),
            MAYBE,
            COUNTS,
            COUNTS,
            COUNTS,
            st.sampled_from(ROTATIONS),
            tuples(st.tuples(NAMES, COUNTS)),
            EVEN,
        )
    ),
    tied=COUNTS,
    untied=COUNTS,
    stale=COUNTS,
    fairness=EVEN,
    connections=tuples(
        st.builds(
            DnsConnection,
            NAMES,
            NAMES,
            COUNTS,
            COUNTS,
            FRAMES,
            st.sampled_from(RESULTS),
            MAYBE,
            st.none() | FRAMES,
            st.none() | FRAMES,
            st.none() | st.floats(0, 9),
            st.none() | COUNTS,
            st.none() | COUNTS,
        )
    ),
)
LOADS = st.builds(Load, MAYBE, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
SPREADS = st.builds(
    Spread,
    MAYBE,
    st.sampled_from(["tcp/80", "udp/53"]),
    servers=tuples(LOADS),
    load_balancers=tuples(LOADS),
    fairness=st.none()
    | st.builds(
        Fairness,
        st.sampled_from(EVENNESS),
        st.sampled_from(["exact", "chi-square", "none"]),
        COUNTS,
        COUNTS,
        st.none() | st.floats(0, 1),
        st.floats(0, 1),
    ),
    moved=COUNTS,
    rescheduled=COUNTS,
    handed_over=COUNTS,
)
CHECKS = st.builds(
    HealthCheck,
    checker=NAMES,
    source=NAMES,
    server=NAMES,
    address=MAYBE,
    kind=st.sampled_from(KINDS),
    target=NAMES,
    port=st.sampled_from([0, 80]),
    request=MAYBE,
    size=COUNTS,
    through=st.sampled_from(WAYS),
    carried=st.just("plain"),
    tap=NAMES,
    interval=st.builds(Interval, COUNTS, st.floats(0, 9), st.floats(0, 9)),
    probes=COUNTS,
    passed=COUNTS,
    failed=COUNTS,
    answer_ms=st.none() | st.floats(0, 9),
    timeout_ms=st.none() | st.floats(0, 9),
    first_ns=COUNTS,
    last_ns=COUNTS,
    verdict=st.sampled_from(STATES),
    history=tuples(
        st.builds(
            Change,
            COUNTS,
            st.floats(0, 9),
            st.sampled_from(STATES),
            NAMES,
            COUNTS,
            st.builds(FrameRef, NAMES, st.integers(1, 9)),
            st.none() | COUNTS,
        )
    ),
    connections=COUNTS,
    unanswered=COUNTS,
)
TRAFFIC = st.builds(Traffic.of, COUNTS, COUNTS, COUNTS) | st.builds(Traffic, COUNTS, COUNTS, COUNTS)
ENDPOINTS = st.builds(Endpoint, st.just("192.0.2.1"), st.integers(0, 1), MAYBE)
FRAMES = st.builds(FrameRef, NAMES, st.integers(1, 3))
SESSIONS = st.builds(
    Session,
    *[ENDPOINTS] * 4,
    start_ns=st.integers(0, 1),
    delay_ms=st.none() | st.integers(0, 5).map(float),
    by=st.sets(st.sampled_from(PROOFS)).map(lambda found: tuple(proof for proof in PROOFS if proof in found)),
    requests=st.integers(0, 3),
    proxy_header=MAYBE,
    end=st.sampled_from(ENDS),
    frame_1=st.none() | FRAMES,
    frame_2=FRAMES,
)
REPORTS = st.builds(
    Report,
    mode=st.sampled_from([None, "nat", "nat", "l2dsr"]),
    mode_from=st.sampled_from(MODE_FROM),
    profile=st.none() | st.sampled_from(PROFILES),
    mechanisms=tuples(st.sampled_from(["nat", "garp"])),
    service=st.builds(
        Service,
        vip=tuples(NAMES),
        ports=tuples(NAMES),
        tunnel=st.none() | st.sampled_from([{"type": "ipip"}, {"type": "gre", "checksum": True}]),
        dscp=st.dictionaries(st.integers(0, 3), NAMES, max_size=2),
    ),
    nodes=tuples(st.builds(Node, NAMES, st.sampled_from(ROLES), tuples(NAMES), tuples(NAMES))),
    path=st.builds(Path, tuples(NAMES), tuples(NAMES)),
    taps=tuples(st.builds(Tap, NAMES, NAMES, MAYBE, MAYBE, MAYBE, COUNTS, COUNTS, st.integers())),
    journeys=tuples(
        st.builds(Journey, NAMES, NAMES, st.sampled_from(DIRECTIONS), st.sampled_from(["tcp", "udp"]), COUNTS, COUNTS)
    ),
    findings=tuples(FINDINGS),
    cells=tuples(CELLS),
    traffic=TRAFFIC,
    health_checks=tuples(CHECKS),
    dns=tuples(NAMED, 2),
    spread=tuples(SPREADS),
    sessions=tuples(SESSIONS),
    notes=tuples(st.text(max_size=3)),
    fail_on=st.sampled_from(FAIL_ON),
)


def merged(*reports: Report) -> Report | None:
    """All of them from left to right; None if their modes contradict."""
    try:
        return reduce(Report.merge, reports)
    except UsageError:
        return None


@settings(deadline=None)
@given(REPORTS, REPORTS, REPORTS)
def test_merge_is_associative(a: Report, b: Report, c: Report) -> None:
    b_and_c = merged(b, c)
    assert merged(a, b, c) == (None if b_and_c is None else merged(a, b_and_c))


@settings(deadline=None)  # a whole report against its schema takes its time on a busy machine
@given(REPORTS)
def test_json_follows_the_schema(report: Report) -> None:
    jsonschema.validate(json.loads(report.to_json()), REPORT_SCHEMA)


@settings(deadline=None)
@given(REPORTS)
def test_an_empty_report_adds_nothing(report: Report) -> None:
    empty = Report(fail_on="never")
    once = report.merge(empty)
    assert once == empty.merge(report)
    assert once.merge(empty) == once
    assert once.exit_code == report.exit_code


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


def test_merge_adds_counts() -> None:
    a, b = clean_report(), faulty_report()
    both = a.merge(b)
    assert [tap.packets for tap in both.taps] == [960, 480, 12]
    assert both.journeys[0].paired == 240
    assert both.cells[0].checked == 240
    assert both.mode_from == "spec"
    assert both.profile == "any"
    assert both.findings == b.findings
    twice = both.merge(b).findings[0]
    assert twice.count == 24
    assert twice.frames == b.findings[0].frames, "a frame is one example, however often it is named"


def test_merge_keeps_the_worst_verdict_and_its_reason() -> None:
    def verdict(*cells: CellVerdict) -> CellVerdict:
        (cell,) = reduce(Report.merge, [Report(cells=(cell,)) for cell in cells]).cells
        return cell

    assert verdict(BLIND, CELL) == CELL
    assert verdict(CELL, BROKEN, BLIND) == dataclasses.replace(BROKEN, checked=6)
    assert verdict(BLIND, BLIND).reason == "no capture of C"


def test_merge_keeps_the_first_examples() -> None:
    def finding(start: int) -> Report:
        frames = tuple(FrameRef("B.pcap", number) for number in range(start, start + 8))
        return Report(findings=(dataclasses.replace(INFO, frames=frames, count=8),))

    (both,) = finding(1).merge(finding(9)).findings
    assert both.count == 16
    assert [frame.frame for frame in both.frames] == list(range(1, MAX_EXAMPLES + 1))


def test_findings_at_different_nodes_or_taps_stay_apart() -> None:
    a = Report(findings=(dataclasses.replace(INFO, node="web1"),))
    b = Report(findings=(dataclasses.replace(INFO, node="web2"), dataclasses.replace(INFO, tap="B")))
    assert len(a.merge(b).findings) == 3


def test_merge_refuses_two_modes() -> None:
    with pytest.raises(UsageError, match="nat and l2dsr"):
        Report(mode="nat").merge(Report(mode="l2dsr"))
    assert Report(mode="nat").merge(Report()).mode == "nat"


def test_traffic_share_is_unknown_if_part_of_it_is() -> None:
    known, unknown = Traffic.of(100, 900, 100), Traffic(100, 900, 0)
    assert known.bypassed_lb == 0.9
    assert known.merge(known) == Traffic(200, 1800, 200, 0.9)
    assert known.merge(unknown).bypassed_lb is None
    assert known.merge(Traffic()) == known
    assert Traffic.of(10, 0, 30).bypassed_lb == 0.0, "a hairpin counted twice cannot make the share negative"
