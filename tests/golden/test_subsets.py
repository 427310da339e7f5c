"""Users rarely have every tap: with any one or two, nobody healthy is accused and no mode is guessed wrongly."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from itertools import combinations

import pytest
from missing_taps import PROPERTY, RATCHET, Count, truth
from scenarios import CAPTURES, Scenario, cases, loud, shared

import dsrkit

IN_PCAPS = {case.name for case in cases()}
EVERY = [*cases(), *(s for s in shared() if s.name not in IN_PCAPS)]
HEADER_MODES = {"nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"}
DIRECT_RETURN = {"l2dsr", "l3dsr-tunnel", "l3dsr-dscp"}
SIZES = pytest.mark.parametrize("size", [1, 2], ids=["singles", "pairs"])


@SIZES
@pytest.mark.parametrize("scenario", EVERY, ids=str)
def test_subsets(scenario: Scenario, size: int, record_property: Callable[[str, object], None]) -> None:
    wrong = []
    checked = 0
    count = Count()
    for files in combinations(scenario.files, size):
        report = dsrkit.verify(files)
        names = "+".join(path.stem for path in files)
        # Not yet judged modes (dns-rr, garp, l7) look like a path, or like the header mode under them.
        if report.mode not in {scenario.mode, None, *scenario.modes}:
            wrong.append(f"{names}: mode {report.mode}")
        if scenario.healthy:
            wrong += [f"{names}: {finding.code} {finding.message}" for finding in loud(report)]
        elif scenario.name in truth():
            count.add(scenario, report, names)
        checked += report.rules.passed > 0
        assert report.rules.failed == 0 or report.findings, names
        assert (report.exit_code == 2) == (report.rules.passed + report.rules.failed == 0 and not loud(report)), names
    assert wrong == []
    assert count.wrong == []
    if count.subsets:
        words = {1: "singles", 2: "pairs"}[size]
        record_property(PROPERTY, [scenario.name, words, count.right, count.open, count.subsets])
        before = tomllib.loads(RATCHET.read_text(encoding="utf-8"))[scenario.name][words]
        assert count.right >= before, f"{count.right} of {count.subsets} name the cause, and {before} did"
    if scenario.healthy and scenario.mode in HEADER_MODES and size == 2:
        # A report that checked nothing is no silence: most pairs of taps show a hop.
        total = len(list(combinations(scenario.files, 2)))
        assert checked >= 0.7 * total, f"{checked} of {total} pairs of taps prove anything"


@pytest.mark.parametrize("scenario", [s for s in EVERY if s.healthy and s.mode in DIRECT_RETURN], ids=str)
def test_the_load_balancers_tap_alone(scenario: Scenario) -> None:
    """In direct server return one capture on link B holds the request before and after the load balancer."""
    for capture in scenario.truth["captures"]:
        if capture["role"] == "l4-switch" and not scenario.truth.get("vip_owner_before"):
            report = dsrkit.verify(scenario.folder / capture["file"])
            assert report.mode == scenario.mode
            assert report.exit_code == 0
            assert any(".lb." in cell.cell and cell.verdict == "pass" for cell in report.cells)
            assert any(j.source.endswith(".in") and j.target.endswith(".out") and j.paired for j in report.journeys)


@pytest.mark.skipif(not shared(), reason=f"the shared captures are not in {CAPTURES}")
@pytest.mark.parametrize("scenario", [s for s in shared() if s.name not in IN_PCAPS], ids=str)
def test_all_taps_of_shared_captures(scenario: Scenario) -> None:
    """The scenarios beyond pcaps/, with all their taps: healthy ones stay silent."""
    report = dsrkit.verify(scenario.files)
    assert report.mode in {None, *scenario.modes}
    if scenario.healthy:
        assert [(finding.code, finding.message) for finding in loud(report)] == []
