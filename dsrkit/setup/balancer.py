"""A load balancer: whose address the VIP is, and by which engine packets are spread over the servers."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from dsrkit.errors import UsageError
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import address, host_prefix
from dsrkit.setup.haproxy import haproxy
from dsrkit.setup.ipvs import IPVS
from dsrkit.setup.keepalived import keepalived
from dsrkit.setup.machine import no_redirects, own_network
from dsrkit.setup.nft import DSCP, NFT
from dsrkit.setup.plan import Step
from dsrkit.setup.site import Site


def balancer(site: Site, node: SpecNode) -> Iterator[Step]:
    """Addresses, the VIP, and the engine; keepalived where the VIP moves or servers are checked."""
    yield from own_network(site, node)
    side = site.client_side(node)
    if site.is_one_armed(node) and site.path != "l7":
        yield from no_redirects(
            site, side, "it hands packets back to where they came from, and must not tell the sender"
        )
    if not site.vrrp and _owns_vip(site, node):
        for vip in site.spec.vips:
            if vip not in node.ips:
                yield vip_address(vip, side.name)
    yield from _engine(site, node)
    if site.vrrp or site.checks:
        yield from keepalived(site, node)


def _engine(site: Site, node: SpecNode) -> Iterator[Step]:
    if site.path == "l7":
        return haproxy(site, node)
    if site.path == "l3dsr-dscp":
        return DSCP(site, node)
    methods = {"ipvs": IPVS, "nft": NFT}[site.choices.engine]
    if site.path not in methods:
        raise UsageError(f"--engine {site.choices.engine} does not do {site.path} (it does: {', '.join(methods)})")
    return methods[site.path](site, node)


def _owns_vip(site: Site, node: SpecNode) -> bool:
    """Whether the VIP is here to begin with: of a pair that moves it by hand, the first has it."""
    return not site.takes_over or node.name == site.nodes("lb")[0].name


def vip_address(vip: str, device: str) -> Step:
    """The VIP on the interface that requests come in by.

    An IPv6 VIP has no preferred lifetime: the kernel would send tunnelled packets from it, and servers would drop them.
    """
    if ip_address(vip).version == 4:
        return address(host_prefix(vip), device, "requests come here: this machine answers ARP for the VIP")
    why = "requests come here; deprecated, or the kernel would take the VIP as the source of its own packets"
    return address(host_prefix(vip), device, why, "nodad", "preferred_lft", "0")
