"""Recorded faults of takeovers and proxies: their cause is named, with all taps and with fewer."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from scenarios import PCAPS, Scenario, loud

import dsrkit

ACCEPTED = {
    "b08-garp-not-sent": ("ARP104", {"ARP104", "ARP117", "ARP112"}, {"lb1"}, {"lb2"}),
    "b14-proxyv2-unexpected": ("PRX801", {"PRX801"}, {"rs1", "rs2", "rs3", "lb"}, {"rs1", "rs2", "rs3", "lb"}),
}
"""The true cause, its candidates, and the machines that are named blind and with a spec: the new owner of the VIP sends
not one frame, so that packets alone know the old one only."""
SCENARIOS = [Scenario(next(PCAPS.glob(f"*/{name}"))) for name in ACCEPTED]
HEALTHY = [
    Scenario(path.parent)
    for name in ("garp-*", "dns-rr", "l7-*")
    for path in sorted(PCAPS.glob(f"*/{name}/truth.json"))
]


@pytest.mark.parametrize("stated", [False, True], ids=["blind", "spec"])
@pytest.mark.parametrize("case", SCENARIOS, ids=str)
def test_the_cause_and_nothing_else(case: Scenario, stated: bool, tmp_path: Path) -> None:
    best, candidates, blind, known = ACCEPTED[case.name]
    report = dsrkit.verify(spec=case.spec(tmp_path)) if stated else dsrkit.verify(case.files)
    (finding,) = loud(report)
    assert finding.code == best
    assert set(finding.candidates) == ({best} if stated else candidates)
    assert case.true_names(report, finding.nodes) == (known if stated else blind)
    assert finding.symptoms
    assert finding.frames
    assert finding.settle
    assert not set(finding.ruled_out) & set(finding.candidates), "what is ruled out is no candidate"


@pytest.mark.parametrize("size", [1, 2], ids=["singles", "pairs"])
@pytest.mark.parametrize("case", SCENARIOS, ids=str)
def test_fewer_taps_never_name_another_cause(case: Scenario, size: int) -> None:
    best = ACCEPTED[case.name][0]
    found = 0
    for files in combinations(case.files, size):
        for finding in loud(dsrkit.verify(files)):
            assert best in finding.candidates, [path.stem for path in files]
            assert finding.settle
            found += 1
    assert found >= {1: 1, 2: 5}[size]


def test_a_stated_machine_without_an_announcement_is_the_one_to_mend(tmp_path: Path) -> None:
    """A tap at the new owner that shows no announcement excludes one that was lost on its way."""
    case = next(case for case in SCENARIOS if case.name.startswith("b08"))
    (finding,) = loud(dsrkit.verify(spec=case.spec(tmp_path)))
    assert finding.nodes == ("lb2",)
    assert finding.ruled_out.keys() == {"ARP117", "HCK706"}
    assert "l2dsr.lb.appears" in finding.symptoms


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_healthy_mechanisms_accuse_nobody(case: Scenario, tmp_path: Path) -> None:
    assert loud(dsrkit.verify(case.files)) == []
    assert loud(dsrkit.verify(spec=case.spec(tmp_path))) == []
