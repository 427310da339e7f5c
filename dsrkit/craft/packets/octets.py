"""A frame as octets to be rewritten in place: the header fields by the tables' names, checksums kept by difference.

Routers and load balancers do not build packets, they change a few octets and adjust the sums (RFC 1624), so a sum that
was wrong or left to an offload engine stays so by the same difference. Building a packet anew would hide that.

`ip.*` is the innermost IP header and `outer.*` the outermost one where there are two, as in `dsrkit.tables.fields`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeAlias

from dsrkit.errors import UsageError

Value: TypeAlias = int | bytes

ETHERNET: Final = 14
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
VLAN_TYPES: Final = (0x8100, 0x88A8)
ICMP, IPIP, TCP, UDP, IPV6_IN_IP, GRE, ICMPV6, DSTOPTS = 1, 4, 6, 17, 41, 47, 58, 60
EXTENSIONS: Final = (0, 43, 44, 60)
GUE_PORTS: Final = (6080, 9886, 19523)
GENEVE_PORT: Final = 6081
PORTS_AT: Final = {TCP: 16, UDP: 6}  # where the checksum stands


def sum16(data: bytes | bytearray) -> int:
    """The folded ones-complement sum of 16-bit words (RFC 1071), not inverted."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def adjusted(checksum: int, before: bytes, after: bytes) -> int:
    """The checksum after some covered words changed (RFC 1624, equation 3)."""
    total = (~checksum & 0xFFFF) + (~sum16(before) & 0xFFFF) + sum16(after)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True, slots=True)
class IpHeader:
    """An IP header inside a frame: where it starts, where its payload starts and ends, what it carries."""

    at: int
    version: int
    payload: int
    end: int
    proto: int
    first: bool  # the first or only fragment: its payload starts with a transport header
    fragment: int  # offset of the IPv6 fragment header, 0 if there is none
    whole: bool  # not a fragment: what it carries ends where it ends


class Octets:
    """One Ethernet frame and the places of its headers, down to `depth` IP headers: a router looks at the first alone.

    Raises: UsageError for octets that are no Ethernet frame, or whose IP header claims more than there is.
    """

    __slots__ = ("data", "depth", "ether_type", "link_end", "networks", "tags", "transport", "tunnel", "tunnel_ports")

    def __init__(self, frame: bytes | bytearray, *, tunnel_ports: Collection[int] = GUE_PORTS, depth: int = 3) -> None:
        self.data = bytearray(frame)
        self.depth = depth
        self.tunnel_ports = tunnel_ports
        self.parse()

    def copy(self) -> Octets:
        return Octets(self.data, tunnel_ports=self.tunnel_ports, depth=self.depth)

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    # --- places ---------------------------------------------------------------------------------------------------

    def parse(self) -> None:
        """Find the headers again, after the octets were lengthened or cut."""
        if len(self.data) < ETHERNET:
            raise UsageError(f"a frame of {len(self.data)} octets is shorter than an Ethernet header")
        at = 12
        self.tags: list[int] = []
        while (ether_type := self.word(at)) in VLAN_TYPES and at + 6 <= len(self.data):
            self.tags.append(at + 2)
            at += 4
        self.ether_type = ether_type
        self.link_end = at + 2
        self.networks: list[IpHeader] = []
        self.tunnel = 0  # offset of the GRE, UDP or other header between the outer and the inner IP header
        self.transport = 0
        if ether_type in (IPV4, IPV6):
            self._network(self.link_end)

    def _network(self, at: int) -> None:
        network = self._ip(at)
        self.networks.append(network)
        if not network.first:
            return
        self.transport = network.payload
        if len(self.networks) >= self.depth or not network.whole:  # a packet inside goes on in later fragments
            return
        inner = 0
        if network.proto in (IPIP, IPV6_IN_IP):
            inner, self.tunnel = network.payload, network.payload
        elif network.proto == GRE and network.payload + 4 <= network.end:
            flags = self.word(network.payload)
            if self.word(network.payload + 2) in (IPV4, IPV6):
                self.tunnel = network.payload
                inner = network.payload + 4 + 4 * sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000))
        elif network.proto == UDP and network.payload + 9 <= network.end:
            inner = self._in_udp(network.payload)
        if inner and inner + 20 <= network.end:
            self.tunnel = self.tunnel or network.payload
            self._network(inner)

    def _in_udp(self, at: int) -> int:
        """Where the packet inside a UDP tunnel starts, 0 if this is no tunnel."""
        port, first = self.word(at + 2), self.data[at + 8]
        if port == GENEVE_PORT and self.word(at + 10) == 0x6558:
            ether = at + 16 + 4 * (first & 0x3F)
            return ether + ETHERNET if self.word(ether + 12) in (IPV4, IPV6) else 0
        if port not in self.tunnel_ports:
            return 0
        if first >> 6 == 0:  # GUE variant 0 (draft-ietf-intarea-gue s3.1)
            return at + 12 + 4 * (first & 0x1F) if self.data[at + 9] in (IPIP, IPV6_IN_IP) else 0
        return at + 8 if first >> 4 in (4, 6) else 0  # variant 1: the IP header itself (s4)

    def _ip(self, at: int) -> IpHeader:
        data = self.data
        if at + 20 > len(data):
            raise UsageError(f"an IP header at octet {at} does not fit into {len(data)} octets")
        version = data[at] >> 4
        if version == 4:
            payload, end = at + 4 * (data[at] & 15), at + self.word(at + 2)
            if not at + 20 <= payload <= end <= len(data):
                raise UsageError(f"the IPv4 header at octet {at} claims more than the frame holds")
            split = self.word(at + 6) & 0x3FFF
            return IpHeader(at, 4, payload, end, data[at + 9], split & 0x1FFF == 0, 0, split == 0)
        end = at + 40 + self.word(at + 4)
        if version != 6 or end > len(data):
            raise UsageError(f"the IP header at octet {at} is broken or claims more than the frame holds")
        proto, payload, fragment, split = data[at + 6], at + 40, 0, 0
        while proto in EXTENSIONS and payload + 8 <= end:
            if proto == 44:
                fragment, split = payload, self.word(payload + 2) & 0xFFF9
            proto, payload = data[payload], payload + (8 if proto == 44 else 8 * (data[payload + 1] + 1))
        return IpHeader(at, 6, payload, end, proto, split & 0xFFF8 == 0, fragment, split == 0)

    @property
    def inner(self) -> IpHeader | None:
        """The innermost IP header."""
        return self.networks[-1] if self.networks else None

    @property
    def ip(self) -> IpHeader:
        """The innermost IP header of a frame that has one."""
        return self.networks[-1]

    @property
    def outer(self) -> IpHeader | None:
        """The outermost IP header: the one that routers act on."""
        return self.networks[0] if self.networks else None

    @property
    def ip_packet(self) -> bytes:
        """The outermost IP packet, without the link layer and its padding."""
        outer = self.networks[0]
        return bytes(self.data[outer.at : outer.end])

    @property
    def ports(self) -> tuple[int, int] | None:
        """Source and destination port of the innermost TCP or UDP header, None without one (a later fragment, say)."""
        inner = self.inner
        if inner is None or not inner.first or inner.proto not in (TCP, UDP) or inner.payload + 4 > inner.end:
            return None
        return self.word(inner.payload), self.word(inner.payload + 2)

    @property
    def transport_is_whole(self) -> bool:
        """Whether the innermost packet has all of its transport header; a later fragment has none to lack."""
        ip = self.ip
        if not ip.first:
            return True
        room = ip.end - ip.payload
        if ip.proto == TCP:
            return room >= 20 and 20 <= 4 * (self.data[ip.payload + 12] >> 4) <= room
        return room >= {UDP: 8, ICMP: 8, ICMPV6: 8}.get(ip.proto, 0)

    def word(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 2], "big")

    def put(self, at: int, value: int) -> None:
        self.data[at : at + 2] = value.to_bytes(2, "big")

    # --- fields ---------------------------------------------------------------------------------------------------

    def get(self, field: str) -> Value | None:
        """The value of a field; addresses and MACs as octets, None where the header or the field is not there."""
        if field.startswith("eth."):
            at = 6 if field == "eth.src" else 0
            return bytes(self.data[at : at + 6])
        if field == "vlan.id":
            return self.word(self.tags[0]) & 0xFFF if self.tags else None
        if field.startswith(("l4.", "tcp.")):
            return self._get_transport(field)
        layer, _, name = field.partition(".")
        network = self.inner if layer in ("ip", "ipv6") else self.outer if len(self.networks) > 1 else None
        if network is None:
            return None
        return self._get_network(network, name)

    def address(self, field: str) -> bytes:
        """The value of an address or MAC field that is there."""
        found = self.get(field)
        if not isinstance(found, bytes):
            raise KeyError(field)
        return found

    def number(self, field: str) -> int:
        """The value of a numeric field that is there."""
        found = self.get(field)
        if not isinstance(found, int):
            raise KeyError(field)
        return found

    def _get_network(self, ip: IpHeader, name: str) -> Value | None:
        data, at = self.data, ip.at
        if ip.version == 4:
            match name:
                case "src":
                    return bytes(data[at + 12 : at + 16])
                case "dst":
                    return bytes(data[at + 16 : at + 20])
                case "ttl":
                    return data[at + 8]
                case "dsfield.dscp":
                    return data[at + 1] >> 2
                case "dsfield.ecn":
                    return data[at + 1] & 3
                case "id":
                    return self.word(at + 4)
                case "flags.df":
                    return data[at + 6] >> 6 & 1
                case "len":
                    return self.word(at + 2)
                case "proto":
                    return ip.proto
                case "checksum":
                    return self.word(at + 10)
            return None
        match name:
            case "src":
                return bytes(data[at + 8 : at + 24])
            case "dst":
                return bytes(data[at + 24 : at + 40])
            case "ttl":
                return data[at + 7]
            case "dsfield.dscp":
                return self.word(at) >> 6 & 0x3F
            case "dsfield.ecn":
                return self.word(at) >> 4 & 3
            case "len":
                return self.word(at + 4) + 40
            case "proto":
                return ip.proto
            case "flow":
                return int.from_bytes(data[at : at + 4], "big") & 0xFFFFF
        return None

    def _get_transport(self, field: str) -> Value | None:
        ip = self.inner
        if ip is None or not ip.first:
            return None
        at = ip.payload
        if field in ("l4.srcport", "l4.dstport"):
            ports = self.ports
            return None if ports is None else ports[field == "l4.dstport"]
        if field == "l4.checksum" and ip.proto in PORTS_AT:
            return self.word(at + PORTS_AT[ip.proto])
        if ip.proto != TCP or at + 20 > ip.end:
            return None
        match field:
            case "tcp.seq":
                return int.from_bytes(self.data[at + 4 : at + 8], "big")
            case "tcp.ack":
                return int.from_bytes(self.data[at + 8 : at + 12], "big")
            case "tcp.flags":
                return self.word(at + 12) & 0xFFF
        return None

    def set(self, field: str, value: Value) -> None:
        """Write a field, without regard for checksums (see `mend`).

        Raises: KeyError for a field that cannot be written, TypeError for an address that is not octets.
        """
        data = self.data
        if field.startswith("eth."):
            at = 6 if field == "eth.src" else 0
            data[at : at + 6] = _octets(value, 6)
            return
        if field in ("l4.srcport", "l4.dstport"):
            if self.ports is not None and self.inner is not None:
                self.put(self.inner.payload + 2 * (field == "l4.dstport"), _number(value))
            return
        if field == "vlan.id":
            self.put(self.tags[0], self.word(self.tags[0]) & 0xF000 | _number(value))
            return
        layer, _, name = field.partition(".")
        ip = self.inner if layer in ("ip", "ipv6") else self.outer
        if ip is None:
            raise KeyError(field)
        at, four = ip.at, ip.version == 4
        match name:
            case "src" | "dst":
                width = 4 if four else 16
                start = at + (12 if four else 8) + width * (name == "dst")
                data[start : start + width] = _octets(value, width)
            case "ttl":
                data[at + (8 if four else 7)] = _number(value)
            case "dsfield.dscp" | "dsfield.ecn":
                shift, mask = (2, 0xFC) if name == "dsfield.dscp" else (0, 3)
                octet = data[at + 1] if four else self.word(at) >> 4 & 0xFF
                octet = octet & ~mask | _number(value) << shift & mask
                if four:
                    data[at + 1] = octet
                else:
                    self.put(at, self.word(at) & 0xF00F | octet << 4)
            case "id" if four:
                self.put(at + 4, _number(value))
            case "flags.df" if four:
                data[at + 6] = data[at + 6] & 0xBF | _number(value) << 6
            case "flow" if not four:
                self.put(at + 2, _number(value) & 0xFFFF)
                data[at + 1] = data[at + 1] & 0xF0 | _number(value) >> 16 & 0xF
            case _:
                raise KeyError(field)

    # --- checksums ------------------------------------------------------------------------------------------------

    def mend(self, field: str, before: Octets) -> None:
        """Adjust a checksum by what changed since `before`, as routers and NATs do (RFC 1624; RFC 3022 s4.1).

        `field` is ``ip.checksum``, ``outer.checksum`` or ``l4.checksum``; headers must not have moved in between.
        """
        if field == "l4.checksum":
            self._mend_transport(before)
            return
        ip = self.inner if field == "ip.checksum" else self.outer
        if ip is not None and ip.version == 4:
            at = ip.at
            old = bytes(before.data[at : at + 10] + before.data[at + 12 : ip.payload])
            new = bytes(self.data[at : at + 10] + self.data[at + 12 : ip.payload])
            self.put(at + 10, adjusted(self.word(at + 10), old, new))

    def _mend_transport(self, before: Octets) -> None:
        ip, was = self.inner, before.inner
        if ip is None or was is None or not ip.first or ip.proto not in (TCP, UDP, ICMPV6):
            return
        at = ip.payload + PORTS_AT.get(ip.proto, 2)
        if at + 2 > ip.end or (ip.proto == UDP and self.word(at) == 0):  # 0: the sender made none (RFC 768)
            return
        old, new = before._covered(was), self._covered(ip)
        value = adjusted(self.word(at), old, new)
        self.put(at, 0xFFFF if value == 0 and ip.proto == UDP else value)

    @property
    def sound(self) -> bool:
        """Whether a receiver takes the checksum of the innermost TCP, UDP or ICMPv6 message (RFC 1071)."""
        ip = self.ip
        at = ip.payload + PORTS_AT.get(ip.proto, 2)
        if ip.proto not in (TCP, UDP, ICMPV6) or not ip.first or at + 2 > ip.end:
            return True
        if ip.proto == UDP and self.word(at) == 0:
            return True  # the sender made none (RFC 768; RFC 6935 for tunnels over IPv6)
        start, width = (ip.at + 12, 8) if ip.version == 4 else (ip.at + 8, 32)
        pseudo = self.data[start : start + width] + (ip.end - ip.payload).to_bytes(4, "big") + bytes([0, ip.proto])
        return sum16(pseudo + self.data[ip.payload : ip.end]) == 0xFFFF

    def _covered(self, ip: IpHeader) -> bytes:
        """What a NAT may change below a transport checksum: both addresses and, where there are any, both ports."""
        start, width = (ip.at + 12, 8) if ip.version == 4 else (ip.at + 8, 32)
        ports = self.data[ip.payload : ip.payload + 4] if ip.proto in PORTS_AT else b""
        return bytes(self.data[start : start + width] + ports)


def _octets(value: Value, width: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != width:
        raise TypeError(f"{value!r} is not an address of {width} octets")
    return value


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a number")
    return value


def packed(address: str) -> bytes:
    """The octets of an IP address."""
    return ip_address(address).packed


def version_of(address: bytes) -> int:
    """The IP version of an address."""
    return 4 if len(address) == 4 else 6


def mac_octets(mac: str) -> bytes:
    """The octets of a MAC address."""
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(mac: bytes) -> str:
    return mac.hex(":")


def address_text(address: bytes) -> str:
    return str(ip_address(address))
