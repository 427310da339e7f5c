"""Entries of the area ARP."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="ARP101",
        name="vip-arp-answered-by-real-servers",
        severity="error",
        summary="Real answers ARP for the VIP",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP102",
        name="arp-ignore-on-loopback-only",
        severity="error",
        summary="Only `lo.arp_ignore=1` set",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP104",
        name="takeover-not-announced",
        severity="error",
        summary="No or too few GARPs at failover",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP105",
        name="announcement-not-gratuitous",
        severity="info",
        summary="Frame sent as GARP is not one",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP107",
        name="announcement-makes-no-entry",
        severity="info",
        summary="Receiver will not create an entry / drops GARP",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP108",
        name="announced-by-wrong-owner-last",
        severity="error",
        summary="Wrong node sent the last GARP (flap)",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP109", name="two-masters", severity="error", summary="Split brain: two masters", signature="", cause=""
    ),
    Entry(
        code="ARP110",
        name="vrid-used-twice",
        severity="error",
        summary="VRID collision / VMAC duplicate",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP111",
        name="virtual-and-own-mac-mixed",
        severity="error",
        summary="VMAC interplay",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP112",
        name="announcement-from-another-mac",
        severity="info",
        summary="Ethernet source ≠ ARP SHA",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP113",
        name="switch-forgets-before-router",
        severity="info",
        summary="FDB ages before ARP",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP114",
        name="every-node-answers-arp",
        severity="error",
        summary="Every node answers",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP115",
        name="takeover-not-followed-by-router",
        severity="error",
        summary="VIP failover not followed by off-subnet clients",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP116",
        name="vip-owned-by-foreign-host",
        severity="error",
        summary="A foreign host owns the VIP",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP117",
        name="announcement-lost",
        severity="error",
        summary="GARP lost on the way",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP118",
        name="old-owner-forwards",
        severity="error",
        summary="Old owner forwards for the new one",
        signature="",
        cause="",
    ),
    Entry(
        code="ARP119",
        name="vip-on-interface-of-real-server",
        severity="error",
        summary="VIP on a real server's own interface",
        signature="",
        cause="",
    ),
)
