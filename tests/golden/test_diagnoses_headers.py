"""Recorded misconfigurations of headers and ways, which often work by accident: their cause is named."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from scenarios import PCAPS, Scenario, loud

import dsrkit
from dsrkit.model.report import Report

ACCEPTED = {
    "b02-dr-arp-flux": ("ARP101", {"ARP101", "ARP102", "ARP114", "ARP119"}, {"rs1", "rs2", "rs3"}),
    "b07-tun-mtu-frag-needed": ("TUN405", {"TUN405", "TUN404"}, {"rs1", "rs2", "rs3"}),
    "b10-dr-arp-announce-wrong": ("ARP103", {"ARP103"}, {"rs3"}),
    "b13-dr-reply-via-lb": ("DSR308", {"DSR308"}, {"rs1", "rs2", "rs3"}),
}
"""The true cause, all candidates that packets leave, and the machines to be mended."""
NO_BALANCER = {"ARP116", "ARP109"}
"""More candidates where no packet shows a load balancer at work."""
SCENARIOS = [Scenario(next(PCAPS.glob(f"*/{name}"))) for name in ACCEPTED]


def named(case: Scenario, report: Report, names: tuple[str, ...]) -> set[str]:
    """The true names of machines that a report calls by name or, where it has none, by MAC."""
    by_mac = {mac: node for node in case.truth["nodes"] for mac in case.macs(node)}
    return {by_mac.get(name, name) for name in case.true_names(report, names)}


@pytest.mark.parametrize("stated", [False, True], ids=["blind", "spec"])
@pytest.mark.parametrize("case", SCENARIOS, ids=str)
def test_the_cause_and_nothing_else(case: Scenario, stated: bool, tmp_path: Path) -> None:
    best, candidates, nodes = ACCEPTED[case.name]
    report = dsrkit.verify(case.files, spec=case.spec(tmp_path)) if stated else dsrkit.verify(case.files)
    (finding,) = loud(report)
    assert finding.code == best
    assert set(finding.candidates) - (NO_BALANCER if report.mode is None else set()) == candidates
    accused = named(case, report, finding.nodes)
    assert accused
    assert accused <= nodes
    assert finding.symptoms
    assert finding.frames
    assert finding.settle
    assert "[" not in finding.message, "every choice of number is made"
    assert not set(finding.ruled_out) & candidates, "what is ruled out is no candidate"


@pytest.mark.parametrize("size", [1, 2], ids=["singles", "pairs"])
@pytest.mark.parametrize("case", SCENARIOS, ids=str)
def test_fewer_taps_never_name_another_cause(case: Scenario, size: int) -> None:
    best, _, nodes = ACCEPTED[case.name]
    found = 0
    for files in combinations(case.files, size):
        report = dsrkit.verify(files)
        for finding in loud(report):
            taps = [path.stem for path in files]
            assert best in finding.candidates, taps
            assert named(case, report, finding.nodes) <= nodes | {"lb"}, taps
            found += 1
    assert found >= {1: 1, 2: 4}[size]


def test_the_limit_is_the_one_that_the_error_states() -> None:
    case = next(s for s in SCENARIOS if s.name.startswith("b07"))
    (finding,) = loud(dsrkit.verify(case.files))
    assert "1480" in finding.message
    assert "1440 would fit" in finding.message
    assert "TUN408" in finding.ruled_out
    assert "TUN423" in finding.ruled_out
