"""The commands that mend a cause, for the VIPs of a capture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from dsrkit.diagnose.entry import Fix

_VIP: Final = re.compile(r"\bVIP6?\b")
_ONLY_V4: Final = re.compile(r"\bip -4\b|VIP/32\b|\barp|\bnet\.ipv4\.conf\.")
_ONLY_V6: Final = re.compile(r"\bip -6\b|VIP/128\b|\bip6 |\bsysctl -w net\.ipv6\.|\b[A-Z_]{3,}6\b")
_FIREWALL_V4: Final = re.compile(r"\bnft\b.* ip |\biptables ")


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
    """Firewall rules that a page spells for IPv4 alone are the same for IPv6, but for the word that says so."""
    if not vips or any(":" not in vip for vip in vips):
        v6 = any(":" in vip for vip in vips)
        return [c for c in fix.commands if not vips or v6 or not _ONLY_V6.search(c)]
    mine = [c for c in fix.commands if "ipv6" in c or not _ONLY_V4.search(c)]
    if any(_ONLY_V6.search(c) for c in fix.commands):
        return [c for c in mine if not _FIREWALL_V4.search(c)]
    return [_for_v6(c) if _FIREWALL_V4.search(c) else c for c in mine]


def _for_v6(command: str) -> str:
    """A firewall's command with the other IP version.

    >>> _for_v6("nft add rule ip nat prerouting ip daddr VIP redirect")
    'nft add rule ip6 nat prerouting ip6 daddr VIP redirect'
    """
    return re.sub(r"\bip ", "ip6 ", command.replace("iptables ", "ip6tables "))
