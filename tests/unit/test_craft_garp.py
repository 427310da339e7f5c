"""Takeovers of a VIP, and the faults of who answers for it: what the taps must see."""

from __future__ import annotations

import subprocess
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import dpkt
import pytest
from arp_pictures import Step, steps_crafted

from dsrkit.craft.api import craft
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.faults.arp import FAULTS as ARP_FAULTS
from dsrkit.craft.options import GARP_FORMS
from dsrkit.craft.packets.arp import announcements
from dsrkit.craft.packets.vrrp import virtual_mac
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

LB1, LB2 = "02:b1:00:00:00:0b", "02:b1:00:00:01:0b"
VIP4, VIP6 = "203.0.113.10", "2001:db8:b::a"
SECOND = 10**9
ONLY_ARP = {"ARP103", "ARP105", "ARP106"}
SYN, RST = 0x02, 0x04
EVERY = [
    (fault.code, mode, ip)
    for fault in ARP_FAULTS
    for mode in fault.modes
    for ip in "46"
    if ip == "4" or fault.code not in ONLY_ARP
]


@cache
def made(mode: str, fault: str | None = None, flows: int = 1, **options: object) -> Scenario:
    return craft(mode, fault=fault, flows=flows, **options)  # type: ignore[arg-type]


def garp(fault: str | None = None, tap: str = "B", **options: object) -> list[Step]:
    return steps_crafted(made("garp", fault, **options), tap)


def claims(steps: list[Step]) -> list[Step]:
    """ARP with the VIP as sender, whatever for."""
    return [step for step in steps if step.kind == "arp" and step.says[2] == "vip"]


def told(steps: list[Step], owner: str = "lb2") -> list[Step]:
    return [step for step in claims(steps) if step.sender == owner and step.says[0] == 1 and step.says[4] == "vip"]


def to_vip(steps: list[Step], after: float = 0.0) -> list[str]:
    return [step.receiver for step in steps if step.kind == "to-vip" and step.time > after]


def adverts(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.kind == "vrrp"]


def macs(scenario: Scenario, tap: str) -> list[tuple[int, str, str]]:
    """Time, source and destination of every frame, for IPv6 too."""
    return [(f.ts_ns, f.data[6:12].hex(":"), f.data[:6].hex(":")) for f in scenario.frames(tap)]


# --- all of them ------------------------------------------------------------------------------------------------------


def test_the_catalogue_has_all_of_them() -> None:
    assert [fault.code for fault in ARP_FAULTS] == [f"ARP{n}" for n in range(101, 120)]
    assert all(FAULTS[fault.code] is fault for fault in ARP_FAULTS)


def test_wireshark_finds_nothing_malformed(tmp_path: Path) -> None:
    scenarios = [made(mode, fault, ip=ip) for fault, mode, ip in EVERY]
    for options in ({}, {"graceful": True}, {"vmac": True}, {"vlan": 7}, {"vrrp": 3}, {"jitter": "5ms", "loss": "1%"}):
        versions = ("4",) if "vrrp" in options else ("4", "6")
        scenarios += [made("garp", flows=5, ip=ip, **options) for ip in versions]
    scenarios += [made("garp", form=form) for form in GARP_FORMS if form != "unsolicited-na"]
    path = tmp_path / "all.pcap"
    with path.open("wb") as stream:
        writer = dpkt.pcap.Writer(stream)
        for scenario in scenarios:
            for frame in scenario.frames():
                writer.writepkt(frame.data, ts=frame.ts_ns / 1e9)
    checks = [f"{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
    layers = ("ip", "tcp", "icmp", "icmpv6", "vrrp")
    wrong = " || ".join(["_ws.malformed", *(f"{layer}.checksum.status == 0" for layer in layers)])
    command = ["tshark", "-r", str(path), *(word for check in checks for word in ("-o", check)), "-Y", wrong]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not found.stdout


@pytest.mark.parametrize(("fault", "mode", "ip"), [case for case in EVERY if case[2] == "4"])
def test_the_same_seed_gives_the_same_octets(fault: str, mode: str, ip: str) -> None:
    again = craft(mode, fault=fault, ip=ip)
    assert [(f.tap, f.ts_ns, f.data) for f in again.frames()] == [
        (f.tap, f.ts_ns, f.data) for f in made(mode, fault, ip=ip).frames()
    ]


@pytest.mark.parametrize("fault", sorted(ONLY_ARP))
def test_what_only_arp_can_do_is_refused_for_ipv6(fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        craft(FAULTS[fault].modes[0], fault=fault, ip="6")


# --- healthy ----------------------------------------------------------------------------------------------------------


def test_retransmissions_bridge_the_blackout() -> None:
    router = garp()
    moved = told(router)[0].time
    assert set(to_vip(router)) == {"lb1", "lb2"}
    assert set(to_vip(router, moved)) == {"lb2"}
    client = made("garp").frames("A")
    syns = Counter(f.flow for f in client if "SYN " in f.comment)
    assert syns == {0: 1, 1: 2, 2: 1}
    ends = Counter(f.flow for f in made("garp").frames("A") if "FIN" in f.comment)
    assert ends == {0: 2, 1: 2, 2: 2}  # every connection comes to its end


def test_a_dead_owner_is_silent_on_its_port() -> None:
    port = garp(tap="B1")
    last = [step for step in port if step.sender == "lb1"][-1]
    assert "lb1" in to_vip(port, last.time)


def test_a_graceful_owner_says_so() -> None:
    rows = adverts(garp(graceful=True))
    (release,) = [i for i, step in enumerate(rows) if step.says[5] == 0]
    assert rows[release].sender == "lb1"
    assert rows[release + 1].sender == "lb2"
    assert rows[release + 1].time - rows[release].time == pytest.approx((256 - 100) / 256, abs=0.001)


def test_version_three_and_the_virtual_mac() -> None:
    mac = virtual_mac(7)
    scenario = made("garp", vrrp=3, vmac=True, vrid=7)
    rows = adverts(steps_crafted(scenario, "B"))
    assert {step.says[3:5] for step in rows} == {(0x31, 7)}
    sources = {source for _, source, target in macs(scenario, "B") if target == "01:00:5e:00:00:12"}
    assert sources == {mac}
    port_of = {tap: [t for _, _, t in macs(scenario, tap)] for tap in ("B1", "B2")}
    assert mac in port_of["B1"]  # before
    assert mac in port_of["B2"]  # and after, since the switch has learnt it there


def test_ipv6_is_told_by_neighbour_advertisements() -> None:
    scenario = made("garp", ip="6")
    frames = [f for f in scenario.frames("B") if f.data[:6].hex(":") == "33:33:00:00:00:01"]
    expected = announcements("keepalived", VIP6, LB2)
    assert [f.data for f in frames] == [data for _, data in expected]
    start = frames[0].ts_ns
    assert [f.ts_ns - start for f in frames] == [delay for delay, _ in expected]
    assert {t for at, _, t in macs(scenario, "B") if at > start and t in (LB1, LB2)} == {LB2}


@pytest.mark.parametrize("form", [form for form in GARP_FORMS if form != "unsolicited-na"])
def test_a_form_alone(form: str) -> None:
    scenario = made("garp", form=form)
    sent = [f for f in scenario.frames("B2") if f.data[6:12].hex(":") == LB2 and f.data[:6] == b"\xff" * 6]
    expected = announcements(form, VIP4, LB2)
    sent = [f for f in sent if f.data in {data for _, data in expected}]
    assert [(f.ts_ns - sent[0].ts_ns, f.data) for f in sent] == list(expected)
    assert not adverts(steps_crafted(scenario, "B"))
    assert to_vip(steps_crafted(scenario, "B"))[0] == "lb1"
    assert to_vip(steps_crafted(scenario, "B"))[-1] == "lb2"
    assert scenario.spec.takeover is not None
    assert scenario.spec.takeover.protocol == "garp"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"form": "heartbeat", "ip": "6"}, "does not announce IPv6"),
        ({"form": "unsolicited-na"}, "does not announce IPv4"),
        ({"form": "reply", "graceful": True}, "--graceful"),
        ({"vip": "192.0.2.1"}, "in no subnet"),
        ({"form": "reply", "fault": "ARP104"}, "--graceful|leave out --form"),
        ({"form": "reply", "fault": "ARP112"}, "leave out --form"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        craft("garp", **options)  # type: ignore[arg-type]


# --- several machines answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
@pytest.mark.parametrize(("fault", "answering"), [("ARP101", 2), ("ARP102", 2), ("ARP114", 3), ("ARP119", 1)])
def test_servers_answer_beside_the_load_balancer(mode: str, fault: str, answering: int) -> None:
    steps = steps_crafted(made(mode, fault), "B")
    assert sorted(step.sender for step in claims(steps)) == ["lb1"] + ["real-server"] * answering
    assert set(to_vip(steps)) == {"real-server"}


def test_ipv6_keeps_the_last_answer() -> None:
    scenario = made("l2dsr", "ARP119", ip="6")
    rows = [(source, target) for _, source, target in macs(scenario, "B")]
    first = next(i for i, (source, _) in enumerate(rows) if source == "02:55:00:00:00:01")
    router = "02:aa:00:00:00:0b"
    assert {target for source, target in rows[:first] if source == router} >= {LB1}
    assert {target for source, target in rows[first:] if source == router} == {"02:55:00:00:00:01"}


@pytest.mark.parametrize("mode", FAULTS["ARP116"].modes)
def test_a_foreign_owner_refuses(mode: str) -> None:
    scenario = made(mode, "ARP116")
    steps = steps_crafted(scenario, "B")
    assert {step.sender for step in claims(steps)} == {"lb1", "stranger"}
    assert set(to_vip(steps)) == {"stranger"}
    assert Counter("RST" in f.comment for f in scenario.frames("A"))[True] == 4


# --- takeovers that go wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("fault", ["ARP104", "ARP112", "ARP117"])
def test_the_router_keeps_the_old_mac(fault: str, ip: str) -> None:
    rows = macs(made("garp", fault, ip=ip), "B")
    assert {target for _, source, target in rows if source == "02:aa:00:00:00:0b" and target in (LB1, LB2)} == {LB1}


def test_an_untold_takeover_has_adverts_and_no_announcement() -> None:
    steps = garp("ARP104", "B2")
    assert {step.sender for step in adverts(steps)} == {"lb1", "lb2"}
    assert not [step for step in claims(steps) if step.sender == "lb2"]


def test_a_reply_to_everybody_is_not_gratuitous() -> None:
    steps = garp("ARP105")
    (claim,) = [step for step in claims(steps) if step.sender == "lb2"]
    assert claim.says == (2, "lb2", "vip", "all", "other")
    assert set(to_vip(steps)) == {"lb1"}


def test_replies_to_the_broadcast_mac_wait_for_the_locktime() -> None:
    steps = garp("ARP106")
    rows = [step for step in claims(steps) if step.sender == "lb2"]
    assert {step.says for step in rows} == {(2, "lb2", "vip", "all", "vip")}
    renewed = [step for step in claims(steps) if step.sender == "lb1"][-1].time
    late = next(step.time for step in rows if step.time > renewed + 1)
    assert rows[0].time < renewed + 1
    assert set(to_vip(steps, late)) == {"lb2"}
    assert next(step for step in steps if step.kind == "to-vip" and step.receiver == "lb2").time > late


def test_no_entry_is_made_by_an_announcement() -> None:
    steps = garp("ARP107")
    start = told(steps)[0].time
    questions = [step for step in steps if step.kind == "arp" and step.sender == "router" and step.says[4] == "vip"]
    assert len([step for step in questions if step.time > start]) == 1
    assert set(to_vip(steps, start)) == {"lb2"}


def test_the_wrong_owner_announces_last() -> None:
    steps = garp("ARP108")
    assert not told(steps, "lb1")
    assert len(told(steps)) == 5
    last = adverts(steps)[-1]
    assert last.sender == "lb1"
    assert set(to_vip(steps, told(steps)[-1].time)) == {"lb2"}
    lb2 = garp("ARP108", "B2")
    end = [step for step in adverts(lb2) if step.sender == "lb2"][-1].time
    assert not [step for step in lb2 if step.kind == "to-vip" and step.sender == "lb2" and step.time > end + 1]


def test_two_masters_advertise_and_answer() -> None:
    steps = garp("ARP109")
    seconds = Counter(step.sender for step in adverts(steps))
    assert min(seconds.values()) > 8
    answers = [step for step in claims(steps) if step.says[0] == 2]
    last = [step.sender for step in answers if step.time > answers[-1].time - 0.01]
    assert sorted(last) == ["lb1", "lb2"]


def test_a_vrid_used_twice_makes_its_mac_flap() -> None:
    scenario = made("garp", "ARP110")
    mac = virtual_mac(51)
    frames = list(scenario.frames("B"))
    advertised = {f.data[42:46] for f in frames if f.data[6:12].hex(":") == mac and f.data[23] == 112}
    assert len(advertised) == 2
    assert Counter("retransmission" in f.comment for f in scenario.frames("A"))[True] > 3
    served = {f.flow for f in scenario.frames("D") if f.flow >= 0}
    assert 0 < len(served) < 8


def test_virtual_and_own_mac_in_turn() -> None:
    shas = [step.says[1] for step in claims(garp("ARP111"))]
    assert {"stranger", "lb2"} <= set(shas)  # the spec does not name the virtual MAC


@pytest.mark.parametrize("ip", ["4", "6"])
def test_an_announcement_from_another_mac_stops_at_the_first_port(ip: str) -> None:
    scenario = made("garp", "ARP112", ip=ip)
    other = "02:b1:00:00:01:0c"
    own = bytes.fromhex(LB2.replace(":", ""))
    told_by = [f for f in scenario.frames("B2") if f.data[6:12].hex(":") == other]
    assert len(told_by) == 10
    assert all(own in f.data[12:] for f in told_by)
    assert not [f for tap in "BD" for f in scenario.frames(tap) if f.data[6:12].hex(":") == other]


@pytest.mark.parametrize("ip", ["4", "6"])
def test_requests_are_flooded_after_five_silent_minutes(ip: str) -> None:
    scenario = made("garp", "ARP113", ip=ip)
    flooded = [at for at, _, target in macs(scenario, "B2") if target == LB1]
    times = [at for at, _, target in macs(scenario, "B1") if target == LB1]
    gap = max(b - a for a, b in pairwise(times))
    assert gap > 300 * SECOND
    assert len(flooded) == 1
    assert flooded[0] - times[0] > 300 * SECOND


def test_only_the_lan_follows() -> None:
    steps = garp("ARP115")
    start = told(steps)[0].time
    stuck = [step for step in steps if step.kind == "to-vip" and step.time > start and step.receiver == "lb1"]
    assert stuck[-1].time - start > 10
    assert to_vip(steps)[-1] == "lb2"
    inside = [f for f in made("garp", "ARP115").frames("B2") if f.flow >= 1000]
    first = min(f.ts_ns / 1e9 for f in inside if f.data[:6].hex(":") == LB2)
    assert first < stuck[-1].time
    assert {f.flow for f in inside} == {1001, 1002}


def test_lost_announcements_show_at_the_sender_only() -> None:
    assert len(told(garp("ARP117", "B2"))) == 10
    for tap in ("B", "B1", "D"):
        assert not told(garp("ARP117", tap))
        assert [step for step in adverts(garp("ARP117", tap)) if step.sender == "lb2"]


def test_the_old_owner_asks_and_forwards() -> None:
    steps = garp("ARP118", "B1")
    asked = [step for step in steps if step.kind == "arp" and step.sender == "lb1" and step.says[4] == "vip"]
    assert asked[-1].says == (1, "lb1", "lb1", "nobody", "vip")
    sent_on = [step for step in steps if step.kind == "to-vip" and step.sender == "lb1" and step.receiver == "lb2"]
    assert {step.says[1] for step in sent_on} == {62}
    assert not [step for step in claims(steps) if step.sender == "lb2" and step.says[0] == 1]
    ends = Counter(f.flow for f in made("garp", "ARP118").frames("A") if "FIN" in f.comment)
    assert set(ends.values()) == {2}
