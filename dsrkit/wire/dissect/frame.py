"""A whole frame taken apart: from its link layer inwards, one parser after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect import (
    arp,
    carriers,
    dns,
    gre,
    http,
    icmp,
    icmpv6,
    ip,
    ipv6,
    link,
    payloads,
    proxy,
    tcp,
    tunnels,
    udp,
    vrrp,
)
from dsrkit.wire.dissect.table import Kind, Row, Table, names
from dsrkit.wire.dissect.tree import Dissection
from dsrkit.wire.dissect.walk import Next, Walk
from dsrkit.wire.scanner import GUE_PORTS

FRAME: Final = Table(
    "frame",
    "draft-ietf-opsawg-pcap s5",
    0,
    (Row("frame.len"), Row("frame.cap_len"), Row("frame.encap_type", source="Wireshark's wiretap/wtap.h")),
)
_LEN, _CAP_LEN, _ENCAP = FRAME.rows

LINKTYPES: Final[Mapping[int, tuple[str, int]]] = MappingProxyType(
    {
        0: ("null", 15),
        1: ("eth", 1),
        12: ("raw", 7),
        14: ("raw", 7),
        101: ("raw", 7),
        108: ("null", 174),
        113: ("sll", 25),
        228: ("ip", 129),
        229: ("ipv6", 130),
        276: ("sll2", 210),
    }
)
"""Link type -> the parser to begin with, and Wireshark's number of the encapsulation."""

_PARSERS: Final[Mapping[str, Callable[[Walk, int], Next]]] = {
    "eth": link.ethernet,
    "vlan": link.vlan,
    "ieee8021ad": link.service_tag,
    "llc": link.llc,
    "sll": link.cooked,
    "sll2": link.cooked2,
    "null": link.null,
    "raw": link.raw,
    "arp": arp.read,
    "ip": ip.read,
    "ipv6": ipv6.read,
    "any_ip": link.any_ip,
    "tcp": tcp.read,
    "udp": udp.read,
    "gue": tunnels.gue,
    "gue.bare": tunnels.bare_gue,
    "vxlan": tunnels.vxlan,
    "vxlan.gpe": tunnels.vxlan_gpe,
    "geneve": tunnels.geneve,
    "gre": gre.read,
    "erspan": gre.erspan,
    "icmp": icmp.read,
    "icmpv6": icmpv6.read,
    "redirected": icmpv6.redirected,
    "vrrp": vrrp.read,
    "mpls": carriers.mpls,
    "pppoes": carriers.session,
    "pppoed": carriers.discovery,
    "ppp": carriers.ppp,
    "ah": carriers.authentication,
    "esp": carriers.esp,
    "igmp": carriers.igmp,
    "sctp": carriers.sctp,
    "tcp.payload": payloads.of_tcp,
    "udp.payload": payloads.of_udp,
    "dns": dns.read,
    "proxy": proxy.read,
    "http": http.read,
}

_MODULES: Final = (link, arp, ip, ipv6, tcp, udp, tunnels, gre, icmp, icmpv6, vrrp, carriers, dns, proxy, http)

NAMES: Final[Mapping[str, Kind]] = MappingProxyType(
    names(FRAME, *(table for module in _MODULES for table in module.TABLES))
)
"""Every field that a dissection may have: its kind and where it is defined."""
LAYERS: Final = frozenset(table.name for module in _MODULES for table in module.TABLES)
"""The headers that have a table of fields."""

MAX_LAYERS: Final = 64
"""Most headers that are taken apart: far more than a real packet has, and few enough for a hostile one."""


def dissect(
    octets: bytes, linktype: int, *, wirelen: int | None = None, gue_ports: frozenset[int] = GUE_PORTS
) -> Dissection:
    """Take a frame apart, as far as it can be read; never raises for what is in it.

    `wirelen` is how long the frame was on the wire, as long as `octets` if not given. Units: octets.
    """
    wire = len(octets) if wirelen is None else wirelen
    out = Dissection(linktype, octets, wire)
    walk = Walk(out, gue_ports)
    frame = walk.open("frame", 0)
    walk.put(frame, _LEN, wire, 0, 0)
    walk.put(frame, _CAP_LEN, len(octets), 0, 0)
    if linktype not in LINKTYPES:
        walk.defect(layout.DEFECT_LINKTYPE, layout.LAYER_LINK, 0, 0, layout.BY_CAPTURE)
        return out
    first, encapsulation = LINKTYPES[linktype]
    walk.put(frame, _ENCAP, encapsulation, 0, 0)
    follow: Next = first, 0
    while follow is not None and len(out.layers) < MAX_LAYERS:
        parser, at = follow
        follow = _PARSERS[parser](walk, at)
    if follow is not None:
        walk.defect(layout.DEFECT_TOO_DEEP, layout.LAYER_FRAME, MAX_LAYERS + 1, MAX_LAYERS, layout.BY_HEADER)
    return out
