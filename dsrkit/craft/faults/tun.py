"""Faults of L3DSR by tunnel.

Left out: TUN419 needs an appliance that sends packets back through the tunnel (GWLB), which no mode here has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.faults.breakage import beside, next_free, taken_addresses
from dsrkit.craft.machines.conversations import FIRST_PORT
from dsrkit.craft.machines.host import UNREACHABLE_PORT, Handler, Interface
from dsrkit.craft.machines.network import MICROSECOND, Label, Network, Wire
from dsrkit.craft.machines.real_server import RealServer
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.packets.headers import ipv4_header, ipv6_header
from dsrkit.craft.packets.octets import DSTOPTS, GRE, ICMP, ICMPV6, IPIP, IPV6_IN_IP, UDP, Octets
from dsrkit.craft.packets.supersegment import follows, joined, payload_of
from dsrkit.craft.profiles import Encapsulation
from dsrkit.craft.rewrite import with_rule
from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec
from dsrkit.tables.rules import const, role

MODE: Final = ("l3dsr-tunnel",)
SYN: Final = 0x02
LARGE: Final = {"pmtud": True, "request": 3000}
"""Requests that do not fit into the tunnel, to servers whose MSS does not say so."""
OPTION: Final = {"tunnel": "option"}
NOBODY: Final = bytes.fromhex("02badbad0001")
GRO_WAIT: Final = 60 * MICROSECOND
NARROW: Final = 1400
"""MTU of a client's last mile."""


def _outer_header(world: World, options: Options) -> None:
    """The fault is in the header that a tunnel puts around every packet, or in the room that it takes."""
    if world.balancer.encapsulation.type == "option":
        raise UsageError("an option puts no outer header around packets that could be wrong (use --tunnel ipip)")


def _kernel_tunnel(world: World) -> Encapsulation:
    """The tunnel, of a kind that ends in a device of the server's kernel."""
    tunnel = world.balancer.encapsulation
    if tunnel.type in ("option", "geneve"):
        raise UsageError(f"with {tunnel.type} there is no tunnel device that could be wrong (use --tunnel ipip)")
    return tunnel


# --- the servers' end ---------------------------------------------------------------------------------------------


def _no_device(world: World, options: Options) -> None:
    """Nothing on the first server takes the tunnel's protocol; for GUE that is a port without a socket."""
    tunnel, server = _kernel_tunnel(world), world.servers[0]
    server.ip_protocols.clear()
    server.udp_ports.pop(tunnel.port, None)


def _reverse_path_filter(world: World, options: Options) -> None:
    """The inner packet comes in by a device that no route to the client leaves by: rp_filter=1."""
    _kernel_tunnel(world)
    world.servers[0].firewall.append(lambda packet, label: packet.address("ip.dst") not in world.vips)


def _vip_missing(world: World, options: Options) -> None:
    _kernel_tunnel(world)
    world.servers[0].local.difference_update(world.vips)


def _device_down(world: World, options: Options) -> None:
    _kernel_tunnel(world)
    world.servers[0].device_up = False


def _mismatch(world: World, options: Options) -> None:
    """The servers have a socket on another port, or a module whose devices are all for other ends."""
    tunnel = world.balancer.encapsulation
    if tunnel.type == "option":
        _kernel_tunnel(world)
    for server in world.servers:
        if tunnel.type in ("gue", "geneve"):
            server.udp_ports[tunnel.port + 1] = server.udp_ports.pop(tunnel.port)
        for proto in server.ip_protocols:
            server.ip_protocols[proto] = _refused(server)


def _refused(server: RealServer) -> Handler:
    return lambda packet, label: server.complain(UNREACHABLE_PORT, packet.ip_packet, label)


def _checksum_refused(world: World, options: Options) -> None:
    """The fallback device gre0 takes no checksums: net/ipv4/ip_tunnel.c ip_tunnel_lookup."""
    tunnel = world.balancer.encapsulation
    if tunnel.type != "gre" or not tunnel.checksum:
        raise UsageError("TUN420 is about checksums in GRE: leave --tunnel gre and --tunnel-checksum as they are")
    for server in world.servers:
        server.ip_protocols[GRE] = lambda packet, label: None


def _reply_in_tunnel(world: World, options: Options) -> None:
    """The first server's route back to the clients leads through its tunnel, to a load balancer that owns the VIP."""
    server, lb = world.servers[0], world.balancer
    version = world.outer_version
    own, other = server.address(version), lb.address(version)
    usual = server.output

    def output(packet: bytes, label: Label, *, hop: bytes | None = None) -> bool:
        four = packet[0] >> 4 == 4
        source = packet[12:16] if four else packet[8:24]
        if source not in world.vips:
            return usual(packet, label, hop=hop)
        proto = IPIP if four else IPV6_IN_IP
        if version == 4:
            header = ipv4_header(own, other, proto, len(packet), ttl=server.ttl, df=1)
        else:
            header = ipv6_header(own, other, proto, len(packet), ttl=server.ttl)
        return usual(header + packet, label)

    server.output = output  # type: ignore[method-assign]
    for proto in (IPIP, IPV6_IN_IP):
        lb.ip_protocols[proto] = lambda packet, label: None  # inside is a packet from its own address, a martian


# --- MTU ----------------------------------------------------------------------------------------------------------


def _fragments_outside(world: World, options: Options) -> None:
    """vs.pmtu_disc=0, which IPVS heeds for IPv4 only: ip_vs_xmit.c ensure_mtu_is_adequate."""
    _outer_header(world, options)
    lb = world.balancer
    if len(world.vips[0]) == 16 or lb.outer_version == 6:
        raise UsageError("TUN407 is about the DF bit, which IPv6 has not (use --ip 4)")
    lb.path_mtu_discovery = False
    lb.request = with_rule(lb.request, "outer.flags.df", const(0))


def _is_too_big(packet: Octets) -> bool:
    ip = packet.ip
    what = {ICMP: (3, 4), ICMPV6: (2, 0)}.get(ip.proto)
    return ip.first and what == (packet.data[ip.payload], packet.data[ip.payload + 1])


def _too_big_filtered(world: World, options: Options) -> None:
    _outer_header(world, options)
    world.router.firewall.append(lambda packet, label: not _is_too_big(packet))


def _too_big_to_another(world: World, options: Options) -> None:
    """The clients' last mile is narrow; what it says about replies goes to whichever server the hash picks."""
    servers = world.balancer.servers
    if len(servers) < 2:
        raise UsageError("TUN406 needs another server that the ICMP error can go to: --real-servers 2")
    for interface in world.router.interfaces:
        if world.client in (other.host for other in interface.segment.interfaces.values()):
            interface.mtu = min(NARROW, interface.mtu)
    world.balancer.follow = lambda session: replace(
        session, server=servers[(servers.index(session.server) + 1) % len(servers)]
    )


class _Offload:
    """A NIC that hands consecutive segments to the load balancer as one (GRO, or LRO)."""

    def __init__(self, network: Network, sender: Interface, target: bytes) -> None:
        self.network = network
        self.sender = sender
        self.target = target
        self.held: list[tuple[bytes, Label]] = []
        self.passing = False

    def __call__(self, wire: Wire, frame: bytes, label: Label) -> bytes | None:
        if self.passing or frame[:6] != self.target:
            return frame
        if self.held and follows(self.held[-1][0], frame):
            self.held.append((frame, label))
            return None
        self.hand_on()
        if not payload_of(Octets(frame, depth=1)):
            return frame
        batch = self.held = [(frame, label)]
        self.network.after(GRO_WAIT, lambda: self.hand_on() if self.held is batch else None)
        return None

    def hand_on(self) -> None:
        if self.held:
            batch, self.held, self.passing = self.held, [], True
            self.network.transmit(self.sender, joined([frame for frame, _ in batch]), batch[0][1])
            self.passing = False


def _receive_offload(world: World, options: Options) -> None:
    _outer_header(world, options)
    interface = world.balancer.interfaces[0]
    sender = next(i for i in interface.segment.interfaces.values() if i.host is world.router)
    interface.segment.filters.append(_Offload(world.network, sender, interface.mac))


def _option_too_long(world: World, options: Options) -> None:
    """Datagrams that fill the MTU, before the option; the router's port takes no frame above its own MTU."""
    lb = world.balancer
    lb.path_mtu_discovery = False
    room = options.mtu - (28 if len(world.vips[0]) == 4 else 48)
    for number in range(2):
        beside(world, options, number, proto=UDP, octets=room)
    world.router.firewall.append(lambda packet, label: len(packet.ip_packet) <= options.mtu)


# --- the load balancer and the way --------------------------------------------------------------------------------


def _is_outer(packet: Octets, tunnel: Encapsulation) -> bool:
    """Whether the outermost header is the tunnel's."""
    if packet.ip.proto == UDP:
        ports = packet.ports
        return tunnel.type in ("gue", "geneve") and ports is not None and ports[1] == tunnel.port
    return packet.ip.proto in (IPIP, IPV6_IN_IP, GRE)


def _tunnel_filtered(world: World, options: Options) -> None:
    tunnel = world.balancer.encapsulation
    if tunnel.type == "option":
        raise UsageError("an option has no outer header that could be filtered: that is TUN415")
    world.router.firewall.append(lambda packet, label: not _is_outer(packet, tunnel))


def _mark_lost(world: World, options: Options) -> None:
    _outer_header(world, options)
    lb = world.balancer
    for field in ("outer.dsfield.dscp", "outer.dsfield.ecn"):
        lb.request = with_rule(lb.request, field, const(0))


def _outer_ttl_low(world: World, options: Options) -> None:
    """Clients far away, and a load balancer that copies what is left of their TTL."""
    _outer_header(world, options)
    lb = world.balancer
    if lb.profile == "ipvs":
        world.client.ttl = 3
    else:
        lb.request = with_rule(lb.request, "outer.ttl", const(1))


def _wrong_next_hop(world: World, options: Options) -> None:
    """The load balancer was told a MAC address that no router has."""
    interface, tunnel = world.balancer.interfaces[0], world.balancer.encapsulation

    def misdirected(wire: Wire, frame: bytes, label: Label) -> bytes:
        packet = Octets(frame, depth=1)
        ours = packet.networks and packet.get("eth.src") == interface.mac and _is_outer(packet, tunnel)
        return NOBODY + frame[6:] if ours else frame

    interface.segment.filters.append(misdirected)


def _vip_as_source(world: World, options: Options) -> None:
    """IPv6 source address selection takes the VIP unless it is deprecated."""
    lb = world.balancer
    if (len(world.vips[0]) == 4) != (lb.outer_version == 4):
        raise UsageError("TUN421: the VIP can only be the outer source where both headers are of one IP version")
    lb.request = with_rule(lb.request, "outer.src", role("vip", "ip"))


# --- Cilium -------------------------------------------------------------------------------------------------------


def _another_backend(world: World, options: Options) -> None:
    """After the SYN, the load balancer forgets a connection and hashes it anew, to a server that was never told."""
    lb = world.balancer
    if len(lb.servers) < 2:
        raise UsageError("TUN414 needs another server that the connection can move to: --real-servers 2")

    def forgetful(packet: Octets, label: Label) -> bool:
        flags = packet.get("tcp.flags")
        for session in lb.sessions.values():
            mine = session.key[2:3] == (packet.ports or (0,))[:1] and session.server is lb.servers[0]
            if mine and isinstance(flags, int) and not flags & SYN:
                session.server = lb.servers[1]
        return True

    lb.firewall.append(forgetful)


def _options_dropped(world: World, options: Options) -> None:
    def plain(packet: Octets, label: Label) -> bool:
        ip = packet.ip
        return ip.payload - ip.at == 20 if ip.version == 4 else packet.data[ip.at + 6] != DSTOPTS

    world.router.firewall.append(plain)


def _two_vips(spec: Spec, options: Options) -> Spec:
    """The service with another VIP, the next free above the first."""
    service = spec.services[0]
    second = next_free(service.vip[0], taken_addresses(spec))
    return replace(spec, services=(replace(service, vip=(*service.vip, second)), *spec.services[1:]))


def _stale_vip(world: World, options: Options) -> None:
    """The first server still remembers the first client's port from a connection to the other VIP."""
    server, (right, wrong) = world.servers[0], world.vips[:2]
    usual = server.meant

    def meant(packet: Octets) -> bytes | None:
        vip, ports = usual(packet), packet.ports
        return wrong if vip == right and ports is not None and ports[0] == FIRST_PORT else vip

    server.meant = meant


FAULTS: Final = (
    Fault(
        "TUN401",
        "no-decapsulation-device",
        MODE,
        "one server answers outer packets with ICMP protocol unreachable, passed on from the VIP",
        _no_device,
        alone=True,
    ),
    Fault(
        "TUN402",
        "inner-packet-dropped-by-rp-filter",
        MODE,
        "outer packets reach one server and nothing comes back, neither reply nor ICMP error",
        _reverse_path_filter,
        alone=True,
    ),
    Fault(
        "TUN403",
        "vip-missing-behind-tunnel",
        MODE,
        "outer packets reach one server and nothing comes back, neither reply nor ICMP error",
        _vip_missing,
        alone=True,
    ),
    Fault(
        "TUN404",
        "large-requests-do-not-fit-tunnel",
        MODE,
        "full segments reach the load balancer and no outer copy leaves it; it answers 'fragmentation needed', and"
        " smaller ones follow",
        strike=_outer_header,
        options=LARGE,
        alone=True,
    ),
    Fault(
        "TUN405",
        "mss-ignores-tunnel",
        MODE,
        "SYN-ACKs announce an MSS for the whole MTU, although requests get an outer header on their way",
        strike=_outer_header,
        options={"pmtud": True},
        alone=True,
    ),
    Fault(
        "TUN406",
        "too-big-reaches-wrong-server",
        MODE,
        "'fragmentation needed' about a reply comes to the VIP and goes on to a server that never sent it; the reply"
        " comes again, as large",
        _too_big_to_another,
        {"reply": 3000},
        alone=True,
    ),
    Fault(
        "TUN407",
        "outer-packets-fragmented",
        MODE,
        "outer packets have DF clear although the inner ones have it set, and large ones leave in two fragments",
        _fragments_outside,
        LARGE,
        alone=True,
    ),
    Fault(
        "TUN408",
        "receive-offload-on-load-balancer",
        MODE,
        "frames larger than the MTU come in at the load balancer, which answers 'fragmentation needed' to a client that"
        " sent none",
        _receive_offload,
        {"request": 6000},
        alone=True,
    ),
    Fault(
        "TUN409",
        "tunnel-filtered-on-the-way",
        MODE,
        "outer packets leave the load balancer and never reach a server; nobody says so",
        _tunnel_filtered,
        alone=True,
    ),
    Fault(
        "TUN410",
        "reply-in-tunnel",
        MODE,
        "one server's replies leave inside IP-in-IP towards the load balancer, and end there",
        _reply_in_tunnel,
        alone=True,
    ),
    Fault(
        "TUN411",
        "outer-mark-lost",
        MODE,
        "inner packets carry DSCP and ECN marks, the outer headers carry none",
        _mark_lost,
        {"client_dscp": 10, "ecn": True},
        alone=True,
    ),
    Fault(
        "TUN412",
        "outer-ttl-too-low",
        MODE,
        "outer packets leave with TTL 1; the next router tells the load balancer that their time is exceeded",
        _outer_ttl_low,
        alone=True,
    ),
    Fault(
        "TUN413",
        "tunnel-mismatch",
        MODE,
        "all servers answer outer packets with ICMP port unreachable that quotes them as they came",
        _mismatch,
        {"tunnel": "gue"},
        alone=True,
    ),
    Fault(
        "TUN414",
        "server-was-not-told-the-vip",
        MODE,
        "the SYN tells one server the VIP; what follows goes to another one, which resets it from its own address",
        _another_backend,
        OPTION,
        profile="cilium",
        alone=True,
    ),
    Fault(
        "TUN415",
        "ip-options-dropped-on-the-way",
        MODE,
        "SYNs leave the load balancer with an IP option and never reach a server; packets without options would pass",
        _options_dropped,
        OPTION,
        profile="cilium",
        alone=True,
    ),
    Fault(
        "TUN416",
        "option-exceeds-mtu",
        MODE,
        "datagrams that fill the MTU leave the load balancer longer than it by the option, and never reach a server",
        _option_too_long,
        {**OPTION, "protocol": "udp"},
        profile="cilium",
    ),
    Fault(
        "TUN417",
        "reply-from-another-vip",
        MODE,
        "a SYN to one VIP is answered from another one, which the client resets",
        _stale_vip,
        OPTION,
        spec=_two_vips,
        profile="cilium",
    ),
    Fault(
        "TUN418",
        "wrong-next-hop-mac",
        MODE,
        "outer packets leave the load balancer for a MAC address that no router has, and nothing forwards them",
        _wrong_next_hop,
        alone=True,
    ),
    Fault(
        "TUN420",
        "gre-checksum-refused",
        MODE,
        "GRE with checksums reaches the servers and nothing comes back",
        _checksum_refused,
        {"tunnel": "gre", "tunnel_checksum": True},
        alone=True,
    ),
    Fault(
        "TUN421",
        "vip-as-outer-source",
        MODE,
        "outer packets come from the VIP; the servers own it too, and drop them without a word",
        _vip_as_source,
        {"tunnel": "6in6"},
        alone=True,
    ),
    Fault(
        "TUN422",
        "decapsulation-device-down",
        MODE,
        "one server answers outer packets with ICMP port unreachable, passed on from the VIP",
        _device_down,
        alone=True,
    ),
    Fault(
        "TUN423",
        "too-big-filtered",
        MODE,
        "'fragmentation needed' leaves the load balancer and never reaches the client, which repeats full segments",
        _too_big_filtered,
        LARGE,
        alone=True,
    ),
)
