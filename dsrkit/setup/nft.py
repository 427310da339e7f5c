"""Load balancing by nftables: the DSCP mark, which IPVS does not have, and other modes for kernels without IPVS.

A server is chosen by a hash of the client's address and port, so packets of a connection go the same way without any
state, and two load balancers with the same rules agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.names import Mode
from dsrkit.model.spec import SpecNode
from dsrkit.setup import commands, firewall
from dsrkit.setup.machine import forwarding
from dsrkit.setup.network import Interface
from dsrkit.setup.plan import Step
from dsrkit.setup.render import family, template
from dsrkit.setup.site import Backend, Service, Site

Method = Callable[[Site, SpecNode], Iterator[Step]]


def _families(services: Sequence[Service]) -> list[str]:
    return sorted({family(service.vip) for service in services})


def _refuse_checks(site: Site) -> None:
    if site.checks:
        raise UsageError(f"health checks take servers out of the table of IPVS, but {site.path} is done by nft here")


def direct(site: Site, node: SpecNode) -> Iterator[Step]:
    """L2DSR where frames come in: new MAC addresses, and out by the same interface."""
    _refuse_checks(site)
    side = site.client_side(node)
    own = _mac_of(node, side)
    services = [(service, [_server_mac(site, node, one) for one in service.backends]) for service in site.services()]
    rules = template("l2dsr.nft.j2").render(device=side.name, own=own, services=services)
    why = "frames for the service go on to a server with new MAC addresses, before the IP stack sees them"
    yield commands.nft(rules, [("netdev", "dsrkit_lb")], why)


def _mac_of(node: SpecNode, interface: Interface) -> str:
    if interface.mac is None:
        raise UsageError(f"--engine nft needs the MAC address of {node.name!r}: say mac in its [[node]]")
    return interface.mac


def _server_mac(site: Site, lb: SpecNode, backend: Backend) -> str:
    interface = site.network.near(backend.node.name, lb.name)
    if interface is None:
        raise UsageError(f"l2dsr: {backend.node.name!r} and {lb.name!r} are in no subnet together")
    return _mac_of(backend.node, interface)


def nat(site: Site, node: SpecNode) -> Iterator[Step]:
    """NAT by connection tracking."""
    _refuse_checks(site)
    yield from forwarding(site, "requests and replies both pass through")
    services = site.services()
    families = _families(services)
    rules = template("nat.nft.j2").render(families=families, services=services)
    why = "new destination; connection tracking gives replies the VIP back as their source"
    yield commands.nft(rules, [(one, "dsrkit_lb") for one in families], why)


def full_nat(site: Site, node: SpecNode) -> Iterator[Step]:
    yield from nat(site, node)
    yield from source_nat(site, node)


def source_nat(site: Site, node: SpecNode) -> Iterator[Step]:
    """An own source address for connections to the VIP, so that replies come back whatever the servers' gateway is.

    Raises: UsageError where the spec names no address of the VIP's IP version for this load balancer.
    """
    pools: dict[str, list[str]] = {}
    for vip in site.spec.vips:
        version = ip_address(vip).version
        pools[vip] = [ip for ip in own_sources(site, node) if ip_address(ip).version == version]
        if not pools[vip]:
            raise UsageError(f"[snat]: no IPv{version} source for connections to {vip} that {node.name!r} can have")
    loose = dict.fromkeys(ip for pool in pools.values() for ip in pool if ip not in node.ips)
    if loose and site.takes_over and not site.vrrp:
        raise UsageError(f"[snat]: nothing moves {next(iter(loose))} with the VIP: name sources of each load balancer")
    for source in () if site.vrrp else loose:
        device = servers_side(site, node)
        yield commands.address(commands.host_prefix(source), device.name, "servers answer to this address")
    yield from firewall.source_nat(site, pools)


def own_sources(site: Site, node: SpecNode) -> list[str]:
    """The sources of the spec that a load balancer can have: no address of another machine."""
    stated = site.spec.snat.source if site.spec.snat is not None and site.path == "fullnat" else ()
    others = {ip for one in site.spec.nodes if one.name != node.name for ip in one.ips}
    return [ip for ip in stated if ip not in others]


def servers_side(site: Site, node: SpecNode) -> Interface:
    """The interface that leads to the servers."""
    backend = site.backends(site.spec.vips[0])[0]
    return site.network.towards(node.name, backend.address) or site.client_side(node)


def mark(site: Site, node: SpecNode) -> Iterator[Step]:
    """L3DSR by DSCP: a server's address in place of the VIP, and a tag that says which VIP it was."""
    _refuse_checks(site)
    yield from forwarding(site, "requests go on to the servers, as packets for them")
    services = site.services()
    families = _families(services)
    tags = {
        (service.vip, backend.address): site.tag(backend.node, service.vip)
        for service in services
        for backend in service.backends
    }
    rules = template("dscp.nft.j2").render(families=families, services=services, tags=tags)
    why = "stateless, since replies do not come back here; nft puts the checksums right"
    yield commands.nft(rules, [(one, "dsrkit_lb") for one in families], why)


DSCP: Final = mark
"""In both engines: IPVS has no such method."""

NFT: Final[Mapping[Mode, Method]] = {"nat": nat, "fullnat": full_nat, "l2dsr": direct}
