"""IP packets as hosts send them, built by scapy: TCP segments, UDP datagrams, ICMP messages and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.packet import Packet, Raw

from dsrkit.craft.packets.octets import address_text, version_of

TcpOption = tuple[str | int, Any]

QUOTED_V4: Final = 576
"""An ICMP error is at most this long: net/ipv4/icmp.c icmp_send, RFC 1812 s4.3.2.3."""
QUOTED_V6: Final = 1280
"""RFC 4443 s2.4 (c)."""
NEXT_HEADER: Final = 6
"""The octet that a parameter problem is about: the one header that nobody wants is named there."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a host writes into the IP header of a packet of its own.

    Units: `tos` is the whole octet, DSCP and ECN.
    """

    src: bytes
    dst: bytes
    ttl: int = 64
    tos: int = 0
    ident: int = 0
    df: bool = True
    flow_label: int = 0

    @property
    def version(self) -> int:
        return version_of(self.src)

    def packet(self) -> Packet:
        src, dst = address_text(self.src), address_text(self.dst)
        if self.version == 4:
            flags = "DF" if self.df else 0
            return IP(src=src, dst=dst, ttl=self.ttl, tos=self.tos, id=self.ident, flags=flags)
        return IPv6(src=src, dst=dst, hlim=self.ttl, tc=self.tos, fl=self.flow_label)


def _octets(packet: Packet) -> bytes:
    return bytes(packet)


def tcp(
    header: Header,
    ports: tuple[int, int],
    *,
    seq: int,
    ack: int = 0,
    flags: int | str,
    window: int = 0,
    options: Sequence[TcpOption] = (),
    payload: bytes = b"",
) -> bytes:
    """A TCP segment in its IP packet; `flags` as a number or by their letters. Source: RFC 9293 s3.1."""
    layer = TCP(sport=ports[0], dport=ports[1], seq=seq, ack=ack, flags=flags, window=window, options=list(options))
    return _octets(header.packet() / layer / Raw(payload) if payload else header.packet() / layer)


def udp(header: Header, ports: tuple[int, int], payload: bytes, *, checksum: bool = True) -> bytes:
    """A UDP datagram in its IP packet. Source: RFC 768."""
    layer = UDP(sport=ports[0], dport=ports[1])
    if not checksum:
        layer.chksum = 0
    return _octets(header.packet() / layer / Raw(payload))


def echo(header: Header, ident: int, seq: int, payload: bytes, *, reply: bool = False) -> bytes:
    """An ICMP or ICMPv6 echo request or reply. Source: RFC 792; RFC 4443 s4."""
    if header.version == 4:
        layer: Packet = ICMP(type=0 if reply else 8, id=ident, seq=seq)
    else:
        layer = (ICMPv6EchoReply if reply else ICMPv6EchoRequest)(id=ident, seq=seq)
    return _octets(header.packet() / layer / Raw(payload))


def icmp_error(header: Header, kind: int, code: int, quoted: bytes, *, mtu: int = 0) -> bytes:
    """An ICMP error about a packet, as much of it quoted as Linux does.

    For IPv6 `kind` and `code` are ICMPv6's. Source: RFC 792; RFC 1191 s4; RFC 4443 s3; net/ipv4/icmp.c icmp_send.
    """
    if header.version == 4:
        layer: Packet = ICMP(type=kind, code=code)
        if kind == 3 and code == 4:
            layer.nexthopmtu = mtu
        quoted = quoted[: QUOTED_V4 - 28]
    else:
        layers = {1: ICMPv6DestUnreach, 2: ICMPv6PacketTooBig, 3: ICMPv6TimeExceeded, 4: ICMPv6ParamProblem}
        layer = layers[kind](code=code)
        if kind == 2:
            layer.mtu = mtu
        elif kind == 4:
            layer.ptr = NEXT_HEADER
        quoted = quoted[: QUOTED_V6 - 48]
    return _octets(header.packet() / layer / Raw(quoted))


def redirect(header: Header, gateway: bytes, quoted: bytes) -> bytes:
    """An ICMP redirect for a host: the next hop for the quoted packet's destination is `gateway`.

    Source: RFC 792; RFC 1812 s5.2.7.2; net/ipv4/route.c ip_rt_send_redirect.
    """
    layer = ICMP(type=5, code=1, gw=address_text(gateway))
    return _octets(header.packet() / layer / Raw(quoted[: QUOTED_V4 - 28]))
