"""NAT, full NAT and direct server return: connections through a load balancer that rewrites packets."""

from __future__ import annotations

from dsrkit.craft.encapsulate import overhead
from dsrkit.craft.machines.conversations import (
    ask,
    authority,
    get,
    http_reply,
    http_request,
    ping,
    serve_http,
    serve_udp,
    source_of,
)
from dsrkit.craft.machines.network import MILLISECOND, SECOND
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.base import ModeDriver
from dsrkit.craft.options import Options
from dsrkit.craft.preset import preset


def prepare(world: World, options: Options) -> bytes:
    """Have the servers serve; returns the request that clients are to send."""
    lb = world.balancer
    lb.toa = options.toa
    vip = world.vips[0]
    request = http_request(authority(vip), options.request)
    reply = http_reply(options.reply)
    for server in world.servers:
        assert server.tcp is not None
        for (proto, _), port in lb.services.items():
            if proto == 6:
                serve_http(server, port, len(request), reply)
            else:
                serve_udp(server, port, options.reply)
        if lb.request.pushes and not options.pmtud:
            # the servers lower their MSS by what the tunnel adds: the load balancer never sees the SYN-ACK
            room = overhead(lb.encapsulation, outer_version=world.outer_version, profile=lb.profile)
            usual = server.tcp.announce_mss
            server.tcp.announce_mss = lambda remote, usual=usual, room=room: usual(remote) - room  # type: ignore[misc]
        server.tcp.ecn = options.ecn
    assert world.client.tcp is not None
    world.client.tcp.ecn = options.ecn
    return request


def drive(world: World, options: Options, flows: int) -> None:
    """Connections from the clients to the VIP, at the rate asked for."""
    request = prepare(world, options)
    for number in range(flows):
        world.network.after(start_of(number, options), connect, world, options, request, number)


def start_of(number: int, options: Options) -> int:
    """When a connection starts, in nanoseconds."""
    return MILLISECOND + round(number * SECOND / options.rate)


def connect(world: World, options: Options, request: bytes, number: int) -> None:
    """One connection: TCP request and reply, one datagram each way, or a ping."""
    client, vip = world.client, world.vips[0]
    source = source_of(world.clients(len(vip)), number)
    tos = options.client_dscp << 2
    service = (vip, options.port)
    if options.protocol == "tcp":
        get(client, source, service, request, len(http_reply(options.reply)), flow=number, tos=tos)
    elif options.protocol == "udp":
        ask(client, source, service, request_payload(options.request), flow=number, tos=tos)
    else:
        ping(client, source[0], vip, source[1] & 0xFFFF, 1, flow=number, tos=tos)


def request_payload(octets: int) -> bytes:
    """The payload of a datagram."""
    return (bytes(range(256)) * (octets // 256 + 1))[:octets]


REWRITING = ModeDriver(preset, drive, alone=True)
