"""Faults of L2DSR, and of direct server return in general.

Left out, for no packet shows them: DSR312 is HCK703 seen from the load balancer; in DSR313 a server that asks its own
VIP answers itself, and nothing reaches a wire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.faults.breakage import (
    BESIDE_FLOW,
    Rule,
    beside,
    client_addresses,
    dropped,
    from_one_of,
    is_service,
    lost_behind,
    moved,
    other_balancer,
    second_balancer,
    served,
    server_addresses,
    slow_answers,
    with_ports,
)
from dsrkit.craft.machines.balancer import Key, Server
from dsrkit.craft.machines.conversations import FIRST_PORT, authority, get, http_reply, http_request, serve_udp
from dsrkit.craft.machines.host import PROHIBITED, Host, Interface, Route
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Label, Wire
from dsrkit.craft.machines.real_server import RealServer
from dsrkit.craft.machines.tcp import Segment
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.packets import ip, nd
from dsrkit.craft.packets.octets import TCP, UDP, Octets, address_text, mac_text, version_of
from dsrkit.model.names import DIRECT_RETURN, REWRITES
from dsrkit.model.spec import Link, Spec, SpecNode

STALE_MAC: Final = bytes.fromhex("020000dead01")
"""Of a network card that is not there any more."""
NEAR: Final = "near"
"""A client on the servers' link."""
FEW_HOPS: Final = 2
"""A TTL that lasts for the router in front of the load balancer and no further."""

# --- the server ---------------------------------------------------------------------------------------------------


def _vip_missing(world: World, options: Options) -> None:
    world.servers[0].local.difference_update(world.vips)


def _vip_missing_forwarding(world: World, options: Options) -> None:
    _vip_missing(world, options)
    world.servers[0].forwards = True


def _bound_to_own_address(world: World, options: Options) -> None:
    server = world.servers[0]
    assert server.tcp is not None
    own = {address for interface in server.interfaces for address, _ in interface.addresses}
    for port in server.tcp.listeners:
        server.tcp.bound[port] = own
    for port in [port for proto, port in served(world) if proto == UDP]:
        del server.udp_ports[port]  # a socket bound to another address does not match


def _other_port(world: World, options: Options) -> None:
    for server in world.servers:
        assert server.tcp is not None
        for proto, port in served(world):
            other = 8000 + port % 1000
            if proto == TCP:
                server.tcp.listeners[other] = server.tcp.listeners.pop(port)
            else:
                server.udp_ports[other] = server.udp_ports.pop(port)


def _reply_by_balancer(world: World, options: Options) -> None:
    for server in world.servers:
        for version in {version_of(vip) for vip in world.vips}:
            world.add_default(server, world.balancer.address(version))


def _strict_source_check(world: World, options: Options) -> None:
    foreign = from_one_of(client_addresses(world))
    world.servers[0].firewall.append(lambda packet, label: not foreign(packet))


def _dropping(world: World, options: Options) -> None:
    server = world.servers[0]
    server.input_chain.append(dropped(world, server))


def _rejecting(world: World, options: Options) -> None:
    """One server says so by ICMP, the last one, if there are three, by RST."""
    ports = served(world)
    by_icmp, others = world.servers[0], world.servers[2:]
    by_icmp.input_chain.append(_rejected(ports, lambda packet, label: _prohibited(by_icmp, packet, label)))
    if others:
        last = others[-1]
        last.input_chain.append(_rejected(ports, lambda packet, label: _reset(last, packet, label)))


def _rejected(ports: list[tuple[int, int]], answer: Callable[[Octets, Label], None]) -> Rule:
    def rule(packet: Octets, label: Label) -> bool:
        refused = is_service(packet, ports)
        if refused:
            answer(packet, label)
        return not refused

    return rule


def _prohibited(server: Host, packet: Octets, label: Label) -> None:
    server.complain(PROHIBITED, packet.ip_packet, label)


def _reset(server: RealServer, packet: Octets, label: Label) -> None:
    """Source: net/ipv4/netfilter/nf_reject_ipv4.c nf_send_reset: the TOS octet is 0 whatever came; UDP gets ICMP."""
    seq, ack, flags = (packet.get(name) for name in ("tcp.seq", "tcp.ack", "tcp.flags"))
    if server.tcp is None or not isinstance(seq, int) or not isinstance(ack, int) or not isinstance(flags, int):
        _prohibited(server, packet, label)
        return
    at = packet.ip.payload
    payload = bytes(packet.data[at + 4 * (packet.data[at + 12] >> 4) : packet.ip.end])
    server.tcp.reset(packet, Segment(seq, flags & 0xFF, payload), ack, label, dscp=0)


def _datagrams_from_own_address(world: World, options: Options) -> None:
    for server in world.servers:
        for vip in world.vips:
            own = server.address(version_of(vip))
            serve_udp(server, options.port, options.reply, source=own)
    for number in range(2):
        beside(world, options, number, proto=TCP)


# --- the load balancer --------------------------------------------------------------------------------------------


def _first_neighbour(world: World, mac: bytes) -> None:
    """What the load balancer believes to be the first server's MAC."""
    address = world.balancer.servers[0].addresses
    world.balancer.neighbours.update(dict.fromkeys(address.values(), mac))


def _sends_to_itself(world: World, options: Options) -> None:
    _first_neighbour(world, world.balancer.interfaces[0].mac)


def _stale_mac(world: World, options: Options) -> None:
    _first_neighbour(world, STALE_MAC)


def _forgets(world: World, options: Options) -> None:
    """The load balancer sees half of each connection and times it out; what comes next goes to another server."""
    slow_answers(world, 3 * SECOND)
    lb = world.balancer
    lb.sloppy_tcp = True

    def forget() -> None:
        lb.choose = _not_again(lb.servers, {key: session.server for key, session in lb.sessions.items()})
        lb.sessions.clear()

    world.network.after(2 * SECOND, forget)


def _not_again(servers: list[Server], before: dict[Key, Server]) -> Callable[[Key], Server | None]:
    """A choice among the servers that falls on the one after the last time's."""

    def choose(key: Key) -> Server | None:
        last = before.get(key)
        return servers[(servers.index(last) + 1 if last is not None else 0) % len(servers)]

    return choose


def _too_old(world: World, options: Options) -> None:
    """The first client's packets have come a long way: their TTL ends at the load balancer."""
    first = {world.clients(len(vip))[0] for vip in world.vips}

    def worn(wire: Wire, frame: bytes, label: Label) -> bytes:
        before = Octets(frame, depth=1)
        if wire.link != _client_link(world) or not before.networks or before.get("ip.src") not in first:
            return frame
        after = before.copy()
        after.set("ip.ttl", FEW_HOPS)
        after.mend("ip.checksum", before)
        return bytes(after)

    world.client.interfaces[0].segment.filters.append(worn)
    for number in range(2):
        beside(world, options, number, proto=UDP)


def _client_link(world: World) -> str:
    return world.client.interfaces[0].link


def _backup_balances(world: World, options: Options) -> None:
    """Two directors that are also servers of each other; the backup one balances what it is sent."""
    first, second = world.balancer, other_balancer(world)
    second.silent.update(world.vips)
    versions = {version_of(vip) for vip in world.vips}
    first.servers.append(Server(second.name, {version: second.address(version) for version in versions}))
    second.servers.insert(0, Server(first.name, {version: first.address(version) for version in versions}))


def _rehashed(world: World, options: Options) -> None:
    """Two load balancers with equal routes; while connections are open, half of them change sides."""
    slow_answers(world, 2 * SECOND)
    first, second = world.balancer, other_balancer(world)
    second.silent.update(world.vips)
    vips = set(world.vips)
    moved_on: list[bool] = []

    def next_hop(packet: bytes, hop: bytes) -> bytes:
        four = packet[0] >> 4 == 4
        dst = packet[16:20] if four else packet[24:40]
        if dst not in vips:
            return hop
        at = 4 * (packet[0] & 15) if four else 40
        flow = int.from_bytes(packet[at : at + 2], "big")
        side = (flow >> 1 if moved_on else flow) & 1
        return (first, second)[side].address(4 if four else 6)

    world.router.next_hop = next_hop

    def rehash() -> None:
        moved_on.append(True)
        known = {key: session.server.name for lb in (first, second) for key, session in lb.sessions.items()}
        for lb in (first, second):
            lb.sloppy_tcp = True
            mine = {server.name: server for server in lb.servers}
            lb.choose = _not_again(lb.servers, {key: mine[name] for key, name in known.items()})

    world.network.after(1500 * MILLISECOND, rehash)


# --- the network --------------------------------------------------------------------------------------------------


def _apart(spec: Spec, options: Options) -> Spec:
    """The first server in a subnet of its own, behind the router."""
    name = next(node.name for node in spec.nodes if node.role == "real-server")
    six = ip_address(spec.vips[0]).version == 6
    length = 64 if six else 24
    gateway, own = ("2001:db8:e::1", "2001:db8:e::21") if six else ("10.9.0.1", "10.9.0.21")
    server = next(node for node in spec.nodes if node.name == name).links[0]
    return moved(
        spec,
        name,
        replace(server, link="E", ip=(own,), prefix=(length,), gateway=gateway),
        Link(link="E", mac=("02:aa:00:00:00:0e",), ip=(gateway,), prefix=(length,)),
    )


def _unreachable(world: World, options: Options) -> None:
    """Beside the server that is a router away: one in the right subnet, whose port is in another VLAN."""
    others = world.servers[1:]
    if len(others) < 2:
        return
    name = others[0].name
    others[0].interfaces[0].segment.filters.append(
        lambda wire, frame, label: None if name in (wire.a, wire.b) else frame
    )


def _half_seen(world: World, options: Options) -> None:
    """A stateful firewall on the way back, which never saw a SYN: source: net/netfilter/nf_conntrack_proto_tcp.c."""
    from_vip = from_one_of(world.vips)
    world.router.forward_chain.append(lambda packet, label: not (from_vip(packet) and packet.ip.proto == TCP))


def _source_filtered(world: World, options: Options) -> None:
    """Source validation (RFC 2827) of what the router thinks cannot come from inside."""
    lb = world.balancer
    tunnel = lb.implementation.tunnels.get(lb.encapsulation.type) if lb.request.pushes else None
    if tunnel is not None and "outer.src" in tunnel.derived:
        inside, own = server_addresses(world), lb.local
        world.router.forward_chain.append(
            lambda packet, label: packet.address("ip.dst") not in inside or packet.address("ip.src") in own
        )
        return
    from_vip = from_one_of(world.vips)
    world.router.forward_chain.append(lambda packet, label: not from_vip(packet))


def _lost(world: World, options: Options) -> None:
    lb = world.balancer
    if world.mode == "l2dsr":
        world.servers[0].interfaces[0].segment.filters.append(lost_behind(lb, set(world.vips)))
        return
    inside, outside = server_addresses(world), client_addresses(world) | lb.local
    # before the routing decision, so that the router never asks for the server's MAC
    world.router.firewall.append(
        lambda packet, label: packet.address("ip.dst") not in inside or packet.address("ip.src") not in outside
    )


def _near_client(spec: Spec, options: Options) -> Spec:
    """A VIP that the router has a route for, and a client on the servers' link whose gateway is the router."""
    lan = next(node for node in spec.nodes if node.role == "real-server").links[0]
    taken = {ip for node in spec.nodes for ip in node.ips} | set(spec.vips)
    near = ip_address(lan.ip[0]) + 29
    while str(near) in taken:
        near += 1
    link = replace(lan, mac=("02:c1:00:00:00:0d",), ip=(str(near),))
    vip = "2001:db8:d::10" if near.version == 6 else "192.0.2.10"
    services = (replace(spec.services[0], vip=(vip,)), *spec.services[1:])
    return replace(spec, services=services, nodes=(*spec.nodes, SpecNode(NEAR, "client", (link,))))


def _redirecting(world: World, options: Options) -> None:
    """The router tells a neighbour that it need not be asked: VIP by way of the load balancer's own address."""
    router, near, vip = world.router, world.hosts[NEAR], world.vips[0]
    told: set[bytes] = set()

    def tell(packet: Octets, label: Label) -> bool:
        source, found = packet.address("ip.src"), router.route(packet.address("ip.dst"))
        ready = len(source) == 4 or (found is not None and found[1] in router.neighbours)  # its MAC is in an IPv6 one
        if found is not None and found[0].holds(source) and ready and source not in told:
            told.add(source)  # net/ipv4/route.c ip_rt_send_redirect: seldom more than once
            router.network.after(router.think(), lambda: _redirect(router, packet, *found, label))
        return True

    def heed(packet: Octets, kind: int, code: int, label: Label) -> None:
        # IPv6 redirects come from a link-local address, which is no gateway of this host: not heeded (RFC 4861 s8.1)
        current = near.route(vip)
        if kind == 5 and current is not None and packet.address("ip.src") == current[1]:
            at = packet.ip.payload
            gateway = bytes(packet.data[at + 4 : at + 8])
            near.routes.append(Route(ip_network(vip), current[0], gateway))

    router.forward_chain.append(tell)
    near.icmp_listeners.append(heed)
    text = http_request(authority(vip), options.request)
    for number in range(3):
        source = near.address(version_of(vip)), FIRST_PORT + number

        def go(source: tuple[bytes, int] = source, number: int = number) -> None:
            get(near, source, (vip, options.port), text, len(http_reply(options.reply)), flow=BESIDE_FLOW + number)

        world.network.after((number + 1) * 11 * MILLISECOND, go)


def _redirect(router: Host, packet: Octets, interface: Interface, gateway: bytes, label: Label) -> None:
    source = packet.address("ip.src")
    if len(source) == 4:
        own = interface.source(4)
        assert own is not None
        header = ip.Header(own, source, router.ttl, 0xC0, router.next_id(source), df=False)
        router.output(ip.redirect(header, gateway, packet.ip_packet), router.network.label(label.flow))
        return
    mac, to, by = (mac_text(one) for one in (interface.mac, packet.address("eth.src"), router.neighbours[gateway]))
    frame = nd.redirect(address_text(gateway), by, packet.ip_packet, src_mac=mac, dst_mac=to)
    router.send_frame(interface, frame, router.network.label(label.flow))


FAULTS: Final = (
    Fault(
        "DSR301",
        "vip-missing-on-real-server",
        DIRECT_RETURN,
        "SYNs for the VIP reach one server and nothing comes back; they are repeated after 1, 3 and 7 s",
        _vip_missing,
        alone=True,
    ),
    Fault(
        "DSR302",
        "vip-missing-on-forwarding-server",
        DIRECT_RETURN,
        "one server sends the request back into the network, TTL one less, again and again until ICMP 11/0",
        _vip_missing_forwarding,
        alone=True,
    ),
    Fault(
        "DSR303",
        "daemon-bound-to-real-address",
        DIRECT_RETURN,
        "one server answers the SYN with a RST from the VIP, with the SYN's TOS (UDP: ICMP 3/3 from the VIP)",
        _bound_to_own_address,
        {"client_dscp": 10},
        alone=True,
    ),
    Fault(
        "DSR304",
        "balancer-sends-to-itself",
        ("l2dsr",),
        "on B, frames whose source and destination MAC are both the load balancer's; they arrive nowhere",
        _sends_to_itself,
        alone=True,
    ),
    Fault(
        "DSR305",
        "stale-server-mac",
        ("l2dsr",),
        "the load balancer sends to a MAC that nobody has: the frame is flooded to every port, and not answered",
        _stale_mac,
        alone=True,
    ),
    Fault(
        "DSR306",
        "server-in-other-broadcast-domain",
        ("l2dsr",),
        "requests for one server go to the router, which sends them back: a loop, the TTL falls; for another one the "
        "load balancer asks ARP in vain and answers ICMP 3/1",
        _unreachable,
        {"real_servers": 3},
        flows=6,
        spec=_apart,
    ),
    Fault(
        "DSR307",
        "port-translation-expected",
        DIRECT_RETURN,
        "the request keeps the service's port, the servers listen on another: RST from the VIP with the SYN's TOS",
        _other_port,
        {"client_dscp": 10},
        alone=True,
    ),
    Fault(
        "DSR308",
        "reply-through-balancer",
        ("l2dsr",),
        "replies from the VIP go to the load balancer's MAC, on D and again on B, and die there (IPv6: are routed on)",
        _reply_by_balancer,
        alone=True,
    ),
    Fault(
        "DSR309",
        "stateful-firewall-sees-half",
        DIRECT_RETURN,
        "the SYN-ACK leaves the server and is missing on A: the firewall on its way has never seen the SYN",
        _half_seen,
        alone=True,
    ),
    Fault(
        "DSR310",
        "source-validation-drops-vip",
        DIRECT_RETURN,
        "what the server sends from the VIP is missing on A (made-up outer sources, profile katran: missing on C)",
        _source_filtered,
        alone=True,
    ),
    Fault(
        "DSR311",
        "reverse-path-filter-on-server",
        ("l2dsr", "l3dsr-dscp"),
        "requests reach one server, which has the VIP and still says nothing",
        _strict_source_check,
        alone=True,
    ),
    Fault(
        "DSR314",
        "connection-forgotten-by-balancer",
        DIRECT_RETURN,
        "one 4-tuple goes to two servers: the second one, which knows nothing of it, sends a RST from the VIP",
        _forgets,
        {"reply": 20000},
        alone=True,
    ),
    Fault(
        "DSR315",
        "backup-balancer-balances-too",
        ("l2dsr",),
        "on B, what one load balancer forwards the other forwards again, some back to the first until ICMP 11/0",
        _backup_balances,
        flows=6,
        spec=second_balancer,
    ),
    Fault(
        "DSR316",
        "strong-host-model",
        ("l2dsr",),
        "as if the VIP were missing: SYNs reach one server and nothing comes back, the VIP being on its loopback",
        _dropping,
        alone=True,
    ),
    Fault(
        "DSR317",
        "redirects-teach-a-bypass",
        ("l2dsr",),
        "ICMP type 5 names the VIP: a client on the servers' link goes past the router from then on (IPv6: does not)",
        _redirecting,
        flows=2,
        spec=_near_client,
    ),
    Fault(
        "DSR318",
        "connections-moved-by-rehash",
        DIRECT_RETURN,
        "at one instant several 4-tuples go to the other load balancer and to other servers: RSTs from the VIP",
        _rehashed,
        {"reply": 20000},
        flows=8,
        spec=second_balancer,
    ),
    Fault(
        "DSR319",
        "server-firewall-rejects",
        DIRECT_RETURN,
        "ICMP 3/13 from the VIP straight to the client from one server, RST with TOS 0 from another; the rest serve",
        _rejecting,
        {"client_dscp": 10, "real_servers": 3},
        flows=6,
        alone=True,
    ),
    Fault(
        "DSR320",
        "ttl-ends-at-balancer",
        REWRITES,
        "one client's requests reach the load balancer with TTL 1: ICMP 11/0 from the VIP, nothing leaves",
        _too_old,
        {"clients": 2},
        spec=lambda spec, options: with_ports(spec, "tcp", "udp"),
    ),
    Fault(
        "DSR321",
        "datagrams-answered-from-real-address",
        DIRECT_RETURN,
        "UDP replies leave from the RIP, the client answers ICMP 3/3 to the RIP; TCP is fine",
        _datagrams_from_own_address,
        {"protocol": "udp"},
        spec=lambda spec, options: with_ports(spec, "tcp"),
    ),
    Fault(
        "DSR322",
        "request-lost-behind-balancer",
        DIRECT_RETURN,
        "requests leave the load balancer and never appear at the next tap; the router does not even ask for the RIP",
        _lost,
        alone=True,
    ),
    Fault(
        "DSR323",
        "server-firewall-drops",
        REWRITES,
        "requests reach one server and nothing comes back; the other servers are fine",
        _dropping,
        alone=True,
    ),
)
