"""What neighbours and switches remember of the VIP's owner: nothing of it is wrong, and some of it is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import agreeing, in_order, names, sightings, spoken
from dsrkit.wire.address import mac_text

_SECOND: Final = 1_000_000_000


def neighbours(case: Case) -> Iterator[Diagnosis]:
    """Announcements that make no entry, and switches that forget a MAC before its neighbours do."""
    yield from _unheeded(case)
    yield from _flooded(case)


def _unheeded(case: Case) -> Iterator[Diagnosis]:
    """A neighbour asks who has the VIP though the new owner has just told everybody."""
    asked = case.evidence.facts.owners.unheeded
    lbs = case.scene.macs("lb")
    found = {(mac, vip): seen for (mac, vip), seen in asked.items() if vip in case.scene.vips and mac not in lbs}
    if not found or any(code.startswith("ARP1") for d in case.found for code in d.codes):
        return
    who = _machines(case, {mac for mac, _ in found})
    vips = spoken(sorted({case.scene.address(vip) for _, vip in found}))
    yield Diagnosis(
        ("ARP107",),
        f"{spoken(who)} {agreeing('ask[s|]', len(who))} who has {vips} soon after its new owner's announcement passed:"
        " the announcement made no entry where there was none. That is how most systems do it, and costs one question",
        who,
        [],
        sightings(found.values()),
        failed=len(found),
        ruled_out={"ARP115": "no frame for the old owner's MAC follows the announcement"},
        settle="sysctl net.ipv4.conf.IFACE.arp_accept net.ipv4.conf.IFACE.drop_gratuitous_arp on the neighbour",
        field="arp.dst.proto_ipv4",
        expected="no question, if announcements shall make entries",
        actual="a question to everybody",
    )


def _flooded(case: Case) -> Iterator[Diagnosis]:
    """Frames for the load balancer at taps that are not on their way, as long as it is silent."""
    flooded = case.evidence.facts.floods.flooded()
    for mac, taps in flooded.items():
        who = names([case.scene.party_of_mac(mac)])
        seen = [one for there in taps.values() for one in there]
        where = spoken(case.taps[tap].name for tap in sorted(taps))
        yield Diagnosis(
            ("ARP113",),
            f"after {spoken(who)} ({mac_text(mac)}) was silent for {min(seen)[0] // _SECOND} s, frames for it come"
            f" to {where} too, which they do not pass otherwise, until it speaks again: the switch had forgotten"
            " its port, and whoever sends still knew the MAC",
            who,
            [],
            [frame for _, frame in seen],
            failed=max(map(len, taps.values())),
            ruled_out={
                "DSR305": "the MAC's owner gets the frames and answers",
                "ARP104": "the frames go to the right MAC",
            },
            settle="bridge fdb show or show mac address-table on the switch, and its ageing time",
            field="eth.dst",
            expected="at the port of that MAC alone",
            actual=f"at {where} too",
        )


def _machines(case: Case, macs: set[int]) -> tuple[str, ...]:
    """Names where there are any, MACs otherwise."""
    return in_order(case, (p.name if (p := case.scene.party_of_mac(m)) is not None else mac_text(m) for m in macs))
