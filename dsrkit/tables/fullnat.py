"""Full NAT: both addresses are rewritten, so the server answers the load balancer itself."""

from __future__ import annotations

from dsrkit.tables import nat
from dsrkit.tables.nodes import Cell, ModeTables, NodeTable
from dsrkit.tables.path import ANSWERED, ANSWERED_BY_VIP, APPEARS, common_nodes
from dsrkit.tables.rules import Affine, Field, Free, keep, profiles, role

_SNAT = "nf_nat_masquerade.c behind ip_vs_nat_xmit, Linux 6.1; recorded ipvs-fullnat"
_TOA = "TOA, TCP option 254 (8 octets on SYN or first ACK), other load balancers than IPVS"

_TCP_OPTIONS = Cell("tcp.options", profiles(ipvs=keep("tcp.options"), generic=Free()), _TOA)
_LEN = Cell("ip.len", profiles(ipvs=keep("ip.len"), generic=Affine(Field("ip.len"), 0, 40)), _TOA)

TABLES = ModeTables(
    mode="fullnat",
    title="Full NAT: client to load balancer, VIP to RIP; both undone on the reply",
    nodes=(
        *common_nodes(),
        NodeTable(
            "lb",
            "request",
            (
                *nat.TABLES.table("lb", "request").cells,
                Cell("ip.src", role("lb", "ip"), _SNAT),
                Cell("l4.srcport", Free(), _SNAT),
                _TCP_OPTIONS,
                _LEN,
            ),
            (APPEARS,),
        ),
        NodeTable(
            "lb",
            "reply",
            (
                *nat.TABLES.table("lb", "reply").cells,
                Cell("ip.dst", role("client", "ip"), _SNAT),
                Cell("l4.dstport", Free(), _SNAT),
            ),
            (APPEARS,),
        ),
        NodeTable("real-server", "request", presence=(ANSWERED, ANSWERED_BY_VIP)),
    ),
)
