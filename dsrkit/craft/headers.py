"""Headers that a node puts in front of a packet, from their fields to octets."""

from __future__ import annotations

import struct

from dsrkit.craft.octets import ICMP, ICMPV6, IPV4, IPV6, UDP, Octets
from dsrkit.craft.packets.headers import internet_checksum, pseudo_header

ECT_0, CE = 2, 3


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


def too_big(
    frame: Octets, mtu: int, *, quoted: int, tos: int = 0, flow: int = 0, identification: int = 0, df: int = 0
) -> bytes:
    """The ICMP error about a frame, turned round from its own addresses, as programs below the IP stack send it.

    Units: `quoted` in octets of the IP packet.

    Source: RFC 1191 s4; RFC 4443 s3.2.
    """
    link, packet = bytes(frame.data[: frame.link_end]), frame.ip_packet
    four = packet[0] >> 4 == 4
    width, start = (4, 12) if four else (16, 8)
    destination, source = (packet[at : at + width] for at in (start, start + width))
    kind = b"\x03\x04" if four else b"\x02\x00"
    rest = mtu.to_bytes(4, "big") + packet[:quoted]
    size = 4 + len(rest)
    if four:
        header = ipv4_header(source, destination, ICMP, size, ttl=64, tos=tos, identification=identification, df=df)
        pseudo = b""
    else:
        header = ipv6_header(source, destination, ICMPV6, size, ttl=64, tos=tos, flow=flow)
        pseudo = pseudo_header(source, destination, size, ICMPV6)
    total = internet_checksum(pseudo + kind + b"\0\0" + rest)
    return link[6:12] + link[:6] + link[12:] + header + kind + total.to_bytes(2, "big") + rest


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
    return IPV4 if packet[0] >> 4 == 4 else IPV6
