"""Faults of health checks: checks that do not test what clients use, and answers that the checker does not get."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.faults.breakage import beside, next_free, taken_addresses
from dsrkit.craft.machines.health_checker import Checker
from dsrkit.craft.machines.network import Label
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.health import hang, stop
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import TCP, UDP, Octets
from dsrkit.errors import UsageError
from dsrkit.model.names import DIRECT_RETURN, REWRITES
from dsrkit.model.spec import Spec

_OVER_TIME: Final = {"rate": 1}  # connections before and after the first verdicts


def _needs(code: str, options: Options, *paths: str) -> None:
    if options.data_path not in paths:
        raise UsageError(f"{code} needs --data-path {' or '.join(paths)}, not {options.data_path}")


def _tests_the_address(world: World, options: Options) -> None:
    _needs("HCK701", options, *DIRECT_RETURN)
    world.part(Checker).through = "rip"
    world.servers[0].local.difference_update(world.vips)


def _waits_for_the_address(world: World, options: Options) -> None:
    _needs("HCK702", options, "l3dsr-dscp")
    world.part(Checker).by_address = True


def _filters_its_own_address(world: World, options: Options) -> None:
    """The kernel's check of sources in IPv4, an ip6tables rule `-m rpfilter` in IPv6."""
    _needs("HCK703", options, *DIRECT_RETURN)

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


def _another_vip(spec: Spec, options: Options) -> Spec:
    """The set-up with a second VIP; where servers are checked, one will do."""
    if spec.health:
        return spec
    service, *others = spec.services
    vip = next_free(service.vip[0], taken_addresses(spec))
    tag = next(tag for tag in range(1, 64) if tag not in spec.dscp)
    return replace(
        spec,
        services=(replace(service, vip=(*service.vip, vip)), *others),
        dscp={**spec.dscp, tag: vip} if spec.dscp else {},
    )


def _nobody_left(world: World, options: Options) -> None:
    """A VIP without servers beside one that has them; where servers are checked, all of them fail in between."""
    lb = world.balancer
    if not world.spec.health:
        usual, empty, proto = lb.choose, world.vips[0], UDP if options.protocol == "udp" else TCP
        lb.choose = lambda key: None if key[3] == empty else usual(key)
        for number in range(2):
            beside(world, options, number, proto=proto, service=(world.vips[-1], options.port))
        return
    fail, port = hang if options.check == "ping" else stop, lb.services[TCP, options.port]
    for host in world.servers:
        world.network.after(3 * options.interval // 4, fail, host, port)


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
        (*REWRITES, "health"),
        "requests for a VIP reach the load balancer and nothing comes after it; it answers at once with ICMP port"
        " unreachable, while another VIP is served",
        _nobody_left,
        _OVER_TIME,
        spec=_another_vip,
    ),
)
