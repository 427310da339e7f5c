"""What every machine has of its own: links, bridges, VLANs, addresses, forwarding and routes."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import address, modules, route, sysctl
from dsrkit.setup.network import Interface
from dsrkit.setup.plan import Step
from dsrkit.setup.site import Site, versions

USUAL_MTU = 1500
FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def own_network(site: Site, node: SpecNode) -> Iterator[Step]:
    """Links up, with the node's addresses and the routes to everybody else."""
    if not site.choices.network:
        return
    yield Step("link", ("ip", "link", "set", "lo", "up"), "a machine talks to itself by it; it stays up")
    for interface in site.network.interfaces(node.name):
        yield from _links(site, interface)
        for own in interface.addresses:
            yield address(str(own), interface.name, f"the address of {node.name} in {own.network}")
    for way in site.network.routes(node.name):
        why = "what is not next to it goes by this gateway" if way.prefix.endswith("/0") else "the way there"
        yield route(way.prefix, why, "via", way.gateway, "dev", way.device, version=way.version)


def _links(site: Site, interface: Interface) -> Iterator[Step]:
    mtu = site.options.mtu
    if interface.bridge:
        add = ("ip", "link", "add", interface.base, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        delete = ("ip", "link", "del", interface.base)
        yield Step(
            "link", add, "its ports are one broadcast domain; forwards at once, without spanning tree", (delete,)
        )
    for port in interface.ports:
        if mtu != USUAL_MTU:
            usual = (("ip", "link", "set", port, "mtu", str(USUAL_MTU)),)
            yield Step("link", ("ip", "link", "set", port, "mtu", str(mtu)), "the MTU of every link here", usual)
        if interface.bridge:
            free = (("ip", "link", "set", port, "nomaster"),)
            yield Step("link", ("ip", "link", "set", port, "master", interface.base), "a port of the bridge", free)
        yield _up(port)
    if interface.bridge:
        yield Step("link", ("ip", "link", "set", interface.base, "up"), "in use from here on")
    if interface.tag is not None:
        tagged = ("name", interface.name, "type", "vlan", "id", str(interface.tag))
        delete = ("ip", "link", "del", interface.name)
        yield modules("VLAN tags", "8021q")
        yield Step("link", ("ip", "link", "add", "link", interface.base, *tagged), "frames here carry a tag", (delete,))
        yield Step("link", ("ip", "link", "set", interface.name, "up"), "in use from here on")


def _up(device: str) -> Step:
    down = (("ip", "link", "set", device, "down"),)
    return Step("link", ("ip", "link", "set", device, "up"), "in use from here on", down)


def forwarding(site: Site, why: str) -> Iterator[Step]:
    """Pass on packets that are for others."""
    for version in versions(site):
        yield sysctl(FORWARDING[version], 1, why)


def no_redirects(interface: Interface, why: str) -> Iterator[Step]:
    """The kernel sends redirects if either of the two allows it (IN_DEV_TX_REDIRECTS)."""
    yield sysctl("net.ipv4.conf.all.send_redirects", 0, why)
    yield sysctl(f"net/ipv4/conf/{interface.name}/send_redirects", 0, "and of this interface, since either is enough")
