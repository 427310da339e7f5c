"""The wires of a spec: which interface of which machine is on which segment, and who is reached through whom.

Interfaces that the spec does not name are eth0, eth1, ... in the order of the node's links. A bridge has a port for
every machine on a link. A router with one address on two links switches between them: it gets a bridge as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.spec import Link, Spec, SpecNode

IpInterface = IPv4Interface | IPv6Interface
DEFAULT_LENGTH: Final = {4: 24, 6: 64}
EVERYTHING: Final = {4: "0.0.0.0/0", 6: "::/0"}
NAME: Final = re.compile(r"[A-Za-z0-9_.+@][A-Za-z0-9_.+@-]{0,14}")
"""What Linux takes (dev_valid_name in net/core/dev.c), without what another program would read as syntax."""


@dataclass(frozen=True, slots=True)
class Interface:
    """Where a machine has addresses on a segment.

    `base` is the device without the VLAN `tag`, and `ports` what cables end at: `base` itself or the ports of a bridge.
    """

    name: str
    base: str
    ports: tuple[str, ...]
    segment: str
    addresses: tuple[IpInterface, ...]
    mac: str | None = None
    gateway: str | None = None
    bridge: bool = False
    tag: int | None = None

    def address(self, version: int) -> str | None:
        """The first address of an IP version."""
        return next((str(own.ip) for own in self.addresses if own.version == version), None)

    def holds(self, address: str) -> bool:
        """Whether an address is in one of the subnets here."""
        return any(_within(address, str(own.network)) for own in self.addresses)


@dataclass(frozen=True, slots=True)
class Wire:
    """A cable of link `link` between two ports; without `far` it ends at a hub that is no machine of the spec."""

    link: str
    near: tuple[str, str]
    far: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Route:
    """How a machine reaches a prefix."""

    prefix: str
    gateway: str
    device: str
    onlink: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What stands behind the prefix; `onlink` where the gateway is in none of the device's subnets."""
        return ("via", self.gateway, "dev", self.device, *(("onlink",) if self.onlink else ()))

    @property
    def version(self) -> int:
        return ip_network(self.prefix).version


class Network:
    """All machines of a complete spec on their segments.

    Raises: UsageError for interfaces that cannot be named so.
    """

    def __init__(self, spec: Spec, *, vlan: int | None = None) -> None:
        self.spec = spec
        self._nodes = {node.name: node for node in spec.nodes}
        self._members: dict[str, list[str]] = {}
        for node in spec.nodes:
            for link in node.links:
                self._members.setdefault(letter_of(node, link), []).append(node.name)
        self._segment = _segments(spec.nodes)
        self._ports = {node.name: self._ports_of(node) for node in spec.nodes}
        self._interfaces = {node.name: tuple(self._interfaces_of(node, vlan)) for node in spec.nodes}

    # --- what there is --------------------------------------------------------------------------------------------

    def interfaces(self, node: str) -> tuple[Interface, ...]:
        """The interfaces of a machine; those of a bridge have no addresses."""
        return self._interfaces[node]

    def ports(self, node: str) -> tuple[str, ...]:
        """The devices of a machine that cables end at, in their order."""
        return tuple(port for ports in self._ports[node] for port in ports)

    def wires(self) -> tuple[Wire, ...]:
        """Every cable: between two machines, around a bridge, or to a hub where more than two meet."""
        found = []
        for letter, names in self._members.items():
            ends = [(name, port) for name in dict.fromkeys(names) for port in self._ports_on(name, letter)]
            hub = self._hub(letter)
            if hub is not None:
                own = [end for end in ends if end[0] == hub]
                others = [end for end in ends if end[0] != hub]
                found += [Wire(letter, far, near) for near, far in zip(own, others, strict=True)]
            elif len(ends) == 2:
                found.append(Wire(letter, *ends))
            else:
                found += [Wire(letter, end, None) for end in ends]
        return tuple(found)

    # --- who is where ---------------------------------------------------------------------------------------------

    def near(self, node: str, other: str) -> Interface | None:
        """The interface of a machine that shares a segment with another machine."""
        theirs = {interface.segment for interface in self.interfaces(other)}
        return next((own for own in self.interfaces(node) if own.segment in theirs), None)

    def towards(self, node: str, address: str) -> Interface | None:
        """The interface by which a machine sends to an address."""
        own = next((one for one in self.interfaces(node) if one.holds(address)), None)
        if own is not None:
            return own
        matching = [route for route in self.routes(node) if _within(address, route.prefix)]
        if not matching:
            return None
        best = max(matching, key=lambda route: ip_network(route.prefix).prefixlen)
        return next(one for one in self.interfaces(node) if one.name == best.device)

    def routes(self, node: str) -> tuple[Route, ...]:
        """What a machine needs besides the subnets of its own: default routes, and ways that are shorter than those."""
        if self._nodes[node].role == "bridge":
            return ()
        found: dict[str, Route] = {}
        for version in (4, 6):
            default = self._default(node, version)
            if default is not None:
                found[default.prefix] = default
        answers_for_vip = self._nodes[node].role in ("lb", "real-server")
        for prefix in self._prefixes():
            way = self._way(node, prefix)
            if way is None or (answers_for_vip and self._is_loose_vip(prefix)):
                continue
            hop, length = way
            default = found.get(EVERYTHING[hop.version])
            if default is None or length < self._length_by(default, prefix):
                found[prefix] = hop
        return tuple(found.values())

    # --- names of interfaces --------------------------------------------------------------------------------------

    def _hub(self, letter: str) -> str | None:
        return next((name for name in self._members[letter] if self._nodes[name].role == "bridge"), None)

    def _ports_of(self, node: SpecNode) -> list[tuple[str, ...]]:
        """The devices of each link of a machine."""
        taken = {link.interface for link in node.links}
        free = (name for name in (f"eth{number}" for number in range(10000)) if name not in taken)
        found: list[tuple[str, ...]] = []
        for link in node.links:
            letter = letter_of(node, link)
            others = len(dict.fromkeys(self._members[letter])) - 1
            count = max(others, 1) if self._hub(letter) == node.name else 1
            names = [link.interface] if link.interface is not None else []
            if link.interface in ("lo", *(port for ports in found for port in ports)):
                raise UsageError(f"node {node.name!r}: {link.interface} cannot be the interface of a link of its own")
            names += [next(free) for _ in range(count - len(names))]
            found.append(tuple(_valid(name, node) for name in names))
        return found

    def _ports_on(self, node: str, letter: str) -> tuple[str, ...]:
        links = self._nodes[node].links
        pairs = zip(links, self._ports[node], strict=True)
        return tuple(port for link, ports in pairs if letter_of(self._nodes[node], link) == letter for port in ports)

    def _interfaces_of(self, node: SpecNode, vlan: int | None) -> Iterable[Interface]:
        groups: dict[tuple[str, object], list[int]] = {}
        for number, link in enumerate(node.links):
            same: object = None if node.role == "bridge" else link.ip if node.role == "router" and link.ip else number
            groups.setdefault((self._segment[letter_of(node, link)], same), []).append(number)
        bridges = 0
        for (segment, _), numbers in groups.items():
            links = [node.links[number] for number in numbers]
            ports = tuple(port for number in numbers for port in self._ports[node.name][number])
            bridge = node.role == "bridge" or len(ports) > 1
            name, bridges = (f"br{bridges}", bridges + 1) if bridge else (ports[0], bridges)
            tagged = vlan if node.role != "bridge" and letter_of(node, links[0]) != "A" else None
            yield Interface(
                name=name if tagged is None else _valid(f"{name}.{tagged}", node),
                base=name,
                ports=ports,
                segment=segment,
                addresses=tuple(_addresses(links[0])),
                mac=next((mac for link in links for mac in link.mac), None),
                gateway=next((link.gateway for link in links if link.gateway is not None), None),
                bridge=bridge,
                tag=tagged,
            )

    # --- ways -----------------------------------------------------------------------------------------------------

    def _prefixes(self) -> list[str]:
        """Every subnet, and every VIP that is in none of them."""
        owns = (own for node in self.spec.nodes for i in self.interfaces(node.name) for own in i.addresses)
        nets = [str(own.network) for own in owns if own.network.num_addresses > 1]
        loose = [vip for vip in self.spec.vips if not any(_within(vip, net) for net in nets)]
        return list(dict.fromkeys([*nets, *(str(ip_network(vip)) for vip in loose)]))

    def _default(self, node: str, version: int) -> Route | None:
        for interface in self.interfaces(node):
            gateway = interface.gateway
            if gateway is not None and ip_address(gateway).version == version:
                near = interface.holds(gateway) or ip_address(gateway).is_link_local
                return Route(EVERYTHING[version], gateway, interface.name, onlink=not near)
        if self._nodes[node].role == "router":
            return self._towards_far_clients(node, version)
        for interface in self.interfaces(node):
            if interface.address(version) is None:
                continue
            for router in self._routers_on(interface.segment):
                gateway = self._interface_on(router, interface.segment).address(version)
                if gateway is not None:
                    return Route(EVERYTHING[version], gateway, interface.name)
        return None

    def _towards_far_clients(self, node: str, version: int) -> Route | None:
        """Clients with addresses in no subnet stand for the Internet: what a router knows no better goes to them."""
        for client in (one for one in self.spec.nodes if one.role == "client"):
            for port in self.interfaces(client.name):
                near = port.address(version)
                alone = [own for own in port.addresses if own.version == version and own.network.num_addresses == 1]
                if near is None or not alone:
                    continue
                interface = self.near(node, client.name)
                if interface is not None:
                    return Route(EVERYTHING[version], near, interface.name)
                subnet = next(str(own.network) for own in port.addresses if str(own.ip) == near)
                way = self._way(node, subnet)
                if way is not None:
                    return Route(EVERYTHING[version], way[0].gateway, way[0].device)
        return None

    def _way(self, node: str, prefix: str) -> tuple[Route, int] | None:
        """The shortest way to a prefix, and how many machines it leads through; None if it needs no gateway."""
        if self._at(node, prefix):
            return None
        best: tuple[Route, int] | None = None
        for interface in self.interfaces(node):
            for hop, gateway in self._hops(interface, node, prefix):
                length = self._distance(hop, prefix)
                if length is not None and (best is None or length < best[1]):
                    best = Route(prefix, gateway, interface.name), length
        return best

    def _hops(self, interface: Interface, node: str, prefix: str) -> Iterable[tuple[str, str]]:
        """The machines on a segment that pass on what is for a prefix: routers, and the owner of a VIP."""
        version = ip_network(prefix).version
        for hop in (*self._routers_on(interface.segment), *self._owners_on(interface.segment, prefix)):
            gateway = self._interface_on(hop, interface.segment).address(version)
            if hop != node and gateway is not None and interface.address(version) is not None:
                yield hop, gateway

    def _owner(self) -> str | None:
        return next((node.name for node in self.spec.nodes if node.role == "lb"), None)

    def _is_loose_vip(self, prefix: str) -> bool:
        return any(str(ip_network(vip)) == prefix for vip in self.spec.vips)

    def _owners_on(self, segment: str, prefix: str) -> list[str]:
        owner = self._owner()
        there = owner is not None and any(i.segment == segment for i in self.interfaces(owner))
        return [owner] if owner is not None and there and self._is_loose_vip(prefix) else []

    def _routers_on(self, segment: str) -> list[str]:
        return [
            node.name
            for node in self.spec.nodes
            if node.role == "router" and any(i.segment == segment for i in self.interfaces(node.name))
        ]

    def _interface_on(self, node: str, segment: str) -> Interface:
        return next(one for one in self.interfaces(node) if one.segment == segment)

    def _at(self, node: str, prefix: str) -> bool:
        if self._is_loose_vip(prefix):
            return node == self._owner()
        return any(str(own.network) == prefix for i in self.interfaces(node) for own in i.addresses)

    def _distance(self, node: str, prefix: str) -> int | None:
        """How many machines lie between a router and the subnet, itself included."""
        if self._at(node, prefix):
            return 1
        seen, edge, length = {node}, [node], 1
        while edge:
            length += 1
            beyond: list[str] = []
            for at in edge:
                for interface in self.interfaces(at):
                    for hop in (*self._routers_on(interface.segment), *self._owners_on(interface.segment, prefix)):
                        if hop in seen:
                            continue
                        if self._at(hop, prefix):
                            return length
                        seen.add(hop)
                        beyond.append(hop)
            edge = beyond
        return None

    def _length_by(self, default: Route, prefix: str) -> int:
        """How long the way to a prefix is by a default route; a gateway that is no router of the spec knows its way."""
        for node in self.spec.nodes:
            if node.role == "router" and default.gateway in node.ips:
                length = self._distance(node.name, prefix)
                return 10**6 if length is None else length
        return 0


def letter_of(node: SpecNode, link: Link) -> str:
    """The name of a link; one without a name is A at a client, and B at everybody else."""
    return link.link or ("A" if node.role == "client" else "B")


def with_interfaces(spec: Spec, given: Spec) -> Spec:
    """A completed spec with the names of interfaces that the user gave."""

    def named(node: SpecNode) -> SpecNode:
        own = given.node(node.name)
        links = own.links if own is not None else ()
        return replace(node, links=tuple(replace(link, interface=_name_of(link, links)) for link in node.links))

    return replace(spec, nodes=tuple(named(node) for node in spec.nodes))


def _name_of(link: Link, given: Sequence[Link]) -> str | None:
    for one in given:
        same = one.link == link.link if one.link is not None else {*one.ip, *one.mac} & {*link.ip, *link.mac}
        if one.interface is not None and same:
            return one.interface
    return link.interface


def _addresses(link: Link) -> Iterable[IpInterface]:
    for ip, length in zip(link.ip, link.prefix, strict=True):
        yield ip_interface(f"{ip}/{DEFAULT_LENGTH[ip_address(ip).version] if length is None else length}")


def _valid(name: str, node: SpecNode) -> str:
    if NAME.fullmatch(name) is None or name in (".", ".."):
        raise UsageError(f"node {node.name!r}: {name!r} cannot be the name of an interface")
    return name


def _within(address: str, prefix: str) -> bool:
    ip, net = ip_address(address), ip_network(prefix)
    return ip.version == net.version and ip in net


def _segments(nodes: Sequence[SpecNode]) -> Mapping[str, str]:
    """Link → the broadcast domain that it is part of, by the name of its first link."""
    domains = [{letter} for letter in dict.fromkeys(letter_of(n, link) for n in nodes for link in n.links)]
    for group in (group for node in nodes for group in _switched(node)):
        touched = [domain for domain in domains if domain & group]
        domains = [domain for domain in domains if not domain & group] + [set().union(*touched)]
    return {letter: min(domain) for domain in domains for letter in domain}


def _switched(node: SpecNode) -> list[set[str]]:
    """Groups of links that a node switches between: all of a bridge's, a router's with one address on several."""
    if node.role == "bridge":
        return [{letter_of(node, link) for link in node.links}] if node.links else []
    groups: dict[tuple[str, ...], set[str]] = {}
    for link in node.links if node.role == "router" else ():
        if link.ip:
            groups.setdefault(link.ip, set()).add(letter_of(node, link))
    return [group for group in groups.values() if len(group) > 1]
