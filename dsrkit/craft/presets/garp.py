"""Two load balancers on one switch, with the servers beside them.

client -A- r1 -B- sw1, with lb1 and lb2 on its ports B1 and B2 and the servers behind D: one broadcast domain.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Final

from dsrkit.craft.options import Options
from dsrkit.craft.preset import preset as usual
from dsrkit.errors import SpecError
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Link, PathSpec, Port, Spec, SpecNode, SpecService, SpecTap, Takeover

FIRST_SERVER: Final = 21
"""The last part of the first server's address, as L2DSR has it."""


def preset(mode: Mode, profile: Profile, options: Options) -> Spec:
    """Two load balancers on one switch.

    Raises: UsageError for options that contradict each other.
    """
    spec = on_one_switch(usual("l2dsr", profile, options))
    first = next(node for node in spec.nodes if node.role == "lb")
    second = replace(first, name="lb2", links=tuple(_second(link) for link in first.links))
    at = spec.nodes.index(first) + 1
    return replace(
        spec,
        services=(SpecService(mode, spec.vips, (Port("tcp", options.port, options.port),), profile),),
        path=PathSpec(),
        nodes=(*spec.nodes[:at], second, *spec.nodes[at:]),
        taps=(*spec.taps[:3], SpecTap("B2", link="B", node="lb2"), *spec.taps[3:]),
        takeover=Takeover("garp" if options.form else "vrrp", None if options.form else options.vrid),
    )


def on_one_switch(spec: Spec) -> Spec:
    """A set-up of direct server return with router, load balancer and servers in one subnet, on one switch's ports.

    Taps: A, B at the router's port, B1 at the load balancer's, D in front of the servers.
    Raises: SpecError where the router has no link B.
    """
    router = next(node for node in spec.nodes if node.role == "router")
    balancer = next(node for node in spec.nodes if node.role == "lb")
    port = next((link for link in router.links if link.link == "B"), None)
    if port is None:
        raise SpecError(f"{router.name} needs a link B: there the load balancer and the servers are to be")
    servers = [node for node in spec.nodes if node.role == "real-server"]
    moved = {
        router.name: replace(router, links=tuple(link for link in router.links if link.link != "C")),
        **{node.name: replace(node, links=(_beside(node.links[0], port, n),)) for n, node in enumerate(servers)},
    }
    return replace(
        spec,
        path=PathSpec(
            ("client", router.name, "sw1", balancer.name, "sw1", "real-server"),
            ("real-server", "sw1", router.name, "client"),
        ),
        nodes=(
            *(moved.get(node.name, node) for node in spec.nodes if node.role != "bridge"),
            SpecNode("sw1", "bridge", (Link(link="B"), Link(link="D"))),
        ),
        taps=(
            SpecTap("A", link="A"),
            SpecTap("B", link="B", node=router.name),
            SpecTap("B1", link="B", node=balancer.name),
            SpecTap("D", link="D"),
        ),
    )


def _beside(link: Link, router: Link, number: int) -> Link:
    """A server's interface with addresses in the subnets of the router's port."""
    nets = [
        ip_network((ip, length or (24 if ":" not in ip else 64)), strict=False)
        for ip, length in zip(router.ip, router.prefix, strict=True)
    ]
    family = ip_address(link.gateway or link.ip[0]).version
    return replace(
        link,
        link="D",
        ip=tuple(str(net.network_address + FIRST_SERVER + number) for net in nets),
        prefix=tuple(net.prefixlen for net in nets),
        gateway=next(ip for ip in router.ip if ip_address(ip).version == family),
    )


def _second(link: Link) -> Link:
    """The next address and MAC: those of the second load balancer."""
    macs = tuple(f"{mac[:9]}00:01:{mac[15:]}" for mac in link.mac)
    return replace(link, mac=macs, ip=tuple(str(ip_address(ip) + 1) for ip in link.ip))
