"""GRE and what Cisco's ERSPAN puts behind it. Source: RFC 2784, 2890, 2637 s4.1, 7637; draft-foschiano-erspan s4."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.protocols import ethertype_text, typed
from dsrkit.wire.dissect.table import Row, Table, hexed
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, checksum_rows, verdict

HEADER: Final = Table(
    "gre",
    "RFC 2784 s2",
    4,
    (
        Row("gre.flags_and_version", 0, 2, show=hexed(4)),
        Row("gre.flags.checksum", 0, 2, mask=0x8000),
        Row("gre.flags.routing", 0, 2, mask=0x4000, source="RFC 1701"),
        Row("gre.flags.key", 0, 2, mask=0x2000, source="RFC 2890 s2"),
        Row("gre.flags.sequence_number", 0, 2, mask=0x1000, source="RFC 2890 s2"),
        Row("gre.flags.version", 0, 2, mask=0x0007),
        Row("gre.proto", 2, 2, show=ethertype_text),
    ),
)
SUM: Final = Table("gre", "RFC 2784 s2.3", 4, (Row("gre.checksum", 0, 2, show=hexed(4)), Row("gre.offset", 2, 2)))
CHECKSUM: Final = checksum_rows("gre")
KEY: Final = Table("gre", "RFC 2890 s2.1", 4, (Row("gre.key", 0, 4, show=hexed(8)),))
SEQUENCE: Final = Table("gre", "RFC 2890 s2.2", 4, (Row("gre.sequence_number", 0, 4),))
CALL: Final = Table("gre", "RFC 2637 s4.1", 4, (Row("gre.key.payload_length", 0, 2), Row("gre.key.call_id", 2, 2)))
ACKNOWLEDGEMENT: Final = Table("gre", "RFC 2637 s4.1", 4, (Row("gre.ack_number", 0, 4),))
HAS_ACKNOWLEDGEMENT: Final = Row("gre.flags.ack", 0, 2, mask=0x0080, source="RFC 2637 s4.1")
ERSPAN: Final = Table(
    "erspan",
    "draft-foschiano-erspan s4.1",
    4,
    (
        Row("erspan.version", 0, 2, mask=0xF000),
        Row("erspan.vlan", 0, 2, mask=0x0FFF),
        Row("erspan.cos", 2, 2, mask=0xE000),
        Row("erspan.truncated", 2, 2, mask=0x0400),
        Row("erspan.spanid", 2, 2, mask=0x03FF),
    ),
)
TABLES: Final = (
    HEADER,
    SUM,
    KEY,
    SEQUENCE,
    CALL,
    ACKNOWLEDGEMENT,
    ERSPAN,
    Table("gre", "RFC 2784 s2.3", 0, (*CHECKSUM, HAS_ACKNOWLEDGEMENT)),
)

_FRAME_TYPE = 0x7C00
_CHECKSUM, _ROUTING, _KEY, _SEQUENCE, _ACKNOWLEDGEMENT = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
_ERSPAN_II, _ERSPAN_III, _PPP, _WCCP = 0x88BE, 0x22EB, 0x880B, 0x883E


def read(walk: Walk, at: int) -> Next:
    """A GRE header: what its Ethernet type says follows."""
    opened = walk.take(HEADER, at, layout.LAYER_GRE)
    if opened is None:
        return None
    flags, kind, place = walk.number(at, 2), walk.number(at + 2, 2), at + 4
    enhanced = flags & 7 == 1  # as PPTP has it
    if enhanced:
        walk.fill(opened, (HAS_ACKNOWLEDGEMENT,), at)
    parts = (
        (SUM, flags & (_CHECKSUM | _ROUTING)),
        (CALL if enhanced else KEY, flags & _KEY),
        (SEQUENCE, flags & _SEQUENCE),
        (ACKNOWLEDGEMENT, enhanced and flags & _ACKNOWLEDGEMENT),
    )
    for table, there in parts:
        if there:
            walk.fill(opened, table.rows, place)
            place += table.size
    if not walk.room(at, place - at, layout.LAYER_GRE):
        return None
    if flags & _CHECKSUM:
        _judge(walk, opened, at)
    opened.stop = place
    if flags & _ROUTING or flags & 7 > 1:
        walk.payload(place)
        return None
    if kind == _PPP:
        return "ppp", place
    if kind == _WCCP:  # a redirect header where no IPv4 header begins (draft-wilson-wrec-wccp-v2 s4.12.2)
        there = walk.here(place, 1) and walk.octets[place] >> 4 != 4
        return "ip", place + 4 * there
    if kind == _ERSPAN_III or (kind == _ERSPAN_II and flags & _SEQUENCE):
        return "erspan", place
    if kind == _ERSPAN_II:  # type I: no header of its own
        walk.open("erspan", place)
        return "eth", place
    return typed(walk, kind, place)


def _judge(walk: Walk, opened: Layer, at: int) -> None:
    """The checksum, over header and payload."""
    if walk.limit > walk.cap or walk.fragmented:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        return
    total = walk.add(at, walk.limit)
    verdict(opened, CHECKSUM, walk.judge(walk.number(at + 4, 2), total, 0), total)


def erspan(walk: Walk, at: int) -> Next:
    """ERSPAN type II or III: the mirrored Ethernet frame follows."""
    opened = walk.take(ERSPAN, at, layout.LAYER_GRE)
    if opened is None:
        return None
    version = walk.octets[at] >> 4
    size = {1: 8, 2: 12}.get(version)
    if size is None or not walk.room(at, size, layout.LAYER_GRE):
        walk.payload(at + 4)
        return None
    if version == 2 and walk.octets[at + 11] & 1:  # a platform specific subheader
        size += 8
    opened.stop = at + size
    if version == 2 and walk.number(at + 10, 2) & _FRAME_TYPE:  # not an Ethernet frame
        walk.payload(at + size)
        return None
    return "eth", at + size
