"""Where a connection shows in the octets of a frame: typed spots, and the checksums that cover them.

`spots_of` walks every header of a frame, those inside tunnels and those quoted by ICMP errors too. A quoted packet is
cut short and a crafted one may be broken, so the walk goes as far as the octets do and never raises.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Final, TypeAlias

from dsrkit.craft.packets.octets import (
    ETHERNET,
    EXTENSIONS,
    GENEVE_PORT,
    GRE,
    GUE_PORTS,
    ICMP,
    ICMPV6,
    IPIP,
    IPV4,
    IPV6,
    IPV6_IN_IP,
    TCP,
    UDP,
    VLAN_TYPES,
)

End: TypeAlias = tuple[bytes, int]
"""An address and a port; port 0 where a header has none."""

PROXY_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
PROXY_V1: Final = re.compile(rb"PROXY TCP[46] \S+ \S+ (\d+) \d+\r\n")
_CRC32C_TLV: Final = 3
_TOA_OPTIONS: Final = (253, 254)
_TRANSPARENT_ETHERNET: Final = 0x6558
_ECHO: Final = {ICMP: (8, 0), ICMPV6: (128, 129)}  # request, reply
_ERRORS: Final = {ICMP: (3, 4, 5, 11, 12), ICMPV6: (1, 2, 3, 4)}
_FRAGMENT: Final = 44


class Kind(Enum):
    """What a spot holds; the values of counters name them."""

    ADDRESS = "address"
    PORT = "port"  # the identifier of an ICMP echo too
    TUNNEL_PORT = "tunnel port"
    ADDRESS_TEXT = "address text"
    PORT_TEXT = "port text"
    ID = "id"  # IPv4 identification
    FRAGMENT_ID = "fragment"  # IPv6 fragment header
    FLOW_LABEL = "label"
    SEQUENCE = "seq"  # sequence numbers, acknowledgments, SACK edges
    TIMESTAMP = "ts"


@dataclass(frozen=True, slots=True)
class Spot:
    """Some octets of a frame: `owner` is whose value it is (an acknowledgment is the receiver's), `peer` the other."""

    at: int
    width: int
    kind: Kind
    owner: End
    peer: End = (b"", 0)


@dataclass(frozen=True, slots=True)
class Checksum:
    """An Internet checksum and the ranges of octets it covers, or (`crc`) a CRC32C over one range.

    `optional`: zero means that there is none, so that a sum of zero is written as 0xffff (RFC 768).
    """

    at: int
    ranges: tuple[tuple[int, int], ...]
    optional: bool = False
    crc: bool = False


def spots_of(
    frame: bytes, client: bytes, *, tunnel_ports: Collection[int] = GUE_PORTS
) -> tuple[tuple[Spot, ...], tuple[Checksum, ...]]:
    """The spots of an Ethernet frame, and its checksums from the innermost outwards.

    `client` is the address to look for where payloads name it as text.
    """
    walk = _Walk(frame, _token(client), client, tunnel_ports)
    walk.ethernet(0, len(frame))
    return tuple(walk.spots), tuple(sorted(walk.checksums, key=lambda checksum: -checksum.at))


def _token(address: bytes) -> re.Pattern[bytes]:
    """An address as a word of its own, not a part of a longer one."""
    letters = rb"[0-9]|\.[0-9]" if len(address) == 4 else rb"[0-9A-Fa-f:.]"
    before = rb"[0-9.]" if len(address) == 4 else rb"[0-9A-Fa-f:.]"
    return re.compile(rb"(?<!%s)%s(?!%s)" % (before, re.escape(str(ip_address(address)).encode()), letters))


@dataclass(slots=True)
class _Walk:
    data: bytes
    token: re.Pattern[bytes]
    client: bytes
    tunnel_ports: Collection[int]
    spots: list[Spot] = field(default_factory=list)
    checksums: list[Checksum] = field(default_factory=list)

    def word(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 2], "big")

    def spot(self, at: int, width: int, end: int, kind: Kind, owner: End, peer: End = (b"", 0)) -> None:
        if at + width <= end:
            self.spots.append(Spot(at, width, kind, owner, peer))

    def checksum(self, at: int, *ranges: tuple[int, int], end: int, optional: bool = False) -> None:
        if at + 2 <= end and not (optional and self.word(at) == 0):
            self.checksums.append(Checksum(at, ranges, optional))

    def ethernet(self, at: int, end: int) -> None:
        at += ETHERNET - 2
        while self.word(at) in VLAN_TYPES:
            at += 4
        if self.word(at) in (IPV4, IPV6):
            self.network(at + 2, end)

    def network(self, at: int, end: int) -> None:
        if at + 20 > end:
            return
        if self.data[at] >> 4 == 4:
            self.ipv4(at, min(end, at + self.word(at + 2)))
        elif self.data[at] >> 4 == 6 and at + 40 <= end:
            self.ipv6(at, min(end, at + 40 + self.word(at + 4)))

    def addresses(self, at: int, width: int, end: int) -> tuple[End, End]:
        source, target = ((self.data[place : place + width], 0) for place in (at, at + width))
        self.spot(at, width, end, Kind.ADDRESS, source)
        self.spot(at + width, width, end, Kind.ADDRESS, target)
        return source, target

    def ipv4(self, at: int, end: int) -> None:
        payload = at + 4 * (self.data[at] & 15)
        source, target = self.addresses(at + 12, 4, end)
        self.spot(at + 4, 2, end, Kind.ID, source, target)
        self.checksum(at + 10, (at, payload), end=end)
        if self.word(at + 6) & 0x1FFF == 0:
            self.payload(self.data[at + 9], payload, end, source[0], target[0], (at + 12, at + 20))

    def ipv6(self, at: int, end: int) -> None:
        source, target = self.addresses(at + 8, 16, end)
        self.spot(at, 4, end, Kind.FLOW_LABEL, source, target)
        proto, payload = self.data[at + 6], at + 40
        while proto in EXTENSIONS and payload + 8 <= end:
            here, proto = proto, self.data[payload]
            if here == _FRAGMENT:
                self.spot(payload + 4, 4, end, Kind.FRAGMENT_ID, source, target)
                if self.word(payload + 2) & 0xFFF8:
                    return
            payload += 8 if here == _FRAGMENT else 8 * (self.data[payload + 1] + 1)
        self.payload(proto, payload, end, source[0], target[0], (at + 8, at + 40))

    def payload(self, proto: int, at: int, end: int, source: bytes, target: bytes, pseudo: tuple[int, int]) -> None:
        if proto in (IPIP, IPV6_IN_IP):
            self.network(at, end)
        elif proto == GRE:
            self.gre(at, end)
        elif proto == TCP:
            self.tcp(at, end, source, target, pseudo)
        elif proto == UDP:
            self.udp(at, end, source, target, pseudo)
        elif proto in (ICMP, ICMPV6):
            self.icmp(proto, at, end, source, target, pseudo)

    def gre(self, at: int, end: int) -> None:
        """RFC 2784 s2, RFC 2890 s2: checksum, key and sequence number are there by a flag each."""
        flags, inner = self.word(at), at + 4
        inner += 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
        if flags & 0x8000:
            self.checksum(at + 4, (at, end), end=end)
        if self.word(at + 2) == _TRANSPARENT_ETHERNET:
            self.ethernet(inner, end)
        elif self.word(at + 2) in (IPV4, IPV6):
            self.network(inner, end)

    def icmp(self, proto: int, at: int, end: int, source: bytes, target: bytes, pseudo: tuple[int, int]) -> None:
        """RFC 792, RFC 4443: only the checksum of version 6 covers the addresses."""
        if at + 8 > end:
            return
        self.checksum(at + 2, *([pseudo] if proto == ICMPV6 else []), (at, end), end=end)
        kind, number = self.data[at], self.word(at + 4)
        if kind in _ECHO[proto]:
            asker = source if kind == _ECHO[proto][0] else target
            self.spot(at + 4, 2, end, Kind.PORT, (asker, number))
        elif kind in _ERRORS[proto]:
            self.network(at + 8, end)

    def udp(self, at: int, end: int, source: bytes, target: bytes, pseudo: tuple[int, int]) -> None:
        ports = self.word(at), self.word(at + 2)
        end = min(end, at + self.word(at + 4))
        self.checksum(at + 6, pseudo, (at, end), end=end, optional=True)
        inner = self.inside_udp(at + 8, end, ports[1])
        sender: End = (source, ports[0])
        self.spot(at, 2, end, Kind.TUNNEL_PORT if inner else Kind.PORT, sender)
        self.spot(at + 2, 2, end, Kind.PORT, (target, ports[1]))
        if inner:
            self.network(inner, end)
        else:
            self.application(at + 8, end)

    def inside_udp(self, at: int, end: int, port: int) -> int:
        """Where the packet in a UDP tunnel starts, 0 where there is none.

        Source: RFC 8926 s3.4 (Geneve); draft-ietf-intarea-gue s3.1 (variant 0) and s4 (variant 1).
        """
        if at + 20 > end:
            return 0
        first = self.data[at]
        if port == GENEVE_PORT and self.word(at + 2) == _TRANSPARENT_ETHERNET:
            return at + 8 + 4 * (first & 0x3F) + ETHERNET
        if port in self.tunnel_ports:
            return at + 4 + 4 * (first & 0x1F) if first >> 6 == 0 else at
        return 0

    def tcp(self, at: int, end: int, source: bytes, target: bytes, pseudo: tuple[int, int]) -> None:
        sender: End = (source, self.word(at))
        receiver: End = (target, self.word(at + 2))
        self.spot(at, 2, end, Kind.PORT, sender)
        self.spot(at + 2, 2, end, Kind.PORT, receiver)
        flags = self.word(at + 12) if at + 14 <= end else 0
        acknowledges, reset = bool(flags & 0x10), bool(flags & 0x04)
        if not (reset and self.data[at + 4 : at + 8] == bytes(4)):  # a closed port resets from 0 (RFC 9293 s3.10.7.1)
            self.spot(at + 4, 4, end, Kind.SEQUENCE, sender, receiver)
        if acknowledges:
            self.spot(at + 8, 4, end, Kind.SEQUENCE, receiver, sender)
        if at + 20 > end:
            return
        self.checksum(at + 16, pseudo, (at, end), end=end)
        payload = at + 4 * (flags >> 12)
        self.options(at + 20, min(payload, end), sender, receiver, acknowledges)
        self.application(payload, end)

    def options(self, at: int, end: int, sender: End, receiver: End, acknowledges: bool) -> None:
        """RFC 7323 s3.2 (timestamps), RFC 2018 s3 (SACK), the TOA option of full NAT: the client's port and address."""
        while at < end and self.data[at] != 0:
            kind = self.data[at]
            length = 1 if kind == 1 or at + 1 >= end else max(self.data[at + 1], 2)
            if kind == 8 and length == 10:
                self.spot(at + 2, 4, end, Kind.TIMESTAMP, sender, receiver)
                if acknowledges:
                    self.spot(at + 6, 4, end, Kind.TIMESTAMP, receiver, sender)
            elif kind == 5:
                for edge in range(at + 2, at + length - 3, 4):
                    self.spot(edge, 4, end, Kind.SEQUENCE, receiver, sender)
            elif kind in _TOA_OPTIONS and length in (8, 20):
                client = self.data[at + 4 : at + length]
                self.spot(at + 2, 2, end, Kind.PORT, (client, self.word(at + 2)))
                self.spot(at + 4, length - 4, end, Kind.ADDRESS, (client, 0))
            at += length

    def application(self, at: int, end: int) -> None:
        """The client's address in front of or inside the payload: PROXY headers, X-Forwarded-For and the like."""
        if self.data.startswith(PROXY_V2, at, end):
            self.proxy(at, end)
            return
        for found in self.token.finditer(self.data, at, end):
            self.spot(found.start(), found.end() - found.start(), end, Kind.ADDRESS_TEXT, (self.client, 0))
        if line := PROXY_V1.match(self.data, at, end):
            owner: End = (self.client, int(line[1]))
            self.spot(line.start(1), line.end(1) - line.start(1), end, Kind.PORT_TEXT, owner)

    def proxy(self, at: int, end: int) -> None:
        """The PROXY protocol, version 2: both addresses, both ports, then TLVs; the CRC32C covers the whole header."""
        width = {1: 4, 2: 16}.get(self.data[at + 13] >> 4) if at + 16 <= end else None
        if width is None:
            return
        end = min(end, at + 16 + self.word(at + 14))
        ports = at + 16 + 2 * width
        source, target = self.addresses(at + 16, width, end)
        self.spot(ports, 2, end, Kind.PORT, (source[0], self.word(ports)))
        self.spot(ports + 2, 2, end, Kind.PORT, (target[0], self.word(ports + 2)))
        tlv = ports + 4
        while tlv + 3 <= end:
            if self.data[tlv] == _CRC32C_TLV and tlv + 7 <= end:
                self.checksums.append(Checksum(tlv + 3, ((at, end),), crc=True))
            tlv += 3 + self.word(tlv + 1)
