"""What becomes of requests that tell the VIP in an option, a mode that no table judges: refused, lost, or unheard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import field, replace
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.facts.options import Told
from dsrkit.diagnose.pictures.common import agreeing, names, sightings, spoken
from dsrkit.diagnose.pictures.refusals import PROHIBITED
from dsrkit.verify.connections import COPIES
from dsrkit.verify.frames import TCP

_CLOSED: Final = ("DSR303", "DSR307")
_MUTE: Final = ("DSR323", "NAT213", "DSR301")
_ON_THE_WAY: Final = ("DSR309", "DSR310")


@dataclass(frozen=True, slots=True)
class _Picture:
    """What connections to one server have in common."""

    codes: tuple[str, ...]
    what: str
    actual: str
    settle: str
    ruled_out: dict[str, str] = field(default_factory=dict, hash=False, compare=False)
    at_router: bool = False


_RETURNED: Final = _Picture(
    ("DSR302", "DSR301"),
    "send[s|] requests with the option back to the VIP: [it does|they do] not take them, and forward[s|]",
    "the request again, from the server",
    "the load balancer's agent and sysctl net.ipv4.ip_forward on the server",
)
_WRAPPED: Final = _Picture(
    ("TUN410",),
    "send[s|] [its|their] replies back through a tunnel, instead of straight to the clients",
    "replies in a tunnel",
    "ip route get CLIENT on the server: its device must not be a tunnel",
)
_REJECTED: Final = _Picture(
    ("DSR319",),
    "answer[s|] that requests are administratively prohibited: a firewall there rejects them",
    "ICMP, administratively prohibited",
    "nft list ruleset on the server",
)
_UNHEARD: Final = _Picture(
    _ON_THE_WAY,
    "answer[s|] in the VIP's name, and no client hears it: something between servers and clients drops answers to"
    " requests that it has not seen, or that come from where the VIP does not belong",
    "answers that no client acknowledges",
    "a tap on the client's link; the state table and uRPF of firewalls and routers between servers and clients",
    {"DSR323": "servers do answer"},
    at_router=True,
)
_SILENT: Final = _Picture(
    _MUTE,
    "get[s|] requests and [is|are] silent",
    "no answer",
    "nft list ruleset, ip route get CLIENT and nstat -az | grep -i drop on the server",
    {"TUN415": "requests with the option were seen behind the next hop"},
)
_LOST: Final = _Picture(
    (*_MUTE, *_ON_THE_WAY, "DSR322", "TUN415"),
    "[is|are] sent requests, and clients get no answer from there; no tap shows how far they come",
    "no answer",
    "a tap at the server",
)
_LOST_OR_REFUSED: Final = replace(_LOST, codes=(*_LOST.codes, "DSR319"))
"""Where no tap shows replies, and so none an ICMP error after which clients go on asking."""


def option_answers(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis for all servers that do the same with what they are told."""
    known = {frame for d in case.found for frame in d.frames}
    told = [one for one in case.evidence.facts.options.told.values() if one.proto == TCP]
    told = [one for one in told if not known & set(one.frames)]
    groups: dict[tuple[str, ...], dict[_Picture, list[Told]]] = defaultdict(lambda: defaultdict(list))
    for one in told:
        picture = _picture(one, told)
        if picture is not None:
            groups[picture.codes][picture].append(one)
    for alike in groups.values():
        yield _diagnosis(case, alike, len(told))


def _picture(one: Told, told: list[Told]) -> _Picture | None:
    if one.heard or one.others:
        return None
    if one.wrapped:
        return _WRAPPED
    if one.returned:
        return _RETURNED
    if one.error in PROHIBITED:
        return _REJECTED
    if one.refusal is not None and not one.replied:
        return _refused(one)
    if one.refusal is not None or one.error is not None or one.tries < COPIES:
        return None
    if one.replied:
        return _UNHEARD
    kin = [other for other in told if other.servers & one.servers]
    if any(other.answered for other in kin):
        return None  # its server does answer: this is one client's own bad luck
    if one.beyond:
        return _SILENT
    if not any(other.answered for other in told):
        return None
    return _LOST if any(other.replied or other.refusal for other in told) else _LOST_OR_REFUSED


def _refused(one: Told) -> _Picture:
    """A closed port copies the TOS of the SYN, a firewall writes 0. Source: Linux tcp_v4_send_reset, nf_reject_ipv4."""
    assert one.refusal is not None
    asked, said = one.tos >> 2, one.refusal[1] >> 2
    codes = (*_CLOSED, "DSR319") if not asked else _CLOSED if said == asked else ("DSR319",)
    why = "a firewall there rejects them" if codes[0] == "DSR319" else "nobody listens on that port there"
    ruled_out = {"DSR319": "a firewall's RST has TOS 0"} if codes == _CLOSED else {}
    return _Picture(
        codes,
        f"refuse[s|] connections by a RST in the VIP's name: {why}",
        "a RST from the VIP",
        "ss -ltn and nft list ruleset on the server",
        ruled_out,
    )


def _diagnosis(case: Case, alike: dict[_Picture, list[Told]], among: int) -> Diagnosis:
    """One cause, with a sentence for each way in which it shows."""
    first, members = next(iter(alike)), [one for group in alike.values() for one in group]
    sentences = []
    for picture, group in alike.items():
        who = _servers(case, group)
        sentences.append(f"{spoken(who)} {agreeing(picture.what, len(who))}")
    return Diagnosis(
        first.codes,
        f"{'; '.join(sentences)} ({len(members)} of {among} connections; the load balancer tells the VIP in an option)",
        names(case.scene.role("router")) if first.at_router else _servers(case, members),
        # A server that forwards passes for a router, and what the load balancer adds for that one's work.
        case.failed(".ip.len", ".ip.hdr_len", node="router") if first is _RETURNED else [],
        sightings(members),
        failed=len(members),
        among=among,
        ruled_out=first.ruled_out,
        settle=first.settle,
        expected="an answer from the VIP, which the client takes",
        actual=spoken(picture.actual for picture in alike),
    )


def _servers(case: Case, members: list[Told]) -> tuple[str, ...]:
    """Who was told the VIP: names of real servers, addresses where no role is known."""
    addresses = sorted({a for one in members for a in one.servers}, key=lambda a: case.scene.book.sort_key([a]))
    parties = {a: case.scene.party_of_ip(a) for a in addresses}
    real = {a: p.name for a, p in parties.items() if p is not None and p.role == "real-server"}
    return tuple(dict.fromkeys(real.get(a, case.scene.address(a)) for a in addresses))
