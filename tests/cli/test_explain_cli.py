"""`dsrkit explain` and `dsrkit rules`: streams, formats, exit codes, completion."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

import dsrkit
from dsrkit.cli.explain import _areas, _explained
from dsrkit.cli.main import app
from dsrkit.diagnose.registry import ENTRIES


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    "word", ["DSR301", "vip-missing-on-real-server", "l2dsr", "ip.ttl", "l2dsr.lb.ip.ttl", "garp.owner.announced"]
)
def test_the_page_and_nothing_else_on_stdout(word: str) -> None:
    result = run("explain", word)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == dsrkit.explain(word)


def test_it_keeps_to_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert run("explain", "NAT201").stdout == dsrkit.explain("NAT201", width=50)


def test_an_unknown_word_is_one_line_and_exit_2() -> None:
    result = run("explain", "vip-missin")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "DSR301 (vip-missing-on-real-server)" in result.stderr


def test_rules_lists_every_code_with_its_name() -> None:
    result = run("rules")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
    assert listed == list(ENTRIES)
    assert all(entry.name in result.stdout and entry.summary in result.stdout for entry in ENTRIES.values())


@pytest.mark.parametrize("area", ["DSR", "dsr"])
def test_rules_of_one_area(area: str) -> None:
    listed = [line.split()[0] for line in run("rules", "--area", area).stdout.splitlines() if line.startswith("  ")]
    assert listed == [code for code in ENTRIES if code.startswith("DSR")]


def test_rules_as_json_say_all_that_is_known() -> None:
    listed = json.loads(run("rules", "--format", "json").stdout)
    assert [one["code"] for one in listed] == list(ENTRIES)
    first, entry = listed[0], next(iter(ENTRIES.values()))
    assert first["area"] == "ARP"
    assert first["modes"] == list(entry.modes)
    assert first["look_alikes"][0] == {"code": entry.look_alikes[0].code, "told_by": entry.look_alikes[0].told_by}
    assert first["fixes"][0]["commands"] == list(entry.fixes[0].commands)


@pytest.mark.parametrize("words", [("--area", "XYZ"), ("--format", "yaml")])
def test_rules_refuses_what_is_none(words: tuple[str, ...]) -> None:
    result = run("rules", *words)
    assert (result.exit_code, result.stdout) == (2, "")


def test_completion_knows_codes_names_modes_fields_and_areas() -> None:
    assert _explained("dsr30") == [f"DSR30{n}" for n in range(1, 10)]
    assert _explained("vip-missing-on-r") == ["vip-missing-on-real-server"]
    assert "l2dsr" in _explained("l2")
    assert "ip.ttl" in _explained("ip.")
    assert _areas("d") == ["DSR", "DSC", "DNS"]
