"""Headers that are only named on the way to what they carry, or instead of it: MPLS, PPPoE, PPP, AH, ESP, IGMP, SCTP.

Source: RFC 3032 s2.1, 2516 s4, 1661 s2, 4302 s2, 4303 s2, 2236 s2, 3376 s4.2, 9260 s3.1.
"""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.ipv6 import AUTHENTICATION
from dsrkit.wire.dissect.protocols import follows
from dsrkit.wire.dissect.table import Row, Table, hexed
from dsrkit.wire.dissect.walk import Next, Walk

MPLS: Final = Table(
    "mpls",
    "RFC 3032 s2.1",
    4,
    (
        Row("mpls.label", 0, 4, mask=0xFFFFF000),
        Row("mpls.exp", 0, 4, mask=0x00000E00),
        Row("mpls.bottom", 0, 4, mask=0x00000100),
        Row("mpls.ttl", 0, 4, mask=0x000000FF),
    ),
)
_PPPOE: Final = (
    Row("pppoe.version", 0, 1, mask=0xF0),
    Row("pppoe.type", 0, 1, mask=0x0F),
    Row("pppoe.code", 1, 1, show=hexed(2)),
    Row("pppoe.session_id", 2, 2, show=hexed(4)),
    Row("pppoe.payload_length", 4, 2),
)
SESSION: Final = Table("pppoes", "RFC 2516 s4", 6, _PPPOE)
DISCOVERY: Final = Table("pppoed", "RFC 2516 s4", 6, _PPPOE)
PPP_FRAMING: Final = (Row("ppp.address", 0, 1, show=hexed(2)), Row("ppp.control", 1, 1, show=hexed(2)))
PPP_PROTOCOL: Final = Row("ppp.protocol", show=hexed(4))
ESP: Final = Table("esp", "RFC 4303 s2", 8, (Row("esp.spi", 0, 4, show=hexed(8)), Row("esp.sequence", 4, 4)))
IGMP: Final = Table(
    "igmp",
    "RFC 2236 s2",
    8,
    (
        Row("igmp.type", 0, 1, show=hexed(2)),
        Row("igmp.checksum", 2, 2, show=hexed(4)),
    ),
)
GROUP: Final = (Row("igmp.max_resp", 1, 1), Row("igmp.maddr", 4, 4, "ip"))
RECORD: Final = (GROUP[1],)
"""Of a group record in a report of version 3, which holds the group where a query does. Source: RFC 3376 s4.2.4."""
SCTP: Final = Table(
    "sctp",
    "RFC 9260 s3.1",
    12,
    (
        Row("sctp.srcport", 0, 2),
        Row("sctp.dstport", 2, 2),
        Row("sctp.verification_tag", 4, 4, show=hexed(8)),
        Row("sctp.checksum", 8, 4, show=hexed(8)),
    ),
)
TABLES: Final = (
    MPLS,
    SESSION,
    DISCOVERY,
    Table("ppp", "RFC 1661 s2, 1662 s3.1", 2, (*PPP_FRAMING, PPP_PROTOCOL)),
    ESP,
    IGMP,
    Table("igmp", "RFC 2236 s2.2, s2.4", 0, GROUP),
    SCTP,
)

_PPP_PROTOCOLS: Final = {0x0021: "ip", 0x0057: "ipv6", 0x0281: "mpls"}
_IGMP_V3_REPORT = 0x22


def mpls(walk: Walk, at: int) -> Next:
    """A label: the next one, or behind the last one an IP packet by its first four bits (RFC 4928 s3)."""
    if walk.take(MPLS, at, layout.LAYER_LINK) is None:
        return None
    if not walk.octets[at + 2] & 1:
        return "mpls", at + 4
    version = walk.octets[at + 4] >> 4 if walk.here(at + 4, 1) else 0
    if version in (4, 6):
        return ("ip" if version == 4 else "ipv6"), at + 4
    walk.payload(at + 4)
    return None


def session(walk: Walk, at: int) -> Next:
    """PPPoE that carries packets."""
    return None if walk.take(SESSION, at, layout.LAYER_LINK) is None else ("ppp", at + 6)


def discovery(walk: Walk, at: int) -> Next:
    """PPPoE that looks for a concentrator."""
    if walk.take(DISCOVERY, at, layout.LAYER_LINK) is not None:
        walk.payload(at + 6)
    return None


def ppp(walk: Walk, at: int) -> Next:
    """PPP with or without its framing, and with its protocol in one or two octets (RFC 1661 s6.5)."""
    opened = walk.open("ppp", at)
    if walk.octets[at : at + 2] == b"\xff\x03" and walk.here(at, 2):
        walk.fill(opened, PPP_FRAMING, at)
        at += 2
    if not walk.room(at, 1, layout.LAYER_LINK):
        return None
    size = 1 if walk.octets[at] & 1 else 2
    if not walk.room(at, size, layout.LAYER_LINK):
        return None
    protocol = walk.number(at, size)
    walk.put(opened, PPP_PROTOCOL, protocol, at, at + size)
    if protocol in _PPP_PROTOCOLS:
        return _PPP_PROTOCOLS[protocol], at + size
    walk.payload(at + size)
    return None


def authentication(walk: Walk, at: int) -> Next:
    """An authentication header over IPv4."""
    opened = walk.take(AUTHENTICATION, at, layout.LAYER_IP)
    if opened is None:
        return None
    size = (walk.octets[at + 1] + 2) * 4
    if not walk.room(at, size, layout.LAYER_IP):
        return None
    opened.stop = at + size
    return follows(walk, walk.octets[at], at + size)


def esp(walk: Walk, at: int) -> Next:
    """An encrypted payload: here the reading ends."""
    if walk.take(ESP, at, layout.LAYER_IP) is not None:
        walk.payload(at + 8)
    return None


def igmp(walk: Walk, at: int) -> Next:
    """Group membership."""
    opened = walk.take(IGMP, at, layout.LAYER_IP)
    if opened is not None and walk.octets[at] != _IGMP_V3_REPORT:
        walk.fill(opened, GROUP, at)
    elif opened is not None:
        place = at + 8
        for _ in range(walk.number(at + 6, 2)):
            if not walk.here(place, 8):
                break
            walk.fill(opened, RECORD, place)
            opened.stop = place + 8
            place += 8 + 4 * (walk.octets[place + 1] + walk.number(place + 2, 2))
    walk.payload(opened.stop if opened else at + 8)
    return None


def sctp(walk: Walk, at: int) -> Next:
    """SCTP's common header."""
    if walk.take(SCTP, at, layout.LAYER_IP) is not None:
        walk.payload(at + 12)
    return None
