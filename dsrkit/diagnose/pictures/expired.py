"""TTLs that are used up: at the load balancer, or in a loop behind it."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.pictures.common import Told, balancer, forwarded, names, spoken
from dsrkit.diagnose.pictures.refusals import Who
from dsrkit.verify.connections import Connection
from dsrkit.verify.verdicts import Frame

_NEAR_DEATH: Final = 2
"""A request that reaches the load balancer with so little TTL ends there or at the next router."""


def expired(case: Case, who: Who, members: list[Connection]) -> Told | None:
    loops = [c for c in members if _sent_ttl(c) > _NEAR_DEATH + 8]
    if loops and (any(map(forwarded, members)) or any(c.goes_round for c in members) or who not in ("router", "other")):
        return loop(case, members)
    if who in ("balancer", "balancer or server") and not any(map(forwarded, members)):
        return ends_at_balancer(case, members)
    return None


def ends_at_balancer(case: Case, members: list[Connection]) -> Told:
    return Told(
        ("DSR320",),
        f"requests reach {balancer(case)} with their last TTL and end there: their client, or the way from it,"
        " leaves too little",
        names(case.scene.role("lb")),
        members,
        {"DSR302": "no request was seen twice with a lower TTL"},
        whole=True,
    )


def last_hop(members: list[Connection]) -> bool:
    """Whether every request was last seen with a TTL that ends at the next machine."""
    return all(c.last is not None and c.last[0] <= 1 for c in members)


def _sent_ttl(c: Connection) -> int:
    return max((ttl for _, ttl, *_ in c.sent), default=0)


def loop(case: Case, members: list[Connection]) -> Told | None:
    """The TTL of requests is used up behind the load balancer: somebody sends them round."""
    routed = hands_to_router(case) if case.mode == "l2dsr" else None
    if routed is not None:
        return no_neighbour(case, members, routed)
    servers = names(case.server_of(c) for c in members)
    codes = ("DSR302", "DSR306", "DSR315") if case.mode == "l2dsr" else ("DSR302", "DSR315")
    ruled = {"DSR320": "these requests had enough TTL left; it falls in a loop"}
    if servers and case.mode == "l2dsr":
        codes = ("DSR302", "DSR315")
        ruled["DSR306"] = "the load balancer sends to a server's MAC, not to a router's"
    return Told(
        codes,
        "requests go round behind the load balancer until their TTL is used up: a server that does not own the VIP"
        f" and forwards, {spoken(servers) + ' it seems' if servers else 'no tap shows which'}",
        servers,
        members,
        ruled,
        "ip addr show dev lo and sysctl net.ipv4.ip_forward on the server; a tap there shows the same packet leave"
        " again",
        whole=True,
    )


def hands_to_router(case: Case) -> list[Frame] | None:
    """Frames for the VIP that the load balancer gives to a router."""
    lbs, routers = case.scene.macs("lb"), case.scene.macs("router")
    places = case.evidence.facts.requests.asked
    found = [p for p in places if p.eth_src in lbs and p.dst in case.scene.vips and p.eth_dst in routers]
    return [f for p in found for f in places[p].frames] or None


def no_neighbour(case: Case, members: list[Connection], frames: list[Frame] | None = None) -> Told | None:
    if case.mode != "l2dsr":
        return None
    lbs = names(case.scene.role("lb"))
    return Told(
        ("DSR306",),
        f"{balancer(case)} cannot hand frames to a server: it gets no answer to its ARP or neighbour requests, or"
        " gives them to a router, which sends them back; with L2DSR both must be in one broadcast domain",
        lbs,
        members,
        {"DSR302": "no server sends the frames back"},
        "ip route get SERVER and ip neigh on the load balancer; a server that is switched off looks like the first"
        " case",
        whole=True,
        frames=frames or [],
    )
