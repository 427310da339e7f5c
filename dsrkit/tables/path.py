"""Nodes that every mode shares: the routers and bridges of a path, and what must hold whatever the mode is."""

from __future__ import annotations

from dsrkit.tables.nodes import Cell, ModeTables, NodeTable, Presence
from dsrkit.tables.rules import Affine, Field, Free, Recomputed, const, keep, union

MAX_ROUTERS = 64
"""Bound of an unknown number of routers between two taps: no path of the Internet has more hops than that."""

ROUTER_CELLS = (
    Cell("eth.src", Free(), "RFC 1812 s3.3: a new link-layer header on every link"),
    Cell("eth.dst", Free(), "RFC 1812 s3.3"),
    Cell("vlan.id", Free(), "RFC 1812 s3.3"),
    Cell("ip.ttl", Affine(Field("ip.ttl"), -1, -1), "RFC 1812 s5.3.1; RFC 8200 s3; recorded"),
    Cell("ip.checksum", Recomputed(), "RFC 1812 s4.2.2.5; recorded"),
    Cell("ip.dsfield.ecn", union(keep("ip.dsfield.ecn"), const(3)), "RFC 3168 s5: a router may mark CE"),
)

BRIDGE_CELLS = (Cell("vlan.id", Free(), "IEEE 802.1Q s6.9: tags belong to the link, ports add and strip them"),)

APPEARS = Presence("appears", "what goes in comes out at the next tap", "RFC 1812 s5.1")
REPLY_APPEARS = Presence("appears", "what the server sends arrives at the client's side", "RFC 1812 s5.1")
ANSWERED = Presence("answered", "a request is answered: a RST or an ICMP error is no answer", "RFC 9293 s3.5; RFC 768")
ANSWERED_BY_VIP = Presence("answered-by-vip", "the answer comes from the address that was asked", "RFC 9293 s3.10.7.3")
REPLY_ABSENT = Presence(
    "absent", "replies go past the load balancer, straight to the client", "the definition of direct server return"
)
FRAME_TO_LB = Presence(
    "vip-frame-to-lb", "a frame for the VIP goes to the load balancer's MAC", "RFC 826; recorded b02, b10"
)
ARP_SILENT = Presence(
    "arp-silent", "nobody but the owner tells neighbours that it has the VIP", "RFC 826; LVS-HOWTO, arp problem"
)


def common_nodes(*at_router: Presence) -> tuple[NodeTable, ...]:
    """The tables of routers and bridges, the same in every mode but for what a router must know of the VIP."""
    return (
        NodeTable("router", "request", ROUTER_CELLS, (APPEARS, *at_router)),
        NodeTable("router", "reply", ROUTER_CELLS, (REPLY_APPEARS,)),
        NodeTable("bridge", "request", BRIDGE_CELLS, (APPEARS,)),
        NodeTable("bridge", "reply", BRIDGE_CELLS, (REPLY_APPEARS,)),
    )


TABLES = ModeTables(
    mode="path",
    title="A path whose mode the packets do not tell: routers and bridges only",
    nodes=(
        *common_nodes(),
        NodeTable("server", "request", presence=(ANSWERED_BY_VIP,)),
        NodeTable("owner", "request", presence=(ARP_SILENT,)),
    ),
)
