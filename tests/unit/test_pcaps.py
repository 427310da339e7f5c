"""The library of captures: what is said of each case is so, and crafted ones are made again octet for octet."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scenarios import loud
from typer.testing import CliRunner

import dsrkit
from dsrkit import UsageError
from dsrkit.cli.main import app
from dsrkit.craft.faults import FAULTS
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.names import MODES, REWRITES, ROLES
from dsrkit.pcaps import Case

ROOT = Path(__file__).parents[2]
LIBRARY = importlib.import_module("dsrkit.pcaps")
CASES = [dsrkit.pcaps(name) for name in dsrkit.pcaps()]
CRAFTED = [case for case in CASES if case.made == "crafted"]
RECORDED = [case for case in CASES if case.made == "recorded"]
BY_NAME = {case.name: case for case in CASES}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scripts_pcaps", ROOT / "scripts/pcaps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


def keys(table: Mapping[str, Any]) -> set[str]:
    return set(table)


# --- what there is ----------------------------------------------------------------------------------------------------


def test_names_are_folders_and_recordings_come_first() -> None:
    names = dsrkit.pcaps()
    assert {"l2dsr/ipvs-dr", "crafted/l2dsr/DSR301"} <= set(names)
    assert [BY_NAME[name].made for name in names] == ["recorded"] * len(RECORDED) + ["crafted"] * len(CRAFTED)
    assert all(name.startswith("crafted/") == (BY_NAME[name].made == "crafted") for name in names)
    assert len(RECORDED) > 40


def test_every_mode_has_a_healthy_crafted_case_in_both_ip_versions() -> None:
    healthy = Counter(case.mode for case in CRAFTED if case.healthy)
    assert healthy.keys() == set(MODES)
    assert min(healthy.values()) == 2


def test_every_fault_that_craft_can_make_has_a_case() -> None:
    assert [case.fault for case in CRAFTED if not case.healthy] == sorted(FAULTS, key=lambda c: (FAULTS[c].modes[0], c))


def test_what_is_crafted_is_what_the_script_makes() -> None:
    assert {recipe.folder for recipe in SCRIPT.recipes()} == {case.name for case in CRAFTED}


def test_the_library_stays_small() -> None:
    octets = [path.stat().st_size for case in CRAFTED for path in case.paths]
    assert max(octets) < 400_000
    assert sum(octets) < 8_000_000  # a tenth of it in a wheel


def test_a_name_that_no_case_has() -> None:
    with pytest.raises(UsageError, match=r"^no captures 'l2dsr/ipvs-drr': did you mean 'l2dsr/ipvs-dr'\?$"):
        dsrkit.pcaps("l2dsr/ipvs-drr")
    with pytest.raises(UsageError, match=r"^no captures '\.\./x': dsrkit\.pcaps\(\) lists them$"):
        dsrkit.pcaps("../x")


def test_an_installation_without_captures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(LIBRARY, "_INSTALLED", tmp_path / "one")
    monkeypatch.setattr(LIBRARY, "_CHECKOUT", tmp_path / "other")
    with pytest.raises(UsageError, match=r"^dsrkit was installed without its captures"):
        dsrkit.pcaps()


def test_the_name_stays_the_function() -> None:
    assert callable(dsrkit.pcaps)
    assert dsrkit.pcaps is LIBRARY.pcaps


def test_names_cost_only_the_standard_library() -> None:
    code = (
        "import sys, dsrkit; dsrkit.pcaps('l2dsr/ipvs-dr').spec; "
        "sys.exit(sorted({'numpy', 'scapy', 'rich', 'typer'} & {*sys.modules}) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", ["docs/pcaps.md"])
def test_the_page_says_what_happens(page: str) -> None:
    outcome = doctest.testfile(str(ROOT / page), module_relative=False, encoding="utf-8")
    assert outcome.attempted > 5
    assert outcome.failed == 0


def test_docstrings() -> None:
    outcome = doctest.testmod(LIBRARY)
    assert outcome.attempted > 2
    assert outcome.failed == 0


# --- every case -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_has_the_documented_keys(case: Case) -> None:
    table = tomllib.loads((case.folder / "case.toml").read_text(encoding="utf-8"))
    broken = set() if case.healthy else {"wrong", "fault"}
    assert keys(table) == {"title", "mode", "made", "healthy", "expected", "provenance", "tap"} | broken
    assert keys(table["expected"]) == {"exit_code", "modes", "codes", "cells", "nodes"}
    assert keys(table["provenance"]) >= {"origin", "scenario", "load_balancer", "topology", "made_by"}
    of_its_kind = {"crafted": {"engine", "command", "options", "seed"}, "recorded": {"truth", "kernel", "environment"}}
    assert keys(table["provenance"]) >= of_its_kind[case.made]
    readme = (ROOT / "pcaps/README.md").read_text(encoding="utf-8")
    for tap in table["tap"]:
        assert (
            {"file", "packets"} <= keys(tap) <= {"file", "packets", "name", "node", "role", "link", "interface", "note"}
        )
        assert all(f".{key}`" in readme for key in keys(tap))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_complete(case: Case) -> None:
    assert case.title.endswith(".")
    assert case.name.split("/")[-2] == case.mode
    assert case.mode in MODES
    assert (case.wrong is None) == (case.fault is None) == case.healthy
    assert case.fault is None or case.fault in ENTRIES
    assert case.expected.codes or case.healthy or case.made == "crafted"
    assert set(case.expected.modes) <= {*MODES, "undetermined"}
    assert all(path.is_file() for path in case.paths)
    assert {tap.role for tap in case.taps} <= {*ROLES, None}
    captures = {path for path in case.folder.iterdir() if path.suffix in (".pcap", ".pcapng")}
    assert set(case.paths) == captures


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_spec_is_about_these_taps(case: Case) -> None:
    spec = case.spec
    assert spec.mode in {case.mode, *case.expected.modes}  # checks go beside the data path of a mode
    assert [(tap.name, tap.file, tap.node) for tap in spec.taps] == [(t.name, t.file, t.node) for t in case.taps]
    named = {node.name for node in spec.nodes}
    assert {tap.node for tap in case.taps} <= {*named, None}
    if case.made == "recorded":
        assert set(case.expected.nodes) <= named


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verify_says_what_is_expected(case: Case) -> None:
    report = dsrkit.verify(case.paths)
    expected = case.expected
    assert report.exit_code == expected.exit_code
    assert (report.mode or "undetermined") in expected.modes
    assert SCRIPT.codes_of(report) == [*expected.codes]
    packets = {tap.name: tap.packets for tap in report.taps}
    assert [packets.get(tap.name, 0) for tap in case.taps] == [tap.packets for tap in case.taps]
    assert not case.healthy or loud(report) == []
    if case.made == "crafted" and not case.healthy and report.findings:
        first = (loud(report) or report.findings)[0]
        assert list(first.symptoms) == [*expected.cells]
        assert SCRIPT.names_in(case.spec, report, first.nodes) == [*expected.nodes]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verify_by_the_spec(case: Case) -> None:
    """A spec tells nothing that is not so: healthy cases stay silent, and what was wrong without it still is."""
    report = dsrkit.verify(spec=case.spec)
    assert (report.mode_from == "spec") == (case.spec.mode in REWRITES or case.mode == "l7" or case.mode == "dns-rr")
    if case.healthy:
        assert loud(report) == []
    else:
        assert report.exit_code >= case.expected.exit_code


# --- crafted cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CRAFTED, ids=lambda case: case.name)
def test_the_command_makes_the_same_packets(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (kept,) = case.paths
    run = CliRunner().invoke(app, shlex.split(case.provenance["command"])[1:])
    assert run.exit_code == 0, run.output
    made = (tmp_path / kept.name).read_bytes()
    assert SCRIPT.packets_of(made) == SCRIPT.packets_of(kept.read_bytes()), "run `make pcaps`"


def test_a_section_header_may_differ() -> None:
    (path,) = BY_NAME["crafted/nat/healthy"].paths
    octets = path.read_bytes()
    head = int.from_bytes(octets[4:8], "little")
    assert SCRIPT.packets_of(octets) == octets[head:]
    assert SCRIPT.packets_of(octets[:-1] + b"\xff") != octets[head:]
