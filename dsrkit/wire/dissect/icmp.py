"""ICMP, and the packet that an error quotes. Source: RFC 792, 1191 s4, 1256, 4884 s4.1."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, checksum_rows, verdict

TYPE_NAMES: Final = {
    0: "echo reply",
    3: "destination unreachable",
    4: "source quench",
    5: "redirect",
    8: "echo request",
    9: "router advertisement",
    10: "router solicitation",
    11: "time exceeded",
    12: "parameter problem",
    13: "timestamp request",
    14: "timestamp reply",
    17: "address mask request",
    18: "address mask reply",
}
HEADER: Final = Table(
    "icmp",
    "RFC 792",
    4,
    (
        Row("icmp.type", 0, 1, show=named(TYPE_NAMES)),
        Row("icmp.code", 1, 1),
        Row("icmp.checksum", 2, 2, show=hexed(4)),
    ),
)
CHECKSUM: Final = checksum_rows("icmp")
ECHO: Final = (Row("icmp.ident", 4, 2), Row("icmp.seq", 6, 2))
QUOTED_LENGTH: Final = Row("icmp.length", 5, 1, source="RFC 4884 s4.1")
MTU: Final = Row("icmp.mtu", 6, 2, source="RFC 1191 s4")
GATEWAY: Final = Row("icmp.redir_gw", 4, 4, "ip")
POINTER: Final = Row("icmp.pointer", 4, 1)
REST: Final = Table("icmp", "RFC 792", 8, (*ECHO, QUOTED_LENGTH, MTU, GATEWAY, POINTER))
TABLES: Final = (HEADER, REST, Table("icmp", "RFC 792", 0, CHECKSUM))

UNREACHABLE, REDIRECT, TIME_EXCEEDED, PARAMETER = 3, 5, 11, 12
_FRAGMENTATION_NEEDED = 4
_ERRORS: Final = frozenset({UNREACHABLE, 4, REDIRECT, TIME_EXCEEDED, PARAMETER})
_LENGTH_GIVEN: Final = frozenset({UNREACHABLE, TIME_EXCEEDED, PARAMETER})
_ECHOES: Final = frozenset({0, 8, 13, 14, 15, 16, 17, 18})


def read(walk: Walk, at: int) -> Next:
    """An ICMP message: the packet that it quotes follows."""
    if not walk.here(at, HEADER.size):
        walk.room(at, 8, layout.LAYER_ICMP)
        return None
    opened = walk.open("icmp", at)
    walk.fill(opened, HEADER.rows, at)
    kind, code = walk.octets[at], walk.octets[at + 1]
    if walk.fragmented or walk.limit > walk.cap:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
    else:
        total = walk.add(at, walk.limit)
        verdict(opened, CHECKSUM, walk.judge(walk.number(at + 2, 2), total, 0), total)
    if not walk.room(at, 8, layout.LAYER_ICMP):
        return None
    _rest(walk, opened, at, kind, code)
    opened.stop = at + 8
    walk.payload(at + 8)
    if kind not in _ERRORS:
        return None
    return quote(walk, at + 8, walk.octets[at + 5] * 4 if kind in _LENGTH_GIVEN else 0)


def _rest(walk: Walk, opened: Layer, at: int, kind: int, code: int) -> None:
    """The four octets whose meaning the type decides."""
    rows: tuple[Row, ...] = ()
    if kind in _ECHOES:
        rows = ECHO
    elif kind == REDIRECT:
        rows = (GATEWAY,)
    elif kind == PARAMETER:
        rows = (POINTER, QUOTED_LENGTH)
    elif kind == UNREACHABLE and code == _FRAGMENTATION_NEEDED:
        rows = (QUOTED_LENGTH, MTU)
    elif kind in _LENGTH_GIVEN:
        rows = (QUOTED_LENGTH,)
    walk.fill(opened, [row for row in rows if row is not QUOTED_LENGTH or walk.octets[at + 5]], at)


def quote(walk: Walk, at: int, length: int) -> Next:
    """The quoted packet, of `length` octets where that is said: what is not there of it is no defect."""
    if walk.quoting:
        return None
    walk.quoting = True
    walk.fragmented = False
    if length and at + length < walk.cap:
        walk.cap = walk.limit = at + length
    return ("any_ip", at) if walk.here(at, 1) else None
