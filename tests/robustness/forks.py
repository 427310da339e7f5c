"""The command line run on many files, each in a child forked from a process that has loaded everything already.

``python -m robustness.forks`` reads lines of JSON, the arguments of one run each, and answers each with one of `Run`.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

MOST_SECONDS = 2.0
_PATIENCE = 20.0
"""Seconds of the clock after which a child that computes nothing is taken to wait for ever."""


@dataclass(frozen=True)
class Run:
    """How a run ended; `code` is negative for a signal. Units: `seconds` of CPU, `rss` MB."""

    args: list[str]
    code: int
    seconds: float
    rss: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """What must not be."""
        found = []
        if self.code not in (0, 1, 2):
            found.append(f"exit {self.code}")
        if "Traceback" in self.err:
            found.append("traceback: " + self.err[-300:])
        if self.seconds > MOST_SECONDS:
            found.append(f"{self.seconds:.1f} s")
        if self.rss > 300:
            found.append(f"{self.rss} MB")
        raw = {c for c in self.out + self.err if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"}
        if raw:
            found.append(f"raw control characters {sorted(raw)}")
        return [f"dsrkit {' '.join(self.args)}: {what}" for what in found]


def runs(commands: Sequence[Sequence[str]]) -> Iterator[Run]:
    """Run commands one behind the other."""
    here = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    lines = "".join(json.dumps(list(command)) + "\n" for command in commands)
    with tempfile.TemporaryFile("w+") as asked:
        asked.write(lines)
        asked.seek(0)
        with subprocess.Popen(
            [sys.executable, "-m", "robustness.forks"],
            stdin=asked,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        ) as server:
            assert server.stdout is not None
            for line in server.stdout:
                yield Run(**json.loads(line))


def _serve() -> None:
    from dsrkit.cli import entry

    for i, line in enumerate(sys.stdin):
        args = json.loads(line)
        if i == 0:
            _load(entry.main, args)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _child(entry.main, args, out.fileno(), err.fileno())
            code, used = _wait(child)
            out.seek(0)
            err.seek(0)
            texts = [f.read(1 << 20).decode("utf-8", "surrogateescape") for f in (out, err)]
        run = Run(args, code, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, *texts)
        print(json.dumps(asdict(run)), flush=True)


def _load(command: Callable[[], None], args: list[str]) -> None:
    """Run a command here, unseen, so that its children find everything loaded."""
    sys.argv = ["dsrkit", *args]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), suppress(SystemExit):
        command()


def _child(command: Callable[[], None], args: list[str], out: int, err: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["dsrkit", *args]
    # well above what is asserted: a hang or a flood of memory ends by itself
    resource.setrlimit(resource.RLIMIT_CPU, (int(5 * MOST_SECONDS), int(5 * MOST_SECONDS)))
    code = 70
    try:
        command()
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> tuple[int, resource.struct_rusage]:
    """The child's end; killed where it waits for ever."""
    end = os.pidfd_open(child)
    try:
        if not select.select([end], [], [], _PATIENCE)[0]:
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
    finally:
        os.close(end)
    return os.waitstatus_to_exitcode(status), used


if __name__ == "__main__":
    _serve()
