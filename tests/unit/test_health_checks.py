"""Health checks of crafted conversations: recognised with their way and interval, faults found, healthy ones silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenarios import loud

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.model.report import Report
from dsrkit.tables.checks.health import CHECKS

PATHS = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")


def verified(tmp_path: Path, *, mode: str = "health", spec: str = "", **options: Any) -> Report:
    file = tmp_path / "made.pcapng"
    craft(mode, **options).write(file)
    if not spec:
        return dsrkit.verify(file)
    stated = tmp_path / "dsr.toml"
    stated.write_text(f"spec = 1\n{spec}\n")
    return dsrkit.verify(file, spec=stated)


def severities(report: Report) -> dict[str, str]:
    """Failed checks, with the severity of the finding that explains them."""
    return {check: f.severity for f in report.findings for check in f.symptoms if check.startswith("health.")}


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("check", ["ping", "tcp", "http"])
@pytest.mark.parametrize("data_path", PATHS)
def test_healthy_checks_are_known_and_silent(tmp_path: Path, data_path: str, check: str, ip: str) -> None:
    report = verified(tmp_path, data_path=data_path, check=check, ip=ip, flows=4, interval="3s", seed=7)
    assert report.mode == data_path
    assert report.mechanisms == (data_path, "health")
    way = "rip" if data_path in {"nat", "fullnat"} else "vip"
    assert [(c.kind, c.through, c.verdict) for c in report.health_checks] == [(check, way, "up")] * 2
    assert len({c.server for c in report.health_checks}) == 2
    for one in report.health_checks:
        assert one.interval.median_ms == pytest.approx(3000, abs=5)
        assert (one.probes, one.passed, one.failed) == (5, 5, 0)
        assert one.request == ("GET /health" if check == "http" else None)
    assert not loud(report)
    assert report.exit_code == 0


def test_the_way_is_named(tmp_path: Path) -> None:
    carried = {
        path: {c.carried for c in verified(tmp_path, data_path=path).health_checks} for path in PATHS if path != "nat"
    }
    assert carried == {
        "fullnat": {"plain"},
        "l2dsr": {"mac"},
        "l3dsr-tunnel": {"ipip"},
        "l3dsr-dscp": {"dscp 7"},
    }


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("HCK701", {"health.lb.through-vip": "warning"}),
        ("HCK702", {"health.lb.takes-reply": "error"}),
        ("HCK703", {"health.lb.takes-reply": "error"}),
        ("HCK704", {"health.lb.tag": "info"}),
        ("HCK705", {"health.lb.tests-service": "error"}),  # the refused clients are part of it
    ],
)
def test_faults_are_found(tmp_path: Path, code: str, found: dict[str, str]) -> None:
    report = verified(tmp_path, fault=code)
    assert severities(report) == found
    (rule,) = found
    assert code in CHECKS[rule].codes
    (finding,) = [f for f in report.findings if rule in f.symptoms]
    assert finding.code == code
    assert "lb" in finding.nodes
    assert set(finding.nodes) <= ({"lb", "rs1"} if code == "HCK705" else {"lb"})


def test_checks_past_the_data_path_accuse_nobody_without_a_fault(tmp_path: Path) -> None:
    report = verified(tmp_path, through="rip", flows=6)
    assert not report.findings
    (cell,) = [c for c in report.cells if c.cell == "health.lb.through-vip"]
    assert cell.verdict == "not_observable"
    assert cell.reason is not None
    assert "no server here shows such a fault" in cell.reason


def test_an_outage_is_told_with_the_traffic_that_left(tmp_path: Path) -> None:
    report = verified(tmp_path, outage=True, flows=20, rate=2.0, checks=8)
    (finding,) = loud(report)
    assert finding.nodes == ("rs1",)
    assert "health.real-server.passes" in finding.symptoms, "failed checks and refused clients are one outage"
    first, second = report.health_checks
    assert [(c.verdict, c.probes, c.reason) for c in first.history] == [
        ("up", 2, "HTTP 200"),
        ("down", 2, "refused (RST)"),
        ("up", 4, "HTTP 200"),
    ]
    down, up = first.history[1:]
    assert down.traffic_ns is not None
    assert down.traffic_ns < down.at_ns
    assert up.traffic_ns is not None
    assert up.traffic_ns > up.at_ns
    assert [c.verdict for c in second.history] == ["up"]
    assert "last new one" in report_text(report)


def report_text(report: Report) -> str:
    from dsrkit.report.text import render

    return render(report)


@pytest.mark.parametrize("mode", ["nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp", "l7", "dns-rr", "garp"])
def test_clients_that_come_at_an_interval_are_no_checks(tmp_path: Path, mode: str) -> None:
    report = verified(tmp_path, mode=mode, flows=24, rate=1.0)
    assert not report.health_checks
    assert "health" not in report.mechanisms


STATED = """
[[health]]
type = "http"
interval = {interval}
path = "{path}"
through = "{through}"
"""


@pytest.mark.parametrize(
    ("interval", "path", "through", "found"),
    [
        (2.0, "/health", "vip", {}),
        (2.5, "/health", "vip", {}),
        (10.0, "/health", "vip", {"health.lb.interval": "warning"}),
        (2.0, "/ready", "vip", {"health.lb.request": "warning"}),
        (2.0, "/health", "rip", {"health.lb.stated-way": "info"}),
    ],
)
def test_a_spec_is_held_against_them(
    tmp_path: Path, interval: float, path: str, through: str, found: dict[str, str]
) -> None:
    stated = STATED.format(interval=interval, path=path, through=through)
    assert severities(verified(tmp_path, spec=stated)) == found


def test_stated_checks_that_nobody_makes_are_not_observable(tmp_path: Path) -> None:
    report = verified(tmp_path, mode="l2dsr", spec=STATED.format(interval=2.0, path="/", through="rip"))
    assert [(c.cell, c.verdict) for c in report.cells if c.cell.startswith("health.")] == [
        ("health.lb.interval", "not_observable")
    ]
