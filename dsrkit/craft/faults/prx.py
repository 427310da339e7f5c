"""Faults of proxies (mode `l7`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.faults.nat import kept_open, past_the_balancer, router_beside_servers
from dsrkit.craft.machines.balancer import Server
from dsrkit.craft.machines.network import SECOND
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.l7 import greeting
from dsrkit.craft.options import Options

SERVER_IDLE: Final = 5 * SECOND
CLIENT_IDLE: Final = 8 * SECOND


def _greeting_not_agreed(world: World, options: Options) -> None:
    """The header is sent where the spec has none, and left out where it has one."""
    proxy = world.proxy
    usual, first = proxy.greeting, proxy.servers[0]
    other = greeting(2 if options.proxy is None else None)

    def greet(server: Server, front: Connection) -> bytes:
        return (other if server is first else usual)(server, front)

    proxy.greeting = greet


def _transparent(world: World, options: Options) -> None:
    first = world.proxy.servers[0]
    world.proxy.transparent = lambda server: server is first
    past_the_balancer(world, world.servers[0])


def _idle_servers(world: World, options: Options) -> None:
    world.proxy.patient = True
    for server in world.servers:
        assert server.tcp is not None
        for port, accept in server.tcp.listeners.items():
            server.tcp.listeners[port] = _for_a_while(world, accept)
    kept_open(world, options, CLIENT_IDLE)


def _for_a_while(world: World, accept: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Accept connections, and close those that are still open after the idle time-out."""

    def accepted(connection: Connection) -> None:
        accept(connection)
        world.network.after(SERVER_IDLE, connection.hang_up)

    return accepted


def _refusing(world: World, options: Options) -> None:
    server = world.servers[0]
    assert server.tcp is not None
    server.tcp.listeners.clear()


FAULTS: Final = (
    Fault(
        "PRX801",
        "proxy-header-not-agreed",
        ("l7",),
        "one server gets a PROXY header that it does not expect and closes; with --proxy: gets none and answers 400",
        _greeting_not_agreed,
        alone=True,
    ),
    Fault(
        "PRX802",
        "transparent-without-return-path",
        ("l7",),
        "sessions with one server come from the client's address, and its SYN-ACKs go past the proxy to the client",
        _transparent,
        spec=router_beside_servers,
        alone=True,
    ),
    Fault(
        "PRX803",
        "idle-timeouts-differ",
        ("l7",),
        "servers end idle sessions, the proxy keeps its own with the client: the next request there meets a RST",
        _idle_servers,
        flows=2,
    ),
    Fault(
        "PRX804",
        "one-session-through-proxy",
        ("l7",),
        "one TCP session, with one ISN, spans both sides of what is called a proxy: it is NAT",
        acts_as="nat",
        alone=True,
    ),
    Fault(
        "PRX805",
        "server-refuses-proxy",
        ("l7",),
        "one server answers the proxy's SYNs with RST, tried again each second; then the client's session just ends",
        _refusing,
        alone=True,
    ),
)
