"""User-mode Linux: a kernel as a process, with IPVS and every tunnel, whose root is the host's file system, read-only.

Source: Debian package user-mode-linux; Documentation/virt/uml/user_mode_linux_howto_v2.rst
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dsrkit.lab.engine import Engine, inside, started
from dsrkit.lab.parts import missing_programs, search_path

KERNEL: Final = "linux.uml"
MODULES: Final = Path("/usr/lib/uml/modules")
MEMORY: Final = "384M"
PROGRAMS: Final = (KERNEL, "setpriv", "unshare", "ip", "tc", "ethtool", "sysctl", "tcpdump", "modprobe", "poweroff")
WITHOUT: Final = ("nft",)
"""Its kernel has nf_tables, but not the families ip and ip6."""
INIT: Final = """#!/bin/sh
export PATH={path} LC_ALL=C HOME=/run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount --bind {modules} /lib/modules
mkdir -p /run/netns /run/lock
mount -t hostfs none /mnt -o {folder}
modprobe ipv6
ip link set dev lo up
cd /mnt
{inside}
sync
poweroff -f
"""


def run(folder: Path) -> None:
    """Carry out the job of a folder in a virtual machine, which reaches it through hostfs."""
    init = folder / "init"
    command = " ".join(shlex.quote(word) for word in inside())
    init.write_text(
        INIT.format(
            path=shlex.quote(search_path()),
            modules=MODULES,
            folder=shlex.quote(str(folder)),
            inside=command,
        )
    )
    init.chmod(0o755)
    machine = (KERNEL, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"mem={MEMORY}")
    words = (f"init={init}", f"uml_dir={folder}/", "con=null", "con0=null,fd:1", "quiet")
    own = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    started([*own, *machine, *words], folder)


def missing(modules: Sequence[str], programs: Sequence[str]) -> list[str]:
    """What this computer lacks for user-mode Linux; its package brings the modules."""
    if not sys.platform.startswith("linux"):
        return ["Linux"]
    found = [] if os.geteuid() == 0 else ["root"]
    found += missing_programs((*PROGRAMS, *(one for one in programs if one not in WITHOUT)))
    if not MODULES.exists() and KERNEL not in " ".join(found):
        found.append(f"{MODULES} (package user-mode-linux)")
    found += [f"a kernel with {one} (user-mode Linux has none)" for one in programs if one in WITHOUT]
    return found


UML: Final = Engine("uml", "user-mode Linux", run, missing)
