"""Recorded takeovers: owners, order, first frames and blackouts as truth.json and tshark have them."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from scenarios import Scenario, cases, loud

import dsrkit
from dsrkit.model.report import Report
from dsrkit.model.sections.takeover import Move, Takeover

CASES = {case.name: case for case in cases(["garp"])}
HEALTHY = [case for case in CASES.values() if case.healthy]
LOST = CASES["b08-garp-not-sent"]
SECOND = 1_000_000_000
SLACK = SECOND // 5
"""How exact the times of events in truth.json are."""
# Frames that tshark shows at the router: the last SYN or ACK to the old owner, the first SYN to the new one.
FIRST_TO_NEW = {"garp-arping-U": 108, "garp-keepalived-crash": 136}


@cache
def report(name: str) -> Report:
    return dsrkit.verify(CASES[name].files)


def only(report: Report) -> tuple[Takeover, Move]:
    (takeover,) = report.takeovers
    (move,) = takeover.moves
    return takeover, move


def event_time(case: Scenario, words: str) -> int:
    return next(int(e["time"] * SECOND) for e in case.truth["events"] if words in e["what"])


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_owners_are_the_true_ones(case: Scenario) -> None:
    takeover, move = only(report(case.name))
    assert list(takeover.vips) == case.vips
    before, after = case.truth["vip_owner_before"], case.truth["vip_owner_after"]
    assert move.old is not None
    assert move.new is not None
    assert (move.old.mac, move.new.mac) == (before["mac"], after["mac"])
    assert move.old.ip in case.addresses(before["node"])
    assert move.new.ip in case.addresses(after["node"])
    assert [reign.owner for reign in takeover.owners] == [move.old, move.new]
    assert report(case.name).mode == "l2dsr"
    assert "garp" in report(case.name).mechanisms


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_the_timeline_follows_the_truth(case: Scenario) -> None:
    _, move = only(report(case.name))
    moved, after = event_time(case, "on lb1 (" if "crash" in case.name else "by hand"), event_time(case, "after the")
    assert moved - SLACK < move.at_ns < after + SLACK
    times = [event.ts_ns for event in move.events]
    assert times == sorted(times)
    order = [event.what for event in move.events]
    announced = order.index("announcement")
    assert order.index("last-frame-to-old") < announced < order.index("first-frame-to-new")
    assert order.index("last-sign-of-old") < announced
    first = next(event for event in move.events if event.what == "first-frame-to-new")
    assert first.ts_ns > moved
    assert (Path(first.frame.file).name, first.frame.frame) == ("B_router.pcap", FIRST_TO_NEW[case.name])
    assert move.clients == (), "no client called in between: idle time is no blackout"
    (router,) = move.neighbours
    assert router.mac in case.macs("rtr")
    assert not router.stale


def test_a_crash_shows_in_adverts() -> None:
    takeover, move = only(report("garp-keepalived-crash"))
    assert (takeover.protocol, takeover.vrid, move.reason) == ("vrrp2", 51, "silent")
    order = [event.what for event in move.events]
    assert order.index("last-sign-of-old") < order.index("first-advert") < order.index("announcement")
    last = next(event for event in move.events if event.what == "last-sign-of-old")
    assert last.relative_ms == pytest.approx(-3620, abs=20)
    seen = {sight.tap: sight.announcements for sight in move.taps}
    assert seen == dict.fromkeys(("B_router", "B_lb1", "B_lb2", "B_rs1", "B_rs2"), 6)
    assert move.forms == ("request-tha-broadcast",)


def test_a_move_by_hand_has_no_adverts() -> None:
    takeover, move = only(report("garp-arping-U"))
    assert (takeover.protocol, takeover.vrid, move.reason, move.announcements) == ("announcements", None, "unseen", 3)


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_every_check_holds(case: Scenario, tmp_path: Path) -> None:
    for checked in (report(case.name), dsrkit.verify(case.blind(tmp_path)), dsrkit.verify(spec=case.spec(tmp_path))):
        assert [(finding.code, finding.message) for finding in loud(checked)] == []
        cells = {cell.cell: cell for cell in checked.cells if cell.cell.startswith("garp.")}
        assert {cell.verdict for cell in cells.values()} == {"pass"}
        assert cells.keys() >= {
            "garp.owner.exclusive",
            "garp.owner.announced",
            "garp.owner.announced-last",
            "garp.old-owner.lets-go",
            "garp.announcement.gratuitous",
            "garp.announcement.sender",
            "garp.announcement.target-mac",
            "garp.announcement.arrives",
            "garp.router.follows",
        }


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_fewer_taps_tell_less_and_nothing_wrong(case: Scenario) -> None:
    truth = {case.truth["vip_owner_before"]["mac"], case.truth["vip_owner_after"]["mac"]}
    told = 0
    for size in (1, 2):
        for files in combinations(case.files, size):
            part = dsrkit.verify(files)
            assert [finding.message for finding in loud(part)] == []
            for takeover in part.takeovers:
                assert {reign.owner.mac for reign in takeover.owners} <= truth
                for move in takeover.moves:
                    assert move.old is not None
                    assert move.new is not None
                    assert move.new.mac == case.truth["vip_owner_after"]["mac"]
                    told += 1
    assert told > 5


@pytest.mark.parametrize("stated", [False, True], ids=["blind", "spec"])
def test_a_vip_that_left_without_a_word(stated: bool, tmp_path: Path) -> None:
    found = dsrkit.verify(spec=LOST.spec(tmp_path)) if stated else dsrkit.verify(LOST.blind(tmp_path))
    (finding,) = loud(found)
    assert finding.code == "ARP104"
    assert set(LOST.case["expected"]["cells"]) <= set(finding.symptoms)
    assert finding.severity == "error"
    # The new owner sends not one frame: only a spec knows that there is another load balancer.
    accused = LOST.true_names(found, finding.nodes)
    assert accused == ({"lb2"} if stated else {"lb1"})
    _, move = only(found)
    assert move.old is not None
    assert move.old.mac == LOST.truth["vip_owner_before"]["mac"]
    assert move.new is None
    assert event_time(LOST, "by hand") < move.at_ns
    assert {client.client for client in move.clients} == set(LOST.truth["clients"])
    assert all(client.until_ms is None for client in move.clients)
