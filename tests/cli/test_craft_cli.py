"""`dsrkit craft`: what reaches the library, what leaves on which stream, and the exit codes.

The library call is replaced: these tests are about the words around it.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
from craft_scenarios import TAPS, l2dsr, volume
from typer.testing import CliRunner, Result

from dsrkit.cli import craft as cli_craft
from dsrkit.cli.main import app
from dsrkit.craft.options import Options, flag, options_of
from dsrkit.craft.output.files import write_pcapng
from dsrkit.craft.output.formats import KINDS
from dsrkit.craft.output.ladder import ladder
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES
from dsrkit.model.spec import Spec
from dsrkit.report.ladder import render

TESTS = Path(__file__).parents[1]


class Library:
    """Stands in for `dsrkit.craft.api`: keeps the call, gives the outcome."""

    def __init__(self) -> None:
        self.outcome: Scenario | BaseException = l2dsr()
        self.calls: list[tuple[str, Spec | None, dict[str, Any]]] = []

    def craft(self, mode: str, spec: Spec | None = None, **options: Any) -> Scenario:
        self.calls.append((mode, spec, options))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@dataclass(frozen=True)
class Fault:
    code: str
    name: str
    modes: tuple[str, ...]
    shows: str


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    fake = Library()
    api, faults = ModuleType("dsrkit.craft.api"), ModuleType("dsrkit.craft.faults")
    api.craft = fake.craft  # type: ignore[attr-defined]  # a module made for the test
    faults.FAULTS = {  # type: ignore[attr-defined]
        "ARP101": Fault("ARP101", "vip-arp-answered", ("l2dsr", "garp"), "the server answers for the VIP"),
        "NAT201": Fault("NAT201", "reply-past-lb", ("nat",), "the reply comes from the server"),
    }
    monkeypatch.setitem(sys.modules, "dsrkit.craft.api", api)
    monkeypatch.setitem(sys.modules, "dsrkit.craft.faults", faults)
    monkeypatch.delenv("COLUMNS", raising=False)
    return fake


def run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["craft", *arguments], **options)


def error(*arguments: str, **options: Any) -> str:
    result = run(*arguments, **options)
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = group.commands["craft"].commands
    return found


def test_a_command_per_mode() -> None:
    assert list(commands()) == list(MODES) == list(cli_craft.SUMMARIES)
    assert "..." not in run("--help").stdout.split("Commands:")[1]


@pytest.mark.parametrize("mode", MODES)
def test_help_shows_the_options_of_the_mode_and_no_others(mode: str) -> None:
    shown = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", run(mode, "--help").stdout, re.MULTILINE))
    mine = {flag(name) for name, _, _ in options_of(mode)}
    others = {flag(field.name) for field in fields(Options)} - mine
    assert mine <= shown
    assert not others & shown
    always = "--write --split --as --send --tap --yes --spec --profile --fault --flows --seed --limit --no-color"
    assert set(always.split()) <= shown


def test_no_option_has_the_name_of_another() -> None:
    for command in commands().values():
        names = [name for parameter in command.params for name in (*parameter.opts, parameter.name)]
        assert len(names) == len(set(names))


def test_help_says_the_defaults() -> None:
    text = " ".join(run("health", "--help").stdout.split())
    assert "Time between checks (2s) [default: 2s]." in text
    assert "Number of real servers [default: 2]." in text
    assert "Random extra delay per link, up to this (5ms, 250us)." in text


def test_no_mode_and_wrong_modes() -> None:
    result = run()
    assert result.exit_code == 2
    assert "l3dsr-dscp" in result.output
    assert "Did you mean 'l2dsr'?" in error("l2dr")


def test_less_than_one_connection_is_refused_by_name(library: Library) -> None:
    assert "--flows" in error("l2dsr", "--flows", "0")
    assert not library.calls


def test_what_is_not_given_is_left_to_the_library(library: Library) -> None:
    assert run("l2dsr").exit_code == 0
    assert library.calls == [("l2dsr", None, {})]


def test_options_reach_the_library_as_they_are_written(library: Library, tmp_path: Path) -> None:
    (tmp_path / "dsr.toml").write_text("spec = 1")
    call = "--profile katran --fault ARP101 --flows 3 --seed -5 --ip 6 --mtu 9000 --proxy 2 --crc32c"
    tlvs = ["--proxy-tlv", "alpn=h2", "--proxy-tlv", "authority=a b"]
    assert run("l7", *call.split(), *tlvs, "--spec", str(tmp_path / "dsr.toml")).exit_code == 0
    [(mode, spec, options)] = library.calls
    assert mode == "l7"
    assert spec == Spec(file=tmp_path / "dsr.toml")
    assert options == {
        "profile": "katran",
        "fault": "ARP101",
        "flows": 3,
        "seed": -5,
        "ip": "6",
        "mtu": "9000",
        "proxy": "2",
        "crc32c": True,
        "proxy_tlv": ["alpn=h2", "authority=a b"],
    }


def test_mistakes_are_one_line_and_exit_2(library: Library, tmp_path: Path) -> None:
    library.outcome = UsageError("--mtu: 'x'\nmust be a number")
    assert error("nat", "--mtu", "x") == "error: --mtu: 'x'\\x0amust be a number\n"
    assert "did you mean 'katran'?" in error("nat", "--profile", "katrn")
    assert "is not valid" in error("nat", "--profile", "any")
    assert "did you mean 'scapy'?" in error("nat", "--as", "scappy")
    assert "No such option" in error("nat", "--dscp", "7")
    assert "No such file" in error("nat", "--spec", str(tmp_path / "none.toml"))


def test_a_bug_keeps_its_traceback(library: Library) -> None:
    library.outcome = ZeroDivisionError("a bug")
    assert isinstance(run("nat").exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--tap B", "--tap belongs to --as and --send"),
        ("--yes", "--yes and --fast belong to --send"),
        ("--fast --as c", "--yes and --fast belong to --send"),
        ("--limit 3 --as c", "--limit is about the ladder, which is shown where no other output is asked for"),
        ("-w - --as c", "-w - and --as would both write to standard output"),
        ("-w dsr.toml --spec dsr.toml", "this would overwrite 'dsr.toml'"),
        ("--split . --spec dsr.toml", "this would overwrite 'dsr.toml'"),
    ],
)
def test_contradictions_are_refused_before_the_work(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dsr.toml").write_text("spec = 1")
    assert error("l2dsr", *arguments.split()) == f"error: {message}\n"
    assert library.calls == []
    assert os.listdir() == ["dsr.toml"]


def test_the_ladder_is_what_is_shown() -> None:
    assert run("l2dsr").stdout == render(ladder(l2dsr()))
    assert run("l2dsr", "--limit", "1").stdout == render(ladder(l2dsr(), 1))
    assert run("l2dsr", env={"COLUMNS": "140"}).stdout == render(ladder(l2dsr()), width=140)


def test_colours_on_a_terminal_only_if_wanted() -> None:
    assert "\x1b[1;33m" in on_terminal("l2dsr")
    assert "\x1b[1;33m" not in on_terminal("l2dsr", "--no-color")
    assert "00:02*" in on_terminal("l2dsr", "--no-color")


def test_octets_never_go_to_a_terminal() -> None:
    assert on_terminal("l2dsr", "-w", "-") == (
        "error: -w - writes octets, not text: send standard output to a file or a pipe\r\n"
    )


SCRIPT = """
import sys
from types import ModuleType
sys.path.insert(0, {tests!r})
from craft_scenarios import l2dsr, volume
api = ModuleType("dsrkit.craft.api")
api.craft = lambda mode, spec=None, **options: volume(20, 500) if "flows" in options else l2dsr()
sys.modules["dsrkit.craft.api"] = api
from dsrkit.cli.main import main
sys.argv = ["dsrkit", "craft", *sys.argv[1:]]
main()
"""


def argv(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", SCRIPT.format(tests=str(TESTS)), *arguments]


def on_terminal(*arguments: str) -> str:
    """What a real process writes to a terminal of 100 columns."""
    master, slave = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    with subprocess.Popen(
        argv(*arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(slave)
        parts = []
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the terminal's last writer is gone
                break
            if not part:
                break
            parts.append(part)
        os.close(master)
    assert process.returncode in (0, 2)
    return b"".join(parts).decode()


def test_a_pipe_gets_the_octets_and_nothing_else(tmp_path: Path) -> None:
    result = subprocess.run(argv("l2dsr", "-w", "-"), capture_output=True, check=True)
    write_pcapng(tmp_path / "x.pcapng", l2dsr())
    assert result.stdout == (tmp_path / "x.pcapng").read_bytes()
    assert result.stderr == b""


@pytest.mark.parametrize("output", [["-w", "-"], ["--as", "hex"]])
def test_a_reader_that_has_seen_enough(output: list[str]) -> None:
    with subprocess.Popen(
        argv("l2dsr", "--flows", "9", *output), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_stdout() -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(argv("l2dsr", "-w", "-"), stdout=full, stderr=subprocess.PIPE, check=False)
    assert (result.returncode, result.stderr) == (2, b"error: cannot write: No space left on device\n")


def test_files_are_written_and_named_on_stderr(library: Library, tmp_path: Path) -> None:
    library.outcome = l2dsr()
    result = run("l2dsr", "-w", str(tmp_path / "x.pcapng"), "--split", str(tmp_path / "out"))
    assert (result.exit_code, result.stdout) == (0, "")
    one, many = result.stderr.splitlines()
    assert one == f"wrote {tmp_path / 'x.pcapng'}: 9 frames at the taps A, B, C, D"
    assert many.startswith(f"wrote {tmp_path / 'out' / 'A.pcap'}, ")
    assert sorted(os.listdir(tmp_path / "out")) == [*(f"{tap}.pcap" for tap in TAPS), "dsr.toml"]
    assert "does not exist" in error("l2dsr", "-w", str(tmp_path / "none" / "x"))


def test_kinds_are_those_of_the_library() -> None:
    assert tuple(KINDS) == cli_craft.KINDS


def test_as_prints_frames_of_all_taps_or_one() -> None:
    rows = json.loads(run("l2dsr", "--as", "json").stdout)
    assert [row["tap"] for row in rows] == [frame.tap for frame in l2dsr().frames()]
    assert {row["tap"] for row in json.loads(run("l2dsr", "--as", "json", "--tap", "D").stdout)} == {"D"}
    assert error("l2dsr", "--as", "c", "--tap", "E") == "error: there is no tap 'E' (there are: A, B, C, D)\n"


class Wire:
    """Stands in for the interface."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, str, bool]] = []
        monkeypatch.setattr(import_module("dsrkit.craft.output.send"), "send", self.send)

    def send(self, scenario: Scenario, interface: str, *, tap: str, fast: bool) -> int:
        self.sent.append((interface, tap, fast))
        return len(scenario[tap])


def test_sending_asks_and_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(monkeypatch)
    result = run("l2dsr", "--send", "eth9", "--tap", "B", input="Y\n")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith("3 frames of tap B (158 octets) go out on eth9, over 0.000 s\n  from MAC  02:")
    assert "\nSend them? [y/N] sent" in result.stderr
    assert result.stderr.endswith("sent 3 frames on eth9\n")
    assert wire.sent == [("eth9", "B", False)]


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_nothing_is_sent_without_a_yes(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    wire = Wire(monkeypatch)
    message = error("l2dsr", "--send", "eth9", "--tap", "B", input=answer)
    assert message.endswith("error: nothing was sent (--yes sends without asking)\n")
    assert wire.sent == []


def test_sending_without_asking(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    wire = Wire(monkeypatch)
    assert run("l2dsr", "--send", "eth9", "--tap", "D", "--yes", "--fast").exit_code == 0
    message = error("l2dsr", "--send", "eth9", "--yes")
    assert message == "error: say whose frames to send: --tap, one of: A, B, C, D\n"
    library.outcome = Scenario("l2dsr", "ipvs", ("A",), Spec(), kept=tuple(l2dsr().frames("A")))
    assert run("l2dsr", "--send", "eth9", "--yes").exit_code == 0
    assert wire.sent == [("eth9", "D", True), ("eth9", "A", False)]


def test_faults_of_all_modes_or_one() -> None:
    assert run("--list-faults").stdout == (
        "ARP101  vip-arp-answered  l2dsr, garp  the server answers for the VIP\n"
        "NAT201  reply-past-lb     nat          the reply comes from the server\n"
    )
    assert run("--list-faults", "nat").stdout == "NAT201  reply-past-lb  nat  the reply comes from the server\n"
    assert (run("--list-faults", "l7").stdout, run("--list-faults", "l7").exit_code) == ("", 0)


def test_volume_is_written_without_being_kept(library: Library, tmp_path: Path) -> None:
    library.outcome = volume(batches=4, copies=10)
    assert run("l2dsr", "--flows", "1000", "-w", str(tmp_path / "x.pcapng")).stderr.endswith(
        ": 360 frames at the taps A, B, C, D\n"
    )


@pytest.mark.parametrize(
    ("words", "expected"), [("--fault N", "NAT201"), ("--profile k", "katran"), ("--as j", "json")]
)
def test_completion(words: str, expected: str) -> None:
    environment = {"_DSRKIT_COMPLETE": "complete_bash", "COMP_WORDS": f"dsrkit craft nat {words}", "COMP_CWORD": "4"}
    assert CliRunner().invoke(app, [], env=environment, prog_name="dsrkit").stdout.split() == [expected]


@pytest.mark.parametrize("option", ["--write", "--split", "--send", "--spec"])
def test_an_empty_name_is_a_mistake(option: str, library: Library) -> None:
    assert error("l2dsr", option, "") == f"error: {option}: must not be empty\n"
    assert library.calls == []


@pytest.mark.parametrize("name", ["out", "out/A.pcap", "out/../out/dsr.toml"])
def test_two_outputs_do_not_write_over_each_other(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "would write over each other" in error("l2dsr", "-w", str(tmp_path / name), "--split", str(out))
    assert not out.exists()
    out.mkdir()
    assert run("l2dsr", "-w", str(out / "all.pcapng"), "--split", str(out)).exit_code == 0
