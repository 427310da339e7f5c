"""Faults of who answers for the VIP, and of how neighbours hear that it has moved.

ARP102, ARP114 and ARP119 have the same packets as ARP101, other settings of the machines are behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.faults.breakage import beside
from dsrkit.craft.machines.conversations import FIRST_PORT, authority, get, http_reply, http_request, ping
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Filter, Label, Lan, Wire
from dsrkit.craft.machines.virtual_router import PROTOCOL, VirtualRouter, keepalived, nothing, virtual_mac
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.packets.arp import REPLY, announcements, arp
from dsrkit.craft.packets.headers import BROADCAST
from dsrkit.craft.packets.octets import ARP, ICMPV6, TCP, Octets, mac_octets, version_of
from dsrkit.craft.presets.garp import on_one_switch
from dsrkit.errors import UsageError
from dsrkit.model.names import DIRECT_RETURN, REWRITES, Mode
from dsrkit.model.spec import Spec

SLOW_NS: Final = 300_000
"""How long a machine takes whose answer comes last."""
AGEING: Final = 300 * SECOND
"""How long a switch remembers a MAC: the default of Linux bridges and of most others."""


# --- several machines answer for the VIP ----------------------------------------------------------------------------


def _one_segment(spec: Spec, options: Options) -> Spec:
    """Servers in the VIP's own subnet, which alone lets them hear questions for it."""
    return on_one_switch(spec)


def _family(world: World) -> int:
    return version_of(world.vips[0])


def _decides(world: World, winners: Sequence[Host], losers: Sequence[Host]) -> None:
    """Whose answer the asker keeps: the first one of ARP, the last one of neighbour discovery, which overrides."""
    late = losers if _family(world) == 4 else winners
    for host in late:
        host.pace_ns = SLOW_NS


def _all_answer(world: World, options: Options) -> None:
    for server in world.servers:
        server.silent.clear()
    _decides(world, world.servers, [world.balancer])


def _one_answers(world: World, options: Options) -> None:
    world.servers[0].silent.clear()
    _decides(world, world.servers[:1], [world.balancer])


def _one_asks(world: World, options: Options) -> None:
    """A server asks for its gateway in the VIP's name, as soon as it has to answer the first client."""
    _only_arp(world, "ARP103: in IPv6 an address on lo is never the source of a solicitation")
    world.servers[0].announced.update(world.vips)


def _foreign(world: World, options: Options) -> None:
    stranger = world.plug("old1", world.router, "B", mac_octets("02:0f:00:00:00:01"), _neighbour(world, 99))
    stranger.local.update(world.vips)
    gateway = world.router.interface_on("B").source(_family(world))
    assert gateway is not None
    world.add_default(stranger, gateway)
    _decides(world, [stranger], [world.balancer])


def _neighbour(world: World, number: int) -> bytes:
    """An address beside the router's, on link B."""
    own = world.router.interface_on("B").source(_family(world))
    assert own is not None
    return own[:-1] + bytes([number])


def _only_arp(world: World, why: str) -> None:
    if _family(world) == 6:
        raise UsageError(why)


# --- takeovers ------------------------------------------------------------------------------------------------------


def _pair(world: World) -> tuple[VirtualRouter, VirtualRouter]:
    """The owner of the VIP and the one that takes it over.

    Raises: UsageError where there is no takeover to break.
    """
    found = [host.virtual_router for host in world.hosts.values() if host.virtual_router is not None]
    if len(found) < 2 or not found[0].leaves_ns:
        raise UsageError("a fault of takeovers needs a whole one: leave out --form")
    return found[0], found[1]


def _segment(world: World) -> Lan:
    return world.balancer.interfaces[0].segment


def _forgotten(world: World, at_ns: int) -> None:
    """The router's entry for the VIP times out."""

    def forget() -> None:
        for vip in world.vips:
            world.router.neighbours.pop(vip, None)

    world.network.after(at_ns, forget)


def _pinged(world: World, at_ns: int, seq: int = 1) -> None:
    vip = world.vips[0]
    source = world.clients(len(vip))[0]
    world.network.after(at_ns, lambda: ping(world.client, source, vip, 0x1D5, seq, flow=-1))


def _prolonged(world: World, by_ns: int) -> None:
    for one in _pair(world):
        one.until_ns += by_ns


def _untold(world: World, options: Options) -> None:
    """The heir says nothing, and the old owner, which no longer has the VIP, does not forward."""
    owner, heir = _pair(world)
    heir.announce = nothing
    owner.host.forwards = False
    _prolonged(world, 12 * SECOND)


def _renewed_just_before(world: World) -> None:
    """The router has asked for the VIP a moment before the takeover, so for a second it keeps what it was told."""
    owner, _ = _pair(world)
    _forgotten(world, owner.leaves_ns - 160 * MILLISECOND)
    _pinged(world, owner.leaves_ns - 150 * MILLISECOND)


def _not_gratuitous(world: World, options: Options) -> None:
    _only_arp(world, "ARP105: send_arp knows no IPv6")
    _, heir = _pair(world)
    heir.announce = lambda vip, mac: announcements("send-arp", vip, mac)
    _renewed_just_before(world)
    _prolonged(world, 12 * SECOND)


def _replies_to_broadcast(world: World, options: Options) -> None:
    _only_arp(world, "ARP106: heartbeat's send_arp knows no IPv6")
    _, heir = _pair(world)
    heir.announce = lambda vip, mac: [
        (n * SECOND // 2, arp(REPLY, mac, vip, BROADCAST, vip)) for n in range(10)
    ]  # fmt: skip
    _renewed_just_before(world)


def _without_entry(world: World, options: Options) -> None:
    owner, _ = _pair(world)
    _forgotten(world, owner.leaves_ns + 1)


def _flapped(world: World, options: Options) -> None:
    """The heir misses adverts that the owner goes on sending, announces itself, and hears the owner again."""
    owner, heir = _pair(world)
    owner.leave = lambda: None
    heir.host.forwards = False
    start, end = owner.leaves_ns, owner.leaves_ns + 4 * SECOND + SECOND // 2

    def unheard(wire: Wire, frame: bytes, label: Label) -> bytes | None:
        lost = start <= world.network.now < end and heir.host.name in (wire.a, wire.b) and _is_advert(frame, owner)
        return None if lost else frame

    _segment(world).filters.append(unheard)
    _prolonged(world, 12 * SECOND)


def _is_advert(frame: bytes, sender: VirtualRouter) -> bool:
    packet = Octets(frame, depth=1)
    inner = packet.inner
    return inner is not None and inner.proto == PROTOCOL and packet.address("ip.src") == sender.source


def _split(world: World, options: Options) -> None:
    """A firewall on both lets no adverts in, so nobody is ever backup for long."""
    owner, heir = _pair(world)
    owner.leave = lambda: None
    for one in (owner, heir):
        one.host.firewall.append(lambda packet, label: packet.ip.proto != PROTOCOL)
    _forgotten(world, heir.until_ns * 2 // 3)


def _collision(world: World, options: Options) -> None:
    """Another pair of machines uses the same VRID, and so the same MAC: the switch learns it here and there in turn."""
    owner, _ = _pair(world)
    owner.leave = lambda: None
    host = world.plug("fw1", world.router, "B", mac_octets("02:f1:00:00:00:01"), _neighbour(world, 98))
    other = VirtualRouter(
        host,
        owner.vrid,
        owner.priority,
        (_neighbour(world, 97),),
        version=owner.version,
        virtual_mac=virtual_mac(owner.vrid, owner.family),
        until_ns=owner.until_ns,
    )
    world.network.after(300 * MILLISECOND, lambda: other.start(master=True))


def _mixed_macs(world: World, options: Options) -> None:
    """Pings make both owners ask for the gateway, in the VIP's name and with the interface's own MAC."""
    owner, _ = _pair(world)
    for seq, at in enumerate((owner.leaves_ns - 2 * SECOND, owner.leaves_ns + 4 * SECOND), start=1):
        _pinged(world, at, seq)


def _forged(world: World, options: Options) -> None:
    """The heir's announcements leave by another port of a bond; port security lets only the known MAC in."""
    _, heir = _pair(world)
    other = heir.interface.mac[:-1] + bytes([heir.interface.mac[-1] + 1])
    heir.announce = lambda vip, mac: [
        (delay, frame[:6] + other + frame[12:]) for delay, frame in keepalived(vip, mac)
    ]  # fmt: skip
    _segment(world).filters.append(_stopped(heir.host.name, lambda frame: frame[6:12] == other))
    _prolonged(world, 12 * SECOND)


def _stopped(port: str, what: Callable[[bytes], bool]) -> Filter:
    """A switch that lets nothing of a kind past the port where it comes in."""

    def check(wire: Wire, frame: bytes, label: Label) -> bytes | None:
        return None if port not in (wire.a, wire.b) and what(frame) else frame

    return check


def _filtered(world: World, options: Options) -> None:
    """ARP inspection, or its like for neighbour discovery, does not believe that the VIP is behind the heir's port."""
    _, heir = _pair(world)
    _segment(world).filters.append(_stopped(heir.host.name, lambda frame: _claims(frame, heir)))
    _prolonged(world, 12 * SECOND)


def _claims(frame: bytes, one: VirtualRouter) -> bool:
    """Whether a frame says that an address of the virtual router is at its MAC."""
    packet = Octets(frame, depth=1)
    at = packet.link_end
    if packet.ether_type == ARP:
        return frame[at + 8 : at + 14] == one.mac and frame[at + 14 : at + 18] in one.addresses
    inner = packet.inner
    if inner is None or inner.proto != ICMPV6 or frame[inner.payload] != 136:
        return False
    return frame[inner.payload + 8 : inner.payload + 24] in one.addresses and one.mac in frame[inner.payload + 24 :]


def _aged(world: World, options: Options) -> None:
    """The owner is silent for longer than a switch remembers it: adverts take another link, and nobody calls."""
    owner, heir = _pair(world)
    owner.speaks, owner.leave, heir.until_ns = False, lambda: None, 0
    _segment(world).ageing_ns = AGEING
    beside(world, options, 0, proto=TCP, start_ns=owner.until_ns + AGEING)


def _not_followed(world: World, options: Options) -> None:
    """The router drops announcements; a client on the LAN believes them."""
    owner, _ = _pair(world)
    world.router.ignores_gratuitous = True
    _forgotten(world, owner.leaves_ns + 18 * SECOND)
    inside = world.plug("inside", world.router, "B", mac_octets("02:c1:00:00:00:0e"), _neighbour(world, 60))
    vip = world.vips[0]
    text = http_request(authority(vip), options.request)
    for number, at in enumerate((SECOND, owner.leaves_ns + 4 * SECOND, owner.leaves_ns + 8 * SECOND)):
        source = _neighbour(world, 60), FIRST_PORT + number

        def go(source: tuple[bytes, int] = source, number: int = number) -> None:
            get(inside, source, (vip, options.port), text, len(http_reply(options.reply)), flow=1000 + number)

        world.network.after(at, go)
    _prolonged(world, 16 * SECOND)


def _forwarded(world: World, options: Options) -> None:
    """Nobody is told, but the old owner routes: it asks who has the VIP and sends everything on."""
    owner, heir = _pair(world)
    heir.announce = nothing
    owner.host.forwards = True


SAME_SEGMENT: Final[tuple[Mode, ...]] = DIRECT_RETURN
GRACEFUL: Final = {"graceful": True}

FAULTS: Final = (
    Fault(
        "ARP101",
        "vip-arp-answered-by-real-servers",
        SAME_SEGMENT,
        "the servers answer ARP for the VIP too, the router keeps a server's MAC, requests go past the load balancer",
        _all_answer,
        spec=_one_segment,
    ),
    Fault(
        "ARP102",
        "arp-ignore-on-loopback-only",
        SAME_SEGMENT,
        "as ARP101, although arp_ignore is set on lo: all servers answer ARP for the VIP",
        _all_answer,
        spec=_one_segment,
    ),
    Fault(
        "ARP103",
        "vip-announced-by-real-server",
        SAME_SEGMENT,
        "a server asks for its gateway with the VIP as sender; from then on the router sends the VIP's packets there",
        _one_asks,
        spec=_one_segment,
    ),
    Fault(
        "ARP104",
        "takeover-not-announced",
        ("garp",),
        "adverts of the new owner and not one ARP of it for the VIP; the router goes on sending to the old MAC",
        _untold,
        GRACEFUL,
    ),
    Fault(
        "ARP105",
        "announcement-not-gratuitous",
        ("garp",),
        "the takeover is told by an ARP reply to 255.255.255.255, which a router with a fresh entry does not take",
        _not_gratuitous,
        GRACEFUL,
    ),
    Fault(
        "ARP106",
        "announcement-reply-to-broadcast-mac",
        ("garp",),
        "gratuitous replies with target MAC ff:ff:ff:ff:ff:ff; a router with a fresh entry takes those after a second",
        _replies_to_broadcast,
        GRACEFUL,
        8,
    ),
    Fault(
        "ARP107",
        "announcement-makes-no-entry",
        ("garp",),
        "proper announcements, and the router, which had no entry, still asks who has the VIP",
        _without_entry,
        GRACEFUL,
    ),
    Fault(
        "ARP108",
        "announced-by-wrong-owner-last",
        ("garp",),
        "the backup takes over for a second and announces the VIP, the master does not: traffic stays with the backup",
        _flapped,
        flows=8,
    ),
    Fault(
        "ARP109",
        "two-masters",
        ("garp",),
        "adverts of one VRID from two addresses, and the VIP claimed by two MACs",
        _split,
    ),
    Fault(
        "ARP110",
        "vrid-used-twice",
        ("garp",),
        "adverts for other addresses from the same virtual MAC: the switch sends it here and there, SYNs are repeated",
        _collision,
        {"vmac": True},
        8,
    ),
    Fault(
        "ARP111",
        "virtual-and-own-mac-mixed",
        ("garp",),
        "the VIP is announced on the virtual MAC, and its owner asks in its name with the MAC of the port",
        _mixed_macs,
        {"vmac": True},
    ),
    Fault(
        "ARP112",
        "announcement-from-another-mac",
        ("garp",),
        "the Ethernet source of the announcements is not their sender MAC; the switch drops them at the first port",
        _forged,
    ),
    Fault(
        "ARP113",
        "switch-forgets-before-router",
        ("garp",),
        "after 5 silent minutes requests to the owner's MAC appear on every port, until the owner sends something",
        _aged,
        flows=3,
    ),
    Fault(
        "ARP114",
        "every-node-answers-arp",
        SAME_SEGMENT,
        "as ARP101 from every node of a cluster (kube-proxy in IPVS mode without strictARP)",
        _all_answer,
        {"real_servers": 3},
        spec=_one_segment,
    ),
    Fault(
        "ARP115",
        "takeover-not-followed-by-router",
        ("garp",),
        "a client on the LAN goes on at once; the router keeps the old MAC until its entry times out",
        _not_followed,
    ),
    Fault(
        "ARP116",
        "vip-owned-by-foreign-host",
        REWRITES,
        "a machine of no part in this answers ARP for the VIP first, gets the SYNs and refuses them",
        _foreign,
    ),
    Fault(
        "ARP117",
        "announcement-lost",
        ("garp",),
        "announcements leave the new owner and reach nobody, while its adverts do; the router keeps the old MAC",
        _filtered,
    ),
    Fault(
        "ARP118",
        "old-owner-forwards",
        ("garp",),
        "the VIP's packets still go to the old owner, which asks for the VIP and sends them on with one TTL less",
        _forwarded,
        GRACEFUL,
    ),
    Fault(
        "ARP119",
        "vip-on-interface-of-real-server",
        SAME_SEGMENT,
        "as ARP101 from one server, which has the VIP on its network card",
        _one_answers,
        spec=_one_segment,
    ),
)
