"""Who says which address is whose: ARP, neighbour discovery and VRRP in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from dsrkit.inspect.words import Words
from dsrkit.mechanisms.takeover import forms, vrrp
from dsrkit.verify.frames import Frames
from dsrkit.wire import layout
from dsrkit.wire.address import ip_text, mac_text
from dsrkit.wire.icmp import NAMES as ICMP_NAMES

_SHORT: Final = {
    forms.REQUEST_ZERO: "RFC 5227 form",
    forms.REQUEST_BROADCAST: "keepalived form",
    forms.REQUEST_OWN: "request, target MAC its own",
    forms.REQUEST_OTHER: "request, target MAC of another machine",
    forms.REPLY_OWN: "reply, RFC 5944 form",
    forms.REPLY_BROADCAST: "reply, MetalLB form",
    forms.REPLY_ZERO: "reply, target MAC 0",
}
"""Gratuitous ARP by who is known to send it so, else by what tells it from the others. See `forms.FORMS`."""
_ADVERT_OCTETS: Final = 8 + 255 * 16


def claim_text(f: Frames, i: int, words: Words) -> str:
    """An ARP packet or a message of neighbour discovery."""
    rec = f.rec[i]
    op = int(rec["res_op"])
    if int(rec["depth"]) and op not in (135, 136):
        return ICMP_NAMES.get((6, op, 0), "")
    form = int(forms.forms(f, np.asarray([i]))[0])
    sender, target = (words.address(ip_text(rec[f"res_{side}_hi"], rec[f"res_{side}_lo"])) for side in ("spa", "tpa"))
    own = int(rec["res_sha"])
    mac = f"is-at {mac_text(own)}" if own else ""
    match form:
        case forms.QUESTION:
            return f"ARP who-has {target}, tell {sender}"
        case forms.PROBE:
            return f"ARP probe for {target}"
        case forms.ANSWER:
            return f"ARP answer, {sender} {mac}"
        case forms.DEFENCE:
            return f"ARP defence, {sender} {mac}"
        case forms.REPLY_ELSEWHERE:
            return f"ARP announcement (reply to nobody, not gratuitous), {sender} {mac}"
        case forms.NS_QUESTION:
            return f"neighbour solicitation, who has {target}, tell {sender}"
        case forms.NS_PROBE:
            return f"duplicate address detection for {target}"
        case forms.NA_ANSWER:
            return f"neighbour advertisement, {sender} {mac}".rstrip()
        case forms.NA_OVERRIDE:
            return f"unsolicited neighbour advertisement, {sender} {mac}".rstrip()
        case forms.NA_PLAIN:
            return f"unsolicited neighbour advertisement without override, {sender} {mac}".rstrip()
        case forms.OTHER:
            return f"ARP operation {op}"
    return f"GARP ({_SHORT[form]}) {sender} {mac}"


def vrrp_advert(f: Frames, i: int) -> vrrp.Advert | None:
    """The VRRP advertisement in a frame."""
    rec = f.rec[i]
    level = int(rec["depth"]) - 1
    if int(rec["proto"]) != vrrp.PROTOCOL or level < 0:
        return None
    header = int(rec["hdr_len"][level])
    return vrrp.parse(f.octets(i, "in_at", header + _ADVERT_OCTETS)[header:], int(rec["ver"][level]))


def vrrp_text(advert: vrrp.Advert) -> str:
    """``VRRP advertisement vrid 51 prio 100, VIP 203.0.113.10``."""
    gone = " (stops being master)" if advert.priority == 0 else ""
    addresses = f", VIP {' '.join(advert.addresses)}" if advert.addresses else ""
    return f"VRRP advertisement vrid {advert.vrid} prio {advert.priority}{gone}{addresses}"


def is_claim(f: Frames, i: int) -> bool:
    """Whether a frame is ARP for IPv4, or neighbour discovery."""
    return bool(int(f.rec["has"][i]) & layout.HAS_RES)
