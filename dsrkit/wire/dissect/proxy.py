"""PROXY protocol headers, version 1 and 2. Source: HAProxy's proxy-protocol.txt s2.1, s2.2."""

from __future__ import annotations

from typing import Final

from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
HEADER: Final = Table(
    "proxy",
    "proxy-protocol.txt s2.2",
    16,
    (
        Row("proxy.v2.magic", 0, 12, "bytes"),
        Row("proxy.v2.version", 12, 1, mask=0xF0),
        Row("proxy.v2.cmd", 12, 1, mask=0x0F, show=named({0: "LOCAL", 1: "PROXY"})),
        Row("proxy.v2.addr_family_protocol", 13, 1, show=hexed(2)),
        Row("proxy.v2.addr_family", 13, 1, mask=0xF0, show=named({0: "UNSPEC", 1: "IPv4", 2: "IPv6", 3: "UNIX"})),
        Row("proxy.v2.protocol", 13, 1, mask=0x0F, show=named({0: "UNSPEC", 1: "STREAM", 2: "DGRAM"})),
        Row("proxy.v2.length", 14, 2),
    ),
)
IPV4: Final = Table(
    "proxy",
    "proxy-protocol.txt s2.2",
    12,
    (
        Row("proxy.src.ipv4", 0, 4, "ip"),
        Row("proxy.dst.ipv4", 4, 4, "ip"),
        Row("proxy.srcport", 8, 2),
        Row("proxy.dstport", 10, 2),
    ),
)
IPV6: Final = Table(
    "proxy",
    "proxy-protocol.txt s2.2",
    36,
    (
        Row("proxy.src.ipv6", 0, 16, "ip"),
        Row("proxy.dst.ipv6", 16, 16, "ip"),
        Row("proxy.srcport", 32, 2),
        Row("proxy.dstport", 34, 2),
    ),
)
EXTENSION: Final = Table(
    "proxy",
    "proxy-protocol.txt s2.2.1",
    3,
    (Row("proxy.v2.tlv.type", 0, 1, show=hexed(2)), Row("proxy.v2.tlv.length", 1, 2)),
)
VERSION: Final = Row("proxy.version", source="proxy-protocol.txt s2")
PROTOCOL: Final = Row("proxy.v1.proto", kind="text")
SOURCE_4, DESTINATION_4, SOURCE_PORT, DESTINATION_PORT = IPV4.rows
SOURCE_6, DESTINATION_6 = IPV6.rows[:2]
TABLES: Final = (HEADER, IPV4, IPV6, EXTENSION, Table("proxy", "proxy-protocol.txt s2.1", 0, (VERSION, PROTOCOL)))

_BEGIN: Final = b"PROXY "
_LONGEST_LINE, _MOST_EXTENSIONS = 107, 64


def begins(octets: bytes) -> bool:
    """Whether a payload begins with a PROXY header of either version."""
    return octets.startswith((SIGNATURE, _BEGIN))


def read(walk: Walk, at: int) -> Next:
    """A header of either version: the payload of the connection follows."""
    if walk.octets[at : at + len(SIGNATURE)] == SIGNATURE:
        return _binary(walk, walk.open("proxy", at), at)
    stop = walk.octets.find(b"\r\n", at, min(at + _LONGEST_LINE, walk.cap))
    return None if stop < 0 else _line(walk, walk.open("proxy", at), at, stop)


def _line(walk: Walk, opened: Layer, at: int, stop: int) -> Next:
    """Version 1, up to its line end at `stop`: ``PROXY TCP4 192.0.2.1 192.0.2.2 40000 80``."""
    walk.put(opened, VERSION, 1, at, at)
    opened.stop = stop + 2
    words = walk.octets[at:stop].split(b" ")
    protocol = words[1]
    rows = {
        b"TCP4": (SOURCE_4, DESTINATION_4, SOURCE_PORT, DESTINATION_PORT),
        b"TCP6": (SOURCE_6, DESTINATION_6, SOURCE_PORT, DESTINATION_PORT),
    }.get(protocol, ())
    place = at + len(_BEGIN)
    walk.put(opened, PROTOCOL, protocol.decode("latin-1"), place, place + len(protocol))
    place += len(protocol) + 1
    for row, word in zip(rows, words[2:], strict=False):
        text = word.decode("latin-1")
        if row.kind == "ip":
            walk.put(opened, row, text, place, place + len(word))
        elif text.isascii() and text.isdigit() and len(text) <= 5:
            walk.put(opened, row, int(text), place, place + len(word))
        place += len(word) + 1
    return "tcp.payload", stop + 2


def _binary(walk: Walk, opened: Layer, at: int) -> Next:
    """Version 2: fixed header, addresses by their family, extensions."""
    walk.fill(opened, HEADER.rows, at)
    if not walk.here(at, HEADER.size):
        return None
    walk.put(opened, VERSION, walk.octets[at + 12] >> 4, at, at)
    place, end = at + HEADER.size, at + HEADER.size + walk.number(at + 14, 2)
    addresses = {0x10: IPV4, 0x20: IPV6}.get(walk.octets[at + 13] & 0xF0)
    if addresses and place + addresses.size <= end:
        walk.fill(opened, addresses.rows, place)
        place += addresses.size
        _extensions(walk, opened, place, min(end, walk.cap))
    opened.stop = min(end, walk.cap)
    return ("tcp.payload", end) if end <= walk.cap else None


def _extensions(walk: Walk, opened: Layer, at: int, end: int) -> None:
    for _ in range(_MOST_EXTENSIONS):
        if at + EXTENSION.size > end:
            return
        walk.fill(opened, EXTENSION.rows, at)
        at += EXTENSION.size + walk.number(at + 1, 2)
