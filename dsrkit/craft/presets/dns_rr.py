"""Servers whose own addresses are a name's records.

client -A- r1 -B- resolvers, and r1 -C- the zone's name server and the servers.
"""

from __future__ import annotations

from typing import Final

from dsrkit.craft.options import Options
from dsrkit.craft.packets import dns
from dsrkit.craft.preset import PLANS, ROUTER, clients_link, link_of, mac_of
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Dns, PathSpec, Port, Spec, SpecNode, SpecService, SpecTap

RESOLVERS: Final = {4: "192.0.2.0", 6: "2001:db8:d::"}
RESOLVER, NAME_SERVER, FIRST_SERVER = 53, 2, 21


def preset(mode: Mode, profile: Profile, options: Options) -> Spec:
    """Clients, resolvers, a name server and the servers that the name stands for.

    Raises: UsageError for a name that is none.
    """
    name = options.name.rstrip(".")
    dns.query(name)  # a bad one is refused before anything is built
    version = int(options.ip)
    plan = PLANS[version]

    def at(prefix: str, number: int) -> list[tuple[str, int]]:
        return [(plan.host(prefix, number), plan.length)]

    near, public = RESOLVERS[version], plan.outside
    r1 = (
        link_of("A", mac_of("aa", 0x0A), at(plan.client, ROUTER)),
        link_of("B", mac_of("aa", 0x0B), at(near, ROUTER)),
        link_of("C", mac_of("aa", 0x0C), at(public, ROUTER)),
    )
    nodes = [
        SpecNode("client", "client", (clients_link(version, options.clients),)),
        SpecNode("r1", "router", r1),
        *(
            _node(f"resolver{n + 1}", "resolver", "B", mac_of("d0", n + 1), at(near, RESOLVER + n), near, version)
            for n in range(options.resolvers)
        ),
        _node("ns1", "resolver", "C", mac_of("d0", 0xFFFF), at(public, NAME_SERVER), public, version),
        *(
            _node(f"web{n + 1}", "real-server", "C", mac_of("55", n + 1), at(public, FIRST_SERVER + n), public, version)
            for n in range(options.real_servers)
        ),
    ]
    servers = tuple(node.ips[0] for node in nodes if node.role == "real-server")
    return Spec(
        services=(SpecService(mode, (), (Port("tcp", options.port, options.port),), profile),),
        path=PathSpec(("client", "r1", "real-server"), ("real-server", "r1", "client")),
        nodes=tuple(nodes),
        taps=tuple(SpecTap(letter, link=letter) for letter in "ABC"),
        dns=Dns(name, servers, options.ttl),
    )


def _node(
    name: str, role: str, letter: str, mac: str, addresses: list[tuple[str, int]], prefix: str, version: int
) -> SpecNode:
    gateway = PLANS[version].host(prefix, ROUTER)
    return SpecNode(name, role, (link_of(letter, mac, addresses, gateway),))  # type: ignore[arg-type]
