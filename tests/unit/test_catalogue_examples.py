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
SHOWN = [pytest.param(entry, id=code) for code, entry in ENTRIES.items() if entry.example]


def judged(entry: Entry, folder: Path) -> Report:
    """What verify says of a recording, or of what a command crafts."""
    option, _, mode = entry.told.partition(" ")
    assert option in ("", "--mode")
    if not entry.example.startswith("dsrkit "):
        return dsrkit.verify(sorted((ROOT / entry.example).glob("*.pcap")), mode=mode or None)
    path = folder / "example.pcapng"
    result = CliRunner().invoke(app, [*shlex.split(entry.example)[1:], "-w", str(path)])
    assert result.exit_code == 0, result.output
    return dsrkit.verify(path, mode=mode or None)


@pytest.mark.parametrize("entry", SHOWN)
def test_an_example_says_what_its_page_says(entry: Entry, tmp_path: Path) -> None:
    findings = judged(entry, tmp_path).findings
    told = CODE.findall(entry.says) if entry.says else [first_named(entry), entry.code]
    assert [finding.code for finding in findings[:1]] == told[:1]
    assert set(told) <= {code for finding in findings for code in finding.candidates}
    loud = [finding for finding in findings if finding.severity != "info"]
    beside = {*told, *goes_with(entry.code)}
    assert not [finding.message for finding in loud if not beside & {finding.code, *finding.candidates}]


@pytest.mark.parametrize("code", ["DSR302", "PRX804"])
def test_the_line_to_try_works_as_it_stands(code: str) -> None:
    craft, verify = ENTRIES[code].shown_by.split(" | ")
    octets = CliRunner().invoke(app, shlex.split(craft)[1:]).stdout_bytes
    assert f"{code} {ENTRIES[code].name}" in CliRunner().invoke(app, shlex.split(verify)[1:], input=octets).output


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.code)
def test_a_page_ends_with_something_to_try_or_says_why_not(entry: Entry) -> None:
    *_, last = explain(entry.code).split("\n\n")
    assert last.startswith("Try it\n")
    assert (f"  $ {entry.shown_by}\n" in last) == bool(entry.example)
    assert entry.example or entry.says
