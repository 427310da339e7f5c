"""An answer from another address than the one that was asked: what the request carried when the server got it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import agreeing, in_order, spoken, unanswered
from dsrkit.diagnose.pictures.lost_mark import Found, by_marks, server_of_answer, spoken_marks
from dsrkit.diagnose.pictures.refusals import EXPIRED, PROHIBITED
from dsrkit.verify.connections import Connection, WrongAnswer
from dsrkit.verify.frames import TCP, UDP
from dsrkit.verify.scene import Party
from dsrkit.verify.verdicts import Frame, Verdict
from dsrkit.wire.address import mac_text

FROM_REAL_ADDRESS: Final = (
    "NAT201",
    "DSC510",
    "DSC501",
    "DSC502",
    "DSC505",
    "DSC517",
    "DSC503",
    "TUN414",
    "NAT202",
    "DSC504",
    "DSC515",
    "TUN417",
)
"""What all look alike to a client that gets its answer from an address that it did not ask."""


def wrong_address(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis per cause; servers that answer wrongly for the same reason are one."""
    cells = case.failed(".answered-by-vip")
    wrong = case.wrong_answers()
    refused = [(c, v) for c, v in unanswered(case.failed(".answered", ".appears")) if _in_own_name(case, c)]
    if case.mode is None:
        wrong = _proven(case, wrong)
    if not cells and not refused:
        return
    found: dict[tuple[str, ...], Found] = {}
    by_server: dict[int, list[WrongAnswer]] = {}
    known_at = {(w.client, w.source): at for w in wrong if (at := server_of_answer(case, w)) >= 0}
    for w in wrong:
        by_server.setdefault(known_at.get((w.client, w.source), -1), []).append(w)
    for c, _ in refused:
        by_server.setdefault(c.server, [])
    for index, answers in by_server.items():
        server = case.servers()[index] if 0 <= index < len(case.servers()) else None
        mine = [c for c, _ in refused if c.server == index]
        for one in _causes(case, server, answers, mine):
            known = found.setdefault(one.codes, one)
            if known is not one:
                known.who += one.who
                known.servers += one.servers
                known.answers += one.answers
                known.refused += one.refused
                known.ruled_out |= one.ruled_out
    for one in _one_map(list(found.values())):
        symptoms = [*cells, *(v for c, v in refused if any(c is m for m in one.refused))]
        yield _diagnosis(case, one, list({id(v): v for v in symptoms}.values()))


def _one_map(found: list[Found]) -> list[Found]:
    """Where a map of tags is proven to be wrong at one server, rules elsewhere that make no VIP of their tag are of the
    same mistake."""
    proven = next((one for one in found if one.codes == ("DSC505",)), None)
    unruled = [one for one in found if one is not proven and one.servers and "DSC505" in one.codes]
    if proven is None or not unruled:
        return found
    proven.what, proven.whole = f"{spoken(proven.who)} {agreeing(proven.what, len(proven.who))}", True
    for one in unruled:
        told = agreeing("take[s|] no tag for the VIP and answer[s|]", len(one.who))
        proven.what += f"; {spoken(one.who)} {told} from the server's own address"
        proven.codes = tuple(dict.fromkeys((*proven.codes, *one.codes)))
        proven.who += one.who
        proven.servers += one.servers
        proven.answers += one.answers
        proven.refused += one.refused
        proven.ruled_out |= one.ruled_out
    return [one for one in found if one not in unruled]


def _proven(case: Case, wrong: list[WrongAnswer]) -> list[WrongAnswer]:
    """Without a load balancer in sight only the client's own refusal says that an answer was wrong."""
    return [w for w in wrong if (w.client, w.endpoint) in case.connections.resets]


def _in_own_name(case: Case, c: Connection) -> bool:
    """A refusal in the server's own name instead of the VIP's: it did not take the packet for the VIP's."""
    if case.mode != "l3dsr-dscp" or c.refusal is None:
        return False
    server = case.server_of(c)
    own = server is not None and c.refusal.source in server.ips
    return own and c.refusal.icmp not in (*EXPIRED, *PROHIBITED)


def _causes(case: Case, server: Party | None, answers: list[WrongAnswer], refused: list[Connection]) -> Iterator[Found]:
    """What one server's wrong answers come from. `server` is None where roles are not known."""
    who = [server.name] if server is not None else []
    other = [w for w in answers if case.mode is not None and _of_nobody(case, server, w.source)]
    own = [w for w in answers if w not in other]
    if other:
        yield _from_other_vip(case, who, server, other)
    if not own and not refused:
        return
    if case.mode == "l3dsr-dscp" and server is not None:
        one = _datagrams_only(case, server, own, refused) or by_marks(case, server, own)
    elif case.mode == "nat":
        one = _past_the_balancer(case, server, own)
    elif case.direct:
        one = _datagrams_only(case, server, own, refused) or _unspecific(case, who, own)
    else:
        one = _unspecific(case, who, own)
    one.servers = [server] if server is not None else []
    one.answers, one.refused = own, refused
    yield one


def _of_nobody(case: Case, server: Party | None, source: int) -> bool:
    """Whether an address that answered is a VIP, known or not, and no real server's own."""
    scene = case.scene
    if source in scene.vips:
        return True
    claimed = server is not None and any((source, mac) in scene.claims for mac in server.macs)
    return server is not None and source not in scene.ips("real-server") and not claimed


# --- what it comes from -----------------------------------------------------------------------------------------------


def _datagrams_only(
    case: Case, server: Party | None, answers: list[WrongAnswer], refused: list[Connection]
) -> Found | None:
    """UDP alone: TCP answers from the address that was asked, a wildcard UDP socket from the interface's."""
    if server is None or not answers or refused or any(w.proto != UDP for w in answers):
        return None
    tcp = any(n for (_, proto, _), n in case.connections.answered.items() if proto == TCP)
    if any(w.proto == TCP for w in case.wrong_answers()) or (case.mode == "l3dsr-dscp" and not tcp):
        return None  # then its TCP might do the same
    return Found(
        ("DSR321",),
        "answer[s|] UDP from [its|their] own address instead of the VIP's: the daemon's socket is bound to all"
        " addresses, and nothing tells the kernel which one was asked",
        [server.name],
        ruled_out={"DSC510": "TCP is answered in the VIP's name"} if tcp else {},
        settle="ss -lunp on the server" + ("" if tcp else "; a TCP connection to the same server"),
    )


def _past_the_balancer(case: Case, server: Party | None, answers: list[WrongAnswer]) -> Found:
    who = [server.name] if server is not None else []
    scene = case.scene
    direct = [
        w
        for w in answers
        if server is not None and w.sender in server.macs and (w.client >> 16, w.receiver) in scene.claims
    ]
    sent_by_server = [w for w in answers if server is not None and w.sender in server.macs]
    if direct and len(direct) == len(sent_by_server):
        return Found(
            ("NAT202",),
            "answer[s|] clients of [its|their] own subnet directly, from [its|their] own address: such replies never"
            " pass the load balancer, whatever the gateway is",
            who,
            ruled_out={"NAT201": "the replies go to the client's own MAC, not to a gateway"},
            settle="ip route get CLIENT on the server",
        )
    asked = server is not None and _asks_for_router(case, server)
    return Found(
        ("NAT201",),
        "answer[s|] clients past the load balancer, from [its|their] own address: [its|their] way back to them is not"
        " by the load balancer" + (", [it asks|they ask] for the router's MAC instead" if asked else ""),
        who,
        ruled_out={
            "DSC510": "the load balancer wrote no mark into the requests",
            **({"NAT202": "the replies go to a router, not to the client's own MAC"} if sent_by_server else {}),
        },
        settle="ip route get CLIENT on the server",
        cells=(".lb.reply.appears",),
    )


def _asks_for_router(case: Case, server: Party) -> bool:
    routers = case.scene.ips("router")
    return any(mac in server.macs and ip in routers for mac, ip in case.evidence.facts.arp_asked)


def _from_other_vip(case: Case, who: list[str], server: Party | None, answers: list[WrongAnswer]) -> Found:
    sources = spoken(sorted({case.scene.address(w.source) for w in answers}))
    asked = spoken(sorted({case.scene.address(r) for w in answers for r in w.right}))
    code = "DSC505" if case.mode == "l3dsr-dscp" else "TUN417"
    found = Found(
        (code,),
        f"answer[s|] connections to {asked} from {sources}: "
        + (
            "[its|their] map of tags to VIPs is not the load balancer's"
            if code == "DSC505"
            else "[it still knows|they still know] the client's port from a connection to that VIP"
        ),
        who,
        settle="the tags on the load balancer and the rules on the server" if code == "DSC505" else "",
    )
    found.servers = [server] if server is not None else []
    found.answers = answers
    return found


def _without_mark(case: Case, answers: list[WrongAnswer]) -> Found | None:
    """A load balancer seen to replace the destination and nothing else: DSCP mode without a mark, or NAT past which
    servers answer. Where it hands such requests to a router, servers could not have it as their gateway."""
    rips, asked = {w.source for w in answers}, {a for w in answers for a in w.right}
    places = case.evidence.facts.requests.asked
    in_front = [p for p in places if p.dst in asked]
    lbs = {p.eth_dst for p in in_front} & {p.eth_src for p in places if p.dst in rips}
    out = [p for p in places if p.dst in rips and p.eth_src in lbs]
    before, after = {p.tos >> 2 for p in in_front}, {p.tos >> 2 for p in out}
    if not out or after - before - {0}:
        return None
    kept, cleared = bool(after - {0}), bool(before - {0}) and after == {0}
    unmarked = ("DSC517",) if kept else ("DSC515",) if cleared else ("DSC517", "DSC515")
    routed = not any((p.dst, p.eth_dst) in case.scene.claims for p in out)
    balancers = [p.name if (p := case.scene.party_of_mac(mac)) is not None else mac_text(mac) for mac in sorted(lbs)]
    ruled = {"DSC510": "no tag arrives at the server", "DSC502": "the mark is missing already behind the load balancer"}
    servers = [case.scene.address(a) for a in sorted(rips)]
    mark = "keeps the DSCP that clients gave them" if kept else "clears their DSCP" if cleared else "writes no mark"
    if not routed:
        return Found(
            ("NAT201", *unmarked),
            "answer[s|] clients past the load balancer, which replaces the destination of requests and writes no mark",
            servers,
            ruled_out=ruled,
            settle="is the service meant to be NAT (then: ip route get CLIENT on the server) or DSCP mode?",
        )
    return Found(
        (*unmarked, "NAT201"),
        f"{spoken(balancers)} replaces the destination of requests and {mark}, and servers answer from their own"
        " addresses: as DSCP mode, it lacks the tag",
        balancers,
        ruled_out=ruled,
        settle="is the service meant to be DSCP mode, or NAT? with NAT, servers need the load balancer as their"
        " gateway",
        whole=True,
    )


def _unspecific(case: Case, who: list[str], answers: list[WrongAnswer]) -> Found:
    """No tap shows more than that the answer has another address."""
    found = _without_mark(case, answers) if case.mode is None else None
    if found is not None:
        return found
    rips = {w.source for w in answers}
    sources = [case.scene.address(a) for a in sorted(rips)]
    came = {p.tos >> 2 for p in case.evidence.facts.requests.asked if p.dst in rips}
    codes: tuple[str, ...] = FROM_REAL_ADDRESS
    ruled: dict[str, str] = {}
    if all(
        (w.client >> 16, w.receiver) in case.scene.claims and (w.source, w.sender) in case.scene.claims for w in answers
    ):
        codes = ("NAT202",)
        ruled["NAT201"] = "the replies go from the server's MAC to the client's own, not to a gateway"
    elif _all_served(case, answers):
        codes = ("TUN417", "DSC505")
        asked = {a for w in answers for a in w.right if a != w.source}
        if all(p.tos >> 2 for p in case.evidence.facts.requests.asked if p.dst in asked):
            codes = ("DSC505", "DSC507", "DSC506", "TUN417")  # the client's own mark may be the answering VIP's tag
        ruled["NAT201"] = "the address that answers is not the one that the load balancer sends to"
    elif came - {0}:
        codes = ("DSC510", "DSC501", "DSC505", "DSC503", "NAT201", "DSC517")
        ruled["DSC502"] = f"requests come to the server with DSCP {spoken_marks(came)}"
    elif came:
        codes = ("NAT201", "DSC502", "DSC517", "DSC515")
        ruled["DSC510"] = "requests come to the server without a mark"
    if answers and all(w.proto == UDP for w in answers):
        codes = ("DSR321", *codes)
    return Found(
        codes,
        f"answer[s|] clients that asked {spoken(sorted({case.scene.address(r) for w in answers for r in w.right}))}",
        who or sources,
        ruled_out=ruled,
        settle="a tap at the real server shows what the requests carry: a mark (then its rule), or none (then its"
        " gateway, or the way of the mark)",
    )


def _all_served(case: Case, answers: list[WrongAnswer]) -> bool:
    """Whether every address that answered is one that other clients ask at the same tap, or another one than both the
    VIP and the server's that a tap behind the load balancer shows."""
    asked = {(p.tap, p.dst) for p in case.evidence.facts.requests.asked}
    neither = any(len(w.right) > 1 for w in answers)
    return neither or all((w.asked[0], w.source) in asked for w in answers)


# --- the finding ------------------------------------------------------------------------------------------------------


def _diagnosis(case: Case, one: Found, symptoms: list[Verdict]) -> Diagnosis:
    count, part = _share(case, one)
    subject = "" if one.whole else f"{spoken(in_order(case, one.who)) or 'servers'} "
    frames: list[Frame] = [f for w in one.answers for f in (w.asked, w.answer)]
    frames += [c.refusal.frame for c in one.refused if c.refusal is not None]
    related = [v for v in case.failed(*one.cells) if v.failed] if one.cells else []
    lost = [v for v in case.failed(".reply.appears") if v.connections]
    text = case.scene.address
    first = one.answers[0] if one.answers else None
    return Diagnosis(
        codes=one.codes,
        message=f"{subject}{agreeing(one.what, len(set(one.who)))} ({part})",
        nodes=in_order(case, one.who),
        symptoms=[*symptoms, *related, *lost],
        frames=list(dict.fromkeys(frames)),
        failed=count,
        among=sum(case.connections.answered.values()),
        ruled_out=one.ruled_out,
        settle=one.settle,
        severity="error",
        field="ip.src",
        expected=spoken(sorted(map(text, first.right)), "or") if first is not None else "an answer from the VIP",
        actual=text(first.source)
        if first is not None
        else spoken({c.refusal.text for c in one.refused if c.refusal is not None}),
        vips=tuple(sorted({text(a) for w in one.answers for a in w.right})),
    )


def _share(case: Case, one: Found) -> tuple[int, str]:
    """Connections with the servers at fault, and how many others there are."""
    clients = {(w.client, w.proto) for w in one.answers} | {(c.client, c.proto) for c in one.refused}
    failed = len(clients)
    others = sum(case.served_by(p) for p in case.servers() if p not in one.servers) if one.servers else 0
    text = "one connection" if failed == 1 else f"{failed} connections" if others else f"all {failed} connections"
    return failed, text + (f", while {others} to others {'are' if others > 1 else 'is'} served" if others else "")
