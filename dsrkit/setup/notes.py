"""What a plan cannot do for its user, said where it matters."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.model.names import DIRECT_RETURN
from dsrkit.model.spec import SpecNode
from dsrkit.setup.site import Site, versions


def notes(site: Site, node: SpecNode) -> Iterator[str]:
    """What is left to do by hand at a node."""
    if node.role == "real-server":
        yield from _of_server(site, node)
    elif node.role == "lb":
        yield from _of_balancer(site, node)
    elif node.role == "resolver" and site.spec.health:
        yield "dnsmasq checks no servers: it answers with those that are down as well"
    if not site.choices.network and node.role in ("lb", "router") and 6 in versions(site):
        yield (
            "a machine that forwards IPv6 forgets default routes that it heard of in router advertisements: set"
            " accept_ra to 2 on an interface that has one"
        )


def _of_server(site: Site, node: SpecNode) -> Iterator[str]:
    vips = ", ".join(site.spec.vips)
    if site.path in DIRECT_RETURN and site.choices.vip_on == "lo":
        yield f"the service has to listen at {vips}, or at every address"
    if site.path == "l7" and site.spec.proxy is not None:
        yield f"the service has to expect the PROXY protocol, version {site.spec.proxy.version or 'that is sent'}"
    if site.path == "nat":
        yield "replies have to pass the load balancer: the server's gateway has to be there"
    if (
        site.path == "l3dsr-tunnel"
        and not site.choices.network
        and site.choices.mss == "advmss"
        and not site.options.pmtud
    ):
        yield "the route that is changed has to be there just so, without a metric; --mss clamp changes no route"


def _of_balancer(site: Site, node: SpecNode) -> Iterator[str]:
    if site.checks and any(check.through == "vip" for check in site.spec.health):
        yield (
            "keepalived checks the servers' own addresses: it cannot send a check along the data path, so it does not"
            " notice a server that has lost the VIP"
        )
    if (
        site.checks
        and any(s.proto == "udp" for s in site.services())
        and any(h.type != "ping" for h in site.spec.health)
    ):
        yield "servers of UDP ports are checked by TCP at the same port: they have to listen there too"
    if site.takes_over and site.path == "nat":
        yield from _of_gateways(site)
    for vip in site.spec.vips if site.takes_over else ():
        if not any(interface.holds(vip) for interface in site.network.interfaces(node.name)):
            yield f"{vip} is in no subnet here, so routers send it to the first load balancer whoever owns it"
    if site.takes_over and not site.vrrp and node.name != site.nodes("lb")[0].name:
        device = site.client_side(node).name
        for vip in site.spec.vips:
            take = f"ip address add {vip}/{128 if ':' in vip else 32} dev {device}"
            tell = "" if ":" in vip else f"; arping -U -c 3 -I {device} {vip}"
            yield f"to take over {vip}: {take}{tell}"


def _of_gateways(site: Site) -> Iterator[str]:
    """Replies of NAT end with the machine that has their gateway's address."""
    servers = (server.name for server in site.nodes("real-server"))
    gateways = dict.fromkeys(way.gateway for name in servers for way in site.network.routes(name))
    for lb in site.nodes("lb"):
        for gateway in gateways:
            if gateway in lb.ips:
                yield (
                    f"the servers' gateway {gateway} is {lb.name}'s own and does not move with the VIP: give the"
                    " servers one that is nobody's own, and keepalived moves it too"
                )
