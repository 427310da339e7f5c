"""Crafted faults are named, or at least nobody else is accused; what is reached is not lost again."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import pytest

from confusion.alike import ALIKE, ALIKE_WITH_FEW_TAPS, BESIDES, right_for
from confusion.cases import FACTORS, Case, representative, rows
from confusion.matrix import PAGE, area_of, counts, judge, ratchet, run_all, summary, worse
from dsrkit.craft.faults import FAULTS
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.report import Finding, Report

CASES = [*representative()]
AREAS = sorted({area_of(case) for case in CASES})


@pytest.mark.parametrize("area", AREAS)
def test_crafted_faults(area: str) -> None:
    results = [*run_all([case for case in CASES if area_of(case) == area], jobs=1)]
    now = counts(results)
    assert now["cases"]
    fallen = worse(now, ratchet()["quick"][area])
    wrong = [f"{r.outcome} {r.case}: {', '.join(r.codes)}" for r in results if r.outcome not in ("first", "listed")]
    assert fallen == [], "\n".join(["", *wrong])


def test_the_page_says_what_the_ratchet_holds() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for line in summary(ratchet()["full"]):
        assert f"- {line}\n" in text, "run `python benchmarks/confusion.py --write`"


def test_every_fault_is_in_the_share_that_is_run() -> None:
    pairs = {(case.fault, case.mode) for case in CASES}
    assert {(fault.code, mode) for fault in FAULTS.values() for mode in fault.modes} <= pairs


def test_any_two_values_meet() -> None:
    met: Counter[str] = Counter()
    for row in rows():
        met.update(repr(pair) for pair in combinations(row.items(), 2))
    for (a, one), (b, other) in combinations(FACTORS.items(), 2):
        for x, y in product(one, other):
            assert met[repr(((a, x), (b, y)))]


def test_groups_name_codes() -> None:
    for codes in (*ALIKE, *ALIKE_WITH_FEW_TAPS, BESIDES, *BESIDES.values()):
        assert set(codes) <= ENTRIES.keys()


def test_few_taps_allow_more() -> None:
    for code in FAULTS:
        assert right_for(code, every_tap=True) <= right_for(code, every_tap=False)


def finding(code: str, *candidates: str, severity: str = "error") -> Finding:
    return Finding(code, code, severity, "", candidates=(code, *candidates))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "findings", "outcome", "untidy"),
    [
        ("DSR301", [finding("DSR301")], "first", False),
        ("DSR316", [finding("DSR301", "DSR316")], "listed", False),
        ("DSR316", [finding("DSR301")], "listed", False),
        ("DSR301", [finding("DSR303")], "wrong", False),
        ("DSR301", [finding("DSR301"), finding("NAT201")], "wrong", False),
        ("DSR301", [finding("DSR301"), finding("l2dsr.real-server.answered")], "first", True),
        ("DSR301", [finding("l2dsr.real-server.answered")], "unnamed", False),
        ("DSR301", [finding("DSR303", severity="info")], "silent", False),
        ("TUN405", [finding("TUN404")], "listed", False),
        ("TUN405", [finding("TUN405", severity="info")], "first", False),
        ("DSC513", [finding("DSC513", severity="info")], "first", False),
        ("CAP901", [], "quiet", False),
        ("CAP901", [finding("CAP901", severity="info")], "first", False),
        ("CAP901", [finding("NAT204")], "wrong", False),
        (None, [finding("CAP901", severity="info")], "quiet", False),
        (None, [finding("l2dsr.lb.ip.ttl", severity="warning")], "alarm", False),
    ],
)
def test_judging(fault: str | None, findings: list[Finding], outcome: str, untidy: bool) -> None:
    result = judge(Case(fault, "l2dsr", "4"), Report(findings=tuple(findings)), every_tap=True)
    assert (result.outcome, result.untidy) == (outcome, untidy)
