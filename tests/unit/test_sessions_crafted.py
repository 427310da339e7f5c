"""Crafted proxies: whatever the options, every connection has its server and nothing accuses; each fault is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import loud, verified

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.model.frame import FrameRef
from dsrkit.model.report import Report
from dsrkit.model.schema import REPORT_SCHEMA
from dsrkit.model.sections.session import ENDS, PROOFS, Endpoint, Session
from dsrkit.report.text import render
from dsrkit.tables.checks.sessions import CHECKS

VARIATIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "payload"),
    ({"proxy": 1}, "proxy-header"),
    ({"proxy": 2}, "proxy-header"),
    ({"proxy": 2, "crc32c": True, "proxy_tlv": ("authority=www.example.com", "ssl=TLSv1.3")}, "proxy-header"),
    ({"xff": True}, "forwarded-for"),
    ({"server_port": 8080, "request": 3000, "reply": 30_000}, "payload"),
    ({"rate": 2000.0, "vlan": 7, "ecn": True}, "payload"),
    ({"clients": 3, "real_servers": 3, "seed": 5}, "payload"),
]


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize(("options", "proof"), VARIATIONS, ids=str)
def test_each_connection_goes_to_the_next_server(options: dict[str, Any], proof: str, ip: str, tmp_path: Path) -> None:
    report = verified(craft("l7", flows=6, ip=ip, **options), tmp_path)
    assert report.mode == "l7"
    assert loud(report) == []
    ordered = sorted(report.sessions, key=lambda s: s.start_ns)
    assert len(ordered) == len({s.client for s in ordered}) == 6
    assert all(proof in s.by for s in ordered)
    servers = [s.server.ip for s in ordered]
    count = options.get("real_servers", 2)
    assert len(set(servers)) == count
    assert servers == servers[:count] * (6 // count)
    assert {node.role for node in report.nodes} == {"client", "router", "lb", "real-server"}


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize(
    ("fault", "options", "check", "severity"),
    [
        ("PRX801", {}, "l7.real-server.header-agreed", "error"),
        ("PRX801", {"proxy": 2}, "l7.real-server.header-agreed", "error"),
        ("PRX802", {}, "l7.lb.returns", "error"),
        ("PRX803", {}, "l7.lb.idle-ends-both", "warning"),
        ("PRX805", {}, "l7.real-server.accepts", "error"),
    ],
)
def test_a_fault_is_found(
    fault: str, options: dict[str, Any], check: str, severity: str, ip: str, tmp_path: Path
) -> None:
    report = verified(craft("l7", flows=6, ip=ip, fault=fault, **options), tmp_path)
    assert [(f.code, f.severity, f.symptoms) for f in loud(report)] == [(fault, severity, (check,))]
    assert fault in CHECKS[check].codes


def test_one_session_through_a_proxy_is_nat(tmp_path: Path) -> None:
    made = craft("l7", flows=6, fault="PRX804")
    assert verified(made, tmp_path).mode == "nat"
    stated = dsrkit.verify(str(tmp_path / "made.pcapng"), mode="l7")
    assert "PRX804" in {finding.code for finding in loud(stated)}


def test_the_spec_states_the_header(tmp_path: Path) -> None:
    made = craft("l7", flows=4, proxy=1)
    verified(made, tmp_path)
    spec = tmp_path / "dsr.toml"
    for version, codes in ((1, []), (2, ["PRX801"])):
        spec.write_text(
            'spec = 1\n[[service]]\nmode = "l7"\nvip = "203.0.113.10"\nports = ["tcp/80"]\n'
            f'[proxy]\nversion = {version}\n[[tap]]\nname = "all"\nfile = "made.pcapng"\n',
            encoding="utf-8",
        )
        report = dsrkit.verify(spec=spec)
        assert [finding.code for finding in loud(report)] == codes


# --- the section ------------------------------------------------------------------------------------------------------

ENDPOINTS = st.builds(Endpoint, st.just("192.0.2.1"), st.integers(0, 1), st.sampled_from([None, "a", "b\x1b[31m"]))
FRAMES = st.builds(FrameRef, st.sampled_from("ab"), st.integers(1, 3))
SESSIONS = st.builds(
    Session,
    client=ENDPOINTS,
    vip=ENDPOINTS,
    proxy=ENDPOINTS,
    server=ENDPOINTS,
    start_ns=st.integers(0, 1),
    delay_ms=st.none() | st.integers(0, 5).map(float),
    by=st.sets(st.sampled_from(PROOFS)).map(lambda found: tuple(proof for proof in PROOFS if proof in found)),
    requests=st.integers(0, 3),
    proxy_header=st.sampled_from([None, "v1 PROXY", "v2 LOCAL"]),
    end=st.sampled_from(ENDS),
    frame_1=st.none() | FRAMES,
    frame_2=FRAMES,
)
REPORTS = st.builds(Report, sessions=st.lists(SESSIONS, max_size=3).map(tuple))


@settings(deadline=None, max_examples=40)  # the schema is large
@given(REPORTS)
def test_sessions_are_shown_and_follow_the_schema(report: Report) -> None:
    jsonschema.validate(json.loads(report.to_json()), REPORT_SCHEMA)
    page = render(report)
    assert "\x1b" not in page
    assert ("Sessions" in page) == bool(report.sessions)


def test_the_table_is_bounded() -> None:
    end, frame = Endpoint("192.0.2.1", 80), FrameRef("a", 1)
    clients = (Endpoint("192.0.2.2", port) for port in range(5000))
    rows = tuple(
        Session(client, end, end, end, client.port, None, ("payload",), 1, None, "closed", None, frame)
        for client in clients
    )
    page = render(Report(sessions=rows))
    assert len(page.splitlines()) < 60
    assert "4970 more" in page
    assert "5,000 sessions of clients over 1 with servers, 5,000 requests" in page
