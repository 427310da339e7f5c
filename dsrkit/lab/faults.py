"""Real misconfigurations, by the code of the fault catalogue: what is wrong, and what clients and captures show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.lab.job import Job
from dsrkit.lab.spoil import (
    Spoil,
    behind_balancer,
    both,
    commands,
    commands_at,
    no_room,
    other_port,
    other_proxy,
    rejecting,
    services,
    set_up_otherwise,
    table,
    unannounced,
    version_of,
)
from dsrkit.model.names import DIRECT_RETURN, Mode, did_you_mean
from dsrkit.setup.site import Site, address_of

Unfit = Callable[[Site], str | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A misconfiguration.

    `name` is the catalogue's, as craft has it. `modes` have it; `wrong` is what is misconfigured, `symptom` what
    clients see of it, `picture` what the captures show, by the catalogue. `spoil` does it to a job; `unfit` says why a
    set-up of these modes cannot have it. `hidden` is whether clients may get everything that they asked for, all the
    same.
    """

    name: str
    modes: tuple[Mode, ...]
    wrong: str
    symptom: str
    picture: str
    spoil: Spoil
    unfit: Unfit = lambda site: None
    hidden: bool = False


def faulty(code: str, site: Site, job: Job) -> Job:
    """The job with one misconfiguration.

    Raises: UsageError for a code that the lab cannot build, or not in this set-up.
    """
    return fault_of(code, site).spoil(site, job)


def fault_of(code: str, site: Site) -> Fault:
    """The misconfiguration of a code.

    Raises: UsageError as `faulty`.
    """
    found = FAULTS.get(code)
    here = {one: fault.name for one, fault in FAULTS.items() if site.mode in fault.modes}
    offered = ", ".join(f"{one} ({name})" for one, name in here.items()) or "none"
    if found is None:
        hint = did_you_mean(code.upper(), here) or did_you_mean(code.lower(), list(here.values()))
        raise UsageError(f"--fault: the lab has no {code!r} ({hint}{site.mode} has: {offered})")
    if site.mode not in found.modes:
        raise UsageError(f"--fault {code} belongs to {', '.join(found.modes)}; {site.mode} has: {offered}")
    if why := found.unfit(site):
        raise UsageError(f"--fault {code}: {why}")
    return found


def code_of(word: str) -> str:
    """The code that a word stands for, be it a code or a name, in any case; another word stays as it is."""
    codes = {fault.name: code for code, fault in FAULTS.items()}
    upper = word.upper()
    return upper if upper in FAULTS else codes.get(word.lower(), word)


# --- set-ups that cannot have a fault ---------------------------------------------------------------------------------


def _needs_ipv4(what: str) -> Unfit:
    return lambda site: f"IPv6 has no {what}; build it with --ip 4" if version_of(site) == 6 else None


def _needs_vip(site: Site) -> str | None:
    return "with --vip-on dnat no server has the VIP" if site.choices.vip_on == "dnat" else None


def _needs_ipv4_and_vip(site: Site) -> str | None:
    return _needs_vip(site) or _needs_ipv4("arp_ignore")(site)


def _needs_half_a_router(site: Site) -> str | None:
    one_armed = any(site.is_one_armed(node) for node in site.nodes("lb"))
    if site.choices.engine == "nft" and (one_armed or version_of(site) == 6):
        return "without IPVS, a load balancer of IPv6 or with one interface forwards both ways or neither"
    return None


def _needs_mss(site: Site) -> str | None:
    if any(port.proto == "udp" for port in site.spec.ports):
        return "UDP has no MSS; build it with a TCP service"
    return "it is about advmss; build it without --mss clamp" if site.choices.mss != "advmss" else None


# --- the catalogue ----------------------------------------------------------------------------------------------------


def _not_forwarding(site: Site, job: Job) -> Job:
    """IPVS sends requests itself, whatever ip_forward says; rules of nft need it on the clients' side."""
    if site.choices.engine == "nft":
        return commands("lb", "sysctl -q -w net/ipv4/conf/{inside}/forwarding=0")(site, job)
    return commands("lb", "sysctl -q -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")(site, job)


_NO_VIP: Final = commands("real-server", "ip address del {vip}/{length} dev lo")
_DEAD: Final = services(lambda site, node, server: None)
_TO_EVERY_RP_FILTER: Final = "for one in /proc/sys/net/ipv4/conf/*/rp_filter; do echo {} > $one; done"
_SILENT: Final = "connections to it time out"

FAULTS: Final[Mapping[str, Fault]] = {
    "ARP101": Fault(
        "vip-arp-answered-by-real-servers",
        ("l2dsr",),
        "arp_ignore and arp_announce are off at one real server",
        "nothing, or some requests reach it past the load balancer",
        "ARP replies for the VIP from two MACs",
        commands("real-server", "sysctl -q -w net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.arp_announce=0"),
        _needs_ipv4_and_vip,
        hidden=True,
    ),
    "ARP104": Fault(
        "takeover-not-announced",
        ("garp",),
        "the new owner has the VIP at lo, and announces it to nobody",
        "requests after the takeover time out until the router asks again",
        "adverts of the new owner, no gratuitous ARP, and frames to the old owner's MAC",
        unannounced,
    ),
    "ARP119": Fault(
        "vip-on-interface-of-real-server",
        ("l2dsr",),
        "the VIP is on one real server's own interface",
        "nothing, or some requests reach it past the load balancer",
        "ARP replies (neighbour advertisements) for the VIP from two MACs",
        commands("real-server", "ip address add {vip}/{length} dev {interface}{nodad}"),
        _needs_vip,
        hidden=True,
    ),
    "DNS603": Fault(
        "dead-server-still-answered",
        ("dns-rr",),
        "one server of the name is down",
        "every other connection is refused",
        "its address is in the answers, and its server sends RST",
        _DEAD,
    ),
    "DSC502": Fault(
        "dscp-bleached",
        ("l3dsr-dscp",),
        "the router bleaches the DSCP",
        "all requests time out",
        "the tag behind the load balancer, 0 at the servers, answers from their own addresses",
        commands_at(behind_balancer, table("forward", "{family} daddr != {vip} {family} dscp set 0", "mangle")),
    ),
    "DSC503": Fault(
        "dscp-remarked",
        ("l3dsr-dscp",),
        "the router re-marks the DSCP",
        "all requests time out",
        "the tag behind the load balancer, another at the servers, answers from their own addresses",
        commands_at(behind_balancer, table("forward", "{family} dscp != 0 {family} dscp set {remark}", "mangle")),
    ),
    "DSC510": Fault(
        "tag-rule-missing",
        ("l3dsr-dscp",),
        "the rule that restores the VIP is missing at one real server",
        "connections to it time out",
        "the tag arrives, and it answers from its own address",
        commands("real-server", "nft delete table {family} dsrkit_dscp"),
    ),
    "DSC511": Fault(
        "vip-missing-after-rewrite",
        ("l3dsr-dscp",),
        "the VIP is missing at one real server",
        _SILENT,
        "the tag arrives, and nothing comes back",
        _NO_VIP,
    ),
    "DSR301": Fault(
        "vip-missing-on-real-server",
        ("l2dsr",),
        "the VIP is missing at one real server",
        _SILENT,
        "requests arrive, and nothing comes back",
        _NO_VIP,
        _needs_vip,
    ),
    "DSR303": Fault(
        "daemon-bound-to-real-address",
        DIRECT_RETURN,
        "the service of one real server listens at its own address only",
        "connections to it are refused",
        "RST (UDP: ICMP port unreachable) from the VIP",
        services(lambda site, node, server: replace(server, address=address_of(node, version_of(site)))),
        _needs_vip,
    ),
    "DSR308": Fault(
        "reply-through-balancer",
        ("l2dsr",),
        "the gateway of one real server is the load balancer",
        "nothing: its replies take the long way",
        "its replies go to the load balancer's MAC, and appear there twice",
        both(
            commands("real-server", "ip -{version} route replace default via {lb}"),
            commands(
                "lb",
                "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
                "for one in /proc/sys/net/ipv4/conf/*/accept_local; do echo 1 > $one; done",
                _TO_EVERY_RP_FILTER.format(0),
            ),
        ),
        hidden=True,
    ),
    "DSR319": Fault(
        "server-firewall-rejects",
        ("nat", "fullnat", *DIRECT_RETURN),
        "the firewall of one real server rejects the service",
        "connections to it fail at once",
        "ICMP administratively prohibited for each request to it",
        rejecting,
    ),
    "DSR322": Fault(
        "request-lost-behind-balancer",
        ("l3dsr-dscp",),
        "the router checks the way back strictly (rp_filter)",
        "all requests time out",
        "requests leave the load balancer and arrive nowhere",
        commands("router", _TO_EVERY_RP_FILTER.format(1), every=True),
        _needs_ipv4("rp_filter"),
    ),
    "NAT212": Fault(
        "wrong-server-port",
        ("nat", "fullnat"),
        "the load balancer sends to another port than the servers'",
        "connections are refused",
        "another destination port behind the load balancer than the spec says, and RST from the servers",
        set_up_otherwise(other_port),
    ),
    "NAT213": Fault(
        "no-route-back",
        ("nat", *DIRECT_RETURN),
        "one real server has no default route",
        _SILENT,
        "requests arrive, and nothing comes back",
        commands("real-server", "ip -{version} route del default"),
    ),
    "NAT214": Fault(
        "replies-not-forwarded",
        ("nat",),
        "the load balancer does not forward what servers send",
        "all requests time out",
        "servers answer, and their replies end at the load balancer",
        _not_forwarding,
        _needs_half_a_router,
    ),
    "PRX801": Fault(
        "proxy-header-not-agreed",
        ("l7",),
        "the proxy sends a PROXY header that servers do not expect, or none where they do",
        "connections end without an answer, or with status 400",
        "the first octets of the proxy's own connections are not what the spec says",
        set_up_otherwise(other_proxy),
    ),
    "PRX805": Fault(
        "server-refuses-proxy",
        ("l7",),
        "one server is down",
        "every other connection waits, or ends without data",
        "RST for the proxy's connections to it",
        _DEAD,
    ),
    "TUN402": Fault(
        "inner-packet-dropped-by-rp-filter",
        ("l3dsr-tunnel",),
        "rp_filter is strict on the tunnel device of one real server",
        _SILENT,
        "outer packets arrive, and nothing comes back",
        commands("real-server", "sysctl -q -w net/ipv4/conf/dsr0/rp_filter=1"),
        _needs_ipv4("rp_filter"),
    ),
    "TUN403": Fault(
        "vip-missing-behind-tunnel",
        ("l3dsr-tunnel",),
        "the VIP is missing at one real server",
        _SILENT,
        "outer packets arrive, and nothing comes back",
        _NO_VIP,
    ),
    "TUN422": Fault(
        "decapsulation-device-down",
        ("l3dsr-tunnel",),
        "the tunnel device of one real server is down",
        "connections to it fail or time out",
        "ICMP port unreachable about the outer packet",
        commands("real-server", "ip link set dev dsr0 down"),
    ),
    "TUN423": Fault(
        "too-big-filtered",
        ("l3dsr-tunnel",),
        'servers announce the full MSS, and the router drops ICMP "too big"',
        "large requests hang",
        'ICMP "too big" from the VIP before the router and not behind it; the same segment again and again',
        no_room,
        _needs_mss,
    ),
}
