"""DSCP marks that mean something else than they should, or are lost, though requests may be served all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import agreeing, balancer, in_order, names, sightings, spoken
from dsrkit.model.dscp import dscp_text

_PRECEDENCE: Final = 0x38
"""The three bits of a code point that were once the IP precedence. Source: RFC 2474 s4.2.2."""


def collisions(case: Case) -> Iterator[Diagnosis]:
    """Marks that the load balancer did not write and that servers take for its tags."""
    if case.mode != "l3dsr-dscp":
        return
    yield from _left_by_clients(case)
    yield from _used_by_others(case)


def marks(case: Case) -> Iterator[Diagnosis]:
    """What is left to say about marks when failures have their causes."""
    if case.mode == "l3dsr-dscp":
        yield from _changed(case)
        yield from _ecn_lost(case)
        yield from _in_replies(case)
        yield from _above_the_hook(case)
    if case.mode == "l3dsr-tunnel":
        yield from _none_outside(case)


def remarking(sent: set[int], came: set[int]) -> str:
    """What a router does to code points, by the behaviours of RFC 9435 s5; empty where none of them fits.

    >>> remarking({44}, {4})
    'it clears the three precedence bits (Bleach-ToS-Precedence)'
    >>> remarking({44, 12}, {40, 8})
    'it clears the three low bits (Bleach-low)'
    """
    if came == {0}:
        return "it clears the whole DSCP (Bleach-DSCP)"
    if came == {m & 0x07 for m in sent}:
        return "it clears the three precedence bits (Bleach-ToS-Precedence)"
    if came == {m & _PRECEDENCE for m in sent}:
        return "it clears the three low bits (Bleach-low)"
    if {m & 0x07 for m in came} == {m & 0x07 for m in sent} and len({m & _PRECEDENCE for m in came}) == 1:
        return "it replaces the three precedence bits (Re-mark-ToS)"
    if len(came) == 1:
        return f"it marks everything {dscp_text(next(iter(came)))} (Re-mark-DSCP)"
    return ""


# --- tags that are none -----------------------------------------------------------------------------------------------


def known_tags(case: Case) -> dict[int, set[int]]:
    """Tag -> VIPs that it stands for, as requests behind the load balancer show them or a spec says."""
    out: dict[int, set[int]] = {}
    for (vip, _), tags in case.scene.tags.items():
        for tag in tags:
            out.setdefault(tag, set()).add(vip)
    for tag, vip in case.scene.tag_of_vip.items():
        out.setdefault(tag, set()).add(vip)
    return {tag: vips for tag, vips in out.items() if tag}


def _left_by_clients(case: Case) -> Iterator[Diagnosis]:
    """The client's own mark survives the load balancer for a VIP without a tag, and is another VIP's tag."""
    scene, asked = case.scene, case.evidence.facts.requests.asked
    wrong = [w for w in case.wrong_answers() if w.source in scene.vips]
    lbs, rips = scene.macs("lb"), scene.ips("real-server")
    for vip in sorted({w.source for w in wrong}):
        mine = [w for w in wrong if w.source == vip]
        meant = {a for w in mine for a in w.right if a != vip}
        before = {p.tos >> 2 for p in asked if p.dst in meant}
        own = {p.tos >> 2 for p in asked if p.dst == vip}
        out = {p.tos >> 2 for p in asked if p.dst in rips and p.eth_src in lbs}
        theirs = {t for (v, _), tags in scene.tags.items() if v == vip for t in tags}
        if not before or 0 in before or not before <= (out or theirs) or not before <= theirs or own & before:
            continue
        lb = names(scene.role("lb"))
        text = scene.address
        count = len({(w.client, w.proto) for w in mine})
        cells = case.failed(".answered-by-vip")
        lost = [v for v in case.failed(".reply.appears") if v.connections]
        yield Diagnosis(
            ("DSC507",),
            f"{balancer(case)} leaves the DSCP of clients as it is in requests for"
            f" {spoken(sorted(map(text, meant)))}, which has no tag: {_spoken(before)} means {text(vip)} to the"
            f" servers, which answer from there ({count} connection{'s' if count > 1 else ''})",
            lb,
            [*cells, *lost],
            [f for w in mine for f in (w.asked, w.answer)],
            failed=count,
            ruled_out={"DSC505": "clients themselves send this DSCP, and the load balancer passes it on"},
            field="ip.dsfield.dscp",
            expected="0, or a tag of its own",
            actual=_spoken(before),
        )


def _used_by_others(case: Case) -> Iterator[Diagnosis]:
    """Requests to servers' own addresses that did not come from the load balancer and carry a tag."""
    scene, tags = case.scene, known_tags(case)
    rips, lbs, clients = scene.ips("real-server"), scene.macs("lb"), scene.macs("client")
    asked = case.evidence.facts.requests.asked
    balanced = {(p.proto, p.port) for p in asked if p.dst in rips and p.eth_src in lbs and case.at_balancer(p.tap)}
    ports = balanced | {(proto, p) for (proto, vport), behind in scene.services.items() for p in {vport, *behind}}
    if not balanced:
        return  # then no tap shows what comes from the load balancer
    found = {
        place: seen
        for place, seen in asked.items()
        if place.dst in rips
        and place.tos >> 2 in tags
        and place.eth_src not in lbs
        and (place.eth_src in clients or (place.proto, place.port) not in ports)
    }
    if not found:
        return
    answering = case.evidence.facts.marks.answering
    stray = {
        (p.proto, p.port)
        for p in found
        if (p.proto, p.port) not in ports and any((v, p.proto, p.port) in answering for v in scene.vips)
    }
    who = names(scene.party_of_ip(place.dst) for place in found)
    marked = {place.tos >> 2 for place in found}
    kinds = spoken(sorted({f"port {p.port}" for p in found}))
    yield Diagnosis(
        ("DSC506",),
        f"requests to {spoken(in_order(case, who))} themselves ({kinds}), which the load balancer never saw, carry"
        f" DSCP {_spoken(marked)}, which is its tag"
        + (": the servers answer them from the VIP, and clients do not know such answers" if stray else ""),
        in_order(case, who),
        [],
        sightings(found.values()),
        failed=max(seen.count for seen in found.values()),
        settle="which markings the network uses for other traffic; a tag that is none of them",
        severity="warning" if stray else "info",
        field="ip.dsfield.dscp",
        expected="no tag in packets that did not come from the load balancer",
        actual=_spoken(marked),
    )


# --- the way ----------------------------------------------------------------------------------------------------------


def _changed(case: Case) -> Iterator[Diagnosis]:
    """The mark behind the load balancer is another one when it reaches the server, which serves it nevertheless."""
    cells = [v for v in case.failed(".router.ip.dsfield.dscp") if v.severity == "error" and v.target is not None]
    if not cells:
        return
    scene, asked = case.scene, case.evidence.facts.requests.asked
    rips, lbs, servers = scene.ips("real-server"), scene.macs("lb"), scene.macs("real-server")
    sent = {p.tos >> 2 for p in asked if p.dst in rips and p.eth_src in lbs}
    came = {p.tos >> 2 for p in asked if p.dst in rips and p.eth_dst in servers}
    gone = bool(came) and came == {0}
    routers = names(scene.role("router"))
    failed, checked = sum(v.failed for v in cells), sum(v.checked for v in cells)
    how = remarking(sent, came - sent or came) if sent and came else ""
    yield Diagnosis(
        ("DSC502",) if gone else ("DSC503",),
        f"the DSCP of requests is not the same on both sides of {spoken(routers) or 'a router'} ({failed} of {checked}"
        f" packets): {_spoken(sent) or cells[0].expected} behind the load balancer, {_spoken(came) or cells[0].actual}"
        " at the servers" + (f"; {how}" if how else ""),
        routers,
        cells,
        failed=failed,
        among=checked,
        severity="warning",
        field="ip.dsfield.dscp",
        expected=_spoken(sent) or cells[0].expected,
        actual=_spoken(came) or cells[0].actual,
    )


def _ecn_lost(case: Case) -> Iterator[Diagnosis]:
    """The load balancer writes its tag as a whole octet."""
    cells = case.failed(".ip.dsfield.ecn", node="lb")
    cells = [v for v in cells if ".reply." not in v.cell]
    if not cells:
        return
    lbs = names(case.scene.role("lb"))
    failed, checked = sum(v.failed for v in cells), sum(v.checked for v in cells)
    yield Diagnosis(
        ("DSC508",),
        f"{balancer(case)} overwrites the ECN bits together with the DSCP ({failed} of {checked} packets:"
        f" {cells[0].expected} comes out as {cells[0].actual}), so congestion is not told between the ends",
        lbs,
        cells,
        failed=failed,
        among=checked,
        ruled_out={"DSC504": "the tag itself is right"},
        field="ip.dsfield.ecn",
        expected=cells[0].expected,
        actual=cells[0].actual,
    )


# --- notes ------------------------------------------------------------------------------------------------------------


def _in_replies(case: Case) -> Iterator[Diagnosis]:
    """SYN-ACKs and data that carry the tag back to the clients: tcp_reflect_tos."""
    tags = known_tags(case)
    leaked = {
        (mac, dscp): seen
        for (vip, mac, dscp), seen in case.evidence.facts.marks.in_replies.items()
        if vip in tags.get(dscp, ())
    }
    if not leaked:
        return
    servers = case.scene.macs("real-server")
    who = names(case.scene.party_of_mac(mac) for mac, _ in leaked if mac in servers)
    tag = _spoken({dscp for _, dscp in leaked})
    yield Diagnosis(
        ("DSC513",),
        f"{spoken(in_order(case, who)) or 'the servers'} {agreeing('put[s|]', len(who) or 2)} the tag into SYN-ACKs"
        f" and data too (DSCP {tag}): harmless, unless another server or a policer on the way back goes by it",
        in_order(case, who),
        case.failed(".reply.ip.dsfield.dscp"),
        sightings(leaked.values()),
        failed=max(seen.count for seen in leaked.values()),
        settle="sysctl net.ipv4.tcp_reflect_tos on the servers",
        severity="info",
        field="ip.dsfield.dscp",
        expected="0",
        actual=tag,
    )


def _above_the_hook(case: Case) -> Iterator[Diagnosis]:
    """A capture on the server, after the rewrite that leaves the checksum as it came."""
    above = case.evidence.facts.marks.above_hook
    if not above:
        return
    taps = spoken(sorted(case.taps[tap].name for tap in above))
    yield Diagnosis(
        ("DSC512",),
        f"{taps} shows requests after the server's own rewrite of the destination, whose checksum is still the one"
        " for the server's address: an artefact of where this capture was taken, if clients are served",
        names(case.scene.party(n) for tap in above if (n := case.taps[tap].node) is not None),
        case.failed(".l4.checksum"),
        sightings(above.values()),
        failed=sum(seen.count for seen in above.values()),
        ruled_out={"DSC516": "the checksum is right for the server's address, which the request was sent to"},
        severity="info",
        field="tcp.checksum",
    )


def _none_outside(case: Case) -> Iterator[Diagnosis]:
    """Marks inside and none outside: some load balancers mean to do that."""
    if any("TUN411" in d.codes for d in case.found):
        return
    outside = case.evidence.facts.marks.outside
    marked = {pair: seen for pair, seen in outside.items() if pair[0]}
    if not marked or any(outer for _, outer in outside):
        return
    lbs = names(case.scene.role("lb"))
    yield Diagnosis(
        ("TUN411",),
        f"{balancer(case)} does not copy DSCP and ECN of requests to the outer header"
        f" ({sum(seen.count for seen in marked.values())} packets): between it and the servers nobody sees them. Some"
        " load balancers always do so; IPVS copies them",
        lbs,
        [],
        sightings(marked.values()),
        failed=sum(seen.count for seen in marked.values()),
        severity="info",
        field="ip.dsfield",
        expected="as inside",
        actual="0",
    )


def _spoken(values: set[int]) -> str:
    return spoken(dscp_text(m) for m in sorted(values)) if values else ""
