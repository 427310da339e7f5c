"""dnsmasq: the name server that rotates the addresses of a name, and resolvers that ask it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import daemon, file
from dsrkit.setup.machine import own_network
from dsrkit.setup.plan import Step
from dsrkit.setup.render import template
from dsrkit.setup.site import Site

TTL: Final = 60
NAME: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*"
)


def name_server(site: Site, node: SpecNode) -> Iterator[Step]:
    """Addresses, the configuration, and the daemon."""
    yield from own_network(site, node)
    state = site.state(node)
    path, pid = f"{state}/dnsmasq.conf", f"{state}/dnsmasq.pid"
    yield file(path, configuration(site, node), "what it answers", "dnsmasq")
    yield daemon(("dnsmasq", f"--conf-file={path}", f"--pid-file={pid}"), "runs in the background", pid)


def configuration(site: Site, node: SpecNode) -> str:
    """dnsmasq.conf of one name server.

    Raises: UsageError for a spec without name or addresses, and for a name that is none.
    """
    dns = site.spec.dns
    name = (dns.name if dns is not None and dns.name else site.options.name).rstrip(".")
    if NAME.fullmatch(name) is None:
        raise UsageError(f"[dns] name: {name!r} is not a host name")
    if dns is None or not dns.records:
        raise UsageError("[dns] has no records")
    owner = zone_owner(site)
    return template("dnsmasq.conf.j2").render(
        name=name,
        records=dns.records,
        ttl=TTL if dns.ttl is None else dns.ttl,
        owner=None if owner == node else owner.ips[0],
        addresses=node.ips,
    )


def zone_owner(site: Site) -> SpecNode:
    """The name server that has the zone: the one beside the servers, or else the last.

    Raises: UsageError where there is none.
    """
    servers = site.nodes("real-server")
    everyone = site.nodes("resolver")
    if not everyone:
        raise UsageError("no node of role resolver can answer the clients")
    near = (one for one in everyone if any(site.network.near(one.name, server.name) for server in servers))
    return next(near, everyone[-1])
