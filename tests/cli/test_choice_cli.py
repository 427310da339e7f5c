"""Which findings count: --select, --ignore, [rules], [[allow]] and --baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scenarios import PCAPS, Scenario
from typer.testing import CliRunner

from dsrkit.cli.main import app

BROKEN = Scenario(PCAPS / "l3dsr-dscp" / "b05-dscp-mismatch")
HEALTHY = Scenario(PCAPS / "l2dsr" / "ipvs-dr")
CODE, NAME, CANDIDATE = "DSC505", "tag-maps-disagree", "DSC510"
CELL = "l3dsr-dscp.real-server.answered-by-vip"


def report(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    outcome = CliRunner().invoke(app, ["verify", "--format", "json", *map(str, arguments)])
    return outcome.exit_code, json.loads(outcome.stdout)


def refused(*arguments: str | Path) -> str:
    outcome = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    return outcome.stderr


def codes(found: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in found["findings"]]


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    code, found = report(*BROKEN.files)
    assert code == 1
    assert codes(found) == [CODE]
    assert found["findings"][0]["name"] == NAME
    assert CANDIDATE in found["findings"][0]["candidates"]
    return found


# --- select and ignore ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [CODE, "DSC", "dsc505", NAME, CANDIDATE, CELL, "l3dsr-dscp.real", f"ARP,{CODE}"])
def test_select_keeps(word: str, whole: dict[str, Any]) -> None:
    code, found = report(*BROKEN.files, "--select", word)
    assert code == 1
    assert found["findings"] == whole["findings"]


@pytest.mark.parametrize("word", ["DSR301", "NAT", "vip-missing-on-real-server", "l3dsr-dscp.lb."])
def test_select_leaves_out(word: str) -> None:
    code, found = report(*BROKEN.files, "--select", word)
    assert code == 0, "cells were judged, and nothing that was asked for is wrong"
    assert codes(found) == []
    assert any(CODE in note for note in found["notes"]), "what is left out is said"


@pytest.mark.parametrize("word", [CODE, "DSC", "dsc505", NAME, CELL, "l3dsr-dscp.", f"ARP101,{CODE}"])
def test_ignore_leaves_out(word: str) -> None:
    code, found = report(*BROKEN.files, "--ignore", word)
    assert code == (2 if word == "l3dsr-dscp." else 0)
    assert codes(found) == []


@pytest.mark.parametrize("word", [CANDIDATE, "DSR", "l3dsr-dscp.lb."])
def test_ignore_keeps(word: str, whole: dict[str, Any]) -> None:
    code, found = report(*BROKEN.files, "--ignore", word)
    assert code == 1
    assert found["findings"] == whole["findings"], "another choice never makes another cause of it"


def test_selected_codes_keep_all_cells(whole: dict[str, Any]) -> None:
    assert report(*BROKEN.files, "--select", CODE)[1]["rules"] == whole["rules"]


def test_a_selected_finding_brings_its_cells() -> None:
    found = report(*BROKEN.files, "--select", f"l3dsr-dscp.lb.,{CODE}")[1]
    cells = {cell["cell"] for cell in found["rules"]["detail"]}
    assert CELL in cells
    assert all(cell.startswith("l3dsr-dscp.lb.") for cell in cells - set(found["findings"][0]["symptoms"]))


@pytest.mark.parametrize("option", ["--select", "--ignore"])
@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("DSR999", "dsrkit rules --area DSR"),
        ("vip-issing-on-real-server", "did you mean 'vip-missing-on-real-server'?"),
        ("l2dsr.lb.ip.tll", "did you mean 'l2dsr.lb.ip.ttl'?"),
        ("l2dsr.balancer.ip.ttl", "did you mean 'l2dsr."),
        ("garp.owner.anounced", "did you mean 'garp.owner.announced'?"),
        ("XYZ", "dsrkit rules lists codes"),
    ],
)
def test_unknown_words(option: str, word: str, hint: str) -> None:
    said = refused(*HEALTHY.files, option, word)
    assert f"{option[2:]} '{word}': " in said
    assert hint in said


@pytest.mark.parametrize("word", ["garp", "garp.owner", "health.lb.interval", "l2dsr.lb.flow-kept", "l2dsr.router+lb."])
def test_cells_of_every_kind_are_known(word: str, whole: dict[str, Any]) -> None:
    code, found = report(*BROKEN.files, "--ignore", word)
    assert code == 1
    assert found["findings"] == whole["findings"]


def test_a_cell_that_this_report_has_not_is_said() -> None:
    code, found = report(*BROKEN.files, "--ignore", "l2dsr.lb.ip.ttl")
    assert code == 1
    assert "--ignore l2dsr.lb.ip.ttl: no cell of this report begins with that" in found["notes"]


# --- the spec ---------------------------------------------------------------------------------------------------------


def with_rules(folder: Path, rules: str) -> Path:
    path = folder / "dsr.toml"
    path.write_text(BROKEN.spec_text() + "\n" + rules, encoding="utf-8")
    return path


def test_rules_of_the_spec(tmp_path: Path) -> None:
    assert codes(report("--spec", with_rules(tmp_path, ""))[1]) == [CODE]
    assert codes(report("--spec", with_rules(tmp_path, f'[rules]\nignore = ["{CODE}"]'))[1]) == []
    assert codes(report("--spec", with_rules(tmp_path, '[rules]\nselect = ["DSR"]'))[1]) == []
    assert codes(report("--spec", with_rules(tmp_path, '[rules]\nselect = ["DSR"]'), "--select", CODE)[1]) == [CODE]


@pytest.mark.parametrize("code", [CODE, "DSC", NAME, CANDIDATE])
@pytest.mark.parametrize("node", ["rs2", None])
def test_what_is_allowed_is_a_note(code: str, node: str | None, tmp_path: Path) -> None:
    at = f'node = "{node}"\n' if node else ""
    spec = with_rules(tmp_path, f'[[allow]]\ncode = "{code}"\n{at}reason = "rs2 is being moved"')
    exit_code, found = report("--spec", spec)
    assert exit_code == 0
    assert codes(found) == []
    assert f"allowed: {CODE} at rs2: rs2 is being moved" in found["notes"]


@pytest.mark.parametrize(("code", "node"), [(CODE, "rs1"), ("DSR301", "rs2"), ("DSR301", None)])
def test_what_is_allowed_elsewhere_is_found_here(code: str, node: str | None, tmp_path: Path) -> None:
    at = f'node = "{node}"\n' if node else ""
    exit_code, found = report("--spec", with_rules(tmp_path, f'[[allow]]\ncode = "{code}"\n{at}reason = "so be it"'))
    assert exit_code == 1
    assert codes(found) == [CODE]
    assert not any("so be it" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('[rules]\nignore = ["DSC999"]', "rules.ignore: 'DSC999'"),
        ('[rules]\nselect = ["tag-aps-disagree"]', "did you mean 'tag-maps-disagree'?"),
        ('[[allow]]\ncode = "DSC5050"\nreason = "x"', "allow[0].code: 'DSC5050'"),
    ],
)
def test_unknown_words_of_the_spec(rules: str, said: str, tmp_path: Path) -> None:
    message = refused("--spec", with_rules(tmp_path, rules))
    assert "dsr.toml: " in message
    assert said in message


# --- baseline ---------------------------------------------------------------------------------------------------------


def saved(folder: Path, found: dict[str, Any]) -> Path:
    path = folder / "old.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def test_what_the_baseline_has_does_not_fail(tmp_path: Path, whole: dict[str, Any]) -> None:
    old = saved(tmp_path, whole)
    code, found = report(*BROKEN.files, "--baseline", old)
    assert code == 0
    assert [finding["known"] for finding in found["findings"]] == [True]
    shown = CliRunner().invoke(app, ["verify", *map(str, BROKEN.files), "--baseline", str(old)])
    assert shown.exit_code == 0
    headline = " ".join(shown.stdout.split("\n\n")[0].split())
    assert headline.startswith("PASS")
    assert "no new findings, 1 known" in headline
    assert "known: in the baseline" in shown.stdout


def test_without_findings_the_baseline_knows_nothing(tmp_path: Path, whole: dict[str, Any]) -> None:
    code, found = report(*BROKEN.files, "--baseline", saved(tmp_path, {**whole, "findings": []}))
    assert code == 1
    assert [finding["known"] for finding in found["findings"]] == [False]


def test_the_same_fault_at_another_machine_is_new(tmp_path: Path, whole: dict[str, Any]) -> None:
    """Names that were inferred may have changed hands: addresses decide."""
    nodes = [
        {**node, "ip": ["198.18.0.99"], "mac": []} if node["name"] == whole["findings"][0]["node"] else node
        for node in whole["nodes"]
    ]
    assert report(*BROKEN.files, "--baseline", saved(tmp_path, {**whole, "nodes": nodes}))[0] == 1
    renamed = json.loads(json.dumps(whole).replace(f'"{whole["findings"][0]["node"]}"', '"another-name"'))
    assert report(*BROKEN.files, "--baseline", saved(tmp_path, renamed))[0] == 0


def test_the_same_cells_under_another_code_are_known(tmp_path: Path, whole: dict[str, Any]) -> None:
    """A newer version may name the cause of what an older one could only show."""
    older = {**whole["findings"][0], "code": CELL, "name": CELL.replace(".", "-"), "candidates": [CELL]}
    assert report(*BROKEN.files, "--baseline", saved(tmp_path, {**whole, "findings": [older]}))[0] == 0
    other = {**older, "symptoms": ["l3dsr-dscp.real-server.answered"]}
    assert report(*BROKEN.files, "--baseline", saved(tmp_path, {**whole, "findings": [other]}))[0] == 1


def test_what_is_gone_is_said(tmp_path: Path, whole: dict[str, Any]) -> None:
    code, found = report(*HEALTHY.files, "--baseline", saved(tmp_path, whole))
    assert code == 0
    assert f"no longer found: {CODE} at {whole['findings'][0]['node']}" in found["notes"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "it names no schema, not 'dsrkit.report/1'"),
        ('{"schema": "dsrkit.report/0"}', "its schema is 'dsrkit.report/0', not 'dsrkit.report/1'"),
        ('{"schema": "dsrkit.report/1"}', "its findings cannot be read"),
        ('{"schema": "dsrkit.report/1", "nodes": [], "findings": [{}]}', "its findings cannot be read"),
        ('{"schema": "dsrkit.report/1", "nodes": 1, "findings": []}', "its findings cannot be read"),
    ],
)
def test_a_baseline_that_is_none(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    message = refused(*HEALTHY.files, "--baseline", path)
    assert "old.json" in message
    assert said in message


def test_a_baseline_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in refused(*HEALTHY.files, "--baseline", tmp_path / "none.json")


def test_the_baseline_is_not_overwritten(tmp_path: Path, whole: dict[str, Any]) -> None:
    old = saved(tmp_path, whole)
    assert "would overwrite an input" in refused(*BROKEN.files, "--baseline", old, "-o", old)
