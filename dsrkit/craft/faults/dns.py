"""Faults of DNS round robin: what caches, clients and dead servers make of it."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.machines.name_server import PLAIN, NameServer, records_of
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.dns_rr import Stub
from dsrkit.craft.options import Options
from dsrkit.craft.packets import dns
from dsrkit.errors import UsageError

CARRIER_SHARE: Final = 4
"""One client in so many is not behind the carrier's resolver."""


def _resolvers(world: World) -> list[NameServer]:
    return [server for server in world.of(NameServer) if server.upstream is not None]


def _pinned(world: World, options: Options) -> None:
    """A carrier's resolver has most of the clients, and gives all of them its answer in the order that it got it in."""
    stub = world.part(Stub)
    carrier = _resolvers(world)[0]
    carrier.rotates = False
    usual = stub.resolver_of
    number_of = {client: number for number, client in enumerate(world.clients(16 if options.ip == "6" else 4))}

    def resolver_of(client: bytes) -> bytes:
        return usual(client) if number_of[client] % CARRIER_SHARE == 0 else carrier.address(int(options.ip))

    stub.resolver_of = resolver_of


def _kept(world: World, options: Options) -> None:
    world.part(Stub).keeps = True


def _dead(world: World, options: Options) -> None:
    """The first server is gone from its link, its record is not."""
    for interface in world.servers[0].interfaces:
        del interface.segment.interfaces[interface.vertex]


def _sticky(world: World, options: Options) -> None:
    world.part(Stub).sticks = True


def _fixed(world: World, options: Options) -> None:
    for server in world.of(NameServer):
        server.rotates = False


def _truncated(world: World, options: Options) -> None:
    """The client has no EDNS, and makes do with what fits (RES_IGNTC)."""
    stub = world.part(Stub)
    stub.edns, stub.takes_truncated = None, True
    known = world.spec.dns
    records = records_of(stub.question[0], known.records if known else (), options.ttl)[stub.question]
    if len(dns.response(*stub.question, records)) <= PLAIN:
        raise UsageError(
            f"DNS606 needs more records than fit into {PLAIN} octets (try --real-servers 40), not {len(records)}"
        )


FAULTS: Final = (
    Fault(
        "DNS601",
        "resolver-pins-clients",
        ("dns-rr",),
        "the name server's answers rotate, but most clients share one resolver, which gives all of them the same order"
        " until the TTL is over: nearly all connections go to one server",
        _pinned,
        {"clients": 24, "resolvers": 3, "real_servers": 3},
        24,
    ),
    Fault(
        "DNS602",
        "dns-ttl-ignored",
        ("dns-rr",),
        "a client asks once, and connects to that address long after the TTL of the answer",
        _kept,
        {"ttl": 5, "rate": 0.5},
        8,
    ),
    Fault(
        "DNS603",
        "dead-server-still-answered",
        ("dns-rr",),
        "an address stands in every answer, and SYNs to it are not answered; after 3 s the router gives up on ARP, and"
        " the clients try the next one",
        _dead,
        {"real_servers": 3},
        6,
    ),
    Fault(
        "DNS604",
        "client-reorders-answers",
        ("dns-rr",),
        "another address stands first in each answer, and the SYNs always go to the same one",
        _sticky,
        {"real_servers": 3},
        6,
    ),
    Fault(
        "DNS605",
        "answers-not-rotated",
        ("dns-rr",),
        "the same address stands first in all answers",
        _fixed,
        {"real_servers": 3},
        6,
    ),
    Fault(
        "DNS606",
        "dns-answer-truncated",
        ("dns-rr",),
        "answers by UDP have TC set and hold a part of the records; nobody asks again by TCP",
        _truncated,
        {"real_servers": 40},
        6,
    ),
)
