"""Programs that a lab needs, and the packages that they come from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Final

PACKAGE: Final[Mapping[str, str]] = {
    "dnsmasq": "dnsmasq-base",
    "ethtool": "ethtool",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "ip6tables-legacy": "iptables",
    "iptables-legacy": "iptables",
    "ipvsadm": "ipvsadm",
    "keepalived": "keepalived",
    "linux.uml": "user-mode-linux",
    "modprobe": "kmod",
    "nft": "nftables",
    "pgrep": "procps",
    "pkill": "procps",
    "poweroff": "systemd-sysv",
    "setpriv": "util-linux",
    "sysctl": "procps",
    "tc": "iproute2",
    "tcpdump": "tcpdump",
    "tshark": "tshark",
    "unshare": "util-linux",
}
"""The Debian package of each program; other distributions name most of them alike."""


def search_path() -> str:
    """Where programs are looked for: with the folders of root, which a plain shell leaves out."""
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"


def has_program(name: str) -> bool:
    return shutil.which(name, path=search_path()) is not None


def missing_programs(names: Iterable[str]) -> list[str]:
    """Those that are not here, each with its package."""
    absent = (name for name in dict.fromkeys(names) if not has_program(name))
    return [f"{name} (package {PACKAGE[name]})" if name in PACKAGE else name for name in absent]
