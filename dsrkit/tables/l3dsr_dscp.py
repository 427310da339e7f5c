"""L3DSR by DSCP: the destination becomes the real server, the DS field says which VIP was meant."""

from __future__ import annotations

from dsrkit.tables.nat import TTL
from dsrkit.tables.nodes import Cell, ModeTables, NodeTable
from dsrkit.tables.path import ANSWERED, ANSWERED_BY_VIP, APPEARS, ARP_SILENT, FRAME_TO_LB, REPLY_ABSENT, common_nodes
from dsrkit.tables.rules import Free, Recomputed, role, union

_NFT = "nft ip dscp set / ip daddr set, Linux 6.1; recorded l3dsr-dscp; NANOG51 L3DSR"

TABLES = ModeTables(
    mode="l3dsr-dscp",
    title="L3DSR by DSCP: destination VIP to RIP, DSCP stands for the VIP",
    nodes=(
        *common_nodes(FRAME_TO_LB),
        NodeTable(
            "lb",
            "request",
            (
                Cell("eth.src", role("lb", "mac"), _NFT),
                Cell("eth.dst", union(role("real-server", "mac"), role("router", "mac")), _NFT),
                Cell("vlan.id", Free(), "IEEE 802.1Q s6.9"),
                Cell("ip.dst", role("real-server", "ip"), _NFT),
                Cell("ip.dsfield.dscp", role("real-server", "dscp"), _NFT),
                Cell("ip.ttl", TTL, _NFT),
                Cell("ip.checksum", Recomputed(), _NFT),
                Cell("l4.checksum", Recomputed(), "RFC 1624: the pseudo header changes; recorded l3dsr-dscp"),
            ),
            (APPEARS,),
        ),
        NodeTable("lb", "reply", presence=(REPLY_ABSENT,)),
        NodeTable("real-server", "request", presence=(ANSWERED, ANSWERED_BY_VIP, ARP_SILENT)),
    ),
)
