"""L2DSR: the load balancer rewrites the destination MAC; the server answers the client directly."""

from __future__ import annotations

from dsrkit.tables.nodes import Cell, ModeTables, NodeTable
from dsrkit.tables.path import (
    ANSWERED,
    ANSWERED_BY_VIP,
    APPEARS,
    ARP_SILENT,
    FRAME_TO_LB,
    REPLY_ABSENT,
    common_nodes,
)
from dsrkit.tables.rules import Affine, Field, Free, Recomputed, profiles, role

TABLES = ModeTables(
    mode="l2dsr",
    title="L2DSR: destination MAC rewritten, IP addresses untouched",
    nodes=(
        *common_nodes(FRAME_TO_LB),
        NodeTable(
            "lb",
            "request",
            (
                Cell("eth.src", role("lb", "mac"), "ip_vs_xmit.c ip_vs_dr_xmit, Linux 6.1; recorded ipvs-dr"),
                Cell("eth.dst", role("real-server", "mac"), "ip_vs_xmit.c ip_vs_dr_xmit, Linux 6.1; recorded ipvs-dr"),
                Cell("vlan.id", Free(), "IEEE 802.1Q s6.9"),
                Cell(
                    "ip.ttl",
                    profiles(ipvs=Affine(Field("ip.ttl"), -1, -1), generic=Affine(Field("ip.ttl"), -1, 0)),
                    "ip_vs_xmit.c decrement_ttl, Linux 6.1; recorded ipvs-dr; hardware load balancers vary",
                ),
                Cell("ip.checksum", Recomputed(), "RFC 1624; recorded ipvs-dr"),
            ),
            (APPEARS,),
        ),
        NodeTable("lb", "reply", presence=(REPLY_ABSENT,)),
        NodeTable("real-server", "request", presence=(ANSWERED, ANSWERED_BY_VIP, ARP_SILENT)),
    ),
)
