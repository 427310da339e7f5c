"""What is checked of a VIP's ownership: every id that a report may carry, what it means and where that is written."""

from __future__ import annotations

from typing import Final

from dsrkit.tables.checks.check import Check

EXCLUSIVE: Final = "garp.owner.exclusive"
ANNOUNCED: Final = "garp.owner.announced"
LAST: Final = "garp.owner.announced-last"
ONE_MAC: Final = "garp.owner.one-mac"
RELEASED: Final = "garp.old-owner.lets-go"
GRATUITOUS: Final = "garp.announcement.gratuitous"
TARGET_MAC: Final = "garp.announcement.target-mac"
SENDER: Final = "garp.announcement.sender"
ARRIVES: Final = "garp.announcement.arrives"
FOLLOWS: Final = "garp.router.follows"
VRID: Final = "garp.vrrp.vrid"

ADVERTS: Final = "both send adverts"
PINGS: Final = "pings are lost too"
STATED: Final = "a spec says otherwise"
"""Signs: what is known of a break besides that it is one, and tells its causes apart."""

CHECKS: Final[dict[str, Check]] = {
    EXCLUSIVE: Check(
        "one machine at a time claims the VIP: no two masters of one virtual router, no foreign owner",
        "error",
        "RFC 5798 s6.4.3; RFC 5227 s2.4; faults.md ARP109, ARP116",
        ("ARP109", "ARP116"),
    ),
    ANNOUNCED: Check(
        "a new owner tells its neighbours, so that frames for the VIP follow",
        "error",
        "RFC 5798 s6.4.1 (105), s8.2.2; recorded (b08-garp-not-sent)",
        ("ARP104", "ARP117"),
    ),
    LAST: Check(
        "the last announcement of a VIP comes from the machine that keeps it",
        "error",
        "faults.md ARP108; keepalived garp_lower_prio_repeat",
        ("ARP108",),
    ),
    ONE_MAC: Check(
        "a VIP on a virtual MAC is claimed with that MAC alone",
        "info",
        "RFC 5798 s8.1.2; faults.md ARP111",
        ("ARP111",),
    ),
    RELEASED: Check(
        "who has lost the VIP gets no more frames for it, and forwards none",
        "warning",
        "faults.md ARP118; recorded",
        ("ARP118",),
    ),
    GRATUITOUS: Check(
        "an announcement has the VIP as sender and target address (IPv6: the override flag),"
        " or receivers may ignore it",
        "info",
        "RFC 5944 s4.6; RFC 4861 s7.2.6; Linux net/ipv4/arp.c arp_is_garp",
        ("ARP105",),
    ),
    TARGET_MAC: Check(
        "a gratuitous reply has its sender's MAC as target MAC, or a fresh entry is kept for a second",
        "info",
        "RFC 5944 s4.6; Linux net/ipv4/arp.c arp_is_garp",
        ("ARP106",),
    ),
    SENDER: Check(
        "the Ethernet source of an announcement is the MAC that it announces, or switches may drop it",
        "warning",
        "RFC 5227 s2.3; faults.md ARP112",
        ("ARP112",),
    ),
    ARRIVES: Check(
        "an announcement that leaves the new owner is seen where frames for the VIP come from",
        "error",
        "faults.md ARP117; recorded",
        ("ARP117",),
    ),
    FOLLOWS: Check(
        "after an announcement frames for the VIP go to the new owner",
        "error",
        "RFC 826; RFC 5227 s2.3; faults.md ARP107, ARP115",
        ("ARP115", "ARP105", "ARP106"),
    ),
    VRID: Check(
        "a virtual router id belongs to one set of addresses in a broadcast domain",
        "error",
        "RFC 5798 s5.2.3, s7.3; faults.md ARP110",
        ("ARP110",),
    ),
}
