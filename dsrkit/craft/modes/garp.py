"""A VIP that moves from one load balancer to another, and the router that has to hear of it.

client -A- r1 -B- sw1, with lb1 and lb2 on its ports B1 and B2 and the servers behind D: one broadcast domain. The load
balancers forward as in L2DSR. Both choose servers by the client's address and port (IPVS: scheduler mh with mh-port,
sloppy_tcp=1), so connections live on when the VIP moves.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from dsrkit.craft.machines.balancer import Balancer, Key, Server
from dsrkit.craft.machines.network import MILLISECOND, SECOND
from dsrkit.craft.machines.virtual_router import VirtualRouter, virtual_mac
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.base import ModeDriver
from dsrkit.craft.modes.rewriting import connect, prepare
from dsrkit.craft.options import DEFAULTS, Options
from dsrkit.craft.packets.arp import announcements
from dsrkit.craft.packets.octets import address_text, mac_text, version_of
from dsrkit.craft.presets import garp
from dsrkit.errors import SpecError, UsageError

MASTER, BACKUP = 150, 100
"""The priorities of the recorded pair."""
SPAN: Final = 12 * SECOND
"""Connections are spread over this."""
SHORT_SPAN: Final = 6 * SECOND
"""The same around a single announcement."""
TAIL: Final = 2 * SECOND
"""Time for what comes after the last connection."""
AFTER_ADVERT: Final = 350 * MILLISECOND
"""How long after an advert the owner fails, as recorded."""


def drive(world: World, options: Options, flows: int) -> None:
    """Connections before, while and after the VIP moves: at least one of each.

    Raises: UsageError for a form that does not announce this kind of address, and for a rate that changes nothing.
    """
    owner, heir = virtual_routers(world, options)
    request = prepare(world, options)
    count = max(flows, 2 if options.form else 3)
    span = _span(options, flows)
    for number in range(count):
        start = (2 * number + 1) * span // (2 * count)
        world.network.after(start, connect, world, options, request, number)
    if options.form:
        heir.announce = partial(announcements, options.form)
        heir.announce(address_text(heir.addresses[0]), mac_text(heir.mac))  # or say at once that it cannot be
        owner.hold()
        world.network.after(span // 2, lambda: _hand_over(owner, heir))
        return
    owner.leaves_ns = span * 3 // 10 // SECOND * SECOND + AFTER_ADVERT
    owner.until_ns = heir.until_ns = span + TAIL
    if options.graceful:
        owner.leave = owner.resign
    world.network.after(MILLISECOND, lambda: owner.start(master=True))
    world.network.after(MILLISECOND, lambda: heir.start(master=False))
    world.network.after(owner.leaves_ns, lambda: owner.leave())


def _span(options: Options, flows: int) -> int:
    """How long connections come: longer than the announcement takes only where there are many."""
    least = SHORT_SPAN if options.form else SPAN
    span, usual = (max(least, round(flows * SECOND / rate)) for rate in (options.rate, DEFAULTS.rate))
    if options.rate != DEFAULTS.rate and span == usual:
        raise UsageError(f"--rate changes nothing: so few connections are spread over {least // SECOND} s")
    return span


def virtual_routers(world: World, options: Options) -> tuple[VirtualRouter, VirtualRouter]:
    """The owner of the VIP, and the load balancer that is to have it next.

    Raises: SpecError for less than two load balancers, UsageError for a VIP that no ARP can tell of.
    """
    balancers = world.of(Balancer)[:2]
    if len(balancers) < 2:
        raise SpecError("a takeover needs two nodes with role lb")
    vip = world.vips[0]
    if not all(any(interface.holds(vip) for interface in lb.interfaces) for lb in balancers):
        raise UsageError(f"the VIP {address_text(vip)} is in no subnet of the load balancers, so no ARP tells of it")
    family = version_of(vip)
    for lb in balancers:
        lb.announced.update(world.vips)  # arp_announce is for servers; the owner of a VIP may speak in its name
        lb.forwards = family == 6  # LVS-DR does not need it
        lb.choose = partial(_by_client, lb)
    owner, heir = (
        VirtualRouter(
            lb,
            options.vrid,
            priority,
            tuple(one for one in world.vips if len(one) == len(vip)),
            version=3 if family == 6 else options.vrrp or 2,
            virtual_mac=virtual_mac(options.vrid, family) if options.vmac else None,
        )
        for lb, priority in zip(balancers, (MASTER, BACKUP), strict=True)
    )
    return owner, heir


def _by_client(lb: Balancer, key: Key) -> Server | None:
    alive = [server for server in lb.servers if server.alive]
    return alive[(int.from_bytes(key[1], "big") + key[2]) % len(alive)] if alive else None


def _hand_over(owner: VirtualRouter, heir: VirtualRouter) -> None:
    """The VIP is moved by hand."""
    owner.let_go()
    heir.hold()
    heir.tell()


GARP = ModeDriver(garp.preset, drive, machines=lambda options: "l2dsr")
