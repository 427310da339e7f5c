"""Recorded misconfigurations that refuse, say nothing, or answer from a wrong address: their cause is named."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from scenarios import PCAPS, Scenario, loud

import dsrkit

ACCEPTED = {
    "b01-dr-no-vip-on-rs": ("DSR301", {"DSR301", "DSR311", "DSR316", "NAT213", "DSR323"}, {"rs2"}),
    "b01b-dr-no-vip-forward-loop": ("DSR302", {"DSR302"}, {"rs2"}),
    "b03a-tun-no-ipip-module": ("TUN401", {"TUN401", "TUN413"}, {"rs1", "rs2", "rs3"}),
    "b04-dscp-bleached": ("DSC502", {"DSC502"}, {"rtr"}),
    "b05-dscp-mismatch": ("DSC505", {"DSC505", "DSC510", "DSC501"}, {"rs2"}),
    "b06-nat-reply-bypass": ("NAT201", {"NAT201"}, {"rs1", "rs2", "rs3"}),
    "b17-dr-rs-firewall-reject": ("DSR319", {"DSR319"}, {"rs1", "rs3"}),
}
"""The true cause, all candidates that packets leave, and the machines to be mended."""
SCENARIOS = [Scenario(next(PCAPS.glob(f"*/{name}"))) for name in ACCEPTED]
BLIND_AND_STATED = pytest.mark.parametrize("stated", [False, True], ids=["blind", "spec"])


@BLIND_AND_STATED
@pytest.mark.parametrize("case", SCENARIOS, ids=str)
def test_the_cause_and_nothing_else(case: Scenario, stated: bool, tmp_path: Path) -> None:
    best, candidates, nodes = ACCEPTED[case.name]
    spec = tmp_path / "dsr.toml"
    spec.write_text(case.spec_text(), encoding="utf-8")
    report = dsrkit.verify(case.files, spec=spec) if stated else dsrkit.verify(case.files)
    (finding,) = loud(report)
    assert finding.code == best
    assert set(finding.candidates) == candidates
    assert case.true_names(report, finding.nodes) == nodes
    assert finding.symptoms
    assert finding.frames
    assert "[" not in finding.message, "every choice of number is made"
    assert not set(finding.ruled_out) & candidates, "what is ruled out is no candidate"


@pytest.mark.parametrize("size", [1, 2], ids=["singles", "pairs"])
@pytest.mark.parametrize("case", SCENARIOS, ids=str)
def test_fewer_taps_never_name_another_cause(case: Scenario, size: int) -> None:
    """A finding of one or two taps leaves the true cause among its candidates, and blames no machine that is well."""
    best, _, nodes = ACCEPTED[case.name]
    found = 0
    for files in combinations(case.files, size):
        report = dsrkit.verify(files)
        for finding in loud(report):
            assert best in finding.candidates, [path.stem for path in files]
            if len(finding.candidates) == 1 and report.mode == case.mode:
                assert case.true_names(report, finding.nodes) <= nodes | {"rtr"}, [path.stem for path in files]
            else:
                assert len(finding.candidates) == 1 or finding.settle, "what is open says what would settle it"
            found += 1
    assert found >= {1: 0, 2: 5}[size]


def _of(name: str) -> Scenario:
    return next(case for case in SCENARIOS if case.name == name)


def test_what_speaks_against_look_alikes() -> None:
    """The evidence that excludes a look-alike is that of this capture."""
    (bleached,) = loud(dsrkit.verify(_of("b04-dscp-bleached").files))
    assert set(bleached.ruled_out) >= {"DSC510", "DSC517", "NAT201"}
    assert "11 (tos 0x2c)" in bleached.message
    (bypass,) = loud(dsrkit.verify(_of("b06-nat-reply-bypass").files))
    assert "ask for the router's MAC" in bypass.message
    assert "NAT202" in bypass.ruled_out
    (rejected,) = loud(dsrkit.verify(_of("b17-dr-rs-firewall-reject").files))
    assert "its TOS is 0 although the SYN's was 0x28" in rejected.message
    assert "6 of 8 connections, while 4 to others are served" in rejected.message


def test_the_balancers_tap_alone_leaves_the_choice_open() -> None:
    """Frames that leave for a silent server: lost behind the load balancer, not answered, or the answer is lost."""
    case = _of("b01-dr-no-vip-on-rs")
    (finding,) = loud(dsrkit.verify(case.folder / "B_lb.pcap"))
    assert finding.code == "DSR301"
    assert {"DSR322", "DSR309", "DSR310"} <= set(finding.candidates)
    assert finding.settle is not None
    assert "tap at the real server" in finding.settle


def test_the_clients_tap_alone_knows_the_address_only() -> None:
    for name in ("b04-dscp-bleached", "b05-dscp-mismatch", "b06-nat-reply-bypass"):
        case = _of(name)
        (finding,) = loud(dsrkit.verify(case.folder / "A_client.pcap"))
        assert {"NAT201", "DSC501", "DSC502", "DSC505", "DSC510", "DSC517"} <= set(finding.candidates)
        _, _, nodes = ACCEPTED[name]
        wrong = {a for node in case.of_role("real-server") for a in case.addresses(node)}
        assert set(finding.nodes) <= wrong, f"the addresses that answered, not {nodes}"
