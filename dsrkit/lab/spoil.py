"""Ways to spoil a job: commands after the set-up, a packet filter, other services, another set-up of one machine.

`{vip}`, `{lb}` and the like stand in the commands for what the set-up has; each runs in its machine's shell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.lab.job import Job, Server, Step
from dsrkit.model.spec import Proxy, Spec, SpecNode
from dsrkit.setup.api import plan_of
from dsrkit.setup.output import shell
from dsrkit.setup.render import family
from dsrkit.setup.site import Site, address_of

Spoil = Callable[[Site, Job], Job]
BIG: Final = 20_000
REMARKS: Final = (42, 21)
"""A DSCP that stands for no VIP; the second where the first one does."""
REJECT: Final = {
    4: ("icmp type admin-prohibited", "icmp-admin-prohibited"),
    6: ("icmpv6 type admin-prohibited", "icmp6-adm-prohibited"),
}
TOO_BIG: Final = {
    4: ("icmp type destination-unreachable icmp code frag-needed", "-p icmp --icmp-type fragmentation-needed"),
    6: ("icmpv6 type packet-too-big", "-p icmpv6 --icmpv6-type packet-too-big"),
}


def version_of(site: Site) -> int:
    """The IP version that clients speak."""
    return ip_address(site.spec.vips[0]).version if site.spec.vips else int(site.options.ip)


# --- commands after the set-up ---------------------------------------------------------------------------------------


def commands(role: str, *texts: str, every: bool = False) -> Spoil:
    """Shell commands at the first machine of a role, or at all of them."""
    return commands_at(lambda site: _nodes(site, role) if every else _nodes(site, role)[:1], *texts)


def commands_at(choose: Callable[[Site], tuple[SpecNode, ...]], *texts: str) -> Spoil:
    """Shell commands at some machines."""

    def spoil(site: Site, job: Job) -> Job:
        own = {node.name: tuple(_filled(site, node, text) for text in texts) for node in choose(site)}
        return replace(job, faults={**job.faults, **own})

    return spoil


def behind_balancer(site: Site) -> tuple[SpecNode, ...]:
    """The routers that requests cross between load balancer and servers; all routers where the path names none."""
    routers = _nodes(site, "router")
    row = site.spec.path.request
    balancers = {"lb", *(node.name for node in site.nodes("lb"))}
    last = max((index for index, name in enumerate(row) if name in balancers), default=len(row))
    return tuple(node for node in routers if node.name in row[last:]) or routers


def both(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(site: Site, job: Job) -> Job:
        for one in spoils:
            job = one(site, job)
        return job

    return spoil


def table(hook: str, rule: str, priority: str = "0") -> str:
    """The command that adds an nft rule."""
    start = f"type filter hook {hook} priority {priority}"
    return "nft '" + "\n".join(("table {family} lab_fault {{", "chain c {{", start, rule, "}}", "}}")) + "'"


def _nodes(site: Site, role: str) -> tuple[SpecNode, ...]:
    found = site.nodes(role)
    if not found:
        raise UsageError(f"--fault: the set-up has no node of role {role}")
    return found


def _filled(site: Site, node: SpecNode, text: str) -> str:
    vip = site.spec.vips[0] if site.spec.vips else ""
    version = version_of(site)
    lb = site.nodes("lb")
    tags = {tag for one in site.spec.nodes for tag in site.spec.dscp_for(one.name)}
    ports = [one.name for one in site.network.interfaces(node.name)]
    return text.format(
        vip=vip,
        length=32 if version == 4 else 128,
        version=version,
        family=family(vip) if vip else "ip",
        ports=", ".join(sorted({str(port.rport) for port in site.spec.ports})),
        lb=address_of(lb[0], version) if lb else "",
        interface=ports[0],
        inside=ports[-1],
        nodad=" nodad" if version == 6 else "",
        remark=next(one for one in REMARKS if tags != {one}),
        iptables="iptables-legacy" if version == 4 else "ip6tables-legacy",
    )


def filtered(site: Site, job: Job, role: str, nft: str, iptables: str, *, every: bool = False) -> Job:
    """A packet filter, in the language that the engine's kernel has."""
    return commands(role, nft if site.choices.firewall == "nft" else iptables, every=every)(site, job)


def rejecting(site: Site, job: Job) -> Job:
    """The firewall of the first real server says no."""
    nft, iptables = REJECT[version_of(site)]
    ports = "meta l4proto {{ tcp, udp }} th dport {{ {ports} }}"
    rule = f"{{iptables}} -I INPUT -p $p --dport $port -j REJECT --reject-with {iptables}"
    each = f"for port in $(echo {{ports}} | tr -d ,); do for p in tcp udp; do {rule}; done; done"
    return filtered(site, job, "real-server", table("input", f"{ports} reject with {nft}"), each)


def no_room(site: Site, job: Job) -> Job:
    """No server announces a smaller MSS, routers drop "too big" on its way to the client, and requests are large.

    Small ones fit a tunnel.
    """
    forget = "ip -{version} route show default | sed 's/ advmss [0-9]*//' | xargs ip -{version} route replace"
    job = commands("real-server", forget, every=True)(site, job)
    nft, iptables = TOO_BIG[version_of(site)]
    drop = table("forward", f"{nft} drop"), f"{{iptables}} -I FORWARD {iptables} -j DROP"
    job = filtered(site, job, "router", *drop, every=True)
    steps = (replace(step, requests=tuple(replace(one, up=BIG) for one in step.requests)) for step in job.steps)
    return replace(job, steps=tuple(steps))


def unannounced(site: Site, job: Job) -> Job:
    """The new owner has the VIP at its loopback interface, where keepalived announces it to nobody else.

    The old one stops balancing, or it would go on with what still comes to it.
    """
    second = _nodes(site, "lb")[1]
    state = site.state(second)
    conf = f"{state}/keepalived.conf"
    lo = f"sed -i '/virtual_ipaddress/,/}}/s|/[0-9]*|& dev lo|' {conf}; pkill -HUP -F {state}/keepalived.pid"
    retire = "ipvsadm -C" if site.choices.engine == "ipvs" else "nft delete table netdev dsrkit_lb"

    def retired(step: Step) -> Step:
        return replace(step, command=f"{step.command}; {retire}") if step.label.startswith("takeover") else step

    return replace(job, faults={second.name: (lo,)}, steps=tuple(map(retired, job.steps)))


# --- other services, and another set-up ------------------------------------------------------------------------------


def services(change: Callable[[Site, SpecNode, Server], Server | None]) -> Spoil:
    """The services of the first real server changed, or gone."""

    def spoil(site: Site, job: Job) -> Job:
        first = _nodes(site, "real-server")[0]
        changed = (change(site, first, one) if one.node == first.name else one for one in job.servers)
        return replace(job, servers=tuple(one for one in changed if one is not None))

    return spoil


def set_up_otherwise(change: Callable[[Spec], Spec]) -> Spoil:
    """The load balancers set up for a spec that the others do not have."""

    def spoil(site: Site, job: Job) -> Job:
        other = replace(site, spec=change(site.spec))
        own = {node.name: shell(plan_of(other, node)) for node in _nodes(site, "lb")}
        return replace(job, scripts={**job.scripts, **own})

    return spoil


def other_port(spec: Spec) -> Spec:
    """The servers' ports, each the next one."""
    moved = (
        replace(service, ports=tuple(replace(port, rport=port.rport + 1) for port in service.ports))
        for service in spec.services
    )
    return replace(spec, services=tuple(moved))


def other_proxy(spec: Spec) -> Spec:
    """A PROXY header where there is none, and none where there is one."""
    sends = spec.proxy is not None and spec.proxy.version is not None
    return replace(spec, proxy=Proxy(None if sends else 1))
