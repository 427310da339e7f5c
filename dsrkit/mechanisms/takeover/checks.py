"""What is checked of a VIP's ownership: every id that a report may carry, what it means and where that is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of a takeover. `severity` is that of a break which does harm; without harm it is milder."""

    id: str
    meaning: str
    severity: str
    source: str
    codes: tuple[str, ...]


EXCLUSIVE: Final = Check(
    "garp.owner.exclusive",
    "one machine at a time claims the VIP: no two masters of one virtual router, no foreign owner",
    "error",
    "RFC 5798 s6.4.3; RFC 5227 s2.4; faults.md ARP109, ARP116",
    ("ARP109", "ARP116"),
)
ANNOUNCED: Final = Check(
    "garp.owner.announced",
    "a new owner tells its neighbours, so that frames for the VIP follow",
    "error",
    "RFC 5798 s6.4.1 (105), s8.2.2; recorded (b08-garp-not-sent)",
    ("ARP104", "ARP117"),
)
LAST: Final = Check(
    "garp.owner.announced-last",
    "the last announcement of a VIP comes from the machine that keeps it",
    "error",
    "faults.md ARP108; keepalived garp_lower_prio_repeat",
    ("ARP108",),
)
ONE_MAC: Final = Check(
    "garp.owner.one-mac",
    "a VIP on a virtual MAC is claimed with that MAC alone",
    "info",
    "RFC 5798 s8.1.2; faults.md ARP111",
    ("ARP111",),
)
RELEASED: Final = Check(
    "garp.old-owner.lets-go",
    "who has lost the VIP gets no more frames for it, and forwards none",
    "warning",
    "faults.md ARP118; recorded",
    ("ARP118",),
)
GRATUITOUS: Final = Check(
    "garp.announcement.gratuitous",
    "an announcement has the VIP as sender and target address (IPv6: the override flag), or receivers may ignore it",
    "info",
    "RFC 5944 s4.6; RFC 4861 s7.2.6; Linux net/ipv4/arp.c arp_is_garp",
    ("ARP105",),
)
TARGET_MAC: Final = Check(
    "garp.announcement.target-mac",
    "a gratuitous reply has its sender's MAC as target MAC, or a fresh entry is kept for a second",
    "info",
    "RFC 5944 s4.6; Linux net/ipv4/arp.c arp_is_garp",
    ("ARP106",),
)
SENDER: Final = Check(
    "garp.announcement.sender",
    "the Ethernet source of an announcement is the MAC that it announces, or switches may drop it",
    "warning",
    "RFC 5227 s2.3; faults.md ARP112",
    ("ARP112",),
)
ARRIVES: Final = Check(
    "garp.announcement.arrives",
    "an announcement that leaves the new owner is seen where frames for the VIP come from",
    "error",
    "faults.md ARP117; recorded",
    ("ARP117",),
)
FOLLOWS: Final = Check(
    "garp.router.follows",
    "after an announcement frames for the VIP go to the new owner",
    "error",
    "RFC 826; RFC 5227 s2.3; faults.md ARP107, ARP115",
    ("ARP115", "ARP105", "ARP106"),
)
VRID: Final = Check(
    "garp.vrrp.vrid",
    "a virtual router id belongs to one set of addresses in a broadcast domain",
    "error",
    "RFC 5798 s5.2.3, s7.3; faults.md ARP110",
    ("ARP110",),
)

CHECKS: Final = (
    EXCLUSIVE,
    ANNOUNCED,
    LAST,
    ONE_MAC,
    RELEASED,
    GRATUITOUS,
    TARGET_MAC,
    SENDER,
    ARRIVES,
    FOLLOWS,
    VRID,
)
