"""The commands that several machines need, each as a step."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from dsrkit.setup.plan import Argv, Step
from dsrkit.setup.words import Config

LENGTH: Final = {4: 32, 6: 128}


def host_prefix(address: str) -> str:
    """The address as a prefix of its own: ``203.0.113.10/32``."""
    return f"{address}/{LENGTH[ip_address(address).version]}"


def endpoint(address: str, port: int) -> str:
    """``203.0.113.10:80`` or ``[2001:db8::10]:80``."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def modules(why: str, *names: str) -> Step:
    """Load kernel modules. They stay: others may use them too."""
    return Step("module", ("modprobe", "-a", *names), why)


def sysctl(key: str, value: int, why: str, *, kept: bool = True, changes: Argv = ()) -> Step:
    """Set a sysctl; `kept` is False where it goes with the device that this set-up makes.

    `changes` are the keys that the kernel sets with it. Slashes stand in a key, since an interface's name may hold a
    dot.
    """
    path, *others = (one if "/" in one else one.replace(".", "/") for one in (key, *changes))
    return Step("sysctl", ("sysctl", "-q", "-w", f"{path}={value}"), why, saves=(path, *others) if kept else ())


def address(text: str, device: str, why: str, *flags: str) -> Step:
    """Give an interface an address, or find it there."""
    return Step(
        "address",
        ("ip", "address", "replace", text, "dev", device, *flags),
        why,
        (("ip", "address", "del", text, "dev", device),),
    )


def route(prefix: str, why: str, *way: str, version: int = 4) -> Step:
    """Make a route, in place of one that leads to the same prefix."""
    ip: Argv = ("ip", f"-{version}", "route")
    return Step("route", (*ip, "replace", prefix, *way), why, ((*ip, "del", prefix, *way),))


def device(name: str, why: str, *words: str) -> Step:
    """Make a network device; `words` are what stands behind its name."""
    add = ("ip", "link", "add", *words)
    return Step("link", add, why, (("ip", "link", "del", "dev", name),), unless=("ip", "link", "show", "dev", name))


def file(path: str, content: str, why: str, config: Config) -> Step:
    """Write a file."""
    return Step("file", ("cat",), why, (("rm", "-f", path),), stdin=content, stdout=path, config=config)


def daemon(argv: Argv, why: str, *pid_files: str) -> Step:
    """Start a program that goes to the background by itself, and writes its process number into the first file.

    A file that was left may hold the number of another process by now: only one of the program's name is meant.
    """
    it = ("-F", pid_files[0], "-x", argv[0])
    return Step("service", argv, why, (("pkill", *it), ("rm", "-f", *pid_files)), unless=("pgrep", *it))


def nft(ruleset: str, tables: Sequence[tuple[str, str]], why: str) -> Step:
    """Load nft rules; `tables` are the families and names of theirs."""
    undo = tuple(("nft", "delete", "table", *table) for table in tables)
    return Step("nft", ("nft", "-f", "-"), why, undo, stdin=ruleset, config="nft")
