"""Crafted faults of mechanisms: one cause for all that follows from it, and no other one where taps are missing."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from confusion.alike import goes_with
from scenarios import loud

import dsrkit
from dsrkit.model.report import Report


def verified(folder: Path, mode: str, fault: str, **options: Any) -> Report:
    path = folder / "made.pcapng"
    dsrkit.craft(mode, fault=fault, **options).write(path)
    return dsrkit.verify(path)


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("mode", ["nat", "fullnat"])
def test_a_port_that_is_not_the_stated_one_is_the_balancers(mode: str, ip: str, tmp_path: Path) -> None:
    """Without a spec the server that refuses is named; with one, whoever sends to the wrong port."""
    dsrkit.craft(mode, fault="NAT212", ip=ip).write_split(tmp_path)
    (blind,) = loud(dsrkit.verify(sorted(tmp_path.glob("*.pcap"))))
    assert (blind.code, blind.nodes) == ("NAT212", ("rs1",))
    (stated,) = loud(dsrkit.verify(spec=tmp_path / "dsr.toml"))
    assert (stated.code, stated.candidates, stated.nodes) == ("NAT212", ("NAT212",), ("lb1",))
    assert set(stated.symptoms) == {f"{mode}.lb.l4.dstport", f"{mode}.real-server.answered"}


@pytest.mark.parametrize("check", ["tcp", "ping"])
@pytest.mark.parametrize("path", ["nat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
def test_servers_that_all_fail_their_checks_are_one_cause(path: str, check: str, tmp_path: Path) -> None:
    (finding,) = loud(verified(tmp_path, "health", "HCK706", data_path=path, check=check))
    assert finding.code == "HCK706"
    assert finding.nodes == ("rs1", "rs2")
    assert "health.real-server.passes" in finding.symptoms
    assert not set(finding.ruled_out) & set(finding.candidates)


@pytest.mark.parametrize(("taps", "severity"), [("A B C D", "error"), ("B", "warning")])
def test_checks_that_all_fail_tell_where_no_refusal_of_a_client_is_legible(
    taps: str, severity: str, tmp_path: Path
) -> None:
    dsrkit.craft("health", fault="HCK706", ip="6", snaplen=96).write_split(tmp_path)
    (finding,) = loud(dsrkit.verify([tmp_path / f"{tap}.pcap" for tap in taps.split()]))
    assert (finding.code, finding.severity, finding.nodes) == ("HCK706", severity, ("rs1", "rs2"))


@pytest.mark.parametrize("code", ["HCK702", "HCK703"])
def test_refused_clients_are_part_of_it_where_no_tap_is_at_the_balancer(code: str, tmp_path: Path) -> None:
    dsrkit.craft("health", fault=code).write_split(tmp_path)
    (finding,) = loud(dsrkit.verify([tmp_path / "A.pcap", tmp_path / "C.pcap"], spec=tmp_path / "dsr.toml"))
    assert (finding.code, finding.nodes) == (code, ("lb1",))
    assert len(finding.symptoms) == 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_check_whose_end_is_lost_has_no_verdict(seed: int, tmp_path: Path) -> None:
    (finding,) = loud(verified(tmp_path, "health", "HCK702", loss="2%", seed=seed, flows=8))
    assert (finding.code, finding.nodes) == ("HCK702", ("lb",))


@pytest.mark.parametrize("check", ["tcp", "ping"])
@pytest.mark.parametrize("path", ["l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
def test_a_check_that_misses_a_fault_stands_beside_it_as_a_warning(path: str, check: str, tmp_path: Path) -> None:
    cause, companion = loud(verified(tmp_path, "health", "HCK701", data_path=path, check=check))
    assert (cause.severity, cause.nodes) == ("error", ("rs1",))
    assert (companion.code, companion.severity, companion.nodes) == ("HCK701", "warning", ("lb",))
    assert cause.code in companion.message
    assert {cause.code, *cause.candidates} & goes_with("HCK701")


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("path", ["nat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
def test_a_service_that_is_down_and_pings_that_do_not_see_it_are_one_cause(path: str, ip: str, tmp_path: Path) -> None:
    (finding,) = loud(verified(tmp_path, "health", "HCK705", data_path=path, check="ping", ip=ip))
    assert (finding.code, finding.severity, set(finding.nodes)) == ("HCK705", "error", {"rs1", "lb"})
    assert {"health.lb.tests-service", f"{path}.real-server.answered"} == set(finding.symptoms)
    assert {"DSR303", "NAT212"} & set(finding.candidates)


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("check", ["tcp", "ping", "http"])
def test_answers_from_the_vip_that_the_checker_does_not_wait_for(check: str, ip: str, tmp_path: Path) -> None:
    (finding,) = loud(verified(tmp_path, "health", "HCK702", check=check, ip=ip))
    assert (finding.code, finding.nodes) == ("HCK702", ("lb",))
    assert "HCK703" in finding.candidates
    assert not set(finding.ruled_out) & set(finding.candidates)


@pytest.mark.parametrize("check", ["tcp", "ping"])
def test_answers_that_the_checker_drops_explain_why_clients_are_refused(check: str, tmp_path: Path) -> None:
    (finding,) = loud(verified(tmp_path, "health", "HCK703", data_path="l2dsr", check=check))
    assert finding.code == "HCK703"
    assert finding.nodes == ("lb",)
    assert any(cell.startswith("l2dsr.") for cell in finding.symptoms)


@pytest.mark.parametrize("code", ["ARP104", "ARP109", "ARP112", "ARP118"])
def test_one_or_two_taps_at_a_takeover_name_no_other_cause(code: str, tmp_path: Path) -> None:
    dsrkit.craft("garp", fault=code).write_split(tmp_path)
    taps, found = sorted(tmp_path.glob("*.pcap")), 0
    for size in (1, 2):
        for files in combinations(taps, size):
            for finding in loud(dsrkit.verify(files)):
                assert code in finding.candidates, [file.stem for file in files]
                found += 1
    assert found >= 5
