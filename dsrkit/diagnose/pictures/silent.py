"""Nothing comes back: where requests were last seen, and what is silent from there on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import (
    Told,
    balancer,
    diagnoses,
    forwarded,
    grouped,
    in_order,
    names,
    spoken,
    unanswered,
)
from dsrkit.diagnose.pictures.expired import ends_at_balancer, hands_to_router, last_hop, loop, no_neighbour
from dsrkit.diagnose.pictures.lost_mark import MARK_CELLS, NOT_MARKED, left_by_clients, not_marked
from dsrkit.diagnose.pictures.mute import MADE_IN, at_server, silences, spoken_against, stale_sum, unwrapped
from dsrkit.verify.connections import Connection
from dsrkit.verify.scene import Party
from dsrkit.verify.verdicts import Verdict

Stage = Literal["server", "way", "behind", "balancer", "unknown"]
"""Where a request was last seen: at its server; on a link behind which another tap would have shown it; behind the load
balancer; in front of it, where its other side is tapped; or in front of it, where that is not."""

_ON_THE_WAY: Final[dict[str | None, tuple[str, ...]]] = {
    "l3dsr-tunnel": ("TUN409", "DSR322"),
    "l2dsr": ("DSR322", "DSR305"),
}
_UNSEEN: Final[dict[str | None, tuple[str, ...]]] = {
    "l3dsr-dscp": ("DSC510", "DSC501", "DSC502", "DSC503"),
    "nat": ("NAT201",),
}
"""Answers in the server's own name, which no tap shows that only sees what passes the load balancer."""
_OWNERS: Final = tuple(f"ARP{n}" for n in (*range(104, 113), *range(115, 119)))
"""Neighbours that send to a machine without the VIP, for whatever reason: what ARP104 stands for in a list."""
_NO_VIP: Final = {"l2dsr": "DSR301", "l3dsr-tunnel": "TUN403", "l3dsr-dscp": "DSC511"}


def bounced(case: Case) -> Iterator[Diagnosis]:
    """Real servers that send requests for the VIP on: they forward, and do not own it."""
    seen = case.evidence.facts.re_emitted
    bouncing = [p for p in case.servers() if any(mac in seen for mac in p.macs)]
    found = unanswered(case.failed(".answered", ".appears"))
    cells = {id(c): v for c, v in found}
    told = []
    for server in bouncing:
        members = [c for c, _ in found if case.server_of(c) in (server, None) and not _reset(c)]
        if not any(case.server_of(c) is server for c in members):
            continue
        codes = ("DSR302", _NO_VIP[case.mode]) if case.mode in _NO_VIP and case.mode != "l2dsr" else ("DSR302",)
        told.append(
            Told(
                codes,
                "do[es|] not own the VIP and forward[s|]: the same packets go out again with a lower TTL, and come"
                " back until the TTL is used up",
                (server.name,),
                members,
                {
                    "DSR301": "a server that neither owns the VIP nor forwards stays silent",
                    "DSR320": "the TTL falls in a loop",
                },
                "ip addr show dev lo and sysctl net.ipv4.ip_forward on the server",
                frames=[x for mac in server.macs if mac in seen for x in seen[mac].frames],
            )
        )
    yield from diagnoses(case, told, cells)


def _reset(c: Connection) -> bool:
    return c.refusal is not None and c.refusal.kind == "rst"


def silent(case: Case) -> Iterator[Diagnosis]:
    """Requests without any answer, by the place where they were last seen and by server."""
    found = [(c, v) for c, v in unanswered(case.failed(".answered", ".appears"))]
    found = [(c, v) for c, v in found if c.refusal is None and ".reply." not in v.cell]
    cells = {id(c): v for c, v in found}
    stages = grouped((c for c, _ in found), lambda c: (_stage(case, c, cells[id(c)]), c.server))
    all_fail = not sum(case.connections.answered.values())
    told: list[Told] = []
    for (stage, _), members in stages.items():
        server = case.server_of(members[0])
        circle = loop(case, members) if case.direct and all(c.goes_round for c in members) else None
        if circle is not None:
            told.append(circle)
        elif stage == "server" and server is not None:
            told.append(at_server(case, server, members))
        elif stage == "balancer":
            dead = ends_at_balancer(case, members) if last_hop(members) else None
            told.append(dead or _given_to_router(case, members) or _swallowed(case, members))
        elif stage == "way":
            told.append(_on_the_way(case, server, members))
        else:
            told.append(_somewhere(case, stage, server, members, all_fail))
    for diagnosis in diagnoses(case, _known(case, told, cells), cells):
        if diagnosis.codes[0] in MADE_IN.values():
            diagnosis.symptoms += [v for v in case.failed(".l4.checksum", node="lb") if v not in diagnosis.symptoms]
        if diagnosis.codes[0] in NOT_MARKED:
            diagnosis.symptoms += case.failed(*MARK_CELLS)
        if diagnosis.codes[0] == "DSR306":
            diagnosis.symptoms += case.take(case.failed(".lb.eth.dst"))
        yield diagnosis
    yield from _not_handed_over(case)


def _not_handed_over(case: Case) -> Iterator[Diagnosis]:
    """Frames given to a router, of connections whose end no tap shows."""
    cells = case.failed(".lb.eth.dst")
    told = _given_to_router(case, []) if cells else None
    if told is None:
        return
    failed, checked = sum(v.failed for v in cells), sum(v.checked for v in cells)
    yield Diagnosis(
        told.codes,
        f"{told.what} ({failed} of {checked} packets)",
        told.who,
        cells,
        told.frames,
        failed=failed,
        among=checked,
        ruled_out=told.ruled_out,
        settle=told.settle,
        field="eth.dst",
        expected="a real server's MAC",
        actual="a router's MAC",
    )


def _known(case: Case, told: list[Told], cells: dict[int, Verdict]) -> list[Told]:
    """What is left when those that an established cause would explain as well have gone to it."""
    left = []
    for one in told:
        codes = {*one.codes, *(_OWNERS if "ARP104" in one.codes else ())}
        same = next((d for d in case.found if d.codes == one.codes), None)
        cause = same or next((d for d in case.found if d.codes[0] in codes and len(codes) > len(d.codes)), None)
        if cause is None:
            left.append(one)
            continue
        cause.symptoms += case.take([cells[id(c)] for c in one.members])
        cause.failed += len(one.members)
        which = f"requests to {spoken(one.who)}" if one.who and same is None else "other requests"
        cause.nodes = cause.nodes if same is None else in_order(case, (*same.nodes, *one.who))
        cause.message += f"; it would also explain why {which} get no answer"
    return left


# --- where ------------------------------------------------------------------------------------------------------------


def _stage(case: Case, c: Connection, cell: Verdict) -> Stage:
    server = case.server_of(c)
    if server is not None and case.arrived(c, server):
        return "server"
    if not forwarded(c):
        return "balancer" if cell.cell.endswith(".lb.appears") and case.shows_output(cell) else "unknown"
    if cell.cell.endswith(".router.appears") or (server is not None and case.missed(c, server)):
        return "way"
    return "behind"


# --- before the server ------------------------------------------------------------------------------------------------


def _given_to_router(case: Case, members: list[Connection]) -> Told | None:
    """Frames that should go to a server and go back to a router instead, an error about which no tap shows whole."""
    frames = hands_to_router(case) if case.mode == "l2dsr" else None
    return no_neighbour(case, members, frames) if frames is not None else None


def _swallowed(case: Case, members: list[Connection]) -> Told:
    lbs = names(case.scene.role("lb"))
    who = balancer(case)
    served = sum(case.connections.answered.values())
    if case.mode == "fullnat" and served:
        return Told(
            ("NAT205", "HCK706"),
            f"{who} gets new connections and does not send them on, while others work: its own addresses have no"
            " source port left for them",
            lbs,
            members,
            {"NAT208": "these are new connections, not open ones"},
            "ports in use per local address on the load balancer; ipvsadm -Ln --stats",
            whole=True,
        )
    before = ", though it did before" if served else ""
    return Told(
        ("ARP104", "HCK706") if served else ("HCK706", "ARP104"),
        f"{who} gets requests and sends nothing on{before}, and does not say why: the VIP is not its own any more,"
        " and its new owner has not told the neighbours, or no real server stands behind it, or its firewall drops"
        " them",
        lbs,
        members,
        settle="ip addr show, ipvsadm -Ln and nft list ruleset on the load balancer; a tap at the other load balancer,"
        " if there is one",
        whole=True,
    )


def _on_the_way(case: Case, server: Party | None, members: list[Connection]) -> Told:
    """Sent by the load balancer, and not there where it must pass."""
    wrong = _misdirected(case, members)
    if wrong is not None:
        return wrong
    routers = names(case.scene.role("router"))
    codes = _ON_THE_WAY.get(case.mode, ("DSR322",))
    aim = f" {server.name}" if server is not None else " the servers"
    what = "outer packets" if case.mode == "l3dsr-tunnel" else "requests"
    told = Told(
        codes,
        f"{what} leave the load balancer for{aim} and never come out of the next hop; nobody says why",
        routers,
        members,
        settle="filters and rp_filter (uRPF) of the router behind the load balancer",
        whole=True,
    )
    if server is not None and not _asked_for(case, server):
        told.what += "; the router was not seen to ask for the server's MAC, so it dropped them before that"
    return told


def _asked_for(case: Case, server: Party) -> bool:
    facts = case.evidence.facts
    return any(address in server.ips for _, address in facts.arp_asked)


def _misdirected(case: Case, members: list[Connection]) -> Told | None:
    """Outer packets to a MAC that nobody has."""
    scene, facts = case.scene, case.evidence.facts
    lbs = scene.macs("lb")
    sent = {o.eth_dst: seen for o, seen in facts.requests.outer.items() if o.eth_src in lbs}
    known = {mac for _, mac in facts.requests.heard} | {mac for _, mac in scene.claims}
    if case.mode != "l3dsr-tunnel" or not sent or set(sent) & known or not known - lbs:
        return None
    return Told(
        ("TUN418",),
        f"{balancer(case)} sends its outer packets to a MAC that nobody was heard to have: a wrong next hop",
        names(scene.role("lb")),
        members,
        settle="ip neigh on the load balancer, or the gateway's MAC that it was configured with",
        whole=True,
        frames=[f for seen in sent.values() for f in seen.frames][:4],
    )


def _somewhere(case: Case, stage: Stage, server: Party | None, members: list[Connection], all_fail: bool) -> Told:
    """No tap shows how far the requests came: everything from there on is possible."""
    wrong = _misdirected(case, members) if stage == "behind" else None
    if wrong is not None:
        return wrong
    if server is not None and stage == "behind":
        own = stale_sum(case, server, members) or unwrapped(case, server, members)
        if own is not None:
            return own
    unmarked = None
    if case.mode == "l3dsr-dscp" and server is not None:
        unmarked = not_marked(case, server) or left_by_clients(case, members)
    if unmarked is not None:
        return Told(unmarked.codes, unmarked.what, tuple(unmarked.who), members, unmarked.ruled_out, whole=True)
    excluded = spoken_against(case, server, members) if server is not None else {}
    codes = [*silences(case, server, members)]
    way = list(_ON_THE_WAY.get(case.mode, ("DSR322",)))
    codes = [*way, *codes] if all_fail and case.mode != "l2dsr" else [*codes, *way]
    if not case.sees_replies(members):
        codes = [*_UNSEEN.get(case.mode, ()), *codes]
    if case.direct:
        codes += ["DSR309", "DSR310"]
    elif not case.sees_replies(members) or stage == "unknown":
        codes += ["NAT214"]
    if case.mode == "l3dsr-tunnel":
        codes += ["TUN401", "TUN413", "TUN422"]
    lbs = balancer(case)
    if stage == "behind":
        what = "give[s|] no answer that clients get: " if server is not None else "clients get no answer: "
        what += f"requests leave {lbs} and are lost behind it, or are not answered, or the answers are lost"
    else:
        codes += ["DSR308"] if case.direct else ["NAT205"] if case.mode == "fullnat" else []
        codes += ["HCK706", "ARP104"]
        what = f"requests on their way to {lbs} get no answer; no tap shows whether it sends them on"
    who: tuple[str, ...] = (server.name,) if server is not None else ()
    whole = server is None or stage != "behind"
    hops = names(case.scene.party_of_mac(c.last_hop) for c in members)
    routers = [name for name in names(case.scene.role("router")) if name in hops]
    if stage == "behind" and codes[0] in way and routers:
        who, whole = (*routers, *who), True
        what = f"{lbs} sends requests on to {spoken(routers)}, and clients get no answer: they are lost there or behind"
        what += " it, or servers do not answer, or the answers are lost"
    if last_hop(members) and stage == "unknown":
        codes.insert(0, "DSR320")
        what = f"requests are about to reach {lbs} with their last TTL, and get no answer"
    elif last_hop(members) and case.mode == "l3dsr-tunnel":
        codes.insert(0, "TUN412")
        who, whole = names(case.scene.role("lb")), True
        what = f"{lbs} sends outer packets with a TTL of 1, which end at the next router, and clients get no answer"
    return Told(
        tuple(dict.fromkeys(codes)),
        what,
        who,
        members,
        excluded,
        "a tap at the real server shows whether requests arrive and what it sends back",
        whole=whole,
    )


def stalled(case: Case) -> Iterator[Diagnosis]:
    """Open connections whose packets a translating load balancer keeps, every copy of them."""
    kept = [v for v in case.failed(".lb.appears") if not v.connections and ".reply." not in v.cell]
    kept = [v for v in kept if v.actual == "every copy is lost"]
    if case.mode not in ("nat", "fullnat") or not kept:
        return
    lbs = names(case.scene.role("lb"))
    failed, checked = sum(v.failed for v in kept), sum(v.checked for v in kept)
    yield Diagnosis(
        ("NAT208", "NAT207"),
        f"{balancer(case)} gets packets of open connections and sends no copy of them on ({failed} of {checked}"
        " packets), while new connections work: the server they belong to was removed, or their entries have timed"
        " out",
        lbs,
        kept,
        failed=failed,
        among=checked,
        ruled_out={"NAT205": "new connections get through"} if case.connections.answered else {},
        settle="ipvsadm -Lnc and sysctl net.ipv4.vs.expire_nodest_conn on the load balancer",
        expected="the same packet behind it",
        actual="every copy is lost",
    )
