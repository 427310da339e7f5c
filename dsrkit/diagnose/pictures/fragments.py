"""Datagrams in fragments that a load balancer or a server does not cope with, while whole ones are served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.facts.fragments import Datagram, Spot
from dsrkit.diagnose.pictures.common import agreeing, in_order, names, sightings, spoken, unanswered
from dsrkit.verify.frames import UDP
from dsrkit.wire.address import mac_text

_ENOUGH: Final = 2
"""A datagram may be lost like any packet; so many without exception are none that chance took."""
_REASSEMBLY: Final = ((4, 11, 1), (6, 3, 1))


def fragments(case: Case) -> Iterator[Diagnosis]:
    """What becomes of datagrams in fragments."""
    if case.mode in ("nat", "fullnat", None):
        yield from _first_only(case)
    if case.mode == "l3dsr-dscp":
        yield from _spoiled(case)


def _first_only(case: Case) -> Iterator[Diagnosis]:
    """The load balancer finds a server for the first fragment, which has ports, and for no other."""
    lbs = case.scene.macs("lb")
    copies: dict[tuple[int, int], list[tuple[Spot, Datagram]]] = defaultdict(list)
    for spot, one in case.evidence.facts.fragments.datagrams.items():
        if one.print:
            copies[spot.ident, one.print].append((spot, one))
    cut: list[tuple[Spot, Datagram]] = []
    passed = 0
    for seen in copies.values():
        whole = {spot.dst for spot, one in seen if one.whole}
        behind = [(spot, one) for spot, one in seen if whole and spot.dst not in whole]
        behind = [(spot, one) for spot, one in behind if not lbs or spot.eth_src in lbs]
        cut += [pair for pair in behind if pair[1].first_only][:1]
        passed += any(spot.dst != other.dst for spot, one in seen for other, two in seen if one.whole and two.whole)
    if len(cut) < _ENOUGH or passed:
        return
    senders = {spot.eth_src for spot, _ in cut}
    parties = {m: case.scene.party_of_mac(m) for m in sorted(senders)}
    known = {m: p.name for m, p in parties.items() if p is not None and p.role == "lb"}
    who = in_order(case, (known.get(m, mac_text(m)) for m in parties))
    found = unanswered(case.failed(".answered", ".appears"))
    ours = {id(c) for c, _ in found if c.refusal is not None and c.refusal.icmp in _REASSEMBLY}
    yield Diagnosis(
        ("NAT211",),
        f"of {len(cut)} datagrams in fragments {spoken(who)} {agreeing('send[s|] on', len(who))} the first fragment"
        " alone: the others have no ports, by which it would find their server",
        who,
        [v for _, v in found if any(id(c) in ours for c in v.connections)],
        sightings(one for _, one in cut),
        failed=len(cut),
        ruled_out={"DSR319": "what the server sends is 'reassembly time exceeded', not a refusal"} if ours else {},
        settle="nf_defrag (conntrack) or reassembly on the load balancer; smaller datagrams",
        field="ip.frag_offset",
        expected="all fragments",
        actual="the first fragment",
    )


def _spoiled(case: Case) -> Iterator[Diagnosis]:
    """Servers get every fragment, and answer only datagrams that came whole."""
    facts, scene = case.evidence.facts.fragments, case.scene
    asked = {one.client for spot, one in facts.datagrams.items() if spot.dst in scene.vips}
    rips, servers = scene.ips("real-server"), scene.macs("real-server")
    arrived = {
        one.client: (spot, one)
        for spot, one in facts.datagrams.items()
        if one.whole and (spot.dst in rips or one.client in asked)
        # at the machine that has the address
        if (spot.dst in rips and spot.eth_dst in servers) or (spot.dst, spot.eth_dst) in scene.claims
        if spot.dst not in scene.vips
    }
    mute = [pair for client, pair in arrived.items() if client not in facts.answered]
    served = any(n and proto == UDP for (_, proto, _), n in case.connections.answered.items())
    if len(mute) < _ENOUGH or len(mute) < len(arrived) or not served:
        return
    who = names(scene.party_of_ip(spot.dst) for spot, _ in mute) or (scene.address(mute[0][0].dst),)
    clients = {one.client for _, one in mute}
    found = unanswered(case.failed(".answered", ".appears"))
    yield Diagnosis(
        ("DSC514", "DSR323"),
        f"{len(mute)} datagrams reach {spoken(in_order(case, who))} in fragments, every one of them, and none is"
        " answered, while those that come whole are: the rewrite of the destination spoils their checksum, or a"
        " firewall drops fragments",
        in_order(case, who),
        [v for _, v in found if v.connections and all(c.client in clients for c in v.connections)],
        sightings(one for _, one in mute),
        failed=len(mute),
        ruled_out={"NAT211": "all fragments come out of the load balancer"},
        settle="nstat UdpInCsumErrors on the server; is the rule DADDR (iptables) or nft ip daddr set?",
        field="ip.frag_offset",
        expected="an answer",
        actual="no answer to datagrams in fragments",
    )
