"""Crafted faults of what is remembered: connections by load balancers, owners by neighbours, MACs by switches; and what
becomes of requests that tell the VIP in an option. Healthy neighbours of each stay silent."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from scenarios import loud

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.faults.nat import kept_open, later, source_of
from dsrkit.craft.machines.network import MILLISECOND, SECOND
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.scenario import Scenario
from dsrkit.model.report import Finding, Report

NAT = ("nat", "fullnat")
REUSED = 6


def examined(scenario: Scenario, folder: Path, taps: str = "") -> Report:
    scenario.write_split(folder)
    return dsrkit.verify([path for path in sorted(folder.glob("*.pcap")) if not taps or path.stem in taps.split()])


def sole(report: Report) -> Finding:
    (finding,) = loud(report)
    return finding


@pytest.mark.parametrize(("code", "taps"), [("NAT206", ""), ("NAT206", "A C"), ("NAT207", ""), ("NAT207", "B C")])
@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("mode", NAT)
def test_connections_kept_too_long_or_not_long_enough(code: str, mode: str, ip: int, taps: str, tmp_path: Path) -> None:
    finding = sole(examined(craft(mode, fault=code, ip=ip), tmp_path, taps))
    assert finding.candidates == (code,)
    assert finding.severity == "warning"
    assert finding.nodes == ("lb",)
    assert finding.count == 2
    assert finding.frames
    assert not set(finding.ruled_out) & set(finding.candidates)


@pytest.mark.parametrize("taps", ["A", "B", "C", "A B"])
@pytest.mark.parametrize("code", ["NAT206", "NAT207"])
def test_one_side_of_the_load_balancer_accuses_nobody(code: str, taps: str, tmp_path: Path) -> None:
    assert not loud(examined(craft("nat", fault=code), tmp_path, taps))


def test_a_removed_server_is_no_idle_timeout(tmp_path: Path) -> None:
    assert sole(examined(craft("nat", fault="NAT208"), tmp_path)).candidates == ("NAT208", "NAT207")


def reuse(world: World, options: Options) -> None:
    """Ports that are used again, by a load balancer that does not mind."""
    clients = world.clients(len(world.vips[0]))
    for number in range(REUSED):
        later(world, options, number, (1500 + 40 * number) * MILLISECOND, source_of(clients, number))


@pytest.mark.parametrize("mode", NAT)
@pytest.mark.parametrize("seed", range(4))
def test_lost_packets_of_reused_ports_are_no_habit(
    mode: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAULTS, "NAT206", replace(FAULTS["NAT206"], strike=reuse))
    report = examined(craft(mode, fault="NAT206", flows=REUSED, seed=seed, loss="5%"), tmp_path)
    assert "NAT206" not in {finding.code for finding in report.findings}


@pytest.mark.parametrize("mode", NAT)
def test_a_connection_that_is_still_known_may_be_silent_for_long(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike = partial(kept_open, pause_ns=905 * SECOND)
    monkeypatch.setitem(FAULTS, "NAT207", replace(FAULTS["NAT207"], strike=strike))
    assert not loud(examined(craft(mode, fault="NAT207"), tmp_path))


# --- neighbours and switches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize(("code", "node"), [("ARP107", "router"), ("ARP113", "lb")])
def test_what_neighbours_forget_is_information(code: str, node: str, ip: int, tmp_path: Path) -> None:
    (finding,) = examined(craft("garp", fault=code, ip=ip), tmp_path).findings
    assert (finding.code, finding.severity, finding.nodes) == (code, "info", (node,))
    assert finding.settle


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("graceful", [True, False])
def test_a_takeover_that_neighbours_follow_says_nothing(ip: int, graceful: bool, tmp_path: Path) -> None:
    assert not examined(craft("garp", ip=ip, graceful=graceful), tmp_path).findings


@pytest.mark.parametrize("taps", ["A B", "B B1", "B2 D"])
def test_a_flood_shows_only_beside_a_tap_on_the_way(taps: str, tmp_path: Path) -> None:
    assert not examined(craft("garp", fault="ARP113"), tmp_path, taps).findings


# --- the VIP in an option ---------------------------------------------------------------------------------------------

OPTION = {
    ("DSR301", "option"): ("DSR323", {"10.0.0.11"}),
    ("DSR301", "geneve"): ("DSR323", {"10.0.0.11"}),
    ("DSR302", "option"): ("DSR302", {"10.0.0.11"}),
    ("DSR303", "option"): ("DSR303", {"10.0.0.11"}),
    ("DSR303", "geneve"): ("DSR303", {"10.0.0.11"}),
    ("DSR309", "option"): ("DSR309", {"router"}),
    ("DSR309", "geneve"): ("DSR309", {"router"}),
    ("DSR318", "option"): ("DSR318", {"lb"}),
    ("DSR318", "geneve"): ("DSR318", {"lb"}),
    ("DSR319", "option"): ("DSR319", {"10.0.0.11", "10.0.0.13"}),
    ("DSR319", "geneve"): ("DSR319", {"10.0.0.11", "10.0.0.13"}),
    ("TUN410", "option"): ("TUN410", {"10.0.0.11"}),
    ("TUN410", "geneve"): ("TUN410", {"10.0.0.11"}),
    ("TUN414", "option"): ("TUN414", {"lb"}),
    ("TUN414", "geneve"): ("TUN414", {"lb"}),
}
"""(fault, how the VIP is told) -> the first code, and who has to mend it: a role, or an address where none is known."""


@pytest.mark.parametrize(("code", "tunnel"), list(OPTION))
def test_a_vip_told_in_an_option(code: str, tunnel: str, tmp_path: Path) -> None:
    report = examined(craft("l3dsr-tunnel", profile="cilium", tunnel=tunnel, fault=code), tmp_path)
    finding = sole(report)
    first, nodes = OPTION[code, tunnel]
    assert finding.code == first
    assert code in finding.candidates
    roles = {node.name: node.role for node in report.nodes}
    assert {roles.get(name, name) for name in finding.nodes} == nodes
    assert any(("overlay" if tunnel == "geneve" else "IP option") in note for note in report.notes)


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("tunnel", ["option", "geneve"])
def test_a_healthy_set_up_with_an_option_is_silent(tunnel: str, ip: int, tmp_path: Path) -> None:
    scenario = craft("l3dsr-tunnel", profile="cilium", tunnel=tunnel, ip=ip, loss="2%", flows=12)
    for taps in ("", "A B", "B C", "B D", "B"):
        assert not loud(examined(scenario, tmp_path, taps))
