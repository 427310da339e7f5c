"""ICMP errors about outer headers: what they say of the server's end of the tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.evidence import IcmpError
from dsrkit.diagnose.pictures.common import Told, names, spoken
from dsrkit.diagnose.pictures.refusals import EXPIRED, PORT_UNREACHABLE, PROHIBITED, PROTOCOL_UNREACHABLE
from dsrkit.verify.connections import Connection
from dsrkit.verify.frames import UDP
from dsrkit.verify.scene import Party

_TUNNELS: Final = (4, 41, 47)


def outer_errors(case: Case) -> dict[str, list[IcmpError]]:
    """Errors about outer headers, by the server that these were addressed to."""
    out: dict[str, list[IcmpError]] = {}
    if case.mode != "l3dsr-tunnel":
        return out
    for error in case.evidence.facts.errors:
        party = case.scene.party_of_ip(error.quoted.dst)
        udp = error.quoted.proto == UDP and error.quoted.dst not in case.scene.vips
        if party is not None and party.role == "real-server" and (error.quoted.proto in _TUNNELS or udp):
            out.setdefault(party.name, []).append(error)
    return out


def about_tunnel(case: Case, server: Party, errors: list[IcmpError], members: list[Connection]) -> Iterator[Told]:
    """What an error about the outer header says of the server's end of the tunnel.

    Source: Linux 6.1 ip_local_deliver_finish (no handler), ipip_rcv, gre_rcv, gue_udp_recv (no device), __udp4_lib_rcv.
    """
    own = [e for e in errors if case.scene.party_of_ip(e.src) is server]
    error = (own or errors)[-1]
    kind = (error.version, error.type, error.code)
    frames = [e.frame for e in (own or errors)[:4]]
    if own and kind in PROTOCOL_UNREACHABLE:
        yield Told(
            ("TUN401",),
            "answer[s|] the tunnel's packets with ICMP 'protocol unreachable': no device there takes off the outer"
            " header",
            (server.name,),
            members,
            {
                "TUN422": "a device that is there but down answers 'port unreachable'",
                "TUN402": "a packet that is dropped behind the device draws no ICMP error",
            },
            frames=frames,
        )
    elif own and kind in PORT_UNREACHABLE:
        yield _device(case, server, own, members)
    elif kind in PROHIBITED and not own:
        routers = names([case.scene.party_of_ip(error.src)])
        yield Told(
            ("TUN409",),
            f"{spoken(routers) or case.scene.address(error.src)} refuses the tunnel's packets on their way to the"
            " servers: the outer protocol is filtered",
            routers,
            members,
            whole=True,
            frames=frames,
        )
    elif kind in PROHIBITED:
        yield Told(
            ("DSR319",), "reject[s|] the tunnel's packets: a firewall there", (server.name,), members, frames=frames
        )
    elif kind in EXPIRED:
        yield Told(
            ("TUN412",),
            "outer packets run out of TTL between load balancer and servers: the outer TTL is what is left of the"
            " client's",
            names(case.scene.role("lb")),
            members,
            {"DSR320": "the load balancer still sent the requests on"},
            whole=True,
            frames=frames,
        )


def _device(case: Case, server: Party, errors: list[IcmpError], members: list[Connection]) -> Told:
    """A FOU or GUE socket that took the packet has shortened the outer length before the error was made.

    Source: Linux 6.1 fou.c fou_recv_pull; recorded.
    """
    frames = [e.frame for e in errors[:4]]
    quoted = errors[-1].quoted
    down = (
        "ha[s|ve] a device that takes off the outer header, but it is down: ICMP 'port unreachable' about the outer"
        " packet"
    )
    if quoted.proto != UDP:
        return Told(
            ("TUN422", "TUN413"),
            f"{down}, or made for other ends",
            (server.name,),
            members,
            {"TUN401": "without any device for the protocol the error is 'protocol unreachable'"},
            "ip -d link show on the server: is the tunnel device up, and do its local, remote and key fit?",
            frames=frames,
        )
    sent = case.evidence.facts.requests.outer_lengths
    lengths = {n for (src, dst, _), known in sent.items() if (src, dst) == (quoted.src, quoted.dst) for n in known}
    if lengths and all(e.quoted.length not in lengths for e in errors):
        return Told(
            ("TUN422",),
            f"{down}, whose quoted length its socket has shortened",
            (server.name,),
            members,
            {"TUN413": "a port without a socket leaves the quoted length as it was sent"},
            frames=frames,
        )
    if lengths:
        return Told(
            ("TUN413", "TUN401"),
            "ha[s|ve] no socket for the tunnel's UDP packets: ICMP 'port unreachable', the quoted length as it was"
            " sent; port or variant differ from the load balancer's, or nothing was set up",
            (server.name,),
            members,
            {"TUN422": "a socket that took the packet would have shortened the quoted length"},
            "ss -lun and ip fou show on the server",
            frames=frames,
        )
    return Told(
        ("TUN413", "TUN422", "TUN401"),
        "answer[s|] the tunnel's UDP packets with ICMP 'port unreachable': no socket for the port, or its device is"
        " down",
        (server.name,),
        members,
        settle="a tap behind the load balancer shows whether the quoted length is the one that was sent",
        frames=frames,
    )


def fleet(case: Case, told: list[Told]) -> Iterator[Told]:
    """Where every server refuses the tunnel alike, the load balancer's end of it is as likely to be the wrong one."""
    servers = set(names(case.servers()))
    for code, swapped in (("TUN401", ("TUN401", "TUN413")), ("TUN422", ("TUN413", "TUN422"))):
        alike = [one for one in told if one.codes[0] == code]
        if servers and {w for one in alike for w in one.who} == servers and len(servers) > 1:
            for one in alike:
                if code == "TUN401" or len(one.codes) > 1:
                    one.codes = swapped
                    one.settle = "ipvsadm -Ln --tun-info on the load balancer, ip -d link show on a server"
    yield from told
