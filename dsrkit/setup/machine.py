"""What every machine has of its own: links, bridges, VLANs, addresses, forwarding and routes."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import address, device, modules, route, sysctl
from dsrkit.setup.network import Interface
from dsrkit.setup.plan import Argv, Step
from dsrkit.setup.site import Site, versions

USUAL_MTU = 1500
FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
CHANGED_WITH_IT = {4: ("net.ipv4.conf.all.accept_redirects",), 6: ()}
"""The kernel takes a change of forwarding for one from host to router or back (inet_forward_change)."""


def own_network(site: Site, node: SpecNode) -> Iterator[Step]:
    """Links up, with the node's addresses and the routes to everybody else."""
    if not site.choices.network:
        return
    yield Step("link", ("ip", "link", "set", "dev", "lo", "up"), "a machine talks to itself by it; it stays up")
    for interface in site.network.interfaces(node.name):
        yield from _links(site, interface)
        for own in interface.addresses:
            yield address(str(own), interface.name, f"the address of {node.name} in {own.network}")
    for way in site.network.routes(node.name):
        why = "what is not next to it goes by this gateway" if way.prefix.endswith("/0") else "the way there"
        yield route(way.prefix, why, *way.words, version=way.version)


def _links(site: Site, interface: Interface) -> Iterator[Step]:
    mtu = site.options.mtu
    if interface.bridge:
        kind = ("type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        why = "its ports are one broadcast domain; forwards at once, without spanning tree"
        yield device(interface.base, why, "name", interface.base, *kind)
    for port in interface.ports:
        if mtu != USUAL_MTU:
            yield _set(port, "the MTU of every link here", ("mtu", str(mtu)), ("mtu", str(USUAL_MTU)))
        if interface.bridge:
            yield _set(port, "a port of the bridge", ("master", interface.base), ("nomaster",))
        yield _set(port, "in use from here on", ("up",), ("down",))
    if interface.bridge:
        yield _set(interface.base, "in use from here on", ("up",))
    if interface.tag is not None:
        tagged = ("link", interface.base, "name", interface.name, "type", "vlan", "id", str(interface.tag))
        yield modules("VLAN tags", "8021q")
        yield device(interface.name, "frames here carry a tag", *tagged)
        yield _set(interface.name, "in use from here on", ("up",))


def _set(name: str, why: str, words: Argv, undo: Argv = ()) -> Step:
    """Set something about a device, and back."""
    change: Argv = ("ip", "link", "set", "dev", name)
    return Step("link", (*change, *words), why, ((*change, *undo),) if undo else ())


def forwarding(site: Site, why: str) -> Iterator[Step]:
    """Pass on packets that are for others."""
    for version in versions(site):
        yield sysctl(FORWARDING[version], 1, why, changes=CHANGED_WITH_IT[version])


def no_redirects(site: Site, interface: Interface, why: str) -> Iterator[Step]:
    """The kernel sends redirects if either of the two allows it (IN_DEV_TX_REDIRECTS); IPv6 has no such setting."""
    if 4 not in versions(site):
        return
    yield sysctl("net.ipv4.conf.all.send_redirects", 0, why)
    yield sysctl(f"net/ipv4/conf/{interface.name}/send_redirects", 0, "and of this interface, since either is enough")
