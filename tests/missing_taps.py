"""What the reports of some taps say of a recorded misconfiguration: right, open, nothing, or wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from scenarios import CAPTURES, Scenario, loud

from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.report import Report

RATCHET = Path(__file__).parent / "golden" / "missing_taps.toml"
PROPERTY = "missing taps"
"""Under this name a test tells the summary of the run what it counted."""


@dataclass
class Count:
    """How many subsets of taps there are, how many name the cause, how many show what is broken without naming it."""

    subsets: int = 0
    right: int = 0
    open: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, scenario: Scenario, report: Report, taps: str) -> None:
        """Judge one report of a misconfiguration.

        A code is right if the truth accepts it or one of its candidates. A cell without a cause accuses nobody unless
        it names machines that are all well.
        """
        expected = truth()[scenario.name]
        accepted, guilty = set(expected["accepted"]), set(expected["nodes"])
        self.subsets += 1
        findings = [finding for finding in loud(report) if finding.code not in expected.get("may_warn", ())]
        right = [finding for finding in findings if accepted & {finding.code, *finding.candidates}]
        for finding in findings:
            named = scenario.true_names(report, finding.nodes) & scenario.truth["nodes"].keys()
            if finding.code in ENTRIES and finding not in right:
                self.wrong.append(f"{taps}: {finding.code} at {', '.join(sorted(named))}: {finding.message}")
            elif finding.code not in ENTRIES and named and not named & guilty:
                self.wrong.append(f"{taps}: {finding.code} accuses {', '.join(sorted(named))}: {finding.message}")
        self.right += bool(right)
        self.open += bool(findings) and not right


@cache
def truth() -> dict[str, Any]:
    """The accepted codes and guilty nodes of the shared captures by name; empty where they are not at hand."""
    path = CAPTURES / "expected.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
