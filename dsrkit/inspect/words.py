"""Addresses and ports in words: which of them is the VIP, and whose the others are."""

from __future__ import annotations

from collections.abc import Iterable

from dsrkit.inspect.packets import endpoint
from dsrkit.verify.scene import Party, Scene


class Words:
    """Names of one scene's machines; `virtual` are addresses that others than the scene say to be VIPs.

    Machines that were only inferred have names where a mode is known: without one, who is a router is a guess.
    """

    def __init__(self, scene: Scene, virtual: Iterable[int] = ()) -> None:
        self._vips = {scene.address(vip) for vip in (*scene.vips, *virtual)}
        self._parties = [party for party in scene.parties if party.stated or scene.mode is not None]
        self._owner = {scene.address(ip): called(party) for party in self._parties for ip in party.ips}
        self._machine = {mac: called(party) for party in self._parties for mac in party.macs}

    def is_vip(self, address: str) -> bool:
        return address in self._vips

    def address(self, address: str) -> str:
        """``VIP 203.0.113.10``, ``rs1 10.0.0.21``, or the address alone."""
        if address in self._vips:
            return f"VIP {address}"
        owner = self._owner.get(address, "")
        return f"{owner} {address}" if owner else address

    def endpoint(self, address: str, port: int) -> str:
        """The same with a port, where there is one; the only VIP needs no address."""
        if address in self._vips and len(self._vips) == 1:
            return f"VIP:{port}" if port else "VIP"
        name = "VIP" if address in self._vips else self._owner.get(address, "")
        return f"{name} {endpoint(address, port) if port else address}".lstrip()

    def machine(self, mac: int) -> str:
        """The machine that a MAC belongs to; empty if unknown."""
        return self._machine.get(mac, "") if mac else ""


def called(party: Party) -> str:
    """What to call a machine: the only load balancer is the LB."""
    return "LB" if party.name == "lb" else party.name
