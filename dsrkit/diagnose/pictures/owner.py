"""More machines than one speak for the VIP: real servers that should keep quiet about it, or strangers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.facts.owners import Owners
from dsrkit.diagnose.facts.seen import Seen
from dsrkit.diagnose.pictures.common import agreeing, in_order, sightings, spoken
from dsrkit.model.names import DIRECT_RETURN
from dsrkit.verify.verdicts import Frame, Verdict
from dsrkit.wire.address import mac_text

_SEVERAL: Final = ("ARP101", "ARP102", "ARP114", "ARP119")
_ONE: Final = ("ARP101", "ARP119", "ARP102", "ARP114")
"""A single server that answers may have the VIP on its own network card; all of them hardly have."""
_CELLS: Final = (".arp-silent", ".vip-frame-to-lb")
_DECIDE: Final = (
    "on each real server: ip addr show (is the VIP on lo?), sysctl net.ipv4.conf.all.arp_ignore and that of the"
    " network card"
)


def owner(case: Case) -> Iterator[Diagnosis]:
    """Who answers for the VIP, or asks in its name, beside its owner."""
    if case.mode is None:
        yield from _undetermined(case)
        return
    loud = _loud(case)
    if case.mode in DIRECT_RETURN:
        yield from _servers(case, loud)
    yield from _strangers(case, loud)


# --- real servers -----------------------------------------------------------------------------------------------------


def _quiet(case: Case) -> set[int]:
    """MACs of real servers, which must not speak for the VIP; a new owner that an old one forwards to is none."""
    moved = {name for d in case.found if d.codes[0] == "ARP118" for name in d.nodes}
    owners = {mac for name in moved if (p := case.scene.party(name)) is not None for mac in p.macs}
    return case.scene.macs("real-server") - case.scene.macs("lb") - owners - {0}


def _loud(case: Case) -> set[int]:
    """Real servers that answer for the VIP, and those who answer with them and behave like them."""
    if case.mode not in DIRECT_RETURN:
        return set()
    claims, vips = case.evidence.facts.owners.claims, case.scene.vips
    loud = {m for (a, m, how) in claims if a in vips and m in _quiet(case) and how == "answered"}
    beside = _beside_owner(case)
    if loud or all(_serves(case, m) for m in beside):
        loud |= {m for m in beside if _serves(case, m) or not _refuses(case, m)}
    return loud


def _servers(case: Case, loud: set[int]) -> Iterator[Diagnosis]:
    """Real servers that claim the VIP, by how they do."""
    claims, vips = case.evidence.facts.owners.claims, case.scene.vips
    asking = {m for (a, m, how) in claims if a in vips and m in _quiet(case) and how != "answered"} - loud
    cells = case.failed(*_CELLS)
    if loud:
        yield _answering(case, loud, cells)
    elif asking:
        yield _asking(case, asking, cells)
    elif cells:
        yield _past(case, cells)


def _answering(case: Case, macs: set[int], cells: list[Verdict]) -> Diagnosis:
    who = _named(case, macs)
    several = len(macs) > 1
    past, among = _bypassed(cells)
    vips = _vips(case)
    effect = (
        f", and {past} of {among} frames for it go to [that|such a] server past the load balancer"
        if past
        else "; frames still go to the load balancer, until a neighbour believes the other answer"
    )
    return Diagnosis(
        _SEVERAL if several else _ONE,
        f"{spoken(who)} {agreeing('answer[s|] ARP for the VIP', len(macs))} {vips}{agreeing(effect, len(macs))}",
        who,
        cells,
        _frames(case.evidence.facts.owners, case.scene.vips, macs, "answered") + _frames_of(cells),
        failed=past,
        among=among,
        ruled_out=_no_takeover(case, macs),
        settle=_DECIDE,
        field="arp.src.hw_mac",
        expected="the load balancer alone",
        actual=spoken(mac_text(m) for m in sorted(macs)),
    )


def _asking(case: Case, macs: set[int], cells: list[Verdict]) -> Diagnosis:
    who = _named(case, macs)
    past, among = _bypassed(cells)
    effect = f", and {past} of {among} frames for the VIP go past the load balancer" if past else ""
    return Diagnosis(
        ("ARP103",),
        f"{spoken(who)} {agreeing('send[s|] ARP requests in the name of the VIP', len(macs))} {_vips(case)}, which"
        f" neighbours take for its owner's{effect}",
        who,
        cells,
        _frames(case.evidence.facts.owners, case.scene.vips, macs, "asked-as", "announced") + _frames_of(cells),
        failed=past,
        among=among,
        ruled_out={
            "ARP101": "no real server answers a question for the VIP: they ask themselves",
            "ARP104": "those who ask are real servers, which forward nothing",
        },
        settle="sysctl net.ipv4.conf.all.arp_announce and that of the network card on the server: it must be 2",
        field="arp.src.proto_ipv4",
        expected="the server's own address",
        actual=_vips(case),
    )


def _past(case: Case, cells: list[Verdict]) -> Diagnosis:
    """Frames go to a server, and no tap shows why neighbours believe that it owns the VIP."""
    past, among = _bypassed(cells)
    who = in_order(case, (name for v in cells for name in v.nodes))
    return Diagnosis(
        ("ARP101", "ARP103", "ARP119", "ARP102", "ARP114"),
        f"{past} of {among} frames for the VIP {_vips(case)} go to {spoken(who) or 'a real server'} past the load"
        " balancer; how the neighbours came to believe that it owns the VIP is not in the capture",
        who,
        cells,
        failed=past,
        among=among,
        settle="a capture that begins before the router's ARP entry for the VIP: who answers for it, or asks in its"
        " name",
        field="eth.dst",
        expected="the load balancer's MAC",
        actual="a real server's MAC",
    )


def _bypassed(cells: list[Verdict]) -> tuple[int, int]:
    past = [v for v in cells if v.cell.endswith(".vip-frame-to-lb")]
    return sum(v.failed for v in past), sum(v.checked for v in past)


def _no_takeover(case: Case, macs: set[int]) -> dict[str, str]:
    together = case.evidence.facts.owners.together
    at_once = any(len(macs & set(known)) and len(known) > 1 for a, known in together.items() if a in case.scene.vips)
    ruled = {"ARP103": "they answer questions that others ask"}
    if at_once:
        ruled["ARP104"] = "several machines answer one and the same question, so the VIP has not moved"
    if not macs & case.evidence.facts.owners.vrrp:
        ruled["ARP109"] = "those who answer are real servers and send no VRRP adverts"
    return ruled


# --- strangers --------------------------------------------------------------------------------------------------------


def _beside_owner(case: Case) -> dict[int, Seen]:
    """MACs that answer the same question as the load balancer and belong to nobody who is known.

    Owners of a VRRP group, and whoever announces itself, move addresses: that is a takeover, not a second owner.
    """
    scene, owners = case.scene, case.evidence.facts.owners
    lbs, known = scene.macs("lb"), {m for p in scene.parties for m in p.macs}
    out: dict[int, Seen] = {}
    for address in scene.vips & owners.together.keys():
        claimants = owners.together[address]
        if not lbs & claimants.keys() or set(claimants) & owners.vrrp:
            continue
        announced = {m for m in claimants if (address, m, "announced") in owners.claims}
        out.update((m, seen) for m, seen in claimants.items() if m not in known | announced)
    return out


def _serves(case: Case, mac: int) -> bool:
    return any((vip, mac) in case.evidence.facts.owners.answers_as for vip in case.scene.vips)


def _refuses(case: Case, mac: int) -> bool:
    return any((vip, mac) in case.evidence.facts.owners.refuses_as for vip in case.scene.vips)


def _strangers(case: Case, loud: set[int]) -> Iterator[Diagnosis]:
    """A machine outside the set-up that answers for the VIP together with its owner."""
    beside = {m: seen for m, seen in _beside_owner(case).items() if m not in loud}
    if not beside:
        return
    refused = [
        v
        for v in case.failed(".answered", ".appears")
        if v.connections and any(c.refusal is not None for c in v.connections)
    ]
    harmed = any(_refuses(case, m) and not _serves(case, m) for m in beside)
    names = tuple(mac_text(m) for m in sorted(beside))
    count = sum(v.failed for v in refused) if harmed else 0
    yield Diagnosis(
        ("ARP116", "ARP109"),
        f"a machine outside the set-up ({spoken(names)}) answers ARP for the VIP {_vips(case)} together with the load"
        " balancer"
        + (", gets requests of those who believe it, and refuses them" if harmed else "; which answer wins is chance"),
        names,
        refused if harmed else [],
        sightings(beside.values()),
        failed=count,
        ruled_out={"ARP101": "it is none of the machines that requests are forwarded to"} if harmed else {},
        settle=f"whose MAC is {spoken(names)}? arping -D -I IFACE VIP from a third machine shows both",
        severity=None if harmed else "warning",
        field="arp.src.hw_mac",
        expected="one MAC",
        actual=spoken(names),
    )


# --- where nothing is forwarded ---------------------------------------------------------------------------------------


def _undetermined(case: Case) -> Iterator[Diagnosis]:
    """Requests never reach a load balancer, because another machine's answer won."""
    owners, cells = case.evidence.facts.owners, case.failed(".owner.arp-silent")
    for address, claimants in owners.together.items() if cells else ():
        asked = {p.eth_dst for p in case.evidence.facts.requests.asked if p.dst == address}
        chosen = set(claimants) & asked
        if not chosen or set(claimants) & owners.vrrp:
            continue
        serving = {m for m in chosen if (address, m) in owners.answers_as}
        who, rest = _named(case, serving or chosen), _named(case, set(claimants) - chosen)
        what = "which serves them itself, past any load balancer" if serving else "which does not serve them"
        several = len(claimants) > 2
        servers = _SEVERAL if several else _ONE
        yield Diagnosis(
            (*servers, "ARP116", "ARP109") if serving else ("ARP116", "ARP109", *servers),
            f"{len(claimants)} machines answer ARP for {case.scene.address(address)} at the same time; requests go to"
            f" {spoken(who)}, {what}"
            + (f". {'One of' if several else 'The load balancer may be'} {spoken(rest)}" if rest else "")
            + (" may be the load balancer" if several and rest else ""),
            who,
            cells,
            sightings(claimants.values()),
            ruled_out={"ARP104": "several machines answer one and the same question, so the VIP has not moved"},
            settle=_DECIDE if serving else f"whose MAC is {spoken(mac_text(m) for m in sorted(chosen))}?",
            field="arp.src.hw_mac",
            expected="one MAC",
            actual=spoken(mac_text(m) for m in sorted(claimants)),
            vips=(case.scene.address(address),),
        )
        return


# --- words ------------------------------------------------------------------------------------------------------------


def _named(case: Case, macs: set[int]) -> tuple[str, ...]:
    """Names of machines; the MAC where a machine has no other."""
    parties = {m: case.scene.party_of_mac(m) for m in sorted(macs)}
    return in_order(case, (p.name if p is not None else mac_text(m) for m, p in parties.items()))


def _vips(case: Case) -> str:
    return spoken(sorted(case.scene.address(v) for v in case.scene.vips))


def _frames(owners: Owners, addresses: set[int], macs: set[int], *how: str) -> list[Frame]:
    claims = owners.claims.items()
    return sightings(seen for (a, m, kind), seen in claims if a in addresses and m in macs and kind in how)


def _frames_of(cells: list[Verdict]) -> list[Frame]:
    return [x for v in cells for x in v.frames[:3]]
