"""A RST or an ICMP error instead of an answer: who says no, on behalf of whom, and about which packet."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import frames_of, grouped, names, share, spoken, unanswered
from dsrkit.verify.connections import Connection, Refusal
from dsrkit.verify.frames import TCP
from dsrkit.verify.scene import Party
from dsrkit.verify.verdicts import Verdict

_PROTOCOL_UNREACHABLE = ((4, 3, 2), (6, 4, 1))
_PORT_UNREACHABLE = ((4, 3, 3), (6, 1, 4))
_PROHIBITED = ((4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1))
_EXPIRED = ((4, 11, 0), (6, 3, 0))

Key = tuple[str, tuple[int, int, int], bool, str]


def refused(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis per kind of refusal; servers that refuse alike are one."""
    found = unanswered(v for v in case.failed(".answered", ".appears"))
    by_verdict = {id(c): v for c, v in found}
    groups = grouped((c for c, _ in found if c.refusal is not None), lambda c: _kind(case, c))
    for (kind, icmp, wrapped, who), members in groups.items():
        symptoms = list({id(by_verdict[id(c)]): by_verdict[id(c)] for c in members}.values())
        diagnosis = _name(case, kind, icmp, wrapped, who, members, symptoms)
        if diagnosis is not None:
            yield diagnosis


def _kind(case: Case, c: Connection) -> Key:
    """What refuses, and who does it: the load balancer, a real server, another machine."""
    r = c.refusal
    assert r is not None
    wrapped = r.quoted is not None and r.quoted.wrapped
    return r.kind, r.icmp, wrapped, _who(case, c, r)


def _who(case: Case, c: Connection, r: Refusal) -> str:
    party = case.scene.party_of_mac(r.sender)
    if party is not None and party.role in ("lb", "real-server", "client"):
        return party.role
    if case.scene.party_of_ip(r.source) in case.servers():
        return "real-server"
    return "vip" if r.source in case.scene.vips else "other"


def _name(
    case: Case,
    kind: str,
    icmp: tuple[int, int, int],
    wrapped: bool,
    who: str,
    members: list[Connection],
    symptoms: list[Verdict],
) -> Diagnosis | None:
    servers = [p for p in dict.fromkeys(names(case.server_of(c) for c in members))]
    parties = [p for p in case.servers() if p.name in servers]
    lbs = names(case.scene.role("lb"))
    among, part = share(case, len(members), parties)
    said = members[0].refusal.text if members[0].refusal is not None else ""
    base = Diagnosis((), "", tuple(servers), symptoms, frames_of(members), len(members), among, actual=said)
    base.expected = "an answer"
    where = spoken(servers) if servers else "the real servers"
    if kind == "rst":
        return _reset(case, base, who, members, where, part, lbs)
    if icmp in _PROTOCOL_UNREACHABLE and wrapped:
        base.codes = ("TUN401",)
        base.message = (
            f"{where}: the kernel answers the outer packets with ICMP protocol unreachable: no device there takes the"
            f" tunnel's packets out of their outer header ({part})"
        )
        base.ruled_out = {
            "TUN422": "a device that is there but down answers with port unreachable",
            "TUN402": "a packet dropped behind the device draws no ICMP error",
        }
        return base
    if icmp in _PORT_UNREACHABLE and wrapped:
        return _tunnel_port(base, members, where, part)
    if icmp in _PORT_UNREACHABLE:
        return _closed_datagram_port(case, base, who, members, where, part, lbs)
    if icmp in _PROHIBITED:
        return _prohibited(case, base, who, wrapped, where, part)
    if icmp in _EXPIRED:
        return _expired(case, base, who, wrapped, members, where, part, lbs)
    return None


def _reset(
    case: Case, base: Diagnosis, who: str, members: list[Connection], where: str, part: str, lbs: tuple[str, ...]
) -> Diagnosis | None:
    """A closed port copies the SYN's TOS into its RST, a firewall's reject writes 0. Source: tcp_v4_send_reset,
    nf_send_reset, Linux 6.1; recorded b17."""
    if who == "lb":
        base.codes, base.nodes = ("HCK706",), lbs
        base.message = f"{spoken(lbs)} refuses connections to the VIP itself: no real server stands behind it ({part})"
        return base
    if case.mode in ("nat", "fullnat"):
        base.codes = ("NAT212", "DSR319")
        base.message = f"{where} resets connections: nothing listens on the port that the load balancer sends to ({part})"
        return base
    marked = [c for c in members if c.last_tos >> 2]
    copied = [c for c in marked if c.refusal is not None and c.refusal.tos == c.last_tos]
    cleared = [c for c in marked if c.refusal is not None and c.refusal.tos == 0]
    if cleared and not copied:
        base.codes = ("DSR319",)
        base.message = (
            f"{where} rejects connections to the VIP with a RST that a firewall makes: its TOS is 0 although the SYN's"
            f" was {cleared[0].last_tos:#04x} ({part})"
        )
        base.ruled_out = {"DSR303": "a closed port copies the SYN's TOS into its RST"}
        return base
    if copied and not cleared:
        base.codes = ("DSR303", "DSR307")
        base.message = (
            f"{where} has the VIP, but nothing listens there on the port that was asked ({part}): the RST carries the"
            " SYN's TOS, as a closed port's does"
        )
        base.ruled_out = {"DSR319": "a firewall's RST has TOS 0"}
        return base
    base.codes = ("DSR303", "DSR307", "DSR319")
    base.message = f"{where} resets connections to the VIP ({part}): the port is closed there, or a firewall rejects"
    base.settle = "ss -ltn and nft list ruleset on the server; a SYN with a TOS shows it in the TOS of the RST"
    return base


def _tunnel_port(base: Diagnosis, members: list[Connection], where: str, part: str) -> Diagnosis:
    """A FOU/GUE socket that took the packet has shortened the outer length before the error was made.

    Source: fou.c fou_recv_pull, Linux 6.1; recorded.
    """
    shortened = [c for c in members if c.refusal is not None and c.refusal.quoted is not None and _is_short(c.refusal)]
    udp = any(c.refusal is not None and c.refusal.quoted is not None and c.refusal.quoted.proto == 17 for c in members)
    if udp and not shortened:
        base.codes = ("TUN413",)
        base.message = f"{where}: no socket takes the tunnel's UDP packets: port or variant differ from the balancer's ({part})"
        return base
    base.codes = ("TUN422", "TUN413") if not udp else ("TUN422",)
    base.message = f"{where}: the device that takes packets out of the tunnel is there, but down ({part})"
    base.ruled_out = {"TUN401": "without any device for the protocol the error is protocol unreachable"}
    return base


def _is_short(refusal: Refusal) -> bool:
    # The length that was sent is not kept here; a quoted datagram shorter than its own headers' sum was pulled.
    return refusal.quoted is not None and refusal.quoted.length < 20 + 8 + 20


def _closed_datagram_port(
    case: Case, base: Diagnosis, who: str, members: list[Connection], where: str, part: str, lbs: tuple[str, ...]
) -> Diagnosis:
    if who == "lb" or (not base.nodes and who == "vip"):
        base.codes, base.nodes = ("HCK706",), lbs
        base.message = f"{spoken(lbs) or 'the load balancer'} answers port unreachable: no real server stands behind the VIP ({part})"
        return base
    tcp = any(c.proto == TCP for c in members)
    base.codes = ("DSR319",) if tcp else ("DSR303", "DSR319")
    base.message = f"{where} answers port unreachable for the VIP ({part})"
    return base


def _prohibited(case: Case, base: Diagnosis, who: str, wrapped: bool, where: str, part: str) -> Diagnosis:
    if wrapped and who != "real-server":
        base.codes = ("TUN409",)
        base.message = f"a router on the way to {where} prohibits the tunnel's packets ({part})"
        return base
    base.codes = ("DSR319",)
    base.message = f"{where}: a firewall rejects the requests with an ICMP error ({part})"
    return base


def _expired(
    case: Case,
    base: Diagnosis,
    who: str,
    wrapped: bool,
    members: list[Connection],
    where: str,
    part: str,
    lbs: tuple[str, ...],
) -> Diagnosis:
    bouncing = [p for p in case.servers() if any(mac in case.evidence.facts.re_emitted for mac in p.macs)]
    if bouncing:
        return _loop(case, base, bouncing, part)
    if wrapped:
        base.codes = ("TUN412",)
        base.message = f"the outer packets to {where} run out of TTL on the way ({part})"
        return base
    base.codes, base.nodes = ("DSR320",), lbs
    base.message = f"requests reach {spoken(lbs) or 'the load balancer'} with their last TTL and end there ({part})"
    return base


def _loop(case: Case, base: Diagnosis, bouncing: list[Party], part: str) -> Diagnosis:
    base.codes, base.nodes = ("DSR302",), names(bouncing)
    base.message = (
        f"{spoken(base.nodes)} does not own the VIP and forwards instead: the same packets come back from it with"
        f" falling TTL until they expire ({part})"
    )
    base.ruled_out = {
        "DSR301": "a server that neither owns the VIP nor forwards stays silent",
        "DSR320": "the TTL falls in a loop, between the same two machines",
    }
    for party in bouncing:
        for mac in party.macs:
            base.frames += case.evidence.facts.re_emitted[mac].frames if mac in case.evidence.facts.re_emitted else []
    return base
