"""A RST or an ICMP error instead of an answer: who says no, on behalf of whom, and about which packet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import (
    Told,
    balancer,
    diagnoses,
    forwarded,
    grouped,
    names,
    odd_ports,
    spoken,
    unanswered,
)
from dsrkit.diagnose.pictures.expired import expired, no_neighbour
from dsrkit.diagnose.pictures.refusals import (
    EXPIRED,
    HOST_UNREACHABLE,
    PORT_UNREACHABLE,
    PROHIBITED,
    PROTOCOL_UNREACHABLE,
    Kind,
    Who,
)
from dsrkit.diagnose.pictures.tunnel_refused import about_tunnel, fleet, outer_errors
from dsrkit.verify.connections import Connection, Refusal
from dsrkit.verify.frames import INITIAL_TTLS, TCP
from dsrkit.verify.journeys import PLAIN
from dsrkit.verify.verdicts import Verdict

_NAT: Final = ("nat", "fullnat")


def refused(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis per kind of refusal; machines that refuse for the same reason are one."""
    found = unanswered(case.failed(".answered", ".appears"))
    cells = {id(c): v for c, v in found}
    outer = outer_errors(case)
    told: list[Told] = []
    rest: list[Connection] = []
    for members in grouped((c for c, _ in found), lambda c: c.server).values():
        server = case.server_of(members[0])
        errors = outer.get(server.name, []) if server is not None else []
        if errors and server is not None:
            told += about_tunnel(case, server, errors, members)
        else:
            rest += members
    groups = grouped((c for c in rest if c.refusal is not None), lambda c: _key(case, c, cells[id(c)]))
    for (server_name, who, kind, icmp), members in groups.items():
        one = _told(case, server_name, who, kind, icmp, members)
        if one is not None:
            told.append(one)
    for diagnosis in diagnoses(case, _one_firewall([*fleet(case, told)]), cells):
        if diagnosis.codes[0] == "DSR306":
            diagnosis.symptoms += case.failed(".lb.eth.dst")
        yield diagnosis


def _one_firewall(told: list[Told]) -> list[Told]:
    """Firewalls that reject in several ways, by RST here and by an ICMP error there, have one set of rules."""
    alike = [one for one in told if one.codes[0] == "DSR319"]
    codes = tuple(dict.fromkeys(code for one in alike for code in one.codes))
    for one in alike:
        one.codes = codes
        one.ruled_out = {code: why for code, why in one.ruled_out.items() if code not in codes}
    return told


# --- who says so ------------------------------------------------------------------------------------------------------


def _key(case: Case, c: Connection, cell: Verdict) -> tuple[str, Who, str, Kind]:
    server = case.server_of(c)
    assert c.refusal is not None
    return (server.name if server is not None else "", _who(case, c, c.refusal, cell), c.refusal.kind, c.refusal.icmp)


def _who(case: Case, c: Connection, r: Refusal, cell: Verdict) -> Who:
    """Who refuses. A load balancer passes on what servers say, in the VIP's name: it refuses by itself only what it
    was not seen to forward."""
    scene = case.scene
    party = scene.party_of_mac(r.sender)
    if party is not None and party.role == "real-server":
        return "server"
    if scene.party_of_ip(r.source) in case.servers():
        return "server"
    if party is not None and party.role == "lb" and not forwarded(c):
        alone = cell.cell.endswith(".lb.appears") and case.shows_output(cell)
        made_here = r.kind == "rst" and r.ttl in INITIAL_TTLS
        return "balancer" if alone or made_here or scene.party_of_ip(r.source) is party else "balancer or server"
    if scene.party_of_ip(r.source) in scene.role("lb") and not forwarded(c):
        return "balancer"
    if r.source in scene.vips or (party is not None and party.role == "lb"):
        if forwarded(c):
            return "server"
        alone = cell.cell.endswith(".lb.appears") and case.shows_output(cell)
        return "balancer" if alone else "balancer or server"
    return "router" if scene.party_of_ip(r.source) in scene.role("router") else "other"


# --- what it says -----------------------------------------------------------------------------------------------------


def _told(case: Case, server: str, who: Who, kind: str, icmp: Kind, members: list[Connection]) -> Told | None:
    who_names = (server,) if server else ()
    if who == "balancer":
        return _balancer(case, kind, icmp, members)
    if icmp in EXPIRED and kind == "icmp":
        return expired(case, who, members)
    if who in ("router", "other"):
        return None  # what a machine on the way says is not about this service alone
    if who == "balancer or server":
        return _somebody(case, kind, icmp, members)
    if kind == "rst":
        return _reset(case, who_names, members)
    if case.mode in _NAT and server:
        lost = _untranslated(case, server, members)
        if lost is not None:
            return lost
    if case.mode == "l3dsr-tunnel" and all(_relayed(case, c) for c in members):
        return _relayed_tunnel(case, who_names, icmp, members)
    if icmp in PORT_UNREACHABLE and all(c.proto != TCP for c in members):
        closed = ("NAT212", "DSR319") if case.mode in _NAT else ("DSR303", "DSR307", "DSR319")
        what = "answer[s|] 'port unreachable': no daemon takes datagrams there for "
        what += "that port" if case.mode in _NAT else "the VIP on that port"
        return Told(
            closed,
            f"{what}, or a firewall rejects them",
            who_names,
            members,
            settle="ss -lun and nft list ruleset on the server",
        )
    text = members[0].refusal.text.split(" from ")[0] if members[0].refusal is not None else ""
    return Told(
        ("DSR319",),
        f"reject[s|] connections with {text}: a firewall's answer",
        who_names,
        members,
        {"DSR303": "a closed TCP port answers with a RST"},
    )


def _relayed(case: Case, c: Connection) -> bool:
    """Whether the error about a client's packet was made by the load balancer, of one about the outer packet."""
    return c.refusal is not None and c.refusal.sender not in case.scene.macs("real-server")


def _relayed_tunnel(case: Case, who: tuple[str, ...], icmp: Kind, members: list[Connection]) -> Told:
    settle = "a tap at the server, or at the load balancer, shows the original error and what it quotes"
    if icmp in PROTOCOL_UNREACHABLE:
        what = "refuse[s|] the tunnel's protocol (ICMP 'protocol unreachable', passed on by the load balancer)"
        return Told(("TUN401",), f"{what}: no device there takes off the outer header", who, members)
    if icmp in PORT_UNREACHABLE:
        codes: tuple[str, ...] = ("TUN422", "TUN413", "DSR319")
        if all(c.proto != TCP for c in members):
            codes = ("TUN422", "TUN413", "DSR303", "DSR319")
        what = "refuse[s|] what comes through the tunnel (ICMP 'port unreachable' in the VIP's name)"
        return Told(codes, what, who, members, settle=settle)
    return Told(
        ("DSR319", "TUN409"),
        "(or a firewall in front) reject[s|] what comes through the tunnel",
        who,
        members,
        settle=settle,
    )


def _balancer(case: Case, kind: str, icmp: Kind, members: list[Connection]) -> Told | None:
    lbs = names(case.scene.role("lb"))
    who = balancer(case)
    if kind == "icmp" and icmp in EXPIRED:
        return expired(case, "balancer", members)
    if kind == "icmp" and icmp in HOST_UNREACHABLE:
        return no_neighbour(case, members)
    how = "resets" if kind == "rst" else "refuses"
    return Told(
        ("HCK706",),
        f"{who} {how} connections to the VIP itself and sends nothing on: no real server stands behind it, or the"
        " load balancer's own firewall rejects",
        lbs,
        members,
        {"DSR303": "the request never left the load balancer"},
        "ipvsadm -Ln: are there servers with weight above 0?",
        whole=True,
    )


def _somebody(case: Case, kind: str, icmp: Kind, members: list[Connection]) -> Told | None:
    """Refused in the VIP's name, and no tap shows whether the request was sent on before."""
    codes: tuple[str, ...]
    if kind == "rst":
        codes = ("NAT212", "DSR319", "HCK706") if case.mode in _NAT else ("DSR303", "DSR307", "DSR319", "HCK706")
        firewall = _made_by_firewall(members)
        if firewall:
            codes = ("DSR319",)
    elif icmp in PROTOCOL_UNREACHABLE and case.mode == "l3dsr-tunnel":
        codes = ("TUN401",)
    elif icmp in PORT_UNREACHABLE and case.mode == "l3dsr-tunnel":
        codes = ("HCK706", "TUN422", "TUN413", "DSR319")
    elif icmp in PORT_UNREACHABLE:
        codes = ("HCK706", "DSR319") if any(c.proto == TCP for c in members) else ("HCK706", "DSR303", "DSR319")
    elif icmp in PROHIBITED:
        codes = ("DSR319",)
    elif icmp in HOST_UNREACHABLE and case.mode == "l2dsr":
        codes = ("DSR306",)
    else:
        return None
    text = members[0].refusal.text.split(" from ")[0] if members[0].refusal is not None else ""
    return Told(
        codes,
        f"connections get {text} in the VIP's name, from the load balancer or a server behind it",
        (),
        members,
        settle="a tap behind the load balancer shows whether it sends these requests on",
        whole=True,
    )


def _made_by_firewall(members: Iterable[Connection]) -> Connection | None:
    """A connection whose SYN had a TOS and whose RST has none; None if another one's RST copies it.

    A closed port copies the SYN's TOS into its RST, a firewall's reject writes 0. Source: Linux 6.1
    tcp_v4_send_reset, nf_reject_ip_tcphdr_put; recorded.
    """
    marked = [c for c in members if c.last_tos >> 2 and c.refusal is not None and c.refusal.kind == "rst"]
    copied = [c for c in marked if c.refusal is not None and c.refusal.tos >> 2 == c.last_tos >> 2]
    cleared = [c for c in marked if c.refusal is not None and c.refusal.tos >> 2 == 0]
    return cleared[0] if cleared and not copied else None


def _copied_tos(members: Iterable[Connection]) -> bool:
    marked = [c for c in members if c.last_tos >> 2 and c.refusal is not None]
    return bool(marked) and all(c.refusal is not None and c.refusal.tos >> 2 == c.last_tos >> 2 for c in marked)


def _reset(case: Case, who: tuple[str, ...], members: list[Connection]) -> Told:
    firewall = _made_by_firewall(members)
    nat = case.mode in _NAT
    if firewall is not None:
        return Told(
            ("DSR319",),
            "reject[s|] connections with a RST that a firewall made: its TOS is 0 although the SYN's was"
            f" {firewall.last_tos:#04x}",
            who,
            members,
            {"NAT212" if nat else "DSR303": "a closed port copies the SYN's TOS into its RST"},
        )
    if nat:
        return _closed_behind_nat(case, who, members)
    if _copied_tos(members):
        return Told(
            ("DSR303", "DSR307"),
            "ha[s|ve] the VIP, but nothing listens there for it on that port: the RST carries the SYN's TOS, as a"
            " closed port's does",
            who,
            members,
            {"DSR319": "a firewall's RST has TOS 0", "DSR301": "a server without the VIP stays silent"},
            "ss -ltn on the server: does the daemon listen on the VIP or on all addresses, and on this port?",
        )
    return Told(
        ("DSR303", "DSR307", "DSR319"),
        "reset[s|] connections to the VIP: nothing listens for it on that port, or a firewall rejects",
        who,
        members,
        {"DSR301": "a server without the VIP stays silent"},
        "ss -ltn and nft list ruleset on the server; a SYN with a TOS tells, too: a closed port copies it into its RST",
    )


def _untranslated(case: Case, server: str, members: list[Connection]) -> Told | None:
    """A server's error that the load balancer sends on as it is, or not at all."""
    scene = case.scene
    lbs = scene.macs("lb") | case.senders_to_servers()
    party = scene.party(server)
    own = [e for e in case.evidence.facts.errors if scene.party_of_ip(e.src) is party]
    in_front = {tap for c in members for tap, (asked, _) in c.asked.items() if asked <= scene.vips}
    bare = [e for e in own if e.eth_src in scene.macs("lb") or e.frame[0] in in_front]
    told = [e for e in case.evidence.facts.errors if e.src in scene.vips or e.quoted.dst in scene.vips]
    outside = any(p.form == PLAIN and case.at_balancer(p.tap) for c in members for p in c.reached)
    outside = outside or case.sees_replies(members)
    ended = outside and any(e.eth_dst in lbs for e in own)
    if not bare and (told or not ended):
        return None
    names_of_lb = balancer(case)
    done = "passes it on untranslated, with the server's address in it" if bare else "does not pass it on to the client"
    text = members[0].refusal.text.split(" from ")[0] if members[0].refusal is not None else "an ICMP error"
    return Told(
        ("NAT209", "DSR319"),
        f"{server} rejects connections with {text}, and {names_of_lb} {done}, so that clients go on trying",
        (*names(scene.role("lb")), server),
        members,
        settle="ip_vs and conntrack counters on the load balancer; nft list ruleset on the server",
        whole=True,
        frames=[e.frame for e in (bare or own)[:4]],
    )


def _closed_behind_nat(case: Case, who: tuple[str, ...], members: list[Connection]) -> Told:
    """NAT may send to a port of its own choice: then another server's port is the better guess."""
    odd = odd_ports(case, who)
    what = "reset[s|] connections: nothing listens on the port that the load balancer sends to"
    if odd is not None:
        mine, others = odd
        what += f" ({spoken(map(str, sorted(mine)))}, at other servers {spoken(map(str, sorted(others)))})"
    ruled = {"DSR319": "a firewall's RST has TOS 0"} if _copied_tos(members) else {}
    codes = ("NAT212",) if ruled or odd is not None else ("NAT212", "DSR319")
    return Told(codes, what, who, members, ruled, "ss -ltn on the server, ipvsadm -Ln on the load balancer")
