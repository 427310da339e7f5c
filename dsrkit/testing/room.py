"""A room in the running kernel: network, mount and process namespaces that end with this process, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, TypeVar

from dsrkit.errors import DsrkitError
from dsrkit.lab.engine_host import PREPARE
from dsrkit.lab.parts import missing_programs, search_path

PROGRAMS: Final = ("setpriv", "unshare", "nsenter", "mount", "ip", "ethtool", "sysctl")
_ALONE: Final = ("unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc")
_SPACES: Final = (("net", "net"), ("mount", "mnt"), ("ipc", "ipc"), ("pid", "pid_for_children"))
"""Option of nsenter, and name in /proc/PID/ns of the process that made them; its first child is the room's init."""
_TIED: Final = ("setpriv", "--pdeathsig", "KILL")
_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWNET: Final = 0x40000000
"""Source: include/uapi/linux/prctl.h, sched.h."""
_SAID: Final = 4000

T = TypeVar("T")


class RoomError(DsrkitError):
    """The kernel, or a program in the room, did not do what was asked; the message holds what it said."""


def why_not() -> str | None:
    """What this computer lacks to make a room, if anything."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root"
    absent = missing_programs(PROGRAMS)
    if absent:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run([*_ALONE, "true"], env=_environment(), capture_output=True, text=True, check=False)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs in a room; `poll` gives its exit code, None while it runs."""

    what: str
    poll: Callable[[], int | None]
    output: IO[bytes]

    @property
    def said(self) -> str:
        """The end of what it wrote."""
        at = max(0, os.fstat(self.output.fileno()).st_size - _SAID)
        return os.pread(self.output.fileno(), _SAID, at).decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class Room:
    """Namespaces that are there as long as the process that made them; all that runs in them ends with it.

    /run and the network are the room's own, so that ``ip netns add`` works there and leaves nothing behind.
    """

    pid: int

    def run(self, command: Sequence[str] | str, *, timeout: float = 30.0) -> str:
        """Run a command to its end and return what it wrote; a text is for the shell.

        Raises: RoomError if it fails.
        """
        words = ["sh", "-ec", command] if isinstance(command, str) else [*map(str, command)]
        try:
            done = subprocess.run(
                [*self._enter(), *words],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RoomError(f"{words[-1]}: not done within {timeout:g} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise RoomError(f"{command if isinstance(command, str) else ' '.join(words)}: {said}")
        return done.stdout

    @contextmanager
    def running(self, program: Sequence[str] | Callable[[], Any]) -> Iterator[Program]:
        """Start a program: a command, or a function of this process, which runs in a process of its own.

        A text is for the shell.
        """
        with tempfile.TemporaryFile() as output:
            if callable(program):
                process: subprocess.Popen[bytes] | _Child = _Child(self._fork(program, output))
                what = getattr(program, "__name__", "the program")
            else:
                words = ["sh", "-ec", program] if isinstance(program, str) else [*map(str, program)]
                what = words[-1] if isinstance(program, str) else " ".join(words)
                process = subprocess.Popen(
                    [*_TIED, *self._enter(), *words],
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            try:
                yield Program(what, process.poll, output)
            finally:  # what it has started goes with the room
                process.kill()
                process.wait()

    def inside(self, function: Callable[[], T]) -> T:
        """Call a function in a thread whose network is the room's: a socket that it opens stays there."""

        def enter() -> None:
            with open(f"/proc/{self.pid}/ns/net", "rb") as space:
                _call("setns", space.fileno(), 0)

        return _in_thread(enter, function)

    def _enter(self) -> list[str]:
        return ["nsenter", *(f"--{option}=/proc/{self.pid}/ns/{name}" for option, name in _SPACES), "--wd=."]

    def _fork(self, function: Callable[[], Any], output: IO[bytes]) -> int:
        """Start a child that goes into the room, where a child of its own runs the function."""
        parent = os.getpid()
        pid = _forked()
        if pid:
            return pid
        status = 1
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(output.fileno(), number)
            sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 (pytest's are its own)
            _die_with(parent)
            folder = os.getcwd()
            with ExitStack() as stack:
                paths = [f"/proc/{self.pid}/ns/{name}" for _, name in _SPACES]
                for space in [stack.enter_context(open(path, "rb")) for path in paths]:
                    _call("setns", space.fileno(), 0)
            os.chdir(folder)
            runs = _forked()
            if runs:
                status = os.waitstatus_to_exitcode(os.waitpid(runs, 0)[1])
            else:
                _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                function()
                status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status if status >= 0 else 128 - status)


@contextmanager
def room() -> Iterator[Room]:
    """A room of one's own.

    Raises: RoomError where there can be none; `why_not` tells beforehand.
    """
    ready = ("sh", "-c", PREPARE, "sh", "sh", "-c", "echo ready; exec sleep infinity")
    try:
        process = subprocess.Popen(
            [*_TIED, *_ALONE, *ready],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise RoomError(f"no namespaces: {error.strerror or error}") from None
    with process:  # waits for it, and closes its pipes
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            if process.stdout.readline() != b"ready\n":
                raise RoomError(f"no namespaces: {process.stderr.read().decode(errors='replace').strip()}")
            yield Room(process.pid)
        finally:
            process.kill()


def in_network_of_its_own(function: Callable[[], T]) -> T:
    """Call a function in a thread with a new network, which lasts as long as a socket that is opened there."""
    return _in_thread(lambda: _call("unshare", _CLONE_NEWNET), function)


class _Child:
    """A child of this process without a `Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None

    def poll(self) -> int | None:
        return self._waited(os.WNOHANG)

    def wait(self) -> int | None:
        return self._waited(0)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _waited(self, how: int) -> int | None:
        if self.status is None:
            pid, status = os.waitpid(self.pid, how)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": search_path()}


def _forked() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads' locks: the child takes none of theirs
        return os.fork()


def _die_with(parent: int) -> None:
    """Be killed when the parent ends, which it may just have done."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _call(name: str, *values: int) -> None:
    """A function of the C library.

    Raises: OSError with what it says.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*(ctypes.c_ulong(value) for value in values)) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _in_thread(first: Callable[[], Any], function: Callable[[], T]) -> T:
    """Call both in a thread, whose namespaces are its own."""
    found: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            first()
            found.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
