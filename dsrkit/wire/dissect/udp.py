"""UDP, and the tunnels in it. Source: RFC 768, 2675 s4, 6935 s5."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect import tunnels
from dsrkit.wire.dissect.table import Row, Table, hexed
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, checksum_rows, verdict

HEADER: Final = Table(
    "udp",
    "RFC 768",
    8,
    (
        Row("udp.srcport", 0, 2),
        Row("udp.dstport", 2, 2),
        Row("udp.length", 4, 2),
        Row("udp.checksum", 6, 2, show=hexed(4)),
    ),
)
CHECKSUM: Final = checksum_rows("udp")
TABLES: Final = (HEADER, Table("udp", "RFC 768", 0, CHECKSUM))

_PROTOCOL = 17


def read(walk: Walk, at: int) -> Next:
    """A UDP datagram: a tunnel's header or its payload follows."""
    opened = walk.take(HEADER, at, layout.LAYER_UDP)
    if opened is None:
        return None
    size = walk.number(at + 4, 2)
    if size == 0 and walk.limit - at > 65535:  # RFC 2675 s4
        size = walk.limit - at
    if size < 8:
        walk.defect(layout.DEFECT_LENGTH, layout.LAYER_UDP, 8, size, layout.BY_UDP_LEN)
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        walk.payload(at + 8)
        return None
    end = at + size if walk.fragmented else min(at + size, walk.limit)
    if not walk.own_fragment:  # in a fragment the length speaks of the whole datagram, not of this part
        walk.claim(at + size, size, at, layout.BY_UDP_LEN, layout.LAYER_UDP)
    carried = tunnels.carried(walk, at, end)
    _judge(walk, opened, at, size, tunnel=carried is not None)
    if carried is not None:
        return carried
    walk.payload(at + 8)
    return "udp.payload", at + 8


def _judge(walk: Walk, opened: Layer, at: int, size: int, *, tunnel: bool) -> None:
    """The checksum; 0 is none over IPv4, and over IPv6 in a tunnel (RFC 6935 s5)."""
    found = walk.number(at + 6, 2)
    if found == 0:
        absent = tunnel or walk.pseudo.version == 4
        verdict(opened, CHECKSUM, layout.SUM_ABSENT if absent else layout.SUM_ZERO, None)
    elif walk.fragmented or at + size > walk.cap:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
    else:
        pseudo = walk.pseudo.sum(_PROTOCOL, size)
        total = walk.add(at, at + size) + pseudo
        verdict(opened, CHECKSUM, walk.judge(found, total, pseudo), total)
