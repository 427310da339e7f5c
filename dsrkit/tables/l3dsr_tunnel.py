"""L3DSR by IP tunnel: the client's packet is kept whole and gets an outer header that leads to the real server."""

from __future__ import annotations

from typing import Final

from dsrkit.tables.nodes import Cell, ModeTables, NodeTable
from dsrkit.tables.path import ANSWERED, ANSWERED_BY_VIP, APPEARS, ARP_SILENT, FRAME_TO_LB, REPLY_ABSENT, common_nodes
from dsrkit.tables.rules import Affine, Const, Field, Free, Recomputed, const, keep, profiles, role, union

_IPVS = "ip_vs_xmit.c ip_vs_tunnel_xmit, Linux 6.1; recorded ipvs-tun-ipip, ipvs-tun-gue, ipvs-tun-6in6"
_KATRAN = "katran encap_helpers.h and KatranTestFixtures"
_GLB = "glb-director gue-header.md, glb_encap.c"

TUNNEL_TYPES: Final = ("ipip", "6in6", "4in6", "6in4", "gre", "gue", "gue1", "geneve", "vxlan")
"""Kinds of tunnel in the order of their numbers in the field ``tunnel.type``, counted from 1."""

_inner_ttl = Field("ip.ttl")
_copy_dscp = Affine(Field("ip.dsfield.dscp"))
_copy_ecn = Affine(Field("ip.dsfield.ecn"))
_copy_df = Affine(Field("ip.flags.df"))

TABLES = ModeTables(
    mode="l3dsr-tunnel",
    title="L3DSR by IP tunnel: the packet untouched inside, an outer header to the real server",
    nodes=(
        *common_nodes(FRAME_TO_LB),
        NodeTable(
            "lb",
            "request",
            (
                Cell("eth.src", role("lb", "mac"), _IPVS),
                Cell("eth.dst", union(role("real-server", "mac"), role("router", "mac")), _IPVS),
                Cell("vlan.id", Free(), "IEEE 802.1Q s6.9"),
                Cell(
                    "ip.ttl",
                    profiles(
                        ipvs=Affine(_inner_ttl, -1, -1),
                        katran=Affine(_inner_ttl),
                        glb=Affine(_inner_ttl),
                        generic=Affine(_inner_ttl, -1, 0),
                    ),
                    f"{_IPVS}; {_KATRAN}: untouched; {_GLB}: untouched",
                ),
                Cell("ip.checksum", Recomputed(), "RFC 1624; recorded ipvs-tun-ipip"),
                Cell(
                    "outer.src",
                    profiles(ipvs=role("lb", "ip"), glb=role("lb", "ip"), generic=Free()),
                    f"{_IPVS}; {_KATRAN}: 172.16/16 or 0100::/64 made from the flow",
                ),
                Cell("outer.dst", role("real-server", "ip"), _IPVS),
                Cell(
                    "outer.ttl",
                    profiles(
                        ipvs=Affine(_inner_ttl, -1, -1),
                        katran=const(64),
                        glb=const(64),
                        cilium=Affine(Const(63), 0, 1),
                        generic=Free(),
                    ),
                    f"{_IPVS}: the inner TTL after its own decrement; {_KATRAN}; {_GLB}",
                ),
                Cell(
                    "outer.dsfield.dscp",
                    profiles(ipvs=_copy_dscp, katran=_copy_dscp, glb=const(0), generic=union(_copy_dscp, const(0))),
                    f"{_IPVS}; RFC 2983 s3; {_GLB}",
                ),
                Cell(
                    "outer.dsfield.ecn",
                    profiles(
                        ipvs=union(_copy_ecn, const(2)),
                        katran=_copy_ecn,
                        glb=const(0),
                        generic=union(_copy_ecn, const(2), const(0)),
                    ),
                    f"{_KATRAN}; {_GLB}; INET_ECN_encapsulate, Linux 6.1: CE becomes ECT(0); RFC 6040 s4.1",
                ),
                Cell(
                    "outer.flags.df",
                    profiles(ipvs=union(_copy_df, const(0)), katran=const(0), glb=const(1), generic=Free()),
                    "vs.pmtu_disc=1 copies, 0 clears (ipvs-sysctl); recorded ipvs-tun-ipip",
                ),
                Cell("outer.id", Free(), "ip_select_ident, Linux 6.1: 0 under DF, a counter else"),
                Cell("outer.len", keep("ip.len"), "RFC 2003 s3; RFC 2784 s2; GUE draft s3: the packet whole"),
                Cell("outer.checksum", Recomputed(), "RFC 791 s3.1"),
                Cell("tunnel.type", role("service", "tunnel"), "RFC 2003; RFC 2473; RFC 4213; RFC 2784; GUE draft"),
                Cell("tunnel.srcport", Free(), "udp_flow_src_port, Linux 6.1; RFC 7510 s3: entropy of the flow"),
                Cell("tunnel.dstport", role("service", "tunnel-port"), "ipvsadm --tun-port; recorded ipvs-tun-gue"),
                Cell("tunnel.header", Free(), "flags differ by checksum, key and private options"),
                Cell("tunnel.checksum", Recomputed(), "RFC 2784 s2.1; RFC 768: 0 is no checksum; RFC 6935"),
            ),
            (APPEARS,),
            pushes=True,
        ),
        NodeTable("lb", "reply", presence=(REPLY_ABSENT,)),
        NodeTable("real-server", "request", presence=(ANSWERED, ANSWERED_BY_VIP, ARP_SILENT)),
    ),
)
