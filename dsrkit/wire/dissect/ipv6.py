"""IPv6 with its extension headers, each a layer of its own that bears its packet's number.

Source: RFC 8200 s3, s4; 6437, 2711, 2675, 6275, 8754, 4302.
"""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.protocols import PROTOCOLS, follows
from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Pseudo, Walk, ip_of

_next_header = named(PROTOCOLS)

HEADER: Final = Table(
    "ipv6",
    "RFC 8200 s3",
    40,
    (
        Row("ipv6.version", 0, 1, mask=0xF0),
        Row("ipv6.tclass", 0, 4, mask=0x0FF00000, show=hexed(2), source="RFC 2474 s3"),
        Row("ipv6.tclass.dscp", 0, 4, mask=0x0FC00000, source="RFC 2474 s3"),
        Row("ipv6.tclass.ecn", 0, 4, mask=0x00300000, source="RFC 3168 s5"),
        Row("ipv6.flow", 0, 4, mask=0x000FFFFF, show=hexed(6), source="RFC 6437 s2"),
        Row("ipv6.plen", 4, 2),
        Row("ipv6.nxt", 6, 1, show=_next_header),
        Row("ipv6.hlim", 7, 1),
        Row("ipv6.src", 8, 16, "ip"),
        Row("ipv6.dst", 24, 16, "ip"),
    ),
)
HOP_BY_HOP: Final = Table(
    "ipv6.hopopts",
    "RFC 8200 s4.3",
    2,
    (Row("ipv6.hopopts.nxt", 0, 1, show=_next_header), Row("ipv6.hopopts.len", 1, 1)),
)
DESTINATION: Final = Table(
    "ipv6.dstopts",
    "RFC 8200 s4.6",
    2,
    (Row("ipv6.dstopts.nxt", 0, 1, show=_next_header), Row("ipv6.dstopts.len", 1, 1)),
)
ROUTING: Final = Table(
    "ipv6.routing",
    "RFC 8200 s4.4",
    4,
    (
        Row("ipv6.routing.nxt", 0, 1, show=_next_header),
        Row("ipv6.routing.len", 1, 1),
        Row(
            "ipv6.routing.type", 2, 1, show=named({0: "source route", 2: "mobile IPv6", 3: "RPL", 4: "segment routing"})
        ),
        Row("ipv6.routing.segleft", 3, 1),
    ),
)
FRAGMENT: Final = Table(
    "ipv6.fraghdr",
    "RFC 8200 s4.5",
    8,
    (
        Row("ipv6.fraghdr.nxt", 0, 1, show=_next_header),
        Row("ipv6.fraghdr.reserved_octet", 1, 1),
        Row("ipv6.fraghdr.offset", 2, 2, mask=0xFFF8),
        Row("ipv6.fraghdr.reserved_bits", 2, 2, mask=0x0006),
        Row("ipv6.fraghdr.more", 2, 2, mask=0x0001),
        Row("ipv6.fraghdr.ident", 4, 4, show=hexed(8)),
    ),
)
AUTHENTICATION: Final = Table(
    "ah",
    "RFC 4302 s2",
    12,
    (
        Row("ah.next_header", 0, 1, show=_next_header),
        Row("ah.length", 1, 1),
        Row("ah.reserved", 2, 2, "bytes"),
        Row("ah.spi", 4, 4, show=hexed(8)),
        Row("ah.sequence", 8, 4),
    ),
)
OPTION_NAMES: Final = {
    0x00: "Pad1",
    0x01: "PadN",
    0x05: "router alert",
    0x04: "tunnel encapsulation limit",
    0xC2: "jumbo payload",
    0xC9: "home address",
}
OPTION_TYPE: Final = Row("ipv6.opt.type", 0, 1, show=named(OPTION_NAMES), source="RFC 8200 s4.2")
OPTION_LENGTH: Final = Row("ipv6.opt.length", 1, 1, source="RFC 8200 s4.2")
ROUTER_ALERT: Final = Row("ipv6.opt.router_alert", 2, 2, source="RFC 2711 s2.1")
JUMBO: Final = Row("ipv6.opt.jumbo", 2, 4, source="RFC 2675 s2")
HOME: Final = Row("ipv6.opt.mipv6.home_address", 2, 16, "ip", source="RFC 6275 s6.3")
LAST_ENTRY: Final = Row("ipv6.routing.srh.last_entry", 4, 1, source="RFC 8754 s2")
ADDRESSES: Final = {
    0: Row("ipv6.routing.src.addr", kind="ip", source="RFC 5095 s1"),
    2: Row("ipv6.routing.mipv6.home_address", kind="ip", source="RFC 6275 s6.4"),
    4: Row("ipv6.routing.srh.addr", kind="ip", source="RFC 8754 s2"),
}
OPTIONS: Final = Table(
    "ipv6", "RFC 8200 s4.2", 0, (OPTION_TYPE, OPTION_LENGTH, ROUTER_ALERT, JUMBO, HOME, LAST_ENTRY, *ADDRESSES.values())
)
TABLES: Final = (HEADER, HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS)

_EXTENSIONS: Final = {0: HOP_BY_HOP, 43: ROUTING, 44: FRAGMENT, 51: AUTHENTICATION, 60: DESTINATION}
_FRAGMENT, _AUTHENTICATION, _NO_NEXT, _DESTINATION, _ROUTING = 44, 51, 59, 60, 43
_OPTION_FIELDS: Final = {(0x05, 2): ROUTER_ALERT, (0xC2, 4): JUMBO, (0xC9, 16): HOME}


def read(walk: Walk, at: int) -> Next:
    """An IPv6 header and its extension headers: what the last one says follows."""
    if not walk.room(at, 1, layout.LAYER_IP):
        return None
    version = walk.octets[at] >> 4
    if version != 6:
        walk.fill(walk.open("ipv6", at), HEADER.rows[:1], at)
        walk.defect(layout.DEFECT_VERSION, layout.LAYER_IP, 6, version, layout.BY_HEADER)
        return None
    opened = walk.take(HEADER, at, layout.LAYER_IP)
    if opened is None:
        return None
    walk.packet(at, Pseudo(6, walk.octets[at + 8 : at + 24], walk.octets[at + 24 : at + 40]))
    length, protocol = walk.number(at + 4, 2), walk.octets[at + 6]
    if length or protocol == _NO_NEXT:  # else a jumbogram (RFC 2675) or BIG TCP: the frame's end is the packet's
        walk.claim(at + 40 + length, 40 + length, at, layout.BY_IP_LEN, layout.LAYER_IP)
    return _extensions(walk, at + 40, protocol, opened.number)


def _extensions(walk: Walk, at: int, protocol: int, number: int) -> Next:
    """Extension headers up to the transport, or to the data of a later fragment."""
    while protocol in _EXTENSIONS:
        if not walk.room(at, 8, layout.LAYER_IPV6_EXT):
            return None
        opened = walk.open(_EXTENSIONS[protocol].name, at, number=number)
        walk.fill(opened, _EXTENSIONS[protocol].rows, at)
        size = _size(walk, at, protocol)
        if at + size > walk.limit:
            walk.defect(layout.DEFECT_LENGTH, layout.LAYER_IPV6_EXT, size, walk.limit - at, layout.BY_HEADER)
            return None
        if not walk.room(at, size, layout.LAYER_IPV6_EXT):
            return None
        opened.stop = at + size
        if protocol == _FRAGMENT:
            word = walk.number(at + 2, 2)
            walk.fragment(word >> 3, word & 1)
        elif protocol == _ROUTING:
            _routing(walk, opened, at, size)
        elif protocol != _AUTHENTICATION:
            _options(walk, opened, at + 2, at + size)
        protocol = walk.octets[at]
        at += size
        if walk.later:
            break
    return follows(walk, protocol, at)


def _size(walk: Walk, at: int, protocol: int) -> int:
    """Octets of an extension header: its length field counts in units of its own."""
    if protocol == _FRAGMENT:
        return 8
    length = walk.octets[at + 1]
    return (length + 2) * 4 if protocol == _AUTHENTICATION else (length + 1) * 8


def _routing(walk: Walk, opened: Layer, at: int, size: int) -> None:
    """The addresses of a route; while there are segments left, the pseudo-header has the final one (RFC 8200 s8.1)."""
    kind, left = walk.octets[at + 2], walk.octets[at + 3]
    if kind not in ADDRESSES:
        return
    end = at + size
    if kind == 4:
        walk.fill(opened, (LAST_ENTRY,), at)
        end = min(end, at + 8 + 16 * (walk.octets[at + 4] + 1))
    for place in range(at + 8, end - 15, 16):
        walk.put(opened, ADDRESSES[kind], ip_of(walk.octets[place : place + 16]), place, place + 16)
    if size >= 24 and left:
        final = at + 8 + 16 * ((size - 8) // 16 - 1) if kind == 0 else at + 8
        walk.pseudo.dst = walk.octets[final : final + 16]


def _options(walk: Walk, opened: Layer, at: int, end: int) -> None:
    """Hop-by-hop or destination options; a home address is the pseudo-header's source (RFC 6275 s11.3.1)."""
    while at < end:
        walk.fill(opened, (OPTION_TYPE,), at)
        if walk.octets[at] == 0:
            at += 1
            continue
        if at + 2 > end:
            return
        walk.fill(opened, (OPTION_LENGTH,), at)
        kind, size = walk.octets[at], walk.octets[at + 1]
        if at + 2 + size > end:
            return
        if (kind, size) in _OPTION_FIELDS:
            walk.fill(opened, (_OPTION_FIELDS[kind, size],), at)
        if (kind, size) == (0xC9, 16):
            walk.pseudo.src = walk.octets[at + 2 : at + 18]
        at += 2 + size
