"""Numbers of protocols: what follows an Ethernet type or an IP protocol number, and what they are called.

Source: IANA protocol numbers, IEEE 802 numbers.
"""

from __future__ import annotations

from typing import Final

from dsrkit.wire.dissect.walk import Next, Walk

ETHERTYPES: Final = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x6558: "transparent Ethernet bridging",
    0x8035: "RARP",
    0x8100: "802.1Q",
    0x86DD: "IPv6",
    0x8847: "MPLS",
    0x8848: "MPLS multicast",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE session",
    0x88A8: "802.1ad",
    0x88BE: "ERSPAN",
    0x22EB: "ERSPAN III",
    0x9100: "802.1QinQ",
}
_BY_ETHERTYPE: Final = {
    0x0800: "ip",
    0x0806: "arp",
    0x8035: "arp",
    0x86DD: "ipv6",
    0x8100: "vlan",
    0x88A8: "ieee8021ad",
    0x9100: "vlan",
    0x9200: "vlan",
    0x6558: "eth",
    0x8847: "mpls",
    0x8848: "mpls",
    0x8863: "pppoed",
    0x8864: "pppoes",
}
PROTOCOLS: Final = {
    0: "hop-by-hop options",
    1: "ICMP",
    2: "IGMP",
    4: "IPv4",
    6: "TCP",
    17: "UDP",
    41: "IPv6",
    43: "routing header",
    44: "fragment header",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "ICMPv6",
    59: "no next header",
    60: "destination options",
    89: "OSPF",
    112: "VRRP",
    132: "SCTP",
    143: "Ethernet",
}
_BY_PROTOCOL: Final = {
    1: "icmp",
    2: "igmp",
    4: "ip",
    6: "tcp",
    17: "udp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmpv6",
    112: "vrrp",
    132: "sctp",
    143: "eth",
}


def ethertype_text(value: int) -> str:
    """An Ethernet type with its name: ``0x0800 (IPv4)``."""
    name = ETHERTYPES.get(value, "")
    return f"0x{value:04x}" + (f" ({name})" if name else "")


def known(ethertype: int) -> bool:
    """Whether there is a parser for an Ethernet type."""
    return ethertype in _BY_ETHERTYPE


def typed(walk: Walk, ethertype: int, at: int) -> Next:
    """What an Ethernet type says follows; a payload where that is unknown."""
    parser = _BY_ETHERTYPE.get(ethertype)
    if parser is None:
        walk.payload(at)
        return None
    return parser, at


def follows(walk: Walk, protocol: int, at: int) -> Next:
    """What an IP protocol number says follows; a payload in a later fragment, and where it is unknown."""
    parser = _BY_PROTOCOL.get(protocol)
    if parser is None or walk.later:
        walk.payload(at)
        return None
    return parser, at
