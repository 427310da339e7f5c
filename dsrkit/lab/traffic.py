"""Who serves what, and what the clients ask for."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import cycle, islice
from random import Random

from dsrkit.errors import UsageError
from dsrkit.lab.job import Request, Server, Step
from dsrkit.model.spec import Port, SpecNode
from dsrkit.setup.site import Site, address_of

TAKEOVER_SECONDS = 5.0
"""A backup waits three intervals of adverts and its skew; GARPs come at once, and again two seconds later."""


def servers(site: Site) -> tuple[Server, ...]:
    """A service per port at every real server."""
    proxy = site.spec.proxy is not None and site.spec.proxy.version is not None
    return tuple(
        Server(node.name, port.rport, port.proto == "udp", proxy=proxy)
        for node in site.nodes("real-server")
        for port in _ports(site)
    )


def steps(site: Site, flows: int, random: Random) -> tuple[Step, ...]:
    """What happens while the taps record: requests, a ping, and for a pair of load balancers a takeover in between."""
    clients = site.nodes("client")
    if not clients:
        raise UsageError("a lab needs a node of role client")
    rounds = [Step(f"requests of {one.name}", one.name, tuple(_requests(site, one, flows, random))) for one in clients]
    rounds += [Step(f"ping from {one.name}", one.name, ping=site.spec.vips[0]) for one in clients if site.spec.vips]
    if not site.vrrp:
        return tuple(rounds)
    again = (
        Step(f"requests of {one.name} again", one.name, tuple(_requests(site, one, flows, random))) for one in clients
    )
    return (*rounds, _takeover(site), *again)


def _ports(site: Site) -> tuple[Port, ...]:
    return site.spec.ports or (Port(site.options.protocol, site.options.port, site.options.port),)


def _requests(site: Site, client: SpecNode, flows: int, random: Random) -> Iterator[Request]:
    versions: set[int] = {ip_address(to).version for to in site.spec.vips} or {int(site.options.ip)}
    sources = [ip for ip in client.ips if ip_address(ip).version in versions]
    turns = cycle([(vip, port) for vip in site.spec.vips or ("",) for port in _ports(site)])
    for number, (vip, port) in enumerate(islice(turns, flows)):
        fitting = [ip for ip in sources if not vip or ip_address(ip).version == ip_address(vip).version]
        if not fitting:
            raise UsageError(f"node {client.name!r} has no address to reach {vip} from")
        udp = port.proto == "udp"
        yield Request(
            source=fitting[number % len(fitting)],
            port=port.vport,
            to=vip,
            up=random.randint(30, 900) if udp else random.choice((0, 0, random.randint(500, 9000))),
            down=random.randint(120, 6000),
            udp=udp,
            name=None if vip or site.spec.dns is None else site.spec.dns.name or site.options.name,
            resolver=None if vip else _resolver(site, ip_address(fitting[0]).version),
        )


def _resolver(site: Site, version: int) -> str:
    found = site.nodes("resolver")
    if not found:
        raise UsageError("a lab of dns-rr needs a node of role resolver")
    return address_of(found[0], version)


def _takeover(site: Site) -> Step:
    first = site.nodes("lb")[0]
    stop = f"pkill -F {site.state(first)}/keepalived.pid"
    return Step(f"takeover: keepalived of {first.name} stops", first.name, command=stop, wait=TAKEOVER_SECONDS)
