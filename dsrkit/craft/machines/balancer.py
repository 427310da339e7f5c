"""The load balancer of the rewriting modes: finds the service, picks a server, and does what the mode's table says.

What is not a table's to say stands here: connections and their servers, ports of full NAT, reassembly, what happens to
a packet that is too big or too old, and ICMP errors on their way back.

Source: net/netfilter/ipvs/ip_vs_core.c, ip_vs_xmit.c of Linux 6.1; recorded ipvs-*, b03*, b07*, b18, b22.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dsrkit.craft.encapsulate import overhead, push
from dsrkit.craft.machines.host import PROHIBITED, TIME_EXCEEDED, TOO_BIG, UNREACHABLE_PORT, Host, Interface, linked
from dsrkit.craft.machines.network import Label, Network
from dsrkit.craft.packets import toa
from dsrkit.craft.packets.octets import GRE, ICMP, ICMPV6, IPIP, IPV6_IN_IP, TCP, UDP, Octets, version_of
from dsrkit.craft.packets.quoted import addresses_at, translated, transport_of
from dsrkit.craft.profiles import Encapsulation, profile_of
from dsrkit.craft.rewrite import Bindings, Habit, changes, rewritten, value, without
from dsrkit.tables import tables
from dsrkit.tables.nodes import NodeTable

Key = tuple[int, bytes, int, bytes, int]  # protocol, source and port, destination and port


@dataclass(eq=False)
class Server:
    """A real server as the load balancer knows it.

    `addresses` by IP version; `port` is None where the service's own port stays.
    """

    name: str
    addresses: Mapping[int, bytes]
    port: int | None = None
    dscp: Mapping[bytes, int] = field(default_factory=dict)  # VIP → the tag that stands for it there
    alive: bool = True


@dataclass(eq=False)
class Session:
    """A connection through the load balancer."""

    key: Key
    server: Server
    own_port: int  # of full NAT
    first_ack: int = -1  # what a client acknowledges before the server has sent data: its SYN


class Balancer(Host):
    """A load balancer in one of the rewriting modes."""

    role = "lb"

    def __init__(self, name: str, network: Network, mode: str, profile: str) -> None:
        super().__init__(name, network)
        self.mode = mode
        self.profile = profile
        self.request: NodeTable = tables(mode).table("lb", "request")
        self.reply: NodeTable = tables(mode).table("lb", "reply")
        self.services: dict[tuple[int, int], int] = {}  # protocol and port of the VIP → the server's port
        self.vips: list[bytes] = []
        self.servers: list[Server] = []
        self.encapsulation = Encapsulation("ipip")
        self.outer_version = 4
        self.snat: dict[int, bytes] = {}
        self.toa = False
        self.reassembles = True
        self.translates_errors = True
        self.sessions: dict[Key, Session] = {}
        self.pinned: dict[Key, Session] = {}  # connections of its own, each to one server: health checks
        self.back: dict[Key, Session] = {}
        self.implementation = profile_of(profile)
        self.habits: dict[str, Habit] = dict(self.implementation.habits)
        self.forwards = True
        self.path_mtu_discovery = True
        self.sloppy_tcp = False  # net.ipv4.vs.sloppy_tcp: any segment begins a connection, not only a SYN
        self.stateless = False  # on a bench: replies come without the request that they answer
        self.by_port = False  # katran's F_HASH_DPORT_ONLY: in a hash, a client's address counts as 0
        self.choose: Callable[[Key], Server | None] = self._round_robin
        self.follow: Callable[[Session], Session] = lambda session: session  # where ICMP errors about replies go
        self.pick_port: Callable[[Key, Server], int] = self._free_port
        self._turn = 0

    @property
    def returns(self) -> bool:
        """Whether replies pass the load balancer."""
        return any(cell.field == "ip.src" for cell in self.reply.cells)

    # --- requests -------------------------------------------------------------------------------------------------

    def intercept(self, interface: Interface, packet: Octets, label: Label) -> bool:
        inner = packet.inner
        dst = packet.address("ip.dst")
        assert inner is not None
        if inner.proto in (ICMP, ICMPV6):
            return self.translates_errors and self._relay(packet, label)
        if inner.proto not in (TCP, UDP):
            return False
        if dst in self.vips and (not inner.first or (self._serves(packet) and self._may_start(packet))):
            self.network.after(self.think(), lambda: self._balance(packet, label))
            return True
        if self.returns and self._may_be_reply(packet):
            self.network.after(self.think(), lambda: self._return(packet, label))
            return True
        return False

    def _may_be_reply(self, packet: Octets) -> bool:
        """Whether a packet is a reply of a server's; of its fragments only the whole can tell."""
        if self.is_fragment(packet) and self.reassembles:
            return any(packet.address("ip.src") in server.addresses.values() for server in self.servers)
        return self._session_back(packet) is not None

    def _session_back(self, packet: Octets) -> Session | None:
        """The connection that a server's packet belongs to; `stateless`, whatever its addresses say."""
        key = self.key_of(packet)
        found = self.back.get(key)
        if found is not None or not self.stateless or self.snat:
            return found
        proto, src, sport, dst, dport = key
        server = next((one for one in self.servers if src in one.addresses.values()), None)
        vip = next((vip for vip in self.vips if len(vip) == len(src)), None)
        if server is None or vip is None:
            return None
        vport = next((v for (p, v), r in self.services.items() if p == proto and (server.port or r) == sport), 0)
        if not vport:
            return None
        return Session((proto, dst, dport, vip, vport), server, dport)

    def _serves(self, packet: Octets) -> bool:
        inner, ports = packet.inner, packet.ports
        return inner is not None and ports is not None and (inner.proto, ports[1]) in self.services

    def _may_start(self, packet: Octets) -> bool:
        """Whether a packet belongs to a connection or may begin one (ip_vs_proto_tcp.c tcp_conn_schedule)."""
        anything = self.sloppy_tcp or self.stateless or not self.implementation.stack
        flags = packet.get("tcp.flags")
        return anything or not isinstance(flags, int) or flags & 2 != 0 or self.key_of(packet) in self.sessions

    @staticmethod
    def key_of(packet: Octets) -> Key:
        """Protocol, source and destination of a packet, with ports."""
        inner = packet.inner
        src, dst = packet.address("ip.src"), packet.address("ip.dst")
        ports = packet.ports or (0, 0)
        assert inner is not None
        return inner.proto, src, ports[0], dst, ports[1]

    def _balance(self, packet: Octets, label: Label) -> None:
        if not self.implementation.stack and (self.is_fragment(packet) or _has_options(packet)):
            return
        whole = self._datagram(packet)
        if whole is None:
            return
        packet = whole
        key = self.key_of(packet)
        vip = key[3]
        ttl = packet.number("ip.ttl")
        if ttl <= 1 and self.implementation.stack:
            self.complain(TIME_EXCEEDED, packet.ip_packet, label, source=vip)
            return
        session = self.sessions.get(key) or self._new_session(key)
        if session is None:
            if self.implementation.stack:
                self.complain(UNREACHABLE_PORT, packet.ip_packet, label, source=vip)
            return
        bindings, habits = self.bindings(session), self._request_habits(session)
        if ttl <= 1 and self._takes_ttl(packet, bindings, habits):
            return  # Cilium bpf/lib/ipv4.h ipv4_dec_ttl: dropped without a word
        after = rewritten(packet, self.request, bindings, profile=self.profile, habits=habits)
        if self.toa and toa.belongs(packet, session.first_ack):
            found = self.route(after.address("ip.dst"))
            after = toa.added(after, key[1], key[2], mtu=found[0].mtu if found else 0)
        self._send(packet, after, bindings, session, label)

    def _takes_ttl(self, packet: Octets, bindings: Bindings, habits: Mapping[str, Habit]) -> bool:
        rules = (cell.rule for cell in self.request.cells if cell.field == "ip.ttl")
        return any(
            value(rule, "ip.ttl", packet, bindings, self.profile, habits) != packet.get("ip.ttl") for rule in rules
        )

    def _datagram(self, packet: Octets) -> Octets | None:
        """The whole of a fragmented datagram for a service, put together first (ip_vs_core.c ip_vs_gather_frags)."""
        if not self.is_fragment(packet):
            return packet
        if not self.reassembles:
            return packet if packet.ip.first else None  # the others have no ports
        whole = self.reassembled(packet)
        return whole if whole is not None and self._serves(whole) else None

    def _new_session(self, key: Key) -> Session | None:
        server = self.choose(key)
        if server is None:
            return None
        session = Session(key, server, self.pick_port(key, server))
        self.sessions[key] = session
        if self.returns:
            proto, src, sport, dst, dport = key
            version = version_of(dst)
            rport = server.port or self.services.get((proto, dport), dport)
            if self.snat:
                src, sport = self.snat[version], session.own_port
            self.back[(proto, server.addresses[version], rport, src, sport)] = session
        return session

    def _round_robin(self, key: Key) -> Server | None:
        alive = [server for server in self.servers if server.alive]
        if not alive:
            return None
        self._turn += 1
        return alive[(self._turn - 1) % len(alive)]

    def _free_port(self, key: Key, server: Server) -> int:
        """The port of full NAT: the client's, unless another client has it at that server.

        Source: net/netfilter/nf_nat_core.c nf_nat_l4proto_unique_tuple (any from 1024 on); recorded ipvs-fullnat.
        """
        taken = {s.own_port for s in self.sessions.values() if s.server is server and s.key[0] == key[0]}
        port = key[2]
        while port in taken:
            port = self.network.random.randrange(1024, 65536)
        return port

    def bindings(self, session: Session) -> Bindings:
        """What the roles of the tables stand for in this session."""
        proto, client, client_port, vip, port = session.key
        version = version_of(vip)
        server = session.server
        family = self.outer_version if self.request.pushes else version
        rip = server.addresses[family]
        roles: dict[tuple[str, str], int | bytes] = {
            ("real-server", "ip"): rip,
            ("real-server", "port"): server.port or self.services.get((proto, port), port),
            ("lb", "ip"): self.snat[version] if self.snat else self._source_towards(rip),
            ("vip", "ip"): vip,
            ("vip", "port"): port,
            ("client", "ip"): client,
        }
        if version in server.addresses:
            roles[("backend", "ip")] = server.addresses[version]  # what Cilium writes into a packet inside Geneve
        if vip in server.dscp:
            roles[("real-server", "dscp")] = server.dscp[vip]
        hashed = bytes(len(client)) if self.by_port else client
        return Bindings(roles, hashed, client_port, vip, port, proto, next_id=lambda: self.next_id(rip))

    def _source_towards(self, rip: bytes) -> bytes:
        """The load balancer's own address on the way to a server: the source of an outer header (ip_route_output)."""
        found = self.route(rip)
        version = version_of(rip)
        own = found[0].source(version) if found is not None else None
        return own if own is not None else self.address(version)

    def _request_habits(self, session: Session) -> dict[str, Habit]:
        own: dict[str, Habit] = {"l4.dstport": lambda _, b: b.roles[("real-server", "port")]}
        if self.snat:
            own["l4.srcport"] = lambda *_: session.own_port
        return {**self.habits, **own}

    def _send(self, packet: Octets, after: Octets, bindings: Bindings, session: Session, label: Label) -> None:
        changed = changes(packet, after)
        if not self.request.pushes:
            # L2DSR: the server's address names the next hop, not the destination
            hop = session.server.addresses[version_of(session.key[3])] if self._keeps_destination else None
            self.output(after.ip_packet, label.changed(changed), hop=hop)
            return
        whole = push(packet, after, self.request, bindings, self.encapsulation, profile=self.profile)
        rip = session.server.addresses[self.outer_version]
        found = self.route(rip)
        if found is None:
            return
        interface, hop = found
        if len(whole) > interface.mtu and self.path_mtu_discovery:
            room = interface.mtu - overhead(self.encapsulation, outer_version=self.outer_version, profile=self.profile)
            if self._refused_as_too_big(packet, after, room, session, label):
                return
        wrapped = Octets(bytes(packet.data[: packet.link_end]) + whole)
        label = label.changed(changes(packet, wrapped))
        if self.implementation.stack:
            self.output(whole, label, hop=rip)
        else:
            self._to_neighbour(interface, hop, whole, label)

    def _refused_as_too_big(self, packet: Octets, after: Octets, room: int, session: Session, label: Label) -> bool:
        """Tell the client that its packet leaves no room for the outer header; False where it goes out all the same."""
        if self.implementation.stack:
            # Source: ip_vs_xmit.c __mtu_check_toobig_v4/v6; recorded b07: from the VIP, quoting what was to be sent
            if after.ip.version == 4 and not after.get("ip.flags.df"):
                return False
            self.complain(TOO_BIG, after.ip_packet, label, mtu=room, source=session.key[3])
            return True
        answer = self.implementation.too_big
        return answer is not None and self._turned_round(packet, answer(packet, room), label)

    def _turned_round(self, packet: Octets, answer: bytes, label: Label) -> bool:
        """Send a frame back by the interface that the packet came in by."""
        came_to = next((i for i in self.interfaces if packet.get("eth.dst") in i.macs), None)
        if came_to is not None:
            self.send_frame(came_to, answer, self.network.label(label.flow))
        return came_to is not None

    def echo_reply(self, packet: Octets, label: Label) -> None:
        """Answer a ping as the implementation does."""
        answer = self.implementation.echo
        if answer is None or not self._turned_round(packet, answer(packet), label):
            super().echo_reply(packet, label)

    @property
    def _keeps_destination(self) -> bool:
        return all(cell.field != "ip.dst" for cell in self.request.cells)

    # --- packets of its own ---------------------------------------------------------------------------------------

    def pin(self, key: Key, server: Server) -> None:
        """Have the packets of a connection of its own take the data path to one server, as a client's would.

        Source: seesaw's checks of DSR set a firewall mark of their own per server; ip_vs_core.c ip_vs_local_request4.
        """
        self.pinned[key] = self.sessions[key] = Session(key, server, key[2])

    def output(self, packet: bytes, label: Label, *, hop: bytes | None = None) -> bool:
        session = None
        if hop is None and self.pinned:
            own = Octets(linked(packet), depth=1)
            session = self.pinned.get(_own_key(own))
        if session is None:
            return super().output(packet, label, hop=hop)
        check = self.implementation.check
        if check is not None and self.request.pushes:
            rip = session.server.addresses[self.outer_version]
            whole = check(packet, self.address(self.outer_version), rip, self.encapsulation)
            return super().output(whole, label.changed(changes(own, Octets(linked(whole)))))
        bindings = self.bindings(session)
        # IPVS takes one from the TTL of its own packets too (decrement_ttl); nft on the output hook does not
        table = without(self.request, "ip.ttl") if self.mode == "l3dsr-dscp" else self.request
        after = rewritten(own, table, bindings, profile=self.profile, habits=self._request_habits(session))
        self._send(own, after, bindings, session, label)
        return True

    # --- replies --------------------------------------------------------------------------------------------------

    def _return(self, packet: Octets, label: Label) -> None:
        """A reply on its way back through the load balancer, which routes it and so needs to forward.

        Source: ip_vs_core.c ip_vs_out_hook, which puts fragments together before it looks for their connection.
        """
        if not self.forwards:
            return
        if packet.number("ip.ttl") <= 1 and self.implementation.stack:  # net/ipv4/ip_forward.c, in front of the hook
            self.complain(TIME_EXCEEDED, packet.ip_packet, label)
            return
        if self.is_fragment(packet) and self.reassembles:
            whole = self.reassembled(packet) if self.implementation.stack else None
            if whole is None:
                return
            packet = whole
        session = self._session_back(packet)
        if session is None:
            self.forward(packet, label)
            return
        if session.first_ack < 0:
            session.first_ack = toa.after_syn(packet)
        _, _, client_port, _, port = session.key
        habits: dict[str, Habit] = {**self.habits, "l4.srcport": lambda *_: port}
        if self.snat:
            habits["l4.dstport"] = lambda *_: client_port
        after = rewritten(packet, self.reply, self.bindings(session), profile=self.profile, habits=habits)
        self.output(after.ip_packet, label.changed(changes(packet, after)))

    # --- ICMP -----------------------------------------------------------------------------------------------------

    def _relay(self, packet: Octets, label: Label) -> bool:
        """An ICMP error from a server goes on to the client in the VIP's name, one about a reply goes to the server.

        Source: ip_vs_core.c ip_vs_in_icmp; ip_vs_in_icmp_v6, which does not look into tunnels.
        """
        inner = packet.ip
        at = inner.payload
        kind, code = packet.data[at], packet.data[at + 1]
        if kind not in ((3, 4, 11, 12) if inner.version == 4 else (1, 2, 3, 4)):
            return False
        quoted = bytes(packet.data[at + 8 : inner.end])
        if not self.returns and packet.address("ip.dst") in self.vips:
            return self._to_its_server(packet, quoted, label)
        lost = self._unwrapped(quoted)
        if lost is None or len(lost) < 28:
            return False
        session = self._session_of(lost)
        if session is None:
            return False
        vip, client = session.key[3], session.key[1]
        what = {(3, 2): ((3, 2), (4, 1)), (3, 3): UNREACHABLE_PORT, (1, 4): UNREACHABLE_PORT, (3, 13): PROHIBITED}
        complaint = what.get((kind, code), ((kind, code), (kind, code)))
        if self.request.pushes:
            self.network.after(self.think(), lambda: self.complain(complaint, lost, label, source=vip))
        else:
            back = translated(lost, client, session.key[2], vip, session.key[4])
            self.network.after(self.think(), lambda: self.complain(complaint, back, label, source=vip))
        return True

    def _to_its_server(self, packet: Octets, quoted: bytes, label: Label) -> bool:
        """An ICMP error about a reply takes the way of the requests: ip_vs_xmit.c ip_vs_icmp_xmit."""
        if len(quoted) < 28 or packet.number("ip.ttl") <= 1:
            return False
        (start, width), (proto, ports) = addresses_at(quoted), transport_of(quoted)
        vip, client = quoted[start : start + width], quoted[start + width : start + 2 * width]
        vport, client_port = (int.from_bytes(quoted[ports + i : ports + i + 2], "big") for i in (0, 2))
        key = (proto, client, client_port, vip, vport)
        session = self.sessions.get(key) or (self._new_session(key) if self.stateless else None)
        if session is None:
            return False
        session = self.follow(session)
        bindings = self.bindings(session)
        after = rewritten(packet, self.request, bindings, profile=self.profile, habits=self.habits)
        self.network.after(self.think(), lambda: self._send(packet, after, bindings, session, label))
        return True

    def _unwrapped(self, quoted: bytes) -> bytes | None:
        """The client's packet inside a quoted tunnel packet; in NAT the quoted packet itself."""
        if not self.request.pushes:
            return quoted
        if not self.implementation.stack or quoted[0] >> 4 == 6 or len(self.vips[0]) == 16:
            return None
        at, proto = (4 * (quoted[0] & 15), quoted[9]) if quoted[0] >> 4 == 4 else (40, quoted[6])
        if proto == GRE and len(quoted) > at + 4:
            at += 8 if quoted[at] & 0x80 else 4
        elif proto == UDP:
            at += 8 if self.encapsulation.variant == 1 else 12
        elif proto not in (IPIP, IPV6_IN_IP):
            return None
        return quoted[at:]

    def _session_of(self, packet: bytes) -> Session | None:
        """The session that a quoted packet, as this load balancer sent it on, belongs to."""
        (start, width), (proto, ports) = addresses_at(packet), transport_of(packet)
        src, dst = packet[start : start + width], packet[start + width : start + 2 * width]
        sport, dport = (int.from_bytes(packet[ports + i : ports + i + 2], "big") for i in (0, 2))
        if self.returns:
            return self.back.get((proto, dst, dport, src, sport))
        return self.sessions.get((proto, src, sport, dst, dport))


def _own_key(packet: Octets) -> Key:
    """As `Balancer.key_of`; an echo request has its identifier for a port."""
    proto, src, sport, dst, dport = Balancer.key_of(packet)
    if proto in (ICMP, ICMPV6):
        sport = packet.word(packet.ip.payload + 4)
    return proto, src, sport, dst, dport


def _has_options(packet: Octets) -> bool:
    """Whether an IPv4 header has options."""
    return packet.ip.version == 4 and packet.ip.payload - packet.ip.at > 20
