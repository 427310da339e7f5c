"""A spec brought to life: machines, segments, routes and taps, ready for traffic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Final, TypeVar

from dsrkit.craft.machines.balancer import Balancer, Server
from dsrkit.craft.machines.host import Host, Interface, Route
from dsrkit.craft.machines.name_server import NameServer
from dsrkit.craft.machines.network import MILLISECOND, Lan, Network, Tap, Wire
from dsrkit.craft.machines.proxy import Proxy
from dsrkit.craft.machines.real_server import RealServer
from dsrkit.craft.machines.tcp import TcpStack
from dsrkit.craft.packets.octets import TCP, UDP, address_text, mac_octets, packed, version_of
from dsrkit.craft.profiles import Encapsulation
from dsrkit.craft.profiles.base import IPIP_PAIRS
from dsrkit.errors import SpecError
from dsrkit.model.names import DIRECT_RETURN, REWRITES
from dsrkit.model.spec import Link, Spec, SpecNode

PROTOCOLS: Final = {"tcp": TCP, "udp": UDP}
FAR: Final = 10 * MILLISECOND
"""One way over link A: the Internet."""
DEFAULT_LENGTH: Final = {4: 24, 6: 64}

H = TypeVar("H", bound=Host)
P = TypeVar("P")


class World:
    """The machines of a spec on their segments.

    Links with the same letter are one segment; a bridge, or a router that has one address on two links, joins the
    segments of its links.

    Raises: SpecError for a spec that is not complete enough to build.
    """

    def __init__(
        self,
        spec: Spec,
        network: Network,
        *,
        mode: str,
        profile: str,
        encapsulation: Encapsulation | None = None,
        outer: int | None = None,
        vlan: int | None = None,
        mtu: int = 1500,
        neighbours: bool = False,
    ) -> None:
        self.spec = spec
        self.network = network
        self.mode = mode
        self.profile = profile
        self.encapsulation = encapsulation
        self.outer = outer  # the IP version of the outer header, where the tunnel's name does not say it
        self.vlan = vlan
        self.mtu = mtu
        self.hosts: dict[str, Host] = {}
        self.segments: dict[str, Lan] = {}  # by link
        self.vips = [packed(vip) for vip in spec.vips]
        self.parts: list[object] = []  # what a mode hangs on to the machines, for its faults to find
        for node in spec.nodes:
            if node.role != "bridge":
                self.hosts[node.name] = self._host(node)
        self._wire()
        self._route()
        for host in self.hosts.values():
            if isinstance(host, Balancer):
                self._balance(host)
            elif isinstance(host, Proxy):
                self._stand_between(host)
            elif isinstance(host, RealServer):
                self._serve(host)
        if neighbours:
            self.introduce()

    def check(self) -> None:
        """Make sure that packets can find their way.

        Raises: SpecError for a server that the load balancer cannot reach, or that cannot reach the clients.
        """
        for server in self.servers:
            for lb in self.of(Balancer):
                known = next(one for one in lb.servers if one.name == server.name)
                version = lb.outer_version if lb.request.pushes else version_of(self.vips[0])
                self._find(lb, known.addresses.get(version), server.name)
            for client in self.clients(len(self.vips[0]))[:1] if self.vips else ():
                self._find(server, client, self.client.name)

    def _find(self, host: Host, target: bytes | None, name: str) -> None:
        found = None if target is None else host.route(target)
        if target is None:
            raise SpecError(f"{name} has no address that {host.name} could send to")
        owners = [] if found is None else [i for i in found[0].segment.interfaces.values() if found[1] in i.host.local]
        if not owners:
            raise SpecError(
                f"{host.name} has no way to {name} at {address_text(target)}: give one of its links an address in"
                " that subnet, or a gateway"
            )

    def introduce(self) -> None:
        """Fill every machine's neighbour table, as after the first packets."""
        owner = next(iter(self.of(Host, "lb")), None)
        for segment in {id(segment): segment for segment in self.segments.values()}.values():
            known = {own: port.mac for port in segment.interfaces.values() for own, _ in port.addresses}
            beside = segment.interfaces.get(owner.name) if owner is not None else None
            for port in segment.interfaces.values():
                vips = {vip: beside.mac for vip in self.vips if port.holds(vip)} if beside is not None else {}
                port.host.neighbours |= {ip: m for ip, m in {**known, **vips}.items() if ip not in port.host.local}

    # --- machines -------------------------------------------------------------------------------------------------

    def of(self, kind: type[H], role: str | None = None) -> list[H]:
        """The machines of a class, in the spec's order."""
        return [h for h in self.hosts.values() if isinstance(h, kind) and role in (None, h.role)]

    def _first(self, role: str) -> Host:
        for host in self.hosts.values():
            if host.role == role:
                return host
        raise SpecError(f"the spec has no {role}")

    def part(self, kind: type[P]) -> P:
        """The first part of a class that the mode has added."""
        return next(part for part in self.parts if isinstance(part, kind))

    @property
    def client(self) -> Host:
        return self._first("client")

    def clients(self, width: int) -> list[bytes]:
        """The client addresses of a family, by its octets per address."""
        return [own for i in self.client.interfaces for own, _ in i.addresses if len(own) == width]

    @property
    def outer_version(self) -> int:
        """The IP version between load balancer and servers."""
        return self.balancer.outer_version

    @property
    def router(self) -> Host:
        return self._first("router")

    @property
    def balancer(self) -> Balancer:
        return self.of(Balancer)[0]

    @property
    def distributor(self) -> Balancer | Proxy:
        """Whoever chooses the servers."""
        return next(host for host in self.hosts.values() if isinstance(host, Balancer | Proxy))

    @property
    def proxy(self) -> Proxy:
        return self.of(Proxy)[0]

    @property
    def servers(self) -> list[RealServer]:
        return self.of(RealServer)

    def _host(self, node: SpecNode) -> Host:
        if node.role == "lb" and self.mode in REWRITES:
            host: Host = Balancer(node.name, self.network, self.mode, self.profile)
        elif node.role == "lb" and self.mode == "l7":
            host = Proxy(node.name, self.network)
        elif node.role == "real-server":
            host = RealServer(node.name, self.network)
        elif node.role == "resolver":
            host = NameServer(node.name, self.network)
        else:
            host = Host(node.name, self.network)
            host.role = node.role
            host.forwards = node.role == "router"
        TcpStack(host)
        return host

    # --- segments -------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        nodes = {node.name: node for node in self.spec.nodes}
        letters: dict[str, list[str]] = {}
        for node in self.spec.nodes:
            for link in node.links:
                letters.setdefault(_letter(node, link), []).append(node.name)
        switching = {name: _switched(node) for name, node in nodes.items()}
        for group in _joined(letters, [group for groups in switching.values() for group in groups]):
            self.segments |= dict.fromkeys(group, Lan("".join(group)))
        for letter, names in letters.items():
            segment = self.segments[letter]
            hubs = [n for n in names if any(letter in group for group in switching[n])]
            members = list(dict.fromkeys(names))
            roles = {nodes[n].role for n in members}
            delay = FAR if "client" in roles and "real-server" not in roles else 50_000
            if hubs:
                centre = hubs[0]
            elif len(members) == 2:
                segment.wires.append(Wire(letter, members[0], members[1], delay))
                continue
            else:
                centre = f"hub {letter}"
            segment.wires += [Wire(letter, centre, name, delay) for name in members if name != centre]
        for node in self.spec.nodes:
            if node.role != "bridge":
                self._attach(node)

    def _attach(self, node: SpecNode) -> None:
        host = self.hosts[node.name]
        done: set[tuple[int, tuple[str, ...]]] = set()
        for number, link in enumerate(node.links):
            letter = _letter(node, link)
            segment = self.segments[letter]
            if (id(segment), link.ip) in done:
                continue  # the second port of a switched interface
            done.add((id(segment), link.ip))
            if not link.mac and not link.ip:
                continue
            mac = mac_octets(link.mac[0]) if link.mac else b"\x02\0\0\0" + bytes([len(self.hosts) % 256, number])
            addresses = [
                (packed(ip), DEFAULT_LENGTH[ip_address(ip).version] if length is None else length)
                for ip, length in zip(link.ip, link.prefix, strict=True)
            ]
            tag = self.vlan if letter != "A" else None
            interface = Interface(host, letter, mac, addresses, segment, node.name, tag, self.mtu)
            host.interfaces.append(interface)
            segment.interfaces.setdefault(node.name, interface)
            host.local.update(own for own, _ in addresses)
        host.local.update((b"\xff" * 4, b"\xe0\0\0\x01"))

    def plug(self, name: str, beside: Host, link: str, mac: bytes, address: bytes) -> Host:
        """One more machine, which the spec does not know, on a link of another one."""
        near = beside.interface_on(link)
        bridges = [n for n in self.spec.nodes if n.role == "bridge" and any(_letter(n, one) == link for one in n.links)]
        near.segment.wires.append(Wire(link, bridges[0].name if bridges else near.vertex, name))
        host = self.hosts[name] = Host(name, self.network)
        TcpStack(host)
        length = DEFAULT_LENGTH[version_of(address)]
        port = Interface(host, link, mac, [(address, length)], near.segment, name, near.vlan, near.mtu)
        near.segment.interfaces[name] = port
        host.interfaces.append(port)
        host.local.add(address)
        return host

    # --- routes ---------------------------------------------------------------------------------------------------

    def _route(self) -> None:
        for node in self.spec.nodes:
            if node.role == "bridge":
                continue
            host = self.hosts[node.name]
            for link in node.links:
                if link.gateway is not None:
                    self.add_default(host, packed(link.gateway))
                    self._other_default(host, packed(link.gateway))
            for version in (4, 6):
                if host.forwards and not any(
                    r.prefix.version == version and r.prefix.prefixlen == 0 for r in host.routes
                ):
                    self._default_towards_client(host, version)
        for host in self.hosts.values():
            self._inner_routes(host)
            self._vip_routes(host)

    def _vip_routes(self, host: Host) -> None:
        """A VIP that is on none of a router's links is reached by the load balancer's own address."""
        owner = next((h for h in self.hosts.values() if h.role == "lb"), None)
        if owner is None or host.role != "router":
            return
        for vip in self.vips:
            if any(interface.holds(vip) for interface in host.interfaces):
                continue
            for interface in host.interfaces:
                near = interface.segment.interfaces.get(owner.name)
                gateway = near.source(version_of(vip)) if near is not None else None
                if gateway is not None:
                    host.routes.append(Route(ip_network(vip), interface, gateway))
                    break

    def add_default(self, host: Host, gateway: bytes) -> None:
        """Give a machine a default route of the gateway's family, in place of one that it has."""
        version = version_of(gateway)
        everything = ip_network("0.0.0.0/0" if version == 4 else "::/0")
        found = next((i for i in host.interfaces if i.holds(gateway)), None)
        if found is not None:
            host.routes = [r for r in host.routes if r.prefix != everything]
            host.routes.append(Route(everything, found, gateway))

    def _other_default(self, host: Host, gateway: bytes) -> None:
        """Who has addresses of both IP versions has the same gateway for both: outer packets may be of the other."""
        link = next((i for i in host.interfaces if i.holds(gateway)), None)
        if link is None:
            return
        version = 10 - version_of(gateway)
        ports = link.segment.interfaces.values()
        owner = next((p for p in ports if any(own == gateway for own, _ in p.addresses)), None)
        other = owner.source(version) if owner is not None else None
        if other is not None and link.source(version) is not None:
            self.add_default(host, other)

    def _default_towards_client(self, host: Host, version: int) -> None:
        """What a router knows no better goes to where the clients are."""
        for client in (h for h in self.hosts.values() if h.role == "client"):
            own = client.interfaces[0].source(version)
            if own is not None:
                self._via(host, own, ip_network("0.0.0.0/0" if version == 4 else "::/0"))

    def _via(self, host: Host, target: bytes, prefix: object) -> None:
        """A route for `prefix` by the neighbour that is nearest to `target`."""
        seen = {id(i.segment) for i in host.interfaces}
        reach: list[tuple[Interface, bytes | None, Host]] = [(i, None, host) for i in host.interfaces]
        while reach:
            interface, hop, at = reach.pop(0)
            segment = interface.segment if at is host else None
            for port in [interface] if segment is not None else at.interfaces:
                if port.holds(target):
                    host.routes.append(Route(prefix, interface, hop if hop is not None else target))  # type: ignore[arg-type]
                    return
                for other in port.segment.interfaces.values():
                    if other.host.role in ("router", "lb") and other.host is not at and other.host is not host:
                        following = [p for p in other.host.interfaces if id(p.segment) not in seen]
                        source = other.source(version_of(target))
                        if following and source is not None:
                            seen.update(id(p.segment) for p in following)
                            reach.append((interface, hop or source, other.host))

    def _inner_routes(self, host: Host) -> None:
        """Routes of the routers to every prefix that is not next to them."""
        if not host.forwards:
            return
        for other in list(self.hosts.values()):
            for interface in other.interfaces:
                for own, length in interface.addresses:
                    if not any(i.holds(own) for i in host.interfaces) and other.role != "client":
                        network = ip_network((own, length), strict=False)
                        if all(r.prefix != network for r in host.routes):
                            self._via(host, own, network)

    # --- parts in load balancing ----------------------------------------------------------------------------------

    def _balance(self, host: Balancer) -> None:
        host.vips = list(self.vips)
        host.local.update(self.vips)
        for service in self.spec.services:
            for port in service.ports:
                host.services[(PROTOCOLS[port.proto], port.vport)] = port.rport
        if self.encapsulation is not None:
            host.encapsulation = self.encapsulation
            inner = version_of(self.vips[0])
            host.outer_version = IPIP_PAIRS.get(self.encapsulation.type, (inner, self.outer or inner))[1]
            host.habits = dict(host.implementation.habits_in(self.encapsulation.type))
        if self.spec.snat is not None:
            host.snat = {ip_address(text).version: packed(text) for text in self.spec.snat.source}
            host.local.update(host.snat.values())
        host.servers += self._servers_of_lb()

    def _stand_between(self, host: Proxy) -> None:
        host.vips = list(self.vips)
        host.local.update(self.vips)
        host.services |= {port.vport: port.rport for service in self.spec.services for port in service.ports}
        host.servers += self._servers_of_lb()

    def _servers_of_lb(self) -> list[Server]:
        """The real servers as a load balancer knows them."""
        servers = []
        for node in self.spec.nodes:
            if node.role == "real-server":
                addresses: dict[int, bytes] = {ip_address(ip).version: packed(ip) for ip in reversed(node.ips)}
                servers.append(Server(node.name, addresses, dscp=self.tags(node)))
        return servers

    def tags(self, node: SpecNode) -> dict[bytes, int]:
        """VIP → the DSCP that stands for it at a server."""
        table: Mapping[int, str] = node.dscp or self.spec.dscp
        return {packed(vip): tag for tag, vip in table.items()}

    def _serve(self, host: RealServer) -> None:
        if self.mode in (*DIRECT_RETURN, "health"):
            for vip in self.vips:
                host.own_vip(vip)
        node = next(node for node in self.spec.nodes if node.name == host.name)
        host.tags = {tag: vip for vip, tag in self.tags(node).items()}
        if self.encapsulation is not None:
            host.decapsulate(self.encapsulation)


def _letter(node: SpecNode, link: Link) -> str:
    """The name of a link; a node written without links has one of its own kind: clients on A, the others on B."""
    return link.link or {"client": "A", "real-server": "B"}.get(node.role, "B")


def _switched(node: SpecNode) -> list[set[str]]:
    """Groups of links that a node switches between: all of a bridge's, a router's with one address on several."""
    if node.role == "bridge":
        return [{_letter(node, link) for link in node.links}]
    if node.role != "router":
        return []
    groups: dict[tuple[str, ...], set[str]] = {}
    for link in node.links:
        groups.setdefault(link.ip, set()).add(_letter(node, link))
    return [group for group in groups.values() if len(group) > 1]


def _joined(letters: Iterable[str], groups: Iterable[set[str]]) -> list[list[str]]:
    """Links that are one broadcast domain, however many switches lie between them."""
    domains = [{letter} for letter in letters]
    for group in groups:
        touched = [domain for domain in domains if domain & group]
        domains = [domain for domain in domains if not domain & group] + [set().union(*touched)]
    return [sorted(domain) for domain in domains]


def taps_of(spec: Spec) -> tuple[Tap, ...]:
    """The capture points of a spec: what it names, else one per link.

    Raises: SpecError for a tap that names neither a link nor a node of the spec.
    """
    links = dict.fromkeys(_letter(node, link) for node in spec.nodes for link in node.links)
    if not spec.taps:
        return tuple(Tap(letter, letter) for letter in sorted(links))
    taps = []
    for tap in spec.taps:
        link = tap.link or (tap.name if tap.name in links else None)
        if link is None and tap.node is None:
            raise SpecError(f"tap {tap.name!r}: say on which link or node it listens")
        if link is not None and link not in links:
            raise SpecError(f"tap {tap.name!r}: no node has a link {link!r} (there are: {', '.join(links)})")
        taps.append(Tap(tap.name, link, tap.node))
    return tuple(taps)
