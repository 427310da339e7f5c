"""Faults of headers, marks, tunnels and ways in crafted captures: each is named, whether it breaks something or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios import loud, verified

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.diagnose.pictures.marks import remarking
from dsrkit.model.report import Finding, Report

BALANCER, ROUTER, SERVER = "lb", "router", "real-server"
LOUD = [
    ("ARP101", "l2dsr", 6, SERVER),
    ("ARP103", "l2dsr", 4, SERVER),
    ("DSR304", "l2dsr", 4, BALANCER),
    ("DSR308", "l2dsr", 4, SERVER),
    ("DSR308", "l2dsr", 6, SERVER),
    ("DSR315", "l2dsr", 4, BALANCER),
    ("DSR317", "l2dsr", 4, ROUTER),
    ("DSR317", "l2dsr", 6, ROUTER),
    ("NAT211", "nat", 4, BALANCER),
    ("NAT211", "nat", 6, BALANCER),
    ("TUN406", "l3dsr-tunnel", 4, BALANCER),
    ("TUN406", "l3dsr-tunnel", 6, BALANCER),
    ("TUN407", "l3dsr-tunnel", 4, BALANCER),
    ("TUN408", "l3dsr-tunnel", 4, BALANCER),
    ("TUN408", "l3dsr-tunnel", 6, BALANCER),
    ("TUN414", "l3dsr-tunnel", 4, BALANCER),
    ("TUN415", "l3dsr-tunnel", 6, ROUTER),
    ("TUN416", "l3dsr-tunnel", 4, BALANCER),
    ("TUN423", "l3dsr-tunnel", 4, ROUTER),
    ("TUN423", "l3dsr-tunnel", 6, ROUTER),
    ("DSC506", "l3dsr-dscp", 4, SERVER),
    ("DSC507", "l3dsr-dscp", 4, BALANCER),
    ("DSC507", "l3dsr-dscp", 6, BALANCER),
    ("DSC508", "l3dsr-dscp", 4, BALANCER),
    ("DSC508", "l3dsr-dscp", 6, BALANCER),
    ("DSC514", "l3dsr-dscp", 4, SERVER),
]
"""Code, mode, IP version, and the role of who has to be mended."""
UNNAMED = [
    ("ARP116", "nat", 4, "02:0f:00:00:00:01"),
    ("ARP116", "l2dsr", 6, "02:0f:00:00:00:01"),
    ("DSC514", "l3dsr-dscp", 6, "2001:db8:c::b"),
    ("NAT203", "nat", 4, None),
    ("NAT203", "fullnat", 6, None),
    ("TUN410", "l3dsr-tunnel", 4, "10.0.0.11"),
]
"""Where packets do not show the machine's role: its address, or whatever name it has."""
QUIET = [
    ("NAT210", "fullnat", 4),
    ("TUN405", "l3dsr-tunnel", 4),
    ("TUN411", "l3dsr-tunnel", 6),
    ("DSC512", "l3dsr-dscp", 4),
    ("DSC513", "l3dsr-dscp", 6),
]
"""Told as information: by itself it breaks nothing, or nothing proves that it does."""


def crafted(code: str, mode: str, version: int, folder: Path) -> Report:
    return verified(craft(mode, fault=code, ip=version), folder)


def sole(report: Report) -> Finding:
    (finding,) = loud(report)
    assert "[" not in finding.message, "every choice of number is made"
    assert not set(finding.ruled_out) & set(finding.candidates)
    assert finding.frames
    return finding


@pytest.mark.parametrize(("code", "mode", "version", "role"), LOUD)
def test_the_cause_and_the_machine(code: str, mode: str, version: int, role: str, tmp_path: Path) -> None:
    report = crafted(code, mode, version, tmp_path)
    finding = sole(report)
    assert finding.code == code
    roles = {node.name: node.role for node in report.nodes}
    assert {roles.get(name, role) for name in finding.nodes} == {role}


@pytest.mark.parametrize(("code", "mode", "version", "name"), UNNAMED)
def test_a_machine_without_a_known_role(code: str, mode: str, version: int, name: str | None, tmp_path: Path) -> None:
    finding = sole(crafted(code, mode, version, tmp_path))
    assert finding.code == code
    assert finding.nodes == (name,) if name is not None else finding.nodes


@pytest.mark.parametrize(("code", "mode", "version"), QUIET)
def test_what_breaks_nothing_is_information(code: str, mode: str, version: int, tmp_path: Path) -> None:
    report = crafted(code, mode, version, tmp_path)
    assert not loud(report)
    assert code in {finding.code for finding in report.findings}


@pytest.mark.parametrize("version", [4, 6])
def test_large_requests_and_the_offer_that_invites_them(version: int, tmp_path: Path) -> None:
    """The event and its static cause are one finding; the errors that come through rule the filter out."""
    finding = sole(crafted("TUN404", "l3dsr-tunnel", version, tmp_path))
    assert finding.candidates == ("TUN405", "TUN404")
    assert "TUN423" in finding.ruled_out


def test_a_stated_mtu_proves_that_the_offer_is_too_large(tmp_path: Path) -> None:
    craft("l3dsr-tunnel", fault="TUN405").write_split(tmp_path)
    finding = sole(dsrkit.verify(spec=tmp_path / "dsr.toml"))
    assert finding.code == "TUN405"
    assert finding.expected == "at most 1440"


def test_without_the_client_nobody_says_that_errors_are_filtered(tmp_path: Path) -> None:
    craft("l3dsr-tunnel", fault="TUN423").write_split(tmp_path)
    finding = sole(dsrkit.verify(tmp_path / "B.pcap"))
    assert finding.candidates[0] == "TUN405"
    assert "TUN423" in finding.candidates


def test_one_server_that_answers_may_have_the_vip_on_its_own_card(tmp_path: Path) -> None:
    finding = sole(crafted("ARP119", "l3dsr-dscp", 6, tmp_path))
    assert finding.candidates[:2] == ("ARP101", "ARP119")
    assert "past the load balancer" in finding.message


def test_all_claimants_where_no_load_balancer_is_seen(tmp_path: Path) -> None:
    """Every request goes to the server whose answer won; it alone is accused."""
    report = crafted("ARP101", "l2dsr", 4, tmp_path)
    finding = sole(report)
    assert report.mode is None
    assert finding.code == "ARP101"
    assert len(finding.nodes) == 1
    assert "3 machines answer" in finding.message


def test_marked_requests_need_the_load_balancers_tap(tmp_path: Path) -> None:
    """At a server's tap alone, a tagged request may well have come from the load balancer."""
    craft("l3dsr-dscp", fault="DSC506").write_split(tmp_path)
    assert "DSC506" not in {finding.code for finding in dsrkit.verify(tmp_path / "D.pcap").findings}


@pytest.mark.parametrize(
    ("sent", "came", "name"),
    [
        ({44}, {0}, "Bleach-DSCP"),
        ({44}, {4}, "Bleach-ToS-Precedence"),
        ({44, 13}, {40, 8}, "Bleach-low"),
        ({44, 12}, {28}, "Re-mark-ToS"),
        ({44, 12}, {10}, "Re-mark-DSCP"),
        ({44, 13}, {10, 11}, ""),
    ],
)
def test_remarking_by_its_kind(sent: set[int], came: set[int], name: str) -> None:
    """Source: RFC 9435 s5."""
    told = remarking(sent, came)
    assert name in told
    assert bool(told) == bool(name)
