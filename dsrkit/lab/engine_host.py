"""The running kernel: network, mount and process namespaces of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dsrkit.lab.engine import Engine, inside, started
from dsrkit.lab.parts import missing_programs

PROGRAMS: Final = ("setpriv", "unshare", "ip", "tc", "ethtool", "sysctl", "tcpdump")
PREPARE: Final = (
    "set -e; mount -n -t tmpfs tmpfs /run; mount -n -t sysfs sysfs /sys; mkdir -p /run/netns /run/lock; "
    'ip link set dev lo up; exec "$@"'
)


def run(folder: Path, *, interactive: bool = False) -> None:
    """Carry out the job of a folder. `/run` is the lab's own; the folder is reached as the current one.

    `mount -n`, or the first would leave a /run/mount of libmount's behind.
    """
    known = ("sh", "-c", 'DSRKIT_LAB=$$ exec "$@"', "sh")  # exec keeps the number, and unshare's child is the lab
    own = ("unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc")
    started([*known, *own, "sh", "-c", PREPARE, "sh", *inside()], folder, interactive=interactive)


def visit(folder: Path) -> None:
    """Carry out the job with the terminal."""
    run(folder, interactive=True)


def missing(modules: Sequence[str], programs: Sequence[str]) -> list[str]:
    """What the running kernel and this computer lack. No module is loaded: that would change the machine."""
    if not sys.platform.startswith("linux"):
        return ["Linux"]
    found = [] if os.geteuid() == 0 else ["root"]
    absent = [name for name in modules if not has_module(name)]
    if absent:
        found.append(f"kernel module{'s' if len(absent) > 1 else ''} {', '.join(absent)}")
    return found + missing_programs((*PROGRAMS, *programs))


def has_module(name: str) -> bool:
    """Whether the kernel has a module loaded or built in."""
    if Path("/sys/module", name).exists():
        return True
    listed = Path("/lib/modules", os.uname().release, "modules.builtin")
    return listed.exists() and any(Path(line).name == f"{name}.ko" for line in listed.read_text().splitlines())


HOST: Final = Engine("host", f"the running kernel, Linux {os.uname().release}", run, missing, interactive=True)
