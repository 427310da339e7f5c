"""Names for the machines of a proxy's two sessions, where no spec names them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from dsrkit.mechanisms.sessions.collect import Mark
from dsrkit.mechanisms.sessions.connections import Connection
from dsrkit.mechanisms.sessions.pair import Pair
from dsrkit.mechanisms.sessions.proof import Proxies
from dsrkit.verify.frames import INITIAL_TTLS
from dsrkit.verify.scene import Party, Scene, TapInfo


def cast_parties(scene: Scene, taps: list[TapInfo], found: Proxies, pairs: list[Pair]) -> None:
    """Clients, the proxy and servers by what they did; machines that a spec states stay what they are."""
    vips = {end >> 16 for end in found.vips}
    servers = {end >> 16 for end in found.servers} - found.proxies - vips
    backs = [pair.back for pair in pairs]
    inside = _macs(s.syn for c in backs for s in c.sights)
    outside = _macs(s.synack for pair in pairs for s in pair.front.sights)
    _cast(scene, taps, "lb", found.proxies | vips, inside | outside)
    for server in scene.book.sort_key(servers):
        number = next(s for s in servers if scene.book.sort_key([s])[0] == server)
        sights = [s for c in backs if c.server >> 16 == number for s in c.sights]
        replies = _macs(mark for s in sights for mark in (s.synack, s.reply.reset))
        _cast(scene, taps, "real-server", {number}, replies - inside - outside)
    clients = {pair.front.client >> 16 for pair in pairs} - found.proxies - vips - servers
    unknown = {c for c in clients if scene.party_of_ip(c) is None}
    for client in sorted(unknown):
        asked = _macs(s.syn for p in pairs if p.front.client >> 16 == client for s in p.front.sights)
        _cast(scene, taps, "client", {client}, asked - inside - outside)
    _count_again(scene, taps)


def place_taps(scene: Scene, taps: list[TapInfo], pairs: list[Pair]) -> None:
    """Links and machines of taps, as far as nothing else tells: C is where only sessions with servers pass."""
    outside = {s.tap for pair in pairs for s in pair.front.sights}
    inside: dict[int, set[int]] = defaultdict(set)
    for pair in pairs:
        for sight in pair.back.sights:
            inside[sight.tap].add(pair.back.server >> 16)
    for i, tap in enumerate(taps):
        if i in inside and i not in outside:
            tap.link = tap.link or "C"
            if tap.node is None and len(inside[i]) == 1:
                tap.node = name_of(scene, next(iter(inside[i])))
    routers = {party.name for party in scene.role("router")}
    lb = next((party.name for party in scene.role("lb") if not party.stated), None)
    for sight in (s for pair in pairs for s in pair.front.sights if s.synack is not None):
        # Next to the proxy, and so far the router's for want of anything else on this link.
        if lb is not None and sight.synack is not None and sight.synack.ttl in INITIAL_TTLS:
            tap = taps[sight.tap]
            tap.node = lb if tap.node is None or tap.node in routers else tap.node


def _macs(marks: Iterable[Mark | None]) -> set[int]:
    return {m.src for m in marks if m is not None and m.ttl in INITIAL_TTLS and m.src}


def _cast(scene: Scene, taps: list[TapInfo], role: str, ips: set[int], macs: set[int]) -> None:
    """Give addresses to one machine of a role: one that has them already, or a new one."""
    if any(p.stated and (p.ips & ips or p.macs & macs) for p in scene.parties):
        return
    known = [p for p in scene.parties if p.role == role and (p.ips & ips or p.macs & macs)]
    known = known or [p for p in scene.parties if p.role == role and not p.stated and not p.ips and not p.macs]
    name = scene.free_name("rs", numbered=True) if role == "real-server" else scene.free_name(role)
    party = known[0] if known else Party(name, role)
    owned = {m for p in scene.parties if p.role == "router" for m in p.macs}
    for other in [p for p in scene.parties if p is not party and not p.stated and p.role != "router"]:
        if other.ips & ips and not other.ips - ips:
            macs |= other.macs
            scene.parties.remove(other)
            for tap in taps:
                tap.node = party.name if tap.node == other.name else tap.node
        other.ips -= ips
        other.macs -= macs
    if not known:
        scene.parties.append(party)
    party.ips |= ips - scene.vips
    party.macs |= macs - owned


def _count_again(scene: Scene, taps: list[TapInfo]) -> None:
    """Names of clients without the number that told them from what was no client."""
    inferred = [p for p in scene.parties if p.role == "client" and not p.stated]
    for party in inferred:
        party.name, old = "", party.name
        party.name = scene.free_name("client")
        for tap in taps:
            tap.node = party.name if tap.node == old else tap.node


def name_of(scene: Scene, address: int) -> str | None:
    """The machine that has an address; VIPs are the load balancer's."""
    party = scene.party_of_ip(address)
    if party is None and address in scene.vips:
        party = next(iter(scene.role("lb")), None)
    return party.name if party is not None else None


def names_of(scene: Scene, connections: Iterable[Connection]) -> list[str]:
    """The servers of some sessions by name, by address where they have none."""
    ends = dict.fromkeys(c.server >> 16 for c in connections)
    return [name_of(scene, end) or scene.address(end) for end in ends]
