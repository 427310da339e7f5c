"""The command line: what reaches the library, what leaves on which stream, and the exit codes.

The library call is replaced: these tests are about the words around it.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from report_example import clean_report, faulty_report
from typer.testing import CliRunner, Result

import dsrkit
from dsrkit.cli.main import app
from dsrkit.errors import CaptureError, SpecError
from dsrkit.model.names import MODES
from dsrkit.model.report import CellVerdict, Finding, Report
from dsrkit.model.schema import REPORT_SCHEMA
from dsrkit.report.text import render


class Library:
    """Stands in for `dsrkit.verification`: keeps the call, gives the outcome."""

    def __init__(self) -> None:
        self.outcome: Report | BaseException = clean_report()
        self.calls: list[tuple[object, dict[str, Any]]] = []

    def verify(self, source: object, **options: Any) -> Report:
        self.calls.append((source, options))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    fake = Library()
    module = ModuleType("dsrkit.verification")
    module.verify = fake.verify  # type: ignore[attr-defined]  # a module made for the test
    monkeypatch.setitem(sys.modules, "dsrkit.verification", module)
    monkeypatch.setattr(import_module("dsrkit"), "verification", module, raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    return fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_version_and_help() -> None:
    assert run("--version").output == f"dsrkit {dsrkit.__version__}\n"
    assert "verify" in run("--help").output
    page = run("verify", "--help")
    assert page.exit_code == 0
    for mode in MODES:
        assert mode in page.output


def test_defaults(library: Library) -> None:
    outcome = run("verify", "a.pcap", "-")
    assert library.calls == [
        (
            ["a.pcap", "-"],
            {
                "spec": None,
                "mode": None,
                "profile": "any",
                "vip": (),
                "fail_on": "warning",
                "select": (),
                "ignore": (),
                "baseline": None,
                "jobs": 1,
                "cluster": None,
            },
        )
    ]
    assert outcome.stdout == render(clean_report())
    assert outcome.stderr == ""
    assert outcome.exit_code == 0


def test_every_option_reaches_the_library(library: Library) -> None:
    run(
        "verify", "--at", "A=a.pcap", "--at", "B=x=y.pcap", "--spec", "dsr.toml", "--mode", "l3dsr-dscp",
        "--vip", "203.0.113.10", "--vip", "2001:DB8::1,203.0.113.10", "--profile", "katran", "--fail-on", "never",
        "--select", "DSR,ARP107", "--select", "l2dsr.", "--ignore", "DSC513",
        "--baseline", "old.json", "--cluster", "tcp://h:1", "--at", "A=a2.pcap",
    )  # fmt: skip
    assert library.calls == [
        (
            {"A": ["a.pcap", "a2.pcap"], "B": "x=y.pcap"},
            {
                "spec": "dsr.toml",
                "mode": "l3dsr-dscp",
                "profile": "katran",
                "vip": ("203.0.113.10", "2001:db8::1"),
                "fail_on": "never",
                "select": ("DSR", "ARP107", "l2dsr."),
                "ignore": ("DSC513",),
                "baseline": "old.json",
                "jobs": 1,
                "cluster": "tcp://h:1",
            },
        )
    ]


def test_a_spec_alone_names_the_captures(library: Library) -> None:
    assert run("verify", "--spec", "dsr.toml").exit_code == 0
    assert library.calls[0][0] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no capture"),
        (["a.pcap", "a.pcap"], "'a.pcap' is given twice"),
        (["a.pcap", "./a.pcap"], "'./a.pcap' is given twice (also as 'a.pcap')"),
        (["-", "-"], "'-' is given twice"),
        (["--at", "A=a.pcap", "--at", "B=a.pcap"], "'a.pcap' is given twice"),
        (["--at", "A=a.pcap", "--at", "A=./a.pcap"], "'./a.pcap' is given twice (also as 'a.pcap')"),
        (["--at", "a.pcap"], "write NAME=FILE"),
        (["--at", "=a.pcap"], "write NAME=FILE"),
        (["--at", "A="], "write NAME=FILE"),
        (["a.pcap", "--at", "B=b.pcap"], "not both ways"),
        (["a.pcap", "--vip", "203.0.113"], "--vip: '203.0.113' does not appear to be an IPv4 or IPv6 address"),
        (["a.pcap", "-o", "a.pcap"], "would overwrite an input"),
        (["a.pcap", "--spec", "dsr.toml", "-o", "dsr.toml"], "would overwrite an input"),
        (["a.pcap", "-o", "/"], "is a directory"),
        (["a.pcap", "-o", "missing/report.json"], "the folder 'missing' does not exist"),
        (["a.pcap", "--quiet", "--verbose"], "contradict each other"),
    ],
)
def test_contradictions_are_one_line(library: Library, arguments: list[str], message: str) -> None:
    outcome = run("verify", *arguments)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("error: ")
    assert outcome.stderr.count("\n") == 1
    assert message in outcome.stderr
    assert not library.calls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "l2ds"], "did you mean 'l2dsr'?"),
        (["--profile", "lvs"], "did you mean 'ipvs'?"),
        (["--fail-on", "warn"], "did you mean 'warning'?"),
        (["--format", "xml"], "one of: text, json"),
        (["--nope"], "No such option"),
    ],
)
def test_wrong_words_are_usage_errors(library: Library, arguments: list[str], message: str) -> None:
    outcome = run("verify", "a.pcap", *arguments)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert not library.calls


def test_findings_exit_with_one(library: Library) -> None:
    library.outcome = faulty_report()
    outcome = run("verify", "a.pcap")
    assert outcome.exit_code == 1
    assert outcome.stdout == render(faulty_report())
    assert outcome.stderr == ""


def test_quiet_and_verbose(library: Library) -> None:
    assert run("verify", "a.pcap", "-q").stdout == render(clean_report(), quiet=True)
    assert run("verify", "a.pcap", "-v").stdout == render(clean_report(), verbose=True)


@pytest.mark.parametrize("report", [clean_report(), faulty_report(), Report()], ids=["0", "1", "2"])
def test_json_is_whole_whatever_the_exit_code(library: Library, report: Report) -> None:
    library.outcome = report
    outcome = run("verify", "a.pcap", "--format", "json")
    jsonschema.validate(json.loads(outcome.stdout), REPORT_SCHEMA)
    assert outcome.stdout == report.to_json() + "\n"
    assert outcome.exit_code == report.exit_code


def test_nothing_to_verify(library: Library) -> None:
    blind = CellVerdict("l2dsr.lb.ip.ttl", "A→B", "request", "not_observable", reason="the only tap is\nB")
    library.outcome = Report(cells=(blind,))
    outcome = run("verify", "a.pcap")
    assert outcome.exit_code == 2
    assert outcome.stdout.startswith("NOTHING CHECKED")
    assert outcome.stderr == "nothing to verify: the only tap is\\x0aB\n"


@pytest.mark.parametrize("error", [CaptureError("a.pcap: No such file"), SpecError("dsr.toml: vip: bad\x1b[2J\nline")])
def test_errors_of_the_user_are_one_line(library: Library, error: Exception) -> None:
    library.outcome = error
    outcome = run("verify", "a.pcap", "--format", "json")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("error: ")
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.rstrip("\n").isprintable()


def test_bugs_keep_their_traceback(library: Library) -> None:
    library.outcome = ZeroDivisionError("a bug")
    assert isinstance(run("verify", "a.pcap").exception, ZeroDivisionError)


def test_interrupt(library: Library) -> None:
    library.outcome = KeyboardInterrupt()
    outcome = run("verify", "a.pcap")
    assert outcome.exit_code == 130
    assert "Traceback" not in outcome.output


def test_output_file(library: Library, tmp_path: Path) -> None:
    library.outcome = faulty_report()
    path = tmp_path / "report.json"
    outcome = run("verify", "a.pcap", "--format", "json", "-o", str(path))
    assert outcome.exit_code == 1
    assert outcome.output == ""
    assert path.read_text(encoding="utf-8") == faulty_report().to_json() + "\n"
    assert run("verify", "a.pcap", "-o", "-").stdout == render(faulty_report())


def test_output_that_cannot_be_written(library: Library) -> None:
    outcome = run("verify", "a.pcap", "-o", "/dev/full")
    assert outcome.exit_code == 2
    assert outcome.stderr == "error: cannot write '/dev/full': No space left on device\n"


def test_columns_wrap_a_pipe_only_when_set(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.outcome = Report(findings=(Finding("X", "x", "error", "word " * 100),))
    assert max(map(len, run("verify", "a.pcap").stdout.splitlines())) > 400
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, run("verify", "a.pcap").stdout.splitlines())) <= 60


# --- what only a process of its own can show ---------------------------------------------------------

SCRIPT = """
import sys, types
import dsrkit
from report_example import faulty_report
module = types.ModuleType("dsrkit.verification")
module.verify = lambda source, **options: faulty_report()
dsrkit.verification = sys.modules["dsrkit.verification"] = module
from dsrkit.cli.main import main
sys.argv = ["dsrkit", "verify", "a.pcap", *sys.argv[1:]]
main()
"""
TESTS = Path(__file__).parents[1]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM")}
    search = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": search, "TERM": "xterm", **more}


def on_terminal(*arguments: str, **variables: str) -> str:
    """What a terminal receives."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=subprocess.PIPE,
            env=environment(**variables),
        )
        os.close(slave)
        received = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            received += part
        _, errors = process.communicate()
    finally:
        os.close(master)
    assert process.returncode == 1, errors.decode()
    return received.decode()


def test_colour_on_a_terminal_unless_refused() -> None:
    assert "\x1b[1;31mFAIL" in on_terminal()
    assert "\x1b" not in on_terminal("--no-color")
    assert "\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in on_terminal(TERM="dumb")


def test_a_reader_that_leaves_early_is_not_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdout=stdout, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert process.stderr == b""
    assert process.returncode == 1


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as stdout:
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdout=stdout, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert process.stderr == b"error: cannot write: No space left on device\n"
    assert process.returncode == 2


def test_a_terminal_without_unicode_gets_escapes() -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        env=environment(PYTHONIOENCODING="ascii"),
        check=False,
    )
    assert process.stderr == b""
    assert b"B.in\\u2192B.out" in process.stdout


def test_runs_as_a_module() -> None:
    process = subprocess.run([sys.executable, "-m", "dsrkit", "--version"], capture_output=True, text=True, check=True)
    assert process.stdout == f"dsrkit {dsrkit.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"), [("--mode l3", {"l3dsr-tunnel", "l3dsr-dscp"}), ("--profile ka", {"katran"})]
)
def test_completion_knows_modes_and_profiles(typed: str, offered: set[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", "from dsrkit.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env=environment(
            _DSRKIT_COMPLETE="complete_bash",
            COMP_WORDS=f"dsrkit verify {typed}",
            COMP_CWORD="3",
            _TYPER_COMPLETE_ARGS=f"dsrkit verify {typed}",
        ),
        check=False,
    )
    assert set(process.stdout.split()) == offered


INTERRUPTED = """
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from dsrkit.cli.entry import main
main()
"""


def test_an_interrupt_while_it_loads_is_quiet() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
