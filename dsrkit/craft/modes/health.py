"""Health checks: a load balancer tests its servers through the data path of a mode, or past it, beside the clients."""

from __future__ import annotations

from dsrkit.craft.machines.conversations import http_reply
from dsrkit.craft.machines.health_checker import Checker, serve_pages
from dsrkit.craft.machines.network import MILLISECOND, SECOND
from dsrkit.craft.machines.real_server import RealServer
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.base import ModeDriver
from dsrkit.craft.modes.rewriting import connect, prepare, start_of
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import TCP
from dsrkit.craft.presets import health
from dsrkit.errors import SpecError

STAGGER = 7 * MILLISECOND  # between the checks of two servers (keepalived's warm-up)
CLIENTS_START = SECOND // 2  # when every server has been checked once


def drive(world: World, options: Options, flows: int) -> None:
    """Checks of every server at the interval, and connections of clients from when each server has been checked."""
    request = prepare(world, options)
    lb = world.balancer
    lb.accept_local = True  # the answers come from the VIP, which is the load balancer's own address too
    port = lb.services.get((TCP, options.port))
    if port is None:
        raise SpecError(f"the service has no port tcp/{options.port}, which servers are checked at")
    for server in world.servers:
        serve_pages(server, port, http_reply(options.reply))
    checker = Checker(
        lb, options.check, world.vips[0], options.port, options.path, min(options.interval, 5 * SECOND), options.through
    )
    world.parts.append(checker)
    for number in range(options.checks * len(lb.servers)):
        turn, which = divmod(number, len(lb.servers))
        due = MILLISECOND + turn * options.interval + which * STAGGER
        checked = lb.servers[which]
        world.network.after(due, checker.check, checked, flows + number)
    for number in range(flows):
        due = CLIENTS_START + start_of(number, options)
        world.network.after(due, connect, world, options, request, number)
    if options.outage:
        outage(world, options, port)


def outage(world: World, options: Options, port: int) -> None:
    """The first server fails after its second check and is back before the fifth."""
    server = world.servers[0]
    fail, recover = (hang, revive) if options.check == "ping" else (stop, start)
    world.network.after(3 * options.interval // 2, lambda: fail(server, port))
    reply = http_reply(options.reply)
    world.network.after(7 * options.interval // 2, lambda: recover(server, port, reply))


def stop(server: RealServer, port: int) -> None:
    """The service ends: connections are refused."""
    assert server.tcp is not None
    server.tcp.listeners.pop(port, None)


def start(server: RealServer, port: int, reply: bytes) -> None:
    """The service is back."""
    serve_pages(server, port, reply)


def hang(server: RealServer, port: int) -> None:
    """The machine takes no packets any more."""
    server.firewall.append(_nothing)


def revive(server: RealServer, port: int, reply: bytes) -> None:
    """The machine works again."""
    server.firewall.remove(_nothing)


def _nothing(*_: object) -> bool:
    return False


HEALTH = ModeDriver(health.preset, drive, machines=health.machines)
