"""The text report: a golden page, and what a terminal must never receive."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_example import clean_report, faulty_report

from dsrkit.model.frame import FrameRef
from dsrkit.model.names import Mode, Verdict
from dsrkit.model.report import CellVerdict, Finding, Journey, Node, Path, Report, Service, Tap, Traffic
from dsrkit.model.sections.spread import Load, Spread
from dsrkit.report import json as json_report
from dsrkit.report.escape import escape
from dsrkit.report.text import nothing_checked_reason, render

GOLDEN = FilePath(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "report", "verbose"),
    [("clean", clean_report(), True), ("faulty", faulty_report(), False), ("empty", Report(), False)],
)
def test_golden_page(name: str, report: Report, verbose: bool) -> None:
    """Change the page on purpose, read it, then store what `render` gives."""
    assert render(report, width=100, verbose=verbose) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_first_line_is_the_verdict() -> None:
    def first(report: Report) -> str:
        return render(report).splitlines()[0]

    assert (
        first(clean_report())
        == "PASS  l2dsr (inferred from the packets), headers fit profile ipvs: no findings (exit 0)"
    )
    assert first(faulty_report()) == ("FAIL  l2dsr (from the spec), any profile: 1 error, 1 warning (exit 1)")
    assert first(Report()) == "NOTHING CHECKED  mode undetermined: no findings (exit 2)"
    tolerant = dataclasses.replace(clean_report(), findings=(Finding("X", "x", "info", "note"),))
    assert first(tolerant).endswith(": 1 info (none at or above warning; exit 0)")
    tolerant = dataclasses.replace(faulty_report(), fail_on="never", mode_from="option", profile=None)
    assert first(tolerant) == "FAIL  l2dsr (as given by --mode): 1 error, 1 warning (exit 0)"


def test_many_addresses_of_a_node_are_counted() -> None:
    addresses = tuple(f"192.0.2.{i}" for i in range(1, 12))
    report = Report(nodes=(Node("client", "client", addresses, addresses[:8]),))
    some, every = (section(render(report, verbose=verbose), "Nodes")[1].split() for verbose in (False, True))
    listed = " ".join(addresses[:8]).replace(" ", ", ").split()
    assert some == ["client", "client", *listed[:-1], "192.0.2.8,", "and", "3", "more", "(--verbose)", *listed]
    assert every == ["client", "client", *", ".join(addresses).split(), *listed]


def test_without_a_mode_the_first_line_says_what_was_judged() -> None:
    cell = CellVerdict("path.router.ip.src", "A→B", "request", "pass", 1, 0)
    for mechanisms, judged in (((), "routers and links"), (("health",), "health, routers and links")):
        line = render(Report(mechanisms=mechanisms, cells=(cell,))).splitlines()[0]
        assert line == f"PASS  mode undetermined, only {judged} could be judged: no findings (exit 0)"


@pytest.mark.parametrize(("mode", "said"), [("l2dsr", True), ("l7", False), ("dns-rr", False), (None, False)])
def test_a_way_past_the_load_balancer_is_missed_only_where_there_can_be_one(mode: Mode | None, said: bool) -> None:
    page = render(Report(mode=mode, traffic=Traffic(1000, 2000)))
    assert "requests 1,000 octets" in page
    assert ("what share bypassed" in page) is said


def test_load_balancers_that_see_no_reply_have_no_columns_for_it() -> None:
    def page(replies: int) -> list[str]:
        loads = tuple(Load(name, 2, 10, 1000, replies, 100 * replies) for name in ("lb1", "lb2"))
        spread = Spread("192.0.2.1", "tcp/80", (Load("rs1", 4, 20, 2000, 20, 2000),), loads)
        return [line for line in render(Report(spread=(spread,))).splitlines() if "load balancer  " in line]

    assert "reply packets" not in page(0)[0]
    assert "reply packets" in page(1)[0]


def test_a_proxys_tap_behind_it_is_told_by_its_link() -> None:
    taps = (Tap("A", "a", None, "client", "A"), Tap("B", "b", None, "lb", "B"), Tap("C", "c", None, "lb", "C"))
    nodes = tuple(map(Node, ("client", "router", "lb", "rs1"), ("client", "router", "lb", "real-server")))
    way = ("client", "router", "lb", "rs1")
    journeys = (Journey("A", "B", "request", "tcp", 5),)
    report = Report(mode="l7", taps=taps, nodes=nodes, path=Path(way, way[::-1]), journeys=journeys)
    assert path_lines(report)[0].split("request")[1].strip() == "client ─A→ router ─B→ lb ─C→ rs1"


def test_last_line_counts_the_verdicts() -> None:
    assert render(faulty_report()).splitlines()[-1] == "3 pass, 2 fail, 1 not observable"


def test_quiet_is_the_verdict_and_the_findings() -> None:
    assert render(clean_report(), quiet=True).count("\n") == 1
    page = render(faulty_report(), quiet=True)
    assert "DSR301" in page
    assert "Nodes" not in page


def test_colour_only_when_asked() -> None:
    assert "\x1b" not in render(faulty_report())
    coloured = render(faulty_report(), color=True)
    assert "\x1b[1;31mFAIL\x1b[0m" in coloured


def test_the_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = render(faulty_report())
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "41"), ("TERM", "dumb"), ("TTY_COMPATIBLE", "1")):
        monkeypatch.setenv(name, value)
    assert render(faulty_report()) == plain


def test_without_a_width_nothing_is_wrapped() -> None:
    message = "word " * 400
    page = render(Report(findings=(Finding("X", "x", "error", message),)))
    assert message.strip() in page


@pytest.mark.parametrize("width", [0, 1, 40, 61, 79, 80, 200])
def test_lines_keep_to_the_width(width: int) -> None:
    assert max(map(len, render(faulty_report(), width=width).splitlines())) <= max(width, 40)


@pytest.mark.parametrize("width", [40, 50, 61, 80])
def test_narrow_tables_are_folded_and_lose_nothing(width: int) -> None:
    def digits(page: str) -> int:
        return sum(char.isdigit() for char in page)

    for report in (clean_report(), faulty_report(), FAR):
        assert digits(render(report, width=width)) == digits(render(report))


def hostile(text: str) -> Report:
    return Report(
        mode="l2dsr",
        nodes=(Node(text, "lb", (text,), (text,)),),
        path=Path((text, text)),
        taps=(Tap(text, text, text, text, text),),
        journeys=(Journey(text, text, "request", text, 1, 1),),
        cells=(
            CellVerdict(text, text, "request", "fail", 1, 1),
            CellVerdict(text, text, "request", "not_observable", reason=text),
        ),
        findings=(
            Finding(
                text,
                text,
                "error",
                text,
                text,
                (text,),
                text,
                1,
                (),
                text,
                text,
                text,
                text,
                text,
                (text, text),
                (text,),
            ),
        ),
        notes=(text,),
    )


@given(st.text())
def test_packets_cannot_control_the_terminal(text: str) -> None:
    page = render(hostile(text), width=80, verbose=True)
    assert not {char for char in page if char != "\n" and escape(char) != char}


def test_data_is_not_markup() -> None:
    page = render(hostile("[red]:smile:[/red]"))
    assert page.count("[red]:smile:[/red]") > 10


def test_tags_are_told_with_their_octet() -> None:
    dscp = {7: "203.0.113.10", "8": "203.0.113.11", "web1": {9: "203.0.113.10"}, "\x1b": "\x1b"}
    page = render(Report(service=Service(dscp=dscp)))
    assert "- DSCP 7 (tos 0x1c) stands for 203.0.113.10\n" in page
    assert "- DSCP 8 (tos 0x20) stands for 203.0.113.11\n" in page
    assert "- DSCP 9 (tos 0x24) stands for 203.0.113.10 at web1\n" in page
    assert "- DSCP \\x1b stands for \\x1b\n" in page


def test_escapes_are_visible() -> None:
    assert escape("a\tb\x1b[0m\x9b\u202e\udc80→é") == "a\\x09b\\x1b[0m\\x9b\\u202e\\udc80→é"


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            clean_report(),
            "PASS  l2dsr (inferred from the packets), headers fit profile ipvs: no findings in the captures",
        ),
        (faulty_report(), "FAIL  l2dsr (from the spec), any profile: 1 error, 1 warning in the captures"),
    ],
)
def test_a_verdict_on_captures_is_no_exit_code(report: Report, said: str) -> None:
    assert render(report, exits=False).splitlines()[0] == said


def path_lines(report: Report) -> list[str]:
    return [line.strip() for line in render(report).splitlines() if "→ " in line]


def test_taps_stand_on_the_edges_where_they_were_taken() -> None:
    """The DSR picture of two taps per link letter: client, router and load balancer one-armed, switch, server."""
    report = Report(
        nodes=(Node("web1", "real-server"), Node("web2", "real-server")),
        path=Path(("client", "r1", "lb1", "r1", "real-server"), ("real-server", "r1", "client")),
        taps=(
            Tap("B_lb", "b", node="lb1", link="B"),
            Tap("C_r1", "c", node="r1", link="C"),
            Tap("D_web1", "d1", node="web1", link="D"),
            Tap("A_client", "a", node="client", link="A"),
            Tap("stray", "e", node="elsewhere"),
            Tap("unknown", "f"),
        ),
        journeys=(
            Journey("B_lb.in", "B_lb.out", "request", "tcp"),
            Journey("A_client", "B_lb.in", "request", "tcp"),
            Journey("B_lb.out", "C_r1", "request", "tcp"),
            Journey("C_r1", "D_web1", "request", "tcp"),
            Journey("D_web1", "A_client", "reply", "tcp"),
        ),
    )
    assert path_lines(report) == [
        "request  client ─A_client→ r1 ─B_lb→ lb1 ─B_lb→ r1 ─C_r1,D_web1→ real-server",
        "reply    real-server ─D_web1→ r1 ─A_client→ client",
    ]


def test_taps_stand_on_the_edges_of_their_links() -> None:
    """A proxy with two arms: its inner connections are other packets, so no journey says which arm is which."""
    report = Report(
        nodes=(Node("web1", "real-server"), Node("web2", "real-server")),
        path=Path(("client", "r1", "lb1", "real-server"), ("real-server", "lb1", "r1", "client")),
        taps=(
            Tap("A", "a", node="client", link="A"),
            Tap("B", "b", node="lb1", link="B"),
            Tap("C", "c", node="lb1", link="C"),
            Tap("C_web1", "c1", node="web1", link="C"),
            Tap("C_web2", "c2", node="web2", link="C"),
        ),
        journeys=(
            Journey("A", "B", "request", "tcp"),
            Journey("C", "C_web1", "request", "tcp"),
            Journey("C", "C_web2", "request", "tcp"),
            Journey("B", "A", "reply", "tcp"),
            Journey("C_web1", "C", "reply", "tcp"),
            Journey("C_web2", "C", "reply", "tcp"),
        ),
    )
    assert path_lines(report) == [
        "request  client ─A→ r1 ─B→ lb1 ─C,C_web1,C_web2→ real-server",
        "reply    real-server ─C_web1,C_web2,C→ lb1 ─B→ r1 ─A→ client",
    ]


def test_the_senders_end_of_a_link_is_first() -> None:
    report = Report(
        path=Path((), ("web1", "r2", "r1", "client")),
        taps=(
            Tap("C", "c", node="r2", link="C"),
            Tap("B_r1", "b1", node="r1", link="B"),
            Tap("B_r2", "b2", node="r2", link="B"),
            Tap("A", "a", node="client", link="A"),
        ),
        journeys=(
            Journey("C", "B_r1", "reply", "tcp"),
            Journey("B_r1", "B_r2", "reply", "tcp"),
            Journey("B_r2", "A", "reply", "tcp"),
        ),
    )
    assert path_lines(report) == ["reply  web1 ─C→ r2 ─B_r2,B_r1→ r1 ─A→ client"]


def test_a_tap_whose_side_is_unknown_is_not_drawn() -> None:
    report = Report(path=Path(("client", "lb1", "web1")), taps=(Tap("B", "b", node="lb1"),))
    assert path_lines(report) == ["request  client → lb1 → web1"]


def test_journeys_in_a_circle_end() -> None:
    report = Report(
        path=Path(("client", "lb1", "web1")),
        taps=(Tap("A", "a", node="client"), Tap("B", "b", node="lb1")),
        journeys=(Journey("A", "B", "request", "tcp"), Journey("B", "A", "request", "tcp")),
    )
    assert path_lines(report) == ["request  client ─A,B→ lb1 → web1"]


def judged(cell: str, hop: str, verdict: Verdict = "pass", failed: int = 0) -> CellVerdict:
    return CellVerdict(cell, hop, "request", verdict, 9, failed)


def section(page: str, title: str) -> list[str]:
    """The lines below a heading, down to the next empty one."""
    return page.split(f"\n{title}\n")[1].split("\n\n")[0].splitlines() if f"\n{title}\n" in page else []


FAR = Report(
    taps=(Tap("A", "x/A.pcap"), Tap("B", "x/B.pcap")),
    nodes=(Node("rs1", "real-server"), Node("rs2", "real-server")),
    journeys=(Journey("A", "B", "request", "tcp", 9), Journey("A", "D", "request", "tcp", 9)),
    cells=(
        judged("l2dsr.lb.ip.ttl", "A→B"),
        judged("l2dsr.lb.ip.ttl", "→B"),
        judged("l2dsr.real-server.answered", "rs2"),
        judged("l2dsr.real-server.answered", "rs1"),
        judged("l2dsr.real-server.answered", "B", "fail", 3),
        judged("l2dsr.router.reply.appears", "A→", "fail", 9),
    ),
)


def test_pairs_that_were_only_counted_are_hidden() -> None:
    lines = section(render(FAR), "Hops")
    assert [line.split()[0] for line in lines] == ["hop", "A→B", "(no", "1"]
    assert lines[-1] == "  1 pair of points further apart, counted only: --verbose"
    assert "A→D" in render(FAR, verbose=True)
    assert "further apart" not in render(FAR, verbose=True)


def test_cells_without_a_hop_stand_apart_by_place() -> None:
    table = [re.split(r"\s{2,}", line.strip()) for line in section(render(FAR), "Presence")]
    assert table[1:] == [
        ["l2dsr.real-server.answered", "pass", "rs1 9, rs2 9"],
        ["l2dsr.real-server.answered", "fail", "B 3 of 9"],
        ["l2dsr.router.reply.appears", "fail", "behind A 9 of 9"],
    ]


def test_what_was_proven_is_counted_and_listed_only_on_demand() -> None:
    line = "Proven: 2 cells at 2 hops and 2 presence cells held, in 36 comparisons"
    assert f"\n{line}.\n" in render(FAR)
    assert f"\n{line}: A→B (request), (no tap)→B (request).\n" in render(FAR, verbose=True)


def test_a_folder_of_all_files_is_said_once() -> None:
    assert "Taps (files in x/)\n" in render(FAR)
    assert "x/A.pcap" not in render(FAR)
    two = dataclasses.replace(FAR, taps=(Tap("A", "x/A.pcap"), Tap("B", "y/A.pcap")))
    assert "x/A.pcap" in render(two)


def test_a_finding_says_nothing_twice() -> None:
    """The id as a name, values that the message holds, itself as a symptom; what one file's filter does not say."""
    cell = "l2dsr.real-server.answered"
    finding = Finding(
        code=cell,
        name="l2dsr-real-server-answered",
        severity="error",
        message="requests are not answered at B: expected answered, found silence",
        nodes=("rs1",),
        count=3,
        frames=(FrameRef("x/B.pcap", 9), FrameRef("x/B.pcap", 4), FrameRef("x/A.pcap", 2)),
        expected="answered",
        actual="silence",
        filter="frame.number in {4,9}",
        symptoms=(cell,),
    )
    nodes = (Node("rs1", "real-server", ("10.0.0.1", "10.0.0.2")),)
    assert section(render(dataclasses.replace(FAR, nodes=nodes, findings=(finding,))), "Findings") == [
        "  error  l2dsr.real-server.answered: at rs1 (10.0.0.1, …), 3 times",
        "    requests are not answered at B: expected answered, found silence",
        "    frames  x/B.pcap: 4, 9",
        "    frames  x/A.pcap: 2",
        "    filter  frame.number in {4,9}   in x/B.pcap",
    ]


def test_an_undetermined_mode_comes_with_advice() -> None:
    assert "\nA tap on the other side" in render(Report(taps=(Tap("A", "a.pcap", packets=3),)))


NO_MODE = "the packets do not show a mode of load balancing, nor the same packet at two places"
BLIND = CellVerdict("l2dsr.lb.ip.ttl", "A→B", "request", "not_observable")


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (Report(cells=(dataclasses.replace(BLIND, reason="no capture\nof B"),)), "no capture\\x0aof B"),
        (Report(taps=(Tap("A", "a.pcap"),)), "the captures hold no packets"),
        (Report(taps=(Tap("A", "a.pcap", packets=3),), notes=("frames are there twice",)), NO_MODE),
        (Report(), NO_MODE),
        (Report(mode="nat", cells=(BLIND,)), "no packet of the service exercises a rule of nat"),
        (
            Report(mode="nat", service=Service(("192.0.2.9",))),
            "no packet of the service (192.0.2.9) exercises a rule of nat",
        ),
    ],
)
def test_why_nothing_was_checked(report: Report, reason: str) -> None:
    assert nothing_checked_reason(report) == reason
    assert reason in render(report)


def test_json_renderer_ends_its_line() -> None:
    assert json_report.render(clean_report()) == clean_report().to_json() + "\n"
