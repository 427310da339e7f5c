"""The same set-up with other addresses, MACs, names and ports, by a seed: nothing may depend on the usual ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from random import Random
from typing import Final

from dsrkit.model.spec import Link, Port, Spec, SpecNode

Network = IPv4Network | IPv6Network
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "client": ("laptop", "home", "surfer", "cl"),
    "router": ("gw", "edge", "core", "rtr"),
    "bridge": ("switch", "tor", "leaf", "br"),
    "lb": ("director", "balancer", "lvs", "front"),
    "real-server": ("app", "node", "backend", "srv"),
    "resolver": ("ns", "dns", "recursor", "cache"),
}
VENDORS: Final = (
    "3c:fd:fe", "00:1b:21", "b8:59:9f", "00:25:90", "d4:ae:52", "52:54:00", "00:50:56", "28:99:3a", "9c:b6:54",
)  # fmt: skip
"""Of Intel, Mellanox, Supermicro, Dell, QEMU, VMware, Arista and Hewlett-Packard; as the OUIs of servers are."""
RANGES: Final[Mapping[int, tuple[str, ...]]] = {
    4: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"),
    6: ("fd00::/8", "2001:db8::/32"),
}
HIGHEST_WELL_KNOWN: Final = 1024


class _Other:
    """What becomes of each word of a spec; the same word becomes the same everywhere."""

    def __init__(self, spec: Spec, random: Random) -> None:
        self.random = random
        links = [link for node in spec.nodes for link in node.links]
        pairs = [pair for link in links for pair in zip(link.ip, link.prefix, strict=True)]
        owned = [ip_interface(f"{ip}/{length}").network for ip, length in pairs if length is not None]
        single = [ip_network(ip) for ip in (*spec.vips, *(ip for ip, _ in pairs))]
        self.networks: dict[Network, Network] = {}
        for network in dict.fromkeys((*owned, *single)):
            if not any(_inside(network, known) for known in self.networks):
                self.networks[network] = self._network(network)
        self.macs: dict[str, str] = {}
        self.names = dict(self._names(spec.nodes))
        self.ports: dict[int, int] = {}

    def _network(self, network: Network) -> Network:
        while True:
            within = ip_network(self.random.choice(RANGES[network.version]))
            free = network.prefixlen - within.prefixlen
            start = int(within.network_address) + (
                self.random.randrange(1 << free) << (network.max_prefixlen - network.prefixlen)
            )
            found = ip_network((start, network.prefixlen))
            if not any(found.version == other.version and found.overlaps(other) for other in self.networks.values()):
                return found

    def _names(self, nodes: Iterable[SpecNode]) -> Iterable[tuple[str, str]]:
        stems = {role: self.random.choice(names) for role, names in NAMES.items()}
        for number, node in enumerate(nodes, self.random.randrange(1, 40)):
            yield node.name, f"{stems[node.role]}{number}"

    def ip(self, text: str) -> str:
        address = ip_address(text)
        old = next(known for known in self.networks if address.version == known.version and address in known)
        return str(self.networks[old][int(address) - int(old.network_address)])

    def mac(self, text: str) -> str:
        if text not in self.macs:
            self.macs[text] = self.random.choice(VENDORS) + "".join(
                f":{self.random.randrange(256):02x}" for _ in range(3)
            )
        return self.macs[text]

    def port(self, number: int) -> int:
        return self.ports.setdefault(number, self.random.randrange(HIGHEST_WELL_KNOWN, 30000))

    def link(self, link: Link) -> Link:
        return replace(
            link,
            mac=tuple(map(self.mac, link.mac)),
            ip=tuple(map(self.ip, link.ip)),
            gateway=None if link.gateway is None else self.ip(link.gateway),
        )

    def tags(self, table: Mapping[int, str]) -> dict[int, str]:
        return {tag: self.ip(vip) for tag, vip in table.items()}


def varied(spec: Spec, seed: int) -> Spec:
    """The set-up with everything different that its mode leaves open; the shape stays."""
    other = _Other(spec, Random(seed))
    nodes = tuple(
        SpecNode(other.names[node.name], node.role, tuple(map(other.link, node.links)), other.tags(node.dscp))
        for node in spec.nodes
    )
    services = tuple(
        replace(
            service,
            vip=tuple(map(other.ip, service.vip)),
            ports=tuple(Port(one.proto, other.port(one.vport), other.port(one.rport)) for one in service.ports),
        )
        for service in spec.services
    )
    path = replace(
        spec.path,
        request=tuple(other.names.get(one, one) for one in spec.path.request),
        reply=tuple(other.names.get(one, one) for one in spec.path.reply),
    )
    return replace(
        spec,
        nodes=nodes,
        services=services,
        path=path,
        dscp=other.tags(spec.dscp),
        taps=(),
        snat=None if spec.snat is None else replace(spec.snat, source=tuple(map(other.ip, spec.snat.source))),
        dns=None if spec.dns is None else replace(spec.dns, records=tuple(map(other.ip, spec.dns.records))),
    )


def _inside(network: Network, known: Network) -> bool:
    return network.version == known.version and network.subnet_of(known)  # type: ignore[arg-type]
