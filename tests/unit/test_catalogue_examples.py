"""Every code of the catalogue at work: the line that its page offers to try is run, and must say what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from confusion.alike import goes_with
from typer.testing import CliRunner

import dsrkit
from dsrkit.cli.main import app
from dsrkit.diagnose.entry import Entry
from dsrkit.diagnose.explain import explain, first_named
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.report import Report

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"\b[A-Z]{3}\d{3}\b")
NOT_YET = ("ARP107", "ARP113", "PRX804")
SHOWN = [
    pytest.param(entry, id=code, marks=[pytest.mark.xfail(strict=False)] if code in NOT_YET else [])
    for code, entry in ENTRIES.items()
    if entry.example
]


def judged(example: str, folder: Path) -> Report:
    """What verify says of a recording, or of what a command crafts."""
    if not example.startswith("dsrkit "):
        return dsrkit.verify(sorted((ROOT / example).glob("*.pcap")))
    path = folder / "example.pcapng"
    result = CliRunner().invoke(app, [*shlex.split(example)[1:], "-w", str(path)])
    assert result.exit_code == 0, result.output
    return dsrkit.verify(path)


@pytest.mark.parametrize("entry", SHOWN)
def test_an_example_says_what_its_page_says(entry: Entry, tmp_path: Path) -> None:
    findings = judged(entry.example, tmp_path).findings
    told = CODE.findall(entry.says) if entry.says else [first_named(entry), entry.code]
    assert [finding.code for finding in findings[:1]] == told[:1]
    assert set(told) <= {code for finding in findings for code in finding.candidates}
    loud = [finding for finding in findings if finding.severity != "info"]
    beside = {*told, *goes_with(entry.code)}
    assert not [finding.message for finding in loud if not beside & {finding.code, *finding.candidates}]


def test_the_line_to_try_works_as_it_stands() -> None:
    craft, verify = ENTRIES["DSR302"].shown_by.split(" | ")
    octets = CliRunner().invoke(app, shlex.split(craft)[1:]).stdout_bytes
    assert "DSR302 vip-missing" in CliRunner().invoke(app, shlex.split(verify)[1:], input=octets).output


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.code)
def test_a_page_ends_with_something_to_try_or_says_why_not(entry: Entry) -> None:
    *_, last = explain(entry.code).split("\n\n")
    assert last.startswith("Try it\n")
    assert (f"  $ {entry.shown_by}\n" in last) == bool(entry.example)
    assert entry.example or entry.says
