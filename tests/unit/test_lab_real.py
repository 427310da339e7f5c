"""Labs that are really built: what they record is clean, a fault shows, and nothing is left, however they end.

Everything runs in namespaces of its own, so that what other programs do to this computer meanwhile does not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from needs import present, program

from dsrkit.lab.engine_host import HOST
from dsrkit.lab.engine_uml import UML

NFT = ("nft",)
OWN = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


@cache
def lacks(engine: str) -> str | None:
    """Why an engine cannot run here."""
    found = HOST.missing((), NFT) if engine == "host" else UML.missing((), ("ipvsadm",))
    if found:
        return f"engine {engine} needs {', '.join(found)}"
    probe = subprocess.run([*OWN, "ip", "link", "add", "type", "veth"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"no namespaces or veth here: {probe.stderr.strip()[-100:]}"


def needs(engine: str) -> Any:
    return pytest.param(engine, marks=present(lacks(engine)))


DRIVER = r"""
import json, os, signal, subprocess, sys, time
from contextlib import suppress
from pathlib import Path

out, when, *command = sys.argv[1:]

def processes():
    while lab.returncode is not None and reaped():  # this is the init of its namespace
        pass
    found = {}
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            with suppress(OSError):  # it has just ended
                found[int(one.name)] = (one / "comm").read_text().strip()
    return found

def reaped():
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0

def say(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout

def state():
    wanted = "grep '^net[.]' | grep -v -E 'netdev_rss_key|stable_secret|count'"
    keys = say("sh", "-c", f"sysctl -a 2>/dev/null | {wanted}")
    return {"links": say("ip", "-j", "link"), "addresses": say("ip", "-j", "address"), "routes": say("ip", "route"),
            "rules": say("nft", "list", "ruleset"), "namespaces": say("ip", "netns"), "sysctls": keys,
            "mounts": Path("/proc/self/mountinfo").read_text(), "run": sorted(map(str, Path("/run").rglob("*"))),
            "files": sorted(os.listdir(os.environ["TMPDIR"]))}

def until(what, true):
    end = time.monotonic() + 30
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"never {what}: {processes()}")
        time.sleep(0.02)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and so their children, ignore it
before = state()
alone = {os.getpid()}
lab = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
sent = {"end": None, "int": signal.SIGINT, "term": signal.SIGTERM, "kill": signal.SIGKILL}[when]
if sent is not None:
    until("built", lambda: {"tcpdump", "linux.uml"} & set(processes().values()))
    lab.send_signal(sent)
said, errors = lab.communicate()
until("alone", lambda: set(processes()) <= alone)
after = state()
if when == "kill":
    after["files"] = before["files"]  # nobody was left to clear them
changed = [key for key in before if before[key] != after[key]]
Path(out).write_text(json.dumps({"changed": changed, "status": lab.returncode, "said": said, "errors": errors}))
"""


def lab(folder: Path, *words: str, when: str = "end") -> dict[str, Any]:
    """Run ``dsrkit lab`` in namespaces of its own; what it said, and what it left changed."""
    (folder / "tmp").mkdir()
    (folder / "driver.py").write_text(DRIVER)
    command = [sys.executable, "-m", "dsrkit", "lab", *words]
    prepare = 'mount -n -t tmpfs tmpfs /run; mount -n -t sysfs sysfs /sys; exec "$@"'
    driver = [sys.executable, str(folder / "driver.py"), str(folder / "found.json"), when, *command]
    done = subprocess.run(
        [*OWN, "sh", "-c", prepare, "sh", *driver],
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


@pytest.mark.parametrize("engine", [needs("host"), needs("uml")])
def test_a_lab_serves_is_clean_and_leaves_nothing(tmp_path: Path, engine: str) -> None:
    found = lab(tmp_path, "l2dsr", "--engine", engine, "--flows", "6", "-o", str(tmp_path / "kept"))
    assert (found["status"], found["changed"]) == (0, []), found
    assert found["said"].startswith("served 6 of 6 requests; 5 taps\n")
    assert f"engine {engine}:" in found["errors"]
    truth = json.loads((tmp_path / "kept" / "truth.json").read_text())
    assert truth["engine"] == engine
    assert truth["balancer"] == {"host": "nft", "uml": "ipvs"}[engine]
    assert {one["dropped"] for one in truth["taps"]} == {0}
    assert [step["ping"]["status"] for step in truth["steps"] if "ping" in step] == [0]
    assert truth["verified"]["spec"] == truth["verified"]["blind"] == {"exit_code": 0, "findings": []}
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {
        "A_client.pcap", "B_lb1.pcap", "C_r1.pcap", "D_web1.pcap", "D_web2.pcap", "dsr.toml", "truth.json",
    }  # fmt: skip


@pytest.mark.parametrize("engine", [needs("host"), needs("uml")])
@pytest.mark.parametrize("when", ["int", "term", "kill"])
def test_nothing_is_left_of_one_that_is_stopped(tmp_path: Path, engine: str, when: str) -> None:
    found = lab(tmp_path, "l2dsr", "--engine", engine, when=when)
    assert found["changed"] == []
    assert found["status"] == {"int": 130, "term": 130, "kill": -9}[when]


@pytest.mark.parametrize("engine", [needs("host")])
def test_nothing_is_left_of_one_that_was_half_built(tmp_path: Path, engine: str) -> None:
    spec = tmp_path / "dsr.toml"
    subprocess.run(
        [sys.executable, "-m", "dsrkit", "craft", "nat", "--split", str(tmp_path / "made"), "--flows", "1"],
        check=True,
        capture_output=True,
    )
    text = (tmp_path / "made" / "dsr.toml").read_text()
    assert 'gateway = "10.0.0.1"' in text
    spec.write_text(text.replace('gateway = "10.0.0.1"', 'gateway = "224.0.0.1"'))  # no kernel takes that
    found = lab(tmp_path, "--spec", str(spec), "--engine", engine)
    assert (found["status"], found["changed"]) == (2, []), found
    assert found["errors"].splitlines()[-1].startswith("error: the lab failed: setup of web1: ")


@pytest.mark.parametrize("engine", [needs("host")])
def test_a_fault_shows_to_clients_and_in_the_capture(tmp_path: Path, engine: str) -> None:
    found = lab(tmp_path, "l2dsr", "--engine", engine, "--fault", "DSR303", "-o", str(tmp_path / "kept"), "-q")
    assert (found["status"], found["changed"]) == (1, []), found
    assert "Connection refused" in found["said"]
    assert "l2dsr.real-server.answered" in found["said"]
    truth = json.loads((tmp_path / "kept" / "truth.json").read_text())
    assert (truth["healthy"], truth["fault"], truth["exit_code"]) == (False, "DSR303", 1)
    assert truth["served"] < truth["asked"] == 12
    assert truth["picture"].startswith("RST")
    (finding,) = truth["verified"]["spec"]["findings"]
    assert (finding["code"], finding["nodes"]) == ("DSR303", ["web1"])
    assert found["said"].splitlines()[-1] == (
        f"lab: clients were served {truth['served']} of 12 requests, and verify finds DSR303 "
        f"(exit 1); recording in {tmp_path / 'kept'}"
    )


@pytest.mark.parametrize("engine", [needs("host")])
@pytest.mark.parametrize(
    "words",
    [
        ("nat",),
        ("nat", "--protocol", "udp", "--server-port", "8080"),
        ("l3dsr-dscp", "--ip", "6"),
        ("fullnat", "--offloads"),
    ],
)
def test_modes_on_the_running_kernel(tmp_path: Path, engine: str, words: tuple[str, ...]) -> None:
    found = lab(tmp_path, *words, "--engine", engine)
    assert (found["status"], found["changed"]) == (0, []), found


@pytest.mark.parametrize("engine", [needs("uml")])
def test_a_tunnel_in_user_mode_linux(tmp_path: Path, engine: str) -> None:
    found = lab(tmp_path, "l3dsr-tunnel", "--protocol", "udp", "--engine", engine, "--seed", "2", "--flows", "4")
    assert (found["status"], found["changed"]) == (0, []), found


@pytest.mark.parametrize("engine", [needs("host")])
@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("l7", marks=program("haproxy")),
        pytest.param("dns-rr", marks=program("dnsmasq")),
        pytest.param("garp", marks=program("keepalived")),
    ],
)
def test_daemons_end_with_their_lab(tmp_path: Path, engine: str, mode: str) -> None:
    found = lab(tmp_path, mode, "--engine", engine, "--flows", "4")
    assert (found["status"], found["changed"]) == (0, []), found


@pytest.mark.parametrize("engine", [needs("host")])
def test_a_shell_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "prompt <$PS1>, machine <$(uname -n)>, address <$(ip -brief address)>"\n')
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    monkeypatch.delenv("PS1", raising=False)
    found = lab(tmp_path, "l2dsr", "--engine", engine, "--flows", "1", "--shell", "web1")
    assert (found["status"], found["changed"]) == (0, []), found
    assert "served 1 of 1 requests\nshell at web1; exit ends the lab" in found["errors"]
    assert "prompt <web1# >, machine <web1>, address <lo " in found["said"]
    assert "203.0.113.21/24" in found["said"]


@pytest.mark.parametrize("engine", [needs("host")])
def test_a_lab_that_is_kept_says_how_to_enter_each_machine(tmp_path: Path, engine: str) -> None:
    found = lab(tmp_path, "l2dsr", "--engine", engine, "--flows", "1", "--keep")
    assert (found["status"], found["changed"]) == (0, []), found
    said = found["errors"].splitlines()
    assert said[-8:-6] == ["served 1 of 1 requests", "the lab stands until Ctrl-D; from another terminal:"]
    assert [line.split()[-2] for line in said[-6:]] == ["client", "r1", "lb1", "sw1", "web1", "web2"]
    assert all(line.startswith("  nsenter -t $(pgrep -P ") for line in said[-6:])


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert HOST.missing((), ())[0] == UML.missing((), ())[0] == "root"
