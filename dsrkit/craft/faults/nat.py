"""Faults of NAT and full NAT, and of load balancers that keep a connection in both directions.

Full NAT has fewer of them: its servers answer the load balancer itself, so nothing bypasses it (NAT201, NAT202) and a
missing default route (NAT213) does not show.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Final

from dsrkit.craft.faults.base import NAT_MODES, Fault
from dsrkit.craft.machines.balancer import Balancer, Key
from dsrkit.craft.machines.balancer import Server as Known
from dsrkit.craft.machines.conversations import (
    FIRST_PORT,
    ask,
    ask_again,
    authority,
    get,
    http_reply,
    http_request,
    source_of,
)
from dsrkit.craft.machines.host import UNREACHABLE_PORT, Host
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Label
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.rewriting import start_of
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import TCP, Octets, version_of
from dsrkit.craft.rewrite import with_rule, without
from dsrkit.errors import UsageError
from dsrkit.model.names import DIRECT_RETURN
from dsrkit.model.spec import Link, Spec, SpecNode, SpecTap
from dsrkit.tables.rules import role

IDLE: Final = 900 * SECOND
"""IPVS and most firewalls forget an idle TCP connection after 15 minutes (ipvsadm --set 900 120 300)."""
PORTS_DIFFER: Final = {"server_port": 8080}
"""Without replies, only a translated port tells NAT from a tag (DSCP mode)."""
POOL: Final = (61000, 61001)
"""All the ports that an exhausted load balancer has left for each server."""
LATER: Final = 2000
"""Numbers of connections that a fault adds."""
KEPT_PORT: Final = 39000
LATER_PORT: Final = 38000
"""Client ports of those."""
SYN, FIN = 0x02, 0x01


# --- set-ups ----------------------------------------------------------------------------------------------------------


def with_leg(spec: Spec, name: str, letter: str, number: int) -> Spec:
    """The set-up with one more interface on a link: of a node that is there, or of a new client.

    It gets the last free addresses of the link's subnets, and a client has the load balancer as its gateway.
    """
    nodes = list(spec.nodes)
    on_link = [link for node in nodes for link in node.links if link.link == letter]
    lb = next(link for node in nodes if node.role == "lb" for link in node.links if link.link == letter)
    taken = {ip for link in on_link for ip in link.ip}
    found = tuple((_last_free(ip, length, taken), length) for ip, length in zip(lb.ip, lb.prefix, strict=True))
    leg = Link(
        link=letter,
        mac=(f"02:ee:00:00:{number:02x}:{ord(letter[0]):02x}",),
        ip=tuple(ip for ip, _ in found),
        prefix=tuple(length for _, length in found),
        gateway=lb.ip[0] if all(node.name != name for node in nodes) else None,
    )
    at = next((i for i, node in enumerate(nodes) if node.name == name), None)
    if at is None:
        nodes.append(SpecNode(name, "client", (leg,)))
    else:
        nodes[at] = replace(nodes[at], links=(*nodes[at].links, leg))
    return replace(spec, nodes=tuple(nodes))


def _last_free(ip: str, length: int | None, taken: set[str]) -> str:
    network = ip_network((ip, length if length is not None else ip_address(ip).max_prefixlen), strict=False)
    last = network.network_address + min(network.num_addresses, 256) - 2
    while str(last) in taken:
        last -= 1
    return str(last)


def inside_link(spec: Spec) -> str:
    """The link that the servers are on."""
    return next(link.link or "B" for node in spec.nodes if node.role == "real-server" for link in node.links)


def router_beside_servers(spec: Spec, options: Options) -> Spec:
    """The set-up whose router has a leg among the servers, past the load balancer."""
    router = next(node for node in spec.nodes if node.role == "router")
    letter = inside_link(spec)
    if any(link.link == letter for link in router.links):
        return spec
    return with_leg(spec, router.name, letter, 1)


NEIGHBOUR: Final = "near"


def client_beside_servers(spec: Spec, options: Options) -> Spec:
    """The set-up with one more client in the servers' own subnet, and a tap at its port."""
    letter = inside_link(spec)
    whole = with_leg(spec, NEIGHBOUR, letter, 2)
    return replace(whole, taps=(*whole.taps, SpecTap(NEIGHBOUR, link=letter, node=NEIGHBOUR)))


def past_the_balancer(world: World, server: Host) -> None:
    """Give a server the router as its gateway."""
    for interface in server.interfaces:
        for port in interface.segment.interfaces.values():
            if port.host is world.router:
                for own, _ in port.addresses:
                    world.add_default(server, own)


# --- traffic ----------------------------------------------------------------------------------------------------------


def request_of(world: World, options: Options) -> bytes:
    return http_request(authority(world.vips[0]), options.request)


def service_of(world: World, options: Options) -> tuple[bytes, int]:
    return world.vips[0], options.port


def kept_open(world: World, options: Options, pause_ns: int, count: int = 2) -> None:
    """Connections that ask, are idle for a while, and ask again; one after the other, so that each gets a server."""
    for number in range(count):
        start = start_of(0, options) + (10 + 2 * number) * MILLISECOND
        world.network.after(start, _keep_open, world, options, number, pause_ns)


def _keep_open(world: World, options: Options, number: int, pause_ns: int) -> None:
    client = world.clients(len(world.vips[0]))[0]
    ask_again(
        world.client,
        (client, KEPT_PORT + number),
        service_of(world, options),
        request_of(world, options),
        len(http_reply(options.reply)),
        flow=LATER + number,
        pause_ns=pause_ns,
        tos=options.client_dscp << 2,
    )


def later(world: World, options: Options, number: int, delay_ns: int, source: tuple[bytes, int] | None = None) -> None:
    """One more connection, some time after the others."""
    clients = world.clients(len(world.vips[0]))

    def go() -> None:
        get(
            world.client,
            source or (clients[0], LATER_PORT + number),
            service_of(world, options),
            request_of(world, options),
            len(http_reply(options.reply)),
            flow=LATER + number,
        )

    world.network.after(delay_ns, go)


def connections_only(options: Options, code: str) -> None:
    """Refuse to show a fault of connections with anything else.

    Raises: UsageError.
    """
    if options.protocol != "tcp":
        raise UsageError(f"{code} shows in connections only: leave out --protocol {options.protocol}")


def tcp_flags(packet: Octets) -> int:
    """The flags of a TCP segment; 0 for anything else."""
    inner = packet.inner
    return packet.data[inner.payload + 13] & 0x3F if inner is not None and inner.proto == TCP and inner.first else 0


def _first(lb: Balancer) -> Known:
    return lb.servers[0]


# --- faults -----------------------------------------------------------------------------------------------------------


def _bypass(world: World, options: Options) -> None:
    past_the_balancer(world, world.servers[0])


def _neighbour(world: World, options: Options) -> None:
    near = world.hosts[NEIGHBOUR]
    vip, port = service_of(world, options)
    source = near.address(version_of(vip))

    def go(number: int) -> None:
        if options.protocol == "tcp":
            size = len(http_reply(options.reply))
            get(near, (source, FIRST_PORT + number), (vip, port), request_of(world, options), size, flow=LATER + number)
        else:
            ask(near, (source, FIRST_PORT + number), (vip, port), bytes(options.request), flow=LATER + number, tos=0)

    for number in range(len(world.servers)):
        world.network.after(25 * MILLISECOND + start_of(number, options), go, number)


def _source_rewritten(world: World, options: Options) -> None:
    lb = world.balancer
    lb.request = without(with_rule(lb.request, "ip.src", role("real-server", "ip")), "ip.dst")


def _checksum_kept(world: World, options: Options) -> None:
    lb = world.balancer
    lb.request = without(lb.request, "l4.checksum")


def _ports_exhausted(world: World, options: Options) -> None:
    lb = world.balancer

    def pick(key: Key, server: Known) -> int:
        taken = {s.own_port for s in lb.sessions.values() if s.server is server and s.key[0] == key[0]}
        return next(port for port in POOL if port not in taken)

    def room(packet: Octets, label: Label) -> bool:
        key = Balancer.key_of(packet)
        return key[3] not in lb.vips or key in lb.sessions or len(lb.sessions) < len(POOL) * len(lb.servers)

    lb.pick_port = pick
    lb.firewall.append(room)


def _reuse(world: World, options: Options) -> None:
    connections_only(options, "NAT206")
    lb = world.balancer
    closing: set[Key] = set()

    def passes(packet: Octets, label: Label) -> bool:
        key = Balancer.key_of(packet)
        flags = tcp_flags(packet)
        if key in lb.sessions and flags & FIN:
            closing.add(key)
        if not flags & SYN or key not in closing:
            return True
        # ip_vs_core.c ip_vs_in: the old entry expires at once, but its conntrack is still there, so this SYN is lost
        closing.discard(key)
        session = lb.sessions.pop(key)
        for old in [back for back, one in lb.back.items() if one is session]:
            del lb.back[old]
        return False

    lb.firewall.append(passes)
    clients = world.clients(len(world.vips[0]))
    for number in range(2):
        later(world, options, number, 1500 * MILLISECOND + start_of(number, options), source_of(clients, number))


def _forgotten(world: World, options: Options) -> None:
    connections_only(options, "NAT207")
    lb = world.balancer

    def forget() -> None:
        lb.sessions.clear()
        lb.back.clear()

    kept_open(world, options, IDLE + 5 * SECOND)
    world.network.after(IDLE + 2 * SECOND, forget)
    later(world, options, 100, IDLE + 8 * SECOND)


def _destination_gone(world: World, options: Options) -> None:
    connections_only(options, "NAT208")
    lb = world.balancer
    source = world.clients(len(world.vips[0]))[0], KEPT_PORT

    def remove() -> None:
        kept = lb.sessions.get((TCP, *source, *service_of(world, options)))
        if kept is not None:
            kept.server.alive = False

    def passes(packet: Octets, label: Label) -> bool:
        session = lb.sessions.get(Balancer.key_of(packet))
        return session is None or session.server.alive

    lb.firewall.append(passes)
    kept_open(world, options, 2 * SECOND)
    world.network.after(SECOND, remove)
    for number in (100, 101):
        later(world, options, number, 3 * SECOND + start_of(number - 100, options))


def _errors_untranslated(world: World, options: Options) -> None:
    world.balancer.translates_errors = False
    server = world.servers[0]
    ports = set(world.balancer.services.values())

    def rejects(packet: Octets, label: Label) -> bool:
        """iptables -j REJECT, as it is without more words."""
        found = packet.ports
        if found is None or found[1] not in ports:
            return True
        world.network.after(server.think(), lambda: server.complain(UNREACHABLE_PORT, packet.ip_packet, label))
        return False

    server.firewall.append(rejects)


def _toa_lost(world: World, options: Options) -> None:
    world.balancer.toa = False


def _fragments_lost(world: World, options: Options) -> None:
    if options.protocol != "udp":
        raise UsageError("NAT211 shows in fragmented datagrams only: --protocol udp --request 3000")
    world.balancer.reassembles = False
    vip = world.vips[0]
    for number in range(2):  # small ones pass
        source = world.clients(len(vip))[0], LATER_PORT + number

        def small(source: tuple[bytes, int] = source, number: int = number) -> None:
            ask(world.client, source, (vip, options.port), bytes(100), flow=LATER + number, tos=0)

        world.network.after(25 * MILLISECOND + start_of(number, options), small)


def _wrong_port(world: World, options: Options) -> None:
    lb = world.balancer
    usual = next(iter(lb.services.values()))
    _first(lb).port = usual + 1 if usual < 0xFFFF else usual - 1


def _no_route_back(world: World, options: Options) -> None:
    world.servers[0].routes.clear()


def _forwarding_off(world: World, options: Options) -> None:
    world.balancer.forwards = False


FAULTS: Final = (
    Fault(
        "NAT201",
        "reply-bypasses-load-balancer",
        ("nat",),
        "one server's gateway is the router: SYN-ACKs from its own address reach the client, which resets them",
        _bypass,
        spec=router_beside_servers,
        alone=True,
    ),
    Fault(
        "NAT202",
        "client-in-server-subnet",
        ("nat",),
        "servers answer a client of their own subnet directly: SYN-ACKs from their own address to its MAC",
        _neighbour,
        flows=2,
        spec=client_beside_servers,
    ),
    Fault(
        "NAT203",
        "source-rewritten-instead-of-destination",
        NAT_MODES,
        "behind the load balancer the server's address stands as the source and the VIP as the destination",
        _source_rewritten,
        flows=2,
        alone=True,
    ),
    Fault(
        "NAT204",
        "transport-checksum-not-updated",
        NAT_MODES,
        "behind the load balancer the checksum fits the addresses before it; no answer, requests are repeated",
        _checksum_kept,
        options=PORTS_DIFFER,
        flows=2,
        alone=True,
    ),
    Fault(
        "NAT205",
        "source-ports-exhausted",
        ("fullnat",),
        "SYNs of later connections end before the load balancer, repeated after 1, 3 and 7 s; earlier ones worked",
        _ports_exhausted,
        flows=6,
    ),
    Fault(
        "NAT206",
        "port-reuse-delayed",
        NAT_MODES,
        "a client port is used again soon: its SYN ends at the load balancer, and passes when repeated after 1 s",
        _reuse,
    ),
    Fault(
        "NAT207",
        "idle-connection-forgotten",
        NAT_MODES,
        "after 15 minutes of silence a connection's next request is answered by a RST from the VIP",
        _forgotten,
    ),
    Fault(
        "NAT208",
        "destination-gone-silently",
        NAT_MODES,
        "a removed server's connections end before the load balancer, repeated and repeated; new ones are fine",
        _destination_gone,
    ),
    Fault(
        "NAT209",
        "icmp-error-not-translated",
        NAT_MODES,
        "nat: a server's ICMP error reaches the client from the server's address, quoting it; fullnat: it ends inside",
        _errors_untranslated,
        alone=True,
    ),
    Fault(
        "NAT210",
        "client-address-lost",
        ("fullnat",),
        "behind the load balancer no packet carries the TOA option that servers need to know the client",
        _toa_lost,
        options={"toa": True},
        alone=True,
    ),
    Fault(
        "NAT211",
        "only-first-fragment-steered",
        NAT_MODES,
        "of each fragmented datagram the first fragment alone passes; 30 s later ICMP time exceeded (11/1) comes back",
        _fragments_lost,
        options={"protocol": "udp", "request": 3000},
        flows=2,
    ),
    Fault(
        "NAT212",
        "wrong-server-port",
        NAT_MODES,
        "packets for one server go to a port that nobody listens on: RST from there",
        _wrong_port,
        alone=True,
    ),
    Fault(
        "NAT213",
        "no-route-back",
        ("nat", *DIRECT_RETURN),
        "requests reach one server and nothing leaves it, not even an ARP request",
        _no_route_back,
        alone=True,
    ),
    Fault(
        "NAT214",
        "replies-not-forwarded",
        NAT_MODES,
        "requests pass; the servers' SYN-ACKs reach the load balancer's inside and never leave its outside",
        _forwarding_off,
        options=PORTS_DIFFER,
        flows=2,
        alone=True,
    ),
)
