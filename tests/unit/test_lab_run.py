"""What is made of a lab that has run, and what stays of one that could not: nothing is built here."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from needs import program

from dsrkit.errors import UsageError
from dsrkit.lab.engine import Engine, LabError, started
from dsrkit.lab.job import LOG_FILE, RESULT_FILE
from dsrkit.lab.plan import Lab, Wishes, job_of
from dsrkit.lab.run import Outcome, run
from dsrkit.lab.scratch import PREFIX, clear, scratch
from dsrkit.model.report import CellVerdict, Finding, Report
from dsrkit.setup.api import plan_of, site_of


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


# --- the folder of a running lab --------------------------------------------------------------------------------------


def test_the_folder_of_a_killed_lab_goes_with_the_next_one(own_place: Path) -> None:
    left = own_place / f"{PREFIX}left"
    left.mkdir()
    (left / "job.json").write_text("{}")
    others = {own_place / "dsrkit-made-by-somebody", own_place / f"{PREFIX}file"}
    for one in others:
        one.write_text("")
    with scratch() as folder:
        assert set(own_place.iterdir()) == {folder, *others}
    assert set(own_place.iterdir()) == others


def test_the_folder_of_a_running_lab_stays(own_place: Path) -> None:
    with scratch() as folder:
        clear(own_place)
        with scratch():
            assert folder.is_dir()


# --- what came of it --------------------------------------------------------------------------------------------------


CLEAN = Report(mode="l2dsr", cells=(CellVerdict("l2dsr.lb.eth.dst", "B→D", "request", "pass", 9),))
FINDING = Finding("DSR301", "vip-missing", "error", "no answer")


def outcome(served: int, report: Report) -> Outcome:
    return Outcome(served, 12, 0, (), (), report, None)


@pytest.mark.parametrize(
    ("served", "findings", "said"),
    [
        (12, (), "lab: clients were served 12 of 12 requests, and verify finds nothing (exit 0)"),
        (5, (), "lab: clients were served 5 of 12 requests, and verify finds nothing (exit 1)"),
        (12, (FINDING,), "lab: clients were served 12 of 12 requests, and verify finds DSR301 (exit 1)"),
    ],
)
def test_the_verdict_names_both_judges(served: int, findings: tuple[Finding, ...], said: str) -> None:
    assert outcome(served, replace(CLEAN, findings=findings)).verdict == said


def test_a_command_that_failed_is_noted() -> None:
    step = {"label": "ping from client", "ping": {"status": 1, "output": "0 of 2 echoes from 203.0.113.10"}}
    assert replace(outcome(12, CLEAN), steps=(step,)).notes == ("ping from client: 0 of 2 echoes from 203.0.113.10",)


@pytest.mark.parametrize(
    ("code", "served", "findings", "noted"),
    [
        ("DSC502", 12, (), True),
        ("DSC502", 0, (), False),
        ("ARP101", 12, (FINDING,), False),  # clients need not notice it
        ("ARP101", 12, (), True),
        ("DSC502", 12, (FINDING,), True),
    ],
)
def test_a_fault_without_a_symptom_is_noted(code: str, served: int, findings: tuple[Finding, ...], noted: bool) -> None:
    notes = replace(outcome(served, replace(CLEAN, findings=findings)), fault=code).notes
    assert any(note.startswith(f"{code} has no symptom here: every request was served") for note in notes) == noted


# --- machines that do what a test says ------------------------------------------------------------------------------


def machine(error: str | None = None, *, ends: bool = True) -> Engine:
    """A machine that does not come to its end."""

    def carry_out(folder: Path) -> None:
        (folder / "console.log").write_text("something broke\n")
        if not ends:
            return
        (folder / RESULT_FILE).write_text(json.dumps({"error": error}))

    return Engine("host", "h", carry_out, lambda *_: [])


def made(engine: Engine) -> Lab:
    site = site_of("l2dsr")
    job = job_of(site, [plan_of(site, node) for node in site.spec.nodes], Wishes())
    return Lab(engine, site, job, "")


@program("setpriv")
def test_a_machine_finds_the_programs_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    started(["sh", "-c", "echo $PATH"], tmp_path)
    assert (tmp_path / LOG_FILE).read_text() == "/usr/bin:/bin:/usr/sbin:/sbin\n"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (machine("setup of web1: no"), "the lab failed: setup of web1: no"),
        (machine(ends=False), "ended early: something broke"),
    ],
)
def test_nothing_is_kept_of_a_lab_that_failed(tmp_path: Path, own_place: Path, engine: Engine, said: str) -> None:
    with pytest.raises(LabError, match=said):
        run(made(engine), Wishes(), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert not list(own_place.iterdir())


def test_a_folder_that_cannot_be_is_said_before_anything_is_built() -> None:
    with pytest.raises(UsageError, match="cannot write"):
        run(made(machine(ends=False)), Wishes(), Path("/proc/nothing-can-be-here"))
