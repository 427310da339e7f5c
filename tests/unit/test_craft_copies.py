"""Copies of connections against a simulation of them all: the same packets at the same taps, fault by fault."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from dsrkit import Scenario, UsageError, craft
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.machines.conversations import FIRST_PORT
from dsrkit.craft.machines.network import Lan, Wire
from dsrkit.craft.modes import DRIVERS
from dsrkit.craft.packets.octets import Octets, sum16
from dsrkit.craft.volume.copies import _brief

API = sys.modules["dsrkit.craft.api"]  # `dsrkit.craft` is the function
FLOWS = 8
ALONE = [(fault.code, mode) for fault in FAULTS.values() if fault.alone for mode in fault.modes]
NEVER_ALONE = (
    *("ARP101", "ARP102", "ARP103", "ARP114", "ARP116", "ARP119"),
    *("DSR306", "DSR315", "DSR318", "DSR320", "TUN417"),
)


def copied(scenario: Scenario) -> Counter[tuple[str, str]]:
    """The frames of the copies by tap and comment."""
    assert scenario.source is not None
    _, *batches = scenario.batches()
    return Counter(
        (scenario.taps[tap], batch.comments[comment])
        for batch in batches
        for tap, comment in zip(batch.tap, batch.comment, strict=True)
    )


@pytest.mark.parametrize(("code", "mode"), ALONE)
def test_copies_show_a_fault_as_a_simulation_does(code: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = craft(mode, fault=code, flows=FLOWS)
    first = 2 * sum(node.role == "real-server" for node in simulated.spec.nodes)
    expected = Counter((frame.tap, _brief(frame)) for frame in simulated.frames() if frame.flow >= first)
    monkeypatch.setattr(API, "SIMULATED", 0)
    assert copied(craft(mode, fault=code, flows=FLOWS)) == expected != Counter()


def test_every_fault_that_is_copied_is_of_modes_that_are() -> None:
    assert len(ALONE) > 90
    for code, mode in ALONE:
        assert DRIVERS[FAULTS[code].acts_as or mode].alone, code  # type: ignore[index]


@pytest.mark.parametrize("code", NEVER_ALONE)
def test_faults_between_connections_are_simulated_throughout(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known neighbours heal them, or they hit more connections than they should."""
    monkeypatch.setattr(API, "SIMULATED", 0)
    assert craft(FAULTS[code].modes[0], fault=code, flows=2).source is None


@pytest.mark.parametrize("tunnel", ["ipip", "gre", "gue"])
def test_outer_packets_in_fragments_are_copied(tunnel: str) -> None:
    options = {"tunnel": tunnel, "protocol": "udp", "request": 3000}
    scenario = craft("l3dsr-tunnel", flows=300, **options)
    sent = {(p.ports[0], p.get("ip.src")) for p in map(Octets, scenario["A"]) if p.ports and p.ports[1] == 80}
    assert len(sent) == 300
    few = craft("l3dsr-tunnel", flows=3, **options)
    said = Counter(f.comment.split(": ")[1].split(" ")[0] for f in few.frames("D") if f.flow >= 0)
    assert said == ({"fragment": 6, "UDP": 6} if tunnel == "gue" else {"fragment": 9, "UDP": 3})
    for data in scenario["D"]:
        outer = Octets(data).outer
        assert outer is None or sum16(bytes(Octets(data).data[outer.at : outer.payload])) == 0xFFFF


def test_copies_in_a_tunnel_on_another_port_are_connections_of_their_own() -> None:
    scenario = craft("l3dsr-tunnel", tunnel="gue", tunnel_port=7777, flows=300)
    inside = [Octets(data, tunnel_ports=(7777,)) for data in scenario["D"]]
    assert len({p.ports[0] for p in inside if len(p.networks) == 2 and p.ports is not None}) == 300


@pytest.mark.parametrize(
    ("mode", "fault", "what"),
    [("dns-rr", None, "mode dns-rr"), ("fullnat", "NAT205", "fault NAT205"), ("l2dsr", "CAP907", "fault CAP907")],
)
def test_more_than_can_be_simulated_is_refused(mode: str, fault: str | None, what: str) -> None:
    with pytest.raises(UsageError, match=f"--flows: 20001 is more than the 20000 that {what} can simulate"):
        craft(mode, fault=fault, flows=20_001)


def test_paths_follow_wires_that_are_added() -> None:
    segment = Lan("B", [Wire("B", "a", "b")])
    assert set(segment.paths("a")) == {"a", "b"}
    segment.wires.append(Wire("B", "b", "c"))
    assert [wire.b for wire, _ in segment.paths("a")["c"]] == ["b", "c"]


def test_frames_of_copies_say_who_sent_them_for_which_connection() -> None:
    scenario = craft("l7", flows=300)
    frames = [frame for frame in scenario.frames() if frame.flow >= 0]
    hops = {flow: Counter((f.tap, f.sender, f.receiver) for f in frames if f.flow == flow) for flow in (2, 3, 298, 299)}
    assert hops[298] == hops[2]
    assert hops[299] == hops[3]
    assert {frame.flow for frame in frames} == set(range(300))
    for frame in frames:
        assert frame.comment.startswith(f"{frame.sender} > {frame.receiver}: ")
        ports = Octets(frame.data).ports
        assert frame.tap != "A" or ports is None or FIRST_PORT + frame.flow in ports


def ports_to_servers(**options: Any) -> dict[str, list[tuple[int, int]]]:
    """The ports of the client and of the load balancer of every connection, by server, in time order."""
    scenario = craft(flows=400, **options)
    client: dict[int, int] = {}
    found: dict[str, dict[int, int]] = {}
    for frame in scenario.frames():
        ports = Octets(frame.data).ports
        if ports is None:
            continue
        if frame.tap == "A":
            client.setdefault(frame.flow, ports[0])
        elif frame.sender == "lb1" and frame.receiver.startswith("web"):
            found.setdefault(frame.receiver, {}).setdefault(frame.flow, ports[0])
    return {server: [(client[flow], port) for flow, port in own.items()] for server, own in found.items()}


def test_copies_in_full_nat_keep_the_clients_ports_where_they_are_free() -> None:
    for pairs in ports_to_servers(mode="fullnat").values():
        assert all(ours == theirs for theirs, ours in pairs)
    for pairs in ports_to_servers(mode="fullnat", clients=4).values():
        assert len({ours for _, ours in pairs}) == len(pairs) == 200
        assert 90 <= sum(ours == theirs for theirs, ours in pairs) <= 110


def test_copies_of_a_proxy_go_on_through_even_ports() -> None:
    for pairs in ports_to_servers(mode="l7").values():
        own = [ours for _, ours in pairs]
        assert len(set(own)) == 200
        assert all(port % 2 == 0 and 32768 <= port <= 60999 for port in own)
        steps = [after - before for before, after in pairwise(own[4:])]
        assert sum(0 < step <= 16 for step in steps) >= len(steps) - 1
