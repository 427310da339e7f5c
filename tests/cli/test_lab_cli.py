"""`dsrkit lab` and `dsrkit doctor`: their words, streams and exit codes; nothing is built."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dsrkit.cli.main import app
from dsrkit.lab import doctor, engine_host, engine_uml, plan
from dsrkit.lab.doctor import PROGRAMS
from dsrkit.lab.engine import Engine
from dsrkit.model.names import MODES

NEEDED = {"ipvsadm", "nft", "haproxy", "keepalived", "dnsmasq", "pgrep", "pkill", "iptables-legacy"}

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(autouse=True)
def no_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that lack a part, so that no test of the words builds anything."""

    def nothing(folder: Path) -> None:
        raise AssertionError(folder)

    lacking = {name: Engine(name, name, nothing, lambda *_: ["a part"]) for name in ("host", "uml")}
    monkeypatch.setattr(plan, "ENGINES", lacking)


def test_what_is_lacking_is_one_line() -> None:
    result = run("lab", "nat")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: the lab cannot run here: engine host needs a part; engine uml needs a part\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say a MODE, or give a --spec"),
        (("nta",), "mode 'nta' is not known (did you mean 'nat'?"),
        (("nat", "--engine", "vm"), "vm"),
        (("nat", "--loss", "2"), "--loss: '2' is not a share below 1"),
        (("nat", "--delay", "soon"), "--delay: 'soon' is not a time"),
        (("nat", "--delay", "5"), "--delay: '5' has no unit (write 5ms or 5s)"),
        (("nat", "--fault", "dsr31"), "--fault: the lab has no 'dsr31' (did you mean 'DSR319'?"),
        (("nat", "--fault", "TUN403"), "--fault TUN403 belongs to l3dsr-tunnel; nat has: DSR319 ("),
        (("nat", "--shell", "lb1", "--keep"), "--shell and --keep contradict each other"),
        (("nat", "--dscp", "7"), "--dscp"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], said: str) -> None:
    result = run("lab", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_folder_with_something_in_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("")
    able = {"host": Engine("host", "h", lambda folder: None, lambda *_: [])}
    monkeypatch.setattr(plan, "ENGINES", able | {"uml": able["host"]})
    result = run("lab", "nat", "-o", str(tmp_path))
    assert result.exit_code == 2
    assert "is not an empty folder" in result.stderr


def test_a_second_signal_does_not_disturb_the_end_of_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupted(folder: Path) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)

    able = Engine("host", "h", interrupted, lambda *_: [])
    monkeypatch.setattr(plan, "ENGINES", {"host": able, "uml": able})
    before = {one: signal.getsignal(one) for one in ENDS}
    try:
        result = run("lab", "nat")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert result.exit_code == 130
    assert not list(tmp_path.iterdir())


def test_doctor_knows_every_program_of_a_lab() -> None:
    assert set(engine_host.PROGRAMS) | set(engine_uml.PROGRAMS) | NEEDED <= set(PROGRAMS)


def test_doctor_says_what_optional_packages_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"dpkt", "lz4"}
    monkeypatch.setattr(doctor, "find_spec", lambda name: name if name in there else None)
    lines = [line for line in run("doctor").stdout.splitlines() if "Python package" in line]
    assert [(line.split()[0] == "yes", line.split()[3]) for line in lines] == [
        (name in there, name) for name in ("pyshark", "dpkt", "pyarrow", "zstandard", "lz4")
    ]
    assert lines[1].endswith("dpkt (extra oracle)      inspect --oracle dpkt")
    assert all(name in PROGRAMS["tshark"] for name in ("--oracle", "tests"))


def test_doctor_says_what_each_mode_lacks() -> None:
    result = run("doctor")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[-len(MODES) :]] == list(MODES)
    assert lines[-1].endswith(" not here: engine host needs a part; engine uml needs a part")


def test_doctor_is_content_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    able = Engine("host", "h", lambda folder: None, lambda *_: [])
    monkeypatch.setattr(plan, "ENGINES", {"host": able, "uml": able})
    result = run("doctor")
    assert result.exit_code == 0
    assert "nat           engine host (it has everything)" in result.stdout
