"""What the builders share: addresses and numbers as octets, and the headers of the link and the network layer."""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final

from dsrkit.craft.packets.octets import UDP, sum16
from dsrkit.errors import UsageError

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
ZERO_MAC: Final = "00:00:00:00:00:00"

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_VLAN: Final = 0x8100
ETHERTYPE_IPV6: Final = 0x86DD

_MAC = re.compile(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")


def mac(text: str) -> bytes:
    """The six octets of a MAC address.

    Raises: UsageError.
    """
    if not _MAC.fullmatch(text):
        raise UsageError(f"{text!r} is not a MAC address (write 02:00:00:00:00:01)")
    return bytes.fromhex(text.replace(":", ""))


def ip(text: str, version: int | None = None) -> bytes:
    """The octets of an IPv4 or IPv6 address, or of the one kind that `version` names.

    Raises: UsageError.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r} is not an IP address") from None
    if version not in (None, address.version):
        raise UsageError(f"{text} is an IPv{address.version} address, and IPv{version} is needed here")
    return address.packed


def ip_version(text: str) -> int:
    """4 or 6.

    Raises: UsageError.
    """
    return 4 if len(ip(text)) == 4 else 6


def within(what: str, value: int, low: int, high: int) -> int:
    """`value`, if it is within the bounds.

    Raises: UsageError.
    """
    if not low <= value <= high:
        raise UsageError(f"{what} is {value}, not within {low} to {high}")
    return value


def internet_checksum(octets: bytes) -> int:
    """The complement of the ones-complement sum of 16-bit words. Source: RFC 1071 s1."""
    return sum16(octets) ^ 0xFFFF


def pseudo_header(src: bytes, dst: bytes, length: int, proto: int) -> bytes:
    """What a checksum of the layer above covers of the IP header. Source: RFC 9293 s3.1; RFC 8200 s8.1."""
    tail = struct.pack("!xBH", proto, length) if len(src) == 4 else struct.pack("!I3xB", length, proto)
    return src + dst + tail


def ethernet(dst: str, src: str, ethertype: int, payload: bytes, *, vlan: int | None = None) -> bytes:
    """A frame without padding and frame check sequence; `vlan` puts an 802.1Q tag after the addresses.

    Source: IEEE 802.3 s3.1.1; IEEE 802.1Q s9.6. Raises: UsageError.
    """
    tag = b"" if vlan is None else struct.pack("!HH", ETHERTYPE_VLAN, within("VLAN id", vlan, 0, 4094))
    return mac(dst) + mac(src) + tag + struct.pack("!H", ethertype) + payload


def ipv4_header(
    source: bytes,
    destination: bytes,
    proto: int,
    payload: int,
    *,
    ttl: int,
    tos: int = 0,
    identification: int = 0,
    df: int = 0,
) -> bytes:
    """An IPv4 header without options in front of `payload` octets.

    Source: RFC 791 s3.1.
    """
    fields = (0x45, tos, 20 + payload, identification, df << 14, ttl, proto)
    header = struct.pack("!BBHHHBBH4s4s", *fields, 0, source, destination)
    return struct.pack("!BBHHHBBH4s4s", *fields, internet_checksum(header), source, destination)


def ipv6_header(
    source: bytes, destination: bytes, proto: int, payload: int, *, ttl: int, tos: int = 0, flow: int = 0
) -> bytes:
    """An IPv6 header in front of `payload` octets.

    Source: RFC 8200 s3.
    """
    return struct.pack("!IHBB16s16s", 6 << 28 | tos << 20 | flow, payload, proto, ttl, source, destination)


def udp_header(source_port: int, destination_port: int, payload: int, sum_of_it: int = 0) -> bytes:
    """A UDP header in front of `payload` octets; checksum 0 says that there is none (RFC 768)."""
    return struct.pack("!HHHH", source_port, destination_port, 8 + payload, sum_of_it)


def udp_checksum(pseudo: bytes, datagram: bytes) -> int:
    """The checksum of a UDP datagram whose checksum field is 0; a sum of 0 is written as all ones (RFC 768)."""
    return internet_checksum(pseudo + datagram) or 0xFFFF


def udp_pseudo_header(source: bytes, destination: bytes, datagram: bytes) -> bytes:
    return pseudo_header(source, destination, len(datagram), UDP)


def ether_type_of(packet: bytes) -> int:
    """The Ethernet type of an IP packet."""
    return ETHERTYPE_IPV4 if packet[0] >> 4 == 4 else ETHERTYPE_IPV6


def ipv4(src: str, dst: str, proto: int, payload: bytes, *, ttl: int = 64, tos: int = 0, ident: int = 0) -> bytes:
    """An IPv4 packet without options, DF clear. Source: RFC 791 s3.1. Raises: UsageError."""
    within("IPv4 length", 20 + len(payload), 20, 0xFFFF)
    header = ipv4_header(
        ip(src, 4),
        ip(dst, 4),
        proto,
        len(payload),
        ttl=within("TTL", ttl, 0, 0xFF),
        tos=within("TOS", tos, 0, 0xFF),
        identification=within("IP id", ident, 0, 0xFFFF),
    )
    return header + payload


def ipv6(src: str, dst: str, proto: int, payload: bytes, *, hop_limit: int = 64, traffic_class: int = 0) -> bytes:
    """An IPv6 packet without extension headers, flow label 0. Source: RFC 8200 s3. Raises: UsageError."""
    header = ipv6_header(
        ip(src, 6),
        ip(dst, 6),
        proto,
        within("IPv6 payload length", len(payload), 0, 0xFFFF),
        ttl=within("hop limit", hop_limit, 0, 0xFF),
        tos=within("traffic class", traffic_class, 0, 0xFF),
    )
    return header + payload
