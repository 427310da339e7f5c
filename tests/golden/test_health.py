"""Recorded health checks: keepalived's, beside three data paths, against what setup told it to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenarios import Scenario, cases

import dsrkit
from dsrkit.model.names import REWRITES
from dsrkit.model.sections import HealthCheck

CASES = cases(["health"])
KINDS = {"TCP_CHECK": "tcp", "HTTP_GET": "http", "PING_CHECK": "ping"}


def configured(case: Scenario) -> tuple[str, float]:
    """Kind and interval (ms) in the configuration that was run."""
    text = (case.folder / "setup.sh").read_text()
    (kind,) = {KINDS[word] for word in re.findall("|".join(KINDS), text)}
    (seconds,) = set(re.findall(r"delay_loop (\d+)", text))
    return kind, 1000.0 * int(seconds)


def told(case: Scenario, check: HealthCheck) -> tuple[str, str]:
    """Checker and server by their names in truth.json."""
    owner = {
        address.split("/")[0]: name
        for name, node in case.truth["nodes"].items()
        for interface in node["interfaces"].values()
        for address in interface["addresses"]
    }
    return owner[check.source], owner[str(check.address)]


def test_there_is_one_of_each_kind() -> None:
    assert {configured(case)[0] for case in CASES} == set(KINDS.values())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_checks_are_those_that_were_configured(case: Scenario) -> None:
    report = dsrkit.verify(case.files)
    kind, interval = configured(case)
    assert "health" in report.mechanisms
    assert not report.findings
    director = next(name for name, node in case.truth["nodes"].items() if node["role"] == "l4-switch")
    assert sorted(told(case, check) for check in report.health_checks) == sorted(
        (director, name) for name in case.truth["real_servers"]
    )
    for check in report.health_checks:
        assert (check.kind, check.through, check.carried, check.verdict) == (kind, "rip", "plain", "up")
        assert check.interval.median_ms == pytest.approx(interval, rel=0.05)
        assert check.interval.gaps == check.probes - 1 >= 2
        assert check.failed == 0
        assert check.unanswered == 0
    served = [one for step in case.truth["steps"] for one in step.get("requests", ())]
    assert sum(check.connections for check in report.health_checks) == len(served)


@pytest.mark.parametrize(
    "file", [file for case in CASES for file in case.files], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_one_tap_alone_accuses_nobody(file: Path) -> None:
    report = dsrkit.verify(file)
    assert not report.findings
    # Clients are there too, so that checks alone are never all that such a tap shows.
    assert report.mode in {None, *REWRITES}
