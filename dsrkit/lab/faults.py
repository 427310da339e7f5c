"""Real misconfigurations, by the code of the fault catalogue: what is wrong with a machine once it has been set up.

`{vip}`, `{gateway}` and the like stand in the commands for what the set-up has; each runs in its machine's shell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.lab.job import Job, Request, Step
from dsrkit.model.names import DIRECT_RETURN, Mode
from dsrkit.model.spec import SpecNode
from dsrkit.setup.render import family
from dsrkit.setup.site import Site, address_of

BIG: Final = 20_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A misconfiguration: the modes that have it, what is wrong, what one sees, and how a job is spoiled by it."""

    modes: tuple[Mode, ...]
    wrong: str
    symptom: str
    spoil: Callable[[Site, Job], Job]


def faulty(code: str, site: Site, job: Job) -> Job:
    """The job with one misconfiguration.

    Raises: UsageError for a code that the lab cannot build, or not in this mode.
    """
    return fault_of(code, site).spoil(site, job)


def fault_of(code: str, site: Site) -> Fault:
    """The misconfiguration of a code.

    Raises: UsageError as `faulty`.
    """
    found = FAULTS.get(code)
    if found is None:
        near = get_close_matches(code.upper(), FAULTS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"--fault: the lab has no {code!r} ({hint}one of: {', '.join(FAULTS)})")
    if site.mode not in found.modes:
        here = [one for one, fault in FAULTS.items() if site.mode in fault.modes]
        raise UsageError(
            f"--fault {code} belongs to {', '.join(found.modes)}; {site.mode} has {', '.join(here) or 'none'}"
        )
    return found


# --- ways to spoil a job --------------------------------------------------------------------------------------------


def _commands(role: str, *texts: str, every: bool = False) -> Callable[[Site, Job], Job]:
    """Shell commands at the first machine of a role, or at all of them."""

    def spoil(site: Site, job: Job) -> Job:
        nodes = site.nodes(role)
        if not nodes:
            raise UsageError(f"--fault: the set-up has no node of role {role}")
        chosen = nodes if every else nodes[:1]
        return replace(job, faults={node.name: tuple(_filled(site, node, text) for text in texts) for node in chosen})

    return spoil


def _filled(site: Site, node: SpecNode, text: str) -> str:
    vip = site.spec.vips[0] if site.spec.vips else ""
    version = ip_address(vip).version if vip else int(site.options.ip)
    lb = site.nodes("lb")
    return text.format(
        vip=vip,
        length=32 if version == 4 else 128,
        version=version,
        family=family(vip) if vip else "ip",
        ports=", ".join(sorted({str(port.rport) for port in site.spec.ports})),
        lb=address_of(lb[0], version) if lb else "",
        iptables="iptables-legacy" if version == 4 else "ip6tables-legacy",
    )


def _filtered(role: str, nft: str, iptables: str, *before: str, every: bool = False) -> Callable[[Site, Job], Job]:
    """A packet filter, in the language that the engine's kernel has."""

    def spoil(site: Site, job: Job) -> Job:
        rule = nft if site.choices.firewall == "nft" else iptables
        return _commands(role, *before, rule, every=every)(site, job)

    return spoil


def _table(hook: str, rule: str, priority: str = "0") -> str:
    lines = (
        "table {family} lab_fault {{",
        "chain c {{",
        f"type filter hook {hook} priority {priority}",
        rule,
        "}}",
        "}}",
    )
    return "nft '" + "\n".join(lines) + "'"


def _servers(site: Site, job: Job, **change: object) -> Job:
    """The first real server's services, changed."""
    first = site.nodes("real-server")[0].name
    return replace(
        job,
        servers=tuple(replace(one, **change) if one.node == first else one for one in job.servers),  # type: ignore[arg-type]
    )


def _bound_to_itself(site: Site, job: Job) -> Job:
    first = site.nodes("real-server")[0]
    return _servers(site, job, address=address_of(first, ip_address(site.spec.vips[0]).version))


def _other_port(site: Site, job: Job) -> Job:
    return replace(job, servers=tuple(replace(one, port=one.port + 1) for one in job.servers))


def _no_service(site: Site, job: Job) -> Job:
    first = site.nodes("real-server")[0].name
    return replace(job, servers=tuple(one for one in job.servers if one.node != first))


def _other_proxy(site: Site, job: Job) -> Job:
    return replace(job, servers=tuple(replace(one, proxy=not one.proxy) for one in job.servers))


_RETIRE: Final = "nft delete table netdev dsrkit_lb 2>/dev/null || ipvsadm -C"
"""Or the old owner would go on balancing what still comes to it."""


def _unannounced(site: Site, job: Job) -> Job:
    """The VIP moves by hand, and nobody is told: the kernel itself announces no address (arp_notify=0)."""
    first, second = site.nodes("lb")[:2]
    device = site.client_side(first).name, site.client_side(second).name
    own = f"{site.spec.vips[0]}/{32 if ip_address(site.spec.vips[0]).version == 4 else 128}"
    stop: dict[str, tuple[str, ...]] = {
        node.name: (f"pkill -F {site.state(node)}/keepalived.pid; sleep 1",) for node in (second, first)
    }
    stop[first.name] += (f"ip address replace {own} dev {device[0]}",)
    at = next(number for number, step in enumerate(job.steps) if step.label.startswith("takeover"))
    moved = (
        Step(f"{first.name} gives the VIP up", first.name, command=f"ip address del {own} dev {device[0]}; {_RETIRE}"),
        Step(f"{second.name} takes it, silently", second.name, command=f"ip address replace {own} dev {device[1]}"),
    )
    return replace(job, faults=stop, steps=(*job.steps[:at], *moved, *job.steps[at + 1 :]))


def _big_requests(spoil: Callable[[Site, Job], Job]) -> Callable[[Site, Job], Job]:
    """With requests of several full segments, since small ones fit a tunnel."""

    def bigger(site: Site, job: Job) -> Job:
        job = spoil(site, job)
        return replace(job, steps=tuple(replace(one, requests=tuple(map(_bigger, one.requests))) for one in job.steps))

    return bigger


def _bigger(request: Request) -> Request:
    return replace(request, up=BIG)


_NO_TOO_BIG: Final = _filtered(
    "router",
    _table("forward", "icmp type destination-unreachable icmp code frag-needed drop"),
    "{iptables} -I FORWARD -p icmp --icmp-type fragmentation-needed -j DROP",
)


def _no_room(site: Site, job: Job) -> Job:
    """No server announces a smaller MSS, and the router drops "too big" on its way to the client."""
    forget = "ip -{version} route show default | sed 's/ advmss [0-9]*//' | xargs ip -{version} route replace"
    servers = _commands("real-server", forget, every=True)(site, job).faults
    return replace(job, faults={**servers, **_NO_TOO_BIG(site, job).faults})


FAULTS: Final[Mapping[str, Fault]] = {
    "ARP101": Fault(
        ("l2dsr",),
        "arp_ignore and arp_announce are off at one real server",
        "it answers ARP for the VIP; requests may reach it past the load balancer",
        _commands("real-server", "sysctl -q -w net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.arp_announce=0"),
    ),
    "ARP104": Fault(
        ("garp",),
        "the new owner of the VIP announces nothing",
        "the router goes on sending to the old owner's MAC address",
        _unannounced,
    ),
    "DNS603": Fault(("dns-rr",), "one server of the name is down", "every other connection is refused", _no_service),
    "DSC502": Fault(
        ("l3dsr-dscp",),
        "the router bleaches the DSCP",
        "servers answer from their own address",
        _commands("router", _table("forward", "{family} daddr != {vip} {family} dscp set 0", "mangle")),
    ),
    "DSC503": Fault(
        ("l3dsr-dscp",),
        "the router re-marks the DSCP",
        "servers answer from their own address",
        _commands("router", _table("forward", "{family} dscp != 0 {family} dscp set 42", "mangle")),
    ),
    "DSC510": Fault(
        ("l3dsr-dscp",),
        "the rule that restores the VIP is missing at one real server",
        "it answers from its own address",
        _commands("real-server", "nft delete table {family} dsrkit_dscp"),
    ),
    "DSC511": Fault(
        ("l3dsr-dscp",),
        "the VIP is missing at one real server",
        "connections to it time out",
        _commands("real-server", "ip address del {vip}/{length} dev lo"),
    ),
    "DSR301": Fault(
        ("l2dsr",),
        "the VIP is missing at one real server",
        "connections to it time out",
        _commands("real-server", "ip address del {vip}/{length} dev lo"),
    ),
    "DSR303": Fault(
        DIRECT_RETURN,
        "the service of one real server listens at its own address only",
        "connections to it are refused, by the VIP",
        _bound_to_itself,
    ),
    "DSR308": Fault(
        ("l2dsr",),
        "the gateway of one real server is the load balancer",
        "its replies go through the load balancer",
        lambda site, job: replace(
            job,
            faults={
                **_commands("real-server", "ip -{version} route replace default via {lb}")(site, job).faults,
                **_commands(
                    "lb",
                    "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
                    "for one in /proc/sys/net/ipv4/conf/*/accept_local; do echo 1 > $one; done",
                    "for one in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $one; done",
                )(site, job).faults,
            },
        ),
    ),
    "DSR319": Fault(
        ("nat", "fullnat", *DIRECT_RETURN),
        "the firewall of one real server rejects the service",
        "connections to it are refused",
        _filtered(
            "real-server",
            _table("input", "meta l4proto {{ tcp, udp }} th dport {{ {ports} }} reject"),
            "for port in $(echo {ports} | tr -d ,); do {iptables} -I INPUT -p tcp --dport $port -j REJECT; done",
        ),
    ),
    "DSR322": Fault(
        ("l3dsr-dscp",),
        "the router checks the way back strictly (rp_filter)",
        "it drops what the load balancer sends with the client's address",
        _commands("router", "for one in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $one; done", every=True),
    ),
    "NAT212": Fault(("nat", "fullnat"), "the servers listen at another port", "connections are refused", _other_port),
    "NAT213": Fault(
        ("nat", *DIRECT_RETURN),
        "one real server has no default route",
        "connections to it time out",
        _commands("real-server", "ip -{version} route del default"),
    ),
    "NAT214": Fault(
        ("nat",),
        "the load balancer does not forward (ip_forward=0)",
        "servers answer, and their replies end at the load balancer",
        _commands("lb", "sysctl -q -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"),
    ),
    "PRX801": Fault(
        ("l7",),
        "proxy and servers disagree about the PROXY header",
        "servers break off, or answer 400",
        _other_proxy,
    ),
    "PRX805": Fault(("l7",), "one server is down", "every other connection waits, or ends without data", _no_service),
    "TUN402": Fault(
        ("l3dsr-tunnel",),
        "rp_filter is strict on the tunnel device of one real server",
        "connections to it time out",
        _commands("real-server", "sysctl -q -w net/ipv4/conf/dsr0/rp_filter=1"),
    ),
    "TUN403": Fault(
        ("l3dsr-tunnel",),
        "the VIP is missing at one real server",
        "connections to it time out",
        _commands("real-server", "ip address del {vip}/{length} dev lo"),
    ),
    "TUN422": Fault(
        ("l3dsr-tunnel",),
        "the tunnel device of one real server is down",
        "it answers with ICMP port unreachable",
        _commands("real-server", "ip link set dev dsr0 down"),
    ),
    "TUN423": Fault(
        ("l3dsr-tunnel",),
        'servers announce the full MSS, and the router drops ICMP "too big"',
        "large requests hang",
        _big_requests(_no_room),
    ),
}
