"""Takeovers that are healthy in every form stay silent, and each fault of a takeover is told by its own check."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from scenarios import loud

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.faults.arp import FAULTS
from dsrkit.craft.options import GARP_FORMS
from dsrkit.craft.packets.vrrp import advertisement
from dsrkit.craft.scenario import Scenario
from dsrkit.mechanisms.health import HealthChecks
from dsrkit.model.frame import FrameRef
from dsrkit.model.report import Report
from dsrkit.model.sections.health_check import Change, HealthCheck, Interval
from dsrkit.model.sections.takeover import Move, Takeover
from dsrkit.report.text import render
from dsrkit.tables.checks.takeover import CHECKS
from dsrkit.verify.observer import Outcome

SECOND = 1_000_000_000
FOUND = {
    "ARP104": ("garp.owner.announced", "error"),
    "ARP105": ("garp.announcement.gratuitous", "error"),
    "ARP106": ("garp.announcement.target-mac", "info"),
    "ARP108": ("garp.owner.announced-last", "error"),
    "ARP109": ("garp.owner.exclusive", "error"),
    "ARP110": ("garp.vrrp.vrid", "error"),
    "ARP111": ("garp.owner.one-mac", "info"),
    "ARP112": ("garp.announcement.sender", "error"),
    "ARP115": ("garp.router.follows", "error"),
    "ARP117": ("garp.announcement.arrives", "error"),
    "ARP118": ("garp.old-owner.lets-go", "warning"),
}
SILENT = {"ARP107", "ARP113"}
"""A neighbour that asks after an announcement is healthy; a switch's own table is in no packet."""
ONLY_ARP = {"ARP105", "ARP106"}
FORMS_ELSEWHERE = {
    4: {"unsolicited-na"},
    6: {"request", "reply", "send-arp", "arping-A", "arping-U", "heartbeat", "seesaw"},
}
"""Forms that the IP version does not have."""
OPTIONS: list[dict[str, object]] = [
    {},
    {"ip": 6},
    {"vrrp": 3},
    {"vmac": True},
    {"vmac": True, "ip": 6},
    {"graceful": True},
    {"graceful": True, "vmac": True, "vrrp": 3},
    {"flows": 20, "seed": 5},
    {"clients": 4, "seed": 7},
    {"vlan": 100},
]


def made(folder: Path, fault: str | None = None, **options: object) -> Report:
    scenario: Scenario = craft("garp", fault=fault, **options)  # type: ignore[arg-type]
    path = folder / "made.pcapng"
    scenario.write(path)
    return dsrkit.verify(path)


def of_takeovers(report: Report) -> dict[str, str]:
    """Failed checks of takeovers, with the severity of the finding that explains them."""
    return {check: f.severity for f in report.findings for check in f.symptoms if check.startswith("garp.")}


def only(report: Report) -> tuple[Takeover, Move]:
    (takeover,) = report.takeovers
    (move,) = takeover.moves
    return takeover, move


# --- crafted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_healthy_takeover(options: dict[str, object], tmp_path: Path) -> None:
    report = made(tmp_path, **options)
    assert [(f.code, f.message) for f in report.findings] == []
    takeover, move = only(report)
    assert takeover.protocol == ("vrrp3" if 3 in options.values() or 6 in options.values() else "vrrp2")
    assert takeover.vrid == 51
    assert move.reason == ("released" if "graceful" in options else "silent")
    assert move.announcements == 10
    assert {sight.announcements for sight in move.taps} == {10}
    assert len(takeover.owners) == 2
    assert takeover.owners[0].owner != takeover.owners[1].owner


def test_a_blackout_is_that_of_the_repeated_request(tmp_path: Path) -> None:
    _, move = only(made(tmp_path))
    (client,) = move.clients
    assert client.requests == 1
    assert client.blackout_ms == pytest.approx(1010, abs=15)
    first = next(event for event in move.events if event.what == "first-in-vain")
    assert first.relative_ms == client.from_ms < 0


@pytest.mark.parametrize(
    ("form", "ip"), [(form, ip) for form in GARP_FORMS for ip in (4, 6) if form not in FORMS_ELSEWHERE[ip]]
)
def test_a_move_by_hand_in_every_form(form: str, ip: int, tmp_path: Path) -> None:
    report = made(tmp_path, form=form, ip=ip)
    assert loud(report) == []
    assert of_takeovers(report) == ({"garp.announcement.gratuitous": "info"} if form in ("send-arp", "seesaw") else {})
    takeover, move = only(report)
    assert takeover.protocol == "announcements"
    assert move.announcements > 0
    assert not any(neighbour.stale for neighbour in move.neighbours)


@pytest.mark.parametrize(
    ("code", "ip"),
    [(f.code, ip) for f in FAULTS if f.modes == ("garp",) for ip in (4, 6) if ip == 4 or f.code not in ONLY_ARP],
)
def test_a_fault_is_told(code: str, ip: int, tmp_path: Path) -> None:
    report = made(tmp_path, code, ip=ip)
    found = of_takeovers(report)
    if code in SILENT:
        assert found == {}
        return
    (finding,) = report.findings
    assert finding.code == code
    assert finding.nodes
    assert finding.settle
    assert not set(finding.ruled_out) & set(finding.candidates)
    check, severity = FOUND[code]
    assert found.get(check) == severity
    assert code in CHECKS[check].codes
    others = {"garp.owner.announced": "warning"} if code == "ARP118" else {}
    assert found == {check: severity} | others


def test_every_check_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "modes" / "garp.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {c.meaning} | {c.severity} | {', '.join(c.codes)} |" for name, c in CHECKS.items()]
    assert [row for row in rows if row not in page] == []
    assert {check for check, _ in FOUND.values()} == CHECKS.keys()
    assert all(check.meaning and check.source and check.codes for check in CHECKS.values())


# --- by hand ----------------------------------------------------------------------------------------------------------

LB1, LB2, HOST, ALL, ZERO = (
    bytes.fromhex(x) for x in ("02b100000001", "02b100000002", "020000000009", "ff" * 6, "00" * 6)
)
VIP, VIP2, DIP, ROUTER = (bytes([192, 0, 2, n]) for n in (100, 101, 10, 1))


def arp(op: int, sha: bytes, spa: bytes, tha: bytes, tpa: bytes, dst: bytes = ALL) -> bytes:
    return dst + sha + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + sha + spa + tha + tpa


def announced(mac: bytes, vip: bytes = VIP) -> bytes:
    return arp(1, mac, vip, ALL, vip)


def answered(mac: bytes, vip: bytes = VIP) -> bytes:
    return arp(2, mac, vip, HOST, ROUTER, HOST)


def advertised(mac: bytes, priority: int = 100, vips: Sequence[str] = ("192.0.2.100",), vrid: int = 51) -> bytes:
    return advertisement(vrid, priority, vips, f"192.0.2.{mac[-1]}", src_mac=mac.hex(":"))


def verified(folder: Path, frames: Sequence[tuple[float, bytes]], name: str = "x") -> Report:
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for at, frame in sorted(frames, key=lambda x: x[0]):
        ns = round(at * SECOND)
        data += struct.pack("<IIII", 1_700_000_000 + ns // SECOND, ns % SECOND, len(frame), len(frame)) + frame
    path = folder / f"{name}.pcap"
    path.write_bytes(data)
    return dsrkit.verify(path)


def adverts(mac: bytes, start: float, end: float, **more: object) -> list[tuple[float, bytes]]:
    return [(t, advertised(mac, **more)) for t in range(int(start), int(end))]  # type: ignore[arg-type]


def test_a_planned_fail_back_is_two_moves(tmp_path: Path) -> None:
    frames = [*adverts(LB1, 0, 10), *adverts(LB2, 14, 30), *adverts(LB1, 31, 40)]
    frames += [(14.1, announced(LB2)), (31.1, announced(LB1))]
    report = verified(tmp_path, frames)
    assert report.mode == "garp"
    assert of_takeovers(report) == {}
    (takeover,) = report.takeovers
    assert [(m.old.mac, m.new.mac, m.reason) for m in takeover.moves if m.old and m.new] == [
        (LB1.hex(":"), LB2.hex(":"), "silent"),
        (LB2.hex(":"), LB1.hex(":"), "preempted"),
    ]


def test_vips_of_one_router_move_together(tmp_path: Path) -> None:
    vips = tuple(f"192.0.2.{n}" for n in range(100, 130))
    frames = [*adverts(LB1, 0, 10, vips=vips), *adverts(LB2, 14, 20, vips=vips)]
    report = verified(tmp_path, frames)
    takeover, move = only(report)
    assert takeover.vips == vips
    assert move.announcements == 0
    cell = next(cell for cell in report.cells if cell.cell == "garp.owner.announced")
    assert (cell.verdict, cell.failed) == ("not_observable", 0)
    assert loud(report) == []


def test_two_masters_in_both_ways_of_telling(tmp_path: Path) -> None:
    both = [*adverts(LB1, 0, 20), *[(t + 0.5, frame) for t, frame in adverts(LB2, 0, 20)]]
    fight = [(t, announced(LB1 if t % 2 else LB2)) for t in range(20)]
    for number, frames in enumerate((both, fight)):
        assert of_takeovers(verified(tmp_path, frames, f"x{number}")) == {"garp.owner.exclusive": "error"}


def test_a_capture_without_times_shows_no_fight(tmp_path: Path) -> None:
    moved = [*adverts(LB1, 0, 10), *adverts(LB2, 10, 20), *adverts(LB1, 20, 30)]
    assert loud(verified(tmp_path, [(0.0, frame) for _, frame in moved])) == []


def test_an_election_is_no_fight(tmp_path: Path) -> None:
    """Two that start together, and the last advert of one that has not yet heard the other."""
    frames = [(0.0, advertised(LB2)), (0.1, advertised(LB1, 150)), (0.2, announced(LB1)), (0.3, announced(LB2))]
    frames += [(0.4, announced(LB1)), *adverts(LB1, 1, 20, priority=150)]
    report = verified(tmp_path, frames)
    assert loud(report) == []


@pytest.mark.parametrize(
    "frames",
    [
        [(0, arp(1, HOST, ROUTER, ZERO, ROUTER)), (2, arp(1, HOST, ROUTER, ZERO, ROUTER))],
        [(0, arp(1, HOST, bytes(4), ZERO, ROUTER)), (1, arp(1, HOST, bytes(4), ZERO, ROUTER))],
        [(t, arp(1, LB1, DIP, ZERO, bytes([192, 0, 2, t + 20]))) for t in range(20)],
        [(t, answered(LB1, bytes([192, 0, 2, t]))) for t in range(1, 9)],
        [(0, answered(LB1)), (0.1, answered(LB2)), (5, answered(LB2)), (5.1, answered(LB1))],
    ],
    ids=["a host that starts", "probes", "questions", "a proxy", "two that answer one question"],
)
def test_what_is_no_takeover(frames: list[tuple[float, bytes]], tmp_path: Path) -> None:
    report = verified(tmp_path, frames)
    assert report.takeovers == ()
    assert "garp" not in report.mechanisms
    assert of_takeovers(report) == {}


def test_an_owner_that_answers_after_another_has_taken_over(tmp_path: Path) -> None:
    report = verified(tmp_path, [(0, answered(LB1)), (60, answered(LB2)), (120, answered(LB2))])
    _, move = only(report)
    assert (move.announcements, move.reason) == (0, "unseen")
    assert [event.what for event in move.events] == ["last-sign-of-old", "first-claim"]
    assert of_takeovers(report) == {}


def test_one_vrid_for_two_sets_of_addresses(tmp_path: Path) -> None:
    other = ("198.51.100.1",)
    frames = [*adverts(LB1, 0, 9), *[(t + 0.5, f) for t, f in adverts(LB2, 0, 9, vips=other)]]
    assert of_takeovers(verified(tmp_path, frames)) == {"garp.vrrp.vrid": "warning"}
    frames = [*adverts(LB1, 0, 9), *[(t + 0.5, f) for t, f in adverts(LB2, 0, 9, vips=other, vrid=52)]]
    assert of_takeovers(verified(tmp_path, frames, "y")) == {}


@pytest.mark.parametrize(("vrid", "found"), [(51, {}), (52, {"garp.vrrp.vrid": "warning"})])
def test_a_stated_vrid(vrid: int, found: dict[str, str], tmp_path: Path) -> None:
    craft("garp").write(tmp_path / "made.pcapng")
    spec = tmp_path / "dsr.toml"
    spec.write_text(f'spec = 1\n[[service]]\nvip = "203.0.113.10"\n[takeover]\nprotocol = "vrrp"\nvrid = {vrid}\n')
    assert of_takeovers(dsrkit.verify(tmp_path / "made.pcapng", spec=spec)) == found


def test_garbage_raises_nothing(tmp_path: Path) -> None:
    whole = [announced(LB1), advertised(LB1), answered(LB2)]
    frames = [(n * 0.1, frame[:size]) for n, frame in enumerate(whole) for size in range(len(frame))]
    report = verified(tmp_path, frames)
    assert of_takeovers(report) == {}
    assert [takeover.moves for takeover in report.takeovers] == [()]


def test_the_text_has_the_timeline(tmp_path: Path) -> None:
    lines = render(made(tmp_path)).splitlines()
    start = lines.index("VIP ownership")
    page = "\n".join(lines[start : start + 14])
    assert "203.0.113.10 (VRRP version 2, virtual router 51): lb1 → lb2" in page
    rows = [line.split()[0] for line in lines[start + 4 : start + 11]]
    assert [float(row.replace(",", "")) for row in rows] == sorted(float(row.replace(",", "")) for row in rows)
    assert "in vain for" in page
    assert max(len(line) for line in lines[start : start + 14]) <= 120


# --- beside other mechanisms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ip", [4, 6])
def test_an_old_owner_that_forwards_for_a_moment_rewrites_nothing(ip: int, tmp_path: Path) -> None:
    report = made(tmp_path, graceful=True, ip=ip, flows=20)
    assert loud(report) == []
    assert report.profile == "ipvs"


def test_an_old_owner_that_forwards_for_good_is_no_wrong_rewrite(tmp_path: Path) -> None:
    report = made(tmp_path, "ARP118")
    assert {f.code for f in report.findings} == {"ARP118"}


def test_failed_checks_stand_in_the_timeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, move = only(made(tmp_path))

    def check(server: str, checker: str, seconds_before: float, verdict: str) -> HealthCheck:
        at = move.at_ns - int(seconds_before * SECOND)
        change = Change(at, 0.0, verdict, "timeout", 2, FrameRef("made.pcapng", 1))
        return HealthCheck(
            checker, "203.0.113.9", server, None, "ping", "203.0.113.2", 0, None, 56, "rip", "plain", "B",
            Interval(4, 1000.0, 0.0), 5, 3, 2, 0.1, None, at, at, verdict, (change,),
        )  # fmt: skip

    found = (
        check("lb1", "monitor", 2.0, "down"),
        check("rs1", "lb1", 1.0, "down"),
        check("rs1", "lb2", 1.0, "down"),  # not the old owner's
        check("lb1", "monitor", 3600.0, "down"),
        check("rs2", "lb1", 1.0, "up"),
    )
    monkeypatch.setattr(HealthChecks, "conclude", lambda self, told: Outcome(section=found))
    _, move = only(made(tmp_path))
    told = [(e.text, e.relative_ms, e.count) for e in move.events if e.what == "health-failure"]
    assert told == [
        ("the checks of lb1 by monitor fail from here on: timeout", -2000.0, 2),
        ("the checks of rs1 by lb1 fail from here on: timeout", -1000.0, 2),
    ]
