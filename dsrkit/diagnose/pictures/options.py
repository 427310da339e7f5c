"""Options by which a load balancer tells servers what its rewrite hides: the VIP, or the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.facts.options import Told
from dsrkit.diagnose.pictures.common import balancer, names, sightings, spoken
from dsrkit.verify.connections import COPIES
from dsrkit.verify.frames import TCP, UDP
from dsrkit.wire.address import mac_text

_ENOUGH: Final = 2
_ETHERNET: Final = 1500


def options(case: Case) -> Iterator[Diagnosis]:
    """IP options with the VIP (where no table of a mode says more), TCP options with the client's address."""
    told = list(case.evidence.facts.options.told.values())
    if told:
        yield from _another_server(case, told)
        bare = [one for one in told if not one.overlay]
        yield from _too_long(case, bare)
        yield from _dropped(case, bare)
    yield from _client_hidden(case)


def _balancers(case: Case, told: list[Told]) -> tuple[str, ...]:
    macs = sorted({one.balancer for one in told})
    parties = {m: case.scene.party_of_mac(m) for m in macs}
    return tuple(dict.fromkeys(p.name if p is not None and p.role == "lb" else mac_text(m) for m, p in parties.items()))


def _addresses(case: Case, numbers: set[int]) -> str:
    return spoken(sorted(map(case.scene.address, numbers)))


def _another_server(case: Case, told: list[Told]) -> Iterator[Diagnosis]:
    """The SYN tells one server the VIP, and what follows goes to another one, which resets it in its own name."""
    moved = [one for one in told if one.resets & one.others]
    if not moved:
        return
    who = _balancers(case, moved)
    resets = {a for one in moved for a in one.resets & one.others}
    taken = [one for one in moved if one.takers]
    if taken:
        yield _taken_over(case, taken, len(told))
        moved = [one for one in moved if not one.takers]
    if not moved:
        return
    yield Diagnosis(
        ("TUN414",),
        f"{spoken(who)} tells the VIP to one server in the SYN's option, and sends what follows to another"
        f" ({_addresses(case, resets)}), which knows nothing of it and resets it in its own name ({len(moved)} of"
        f" {len(told)} connections)",
        who,
        case.failed(".answered-by-vip"),
        sightings(moved),
        failed=len(moved),
        among=len(told),
        ruled_out={"DSC510": "these servers do answer in the VIP's name where they were told it"},
        settle="whether the load balancer's table forgets connections or its servers changed",
        expected="the server that got the SYN",
        actual=_addresses(case, resets),
    )


def _taken_over(case: Case, taken: list[Told], among: int) -> Diagnosis:
    """Another load balancer goes on with connections, at other servers, which the SYN's option never told the VIP."""
    who = _balancers(case, taken)
    servers = _addresses(case, {a for one in taken for a in one.resets & one.others})
    return Diagnosis(
        ("DSR318", "TUN414"),
        f"connections that {spoken(who)} began are sent on by another load balancer, to servers ({servers}) that were"
        f" not told the VIP and reset them in their own names ({len(taken)} of {among} connections)",
        tuple(mac_text(m) if (p := case.scene.party_of_mac(m)) is None else p.name for m in taken[0].takers),
        case.failed(".answered-by-vip"),
        sightings(taken),
        failed=len(taken),
        among=among,
        settle="what changed the route at that time; whether all load balancers pick the same server for a connection",
        expected="the server that got the SYN",
        actual=servers,
    )


def _too_long(case: Case, told: list[Told]) -> Iterator[Diagnosis]:
    """Datagrams that were as long as the MTU allows before the option came on top."""
    long = [one for one in told if one.proto == UDP and one.before <= _ETHERNET < one.longest]
    lost = [one for one in long if not one.answered and not one.beyond]
    fine = [one for one in told if one.proto == UDP and one.longest <= _ETHERNET and one.answered]
    if len(lost) < _ENOUGH or len(lost) < len(long) or not fine:
        return
    who = _balancers(case, lost)
    yield Diagnosis(
        ("TUN416",),
        f"datagrams of {max(one.before for one in lost)} octets leave {spoken(who)} with an option, as"
        f" {max(one.longest for one in lost)} octets, more than a link with the usual MTU takes, and none is answered"
        f" ({len(lost)} of them), while shorter ones are",
        who,
        [],
        sightings(lost),
        failed=len(lost),
        among=len(told),
        ruled_out={"TUN415": "shorter datagrams with the option are answered"},
        settle="the MTU of the links behind the load balancer; ping -M do -s 1472 through it",
        field="ip.len",
        expected=f"at most {_ETHERNET}",
        actual=str(max(one.longest for one in lost)),
    )


def _dropped(case: Case, told: list[Told]) -> Iterator[Diagnosis]:
    """Requests with the option are never seen again, nor answered."""
    opened = [one for one in told if one.proto == TCP]
    lost = [one for one in opened if not one.answered and not one.beyond]
    if not lost or len(lost) < len(opened) or max(max(one.copies.values()) for one in lost) < COPIES:
        return
    who = _balancers(case, lost)
    routers = names(case.scene.role("router"))
    codes: tuple[str, ...] = ("TUN415", "DSR322", "NAT213", "DSR323")
    asked = {place.tap for place in case.evidence.facts.requests.asked}
    if asked.issuperset(i for i, t in enumerate(case.taps) if t.packets):
        codes += ("DSR309", "DSR310")  # no tap shows whether servers get these requests and answer
    yield Diagnosis(
        codes,
        f"requests leave {spoken(who)} with an IP option for"
        f" {_addresses(case, {a for o in lost for a in o.servers})}, are seen nowhere after that, and none of"
        f" {len(lost)} connections is answered: routers often drop packets with options",
        routers,
        case.failed(".answered", ".lb.appears", ".router.appears"),
        sightings(lost),
        failed=len(lost),
        among=len(lost),
        settle="a tap at the real server; a packet without options from the load balancer to the same server",
        expected="an answer",
        actual=f"no answer to {max(max(one.copies.values()) for one in lost)} transmissions",
    )


def _client_hidden(case: Case) -> Iterator[Diagnosis]:
    """Behind a full NAT nothing tells servers the client's address."""
    facts = case.evidence.facts.options
    if case.mode != "fullnat" or not facts.toa_read or facts.toa_found:
        return
    lbs = names(case.scene.role("lb"))
    yield Diagnosis(
        ("NAT210",),
        f"{balancer(case)} puts no TCP option with the client's address (TOA) into requests ({facts.toa_read} packets"
        " looked at): servers see its own address only. That is so by design, unless they are meant to know their"
        " clients",
        lbs,
        failed=facts.toa_read,
        severity="info",
        field="tcp.options",
        expected="option 254, if servers need it",
        actual="none",
    )
