"""Faults of health checks: checks that do not test what clients use, and answers that the checker does not get."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.checks import Checker
from dsrkit.craft.faults.base import DSR_MODES, REWRITING_MODES, Fault
from dsrkit.craft.modes.health import stop
from dsrkit.craft.network import Label
from dsrkit.craft.octets import TCP, Octets
from dsrkit.craft.options import Options
from dsrkit.craft.world import World
from dsrkit.errors import UsageError

_OVER_TIME: Final = {"rate": 1}  # connections before and after the first verdicts


def _needs(code: str, options: Options, *paths: str) -> None:
    if options.data_path not in paths:
        raise UsageError(f"{code} needs --data-path {' or '.join(paths)}, not {options.data_path}")


def _tests_the_address(world: World, options: Options) -> None:
    _needs("HCK701", options, *DSR_MODES)
    world.part(Checker).through = "rip"
    world.servers[0].local.difference_update(world.vips)


def _waits_for_the_address(world: World, options: Options) -> None:
    _needs("HCK702", options, "l3dsr-dscp")
    world.part(Checker).by_address = True


def _filters_its_own_address(world: World, options: Options) -> None:
    """The kernel's check of sources in IPv4, an ip6tables rule `-m rpfilter` in IPv6."""
    _needs("HCK703", options, *DSR_MODES)

    def rpfilter(packet: Octets, label: Label) -> bool:
        return packet.address("ip.src") not in world.vips

    world.balancer.firewall.append(rpfilter)


def _untagged(world: World, options: Options) -> None:
    _needs("HCK704", options, "l3dsr-dscp")
    if options.check != "ping":
        raise UsageError(f"HCK704 is about --check ping, TCP is tagged; not {options.check}")
    world.part(Checker).through = "rip"


def _only_pings(world: World, options: Options) -> None:
    if options.check != "ping":
        raise UsageError(f"HCK705 is about --check ping, not {options.check}")
    stop(world.servers[0], world.balancer.services[TCP, options.port])


def _nobody_left(world: World, options: Options) -> None:
    """No server is configured; where servers are checked, all of them fail."""
    lb = world.balancer
    for server in lb.servers:
        server.alive = False
    if any(isinstance(part, Checker) for part in world.parts):
        for host in world.servers:
            if options.check == "ping":
                host.firewall.append(lambda *_: False)
            else:
                stop(host, lb.services[TCP, options.port])


FAULTS: Final = (
    Fault(
        "HCK701",
        "check-misses-data-path",
        ("health",),
        "checks of a server's own address are answered while its clients, whose packets carry the VIP, hear nothing",
        _tests_the_address,
        {"through": "rip", **_OVER_TIME},
        8,
    ),
    Fault(
        "HCK702",
        "check-answer-from-vip-discarded",
        ("health",),
        "tagged SYNs to the servers' addresses are answered by the VIP, the load balancer repeats them as if they were"
        " not, and refuses its clients",
        _waits_for_the_address,
        {"data_path": "l3dsr-dscp", **_OVER_TIME},
        8,
    ),
    Fault(
        "HCK703",
        "check-answer-dropped-by-rp-filter",
        ("health",),
        "checks by the data path are answered by the VIP, the load balancer repeats them, and refuses its clients",
        _filters_its_own_address,
        _OVER_TIME,
        8,
    ),
    Fault(
        "HCK704",
        "check-not-tagged",
        ("health",),
        "echo requests to the servers' addresses carry DSCP 0 and are answered from there; the clients' packets are"
        " tagged",
        _untagged,
        {"data_path": "l3dsr-dscp", "check": "ping", **_OVER_TIME},
        4,
    ),
    Fault(
        "HCK705",
        "check-is-ping-only",
        ("health",),
        "a server answers every ping and refuses every connection, and clients are still sent to it",
        _only_pings,
        {"check": "ping", **_OVER_TIME},
        8,
    ),
    Fault(
        "HCK706",
        "no-real-server",
        (*REWRITING_MODES, "health"),
        "requests reach the load balancer and nothing comes after it; it answers at once with ICMP port unreachable",
        _nobody_left,
    ),
)
