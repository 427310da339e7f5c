"""IPv4, every bit of it, with its options. Source: RFC 791, 2474, 3168, 1108, 2113, 6814."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.protocols import PROTOCOLS, follows
from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Pseudo, Walk, checksum_rows, ip_of, verdict

HEADER: Final = Table(
    "ip",
    "RFC 791 s3.1",
    20,
    (
        Row("ip.version", 0, 1, mask=0xF0),
        Row("ip.hdr_len", 0, 1, mask=0x0F, scale=4),
        Row("ip.dsfield", 1, 1, show=hexed(2), source="RFC 2474 s3"),
        Row("ip.dsfield.dscp", 1, 1, mask=0xFC, source="RFC 2474 s3"),
        Row("ip.dsfield.ecn", 1, 1, mask=0x03, source="RFC 3168 s5"),
        Row("ip.len", 2, 2),
        Row("ip.id", 4, 2, show=hexed(4)),
        Row("ip.flags", 6, 1, mask=0xE0, show=hexed(2)),
        Row("ip.flags.rb", 6, 1, mask=0x80),
        Row("ip.flags.df", 6, 1, mask=0x40),
        Row("ip.flags.mf", 6, 1, mask=0x20),
        Row("ip.frag_offset", 6, 2, mask=0x1FFF),
        Row("ip.ttl", 8, 1),
        Row("ip.proto", 9, 1, show=named(PROTOCOLS)),
        Row("ip.checksum", 10, 2, show=hexed(4)),
        Row("ip.src", 12, 4, "ip"),
        Row("ip.dst", 16, 4, "ip"),
    ),
)
VERSION: Final = HEADER.rows[:1]
CHECKSUM: Final = checksum_rows("ip")

OPTION_NAMES: Final = {
    0: "end of list",
    1: "no operation",
    7: "record route",
    68: "time stamp",
    82: "traceroute",
    130: "security",
    131: "loose source route",
    133: "extended security",
    134: "commercial security",
    136: "stream identifier",
    137: "strict source route",
    148: "router alert",
    149: "selective directed broadcast",
}
TYPE: Final = Row("ip.opt.type", 0, 1, show=named(OPTION_NAMES), source="RFC 791 s3.1, 6814 s2")
OPTION: Final = (
    TYPE,
    Row("ip.opt.type.copy", 0, 1, mask=0x80),
    Row("ip.opt.type.class", 0, 1, mask=0x60),
    Row("ip.opt.type.number", 0, 1, mask=0x1F),
)
LENGTH: Final = Row("ip.opt.len", 1, 1)
POINTER: Final = Row("ip.opt.ptr", 2, 1)
RECORDED: Final = Row("ip.rec_rt", kind="ip")
ROUTE: Final = Row("ip.src_rt", kind="ip")
ALERT: Final = Row("ip.opt.ra", 2, 2, source="RFC 2113 s2.1")
OPTIONS: Final = Table("ip", "RFC 791 s3.1", 0, (*OPTION, LENGTH, POINTER, RECORDED, ROUTE, ALERT))
TABLES: Final = (HEADER, OPTIONS, Table("ip", "RFC 791 s3.1", 0, CHECKSUM))

_RECORD_ROUTE, _ROUTER_ALERT, _SOURCE_ROUTES = 7, 148, (131, 137)


def read(walk: Walk, at: int) -> Next:
    """An IPv4 header: what its protocol number says follows."""
    if not walk.room(at, 1, layout.LAYER_IP):
        return None
    version, header = walk.octets[at] >> 4, (walk.octets[at] & 15) * 4
    if version != 4:
        walk.fill(walk.open("ip", at), VERSION, at)
        walk.defect(layout.DEFECT_VERSION, layout.LAYER_IP, 4, version, layout.BY_HEADER)
        return None
    opened = walk.open("ip", at)
    if not walk.more(opened, HEADER, at, layout.LAYER_IP):
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        return None
    if header < 20:
        walk.defect(layout.DEFECT_VERSION, layout.LAYER_IP, 20, header, layout.BY_HEADER)
        return None
    walk.packet(at, Pseudo(4, walk.octets[at + 12 : at + 16], walk.octets[at + 16 : at + 20]))
    if walk.here(at, header):
        total = walk.add(at, at + header)
        verdict(opened, CHECKSUM, walk.judge(walk.number(at + 10, 2), total, 0), total)
    else:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
    length = walk.number(at + 2, 2)
    if length:  # 0: longer than 16 bits can say (TSO, BIG TCP), the frame's end is the packet's
        if length < header:
            walk.defect(layout.DEFECT_LENGTH, layout.LAYER_IP, header, length, layout.BY_IP_LEN)
            return None
        walk.claim(at + length, length, at, layout.BY_IP_LEN, layout.LAYER_IP)
    whole = walk.room(at, header, layout.LAYER_IP)
    _options(walk, opened, at + 20, min(at + header, walk.cap))
    if not whole:
        return None
    opened.stop = at + header
    word = walk.number(at + 6, 2)
    walk.fragment(word & 0x1FFF, word & 0x2000)
    return follows(walk, walk.octets[at + 9], at + header)


def _options(walk: Walk, opened: Layer, at: int, end: int) -> None:
    """The options, at most 40 of them; a source route not yet at its end is the pseudo-header's destination."""
    while at < end:
        kind = walk.octets[at]
        walk.fill(opened, OPTION, at)
        if kind == 0:
            return
        if kind == 1:
            at += 1
            continue
        size = walk.octets[at + 1] if at + 1 < end else 0
        walk.fill(opened, (LENGTH,) if at + 1 < end else (), at)
        if size < 2 or at + size > end:
            return
        if kind == _ROUTER_ALERT and size == 4:
            walk.fill(opened, (ALERT,), at)
        elif kind in (_RECORD_ROUTE, *_SOURCE_ROUTES) and size >= 3:
            walk.fill(opened, (POINTER,), at)
            row = RECORDED if kind == _RECORD_ROUTE else ROUTE
            for place in range(at + 3, at + size - 3, 4):
                walk.put(opened, row, ip_of(walk.octets[place : place + 4]), place, place + 4)
            if kind in _SOURCE_ROUTES and size >= 7 and walk.octets[at + 2] < size:  # RFC 1122 s3.2.1.8
                walk.pseudo.dst = walk.octets[at + size - 4 : at + size]
        at += size
