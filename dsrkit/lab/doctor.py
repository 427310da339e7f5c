"""What this computer has of the parts that labs, tests and single options need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from dsrkit.errors import DsrkitError
from dsrkit.lab.engine_host import has_module
from dsrkit.lab.parts import PACKAGE, has_program
from dsrkit.lab.plan import CANNOT, Wishes, lab
from dsrkit.model.names import MODES

PROGRAMS: Final[Mapping[str, str]] = {
    "ip": "every lab",
    "unshare": "every lab: namespaces that end with it",
    "setpriv": "every lab: ends it with dsrkit",
    "ethtool": "every lab: offloads off",
    "tc": "--loss, --delay",
    "sysctl": "every lab",
    "tcpdump": "every lab",
    "tshark": "inspect --oracle tshark; a second opinion on captures, in the tests",
    "nft": "balancing without IPVS, l3dsr-dscp, --vip-on dnat",
    "ipvsadm": "nat, fullnat, l2dsr, l3dsr-tunnel by IPVS",
    "iptables-legacy": "fullnat in user-mode Linux",
    "pgrep": "daemons of l7, dns-rr, garp, health",
    "pkill": "daemons of l7, dns-rr, garp, health",
    "modprobe": "modules in user-mode Linux",
    "poweroff": "engine uml: ends it",
    "linux.uml": "engine uml: IPVS and tunnels on any kernel",
    "haproxy": "l7",
    "keepalived": "garp, health",
    "dnsmasq": "dns-rr",
}
MODULES: Final[Mapping[str, str]] = {
    "ip_vs": "IPVS in engine host",
    "ipip": "l3dsr-tunnel in engine host",
    "ip_gre": "--tunnel gre in engine host",
    "fou": "--tunnel gue in engine host",
    "ip6_tunnel": "IPv6 tunnels in engine host",
    "8021q": "--vlan in engine host",
    "sch_netem": "--loss, --delay in engine host",
}
LIBRARIES: Final[Mapping[str, tuple[str, str]]] = {
    "pyshark": ("oracle", "inspect --oracle tshark, together with tshark"),
    "dpkt": ("oracle", "inspect --oracle dpkt"),
    "pyarrow": ("parquet", "inspect --parquet"),
    "zstandard": ("zstd", "captures compressed with zstd"),
    "lz4": ("lz4", "captures compressed with lz4"),
}
"""Python packages that dsrkit works without -> the extra that installs each, and what it is needed for."""


@dataclass(frozen=True, slots=True)
class Part:
    """A thing that may be here, and what it is needed for."""

    name: str
    here: bool
    need: str


@dataclass(frozen=True, slots=True)
class Examined:
    """All parts, and for every mode the engine that a lab would run in, or what it lacks."""

    parts: tuple[Part, ...]
    modes: Mapping[str, str]
    lacking: Mapping[str, str]

    @property
    def complete(self) -> bool:
        return not self.lacking

    def text(self) -> str:
        """Both tables, one line each."""
        wide = max(len(part.name) for part in self.parts)
        lines = [f"{'yes' if part.here else 'no ':3}  {part.name:{wide}}  {part.need}" for part in self.parts]
        lines.append("")
        both = {**self.modes, **{mode: f"not here: {why}" for mode, why in self.lacking.items()}}
        lines += [f"{mode:12}  {both[mode]}" for mode in MODES]
        return "\n".join(lines) + "\n"


def examined() -> Examined:
    """Look, without changing or loading anything."""
    parts = [Part("root", os.geteuid() == 0, "every lab")]
    parts += [Part(_named(name), has_program(name), need) for name, need in PROGRAMS.items()]
    parts += [Part(f"kernel module {name}", has_module(name), need) for name, need in MODULES.items()]
    parts += [
        Part(f"Python package {name} (extra {extra})", find_spec(name) is not None, need)
        for name, (extra, need) in LIBRARIES.items()
    ]
    modes: dict[str, str] = {}
    lacking: dict[str, str] = {}
    for mode in MODES:
        try:
            found = lab(mode, None, Wishes())
            modes[mode] = f"engine {found.engine.name} ({found.why})"
        except DsrkitError as error:
            lacking[mode] = str(error).removeprefix(CANNOT)
    return Examined(tuple(parts), modes, lacking)


def _named(program: str) -> str:
    package = PACKAGE[program]
    return program if package == program else f"{program} (package {package})"
