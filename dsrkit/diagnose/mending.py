"""The commands that mend a cause, for the VIPs of a capture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from dsrkit.diagnose.entry import Fix

_VIP: Final = re.compile(r"\bVIP6?\b")
_ONLY_V4: Final = re.compile(r"\bip -4\b|VIP/32\b|\barp|\bnet\.ipv4\.conf\.|\binterface ipv4\b")
_ONLY_V6: Final = re.compile(r"\bip -6\b|VIP/128\b|\bip6 |\bsysctl -w net\.ipv6\.|\binterface ipv6\b|\b[A-Z_]{3,}6\b")
_SPELLED_V4: Final = re.compile(r"\bnft\b.* ip |\biptables |\bipvsadm .*VIP:")
_OUTER: Final = re.compile(r"\bip link |\bsaddr DIP6?\b")
"""About a tunnel's own addresses, whose IP version need not be that of the VIP."""
_ROUTED_V4: Final = re.compile(r"^ip (route|rule|neigh) ")


def mending(fixes: Iterable[Fix], vips: Sequence[str]) -> str | None:
    """A comment per fix and a line per command, those of the VIPs' IP version; the VIP is filled in where it is one.

    >>> print(mending([Fix("that server", ("ip addr add VIP/32 dev lo", "ip -6 addr add VIP/128 dev lo"))], ["::1"]))
    # that server
    ip -6 addr add ::1/128 dev lo
    """
    lines = []
    for fix in fixes:
        commands = _commands(fix, vips)
        if commands or not fix.commands:
            lines.append(f"# {fix.where}: {fix.why}" if fix.why else f"# {fix.where}")
            lines += [_VIP.sub(vips[0], c) if len(vips) == 1 else c for c in commands]
    return "\n".join(lines) or None


def _commands(fix: Fix, vips: Sequence[str]) -> list[str]:
    """Rules that a page spells for IPv4 alone are the same for IPv6, but for the word or the brackets that say so."""
    versions = {6 if ":" in vip else 4 for vip in vips}
    if versions == {4}:
        return [c for c in fix.commands if _OUTER.search(c) or not _ONLY_V6.search(c)]
    if versions != {6}:
        return list(fix.commands)
    mine = [c for c in fix.commands if "ipv6" in c or _OUTER.search(c) or not _ONLY_V4.search(c)]
    if any(_ONLY_V6.search(c) for c in fix.commands):
        return [c for c in mine if _OUTER.search(c) or not (_SPELLED_V4.search(c) or _ROUTED_V4.search(c))]
    return [c if _OUTER.search(c) else _for_v6(c) for c in mine]


def _for_v6(command: str) -> str:
    """A command for the other IP version.

    >>> _for_v6("nft add rule ip nat prerouting ip daddr VIP redirect")
    'nft add rule ip6 nat prerouting ip6 daddr VIP redirect'
    >>> _for_v6("ip rule add from VIP table 100")
    'ip -6 rule add from VIP table 100'
    >>> _for_v6("ipvsadm -e -t VIP:PORT -r RIP -w 0")
    'ipvsadm -e -t [VIP]:PORT -r RIP -w 0'
    """
    if _ROUTED_V4.search(command):
        return command.replace("ip ", "ip -6 ", 1)
    if command.startswith("nft "):
        return re.sub(r"\bip ", "ip6 ", command)
    return re.sub(r"\b([VR]IP):", r"[\1]:", command.replace("iptables ", "ip6tables "))
