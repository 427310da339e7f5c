"""The record: one fixed-size row per packet, the common currency of everything above `wire`.

The compiled scan writes rows of `RECORD`; numpy views them as columns at no cost. Multi-octet values are
native integers (already converted from the wire), IPv6 addresses two 64-bit halves, IPv4 addresses mapped
(``::ffff:a.b.c.d``: hi 0, lo 0xffff_0000_0000 | address), MACs the low 48 bits of an unsigned 64-bit integer.

Up to `LEVELS` IP headers are kept in wire order: level 0 is the outermost, level ``depth - 1`` the innermost.
Fields of a level that is not there are 0; ask `depth`, `present` bits and `ver` first (mask first, read second).
"""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np

LEVELS: Final = 4

# --- values of small enumerations -----------------------------------------------------------------

# `has`: which parts of a frame were there to read (bits)
HAS_ETH_SRC: Final = 1  # a source MAC (Ethernet, SLL, SLL2)
HAS_ETH_DST: Final = 2  # a destination MAC (Ethernet only: cooked captures drop it)
HAS_IP: Final = 4  # at least one whole IPv4 or IPv6 header
HAS_L4: Final = 8  # the innermost packet's TCP, UDP or ICMP header (first fragment, not cut)
HAS_RES: Final = 16  # an ARP packet for IPv4 or a neighbour discovery message (res_* fields)
HAS_QUOTE: Final = 32  # an ICMP error with a readable quoted IP header (q_* fields)
HAS_ALL_PAYLOAD: Final = 64  # every payload octet of the innermost packet was captured (fp is complete)
HAS_QUOTE_INNER: Final = 128  # the quoted packet is itself a tunnel packet whose inner IP header is readable

# `defect`: why decoding stopped early (what was readable before it is kept)
DEFECT_NONE: Final = 0
DEFECT_TRUNCATED: Final = 1  # the capture was cut (snaplen) inside a header
DEFECT_LENGTH: Final = 2  # a length field claims more than there is, or less than its header
DEFECT_VERSION: Final = 3  # an IP version nibble or header length that cannot be
DEFECT_TOO_DEEP: Final = 4  # more than LEVELS IP headers
DEFECT_LINKTYPE: Final = 5  # a link type that is not decoded
DEFECT_RECORD: Final = 6  # the capture file's own record is damaged

# `defect_layer` and `defect_by` (who claimed the length)
LAYER_FRAME: Final = 0
LAYER_LINK: Final = 1
LAYER_ARP: Final = 2
LAYER_IP: Final = 3
LAYER_IPV6_EXT: Final = 4
LAYER_TCP: Final = 5
LAYER_UDP: Final = 6
LAYER_ICMP: Final = 7
LAYER_GRE: Final = 8
LAYER_GUE: Final = 9
BY_CAPTURE: Final = 0  # the octets captured
BY_IP_LEN: Final = 1  # ip.len / ipv6.plen
BY_UDP_LEN: Final = 2
BY_HEADER: Final = 3  # ihl, data offset, an extension header's or GUE's own length

# checksum states (`sum_state` per level, `l4_state`, `tun_state`)
SUM_NONE: Final = 0  # no such checksum in this packet (IPv6 header, no L4, GRE without C)
SUM_VALID: Final = 1
SUM_PARTIAL: Final = 2  # equals the folded, uncomplemented pseudo-header sum: offload has still to fill it in
SUM_ZERO: Final = 3  # 0 on the wire where 0 is not a valid sum (offload); for UDP/IPv4 see ABSENT
SUM_ABSENT: Final = 4  # UDP over IPv4 with checksum 0: allowed, nothing to verify (RFC 768)
SUM_INVALID: Final = 5
SUM_UNVERIFIABLE: Final = 6  # cut by snaplen, or a fragment

# how a level was carried by the one before it (`encap` of that level; 0 for level 0)
ENCAP_NONE: Final = 0
ENCAP_IPIP: Final = 1  # protocol 4 or 41 directly: ipip, 6in6, 4in6, 6in4 by the two versions
ENCAP_GRE: Final = 2
ENCAP_GUE: Final = 3  # UDP with a GUE header, version 0 (variant 0)
ENCAP_GUE1: Final = 4  # UDP with the IP header directly behind it (variant 1)
ENCAP_VXLAN: Final = 5
ENCAP_GENEVE: Final = 6

_U8, _I8, _U4, _U2, _U1 = np.uint64, np.int64, np.uint32, np.uint16, np.uint8
_L = (LEVELS,)

RECORD: Final = np.dtype(
    [
        # 8-octet fields
        ("ts_ns", _I8),  # nanoseconds since the epoch
        ("offset", _I8),  # of the packet's first octet in the (decompressed) file
        ("eth_src", _U8),
        ("eth_dst", _U8),
        ("fp", _U8),  # fingerprint of the innermost payload as captured (with its length in the mix)
        ("opt_fp", _U8),  # fingerprint of the TCP options, 0 where there are none
        # ARP for IPv4, and neighbour discovery, in one shape: who says which IP is at which MAC
        ("res_sha", _U8),  # arp sender MAC; ND: the link-layer option's MAC (0 without one)
        ("res_tha", _U8),  # arp target MAC
        ("res_spa_hi", _U8),  # arp sender IP; NS: the IP source; NA: the target (the address that is announced)
        ("res_spa_lo", _U8),
        ("res_tpa_hi", _U8),  # arp target IP; NS: the target; NA: the IP destination
        ("res_tpa_lo", _U8),
        # the packet quoted in an ICMP error: its first header, and the inner one if it is a tunnel packet
        ("q_src_hi", _U8),
        ("q_src_lo", _U8),
        ("q_dst_hi", _U8),
        ("q_dst_lo", _U8),
        ("qi_src_hi", _U8),
        ("qi_src_lo", _U8),
        ("qi_dst_hi", _U8),
        ("qi_dst_lo", _U8),
        # IP headers, wire order
        ("src_hi", _U8, _L),
        ("src_lo", _U8, _L),
        ("dst_hi", _U8, _L),
        ("dst_lo", _U8, _L),
        # 4-octet fields
        ("caplen", _U4),
        ("wirelen", _U4),
        ("iface", _U4),  # pcapng interface number, counted over the whole file
        ("ifindex", _U4),  # SLL2 interface index
        ("seq", _U4),  # tcp.seq; ICMP: the 4 octets behind the checksum (echo id and sequence, next-hop MTU)
        ("ack", _U4),
        ("payload_len", _U4),  # innermost L4 payload by the headers' lengths
        ("tun_word", _U4),  # first 4 octets of the GRE or GUE header next to the innermost packet
        ("tun_key", _U4),  # GRE key, VXLAN/Geneve VNI
        ("q_seq", _U4),  # quoted tcp.seq (innermost quoted packet)
        ("defect_need", _U4),  # octets needed
        ("defect_have", _U4),  # octets present
        ("tsval", _U4),  # TCP timestamp option
        ("tsecr", _U4),
        ("ip_id", _U4, _L),  # IPv4 identification; IPv6: the fragment header's
        ("ip_len", _U4, _L),  # ip.len; IPv6: ipv6.plen
        ("flow", _U4, _L),  # IPv6 flow label
        # 2-octet fields
        ("linktype", _U2),
        ("eth_type", _U2),  # in the Ethernet header itself: a tag's, or a length (802.3)
        ("ethertype", _U2),  # behind the tags
        ("vlan0", _U2),  # outermost tag's TCI, as on the wire
        ("vlan1", _U2),
        ("l3_at", _U2),  # octets from the frame's start to the first IP header
        ("in_at", _U2),  # to the innermost IP header
        ("l4_at", _U2),  # to the innermost transport header
        ("payload_at", _U2),  # to the innermost payload
        ("sport", _U2),
        ("dport", _U2),
        ("tcp_flags", _U2),  # 12 bits as in Wireshark's tcp.flags
        ("window", _U2),
        ("urgent", _U2),
        ("mss", _U2),  # TCP MSS option, 0 where absent
        ("l4_sum", _U2),
        ("udp_len", _U2),
        ("tun_sport", _U2),  # UDP ports of the tunnel next to the innermost packet
        ("tun_dport", _U2),
        ("tun_sum", _U2),  # its UDP or GRE checksum
        ("q_id", _U2),
        ("q_len", _U2),
        ("qi_id", _U2),
        ("qi_len", _U2),
        ("q_sport", _U2),  # ports of the innermost quoted packet
        ("q_dport", _U2),
        ("frag", _U2, _L),  # IPv4: flags and offset as on the wire; IPv6: offset (8-octet units) | 0x2000 for M
        ("ip_sum", _U2, _L),  # IPv4 header checksum as on the wire
        ("hdr_len", _U2, _L),  # IP header with options or extension headers, octets
        # 1-octet fields
        ("has", _U1),
        ("pkttype", _U1),  # SLL/SLL2: 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 sent by us
        ("nvlan", _U1),
        ("nstag", _U1),  # how many of them, the outermost, are service tags (802.1ad)
        ("depth", _U1),  # number of IP headers
        ("proto", _U1),  # innermost transport protocol, behind extension headers
        ("l4_state", _U1),
        ("tun_state", _U1),
        ("tun_hlen", _U1),  # octets between the outer IP (or UDP) header and the innermost packet
        ("wscale", _U1),  # TCP window scale + 1, 0 where absent
        ("icmp_type", _U1),
        ("icmp_code", _U1),
        ("res_op", _U1),  # ARP operation 1, 2, ...; ND: the ICMPv6 type 133..137
        ("res_flags", _U1),  # NA: R=4, S=2, O=1
        ("q_ver", _U1),
        ("q_tos", _U1),
        ("q_ttl", _U1),
        ("q_proto", _U1),
        ("qi_ver", _U1),
        ("qi_tos", _U1),
        ("qi_ttl", _U1),
        ("qi_proto", _U1),
        ("defect", _U1),
        ("defect_layer", _U1),
        ("defect_by", _U1),
        ("ver", _U1, _L),  # 4, 6, or 0 where the level is absent
        ("tos", _U1, _L),  # DS field and ECN, one octet; IPv6: traffic class
        ("ttl", _U1, _L),  # TTL or hop limit
        ("nxt", _U1, _L),  # protocol behind this header (and its extension headers)
        ("nh", _U1, _L),  # protocol that the header itself names (IPv6: perhaps an extension header)
        ("sum_state", _U1, _L),
        ("encap", _U1, _L),
        ("commented", _U1),  # comments of the packet in a pcapng file
        ("pad_", _U1, (6,)),  # keeps a row a multiple of 8 octets
    ]
)
"""Dtype of a packet's row. Source: RFC 791 s3.1, 8200 s3, 9293 s3.1, 768, 792, 4443, 826, 4861, 2784, 2890,
draft-ietf-intarea-gue s3; link types of www.tcpdump.org."""


def place(name: str, kind: np.dtype[Any] = RECORD) -> int:
    """Index of a field, for one who reads rows as an array of numbers as wide as that field."""
    dtype, offset = cast(Any, kind.fields)[name][:2]
    return int(offset // dtype.base.itemsize)
