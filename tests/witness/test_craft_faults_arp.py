"""Crafted takeovers and ARP faults beside recordings of the real ones: the same packets, the same cells."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from arp_pictures import Step, steps_crafted, steps_recorded
from scenarios import CAPTURES, PCAPS, Scenario, accused, failing, verified

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.scenario import Scenario as Crafted

FLUX = Scenario(PCAPS / "l2dsr" / "b02-dr-arp-flux")
LEAK = Scenario(PCAPS / "l2dsr" / "b10-dr-arp-announce-wrong")
UNTOLD = Scenario(CAPTURES / "b08-garp-not-sent")
CRASH = Scenario(CAPTURES / "garp-keepalived-crash")
BY_HAND = Scenario(CAPTURES / "garp-arping-U")

SYN = 0x02
ALIKE = [(FLUX, "l2dsr", "ARP101"), (LEAK, "l2dsr", "ARP103"), (UNTOLD, "garp", "ARP104")]


def at_hand(scenario: Scenario) -> None:
    if not scenario.folder.is_dir():
        pytest.skip(f"the shared capture {scenario.name} is not here")


@cache
def made(mode: str, fault: str | None = None, *, flows: int = 6, **options: object) -> Crafted:
    return craft(mode, fault=fault, flows=flows, **options)  # type: ignore[arg-type]


def of(kind: str, steps: Iterable[Step]) -> list[Step]:
    return [step for step in steps if step.kind == kind]


def claims(steps: Iterable[Step]) -> list[Step]:
    """ARP with the VIP as sender, whatever for."""
    return [step for step in of("arp", steps) if step.says[2] == "vip"]


def announced(steps: Iterable[Step], owner: str) -> list[Step]:
    return [step for step in claims(steps) if step.sender == owner and step.says[4] == "vip"]


# --- the same cells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recording", "mode", "fault"), ALIKE, ids=str)
def test_the_same_cells_fail_as_in_the_recording(recording: Scenario, mode: str, fault: str, tmp_path: Path) -> None:
    at_hand(recording)
    theirs = dsrkit.verify([str(path) for path in recording.files])
    ours = verified(made(mode, fault, real_servers=3), tmp_path)
    assert failing(ours) == failing(theirs) != set()
    assert accused(ours) == accused(theirs)
    assert ours.mode == theirs.mode


@pytest.mark.parametrize(("recording", "options"), [(CRASH, {}), (BY_HAND, {"form": "arping-U"})], ids=str)
def test_a_takeover_is_as_clean_as_the_recorded_one(
    recording: Scenario, options: dict[str, object], tmp_path: Path
) -> None:
    at_hand(recording)
    theirs = dsrkit.verify([str(path) for path in recording.files])
    ours = verified(made("garp", **options), tmp_path)
    assert failing(ours) == failing(theirs) == set()
    assert ours.mode == theirs.mode == "l2dsr"
    assert {node.role for node in ours.nodes} == {node.role for node in theirs.nodes}


# --- ARP101 -----------------------------------------------------------------------------------------------------------


def test_several_machines_answer_one_question_and_a_server_wins() -> None:
    for steps in (steps_recorded(FLUX, "B_router.pcap"), steps_crafted(made("l2dsr", "ARP101", real_servers=3), "B")):
        question = next(i for i, step in enumerate(steps) if step.kind == "arp" and step.says[4] == "vip")
        assert steps[question].bare == ("arp", "router", "all", (1, "router", "router", "nobody", "vip"))
        answers = [step for step in claims(steps)[:4] if step.time < steps[question].time + 0.1]
        assert [step.says[0] for step in answers] == [2] * 4
        assert sorted(step.sender for step in answers)[1:] == ["real-server"] * 3
        assert answers[0].sender == "real-server"  # the first answer stays
        assert {step.receiver for step in of("to-vip", steps)} == {"real-server"}


# --- ARP103 -----------------------------------------------------------------------------------------------------------


def test_a_server_asks_in_the_name_of_the_vip_and_gets_its_packets() -> None:
    asked = ("arp", "real-server", "all", (1, "real-server", "vip", "nobody", "router"))
    for steps in (steps_recorded(LEAK, "B_router.pcap"), steps_crafted(made("l2dsr", "ARP103", real_servers=3), "B")):
        at = next(i for i, step in enumerate(steps) if step.bare == asked)
        before, after = of("to-vip", steps[:at]), of("to-vip", steps[at:])
        assert [step.receiver[:2] for step in before] == ["lb"]
        assert {step.receiver for step in after} == {"real-server"}
        assert claims(steps)[0].says[0] == 2  # the load balancer's own answer came first


# --- ARP104 -----------------------------------------------------------------------------------------------------------


def test_a_takeover_that_nobody_hears_of() -> None:
    at_hand(UNTOLD)
    for router, old in (
        (steps_recorded(UNTOLD, "B_router.pcap"), steps_recorded(UNTOLD, "B_lb1.pcap")),
        (steps_crafted(made("garp", "ARP104"), "B"), steps_crafted(made("garp", "ARP104"), "B1")),
    ):
        assert not [step for step in claims(router) if step.sender == "lb2"]
        assert {step.receiver for step in of("to-vip", router)} == {"lb1"}
        served = [step for step in of("to-vip", old) if step.receiver == "real-server"]
        unserved = [step for step in of("to-vip", old) if step.time > served[-1].time + 1]
        assert len(unserved) > 3
        assert {(step.receiver, step.says[0]) for step in unserved} <= {("lb1", SYN), ("lb1", None)}


# --- takeovers --------------------------------------------------------------------------------------------------------


def test_adverts_of_a_crash_as_recorded() -> None:
    at_hand(CRASH)
    pictures = []
    for steps in (steps_recorded(CRASH, "B_router.pcap"), steps_crafted(made("garp"), "B")):
        adverts = of("vrrp", steps)
        moved = next(i for i, step in enumerate(adverts) if step.sender == "lb2")
        assert {step.sender for step in adverts[:moved]} == {"lb1"}
        assert {step.sender for step in adverts[moved:]} == {"lb2"}
        assert adverts[moved].time - adverts[moved - 1].time == pytest.approx(3.61, abs=0.02)
        idents = [[step.says[2] for step in adverts if step.sender == owner] for owner in ("lb1", "lb2")]
        assert all(row == list(range(1, len(row) + 1)) for row in idents)
        pictures.append({(step.sender, step.receiver, step.says[:2], step.says[3:]) for step in adverts})
    theirs, ours = pictures
    assert ours == theirs


def test_announcements_of_a_crash_as_recorded() -> None:
    at_hand(CRASH)
    for steps in (steps_recorded(CRASH, "B_router.pcap"), steps_crafted(made("garp"), "B")):
        told = announced(steps, "lb2")
        assert {step.bare for step in told} == {("arp", "lb2", "all", (1, "lb2", "vip", "all", "vip"))}
        advert = next(step for step in of("vrrp", steps) if step.sender == "lb2")
        assert told[0].time - advert.time == pytest.approx(0.015, abs=0.005)
        gaps = [b.time - a.time for a, b in pairwise(told)]
        assert sorted(gap > 0.5 for gap in gaps)[-2:] == [False, True]  # two bursts
        before = {step.receiver for step in of("to-vip", steps) if step.time < told[0].time}
        after = {step.receiver for step in of("to-vip", steps) if step.time > told[0].time}
        assert (before, after) == ({"lb1"}, {"lb2"})


def test_announcements_by_hand_as_recorded() -> None:
    at_hand(BY_HAND)
    for steps in (steps_recorded(BY_HAND, "B_router.pcap"), steps_crafted(made("garp", form="arping-U"), "B")):
        told = announced(steps, "lb2")
        assert {step.bare for step in told} == {("arp", "lb2", "all", (1, "lb2", "vip", "all", "vip"))}
        assert [b.time - a.time for a, b in pairwise(told)] == pytest.approx([1.0] * (len(told) - 1), abs=0.02)
        after = {step.receiver for step in of("to-vip", steps) if step.time > told[0].time}
        assert after == {"lb2"}
