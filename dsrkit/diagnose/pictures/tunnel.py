"""What an outer header does to packets that work, or nearly do: they get too long, are cut, lose their marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import field
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.evidence import IcmpError
from dsrkit.diagnose.facts.sizes import header
from dsrkit.diagnose.pictures.common import agreeing, balancer, in_order, names, sightings, spoken
from dsrkit.verify.scene import Party
from dsrkit.verify.verdicts import Frame, Verdict

TOO_BIG: Final = ((4, 3, 4), (6, 2, 0))
_ETHERNET: Final = 1500
"""The MTU of links that nobody has changed. Units: octets."""


@dataclass(slots=True)
class _Limit:
    """What is known of the longest request that fits: `mtu` as an error states it, or the lengths of those that got
    lost and of those that did not."""

    mtu: int = 0
    errors: list[IcmpError] = field(default_factory=list)
    longest: int = 0  # of the requests that did not fit
    cells: list[Verdict] = field(default_factory=list)

    @property
    def frames(self) -> list[Frame]:
        shown = [x for v in self.cells for x in v.frames[:4]]
        return [e.frame for e in self.errors[:4]] + shown


def tunnel(case: Case) -> Iterator[Diagnosis]:
    """Sizes, fragments and marks of tunnel packets."""
    if case.mode in ("l3dsr-tunnel", None):
        yield from _replies_inside(case)
    if case.mode != "l3dsr-tunnel":
        return
    yield from _misled(case)
    cut = list(_cut(case))
    yield from cut
    limit = _stated_limit(case) or _silent_limit(case)
    if limit is not None:
        yield _does_not_fit(case, limit)
    elif not cut:
        yield from _would_not_fit(case)
    yield from _unmarked(case)


# --- requests that do not fit -----------------------------------------------------------------------------------------


def _stated_limit(case: Case) -> _Limit | None:
    """Errors in which the load balancer says how long a request may be."""
    scene = case.scene
    lbs, own = scene.macs("lb"), scene.vips | scene.ips("lb")
    errors = [
        e
        for e in case.evidence.facts.errors
        if (e.version, e.type, e.code) in TOO_BIG
        and e.quoted.dst in scene.vips
        and e.quoted.src not in own
        and (e.src in own or e.eth_src in lbs)
    ]
    if not errors:
        return None
    cells = [v for v in case.failed(".lb.appears") if not v.connections]
    return _Limit(min((e.mtu for e in errors if e.mtu), default=0), errors, max(e.quoted.length for e in errors), cells)


def _silent_limit(case: Case) -> _Limit | None:
    """Without a word, every request above some length is lost at the load balancer, and none below it."""
    cells = [v for v in case.failed(".lb.appears") if not v.connections and v.actual == "every copy is lost"]
    sizes = case.evidence.facts.sizes
    lengths = [sizes.lost[x] for v in cells for x in v.frames if x in sizes.lost]
    if not lengths or min(lengths) <= sizes.wrapped or not sizes.wrapped:
        return None
    return _Limit(0, [], max(lengths), cells)


def _does_not_fit(case: Case, limit: _Limit) -> Diagnosis:
    version = limit.errors[0].version if limit.errors else 4
    offered = _offered(case, version)
    lbs = names(case.scene.role("lb"))
    lb = balancer(case)
    sizes = case.evidence.facts.sizes
    told = (
        f"{lb} answers requests of {limit.longest} octets with ICMP 'too big': at most {limit.mtu} fit into the tunnel"
        if limit.errors
        else f"requests of {limit.longest} octets go in at {lb} and never come out, those up to {sizes.wrapped} do"
    )
    merged = limit.longest > (max(offered) + header(version) if offered else _ETHERNET)
    if merged:
        return _merged(case, limit, offered, told, lbs)
    servers = _servers_offering(case, version, limit.mtu or sizes.wrapped)
    room = (limit.mtu or sizes.wrapped) - header(version)
    offer = f" The servers allow {max(offered)} (MSS) in their SYN-ACKs" if offered else " The servers' MSS allows it"
    cause = f"{offer}, {room} would fit" if limit.mtu else f"{offer}, which ignores the outer header"
    lost, healed = _unheard(case, limit)
    who = in_order(case, servers) or lbs
    codes: tuple[str, ...] = ("TUN405", "TUN404")
    ruled = {"TUN408": "the segments are no longer than the servers' MSS allows, so the clients sent them so"}
    if healed:
        ruled["TUN423"] = "the errors reach the clients, who then send less"
    if lost:
        routers = names(case.scene.role("router"))
        what = f". These errors never reach the clients: {spoken(routers) or 'a filter on the way'} drops them"
        return _sized(case, limit, ("TUN423", "TUN405", "TUN404"), f"{told}{what}.{cause}", routers or who, ruled)
    if not limit.errors:
        codes = ("TUN405", "TUN404", "TUN423")
        told += ", and no tap shows whether it says why"
    elif sizes.insisted and not healed:
        codes = ("TUN405", "TUN423", "TUN404")
        told += ", and clients go on sending as much as before"
    return _sized(case, limit, codes, f"{told}.{cause}", who, ruled)


def _sized(
    case: Case,
    limit: _Limit,
    codes: tuple[str, ...],
    message: str,
    who: tuple[str, ...],
    ruled: dict[str, str],
    settle: str = "ip route show and ip link show on the servers (advmss, MTU); ping -M do -s SIZE through the tunnel",
) -> Diagnosis:
    count = max(len(limit.errors), sum(v.failed for v in limit.cells))
    return Diagnosis(
        codes,
        message,
        who,
        limit.cells,
        limit.frames,
        failed=count,
        ruled_out=ruled,
        settle=settle,
        field="ip.len",
        expected=f"requests of at most {limit.mtu} octets" if limit.mtu else "requests that fit into the tunnel",
        actual=f"{limit.longest} octets",
    )


def _merged(case: Case, limit: _Limit, offered: set[int], told: str, lbs: tuple[str, ...]) -> Diagnosis:
    """Longer than any segment that the client may send: the load balancer's own NIC put several together."""
    codes: tuple[str, ...] = ("TUN408",) if offered else ("TUN408", "TUN405", "TUN404")
    known = f", although servers allow only {max(offered)} in a segment" if offered else ""
    return _sized(
        case,
        limit,
        codes,
        f"{told}{known}: receive offload (GRO or LRO) on {balancer(case)} has put several segments together",
        lbs,
        {"CAP902": "the load balancer itself refuses the long packet, so it is none of the capture's making"},
        "ethtool -k on the load balancer: generic-receive-offload, large-receive-offload",
    )


def _offered(case: Case, version: int) -> set[int]:
    """The MSS in SYN-ACKs, as the tap nearest to the clients shows it."""
    offers = [o for o in case.evidence.facts.sizes.offers if o.version == version]
    near = {i for i, t in enumerate(case.taps) if t.link == "A"}
    at_clients = {o.mss for o in offers if o.tap in near}
    return at_clients or {o.mss for o in offers}


def _servers_offering(case: Case, version: int, limit: int) -> list[str]:
    """Servers whose MSS makes packets that are longer; all of them, where no tap shows whose SYN-ACKs they are."""
    too_much = [o for o in case.evidence.facts.sizes.offers if o.mss + header(version) > limit]
    parties = [case.scene.party_of_mac(o.sender) for o in too_much]
    own = [p.name for p in parties if p is not None and p.role == "real-server"]
    return own or ([p.name for p in case.servers()] if too_much else [])


def _unheard(case: Case, limit: _Limit) -> tuple[bool, bool]:
    """(the errors never reach the clients, they do): by a tap there that holds these clients' requests."""
    near = [i for i, t in enumerate(case.taps) if t.link == "A" and t.packets]
    there = [e for e in limit.errors if e.frame[0] in near]
    if not near or not limit.errors:
        return False, False
    elsewhere = [e for e in limit.errors if e.frame[0] not in near]
    insisted = case.evidence.facts.sizes.insisted
    return not there and (len(elsewhere) > 1 or bool(insisted)), bool(there)


# --- requests that would not fit --------------------------------------------------------------------------------------


def _would_not_fit(case: Case) -> Iterator[Diagnosis]:
    """The servers' MSS leaves no room for the outer header; a fault only where the path's MTU is known."""
    sizes, stated = case.evidence.facts.sizes, _stated_mtu(case)
    if not sizes.overhead or not sizes.offers:
        return
    worst = max(sizes.offers, key=lambda o: o.mss + header(o.version))
    version, near = worst.version, _offered(case, worst.version)
    whole = max(near) + header(version)
    need, mtu = whole + sizes.overhead, stated or _ETHERNET
    if need <= mtu or (not stated and whole > _ETHERNET) or sizes.outer > mtu:
        return
    who = in_order(case, _servers_offering(case, version, mtu - sizes.overhead))
    link = f"the tunnel's {stated} octets" if stated else f"{mtu} octets, the usual MTU; no packet shows a larger one"
    yield Diagnosis(
        ("TUN405",),
        f"{spoken(who) or 'the servers'} {agreeing('announce[s|]', len(who) or 2)} an MSS of {max(near)}: with the"
        f" outer header a full request has {need} octets, more than {link}"
        + ("" if stated else ". It fits only if the links behind the load balancer carry more"),
        who,
        [],
        [
            x
            for o, seen in sizes.offers.items()
            if o.mss + header(o.version) + sizes.overhead > mtu
            for x in seen.frames
        ],
        failed=sum(seen.count for o, seen in sizes.offers.items() if o.mss in near),
        ruled_out={"TUN404": "no request was long enough to be lost"},
        settle="the MTU of the links between load balancer and servers: ping -M do -s SIZE",
        severity=None if stated else "info",
        field="tcp.options.mss_val",
        expected=f"at most {mtu - sizes.overhead - header(version)}",
        actual=str(max(near)),
    )


def _stated_mtu(case: Case) -> int:
    stated = case.spec.tunnel if case.spec is not None else None
    return stated.mtu if stated is not None and stated.mtu else 0


# --- fragments, errors, marks -----------------------------------------------------------------------------------------


def _cut(case: Case) -> Iterator[Diagnosis]:
    """Outer packets in fragments around packets that must not be cut."""
    cut = case.evidence.facts.sizes.cut
    if not cut:
        return
    lbs = names(case.scene.role("lb"))
    count = sum(seen.count for seen in cut.values())
    yield Diagnosis(
        ("TUN407",),
        f"{balancer(case)} sends outer packets in fragments ({count} of them): it clears DF outside, though it is set"
        " inside, so that what does not fit is cut instead of refused",
        lbs,
        case.failed(".outer.flags.df", ".outer.len"),
        sightings(cut.values()),
        failed=count,
        ruled_out={"TUN404": "long requests do arrive, in pieces"},
        settle="sysctl net.ipv4.vs.pmtu_disc on the load balancer: 1 refuses what does not fit; and the servers' MSS"
        " (TUN405)",
        field="ip.flags.df",
        expected="DF as inside",
        actual="fragments",
    )


def _misled(case: Case) -> Iterator[Diagnosis]:
    """'Too big' about one server's reply that goes to another server."""
    misled = case.evidence.facts.sizes.misled
    if not misled:
        return
    lbs = names(case.scene.role("lb"))

    def named(number: int) -> str:
        party: Party | None = case.scene.party_of_ip(number) or case.scene.party_of_mac(number)
        return party.name if party is not None else case.scene.address(number)

    ways = spoken(dict.fromkeys(f"{named(m.server)} instead of {named(m.right)}" for m in misled[:20]))
    frames = len(dict.fromkeys(m.frame for m in misled))
    yield Diagnosis(
        ("TUN406",),
        f"{balancer(case)} sends ICMP 'too big' about replies to the wrong server ({ways}): the one that sent the"
        " reply never learns that it is too long",
        lbs,
        [v for v in case.failed(".router.reply.appears") if not v.connections],
        [m.frame for m in misled],
        failed=frames,
        ruled_out={"TUN423": "the errors do arrive at the load balancer"},
        settle="whether the load balancer looks up the packet inside ICMP errors (its own source is the VIP)",
        expected="the server that sent the reply",
        actual=spoken(dict.fromkeys(named(m.server) for m in misled)),
    )


def _replies_inside(case: Case) -> Iterator[Diagnosis]:
    """Replies in the tunnel that the requests came through, to a load balancer that has the VIP itself.

    Between two sites everything may go through one tunnel; there, its ends do not own what they carry.
    """
    claims, requests = case.scene.claims, case.evidence.facts.requests
    senders: dict[tuple[int, int], set[int]] = defaultdict(set)
    for o in requests.outer:
        senders[o.src, o.dst].add(o.eth_src)
    wrapped = {
        (server, lb, vip): seen
        for (server, lb, vip), seen in case.evidence.facts.marks.wrapped_replies.items()
        if any(vip in case.scene.vips or (vip, mac) in claims for mac in senders.get((lb, server), ()))
    }
    if not wrapped:
        return
    text = case.scene.address

    def named(address: int) -> str:
        party = case.scene.party_of_ip(address)
        return party.name if party is not None and case.mode is not None else text(address)

    who = in_order(case, (named(server) for server, _, _ in wrapped))
    to = spoken({named(lb) for _, lb, _ in wrapped})
    vips = spoken({text(vip) for _, _, vip in wrapped})
    yield Diagnosis(
        ("TUN410",),
        f"{spoken(who)} {agreeing('send[s|] [its|their] replies', len(who))} in the name of {vips} back through the"
        f" tunnel to {to}, instead of straight to the clients; {to} owns that address itself and drops them",
        who,
        [*case.failed(".lb.reply.absent"), *(v for v in case.failed(".reply.appears") if v.connections)],
        sightings(wrapped.values()),
        failed=max(seen.count for seen in wrapped.values()),
        ruled_out={"DSR308": "the replies have an outer header, they are not only sent to the wrong neighbour"},
        settle="ip route get CLIENT on the server: its device must not be the tunnel",
        field="ip.proto",
        expected="replies without an outer header",
        actual="replies in the tunnel",
    )


def _unmarked(case: Case) -> Iterator[Diagnosis]:
    """Marks of the inner packet that the outer one does not carry, where the implementation promises them."""
    cells = case.failed(".outer.dsfield.dscp", ".outer.dsfield.ecn", node="lb")
    if not cells:
        return
    lbs = names(case.scene.role("lb"))
    failed = max(v.failed for v in cells)
    marks = " and ".join(dict.fromkeys("ECN" if v.field.endswith("ecn") else "DSCP" for v in cells))
    yield Diagnosis(
        ("TUN411",),
        f"{balancer(case)} does not copy {marks} to the outer header ({failed} packets): queues and congestion marks"
        " between it and the servers do not see them",
        lbs,
        cells,
        failed=failed,
        among=max(v.checked for v in cells),
        severity="warning",
        field="ip.dsfield",
        expected=cells[0].expected,
        actual=cells[0].actual,
    )
