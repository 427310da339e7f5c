"""Forms of ARP and neighbour discovery: what each message says of who has an address, and who sends it so.

An announcement is told from a question and an answer by five things: operation, sender and target address, target MAC,
and whether everybody hears it. Senders of VIPs differ in all of them, and receivers differ in what they believe.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among
from dsrkit.verify.frames import Frames, Ints, Mask
from dsrkit.wire.address import V4_MAPPED
from dsrkit.wire.rows import taken

BROADCAST: Final = 0xFFFF_FFFF_FFFF
GROUP_BIT: Final = 1 << 40
_SOLICITED, _OVERRIDE = 2, 1
_LIMITED_BROADCAST = V4_MAPPED | 0xFFFF_FFFF
_TO_GROUP = (1, 2)  # packet types of cooked captures: broadcast, multicast


@dataclass(frozen=True, slots=True)
class Form:
    """One shape of message.

    `claims`: its sender says to have the address; `announces`: to everybody, without having been asked. `gratuitous`
    is what receivers go by: a strict one takes nothing else for an announcement.
    """

    name: str
    text: str
    claims: bool = False
    announces: bool = False
    gratuitous: bool = False
    senders: str = ""


QUESTION, PROBE, ANSWER, DEFENCE = 0, 1, 2, 3
REQUEST_ZERO, REQUEST_BROADCAST, REQUEST_OWN, REQUEST_OTHER = 4, 5, 6, 7
REPLY_OWN, REPLY_BROADCAST, REPLY_ZERO, REPLY_ELSEWHERE = 8, 9, 10, 11
NA_OVERRIDE, NA_PLAIN, NA_ANSWER, NS_QUESTION, NS_PROBE = 12, 13, 14, 15, 16
OTHER = 17

FORMS: Final[tuple[Form, ...]] = (
    Form("question", "ARP request", claims=False),
    Form("probe", "ARP probe, sender address 0"),
    Form("answer", "ARP reply", claims=True),
    Form("defence", "ARP reply to another machine that uses the address", claims=True),
    Form("request-tha-zero", "gratuitous ARP request, target MAC 0", True, True, True, "RFC 5227 announcement, Linux"),
    Form(
        "request-tha-broadcast",
        "gratuitous ARP request, target MAC broadcast",
        True,
        True,
        True,
        "keepalived, arping -U, MetalLB, kube-vip, heartbeat",
    ),
    Form("request-tha-own", "gratuitous ARP request, target MAC its own", True, True, True),
    Form("request-tha-other", "gratuitous ARP request, target MAC of another machine", True, True, True),
    Form("reply-tha-own", "gratuitous ARP reply", True, True, True, "RFC 5944, arping -A, kube-vip"),
    Form(
        "reply-tha-broadcast",
        "gratuitous ARP reply, target MAC broadcast",
        True,
        True,
        True,
        "MetalLB, heartbeat",
    ),
    Form("reply-tha-zero", "gratuitous ARP reply, target MAC 0", True, True, True),
    Form(
        "reply-to-nobody",
        "ARP reply to 255.255.255.255 or to nobody, which is not gratuitous",
        True,
        True,
        False,
        "send_arp, seesaw",
    ),
    Form(
        "na-override",
        "unsolicited neighbour advertisement",
        True,
        True,
        True,
        "keepalived, Linux, MetalLB, kube-vip",
    ),
    Form("na-without-override", "unsolicited neighbour advertisement without the override flag", True, True, False),
    Form("na-answer", "neighbour advertisement", claims=True),
    Form("ns-question", "neighbour solicitation"),
    Form("ns-probe", "duplicate address detection"),
    Form("other", "ARP of another operation"),
)
"""By number. Source: RFC 826; RFC 5227 s1.1, s2.1.1, s2.3; RFC 5944 s4.6; RFC 4861 s4.4, s7.2.6; iputils arping.c;
keepalived vrrp_arp.c; metallb internal/layer2/arp.go; kube-vip pkg/vip/arp.go; seesaw ncc/arp.go;
Volobuev's send_arp.c."""

ANNOUNCES: Final = np.asarray([form.announces for form in FORMS])
CLAIMS: Final = np.asarray([form.claims for form in FORMS])


def forms(f: Frames, rows: Ints) -> Ints:
    """The number of each message's form; `rows` are ARP packets or neighbour solicitations and advertisements."""
    rec = taken(f.rec, rows)
    op = rec["res_op"].astype(np.int64)
    tha, sha = rec["res_tha"].astype(np.int64), rec["res_sha"].astype(np.int64)
    spa = rec["res_spa_hi"], rec["res_spa_lo"]
    tpa = rec["res_tpa_hi"], rec["res_tpa_lo"]
    same = (spa[0] == tpa[0]) & (spa[1] == tpa[1])
    group = heard_by_all(f, rows)
    flags = rec["res_flags"].astype(np.int64)
    nobody = (tpa[1] == np.uint64(_LIMITED_BROADCAST)) | (tpa[1] == np.uint64(V4_MAPPED)) | (tha == BROADCAST)
    out = np.full(len(rows), OTHER, np.int64)
    request, reply, advert, solicits = op == 1, op == 2, op == 136, op == 135
    out[request] = QUESTION
    out[request & (spa[1] == np.uint64(V4_MAPPED)) & (spa[0] == 0)] = PROBE
    by_target_mac = [tha == 0, tha == BROADCAST, tha == sha]
    told = np.select(by_target_mac, [REQUEST_ZERO, REQUEST_BROADCAST, REQUEST_OWN], REQUEST_OTHER)
    asks_itself = request & same & (out != PROBE)
    out[asks_itself] = told[asks_itself]
    out[reply] = ANSWER
    told = np.select(by_target_mac, [REPLY_ZERO, REPLY_BROADCAST, REPLY_OWN], DEFENCE)
    out[reply & same] = told[reply & same]
    out[reply & ~same & group & nobody] = REPLY_ELSEWHERE
    out[solicits] = NS_QUESTION
    out[solicits & (spa[0] == 0) & (spa[1] == 0)] = NS_PROBE
    unasked = advert & ((flags & _SOLICITED) == 0) & group
    out[advert] = NA_ANSWER
    out[unasked] = np.where((flags & _OVERRIDE) != 0, NA_OVERRIDE, NA_PLAIN)[unasked]
    return out


def heard_by_all(f: Frames, rows: Ints) -> Mask:
    """Whether each frame goes to a group; a cooked capture says so beside the address that it lacks."""
    to = f.rec["eth_dst"][rows].astype(np.int64)
    return np.asarray(((to & GROUP_BIT) != 0) | among(f.rec["pkttype"][rows], _TO_GROUP), bool)


def likely_sender(names: set[str]) -> str:
    """Programs that send the forms of one takeover together, as far as the forms alone tell."""
    if names == {"request-tha-broadcast", "reply-tha-broadcast"}:
        return "MetalLB or heartbeat"
    if names == {"request-tha-broadcast", "reply-tha-own"}:
        return "kube-vip"
    known = [form.senders for form in FORMS if form.name in names and form.senders]
    return known[0] if len(known) == len(names) == 1 else ""
