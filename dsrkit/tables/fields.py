"""The judged fields: every header field for which a table may hold a cell, and which must else come out unchanged.

`ip.*` means the innermost IP header, IPv4 or IPv6 alike (``ip.ttl`` is the hop limit there, ``ip.len`` the length of
the whole packet, 40 octets more than ipv6.plen); `outer.*` and `tunnel.*` are the header around it. Where Wireshark has
a name for both TCP and UDP, ours starts with ``l4``.
"""

from __future__ import annotations

from typing import Final

LINK: Final = ("eth.src", "eth.dst", "vlan.id")
NETWORK: Final = (
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.dsfield.dscp",
    "ip.dsfield.ecn",
    "ip.id",
    "ip.flags.df",
    "ip.frag_offset",
    "ip.len",
    "ip.hdr_len",
    "ip.proto",
    "ip.checksum",
    "ipv6.flow",
)
TRANSPORT: Final = (
    "l4.srcport",
    "l4.dstport",
    "l4.checksum",
    "tcp.seq",
    "tcp.ack",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.urgent_pointer",
    "tcp.options",
    "icmp.type",
    "l4.payload",
)
OUTER: Final = (
    "outer.src",
    "outer.dst",
    "outer.ttl",
    "outer.dsfield.dscp",
    "outer.dsfield.ecn",
    "outer.id",
    "outer.flags.df",
    "outer.len",  # octets behind the outer IP, UDP and tunnel headers: the inner packet's length
    "outer.checksum",
    "tunnel.type",
    "tunnel.srcport",
    "tunnel.dstport",
    "tunnel.header",  # GRE flags and protocol, or the GUE header's first word
    "tunnel.checksum",
)
FIELDS: Final = LINK + NETWORK + TRANSPORT + OUTER

WIRESHARK: Final = {
    "l4.srcport": ("tcp.srcport", "udp.srcport"),
    "l4.dstport": ("tcp.dstport", "udp.dstport"),
    "l4.checksum": ("tcp.checksum", "udp.checksum"),
    "tcp.seq": ("tcp.seq_raw",),
    "tcp.ack": ("tcp.ack_raw",),
    "vlan.id": ("vlan.id",),
}
"""Display-filter names where they differ from ours."""
