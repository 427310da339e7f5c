"""A machine with an IP stack as Linux has one: neighbours, routes, ICMP, forwarding, and what it says to packets.

Transport protocols and services hang on by `tcp`, `udp_ports` and `ip_protocols`; nodes with a part in load balancing
are subclasses that look at a packet before the stack does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from dsrkit.craft.encapsulate import fragments
from dsrkit.craft.machines.network import SECOND, Label, Lan, Network
from dsrkit.craft.packets import arp, ip, nd
from dsrkit.craft.packets.octets import (
    ARP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    TCP,
    UDP,
    Octets,
    address_text,
    mac_text,
    sum16,
    version_of,
)
from dsrkit.craft.packets.quoted import transport_of
from dsrkit.craft.rewrite import Bindings, Habit, changes, rewritten
from dsrkit.errors import SpecError, UsageError
from dsrkit.tables import tables

if TYPE_CHECKING:
    from dsrkit.craft.machines.tcp import TcpStack
    from dsrkit.craft.machines.virtual_router import VirtualRouter

ARP_RETRIES: Final = 3
REASSEMBLY_TIME: Final = {4: 30 * SECOND, 6: 60 * SECOND}  # net.ipv4.ipfrag_time, net.ipv6.ip6frag_time
LOCKTIME: Final = SECOND
"""How long an ARP entry stands against anybody who did not announce himself properly (neigh/*/locktime)."""

# RFC 792 and RFC 4443: (type, code) of the same complaint in both families
UNREACHABLE_NET = ((3, 0), (1, 0))
UNREACHABLE_HOST = ((3, 1), (1, 3))
UNREACHABLE_PROTOCOL = ((3, 2), (4, 1))
UNREACHABLE_PORT = ((3, 3), (1, 4))
TOO_BIG = ((3, 4), (2, 0))
PROHIBITED = ((3, 13), (1, 1))
TIME_EXCEEDED = ((11, 0), (3, 0))
NOT_REASSEMBLED = ((11, 1), (3, 1))
Complaint = tuple[tuple[int, int], tuple[int, int]]
ICMP_ERRORS: Final = (3, 4, 5, 11, 12)
"""Types that nobody answers with an error; of ICMPv6 these are all below 128."""


@dataclass(eq=False)
class Interface:
    """A port of a machine on a segment.

    `addresses` are its own, with prefix lengths; `vertex` names its place in the segment.
    """

    host: Host
    link: str
    mac: bytes
    addresses: list[tuple[bytes, int]]
    segment: Lan
    vertex: str
    vlan: int | None = None
    mtu: int = 1500
    macs: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.macs = [self.mac]

    def holds(self, address: bytes) -> bool:
        """Whether an address is on-link here."""
        return any(_network(own, length, len(address)) == _prefix(address, length) for own, length in self.addresses)

    def source(self, version: int) -> bytes | None:
        """The interface's first address of a family."""
        return next((own for own, _ in self.addresses if len(own) == (4 if version == 4 else 16)), None)


def _prefix(address: bytes, length: int) -> tuple[int, int]:
    bits = 8 * len(address)
    return len(address), int.from_bytes(address, "big") >> (bits - length) if length <= bits else -1


def _network(own: bytes, length: int, width: int) -> tuple[int, int] | None:
    return _prefix(own, length) if len(own) == width else None


@dataclass(frozen=True, slots=True)
class Route:
    """Where packets for a prefix go: to `gateway`, or straight onto the link if that is None."""

    prefix: IPv4Network | IPv6Network
    interface: Interface
    gateway: bytes | None = None


Handler = Callable[[Octets, Label], None]


class Host:
    """A machine: interfaces, neighbours, routes, and the ways a packet takes through it."""

    role = "host"

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.network = network
        self.interfaces: list[Interface] = []
        self.routes: list[Route] = []
        self.neighbours: dict[bytes, bytes] = {}
        self.local: set[bytes] = set()  # accepts packets for these
        self.silent: set[bytes] = set()  # but answers no ARP for these (arp_ignore=1 and an address on lo)
        self.announced: set[bytes] = set()  # uses these as ARP sender (arp_announce=0)
        self.forwards = False
        self.accept_local = False  # takes packets from outside that carry one of its own IPv4 addresses as source
        self.virtual_macs: dict[bytes, bytes] = {}  # addresses that live on a MAC of their own (use_vmac)
        self.ignores_gratuitous = False  # drop_gratuitous_arp=1, drop_unsolicited_na=1
        self.up = True  # a machine that is down hears and says nothing; its link stays up
        self.pace_ns = 15_000  # how fast it is
        self.ttl = 64
        self.udp_ports: dict[int, Handler] = {}
        self.ip_protocols: dict[int, Handler] = {}
        self.tcp: TcpStack | None = None
        self.virtual_router: VirtualRouter | None = None
        self.icmp_listeners: list[Callable[[Octets, int, int, Label], None]] = []
        self.echo_listeners: list[Handler] = []
        self.router_table = tables("path").table("router", "request")
        self.router_habits: dict[str, Habit] = {}  # what the router's table leaves open
        self.firewall: list[Callable[[Octets, Label], bool]] = []  # False: dropped before the stack sees it
        self.input_chain: list[Callable[[Octets, Label], bool]] = []  # the same for what it takes for its own
        self.forward_chain: list[Callable[[Octets, Label], bool]] = []  # and for what it routes on
        self.next_hop: Callable[[bytes, bytes], bytes] = lambda packet, hop: hop  # one of several equal routes
        self.waiting: dict[bytes, list[tuple[Interface, bytes, Label]]] = {}
        self._changed: dict[bytes, int] = {}  # when a neighbour's entry last changed
        self._ids: dict[bytes, int] = {}
        self._busy_until = 0
        self._pieces: dict[tuple[bytes, bytes, int], dict[int, tuple[bool, bytes]]] = {}

    # --- identity -------------------------------------------------------------------------------------------------

    def interface_on(self, link: str) -> Interface:
        return next(i for i in self.interfaces if i.link == link)

    def address(self, version: int) -> bytes:
        """The machine's first own address of a family."""
        for interface in self.interfaces:
            if (own := interface.source(version)) is not None:
                return own
        raise SpecError(f"{self.name} has no IPv{version} address")

    def next_id(self, dst: bytes = b"") -> int:
        """The next IPv4 identification towards a destination: a counter from a random start (ip_select_ident)."""
        start = self._ids.get(dst)
        value = self.network.random.randrange(1, 0x8000) if start is None else start % 0xFFFF + 1
        self._ids[dst] = value
        return value

    # --- link layer -----------------------------------------------------------------------------------------------

    def send_frame(self, interface: Interface, frame: bytes, label: Label) -> None:
        """Put a whole frame on the link, with the link's VLAN tag."""
        if not self.up:
            return
        if interface.vlan is not None:
            frame = frame[:12] + b"\x81\x00" + interface.vlan.to_bytes(2, "big") + frame[12:]
        self.network.transmit(interface, frame, label)

    def receive(self, interface: Interface, frame: bytes, label: Label) -> None:
        """A frame from the link: for this machine, or dropped."""
        if not self.up:
            return
        target = bytes(frame[:6])
        if target not in interface.macs and not target[0] & 1:
            return
        if frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
            if interface.vlan is None or int.from_bytes(frame[14:16], "big") & 0xFFF != interface.vlan:
                return
            frame = frame[:12] + frame[16:]
        elif interface.vlan is not None:
            return
        try:
            packet = Octets(frame, depth=1)
        except UsageError:
            return  # cut short, or with lengths that lie: dropped like anything else that makes no sense
        if packet.ether_type == ARP and len(frame) >= packet.link_end + 28:
            self._arp(interface, packet, label)
        elif packet.networks and packet.transport_is_whole:
            self.ip_input(interface, packet, label)

    def _arp(self, interface: Interface, packet: Octets, label: Label) -> None:
        """Answer who asks, and learn from what is said. Source: net/ipv4/arp.c arp_process, arp_is_garp."""
        at = packet.link_end
        request = packet.word(at + 6) == arp.REQUEST
        sha, spa, tha, tpa = (bytes(packet.data[at + a : at + b]) for a, b in ((8, 14), (14, 18), (18, 24), (24, 28)))
        if spa == tpa and self.ignores_gratuitous:
            return
        if request and tpa in self.local and spa not in self.local:
            if tpa in self.silent:
                return
            if any(spa):  # a probe has no address to learn
                self.learn(spa, sha)
            answer = arp.reply(
                address_text(tpa), mac_text(self.mac_for(interface, tpa)), address_text(spa), mac_text(sha)
            )
            self.network.after(self.think(), lambda: self.send_frame(interface, answer, self.network.label()))
            return
        # an announcement always counts; of several answers the first does, for a second long
        announced = spa == tpa and (request or tha == sha)
        if spa in self.waiting or (spa in self.neighbours and (announced or not self._locked(spa))):
            self.learn(spa, sha)

    def _locked(self, address: bytes) -> bool:
        return self.network.now < self._changed.get(address, -LOCKTIME) + LOCKTIME

    def mac_for(self, interface: Interface, address: bytes) -> bytes:
        """The MAC an address is announced with."""
        return self.virtual_macs.get(address, interface.mac)

    def learn(self, address: bytes, mac: bytes) -> None:
        """A neighbour is known: what waited for it can go."""
        if self.neighbours.get(address) != mac:
            self._changed[address] = self.network.now
        self.neighbours[address] = mac
        for interface, packet, label in self.waiting.pop(address, []):
            self._frame(interface, mac, packet, label)

    def think(self) -> int:
        """How long until the machine is done with a packet, in nanoseconds; it takes one after the other."""
        done = self.network.now + self.pace_ns + self.network.random.randrange(10_000)
        self._busy_until = max(done, self._busy_until + 1)
        return self._busy_until - self.network.now

    def _resolve(self, interface: Interface, hop: bytes, attempt: int = 0) -> None:
        if hop in self.neighbours or hop not in self.waiting:
            return
        if attempt == ARP_RETRIES:
            waiting = self.waiting.pop(hop)
            self.unreachable(hop, [(packet, label) for _, packet, label in waiting])
            return
        version = version_of(hop)
        source = self._sender_address(interface, hop, version)
        if source is not None:
            target, own = address_text(hop), mac_text(interface.mac)
            build = arp.request if version == 4 else nd.solicitation
            self.send_frame(interface, build(target, address_text(source), own), self.network.label())
        self.network.after(SECOND, lambda: self._resolve(interface, hop, attempt + 1))

    def _sender_address(self, interface: Interface, hop: bytes, version: int) -> bytes | None:
        """Whose address an ARP request tells (arp_announce): the packet's if announced so, else the interface's."""
        packet = self.waiting[hop][0][1]
        source = packet[12:16] if version == 4 else packet[8:24]
        return source if source in self.announced else interface.source(version)

    def unreachable(self, hop: bytes, packets: list[tuple[bytes, Label]]) -> None:
        """Nobody answered for a next hop: a router complains, a host keeps it to itself."""
        if self.forwards:
            for packet, label in packets:
                # from the outgoing interface even if the packet was for this machine (net/ipv4/icmp.c __icmp_send)
                found = self.route(packet[12:16]) if packet[0] >> 4 == 4 else None
                source = found[0].source(4) if found else None
                self.complain(UNREACHABLE_HOST, packet, label, source=source)

    def _frame(self, interface: Interface, mac: bytes, packet: bytes, label: Label) -> None:
        kind = IPV4 if packet[0] >> 4 == 4 else IPV6
        self.send_frame(interface, mac + interface.mac + kind.to_bytes(2, "big") + packet, label)

    # --- IP output ------------------------------------------------------------------------------------------------

    def route(self, dst: bytes) -> tuple[Interface, bytes] | None:
        """Interface and next hop towards an address: the longest prefix wins."""
        for interface in self.interfaces:
            if interface.holds(dst):
                return interface, dst
        target = ip_address(dst)
        fitting = [r for r in self.routes if r.prefix.version == target.version and target in r.prefix]
        if not fitting:
            return None
        best = max(fitting, key=lambda r: r.prefix.prefixlen)
        return best.interface, best.gateway or dst

    def output(self, packet: bytes, label: Label, *, hop: bytes | None = None) -> bool:
        """Send an IP packet to its destination, or towards `hop` whatever its destination says.

        Returns False if there is no route. What does not fit is fragmented, as far as DF allows.
        """
        dst = hop or (packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])
        if dst in self.local and dst[0] not in (0xE0, 0xFF):
            looped = Octets(linked(packet), depth=1)  # by lo, where no tap listens
            self.network.after(self.think(), lambda: self.deliver(looped, label))
            return True
        found = self.route(dst)
        if found is None:
            return False
        interface, gateway = found
        gateway = self.next_hop(packet, gateway)
        for piece in fragments(packet, interface.mtu):
            self._to_neighbour(interface, gateway, piece, label)
        return True

    def send(self, packet: bytes, about: Label) -> None:
        """Send a new packet of this machine that belongs to the same connection as another."""
        self.output(packet, self.network.label(about.flow))

    def _to_neighbour(self, interface: Interface, hop: bytes, packet: bytes, label: Label) -> None:
        known = self.neighbours.get(hop)
        if known is not None:
            self._frame(interface, known, packet, label)
            return
        first = hop not in self.waiting
        self.waiting.setdefault(hop, []).append((interface, packet, label))
        if first:
            self._resolve(interface, hop)

    # --- IP input -------------------------------------------------------------------------------------------------

    def ip_input(self, interface: Interface, packet: Octets, label: Label) -> None:
        """A packet from a link: its own, to be forwarded, or dropped."""
        if not all(rule(packet, label) for rule in self.firewall):
            return
        if self._neighbour_discovery(interface, packet):
            return
        dst = packet.address("ip.dst")
        if len(dst) == 4 and packet.address("ip.src") in self.local and not self.accept_local:
            return  # a martian: net/ipv4/fib_frontend.c fib_validate_source (IPv6 has no such check)
        if self.intercept(interface, packet, label):
            return
        if dst in self.local:
            self.network.after(self.think(), lambda: self.deliver(packet, label))
        elif self.forwards and not packet.data[0] & 1:
            self.network.after(self.think(), lambda: self.forward(packet, label))

    def intercept(self, interface: Interface, packet: Octets, label: Label) -> bool:
        """What a node does to packets before the stack decides about them; True: it took the packet."""
        return False

    def deliver(self, packet: Octets, label: Label) -> None:
        """A packet for one of this machine's addresses, to the protocol that it carries."""
        ip_header = packet.ip
        if not ip_header.first or self.is_fragment(packet):
            first = packet if ip_header.first else None
            whole = self.reassembled(packet)
            if whole is None:
                if first is not None:
                    self._give_up_later(first, label)
                return
            packet = whole
            ip_header = packet.ip
        proto = ip_header.proto
        if not packet.sound or not all(rule(packet, label) for rule in self.input_chain):
            return
        if proto in (ICMP, ICMPV6):
            self._icmp(packet, label)
        elif proto in self.ip_protocols:
            self.ip_protocols[proto](packet, label)
        elif proto == TCP and self.tcp is not None:
            self.tcp.input(packet, label)
        elif proto == UDP:
            ports = packet.ports
            if ports is not None and ports[1] in self.udp_ports:
                self.udp_ports[ports[1]](packet, label)
            elif not self._is_multicast(packet):
                self.complain(UNREACHABLE_PORT, packet.ip_packet, label)
        elif not self._is_multicast(packet):
            self.complain(UNREACHABLE_PROTOCOL, packet.ip_packet, label)

    @staticmethod
    def _is_multicast(packet: Octets) -> bool:
        return bool(packet.data[0] & 1)

    # --- fragments ------------------------------------------------------------------------------------------------

    @staticmethod
    def is_fragment(packet: Octets) -> bool:
        ip_header = packet.ip
        if ip_header.version == 4:
            return packet.word(ip_header.at + 6) & 0x3FFF != 0
        return ip_header.fragment != 0

    def reassembled(self, packet: Octets) -> Octets | None:
        """The whole datagram once its last missing fragment is here, else None."""
        key = _fragment_key(packet)
        parts = self._pieces.setdefault(key, {})
        offset, more, body = _fragment(packet)
        parts[offset] = (more, body)
        at, whole = 0, b""
        while at in parts:
            more, body = parts[at]
            whole += body
            if not more:
                del self._pieces[key]
                return _whole(packet, whole)
            at += len(body)
        return None

    def _give_up_later(self, first: Octets, label: Label) -> None:
        """Complain about a datagram that does not become whole; only who has its first fragment may (RFC 1122 s3.2.2).

        Source: net/ipv4/ip_fragment.c ip_expire; net/ipv6/reassembly.c.
        """
        key = _fragment_key(first)
        pieces = self._pieces[key]

        def expire() -> None:
            if self._pieces.get(key) is pieces:
                del self._pieces[key]
                self.complain(NOT_REASSEMBLED, first.ip_packet, label)

        self.network.after(REASSEMBLY_TIME[first.ip.version], expire)

    # --- forwarding -----------------------------------------------------------------------------------------------

    def forward(self, packet: Octets, label: Label) -> None:
        """Route a packet on: TTL, checksum and MACs change, nothing else (the router's table)."""
        ttl = packet.number("ip.ttl")
        if ttl <= 1:
            self.complain(TIME_EXCEEDED, packet.ip_packet, label)
            return
        dst = packet.address("ip.dst")
        found = self.route(dst)
        if found is None:
            self.complain(UNREACHABLE_NET, packet.ip_packet, label)
            return
        if not all(rule(packet, label) for rule in self.forward_chain):
            return
        after = rewritten(packet, self.router_table, Bindings(), profile="generic", habits=self.router_habits)
        whole = after.ip_packet
        if len(whole) > found[0].mtu and (whole[0] >> 4 == 6 or whole[6] & 0x40):
            self.complain(TOO_BIG, packet.ip_packet, label, mtu=found[0].mtu)
            return
        self.output(whole, label.changed(changes(packet, after)))

    # --- ICMP -----------------------------------------------------------------------------------------------------

    def complain(
        self, what: Complaint, packet: bytes, label: Label, *, mtu: int = 0, source: bytes | None = None
    ) -> None:
        """Send an ICMP error about an IP packet to its source, from `source` or the address that it was for."""
        four = packet[0] >> 4 == 4
        width, start = (4, 12) if four else (16, 8)
        src, dst = packet[start : start + width], packet[start + width : start + 2 * width]
        if not _may_be_complained_about(packet):
            return
        if source is None:
            found = self.route(src)
            own = found[0].source(4 if four else 6) if found else None
            source = dst if dst in self.local else own
        if source is None:
            return
        header = ip.Header(source, src, self.ttl, packet[1] & 0x1E | 0xC0 if four else 0, self.next_id(src), df=False)
        kind, code = what[0] if four else what[1]
        error = ip.icmp_error(header, kind, code, packet, mtu=mtu)
        self.output(error, self.network.label(label.flow))

    def _icmp(self, packet: Octets, label: Label) -> None:
        ip_header = packet.ip
        at = ip_header.payload
        kind, code = packet.data[at], packet.data[at + 1]
        if kind in (8, 128):
            self.echo_reply(packet, label)
        elif kind in (0, 129):
            for listener in self.echo_listeners:
                listener(packet, label)
        else:
            for hear in self.icmp_listeners:
                hear(packet, kind, code, label)

    def echo_reply(self, packet: Octets, label: Label) -> None:
        """Answer a ping from the address that was pinged; Linux copies the TOS octet (net/ipv4/icmp.c icmp_reply)."""
        ip_header = packet.ip
        src, dst = packet.address("ip.src"), packet.address("ip.dst")
        dscp, ecn = packet.number("ip.dsfield.dscp"), packet.number("ip.dsfield.ecn")
        at = ip_header.payload
        header = ip.Header(dst, src, self.ttl, dscp << 2 | ecn, self.next_id(src), df=False)
        body = bytes(packet.data[at + 8 : ip_header.end])
        answer = ip.echo(header, packet.word(at + 4), packet.word(at + 6), body, reply=True)
        self.output(answer, self.network.label(label.flow))

    def _neighbour_discovery(self, interface: Interface, packet: Octets) -> bool:
        """IPv6 neighbour solicitations and advertisements (RFC 4861); True if the packet was one."""
        ip_header = packet.inner
        if ip_header is None or ip_header.proto != ICMPV6 or ip_header.payload + 24 > ip_header.end:
            return False
        at = ip_header.payload
        kind = packet.data[at]
        if kind not in (135, 136):
            return False
        target = bytes(packet.data[at + 8 : at + 24])
        options = bytes(packet.data[at + 24 : ip_header.end])
        mac = options[2:8] if len(options) >= 8 and options[0] in (1, 2) else b""
        source = packet.address("ip.src")
        if kind == 135:
            if target in self.local and target not in self.silent:
                if mac:
                    self.learn(source, mac)
                answer = nd.advertisement(
                    address_text(target),
                    mac_text(self.mac_for(interface, target)),
                    dst=address_text(source),
                    dst_mac=mac_text(mac),
                    router=self.forwards,
                    solicited=True,
                )
                self.network.after(self.think(), lambda: self.send_frame(interface, answer, self.network.label()))
        elif mac and target not in self.local:
            # Source: net/ipv6/ndisc.c ndisc_recv_na: the override flag decides against what is known already
            solicited, override = packet.data[at + 4] & 0x40, packet.data[at + 4] & 0x20
            heard = solicited or not self.ignores_gratuitous
            if heard and (target in self.waiting or (target in self.neighbours and override)):
                self.learn(target, mac)
        return True


def linked(packet: bytes) -> bytes:
    """An IP packet behind an empty Ethernet header, for what has not been on any link."""
    return bytes(12) + (IPV4 if packet[0] >> 4 == 4 else IPV6).to_bytes(2, "big") + packet


def _may_be_complained_about(packet: bytes) -> bool:
    """No errors about errors, nor about later fragments of IPv4 (RFC 1122 s3.2.2; RFC 4443 s2.4 (e)).

    Source: net/ipv4/icmp.c __icmp_send; net/ipv6/icmp.c is_ineligible.
    """
    proto, at = transport_of(packet)
    if packet[0] >> 4 == 4:
        later = int.from_bytes(packet[6:8], "big") & 0x1FFF
        return not later and (proto != ICMP or packet[at] not in ICMP_ERRORS)
    return proto != ICMPV6 or packet[at] >= 128


def _fragment_key(packet: Octets) -> tuple[bytes, bytes, int]:
    ip_header = packet.ip
    at = ip_header.at
    if ip_header.version == 4:
        return bytes(packet.data[at + 12 : at + 16]), bytes(packet.data[at + 16 : at + 20]), packet.word(at + 4)
    ident = int.from_bytes(packet.data[ip_header.fragment + 4 : ip_header.fragment + 8], "big")
    return bytes(packet.data[at + 8 : at + 24]), bytes(packet.data[at + 24 : at + 40]), ident


def _fragment(packet: Octets) -> tuple[int, bool, bytes]:
    """Offset, more-fragments bit and payload of a fragment."""
    ip_header = packet.ip
    body = bytes(packet.data[ip_header.payload : ip_header.end])
    if ip_header.version == 4:
        word = packet.word(ip_header.at + 6)
        return 8 * (word & 0x1FFF), bool(word & 0x2000), body
    word = packet.word(ip_header.fragment + 2)
    return word & 0xFFF8, bool(word & 1), body


def _whole(packet: Octets, body: bytes) -> Octets:
    """A datagram from the headers of one fragment and all the payload."""
    ip_header = packet.ip
    link = bytes(packet.data[: ip_header.at])
    if ip_header.version == 4:
        header = bytearray(packet.data[ip_header.at : ip_header.payload])
        header[2:4] = (len(header) + len(body)).to_bytes(2, "big")
        header[6:8] = bytes([header[6] & 0x40, 0])
        header[10:12] = b"\0\0"
        header[10:12] = (~sum16(header) & 0xFFFF).to_bytes(2, "big")
    else:
        header = bytearray(packet.data[ip_header.at : ip_header.at + 40])
        header[4:6] = len(body).to_bytes(2, "big")
        header[6] = ip_header.proto
    return Octets(link + bytes(header) + body, depth=packet.depth)
