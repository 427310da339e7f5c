"""Every recorded case gets the judgement that was written down with the recording, blind and with a spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios import Scenario, cases, loud

import dsrkit
from dsrkit.model.report import Journey, Report

HEALTHY = [case for case in cases() if case.healthy]
BROKEN = [case for case in cases() if not case.healthy]
BLIND_AND_STATED = pytest.mark.parametrize("stated", [False, True], ids=["blind", "spec"])


def verified(case: Scenario, folder: Path, *, stated: bool) -> Report:
    """The report on all taps, with nothing but neutral names, or with a spec that says all that truth.json knows."""
    if stated:
        return dsrkit.verify(spec=case.spec(folder))
    return dsrkit.verify(case.blind(folder))


def adjacent(report: Report) -> list[Journey]:
    """Journey entries between neighbouring points: no third point saw packets of both."""
    met = {(j.source, j.target, j.direction) for j in report.journeys if j.paired}
    points = {point for j in report.journeys for point in (j.source, j.target)}
    return [
        j
        for j in report.journeys
        if j.paired and not any((j.source, p, j.direction) in met and (p, j.target, j.direction) in met for p in points)
    ]


@BLIND_AND_STATED
@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_healthy(case: Scenario, stated: bool, tmp_path: Path) -> None:
    report = verified(case, tmp_path, stated=stated)
    assert report.mode == case.mode
    assert report.mode_from == ("spec" if stated else "inferred")
    assert [(finding.code, finding.message) for finding in loud(report)] == []
    assert report.exit_code == case.case["expected"]["exit_code"] == 0
    assert report.rules.failed == sum(cell.verdict == "fail" for cell in report.cells) == 0
    hops = adjacent(report)
    taps = {tap.name for tap in report.taps}
    directions = {(tap, j.direction) for tap in taps for j in hops for p in (j.source, j.target) if on(p, tap)}
    assert {direction for _, direction in directions} == {"request", "reply"}
    assert {tap for tap, _ in directions} == taps, "a tap without a hop"
    proven = {(cell.hop, cell.direction) for cell in report.cells if cell.verdict == "pass" and cell.checked}
    assert [j for j in hops if (j.hop, j.direction) not in proven] == []


def on(point: str, tap: str) -> bool:
    return point == tap or point.startswith(f"{tap}.")


@BLIND_AND_STATED
@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_healthy_is_ipvs(case: Scenario, stated: bool, tmp_path: Path) -> None:
    """All recordings but the nftables one are of IPVS, whose habits must fit; a narrowed profile finds no fault."""
    source = case.spec(tmp_path) if stated else case.blind(tmp_path)
    options = {"spec": source} if stated else {"source": source}
    report = dsrkit.verify(**options, profile="ipvs")  # type: ignore[arg-type]  # two ways to name the taps
    assert report.profile == "ipvs"
    assert loud(report) == []
    assert report.rules.passed > 0


@BLIND_AND_STATED
@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_roles_agree_with_the_truth(case: Scenario, stated: bool, tmp_path: Path) -> None:
    report = verified(case, tmp_path, stated=stated)
    assert list(report.service.vip) == case.vips
    ports = {
        f"{s['proto']}/{s['vport']}" + (f":{s['rport']}" if s["rport"] != s["vport"] else "")
        for s in case.truth["services"]
    }
    assert set(report.service.ports) == ports
    for node in report.nodes:
        of = {name for name in case.truth["nodes"] if {*node.mac} & case.macs(name)} or {
            name for name in case.truth["nodes"] if {*node.ip} & case.addresses(name)
        }
        assert {case.role(name) for name in of} == {node.role} or (stated and not node.mac), node
        routable = {ip for ip in node.ip if not ip.startswith("fe80:")}
        assert routable <= set().union(*(case.addresses(name) for name in of)), node
        assert not routable & set(case.vips), node
    found = {role: [node for node in report.nodes if node.role == role] for role in ("client", "lb", "real-server")}
    assert {ip for node in found["client"] for ip in node.ip} == set(case.truth["clients"])
    rips = case.truth["real_servers"]
    own = {ip for node in found["real-server"] for ip in node.ip if not ip.startswith("fe80:")}
    other = set().union(*(case.addresses(name) for name in rips)) if stated else set()  # of the other IP version
    assert set(rips.values()) <= own <= set(rips.values()) | other
    assert len(found["real-server"]) == len(rips)
    assert len(found["lb"]) == 1
    (lb,) = case.of_role("lb")
    assert set(found["lb"][0].mac) == case.macs(lb)


@BLIND_AND_STATED
@pytest.mark.parametrize("case", [case for case in HEALTHY if case.truth.get("tunnel")], ids=str)
def test_tunnel_agrees_with_the_truth(case: Scenario, stated: bool, tmp_path: Path) -> None:
    tunnel = verified(case, tmp_path, stated=stated).service.tunnel
    assert tunnel is not None
    assert tunnel["type"] == case.truth["tunnel"]["type"]
    assert tunnel.get("port") == case.truth["tunnel"].get("udp_port")


@BLIND_AND_STATED
@pytest.mark.parametrize("case", [case for case in HEALTHY if case.truth.get("dscp_map")], ids=str)
def test_tags_agree_with_the_truth(case: Scenario, stated: bool, tmp_path: Path) -> None:
    report = verified(case, tmp_path, stated=stated)
    tags = case.truth["dscp_map"]
    if len(set(tags.values())) == 1 < len(tags):
        assert report.service.dscp == dict.fromkeys(tags.values(), case.vips[0]), "one table for all servers"
        return
    ips = {node.name: node.ip for node in report.nodes}
    found = {ip: dict(table) for name, table in report.service.dscp.items() for ip in ips[name]}
    assert found == {ip: {tag: case.vips[0]} for ip, tag in tags.items()}


@BLIND_AND_STATED
@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_taps_know_their_nodes(case: Scenario, stated: bool, tmp_path: Path) -> None:
    """A tap's node is the machine it was taken at, or not named at all; a wrong name would accuse the wrong machine."""
    report = verified(case, tmp_path, stated=stated)
    real = {capture["file"]: capture["node"] for capture in case.truth["captures"]}
    for tap in report.taps:
        if tap.node is not None:
            assert case.true_names(report, [tap.node]) == {real[Path(tap.file).resolve().name]}, tap


@BLIND_AND_STATED
@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_broken(case: Scenario, stated: bool, tmp_path: Path) -> None:
    expected = case.case["expected"]
    report = verified(case, tmp_path, stated=stated)
    assert report.exit_code == expected["exit_code"] == 1
    assert report.mode in case.modes
    assert report.mode == case.mode or not stated
    top = loud(report)[0]
    assert top == report.findings[0], "what accuses comes first"
    if report.mode is None:
        # The mode hides with the fault: the path's own cells must tell that something is wrong.
        assert any(symptom.startswith("path.") for symptom in top.symptoms)
        return
    assert set(expected["cells"]) & set(top.symptoms)
    assert case.true_names(report, top.nodes) == set(expected["nodes"])
    assert top.count > 0
    assert top.frames
    files = {tap.file: tap for tap in report.taps}
    for ref in top.frames:
        assert 1 <= ref.frame <= files[ref.file].packets
    failed = {cell.cell for cell in report.cells if cell.verdict == "fail" and cell.failed}
    assert set(top.symptoms) <= failed
    assert failed <= {symptom for finding in report.findings for symptom in finding.symptoms}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_one_broken_setting_is_one_finding(case: Scenario, tmp_path: Path) -> None:
    report = verified(case, tmp_path, stated=True)
    assert len({finding.code for finding in loud(report)}) == 1
