"""What a load balancer puts around a packet, byte for byte, and the fragments of what became too long."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

from dsrkit.craft.packets.headers import (
    ether_type_of,
    internet_checksum,
    ipv4_header,
    ipv6_header,
    udp_header,
    udp_pseudo_header,
)
from dsrkit.craft.packets.octets import GRE, IPIP, IPV6_IN_IP, UDP, Octets, Value, version_of
from dsrkit.craft.profiles import Encapsulation, Profile, Tunnel, profile_of
from dsrkit.craft.profiles.cilium import WORLD, geneve_option, inner_frame, to_backend, told, with_option
from dsrkit.craft.rewrite import Bindings, Habit, value
from dsrkit.errors import UsageError
from dsrkit.tables.nodes import NodeTable
from dsrkit.tables.rules import Rule

_GRE_CHECKSUM: Final = 0x8000
_DF, _MF = 0x4000, 0x2000
_OPTION_COPIED, _END_OF_OPTIONS, _NO_OPERATION = 0x80, 0, 1
_FRAGMENT_HEADER: Final = 44
_PER_HOP: Final = (0, 43)  # hop-by-hop options and routing header stay in front of the fragment header


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of the pushed header, decided for one packet."""

    rules: Mapping[str, Rule]
    before: Octets
    bindings: Bindings
    profile: str
    habits: Mapping[str, Habit]

    def get(self, field: str) -> Value | None:
        rule = self.rules.get(field)
        if rule is None:
            return None
        return value(rule, field, self.before, self.bindings, self.profile, self.habits)

    def number(self, field: str) -> int:
        """A number; 0 where neither table nor habit says one."""
        found = self.get(field)
        return found if isinstance(found, int) else 0

    def address(self, field: str) -> bytes:
        found = self.get(field)
        if not isinstance(found, bytes):
            raise UsageError(f"nothing says what {field} is: bind the roles of the table")
        return found


def push(
    before: Octets,
    after: Octets,
    table: NodeTable,
    bindings: Bindings,
    encapsulation: Encapsulation,
    *,
    profile: str,
) -> bytes:
    """The IP packet that leaves the load balancer: `after` inside the headers that the table's cells describe.

    `before` is the frame as it came in, of which the cells speak, `after` the one whose own header was rewritten. The
    roles ``("lb", "ip")`` and ``("real-server", "ip")`` are of the outer family.

    Raises: UsageError for what the profile does not do, unbound roles, or more octets than an IP packet holds.
    """
    known = profile_of(profile)
    inner, server = after.outer, bindings.roles.get(("real-server", "ip"))
    if inner is None or not isinstance(server, bytes):
        raise UsageError("there is no IP packet to encapsulate, or no address of a real server to send it to")
    tunnel = known.tunnel(encapsulation, (inner.version, version_of(server)))
    bindings = replace(bindings, roles={("service", "tunnel-port"): encapsulation.port, **bindings.roles})
    if encapsulation.type == "option":
        packet = to_backend(after, bindings)
        return with_option(packet, *_asked_for(before, bindings)) if told(before) else packet.ip_packet
    cells = _Cells(table.rules(), before, bindings, profile, known.habits_in(encapsulation.type))
    source, destination = cells.address("outer.src"), cells.address("outer.dst")
    if len(source) != len(destination):
        raise UsageError("the outer addresses are not of one IP version")
    proto, payload = _payload(after, cells, tunnel, encapsulation, source, destination)
    if len(payload) > 0xFFFF - 20:
        raise UsageError(f"a packet of {len(payload)} octets does not fit into another one")
    tos = cells.number("outer.dsfield.dscp") << 2 | cells.number("outer.dsfield.ecn")
    ttl = cells.number("outer.ttl")
    if len(source) == 16:
        return ipv6_header(source, destination, proto, len(payload), ttl=ttl, tos=tos) + payload
    df = cells.number("outer.flags.df")
    identification = _identification(known, cells, df)
    header = ipv4_header(
        source, destination, proto, len(payload), ttl=ttl, tos=tos, identification=identification, df=df
    )
    return header + payload


def _identification(profile: Profile, cells: _Cells, df: int) -> int:
    """0 where nothing may be fragmented, else the node's counter (ip_select_ident, Linux 6.1), or the habit."""
    if profile.stack:
        return 0 if df else cells.bindings.next_id() & 0xFFFF
    return cells.number("outer.id")


def _asked_for(before: Octets, bindings: Bindings) -> tuple[bytes, int]:
    """Address and port that the client's packet went to."""
    address, ports = before.get("ip.dst"), before.ports
    return address if isinstance(address, bytes) else bindings.service, ports[1] if ports else bindings.service_port


def _payload(
    after: Octets, cells: _Cells, tunnel: Tunnel, encapsulation: Encapsulation, source: bytes, destination: bytes
) -> tuple[int, bytes]:
    """The IP protocol and what follows the outer IP header."""
    packet = after.ip_packet
    inner = IPIP if packet[0] >> 4 == 4 else IPV6_IN_IP
    match encapsulation.type:
        case "gre":
            return GRE, _gre(packet, encapsulation.checksum)
        case "gue" if encapsulation.variant == 1:
            content = packet
        case "gue":
            private = tunnel.private(cells.bindings)
            content = struct.pack("!BBH", len(private) // 4, inner, 0) + private + packet
        case "geneve":
            content = _geneve(after, cells)
        case _:
            return inner, packet
    ports = cells.number("tunnel.srcport"), cells.number("tunnel.dstport")
    datagram = udp_header(*ports, len(content)) + content
    if not encapsulation.checksum:
        return UDP, datagram
    total = tunnel.checksum(udp_pseudo_header(source, destination, datagram), datagram)
    return UDP, udp_header(*ports, len(content), total) + content


def _gre(packet: bytes, checksum: bool) -> bytes:
    """Source: RFC 2784 s2."""
    kind = ether_type_of(packet)
    if not checksum:
        return struct.pack("!HH", 0, kind) + packet
    start = struct.pack("!HHHH", _GRE_CHECKSUM, kind, 0, 0)
    return start[:4] + struct.pack("!HH", internet_checksum(start + packet), 0) + packet


def _geneve(after: Octets, cells: _Cells) -> bytes:
    """Source: RFC 8926 s3.4; cilium bpf/lib/nodeport.h encap_geneve_dsr_opt4."""
    before, bindings = cells.before, cells.bindings
    options = geneve_option(*_asked_for(before, bindings)) if told(before) else b""
    start = struct.pack("!BBHI", len(options) // 4, 0, 0x6558, WORLD << 8)
    return start + options + inner_frame(before, to_backend(after, bindings))


def overhead(
    encapsulation: Encapsulation,
    *,
    outer_version: int,
    inner_version: int | None = None,
    profile: str = "generic",
    hops: int = 0,
) -> int:
    """Octets that a tunnel adds to a packet, at most: Cilium tells its servers in some packets only.

    `inner_version` is that of the client's packet, where it is not `outer_version`; `hops` is the number of alternate
    servers that GLB names.
    """
    ip = 20 if outer_version == 4 else 40
    address = 4 if (inner_version or outer_version) == 4 else 16
    match encapsulation.type:
        case "option":
            return address + (4 if outer_version == 4 else 8)
        case "gre":
            return ip + (8 if encapsulation.checksum else 4)
        case "gue" if encapsulation.variant == 1:
            return ip + 8
        case "gue":
            return ip + 12 + (4 + 4 * hops if profile == "glb" else 0)
        case "geneve":
            return ip + 8 + 8 + 14 + 8 + address
    return ip


def fragments(packet: bytes, mtu: int, *, identification: int | None = None) -> list[bytes]:
    """The fragments of an IP packet, in order, as Linux cuts them; the packet itself where it fits.

    Nothing where DF forbids to cut it. An IPv6 packet gets `identification`, by default a number of its own (Linux
    draws it at random, ipv6_select_ident), an IPv4 one keeps its own.

    Source: ip_output.c ip_do_fragment, ip6_output.c ip6_fragment, Linux 6.1; RFC 791 s3.2; RFC 8200 s4.5.

    Raises: UsageError for an MTU without room for data.
    """
    if len(packet) <= mtu:
        return [packet]
    if packet[0] >> 4 == 4:
        return [] if packet[6] & _DF >> 8 else _fragments4(packet, mtu)
    return _fragments6(packet, mtu, crc32(packet) if identification is None else identification)


def _fragments4(packet: bytes, mtu: int) -> list[bytes]:
    start = 4 * (packet[0] & 15)
    word = int.from_bytes(packet[6:8], "big")
    header, out = packet[:start], []
    for offset, data, last in _cut(packet[start:], mtu - start):
        more = 0 if last else _MF
        flags = (word | more) & 0xE000 | (word & 0x1FFF) + offset // 8
        fields = header[:2] + struct.pack("!H2sHBB", start + len(data), header[4:6], flags, header[8], header[9])
        rest = header[12:]
        total = internet_checksum(fields + rest)
        out.append(fields + total.to_bytes(2, "big") + rest + data)
        header = header[:20] + _copied(header[20:])
    return out


def _copied(options: bytes) -> bytes:
    """The options of the later fragments: those without the copied flag become no-operations, the length stays."""
    out, at = bytearray(options), 0
    while at < len(out) and out[at] != _END_OF_OPTIONS:
        length = 1 if out[at] == _NO_OPERATION or at + 1 >= len(out) else max(2, out[at + 1])
        if not out[at] & _OPTION_COPIED:
            out[at : at + length] = bytes([_NO_OPERATION]) * len(out[at : at + length])
        at += length
    return bytes(out)


def _fragments6(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    proto, start, named = packet[6], 40, 6
    while proto in _PER_HOP:
        proto, named, start = packet[start], start, start + 8 * (packet[start + 1] + 1)
    header = bytearray(packet[:start])
    header[named] = _FRAGMENT_HEADER
    out = []
    for offset, data, last in _cut(packet[start:], mtu - start - 8):
        header[4:6] = (start - 40 + 8 + len(data)).to_bytes(2, "big")
        out.append(bytes(header) + struct.pack("!BBHI", proto, 0, offset | (not last), identification) + data)
    return out


def _cut(data: bytes, room: int) -> list[tuple[int, bytes, bool]]:
    """Offset and octets of each piece, all but the last a multiple of 8 long, and whether it is the last."""
    room &= ~7
    if room <= 0:
        raise UsageError("the MTU leaves no room for any data behind the headers")
    return [(at, data[at : at + room], at + room >= len(data)) for at in range(0, len(data), room)]
