"""NAT: the request's destination becomes a real server, the reply's source becomes the VIP again."""

from __future__ import annotations

from dsrkit.tables.nodes import Cell, ModeTables, NodeTable
from dsrkit.tables.path import ANSWERED, ANSWERED_BY_VIP, APPEARS, common_nodes
from dsrkit.tables.rules import Affine, Field, Free, Recomputed, keep, profiles, role, union

_IPVS = "ip_vs_xmit.c ip_vs_nat_xmit, Linux 6.1; recorded ipvs-nat"
_BACK = "ip_vs_core.c handle_response, Linux 6.1; recorded ipvs-nat"
TTL = profiles(ipvs=Affine(Field("ip.ttl"), -1, -1), generic=Affine(Field("ip.ttl"), -1, 0))

TABLES = ModeTables(
    mode="nat",
    title="NAT: destination VIP to RIP on the way in, source RIP to VIP on the way back",
    nodes=(
        *common_nodes(),
        NodeTable(
            "lb",
            "request",
            (
                Cell("eth.src", role("lb", "mac"), _IPVS),
                Cell("eth.dst", union(role("real-server", "mac"), role("router", "mac")), _IPVS),
                Cell("vlan.id", Free(), "IEEE 802.1Q s6.9"),
                Cell("ip.dst", role("real-server", "ip"), _IPVS),
                Cell("l4.dstport", union(keep("l4.dstport"), role("real-server", "port")), _IPVS),
                Cell("ip.ttl", TTL, _IPVS),
                Cell("ip.checksum", Recomputed(), _IPVS),
                Cell("l4.checksum", Recomputed(), "RFC 1624; RFC 3022 s4.1; recorded ipvs-nat"),
            ),
            (APPEARS,),
        ),
        NodeTable(
            "lb",
            "reply",
            (
                Cell("eth.src", role("lb", "mac"), _BACK),
                Cell("eth.dst", Free(), "the next hop towards the client"),
                Cell("vlan.id", Free(), "IEEE 802.1Q s6.9"),
                Cell("ip.src", role("vip", "ip"), _BACK),
                Cell("l4.srcport", union(keep("l4.srcport"), role("vip", "port")), _BACK),
                Cell("ip.ttl", TTL, _BACK),
                Cell("ip.checksum", Recomputed(), _BACK),
                Cell("l4.checksum", Recomputed(), "RFC 1624; RFC 3022 s4.1; recorded ipvs-nat"),
            ),
            (APPEARS,),
        ),
        NodeTable("real-server", "request", presence=(ANSWERED, ANSWERED_BY_VIP)),
    ),
)
