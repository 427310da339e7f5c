"""Crafted faults of answers: who refuses, who is silent, and whose address answers. One cause, one finding."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios import loud

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.errors import UsageError
from dsrkit.model.report import Finding, Report

CASES = {
    # who refuses
    ("HCK706", "l2dsr"): "HCK706",
    ("HCK706", "nat"): "HCK706",
    ("DSR303", "l2dsr"): "DSR303 DSR307",
    ("DSR307", "l3dsr-dscp"): "DSR303 DSR307",
    ("DSR319", "l3dsr-tunnel"): "DSR319",
    ("DSR320", "fullnat"): "DSR320",
    ("NAT209", "nat"): "NAT209 DSR319",
    ("NAT209", "fullnat"): "NAT209 DSR319",
    ("NAT212", "nat"): "NAT212",
    ("TUN401", "l3dsr-tunnel"): "TUN401",
    ("TUN412", "l3dsr-tunnel"): "TUN412",
    ("TUN422", "l3dsr-tunnel"): "TUN422 TUN413",
    ("DSR306", "l2dsr"): "DSR306",
    # who is silent
    ("DSR301", "l2dsr"): "DSR301 DSR311 DSR316 NAT213 DSR323",
    ("DSR302", "l2dsr"): "DSR302",
    ("DSR302", "l3dsr-dscp"): "DSR302 DSC511",
    ("DSR305", "l2dsr"): "DSR305",
    ("NAT204", "nat"): "NAT204",
    ("NAT204", "fullnat"): "NAT204",
    ("NAT205", "fullnat"): "NAT205 HCK706",
    ("NAT208", "nat"): "NAT208 NAT207",
    ("NAT214", "nat"): "NAT214",
    ("DSC511", "l3dsr-dscp"): "DSC511 DSC505 DSR311 NAT213 DSR323",
    ("DSC516", "l3dsr-dscp"): "DSC516",
    ("TUN402", "l3dsr-tunnel"): "TUN402 TUN403 NAT213 DSR323",
    ("TUN418", "l3dsr-tunnel"): "TUN418",
    ("TUN420", "l3dsr-tunnel"): "TUN420 TUN402 TUN403 NAT213 DSR323",
    ("DSR309", "l2dsr"): "DSR309 DSR310",
    # whose address answers
    ("NAT201", "nat"): "NAT201",
    ("NAT202", "nat"): "NAT202",
    ("DSR321", "l2dsr"): "DSR321",
    ("DSC502", "l3dsr-dscp"): "DSC502",
    ("DSC503", "l3dsr-dscp"): "DSC503",
    ("DSC504", "l3dsr-dscp"): "DSC504",
    ("DSC510", "l3dsr-dscp"): "DSC510 DSC501 DSC505 DSC509",
    ("DSC501", "l3dsr-dscp"): "DSC510 DSC501 DSC509",
    ("DSC515", "l3dsr-dscp"): "DSC515 NAT201",
    ("DSC517", "l3dsr-dscp"): "DSC517 NAT201",
}
"""(fault, mode) -> the candidates of the one finding."""


def examined(tmp_path: Path, mode: str, taps: str = "", **options: object) -> Report:
    """The report about a crafted scenario, from some of its taps."""
    craft(mode, **options).write_split(tmp_path)  # type: ignore[arg-type]
    files = [path for path in sorted(tmp_path.glob("*.pcap")) if not taps or path.stem in taps.split()]
    return dsrkit.verify(files)


def the_one(report: Report) -> Finding:
    (finding,) = loud(report)
    return finding


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize(("code", "mode"), list(CASES), ids=lambda value: str(value))
def test_one_fault_is_one_finding(code: str, mode: str, ip: str, tmp_path: Path) -> None:
    finding = the_one(examined(tmp_path, mode, fault=code, ip=ip))
    expected = CASES[code, mode]
    if ip == "6":  # where the kernel has no reverse path filter
        expected = expected.replace("TUN402 TUN403", "TUN403 TUN402")
    assert finding.candidates == tuple(expected.split()), finding.message
    assert finding.symptoms
    assert finding.frames
    assert finding.severity == "error"


@pytest.mark.parametrize(
    ("code", "mode", "node"),
    [
        ("DSR301", "l2dsr", "rs1"),
        ("DSR302", "l2dsr", "rs1"),
        ("TUN401", "l3dsr-tunnel", "rs1"),
        ("NAT214", "nat", "lb"),
        ("DSR322", "l3dsr-dscp", "rs1 rs2 router"),
        ("NAT204", "nat", "lb"),
        ("HCK706", "l2dsr", "lb"),
        ("DSC502", "l3dsr-dscp", "router"),
        ("DSR309", "l2dsr", "router"),
    ],
)
def test_who_has_to_mend_it(code: str, mode: str, node: str, tmp_path: Path) -> None:
    assert the_one(examined(tmp_path, mode, fault=code)).nodes == tuple(node.split())


@pytest.mark.parametrize(("dscp", "left"), [(0, {"DSR303", "DSR307", "DSR319"}), (10, {"DSR303", "DSR307"})])
def test_a_closed_port_copies_the_tos(dscp: int, left: set[str], tmp_path: Path) -> None:
    """Source: Linux tcp_v4_send_reset."""
    finding = the_one(examined(tmp_path, "l2dsr", fault="DSR303", client_dscp=dscp))
    assert set(finding.candidates) == left
    assert ("DSR319" in finding.ruled_out) == (dscp > 0)


def test_a_socket_shortens_the_quoted_length(tmp_path: Path) -> None:
    """Source: Linux fou_recv_pull: an error behind the socket quotes less than was sent."""
    (tmp_path / "down").mkdir()
    (tmp_path / "port").mkdir()
    down = the_one(examined(tmp_path / "down", "l3dsr-tunnel", fault="TUN422", tunnel="gue"))
    assert down.candidates == ("TUN422",)
    port = the_one(examined(tmp_path / "port", "l3dsr-tunnel", fault="TUN413", tunnel="gue"))
    assert port.candidates == ("TUN413", "TUN401")


def test_outer_source_and_gre_checksum_show_in_one_packet(tmp_path: Path) -> None:
    report = examined(tmp_path, "l3dsr-tunnel", fault="TUN421", ip="6")
    assert the_one(report).candidates == ("TUN421",)
    assert the_one(report).nodes == ("lb",)


@pytest.mark.parametrize(
    ("code", "mode", "taps"),
    [
        ("DSR301", "l2dsr", "B"),
        ("NAT201", "nat", "A"),
        ("NAT201", "nat", "B"),
        ("DSC502", "l3dsr-dscp", "A"),
        ("DSC502", "l3dsr-dscp", "B"),
        ("DSC502", "l3dsr-dscp", "A D"),
        ("TUN402", "l3dsr-tunnel", "B"),
        ("TUN409", "l3dsr-tunnel", "B"),
        ("DSR309", "l2dsr", "B"),
        ("NAT205", "fullnat", "A C"),
    ],
)
def test_fewer_taps_leave_more_candidates(code: str, mode: str, taps: str, tmp_path: Path) -> None:
    report = examined(tmp_path, mode, taps, fault=code)
    for finding in loud(report):
        assert code in finding.candidates
        assert len(finding.candidates) > 1
        assert finding.settle


@pytest.mark.parametrize("mode", ["nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
@pytest.mark.parametrize("ip", ["4", "6"])
def test_healthy_connections_accuse_nobody(mode: str, ip: str, tmp_path: Path) -> None:
    assert loud(examined(tmp_path, mode, flows=6, ip=ip)) == []


def test_commands_have_the_vip_where_no_mode_is_known(tmp_path: Path) -> None:
    report = examined(tmp_path, "l2dsr", "B", fault="ARP101")
    finding = the_one(report)
    assert report.mode is None
    assert "arp daddr ip 203.0.113.10 drop" in (finding.fix or "")


def test_a_client_far_away_is_no_traceroute(tmp_path: Path) -> None:
    """All its packets have the same low TTL where a traceroute's differ."""
    finding = the_one(examined(tmp_path, "l2dsr", fault="DSR320"))
    assert finding.nodes == ("lb",)
    assert "last TTL" in finding.message


def test_every_mode_takes_the_faults(tmp_path: Path) -> None:
    """The table above names faults of the modes that they belong to."""
    for code, mode in CASES:
        try:
            craft(mode, fault=code, flows=1)  # type: ignore[arg-type]
        except UsageError as error:  # pragma: no cover
            pytest.fail(f"{code} {mode}: {error}")
