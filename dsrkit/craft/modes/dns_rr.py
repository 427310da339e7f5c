"""DNS round robin: clients ask for a name, and connect to the address that happens to stand first.

client -A- r1 -B- resolvers, and r1 -C- the zone's name server and the servers, whose own addresses are the records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dsrkit.craft.machines.conversations import FIRST_PORT, PORTS, get, http_reply, http_request, serve_http, source_of
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.name_server import EDNS, NameServer, Question, ask, records_of
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.base import ModeDriver
from dsrkit.craft.modes.rewriting import start_of
from dsrkit.craft.options import Options
from dsrkit.craft.packets import dns
from dsrkit.craft.packets.dns import Message
from dsrkit.craft.packets.octets import packed
from dsrkit.craft.presets import dns_rr
from dsrkit.errors import SpecError
from dsrkit.model.spec import Dns

NEXT_ADDRESS_STEP: Final = 7000
"""Ports between a client's attempts, so that those of two connections do not meet."""


@dataclass(eq=False)
class Stub:
    """What the clients do with a name: ask, take the first address, try the next one where nobody answers.

    `resolver_of` picks the resolver of a client address. `keeps` never asks a second time, as a JVM that caches for
    ever; `sticks` goes back to the address that it has used before, where the answer holds it (RFC 8305 s4);
    `takes_truncated` is content with the records that fitted into a datagram.
    """

    client: Host
    question: Question
    resolver_of: Callable[[bytes], bytes]
    service_port: int
    request: bytes
    reply_octets: int
    edns: int | None = None
    keeps: bool = False
    sticks: bool = False
    takes_truncated: bool = False
    _answers: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    _used: dict[bytes, str] = field(default_factory=dict)

    def visit(self, source: tuple[bytes, int], flow: int) -> None:
        """Resolve the name, and fetch a page from what it stands for."""
        client = source[0]
        if self.keeps and client in self._answers:
            self._connect(source, self._answers[client], flow, 0)
            return

        def answered(message: Message | None) -> None:
            if message is None:
                return
            found = tuple(one.data for one in message.answers if one.type == self.question[1])
            self._answers[client] = found
            if self.sticks and (used := self._used.get(client)) in found:
                found = (used, *(one for one in found if one != used))
            self._connect(source, found, flow, 0)

        ask(
            self.client,
            client,
            self.resolver_of(client),
            self.question,
            answered,
            flow=flow,
            edns=self.edns,
            takes_truncated=self.takes_truncated,
        )

    def _connect(self, source: tuple[bytes, int], addresses: tuple[str, ...], flow: int, attempt: int) -> None:
        if attempt == len(addresses):
            return
        address, client = addresses[attempt], source[0]
        port = FIRST_PORT + (source[1] - FIRST_PORT + attempt * NEXT_ADDRESS_STEP) % PORTS

        self._used.setdefault(client, address)

        def done(_: Connection, reason: str) -> None:
            if reason != "fin":
                self._used.pop(client, None)
                self._connect(source, addresses, flow, attempt + 1)

        target = packed(address), self.service_port
        get(self.client, (client, port), target, self.request, self.reply_octets, flow=flow, done=done)


def drive(world: World, options: Options, flows: int) -> None:
    """Visits of the clients, at the rate asked for.

    Raises: SpecError for a spec without clients, a name server or records of the IP version.
    """
    version = int(options.ip)
    stated = world.spec.dns or Dns()
    name = (stated.name or options.name).rstrip(".")
    zone = records_of(name, stated.records, options.ttl if stated.ttl is None else stated.ttl)
    question = name.lower(), "A" if version == 4 else "AAAA"
    if not zone[question]:
        raise SpecError(f"[dns] has no IPv{version} record for {name}")
    resolvers = _name_servers(world, zone, version)
    request, reply = http_request(name, options.request), http_reply(options.reply)
    for server in world.servers:
        serve_http(server, options.port, len(request), reply)
    clients = world.clients(4 if version == 4 else 16)
    if not clients:
        raise SpecError(f"no client has an IPv{version} address")
    number_of = {client: number for number, client in enumerate(clients)}
    stub = Stub(
        world.client,
        question,
        lambda client: resolvers[number_of[client] % len(resolvers)],
        options.port,
        request,
        len(reply),
        EDNS if options.edns else None,
    )
    world.parts.append(stub)
    for flow in range(flows):
        source = source_of(clients, flow)
        world.network.after(start_of(flow, options), stub.visit, source, flow)


def _name_servers(world: World, zone: dict[Question, tuple[dns.Record, ...]], version: int) -> list[bytes]:
    """Set up the name servers; returns those that clients ask.

    The one on the servers' link has the zone, the others ask it. A single one has the zone and is asked by the clients,
    as in the recorded dns-rr.
    """
    everyone = [server for server in world.of(NameServer) if any(i.source(version) for i in server.interfaces)]
    if not everyone:
        raise SpecError(f"no node of role resolver with an IPv{version} address can answer the clients")
    near_servers = {id(port.segment) for server in world.servers for port in server.interfaces}
    owner = next((one for one in everyone if any(id(i.segment) in near_servers for i in one.interfaces)), everyone[-1])
    owner.zone = zone
    caching = [one for one in everyone if one is not owner]
    owner.recursive = not caching
    for one in caching:
        one.upstream = owner.address(version)
    for one in everyone:
        one.serve()
    return [one.address(version) for one in caching or [owner]]


DNS_RR = ModeDriver(dns_rr.preset, drive)
