"""Merging reports: counts add up in any grouping, machines keep their identity, contradictions are told."""

from __future__ import annotations

import dataclasses
import json
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_reports import MACHINES, REPORTS
from report_example import clean_report, faulty_report

from dsrkit.errors import UsageError
from dsrkit.model.frame import FrameRef
from dsrkit.model.merging import PART, together
from dsrkit.model.report import (
    LEADING,
    MAX_EXAMPLES,
    CellVerdict,
    Finding,
    Json,
    Node,
    Path,
    Report,
    Service,
    Tap,
)
from dsrkit.model.same_machines import names_of_second, renamed
from dsrkit.model.sections.spread import Load, Spread
from dsrkit.model.sections.takeover import Owner, Reign, Takeover

CELL = CellVerdict("l2dsr.lb.ip.ttl", "B.in→B.out", "request", "pass", 3, 0)
BLIND = dataclasses.replace(CELL, verdict="not_observable", checked=0, reason="no capture of C")
BROKEN = dataclasses.replace(CELL, verdict="fail", failed=1)
INFO = Finding("X", "x", "info", "")


def merged(*reports: Report) -> Report | None:
    """All of them from left to right; None if they contradict."""
    try:
        return reduce(Report.merge, reports)
    except UsageError:
        return None


def unordered(report: Report | None) -> Json | None:
    """What a report says without the order of its notes, which are sentences of single parts."""
    return None if report is None else {**report.to_dict(), "notes": sorted(report.notes)}


def counted(report: Report | None) -> object:
    """What does not depend on which part came first."""
    if report is None:
        return None
    return json.loads(
        json.dumps(
            {
                "mode": report.mode,
                "exit": report.exit_code,
                "traffic": report.traffic.to_dict(),
                "nodes": sorted((n.name, n.role, sorted(n.ip), sorted(n.mac)) for n in report.nodes),
                "taps": sorted((repr((t.name, t.file, t.interface)), t.packets, t.octets) for t in report.taps),
                "journeys": sorted((j.hop, j.direction, j.protocol, j.paired, j.unpaired) for j in report.journeys),
                "findings": sorted((repr((f.code, f.node, f.tap)), f.severity, f.count) for f in report.findings),
                "cells": sorted((c.cell, c.hop, c.direction, c.verdict, c.checked, c.failed) for c in report.cells),
                "owners": sorted((repr(t.key), len(t.owners), len(t.moves)) for t in report.takeovers),
                "spread": sorted((repr(s.key), s.connections, s.moved) for s in report.spread),
                "notes": sorted(report.notes),
            }
        )
    )


@settings(deadline=None, max_examples=40)
@given(REPORTS, REPORTS, REPORTS)
def test_grouping_does_not_matter(a: Report, b: Report, c: Report) -> None:
    left, right = merged(a, b), merged(b, c)
    assert unordered(left and merged(left, c)) == unordered(right and merged(a, right))


@settings(deadline=None, max_examples=40)
@given(REPORTS, REPORTS)
def test_order_changes_no_count(a: Report, b: Report) -> None:
    assert counted(merged(a, b)) == counted(merged(b, a))


@settings(deadline=None, max_examples=40)
@given(st.lists(REPORTS, min_size=1, max_size=4))
def test_many_at_once_are_one_after_the_other(reports: list[Report]) -> None:
    one_by_one = merged(*reports)
    if one_by_one is not None:
        assert reports[0].merge(*reports[1:]) == one_by_one


@settings(deadline=None, max_examples=40)
@given(REPORTS)
def test_an_empty_report_adds_nothing(report: Report) -> None:
    empty = Report(fail_on="never")
    once = report.merge(empty)
    assert once == empty.merge(report)
    assert once.merge(empty) == once
    assert once.exit_code == report.exit_code
    assert report.merge() is report


def test_merge_adds_counts() -> None:
    a, b = clean_report(), faulty_report()
    both = a.merge(b)
    assert [tap.packets for tap in both.taps] == [960, 480, 12]
    assert both.journeys[0].paired == 240
    assert both.cells[0].checked == 240
    assert both.mode_from == "spec"
    assert both.profile == "any"
    assert both.findings == b.findings
    twice = both.merge(b).findings[0]
    assert twice.count == 24
    assert twice.frames == b.findings[0].frames, "a frame is one example, however often it is named"


def test_merge_keeps_the_worst_verdict_and_its_reason() -> None:
    def verdict(*cells: CellVerdict) -> CellVerdict:
        (cell,) = reduce(Report.merge, [Report(cells=(cell,)) for cell in cells]).cells
        return cell

    assert verdict(BLIND, CELL) == CELL
    assert verdict(CELL, BROKEN, BLIND) == dataclasses.replace(BROKEN, checked=6)
    assert verdict(BLIND, BLIND).reason == "no capture of C"


def test_merge_keeps_the_first_examples() -> None:
    def finding(start: int) -> Report:
        frames = tuple(FrameRef("B.pcap", number) for number in range(start, start + 8))
        return Report(findings=(dataclasses.replace(INFO, frames=frames, count=8),))

    (both,) = finding(1).merge(finding(9)).findings
    assert both.count == 16
    assert [frame.frame for frame in both.frames] == list(range(1, MAX_EXAMPLES + 1))


def test_findings_at_different_nodes_or_taps_stay_apart() -> None:
    a = Report(findings=(dataclasses.replace(INFO, node="web1"),))
    b = Report(findings=(dataclasses.replace(INFO, node="web2"), dataclasses.replace(INFO, tap="B")))
    assert len(a.merge(b).findings) == 3


def test_a_merged_message_says_that_its_numbers_are_those_of_a_part() -> None:
    one, other = (Report(findings=(dataclasses.replace(INFO, message=text),)) for text in ("4 of 4", "9 of 9"))
    both = one.merge(other, one)
    assert both.findings[0].message == f"4 of 4{PART}"
    assert both.findings[0].count == 3
    same = Report(findings=(dataclasses.replace(INFO, message="no answer"),))
    assert same.merge(same).findings[0].message == "no answer"


def test_a_filter_follows_the_examples_of_its_file() -> None:
    def part(file: str, number: int) -> Report:
        frames = (FrameRef(file, number),)
        return Report(findings=(dataclasses.replace(INFO, frames=frames, filter=f"frame.number in {{{number}}}"),))

    merged = part("a", 3).merge(part("a", 9), part("b", 5))
    assert merged.findings[0].filter == "frame.number in {3,9}"
    assert merged.findings[0].frames == (FrameRef("a", 3), FrameRef("a", 9), FrameRef("b", 5))


def test_fields_that_break_together_are_one_finding() -> None:
    """Each part names the field that failed most often there; the whole has one finding, as one verification has."""

    def part(led: str, **failed: int) -> Report:
        ids = {f"nat.lb.{field.replace('_', '.')}": n for field, n in failed.items()}
        cells = [CellVerdict(cell, "B→C", "request", "fail", 9, n) for cell, n in ids.items()]
        finding = Finding(led, led, "error", "x", count=ids[led], symptoms=tuple(ids))
        return Report(findings=(Finding("NAT207", "x", "warning", ""), finding), cells=tuple(cells))

    other = Finding("nat.lb.reply.ip.ttl", "x", "error", "")
    answers = Finding("nat.real-server.answered", "x", "error", "")
    merged = together(
        part("nat.lb.l4.checksum", l4_checksum=2, ip_ttl=2).merge(
            part("nat.lb.ip.ttl", ip_ttl=3), Report(findings=(other, answers))
        )
    )
    assert [f.code for f in merged.findings] == [
        "nat.lb.ip.ttl",
        "nat.lb.reply.ip.ttl",
        "nat.real-server.answered",
        "NAT207",
    ]
    assert merged.findings[0].count == 5
    assert merged.findings[0].symptoms == ("nat.lb.ip.ttl", "nat.lb.l4.checksum")


@pytest.mark.parametrize("field", LEADING)
def test_a_checksum_does_not_lead_before_what_it_follows_from(field: str) -> None:
    """A payload that changed makes its checksum wrong as often: the report of all parts names the payload, too."""
    failed = {f"l2dsr.lb.{one}": 4 for one in ("l4.checksum", field)}
    cells = tuple(CellVerdict(cell, "B.in→B.out", "request", "fail", 9, n) for cell, n in failed.items())
    parts = [Report(findings=(Finding(cell, cell, "error", "x"),), cells=cells) for cell in failed]
    for one, other in (parts, parts[::-1]):
        assert [finding.code for finding in together(one.merge(other)).findings] == [f"l2dsr.lb.{field}"]


# --- machines --------------------------------------------------------------------------------------------------------


def server(name: str, number: int) -> Node:
    return Node(name, "real-server", (f"10.0.0.{number}",), (f"02:00:00:00:00:{number}",))


def test_a_machine_is_known_by_its_addresses_not_its_name() -> None:
    first = Report(nodes=(server("rs1", 11), server("rs2", 12), server("rs3", 13)))
    load = Spread("vip", "tcp/80", (Load("rs2", 5), Load(None, 1)))
    fault = Finding("DSR301", "x", "error", "rs2 is silent, rs1 is not", nodes=("rs2",), fix="# rs2: ip address add")
    second = Report(
        nodes=(server("rs1", 11), server("rs2", 13)),
        findings=(fault,),
        cells=(CellVerdict("l2dsr.real-server.answered", "rs1, rs2", "request", "fail", 1, 1),),
        taps=(Tap("D", "d.pcap", node="rs2"),),
        spread=(load,),
        takeovers=(Takeover(("vip",), owners=(Reign(Owner("rs2"), 1, 2),)),),
        path=Path(("client", "rs2")),
        notes=("rs2 was seen",),
    )
    both = first.merge(second)
    assert [(node.name, node.ip) for node in both.nodes] == [(n.name, n.ip) for n in first.nodes]
    (found,) = both.findings
    assert (found.node, found.nodes, found.message) == ("rs3", ("rs3",), "rs3 is silent, rs1 is not")
    assert found.fix == "# rs3: ip address add"
    assert both.cells[0].hop == "rs1, rs3"
    assert both.taps[0].node == "rs3"
    assert [one.name for one in both.spread[0].servers] == ["rs3", None]
    assert both.takeovers[0].owners[0].owner.name == "rs3"
    assert both.path.request == ("client", "rs3")
    assert both.notes == ("rs3 was seen",)


def test_names_that_change_hands_are_swapped_at_once() -> None:
    names = names_of_second((server("rs1", 11), server("rs2", 12)), (server("rs1", 12), server("rs2", 11)))
    assert names == {"rs1": "rs2", "rs2": "rs1"}
    assert renamed(Report(notes=("rs1 then rs2, not rs11",)), names).notes == ("rs2 then rs1, not rs11",)


def test_another_machine_of_a_known_name_gets_a_free_one() -> None:
    assert names_of_second((server("rs1", 11),), (server("rs1", 12), server("rs2", 13))) == {"rs1": "rs3"}
    assert names_of_second((server("lb", 1),), (server("lb", 2),)) == {"lb": "lb2"}


def test_a_name_that_is_a_word_is_explained_and_not_replaced() -> None:
    one, other = (Node("router", "router", (), (f"02:00:00:00:00:0{n}",)) for n in (1, 2))
    fault = Finding("DSR308", "x", "error", "replies miss the clients' router", nodes=("router",))
    both = Report(nodes=(one,)).merge(Report(nodes=(other,), findings=(fault,)))
    assert [node.name for node in both.nodes] == ["router", "router2"]
    assert both.findings[0].nodes == ("router2",)
    assert both.findings[0].message == "replies miss the clients' router (router is router2 here)"


def test_a_tap_keeps_a_name_that_a_machine_loses() -> None:
    cells = tuple(CellVerdict("x", hop, "request", "pass", 1) for hop in ("rs1→lb", "rs1"))
    part = Report(nodes=(server("rs1", 12),), taps=(Tap("rs1", "rs1.pcap", node="rs1"),), cells=cells)
    both = Report(nodes=(server("rs1", 11), server("rs2", 12))).merge(part)
    assert (both.taps[0].name, both.taps[0].node) == ("rs1", "rs2")
    assert [cell.hop for cell in both.cells] == ["rs1→lb", "rs1"]


def test_a_shared_address_does_not_join_two_machines() -> None:
    virtual = "00:00:5e:00:01:33"
    pair = tuple(Node(f"lb{n}", "lb", (f"10.0.0.{n}",), (virtual,)) for n in (1, 2))
    assert names_of_second(pair, pair) == {}
    assert names_of_second(pair, (Node("lb", "lb", ("10.0.0.2",), (virtual,)),)) == {"lb": "lb2"}


def test_clients_of_all_parts_are_one_node_of_bounded_size() -> None:
    parts = [Report(nodes=(Node("client", "client", tuple(f"{n}.0.0.{i}" for i in range(60))),)) for n in (1, 2)]
    (client,) = parts[0].merge(parts[1]).nodes
    assert (client.name, len(client.ip)) == ("client", 64)


def test_what_one_part_takes_for_a_router_another_knows_better() -> None:
    lb = MACHINES["lb"]
    seen = dataclasses.replace(lb, name="router2", role="router")
    (node,) = Report(nodes=(seen,)).merge(Report(nodes=(lb,))).nodes
    assert (node.name, node.role) == ("router2", "lb")


def test_a_role_stands_for_several_machines_of_a_path() -> None:
    def part(n: int) -> Report:
        return Report(nodes=(server(f"rs{n}", n),), path=Path(("client", f"rs{n}"), (f"rs{n}", "client")))

    assert part(1).merge(part(1)).path.request == ("client", "rs1")
    assert part(1).merge(part(2)).path == Path(("client", "real-server"), ("real-server", "client"))
    routed = Report(path=Path(("client", "router", "rs1")))
    assert part(1).merge(routed).path.request == ("client", "router", "rs1")


# --- contradictions and what a part does not tell -------------------------------------------------------------------


VIP = {7: "203.0.113.10"}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (Report(mode="nat"), Report(mode="l2dsr"), "different modes .*: nat and l2dsr"),
        (
            Report(service=Service(tunnel={"type": "ipip"})),
            Report(service=Service(tunnel={"type": "gre"})),
            "different tunnels .*: type ipip and type gre",
        ),
        (
            Report(service=Service(dscp={"rs1": VIP})),
            Report(service=Service(dscp={"rs1": {7: "203.0.113.99"}})),
            r"DSCP 7 at rs1 stands for 203\.0\.113\.10 and 203\.0\.113\.99",
        ),
        (
            Report(mode="nat", mode_from="spec", service=Service(("203.0.113.10",))),
            Report(mode="nat", mode_from="spec", service=Service(("203.0.113.20",))),
            "different specs .*: VIP 203.0.113.10 in one, 203.0.113.20 in another",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(one: Report, other: Report, message: str) -> None:
    for reports in ((one, other), (one, Report(), other)):
        with pytest.raises(UsageError, match=message):
            reports[0].merge(*reports[1:])


def test_what_the_parts_say_of_a_service_comes_together() -> None:
    one = Service(("1.1.1.1",), ("tcp/80",), {"type": "gue", "port": 6080}, {7: "1.1.1.1"})
    other = Service(("1.1.1.1", "2.2.2.2"), ("tcp/443",), {"type": "gue", "variant": 1, "port": 1}, {9: "2.2.2.2"})
    service = Report(service=one).merge(Report(service=other)).service
    assert service.vip == ("1.1.1.1", "2.2.2.2")
    assert service.ports == ("tcp/80", "tcp/443")
    assert service.tunnel == {"type": "gue", "port": None, "variant": 1}
    assert service.dscp == {7: "1.1.1.1", 9: "2.2.2.2"}


@pytest.mark.parametrize("mode", [None, "garp", "health"])
def test_a_part_without_the_data_path_is_said(mode: str | None) -> None:
    part = Report(mode=mode, taps=(Tap("B", "b2.pcap", packets=9),), mechanisms=("garp",))
    whole = Report(mode="nat", mechanisms=("nat",), cells=(CELL,)).merge(part)
    assert whole.mode == "nat"
    assert whole.mechanisms == ("nat", "garp")
    assert whole.notes == (
        "b2.pcap: the packets of this part alone do not tell the mode",
        "b2.pcap: nothing could be checked in this part alone",
    )
    assert whole.exit_code == 0


def test_packets_that_a_note_counts_add_up() -> None:
    one, other = Report(notes=("mode nat: why (1 packet)", "x")), Report(notes=("x", "mode nat: why (7 packets)"))
    assert one.merge(other).notes == ("mode nat: why (8 packets)", "x")


def test_owners_of_a_vip_are_in_the_order_of_time() -> None:
    def reign(name: str, at: int) -> Report:
        return Report(takeovers=(Takeover(("vip",), owners=(Reign(Owner(name), at, at + 1),)),))

    (takeover,) = reign("lb1", 50).merge(reign("lb2", 10)).takeovers
    assert [one.owner.name for one in takeover.owners] == ["lb2", "lb1"]
