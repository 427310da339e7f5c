"""ARP as whole Ethernet frames, and what real programs send when they take over a VIP, by name."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate, cycle
from typing import Final, Literal

from dsrkit.craft.packets import nd
from dsrkit.craft.packets.headers import (
    BROADCAST,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ZERO_MAC,
    ethernet,
    ip,
    ip_version,
    mac,
    within,
)
from dsrkit.errors import UsageError

REQUEST: Final = 1
REPLY: Final = 2

_NS_PER_MS: Final = 1_000_000


def arp(
    op: int,
    sha: str,
    spa: str,
    tha: str,
    tpa: str,
    *,
    dst: str = BROADCAST,
    src: str | None = None,
    vlan: int | None = None,
) -> bytes:
    """Any ARP frame; the Ethernet source is the sender's hardware address unless `src` differs.

    Source: RFC 826. Raises: UsageError.
    """
    start = struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, within("ARP operation", op, 0, 0xFFFF))
    body = start + mac(sha) + ip(spa, 4) + mac(tha) + ip(tpa, 4)
    return ethernet(dst, src or sha, ETHERTYPE_ARP, body, vlan=vlan)


def request(target: str, src: str, src_mac: str, *, dst_mac: str = BROADCAST, vlan: int | None = None) -> bytes:
    """Who has `target`? Tell `src`; a unicast `dst_mac` only confirms an entry.

    Source: RFC 826; net/ipv4/arp.c arp_solicit, which leaves the target's hardware address 0. Raises: UsageError.
    """
    return arp(REQUEST, src_mac, src, ZERO_MAC, target, dst=dst_mac, vlan=vlan)


def reply(owner: str, owner_mac: str, asker: str, asker_mac: str, *, vlan: int | None = None) -> bytes:
    """`owner` is at `owner_mac`, told to the one that asked. Source: RFC 826. Raises: UsageError."""
    return arp(REPLY, owner_mac, owner, asker_mac, asker, dst=asker_mac, vlan=vlan)


def probe(target: str, src_mac: str, *, vlan: int | None = None) -> bytes:
    """Does anybody have `target`, asked before it is used. Source: RFC 5227 s1.1, s2.1.1. Raises: UsageError."""
    return request(target, "0.0.0.0", src_mac, vlan=vlan)


@dataclass(frozen=True, slots=True)
class Claim:
    """One ARP frame that claims a VIP: what differs between senders."""

    op: int
    tha: Literal["zero", "broadcast", "own"]
    tpa: str | None = None  # the VIP

    def frame(self, vip: str, owner_mac: str, vlan: int | None) -> bytes:
        tha = {"zero": ZERO_MAC, "broadcast": BROADCAST, "own": owner_mac}[self.tha]
        return arp(self.op, owner_mac, vip, tha, self.tpa or vip, vlan=vlan)


@dataclass(frozen=True, slots=True)
class Advert:
    """One unsolicited neighbour advertisement that claims an IPv6 VIP: what differs between senders."""

    router: bool
    from_link_local: bool

    def frame(self, vip: str, owner_mac: str, vlan: int | None) -> bytes:
        src = nd.link_local(owner_mac) if self.from_link_local else vip
        return nd.unsolicited(vip, owner_mac, src=src, router=self.router, vlan=vlan)


@dataclass(frozen=True, slots=True)
class Form:
    """What one program sends, and when: the frames in turn, one at each instant.

    A tuple of frames is empty where the program has no such announcement.
    """

    title: str
    source: str
    ipv4: tuple[Claim, ...]
    ipv6: tuple[Advert, ...] = ()
    at_ms: tuple[int, ...] = (0,)


_REQUEST_ZERO = Claim(REQUEST, "zero")
_REQUEST_BROADCAST = Claim(REQUEST, "broadcast")
_REPLY_OWN = Claim(REPLY, "own")
_REPLY_BROADCAST = Claim(REPLY, "broadcast")
_REPLY_TO_BROADCAST = Claim(REPLY, "broadcast", tpa="255.255.255.255")
_ROUTER_FROM_VIP = Advert(router=True, from_link_local=False)
_HOST_FROM_LINK_LOCAL = Advert(router=False, from_link_local=True)

FORMS: Final[dict[str, Form]] = {
    "request": Form(
        "ARP announcement of the standard: request, target MAC zero, twice, 2 s apart",
        "RFC 5227 s1.1, s2.3 (ANNOUNCE_NUM, ANNOUNCE_INTERVAL)",
        (_REQUEST_ZERO,),
        at_ms=(0, 2000),
    ),
    "reply": Form(
        "Gratuitous reply of the standard: target MAC is the sender's, once",
        "RFC 5944 s4.6",
        (_REPLY_OWN,),
    ),
    "send-arp": Form(
        "send_arp of 1997 as called with 255.255.255.255: a reply that is not gratuitous (ARP105), once",
        "Volobuev's send_arp.c",
        (_REPLY_TO_BROADCAST,),
    ),
    "arping-A": Form(
        "arping -A -c 3: reply, target MAC is the sender's, one per second",
        "iputils arping.c; recorded",
        (_REPLY_OWN,),
        at_ms=(0, 1000, 2000),
    ),
    "arping-U": Form(
        "arping -U -c 3: request, target MAC broadcast, one per second",
        "iputils arping.c; recorded",
        (_REQUEST_BROADCAST,),
        at_ms=(0, 1000, 2000),
    ),
    "keepalived": Form(
        "keepalived: request, target MAC broadcast, or neighbour advertisement; 5 at once, 5 more after 5 s",
        "keepalived vrrp_arp.c, vrrp_ndisc.c, garp_master_repeat and garp_master_delay; recorded",
        (_REQUEST_BROADCAST,),
        (_ROUTER_FROM_VIP,),
        at_ms=(0,) * 5 + (5000,) * 5,
    ),
    "linux": Form(
        "Linux arp_notify=1 or ndisc_notify=1: request, target MAC zero, or neighbour advertisement; once",
        "net/ipv4/devinet.c inetdev_send_gratuitous_arp; net/ipv6/ndisc.c ndisc_send_unsol_na; recorded",
        (_REQUEST_ZERO,),
        (_ROUTER_FROM_VIP,),
    ),
    "metallb": Form(
        "MetalLB: request and reply, target MAC broadcast, or neighbour advertisement; every 1.1 s for 5 s",
        "metallb internal/layer2/arp.go, ndp.go, announcer.go spam",
        (_REQUEST_BROADCAST, _REPLY_BROADCAST),
        (_HOST_FROM_LINK_LOCAL,),
        at_ms=(0, 0, 1100, 1100, 2200, 2200, 3300, 3300, 4400, 4400),
    ),
    "heartbeat": Form(
        "heartbeat's send_arp before June 2004: request then reply, target MAC broadcast (ARP106), ten times in 5 s",
        "Linux-HA send_arp.c, notes on its behaviour; IPaddr, ARP_INTERVAL_MS and ARP_REPEAT",
        (_REQUEST_BROADCAST, _REPLY_BROADCAST),
        at_ms=tuple(range(0, 5000, 250)),
    ),
    "kube-vip": Form(
        "kube-vip: reply (target MAC is the sender's) and request (broadcast) in turn, or advertisement; every 3 s",
        "kube-vip pkg/vip/arp.go, ndp.go, vip_arpRate",
        (_REPLY_OWN, _REQUEST_BROADCAST),
        (_HOST_FROM_LINK_LOCAL,),
        at_ms=(0, 3000, 6000, 9000),
    ),
    "seesaw": Form(
        "seesaw: reply to 255.255.255.255, target MAC broadcast, which is not gratuitous (ARP105); every 10 s",
        "seesaw ncc/arp.go, engine/config GratuitousARPInterval",
        (_REPLY_TO_BROADCAST,),
        at_ms=(0, 10_000),
    ),
    "unsolicited-na": Form(
        "Unsolicited neighbour advertisement of the standard: three, one per second; IPv6 only",
        "RFC 4861 s7.2.6 (MAX_NEIGHBOR_ADVERTISEMENT, RetransTimer)",
        (),
        (_ROUTER_FROM_VIP,),
        at_ms=(0, 1000, 2000),
    ),
}
"""Announcements by name. Periodic senders stop after a few rounds here, since a crafted capture has to end."""


def announcements(
    form: str, vip: str, owner_mac: str, *, at_ms: Sequence[int] | None = None, vlan: int | None = None
) -> tuple[tuple[int, bytes], ...]:
    """The frames of a form with their delay from the start in nanoseconds, for an IPv4 or an IPv6 VIP.

    `at_ms` replaces the form's own instants: keepalived with `garp_master_repeat 3` and `garp_master_delay 2` is
    `(0, 0, 0, 2000, 2000, 2000)`. Frames of one instant follow each other by 1 ms, as the recorded ones do.
    Raises: UsageError for a form or address that is unknown, or a form that does not exist for this kind of address.
    """
    if form not in FORMS:
        near = get_close_matches(form, FORMS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FORMS)}"
        raise UsageError(f"unknown form of announcement {form!r} ({hint})")
    version = ip_version(vip)
    frames = _frames(FORMS[form], version)
    if not frames:
        others = ", ".join(name for name, other in FORMS.items() if _frames(other, version))
        raise UsageError(f"form {form} does not announce IPv{version} addresses such as {vip} (these do: {others})")
    instants = FORMS[form].at_ms if at_ms is None else tuple(at_ms)
    # a program that sends two frames in turn for IPv4 sends one for IPv6
    if at_ms is None and version == 6 and len(FORMS[form].ipv4) > 1:
        instants = tuple(dict.fromkeys(instants))
    if any(later < earlier for earlier, later in zip((0, *instants), instants, strict=False)):
        raise UsageError(f"instants of announcements must rise from 0 on: {', '.join(map(str, instants))}")
    made = [frame.frame(vip, owner_mac, vlan) for frame in frames]
    one_by_one = accumulate(instants, lambda last, now: max(now, last + 1))
    return tuple((at * _NS_PER_MS, frame) for at, frame in zip(one_by_one, cycle(made), strict=False))


def _frames(form: Form, version: int) -> tuple[Claim | Advert, ...]:
    return form.ipv4 if version == 4 else form.ipv6
