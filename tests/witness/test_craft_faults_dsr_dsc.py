"""Crafted faults of direct server return beside recordings of the real ones: the same packets at the same places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import dpkt
import pytest
from pictures import Seen, Sessions, crafted, frames_of, recorded
from scenarios import PCAPS, Scenario, accused, failing, verified

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.scenario import Scenario as Crafted

NO_VIP = Scenario(PCAPS / "l2dsr" / "b01-dr-no-vip-on-rs")
LOOP = Scenario(PCAPS / "l2dsr" / "b01b-dr-no-vip-forward-loop")
VIA_LB = Scenario(PCAPS / "l2dsr" / "b13-dr-reply-via-lb")
REJECT = Scenario(PCAPS / "l2dsr" / "b17-dr-rs-firewall-reject")
BLEACHED = Scenario(PCAPS / "l3dsr-dscp" / "b04-dscp-bleached")
MISMATCH = Scenario(PCAPS / "l3dsr-dscp" / "b05-dscp-mismatch")
ALIKE = [
    (NO_VIP, "DSR301"),
    (LOOP, "DSR302"),
    (VIA_LB, "DSR308"),
    (REJECT, "DSR319"),
    (MISMATCH, "DSC505"),
]
Segment = tuple[str, str, str, int, tuple[str, str]]


def made(fault: str, mode: str = "l2dsr", **options: object) -> Crafted:
    return craft(mode, fault=fault, **{"real_servers": 3, "flows": 6, **options})  # type: ignore[arg-type]


def steps(seen: Iterable[Seen]) -> list[Segment]:
    return [(*one.bare, one.link) for one in seen]


def usual(found: Sessions) -> list[list[Seen]]:
    """Without the recordings' few clients that send with TTL 10."""
    return [seen for seen in found.values() if seen[0].ttl > 10]


# --- the same cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recording", "fault"), ALIKE, ids=str)
def test_the_same_cells_fail_as_in_the_recording(recording: Scenario, fault: str, tmp_path: Path) -> None:
    theirs = dsrkit.verify([str(path) for path in recording.files])
    ours = verified(made(fault, recording.mode), tmp_path)
    assert failing(ours) == failing(theirs) != set()
    assert accused(ours) == accused(theirs)


def test_a_bleached_tag_fails_the_same_cells(tmp_path: Path) -> None:
    """The recording has datagrams too, whose socket is bound to the VIP: ICMP from the RIP is no answer."""
    theirs = dsrkit.verify([str(path) for path in BLEACHED.files])
    ours = verified(made("DSC502", "l3dsr-dscp"), tmp_path)
    assert failing(ours) == failing(theirs) - {"l3dsr-dscp.real-server.answered"}
    assert accused(ours) == accused(theirs)


# --- DSR301, DSR302 ---------------------------------------------------------------------------------------------------


def test_silence_of_a_server_without_the_vip() -> None:
    scenario = made("DSR301")
    to_balancer = ("client", "vip", "S", 63, ("router", "lb"))
    to_server = ("client", "vip", "S", 62, ("lb", "real-server"))
    for found in (recorded(NO_VIP, "B_lb.pcap"), crafted(scenario, "B")):
        silent = [steps(seen) for seen in usual(found) if {one.flags for one in seen} == {"S"}]
        assert silent
        for one in silent:
            assert one == [to_balancer, to_server] * (len(one) // 2)
            assert len(one) >= 6  # the SYN comes again
    for found in (recorded(NO_VIP, "B_rs2.pcap"), crafted(scenario, "D")):
        silent = [steps(seen) for seen in usual(found) if {one.flags for one in seen} == {"S"}]
        assert silent
        assert {step for one in silent for step in one} == {to_server}


def test_a_loop_between_balancer_and_server_step_by_step() -> None:
    loops = []
    for found in (recorded(LOOP, "B_lb.pcap"), crafted(made("DSR302"), "B")):
        whole = [seen for seen in usual(found) if len(seen) > 30 and seen[1].flags == "S"]
        assert all(len({one.seq for one in seen}) == 1 for seen in whole)
        loops.append({tuple(steps(seen)) for seen in whole})
    theirs, ours = loops
    assert ours == theirs
    (loop,) = ours
    assert [step[3] for step in loop] == list(range(63, 0, -1))


def test_a_loop_ends_in_time_exceeded_from_the_vip() -> None:
    theirs = errors(frames_of(LOOP.folder / "A_client.pcap"), roles_of(LOOP))
    ours = errors((f.data for f in made("DSR302").kept if f.tap == "A"), roles_of_crafted(made("DSR302")))
    assert set(ours) == set(theirs)
    assert set(ours) == {Error(11, 0, "vip", "client", 63, 0xC0, ("client", "vip", 1, 60), 88)}


# --- DSR308 -----------------------------------------------------------------------------------------------------------


def test_replies_through_the_balancer() -> None:
    expected = [
        ("client", "vip", "S", 63, ("router", "lb")),
        ("client", "vip", "S", 62, ("lb", "real-server")),
        ("vip", "client", "SA", 64, ("real-server", "lb")),
    ]
    for found in (recorded(VIA_LB, "B_lb.pcap"), crafted(made("DSR308"), "B")):
        for seen in usual(found):
            assert steps(seen)[:3] == expected
            assert set(steps(seen)) == set(expected)
    for found in (recorded(VIA_LB, "A_client.pcap"), crafted(made("DSR308"), "A")):
        assert {step[:4] for seen in usual(found) for step in steps(seen)} == {("client", "vip", "S", 64)}


# --- DSR319 -----------------------------------------------------------------------------------------------------------


def test_a_firewall_refuses_by_icmp_from_the_vip() -> None:
    scenario = made("DSR319", client_dscp=0)
    theirs = errors(frames_of(REJECT.folder / "A_client.pcap"), roles_of(REJECT))
    ours = errors((f.data for f in scenario.kept if f.tap == "A"), roles_of_crafted(scenario))
    assert set(ours) == set(theirs) == {Error(3, 13, "vip", "client", 63, 0xC0, ("client", "vip", 62, 60), 88)}


def test_a_firewall_refuses_by_reset() -> None:
    resets = []
    for found in (recorded(REJECT, "B_rs3.pcap"), crafted(made("DSR319"), "D")):
        refused = [seen for seen in found.values() if any("R" in one.flags for one in seen)]
        assert refused
        resets.append({(steps(seen)[1], seen[1].options, seen[1].habits) for seen in refused})
    theirs, ours = resets
    assert ours == theirs == {(("vip", "client", "RA", 64, ("real-server", "router")), (), (0, 1, 1, 0))}


# --- DSC502, DSC505 ---------------------------------------------------------------------------------------------------


def refused(found: Sessions) -> list[list[Seen]]:
    """Sessions between a client and a server's own address."""
    return [seen for seen in found.values() if {"real-server", "client"} == {seen[0].sender, seen[0].receiver}]


def test_a_bleached_tag_is_there_behind_the_balancer_and_gone_at_the_server() -> None:
    scenario = made("DSC502", "l3dsr-dscp", client_dscp=0)
    for balancer, server in (
        (recorded(BLEACHED, "B_lb.pcap"), recorded(BLEACHED, "C_rs2.pcap")),
        (crafted(scenario, "B"), crafted(scenario, "D")),
    ):
        tagged = [one for seen in refused(balancer) for one in seen if one.flags == "S"]
        assert tagged
        assert all(one.habits[0] >= 4 and one.habits[0] & 3 == 0 for one in tagged)
        for seen in refused(server):
            assert steps(seen)[:3] == [
                ("client", "real-server", "S", 61, ("router", "real-server")),
                ("real-server", "client", "SA", 64, ("real-server", "router")),
                ("client", "real-server", "R", 63, ("router", "real-server")),
            ]
            assert {one.habits[0] for one in seen} == {0}


def test_a_server_that_waits_for_another_tag() -> None:
    """The SYN is repeated and answered anew from the RIP each time; every answer is reset."""
    scenario = made("DSC505", "l3dsr-dscp")
    for server, client in (
        (recorded(MISMATCH, "C_rs2.pcap"), recorded(MISMATCH, "A_client.pcap")),
        (crafted(scenario, "D"), crafted(scenario, "A")),
    ):
        answered = [seen for seen in refused(server) if any(one.sender == "real-server" for one in seen)]
        assert answered
        for seen in answered:
            flags = [one.flags for one in seen]
            assert flags == ["S", "SA", "R"] * (len(flags) // 3)
            assert len({one.seq for one in seen if one.flags == "SA"}) == len(flags) // 3  # a new connection each
            assert all(one.habits[0] >= 4 for one in seen if one.flags == "S")  # the tag arrives
        at_client = refused(client)
        assert at_client
        assert {one.bare for seen in at_client for one in seen} == {
            ("real-server", "client", "SA", 63),
            ("client", "real-server", "R", 64),
        }


# --- ICMP -------------------------------------------------------------------------------------------------------------


class Error(NamedTuple):
    """An ICMP error: from whom to whom, with TTL and TOS, and the quoted packet's ends, TTL and length."""

    kind: int
    code: int
    sender: str
    receiver: str
    ttl: int
    tos: int
    quoted: tuple[str, str, int, int]
    octets: int


def errors(frames: Iterable[bytes], roles: Mapping[str, str]) -> list[Error]:
    found = []
    for frame in frames:
        packet = dpkt.ethernet.Ethernet(frame).data
        if not isinstance(packet, dpkt.ip.IP) or not isinstance(packet.data, dpkt.icmp.ICMP):
            continue
        if packet.data.type not in (3, 11):
            continue
        quoted = packet.data.data.data
        if quoted.p != dpkt.ip.IP_PROTO_TCP or 1 < quoted.ttl <= 10:
            continue  # the recordings have datagrams, and clients that send with TTL 10
        ends = [
            roles.get(dpkt.utils.inet_to_str(one), "client") for one in (packet.src, packet.dst, quoted.src, quoted.dst)
        ]
        found.append(
            Error(
                packet.data.type,
                packet.data.code,
                ends[0],
                ends[1],
                packet.ttl,
                packet.tos,
                (ends[2], ends[3], quoted.ttl, quoted.len),
                packet.len,
            )
        )
    return found


def roles_of(scenario: Scenario) -> dict[str, str]:
    roles = {ip: scenario.role(node) for node in scenario.truth["nodes"] for ip in scenario.addresses(node)}
    return roles | dict.fromkeys(scenario.vips, "vip")


def roles_of_crafted(scenario: Crafted) -> dict[str, str]:
    nodes = scenario.spec.nodes
    return {ip: node.role for node in nodes for ip in node.ips} | dict.fromkeys(scenario.spec.vips, "vip")
