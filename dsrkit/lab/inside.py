"""Runs inside the machine of an engine, as root and in namespaces that end with it: carries out a job.

``python -m dsrkit.lab.inside FOLDER`` reads FOLDER/job.json and leaves captures and result.json there. Standard library
only, and no numpy: a small virtual machine starts it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dsrkit.lab.capture import CaptureFailed, recording
from dsrkit.lab.job import JOB_FILE, RESULT_FILE, Cable, End, Job, Server, Step

WORK: Final = Path("/run/lab")
PYTHON: Final = (sys.executable, "-I", "-S")
PROGRAMS: Final = Path(__file__).parent / "programs"
LIMIT: Final = 200.0
"""Seconds for one command; the clients of a broken set-up wait for each of their requests."""
PINGS: Final = 2
OFFLOADS_OFF: Final = "tx off rx off sg off tso off gso off gro off txvlan off rxvlan off"
HUB: Final = "stp_state 0 mcast_snooping 0"
STRICT: Final = (
    "net.ipv4.conf.all.rp_filter=1",
    "net.ipv4.conf.default.rp_filter=1",
    "net.ipv6.conf.default.accept_ra=0",
    "net.ipv6.conf.default.router_solicitations=0",
    "net.ipv6.conf.default.accept_dad=0",
)
"""A machine as a careful distribution leaves it (strict RFC 3704 checks), without the chatter of autoconfiguration."""
STATE: Final = "printf 'address\\nroute\\nneigh\\n' | ip -brief -batch -"
"""In one process, as each is slow in a virtual machine."""
NO_IPV6: Final = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")


class LabFailed(Exception):
    """A command that should have worked did not."""


def main() -> None:
    folder = Path(sys.argv[1])
    job = Job.load((folder / JOB_FILE).read_text())
    result: dict[str, Any] = {
        "error": None,
        "steps": [],
        "drops": {},
        "state": {},
        "kernel": " ".join(os.uname()[:3:2]),
    }
    WORK.mkdir(parents=True)
    try:
        _carry_out(job, result)
    except (LabFailed, CaptureFailed, OSError, subprocess.TimeoutExpired) as error:
        result["error"] = str(error)
    for file in WORK.glob("*.pcap"):
        shutil.copy(file, folder)
    (folder / RESULT_FILE).write_text(json.dumps(result, indent=1))


def _carry_out(job: Job, result: dict[str, Any]) -> None:
    _build(job)
    for node, script in job.scripts.items():
        _in(node, ["sh"], f"setup of {node}", script)
    for node, commands in job.faults.items():
        for command in commands:
            _in(node, ["sh", "-ec", command], f"fault at {node}")
    with ExitStack() as stack:
        logs = [WORK / f"server{number}.log" for number in range(len(job.servers))]
        started = [stack.enter_context(_serving(*one)) for one in zip(job.servers, logs, strict=True)]
        for server, log, process in zip(job.servers, logs, started, strict=True):
            _listens(server, log, process)
        with recording(job.taps, WORK) as drops:
            time.sleep(job.settle)
            for step in job.steps:
                result["steps"].append({"label": step.label, "at": time.time(), **_step(step)})
        result["drops"] = drops
        result["state"] = {node: _state(job, node) for node in job.nodes}
        _visit(job, result)


def _command(argv: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    stdin = {"input": text} if text is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False, **stdin)


def _do(argv: Sequence[str], what: str, text: str | None = None) -> str:
    """Run a command.

    Raises: LabFailed with what it said.
    """
    done = _command(argv, text)
    if done.returncode:
        raise LabFailed(f"{what}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _in(node: str, argv: Sequence[str], what: str, text: str | None = None) -> str:
    return _do(["ip", "netns", "exec", node, *argv], what, text)


# --- machines and cables --------------------------------------------------------------------------------------------


def _build(job: Job) -> None:
    hubs = sorted({f"hub-{cable.link}" for cable in job.cables if cable.far is None})
    for name in (*job.nodes, *hubs):
        _do(["ip", "netns", "add", name], f"namespace {name}")
        quiet = name in hubs or not job.ipv6
        _in(name, ["sysctl", "-q", "-w", *STRICT, *(NO_IPV6 if quiet else ())], f"defaults of {name}")
    laid = [(cable, cable.far or End(f"hub-{cable.link}", f"p{number}")) for number, cable in enumerate(job.cables)]
    finish: dict[str, list[str]] = {hub: [f"ip link add name br0 up type bridge {HUB}"] for hub in hubs}
    for cable, far in laid:
        _lay(cable, far)
        for end in (cable.near, far):
            finish.setdefault(end.node, []).extend(_as_wished(job, end))
        if cable.far is None:
            finish[far.node].append(f"ip link set dev {far.port} master br0 up")
    for node, commands in finish.items():
        _in(node, ["sh", "-ec", "\n".join(commands)], f"links of {node}")


def _lay(cable: Cable, far: End) -> None:
    near = cable.near
    one, other = (("address", end.mac) if end.mac else () for end in (near, far))
    peer = ("type", "veth", "peer", "name", far.port, "netns", far.node, *other)
    what = f"cable {near.node} {near.port} to {far.node} {far.port}"
    _do(["ip", "link", "add", "name", near.port, "netns", near.node, *one, *peer], what)


def _as_wished(job: Job, end: End) -> Iterator[str]:
    port = shlex.quote(end.port)
    if not job.offloads:
        yield f"ethtool -K {port} {OFFLOADS_OFF} >/dev/null"
    if end in job.slow:
        delay = f" delay {job.delay * 1e6:.0f}us" if job.delay else ""
        loss = f" loss {job.loss * 100:.4f}%" if job.loss else ""
        yield f"tc qdisc add dev {port} root netem{delay}{loss}"


# --- what runs there ------------------------------------------------------------------------------------------------


@contextmanager
def _serving(server: Server, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service that starts; the others may, meanwhile."""
    words = (server.node, str(server.port), "udp" if server.udp else "tcp", server.address)
    program = [*PYTHON, str(PROGRAMS / "server.py"), *words, "proxy" if server.proxy else "plain"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["ip", "netns", "exec", server.node, *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _listens(server: Server, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for a service.

    Raises: LabFailed with what it said instead.
    """
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        raise LabFailed(f"server at {server.node}: {log.read_text(errors='replace').strip()}")


def _step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if step.requests:
        asked = json.dumps([asdict(request) for request in step.requests])
        program = [*PYTHON, str(PROGRAMS / "client.py")]
        found["requests"] = json.loads(_in(step.node, program, step.label, asked))
    commands = {
        "ping": step.ping and [*PYTHON, str(PROGRAMS / "ping.py"), step.ping, str(PINGS)],
        "command": step.command and ["sh", "-c", step.command],
    }
    for kind, argv in commands.items():
        if argv:
            done = _command(["ip", "netns", "exec", step.node, *argv])
            found[kind] = {"status": done.returncode, "output": (done.stdout + done.stderr).strip()}
    time.sleep(step.wait)
    return found


def _state(job: Job, node: str) -> str:
    """What a machine looks like after the traffic, for whoever reads the recording later."""
    texts = [STATE, *(["ip -6 route"] if job.ipv6 else [])]
    texts += ["ipvsadm -Ln --stats"] if "ipvsadm" in job.scripts[node] else []
    return _command(["ip", "netns", "exec", node, "sh", "-c", "; ".join(texts)]).stdout


def _visit(job: Job, result: Mapping[str, Any]) -> None:
    """Let the user look around."""
    if job.shell is None and not job.keep:
        return
    requests = [one["served"] for step in result["steps"] for one in step.get("requests", ())]
    _say(f"served {sum(requests)} of {len(requests)} requests")
    if job.shell is not None:
        _say(f"shell at {job.shell}; exit ends the lab (other machines: ip netns exec {_another(job)} sh)")
        named = ["unshare", "--uts", "sh", "-c", f"echo {job.shell} >/proc/sys/kernel/hostname; exec $SHELL"]
        env = {"SHELL": "sh", "PS1": f"{job.shell}# ", **os.environ}
        subprocess.run(["ip", "netns", "exec", job.shell, *named], env=env, check=False)
    if job.keep:
        enter = f"nsenter -t $(pgrep -P {os.environ['DSRKIT_LAB']}) -m -n -p ip netns exec"
        _say("the lab stands until Ctrl-D; from another terminal:")
        _say("\n".join(f"  {enter} {node} sh" for node in job.nodes))
        sys.stdin.read()


def _another(job: Job) -> str:
    return next((node for node in reversed(job.nodes) if node != job.shell), job.nodes[0])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
