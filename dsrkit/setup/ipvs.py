"""IP Virtual Server, by ipvsadm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.names import Mode
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import endpoint, modules, sysctl
from dsrkit.setup.machine import forwarding
from dsrkit.setup.nft import source_nat
from dsrkit.setup.plan import Argv, Step
from dsrkit.setup.site import Site

Method = Callable[[Site, SpecNode], Iterator[Step]]
OPTION: Final[Mapping[str, str]] = {"tcp": "-t", "udp": "-u"}
WITH_PORTS: Final[Mapping[str, Argv]] = {"mh": ("-b", "mh-port"), "sh": ("-b", "sh-port")}
"""Flags that have a scheduler look at the ports as well: or all connections of a client meet one server."""


def _table(site: Site, forward: Argv, why: str) -> Iterator[Step]:
    """Modules, sysctls, and the table itself unless keepalived keeps it."""
    scheduler = site.scheduler
    yield modules("IPVS and the scheduler", "ip_vs", f"ip_vs_{scheduler}")
    if site.takes_over:
        sloppy = "go on with connections whose SYN the other load balancer saw"
        yield sysctl("net.ipv4.vs.sloppy_tcp", 1, sloppy)
    if site.checks:
        yield sysctl("net.ipv4.vs.expire_nodest_conn", 1, "end connections to a server that a check took out")
        return
    for service in site.services():
        one = OPTION[service.proto], endpoint(service.vip, service.vport)
        how = ("-s", scheduler, *WITH_PORTS.get(scheduler, ()))
        yield _entry(("-A", "-E"), (*one, *how), f"the service, spread by {scheduler}", (("ipvsadm", "-D", *one),))
        for backend in service.backends:
            server = ("-r", endpoint(backend.address, service.rport))
            # deleting the service deletes its servers too
            yield _entry(("-a", "-e"), (*one, *server, *forward), f"{backend.node.name}: {why}")


def _entry(flags: tuple[str, str], words: Argv, why: str, undo: tuple[Argv, ...] = ()) -> Step:
    """Add to the table, unless what is there could be edited instead."""
    add, edit = flags
    return Step("ipvs", ("ipvsadm", add, *words), why, undo, unless=("ipvsadm", edit, *words))


def nat(site: Site, node: SpecNode) -> Iterator[Step]:
    yield from forwarding(site, "requests and replies both pass through")
    yield from _table(site, ("-m",), "new destination; replies come back through here")


def full_nat(site: Site, node: SpecNode) -> Iterator[Step]:
    """NAT, and a source of the load balancer's own behind it."""
    yield from nat(site, node)
    why = "IPVS connections are tracked, or the rule below would not see them"
    yield sysctl("net.ipv4.vs.conntrack", 1, why)
    yield from source_nat(site, node)


def direct(site: Site, node: SpecNode) -> Iterator[Step]:
    yield from _table(site, ("-g",), "new MAC address; replies go straight to the client")


def tunnel(site: Site, node: SpecNode) -> Iterator[Step]:
    yield from _table(site, ("-i", *tunnel_words(site)), "a tunnel; replies go straight to the client")


def tunnel_words(site: Site) -> Argv:
    """What ipvsadm calls the tunnel of a spec; IP in IP needs no word.

    Raises: UsageError for a GUE variant that IPVS does not send.
    """
    asked = site.encapsulation
    checksum = "--tun-csum" if asked.checksum else "--tun-nocsum"
    if asked.type == "gre":
        return ("--tun-type", "gre", checksum)
    if asked.type != "gue":
        return ()
    if asked.variant != 0:
        raise UsageError("IPVS sends GUE variant 0 only")
    return ("--tun-type", "gue", "--tun-port", str(asked.port), checksum)


IPVS: Final[Mapping[Mode, Method]] = {
    "nat": nat,
    "fullnat": full_nat,
    "l2dsr": direct,
    "l3dsr-tunnel": tunnel,
}
