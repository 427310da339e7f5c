"""A real server: how it takes packets for the VIP in each mode, if the mode lets any reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.names import Mode
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import nft
from dsrkit.setup.firewall import to_own_address
from dsrkit.setup.hidden import hidden_vip
from dsrkit.setup.machine import own_network
from dsrkit.setup.plan import Step
from dsrkit.setup.render import family, template
from dsrkit.setup.site import Site, address_of
from dsrkit.setup.tunnels import less_mss, tunnel_end

Server = Callable[[Site, SpecNode], Iterator[Step]]


def nothing_more(site: Site, node: SpecNode) -> Iterator[Step]:
    """The load balancer addresses the server by its own address."""
    yield from own_network(site, node)


def l2dsr(site: Site, node: SpecNode) -> Iterator[Step]:
    """Frames come with the VIP as destination."""
    yield from own_network(site, node)
    yield from _VIP_ON[site.choices.vip_on](site, node)


def tunnelled(site: Site, node: SpecNode) -> Iterator[Step]:
    """Packets for the VIP come inside others."""
    yield from own_network(site, node)
    yield from tunnel_end(site, node)
    yield from hidden_vip(site)
    yield from less_mss(site, node)


def tagged(site: Site, node: SpecNode) -> Iterator[Step]:
    """Packets come with a tag in place of the VIP, which a stateless rule puts back."""
    yield from own_network(site, node)
    yield from hidden_vip(site)
    restored = [(family(vip), address_of_family(node, vip), site.tag(node, vip), vip) for vip in site.spec.vips]
    families = sorted({one[0] for one in restored})
    rules = template("restore.nft.j2").render(families=families, restored=restored)
    yield nft(rules, [(one, "dsrkit_dscp") for one in families], "the tag says which VIP the client meant")


def address_of_family(node: SpecNode, vip: str) -> str:
    return address_of(node, 6 if ":" in vip else 4)


def _on_loopback(site: Site, node: SpecNode) -> Iterator[Step]:
    yield from hidden_vip(site)


def _by_dnat(site: Site, node: SpecNode) -> Iterator[Step]:
    """Connection tracking gives replies the VIP back as their source."""
    yield from to_own_address(site, [(one, address_of_family(node, one.vip)) for one in site.services()])


_VIP_ON: Final[Mapping[str, Server]] = {"lo": _on_loopback, "dnat": _by_dnat}

SERVERS: Final[Mapping[Mode, Server]] = {
    "nat": nothing_more,
    "fullnat": nothing_more,
    "l7": nothing_more,
    "dns-rr": nothing_more,
    "l2dsr": l2dsr,
    "l3dsr-tunnel": tunnelled,
    "l3dsr-dscp": tagged,
}


def check_vip_on(site: Site) -> None:
    """Refuse DNAT where replies would leave with the wrong source.

    Raises: UsageError saying why.
    """
    if site.choices.vip_on == "lo" or site.path == "l2dsr":
        return
    reasons: Mapping[Mode, str] = {
        "l3dsr-dscp": (
            "packets come with the server's own address as destination, so connection tracking would give replies that"
            " address as their source, and no client waits for it"
        ),
        "l3dsr-tunnel": "the tunnel's end is the server itself, which needs the VIP for what is inside",
    }
    why = reasons.get(site.path, "no packet for the VIP reaches a server in this mode")
    raise UsageError(f"--vip-on dnat belongs to l2dsr, not to {site.path}: {why}")
