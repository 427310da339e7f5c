"""Ways of breaking things that several faults share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address

from dsrkit.craft.machines.balancer import Balancer
from dsrkit.craft.machines.conversations import ask, authority, get, http_reply, http_request
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Label, Wire
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.rewriting import request_payload
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import TCP, Octets
from dsrkit.model.spec import Link, Spec, SpecNode

Rule = Callable[[Octets, Label], bool]
"""An entry of a firewall: False drops the packet."""

BESIDE_FLOW, BESIDE_PORT = 10_000, 20_000
"""Numbers and client ports of connections that a fault adds to the mode's own."""


def is_service(packet: Octets, ports: Iterable[tuple[int, int]]) -> bool:
    """Whether a packet goes to one of these (protocol, port)."""
    found = packet.ports
    return found is not None and (packet.ip.proto, found[1]) in set(ports)


def served(world: World) -> list[tuple[int, int]]:
    """Protocol and port of what the servers listen on."""
    return [(proto, port) for (proto, _), port in world.balancer.services.items()]


def dropped(world: World, server: Host) -> Rule:
    """A rule that silently drops what a server serves."""
    ports = served(world)
    return lambda packet, label: not is_service(packet, ports)


def from_one_of(addresses: Iterable[bytes]) -> Callable[[Octets], bool]:
    """Whether a packet's source is one of these."""
    known = frozenset(addresses)
    return lambda packet: packet.address("ip.src") in known


def client_addresses(world: World) -> set[bytes]:
    return {own for interface in world.client.interfaces for own, _ in interface.addresses}


def server_addresses(world: World) -> set[bytes]:
    return {own for server in world.servers for interface in server.interfaces for own, _ in interface.addresses}


def lost_behind(sender: Host, to: set[bytes]) -> Callable[[Wire, bytes, Label], bytes | None]:
    """A switch that drops what a machine sends to some addresses, one wire away from it."""
    macs = {mac for interface in sender.interfaces for mac in interface.macs}

    def check(wire: Wire, frame: bytes, label: Label) -> bytes | None:
        away = sender.name not in (wire.a, wire.b)
        return None if away and frame[6:12] in macs and Octets(frame, depth=1).get("ip.dst") in to else frame

    return check


def slow_answers(world: World, delay_ns: int) -> None:
    """Servers that take their time, so that connections are open for as long."""
    for server in world.servers:
        assert server.tcp is not None
        for port, accept in server.tcp.listeners.items():
            server.tcp.listeners[port] = _slower(world, accept, delay_ns)


def _slower(world: World, accept: Callable[[Connection], None], delay_ns: int) -> Callable[[Connection], None]:
    def later(connection: Connection) -> None:
        accept(connection)
        read = connection.on_data
        if read is not None:
            connection.on_data = lambda one, data: world.network.after(delay_ns, lambda: read(one, data))

    return later


def beside(
    world: World,
    options: Options,
    number: int,
    *,
    proto: int,
    service: tuple[bytes, int] | None = None,
    tos: int | None = None,
    octets: int | None = None,
    start_ns: int | None = None,
) -> None:
    """One more connection of the first client: to the VIP unless `service` says otherwise."""
    vip, port = service or (world.vips[0], options.port)
    source = world.clients(len(vip))[0], BESIDE_PORT + number
    mark = options.client_dscp << 2 if tos is None else tos
    size = options.request if octets is None else octets
    text = http_request(authority(vip), size)

    def go() -> None:
        flow = BESIDE_FLOW + number
        if proto == TCP:
            get(world.client, source, (vip, port), text, len(http_reply(options.reply)), flow=flow, tos=mark)
        else:
            payload = request_payload(size + number)[number:]  # no two alike
            ask(world.client, source, (vip, port), payload, flow=flow, tos=mark)

    start = 26 * MILLISECOND + round(number * SECOND / options.rate) if start_ns is None else start_ns
    world.network.after(start, go)


def second_balancer(spec: Spec, options: Options) -> Spec:
    """The set-up with another load balancer beside the first, at the next free addresses."""
    first = next(node for node in spec.nodes if node.role == "lb")
    taken = taken_addresses(spec)
    links = tuple(
        replace(link, mac=tuple(_next_mac(mac) for mac in link.mac), ip=tuple(next_free(ip, taken) for ip in link.ip))
        for link in first.links
    )
    at = spec.nodes.index(first) + 1
    return replace(spec, nodes=(*spec.nodes[:at], SpecNode("lb2", "lb", links), *spec.nodes[at:]))


def other_balancer(world: World) -> Balancer:
    return world.of(Balancer)[1]


def _next_mac(mac: str) -> str:
    octets = mac.split(":")
    return ":".join([*octets[:4], f"{(int(octets[4], 16) + 2) % 256:02x}", octets[5]])


def taken_addresses(spec: Spec) -> set[str]:
    return {ip for node in spec.nodes for ip in node.ips} | set(spec.vips)


def next_free(ip: str, taken: set[str]) -> str:
    """The first address above another that nobody has."""
    address = ip_address(ip) + 1
    while str(address) in taken:
        address += 1
    return str(address)


def moved(spec: Spec, name: str, link: Link, router: Link) -> Spec:
    """The set-up with one node on another link, which the first router has a port on."""
    nodes = []
    for node in spec.nodes:
        if node.name == name:
            nodes.append(replace(node, links=(link,)))
        elif node.role == "router" and not any(router in one.links for one in nodes):
            nodes.append(replace(node, links=(*node.links, router)))
        else:
            nodes.append(node)
    return replace(spec, nodes=tuple(nodes))


def with_ports(spec: Spec, *protocols: str) -> Spec:
    """The set-up whose first service is there for these protocols too, on the same port."""
    service = spec.services[0]
    first = service.ports[0]
    known = {port.proto for port in service.ports}
    more = tuple(replace(first, proto=proto) for proto in protocols if proto not in known)
    return replace(spec, services=(replace(service, ports=(*service.ports, *more)), *spec.services[1:]))
