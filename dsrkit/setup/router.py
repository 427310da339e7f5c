"""Machines between: routers, bridges and clients."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.model.names import DIRECT_RETURN
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import sysctl
from dsrkit.setup.machine import forwarding, own_network
from dsrkit.setup.plan import Step
from dsrkit.setup.site import Site, versions

LOOSE = 2


def router(site: Site, node: SpecNode) -> Iterator[Step]:
    """Addresses, forwarding, and the way to the VIP."""
    yield from own_network(site, node)
    yield from forwarding(site, "a router passes on what is for others")
    if site.path in DIRECT_RETURN and 4 in versions(site):
        # The largest of `all` and the interface's own counts (IN_DEV_RPFILTER), and loose is larger than strict.
        why = "replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them"
        yield sysctl("net.ipv4.conf.all.rp_filter", LOOSE, why)


def host(site: Site, node: SpecNode) -> Iterator[Step]:
    """A machine with nothing but its addresses, links and routes."""
    yield from own_network(site, node)
