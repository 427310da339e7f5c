"""The end of a tunnel at a real server: a device that takes the outer header off, and room for that header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from dsrkit.errors import UsageError
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import device, modules, sysctl
from dsrkit.setup.firewall import clamp
from dsrkit.setup.network import EVERYTHING
from dsrkit.setup.plan import Step
from dsrkit.setup.site import Site, address_of

if TYPE_CHECKING:
    from dsrkit.craft.profiles import Encapsulation

IP_HEADER: Final = {4: 20, 6: 40}
TCP_HEADER: Final = 20
UDP_AND_GUE: Final = 12
USUAL_MTU: Final = 1500


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of tunnel device: the module that makes it, and what stands behind ``type``."""

    module: str
    words: tuple[str, ...]


BARE: Final[Mapping[tuple[int, int], Device]] = {
    (4, 4): Device("ipip", ("ipip",)),
    (6, 6): Device("ip6_tunnel", ("ip6tnl", "mode", "ip6ip6")),
    (4, 6): Device("ip6_tunnel", ("ip6tnl", "mode", "ipip6")),
    (6, 4): Device("sit", ("sit",)),
}
"""IP in IP, by the versions of client's packet and outer header. GUE hands its payload to these as well."""
GRE: Final[Mapping[int, Device]] = {4: Device("ip_gre", ("gre",)), 6: Device("ip6_gre", ("ip6gre",))}
FOU: Final[Mapping[int, tuple[str, ...]]] = {4: ("fou",), 6: ("fou", "fou6")}


def tunnel_end(site: Site, node: SpecNode) -> Iterator[Step]:
    """Devices for what each load balancer sends, with the check of the way back switched off."""
    tunnel, outer = site.encapsulation, site.outer
    inner = ip_address(site.spec.vips[0]).version
    kind = GRE[outer] if tunnel.type == "gre" else BARE[inner, outer]
    extra = FOU[outer] if tunnel.type == "gue" else ()
    yield modules("the device that takes the outer header off", kind.module, *extra)
    if tunnel.type == "gue":
        port = ("port", str(tunnel.port), *(("-6",) if outer == 6 else ()))
        why = "what comes to this UDP port is taken out of its GUE header, and then goes to the device below"
        add, delete = ("ip", "fou", "add", *port, "gue"), ("ip", "fou", "del", *port)
        shows = f"port {tunnel.port} gue"
        yield Step("tunnel", add, why, (delete,), unless=("ip", "fou", "show"), shows=shows)
    checksum = ("csum",) if tunnel.type == "gre" and tunnel.checksum else ()
    own = address_of(node, outer)
    for number, source in enumerate(sources(site, own)):
        name = f"dsr{number}"
        ends = ("local", own, "remote", source)
        why = f"takes the outer header off what comes from {source}"
        if checksum:
            why += "; without csum the kernel drops packets that have a checksum"
        yield replace(device(name, why, "name", name, "type", *kind.words, *ends, *checksum), kind="tunnel")
        yield from _unchecked(name, inner)
        yield Step(
            "tunnel",
            ("ip", "link", "set", "dev", name, "up"),
            "what comes to a tunnel that is down is refused as unreachable",
        )


def _unchecked(name: str, inner: int) -> Iterator[Step]:
    if inner == 6:
        yield sysctl(f"net/ipv6/conf/{name}/router_solicitations", 0, "there is no router to ask in it", kept=False)
        return
    why = "clients are not behind the tunnel; loose (2) drops too, since the device has no address"
    yield sysctl(f"net/ipv4/conf/{name}/rp_filter", 0, why, kept=False)
    yield sysctl("net.ipv4.conf.all.rp_filter", 0, "the larger of this and the device's own counts")


def sources(site: Site, server: str) -> list[str]:
    """The outer source addresses that a server hears: those of the load balancers on their way to it.

    Raises: UsageError for a load balancer that has no way there.
    """
    found = []
    for lb in site.nodes("lb"):
        way = site.network.towards(lb.name, server)
        own = () if way is None else (str(one.ip) for one in way.addresses if one.version == site.outer)
        source = next((ip for ip in own if ip not in site.spec.vips), None)
        if source is None:
            raise UsageError(f"node {lb.name!r} has no IPv{site.outer} address of its own on its way to {server}")
        found.append(source)
    return list(dict.fromkeys(found))


def overhead(tunnel: Encapsulation, outer: int) -> int:
    """Octets that the load balancer adds to a packet.

    Source: RFC 2003 s3.1; RFC 2784 s2.1; draft-ietf-intarea-gue-09 s3.
    """
    inside = {"gre": 8 if tunnel.checksum else 4, "gue": UDP_AND_GUE}
    return IP_HEADER[outer] + inside.get(tunnel.type, 0)


def room(site: Site) -> int:
    """The MSS that servers may announce, so that requests fit with the outer header around them."""
    mtu = (site.spec.tunnel.mtu if site.spec.tunnel is not None else None) or site.options.mtu or USUAL_MTU
    inner = ip_address(site.spec.vips[0]).version
    return mtu - overhead(site.encapsulation, site.outer) - IP_HEADER[inner] - TCP_HEADER


def less_mss(site: Site, node: SpecNode) -> Iterator[Step]:
    """Announce what fits. It has to be the server: the load balancer never sees the SYN-ACK."""
    if site.options.pmtud:
        return
    yield from {"advmss": _advmss, "clamp": _clamp}[site.choices.mss](site, node)


def _advmss(site: Site, node: SpecNode) -> Iterator[Step]:
    version = ip_address(site.spec.vips[0]).version
    default = next((r for r in site.network.routes(node.name) if r.prefix == EVERYTHING[version]), None)
    if default is None:
        raise UsageError(
            f"node {node.name!r} has no IPv{version} gateway to announce an MSS on (--mss clamp needs none)"
        )
    change = ("ip", f"-{version}", "route", "change", default.prefix, *default.words)
    why = "clients send segments that fit with the outer header around them"
    yield Step("route", (*change, "advmss", str(room(site))), why, (change,))


def _clamp(site: Site, node: SpecNode) -> Iterator[Step]:
    return clamp(site, room(site))
