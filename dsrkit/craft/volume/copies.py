"""Many connections from few: each server's connection is simulated once, and copied with arrays.

The first connections of a scenario are simulated in full, ARP and all. Every further one is a copy of a connection to
the same server between machines that know each other already. Under loss, copies are taken from a number of simulated
connections that were each unlucky in their own way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from dsrkit.craft.frame import Batch, Frame, Int64s, batch_of
from dsrkit.craft.machines.conversations import FIRST_PORT, PORTS
from dsrkit.craft.machines.network import EPOCH, MILLISECOND, SECOND
from dsrkit.craft.machines.proxy import HIGHEST_PORT, LOWEST_PORT
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import GUE_PORTS, TCP, UDP, Octets, address_text
from dsrkit.craft.profiles import Derived, Flows
from dsrkit.craft.volume.templates import Derive, Endpoints, FlowArrays, Template, stream

VARIANTS: Final = 64
"""Simulated connections per server to copy from, where links lose frames."""
FREE_PORTS: Final = np.arange(1024, 65536)
PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "icmp": 1}

Place: TypeAlias = tuple[str, int]  # address and port
Simulate: TypeAlias = Callable[[int, int], World]
"""One connection to the n-th server between machines that know each other, with a variant of the weather; has run."""


def copies(
    first: list[Frame],
    simulate: Simulate,
    options: Options,
    *,
    flows: int,
    seed: int,
    taps: tuple[str, ...],
    skew_ns: Mapping[str, int],
) -> Iterator[Batch]:
    """All batches of a scenario with `flows` connections, the first of which have been simulated already."""
    yield batch_of(first, taps)
    done = len({frame.flow for frame in first if frame.flow >= 0})
    start = max((frame.ts_ns for frame in first), default=EPOCH) + MILLISECOND
    numbers = np.arange(done, flows, dtype=np.int64)
    random = np.random.default_rng(abs(seed))  # as Random takes a negative one
    variants = VARIANTS if options.loss else 1
    variant = random.integers(variants, size=len(numbers))
    keys = random.integers(1 << 63, size=len(numbers), dtype=np.int64).astype(np.uint64)
    worlds = {(server, v): simulate(server, v) for server in range(options.real_servers) for v in range(variants)}
    some = next(iter(worlds.values()))
    clients = np.array([list(own) for own in some.clients(len(some.vips[0]))], np.uint8)
    client_ports = FIRST_PORT + numbers // len(clients) % PORTS
    lb_ports = np.zeros_like(numbers)
    for server in range(options.real_servers):
        to = numbers % options.real_servers == server
        is_proxy = some.mode == "l7"
        lb_ports[to] = _ephemeral_ports(int(to.sum()), random) if is_proxy else _kept_ports(client_ports[to], random)
    groups = []
    for (server, v), world in worlds.items():
        rows = np.flatnonzero((numbers % options.real_servers == server) & (variant == v))
        if not len(rows):
            continue
        template = template_of(world, options)
        mine = numbers[rows]
        values = FlowArrays(
            start_ns=start + np.round((mine - done) * (SECOND / options.rate)).astype(np.int64),
            client_ip=clients[mine % len(clients)],
            client_port=client_ports[rows],
            key=keys[rows],
            lb_port=None if template.lb_port is None else lb_ports[rows],
            number=mine,
        )
        groups.append((template, values))
    yield from stream(groups, taps, jitter_ns=options.jitter, skew_ns=skew_ns, snaplen=options.snaplen)


def _kept_ports(ports: Int64s, random: np.random.Generator) -> Int64s:
    """Full NAT's ports towards one server: the clients', and any other where one is taken (see Balancer)."""
    again = np.ones(len(ports), bool)
    again[np.unique(ports, return_index=True)[1]] = False
    free = random.permutation(np.setdiff1d(FREE_PORTS, ports))
    own = ports.copy()
    own[again] = free[np.arange(again.sum()) % len(free)]
    return own


def _ephemeral_ports(count: int, random: np.random.Generator) -> Int64s:
    """A proxy's ports towards one server: even ones, each some way after the last (see Proxy).

    Many connections go in smaller steps, so that no two live ones share a port.
    """
    even = (HIGHEST_PORT + 1 - LOWEST_PORT) // 2
    longest = min(8, max(1, even // max(1, count)))
    steps = random.integers(1, longest, size=count, endpoint=True)
    return LOWEST_PORT + 2 * ((random.integers(even) + steps.cumsum()) % even)


def template_of(world: World, options: Options) -> Template:
    """The simulated connection of a world as something to copy."""
    frames = sorted((f for f in world.network.frames if f.flow == 0), key=lambda frame: frame.ts_ns)
    client = (address_text(world.clients(len(world.vips[0]))[0]), FIRST_PORT)
    tunnel = world.encapsulation
    tunnel_ports = GUE_PORTS if tunnel is None or tunnel.port is None else (*GUE_PORTS, tunnel.port)
    sessions, own = _sessions(frames, client, tunnel_ports)
    return Template(
        frames=tuple(replace(f, ts_ns=f.ts_ns - EPOCH - MILLISECOND, comment=_brief(f)) for f in frames),
        client_ip=client[0],
        client_port=client[1],
        sessions=sessions,
        lb_ip=None if own is None else own[0],
        lb_port=None if own is None else own[1],
        derived=_derived(world, options),
        tunnel_ports=tunnel_ports,
    )


def _sessions(
    frames: list[Frame], client: Place, tunnel_ports: Collection[int]
) -> tuple[tuple[Endpoints, ...], Place | None]:
    """The sessions of a connection by every address and port that an end shows, and the load balancer's own end.

    Full NAT has one session, whose sequence numbers are the same on both sides; a proxy has two.
    """
    front: set[Place] = set()
    back: set[Place] = set()
    own: Place | None = None
    first: dict[Place, object] = {}
    for frame in frames:
        packet = Octets(frame.data, tunnel_ports=tunnel_ports)
        if packet.ports is None or packet.ports[1] in tunnel_ports:  # a fragment of a tunnel shows the tunnel's ports
            continue
        source, target = zip(
            (address_text(packet.address(f"ip.{end}")) for end in ("src", "dst")), packet.ports, strict=True
        )
        first.setdefault(source, packet.get("tcp.seq"))
        if client in (source, target):
            front.add(target if source == client else source)
        elif source not in front | back and target not in front:
            own = own or source
            back.add(target)
        elif own == source and target not in front:
            back.add(target)
    if own is None:
        return (Endpoints("connection", (client,), tuple(sorted(front))),), None
    if first[own] == first[client]:
        return (Endpoints("connection", (client, own), tuple(sorted(front | back))),), own
    return (Endpoints("front", (client,), tuple(sorted(front))), Endpoints("back", (own,), tuple(sorted(back)))), own


def _derived(world: World, options: Options) -> dict[str, Derive]:
    tunnel = world.encapsulation
    if tunnel is None:
        return {}
    vip, outer = world.vips[0], world.outer_version
    known = world.balancer.implementation.tunnels[tunnel.type].derived
    proto = PROTOCOLS[options.protocol]

    def of(derive: Derived) -> Derive:
        backend = options.server_port or options.port
        return lambda client, port: derive(
            Flows(client, port.astype(np.uint16), vip, options.port, proto, outer, backend)
        )

    return {name: of(derive) for name, derive in known.items()}


def _brief(frame: Frame) -> str:
    """A comment that holds for every copy: what the frame is and which fields were changed, without addresses."""
    changed = ", ".join(change.field for change in frame.changes)
    kind = frame.comment.partition(": ")[2].split(" ")[0]
    return f"{frame.sender} > {frame.receiver}: {kind}" + (f"; {frame.sender} changed {changed}" if changed else "")


__all__ = ["copies"]
