"""Packets that take another way than the one that their mode gives them."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import agreeing, balancer, in_order, names, share, sightings, spoken, unanswered
from dsrkit.tables.checks.spread import AT_ONCE, ELSEWHERE, RESTED, STRAYED
from dsrkit.verify.connections import Connection
from dsrkit.verify.verdicts import Verdict
from dsrkit.wire.address import mac_text


def way(case: Case) -> Iterator[Diagnosis]:
    """Ways that packets show by themselves, whether connections fail or not."""
    yield from _by_the_balancer(case)
    if case.mode == "l2dsr":
        yield from _to_itself(case)
        yield from _ping_pong(case)
    yield from _redirected(case)
    yield from _swapped(case)
    yield from _moved(case)


def _by_the_balancer(case: Case) -> Iterator[Diagnosis]:
    """Replies of direct server return that go to the load balancer."""
    cells = case.failed(".lb.reply.absent")
    if not cells:
        return
    failed, checked = sum(v.failed for v in cells), sum(v.checked for v in cells)
    who = in_order(case, (n for v in cells for n in v.nodes))
    lbs = balancer(case)
    lost = [v for v in case.failed(".reply.appears") if v.connections]
    members = [c for c, _ in unanswered(lost)]
    dead = f", and {len(members)} connections never get their answer" if members else ""
    part = f"{failed} of {checked} replies" if failed < checked else f"all {failed} replies"
    yield Diagnosis(
        ("DSR308",),
        f"{spoken(who)} {agreeing('send[s|] [its|their] replies', len(who))} to {lbs} instead of the clients' router:"
        f" {part}{dead}",
        who,
        [*cells, *lost],
        failed=failed,
        among=checked,
        ruled_out={
            "DSR309": "the answers never reach a router: they are addressed to the load balancer",
            "NAT201": "replies carry the VIP, and the mode is one of direct return",
        },
        settle="ip route get CLIENT on the server: its gateway must be the router",
        field="eth.dst",
        expected="a router's MAC",
        actual="the load balancer's MAC",
    )


def _to_itself(case: Case) -> Iterator[Diagnosis]:
    """Frames with the load balancer's MAC at both ends."""
    lbs = case.scene.macs("lb")
    own = {p: s for p, s in case.evidence.facts.requests.asked.items() if p.eth_src in lbs and p.eth_src == p.eth_dst}
    if not own:
        return
    macs = {p.eth_src for p in own}
    stuck, cells = _stuck(case, macs)
    cells += [v for v in case.failed(".lb.eth.dst") if v not in cells]
    who = names(case.scene.party_of_mac(m) for m in sorted(macs))
    yield Diagnosis(
        ("DSR304",),
        f"{spoken(who)} {agreeing('send[s|] requests to [its|their] own MAC', len(who))}: such frames arrive nowhere"
        f" ({share(case, len(stuck), [])[1]})",
        who,
        cells,
        sightings(own.values()),
        failed=len(stuck),
        ruled_out={"DSR305": "the MAC is the load balancer's own, not one that nobody has"},
        settle="ip neigh on the load balancer: what it holds for the real servers' addresses",
        field="eth.dst",
        expected="a real server's MAC",
        actual=spoken(mac_text(m) for m in sorted(macs)),
    )


def _stuck(case: Case, macs: set[int]) -> tuple[list[Connection], list[Verdict]]:
    """Connections whose requests were last seen on their way to one of these MACs, and the cells that are about them
    alone."""
    found = unanswered(case.failed(".answered", ".appears"))
    stuck = [c for c, _ in found if c.last_hop in macs]
    ours = {id(c) for c in stuck}
    cells = {id(v): v for _, v in found if all(id(c) in ours for c in v.connections)}
    return stuck, list(cells.values())


def _ping_pong(case: Case) -> Iterator[Diagnosis]:
    """A load balancer balances what another one has balanced."""
    handed = case.evidence.facts.ways.handed_on
    if not handed or any("ARP118" in d.codes for d in case.found):
        return  # an owner that has lost the VIP routes what still comes to it: it does not balance
    moved = any(takeover.moves for takeover in case.sections.get("takeovers", ()))
    if moved and not any((second, first) in handed for first, second in handed):
        return  # the same, for the moment until everybody has heard of the new owner
    again = {second for _, second in handed}
    stuck, cells = _stuck(case, case.scene.macs("lb"))
    cells += [v for v in case.failed(".lb.eth.dst") if v not in cells]
    who = names(case.scene.party_of_mac(m) for m in sorted(again))
    first = names(case.scene.party_of_mac(m) for m in sorted({a for a, _ in handed}))
    ends = f" until their TTL is used up ({share(case, len(stuck), [])[1]})" if stuck else ""
    yield Diagnosis(
        ("DSR315",),
        f"{spoken(who)} {agreeing('balance[s|]', len(who))} requests again that {spoken(first)} had already"
        f" forwarded, so that they go to and fro between load balancers{ends}",
        who,
        cells,
        sightings(handed.values()),
        failed=len(stuck),
        ruled_out={"DSR302": "those who send them on are load balancers, not real servers"},
        settle="sysctl net.ipv4.vs.backup_only on both load balancers: it must be 1",
        field="eth.dst",
        expected="a real server's MAC",
        actual="another load balancer's MAC",
    )


def _redirected(case: Case) -> Iterator[Diagnosis]:
    """ICMP redirects about the VIP or a server: who heeds them goes past a part of the set-up."""
    scene = case.scene
    rips, lbs = scene.ips("real-server"), scene.macs("lb")
    told = [
        r
        for r in case.evidence.facts.ways.redirects
        if r.target in scene.vips | rips or (r.sender in lbs and r.receiver in rips)
    ]
    if not told:
        return
    parties = {r.sender: scene.party_of_mac(r.sender) for r in told}
    who = tuple(dict.fromkeys(p.name if p is not None else mac_text(m) for m, p in parties.items()))
    receivers = spoken(sorted({scene.address(r.receiver) for r in told}))
    targets = spoken(sorted({scene.address(r.target) for r in told}))
    yield Diagnosis(
        ("DSR317",),
        f"{spoken(who)} {agreeing('tell[s|]', len(who))} {receivers} by ICMP redirects to take another way to"
        f" {targets}: who heeds them goes past a part of the set-up, and keeps doing so when the owner changes",
        who,
        [],
        [r.frame for r in told],
        failed=len(told),
        settle="sysctl net.ipv4.conf.all.send_redirects there; ip route get VIP on the machine that was told",
        field="icmp.type",
        expected="no redirect",
        actual=f"a redirect about {targets}",
    )


def _swapped(case: Case) -> Iterator[Diagnosis]:
    """Requests to a server whose source is that server: the load balancer replaced the wrong address."""
    swapped = case.evidence.facts.ways.swapped
    if not swapped:
        return
    senders = {mac for mac, _ in swapped}
    who = in_order(
        case, (p.name if (p := case.scene.party_of_mac(m)) is not None else mac_text(m) for m in sorted(senders))
    )
    sources = spoken(sorted({case.scene.address(ip) for _, ip in swapped}))
    yield Diagnosis(
        ("NAT203",),
        f"{spoken(who)} {agreeing('replace[s|]', len(who))} the source of requests instead of their destination: they"
        f" go to the servers in the servers' own names ({sources}), still for the VIP",
        who,
        case.failed(".answered", ".appears", ".lb.ip.src", ".lb.ip.dst"),
        sightings(swapped.values()),
        failed=sum(seen.count for seen in swapped.values()),
        ruled_out={"NAT201": "requests do not even reach the servers in their clients' names"},
        field="ip.src",
        expected="the client's address, or the load balancer's",
        actual=sources,
    )


def _moved(case: Case) -> Iterator[Diagnosis]:
    """Connections that continue at another server than they began at, as the load spread found them."""
    for verdict in case.failed(".flow-kept"):
        elsewhere = ELSEWHERE in verdict.signs
        option = case.mode == "l3dsr-tunnel" and AT_ONCE in verdict.signs
        forgot = "DSR314" if case.direct else "NAT207"
        codes = ("TUN414", "DSR314") if option else ("DSR318",) if elsewhere else (forgot,)
        if codes == (forgot,) and (STRAYED in verdict.signs or not (case.direct or RESTED in verdict.signs)):
            continue  # nothing was forgotten, or nothing tells why: the check itself says what is seen
        yield Diagnosis(
            codes,
            verdict.message,
            verdict.nodes,
            [verdict],
            failed=verdict.failed,
            among=verdict.checked,
            ruled_out={"DSR318": "the load balancer stayed the same"} if codes == (forgot,) else {},
            severity="error",
            settle="ipvsadm -Ln --timeout and sysctl net.ipv4.vs.sloppy_tcp on the load balancer"
            if not elsewhere
            else "what changed the route at that time; connection synchronisation between the load balancers",
            expected=verdict.expected,
            actual=verdict.actual,
        )
