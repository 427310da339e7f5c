"""ICMPv6 with neighbour discovery. Source: RFC 4443, 4861 s4, 2710 s3, 3810 s5, 4884 s4.2."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.icmp import quote
from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, checksum_rows, verdict

TYPE_NAMES: Final = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    4: "parameter problem",
    128: "echo request",
    129: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    132: "multicast listener done",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbor solicitation",
    136: "neighbor advertisement",
    137: "redirect",
    143: "multicast listener report v2",
}
HEADER: Final = Table(
    "icmpv6",
    "RFC 4443 s2.1",
    4,
    (
        Row("icmpv6.type", 0, 1, show=named(TYPE_NAMES)),
        Row("icmpv6.code", 1, 1),
        Row("icmpv6.checksum", 2, 2, show=hexed(4)),
    ),
)
CHECKSUM: Final = checksum_rows("icmpv6")
_ECHO: Final = Table(
    "icmpv6",
    "RFC 4443 s4.1",
    8,
    (Row("icmpv6.echo.identifier", 4, 2), Row("icmpv6.echo.sequence_number", 6, 2)),
)
_QUOTED_LENGTH: Final = Table("icmpv6", "RFC 4884 s4.2", 8, (Row("icmpv6.length", 4, 1),))
_MLD: Final = Table(
    "icmpv6",
    "RFC 2710 s3",
    24,
    (Row("icmpv6.mld.maximum_response_delay", 4, 2), Row("icmpv6.mld.multicast_address", 8, 16, "ip")),
)
MLD2: Final = Table(
    "icmpv6",
    "RFC 3810 s5.1",
    28,
    (Row("icmpv6.mld.maximum_response_code", 4, 2), Row("icmpv6.mld.multicast_address", 8, 16, "ip")),
)
BODIES: Final = {
    1: _QUOTED_LENGTH,
    2: Table("icmpv6", "RFC 4443 s3.2", 8, (Row("icmpv6.mtu", 4, 4),)),
    3: _QUOTED_LENGTH,
    4: Table("icmpv6", "RFC 4443 s3.4", 8, (Row("icmpv6.pointer", 4, 4),)),
    128: _ECHO,
    129: _ECHO,
    130: _MLD,
    131: _MLD,
    132: _MLD,
    133: Table("icmpv6", "RFC 4861 s4.1", 8, ()),
    134: Table(
        "icmpv6",
        "RFC 4861 s4.2",
        16,
        (
            Row("icmpv6.nd.ra.cur_hop_limit", 4, 1),
            Row("icmpv6.nd.ra.flag", 5, 1, show=hexed(2)),
            Row("icmpv6.nd.ra.router_lifetime", 6, 2),
            Row("icmpv6.nd.ra.reachable_time", 8, 4),
            Row("icmpv6.nd.ra.retrans_timer", 12, 4),
        ),
    ),
    135: Table("icmpv6", "RFC 4861 s4.3", 24, (Row("icmpv6.nd.ns.target_address", 8, 16, "ip"),)),
    136: Table(
        "icmpv6",
        "RFC 4861 s4.4",
        24,
        (
            Row("icmpv6.nd.na.flag", 4, 4, show=hexed(8)),
            Row("icmpv6.nd.na.flag.r", 4, 4, mask=0x80000000),
            Row("icmpv6.nd.na.flag.s", 4, 4, mask=0x40000000),
            Row("icmpv6.nd.na.flag.o", 4, 4, mask=0x20000000),
            Row("icmpv6.nd.na.target_address", 8, 16, "ip"),
        ),
    ),
    137: Table(
        "icmpv6",
        "RFC 4861 s4.5",
        40,
        (
            Row("icmpv6.nd.rd.target_address", 8, 16, "ip"),
            Row("icmpv6.rd.na.destination_address", 24, 16, "ip"),
        ),
    ),
    143: Table("icmpv6", "RFC 3810 s5.2", 8, (Row("icmpv6.mldr.nb_mcast_records", 6, 2),)),
}
_UNKNOWN_BODY: Final = Table("icmpv6", "RFC 4443 s2.1", 8, ())
OPTION_NAMES: Final = {
    1: "source link-layer address",
    2: "target link-layer address",
    3: "prefix information",
    4: "redirected header",
    5: "MTU",
    14: "nonce",
    25: "recursive DNS server",
}
OPTION: Final = Table(
    "icmpv6",
    "RFC 4861 s4.6",
    2,
    (Row("icmpv6.opt.type", 0, 1, show=named(OPTION_NAMES)), Row("icmpv6.opt.length", 1, 1)),
)
ADDRESS: Final = Row("icmpv6.opt.linkaddr", 2, 6, "mac", source="RFC 4861 s4.6.1")
KNOWN_OPTIONS: Final = {
    (1, 8): (ADDRESS, Row("icmpv6.opt.src_linkaddr", 2, 6, "mac", source="RFC 4861 s4.6.1")),
    (2, 8): (ADDRESS, Row("icmpv6.opt.target_linkaddr", 2, 6, "mac", source="RFC 4861 s4.6.1")),
    (3, 32): (
        Row("icmpv6.opt.prefix.length", 2, 1, source="RFC 4861 s4.6.2"),
        Row("icmpv6.opt.prefix", 16, 16, "ip", source="RFC 4861 s4.6.2"),
    ),
    (5, 8): (Row("icmpv6.opt.mtu", 4, 4, source="RFC 4861 s4.6.4"),),
}
TABLES: Final = (
    HEADER,
    *BODIES.values(),
    MLD2,
    OPTION,
    Table("icmpv6", "RFC 4861 s4.6", 0, sum(KNOWN_OPTIONS.values(), ())),
    Table("icmpv6", "RFC 4443 s2.3", 0, CHECKSUM),
)

_PROTOCOL, _QUERY = 58, 130
_ERRORS: Final = frozenset({1, 2, 3, 4})
_LENGTH_GIVEN: Final = frozenset({1, 3})
_DISCOVERY: Final = frozenset({133, 134, 135, 136, 137})
_REDIRECTED_HEADER = 4


def read(walk: Walk, at: int) -> Next:
    """An ICMPv6 message: the packet that it quotes follows."""
    if not walk.here(at, HEADER.size):
        walk.room(at, 8, layout.LAYER_ICMP)
        return None
    opened = walk.open("icmpv6", at)
    walk.fill(opened, HEADER.rows, at)
    kind = walk.octets[at]
    if walk.fragmented or walk.limit > walk.cap:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
    else:
        pseudo = walk.pseudo.sum(_PROTOCOL, walk.limit - at)
        total = walk.add(at, walk.limit) + pseudo
        verdict(opened, CHECKSUM, walk.judge(walk.number(at + 2, 2), total, pseudo), total)
    body = BODIES.get(kind, _UNKNOWN_BODY)
    if kind == _QUERY and walk.limit - at >= MLD2.size:
        body = MLD2
    elif body is _QUOTED_LENGTH and walk.here(at, 8) and not walk.octets[at + 4]:
        body = _UNKNOWN_BODY
    if not walk.more(opened, body, at, layout.LAYER_ICMP):
        return None
    opened.stop = at + body.size
    walk.payload(at + 8)
    if kind in _ERRORS:
        return quote(walk, at + 8, walk.octets[at + 4] * 8 if kind in _LENGTH_GIVEN else 0)
    return _options(walk, opened, at + body.size) if kind in _DISCOVERY else None


def _options(walk: Walk, opened: Layer, at: int) -> Next:
    """Neighbour discovery options; the packet that a redirect is about follows."""
    follow: Next = None
    while walk.here(at, 8):
        walk.fill(opened, OPTION.rows, at)
        kind, size = walk.octets[at], walk.octets[at + 1] * 8
        if size == 0 or not walk.here(at, size):
            break
        walk.fill(opened, KNOWN_OPTIONS.get((kind, size), ()), at)
        opened.stop = at + size
        if kind == _REDIRECTED_HEADER and follow is None:
            follow = "redirected", at
        at += size
    return follow


def redirected(walk: Walk, at: int) -> Next:
    """The redirected header option: the packet that a redirect is about. Source: RFC 4861 s4.6.3."""
    return quote(walk, at + 8, walk.octets[at + 1] * 8 - 8)
