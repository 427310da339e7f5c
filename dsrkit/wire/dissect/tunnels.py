"""Tunnels in UDP: GUE, VXLAN, Geneve, and GRE and MPLS on their ports.

GUE is recognised as the scan does it: by the port, and on any other port where it cannot be chance.

Source: draft-ietf-intarea-gue s3, s4; RFC 7348 s5; RFC 8926 s3.4; draft-ietf-nvo3-vxlan-gpe s3; RFC 8086; RFC 7510.
"""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.protocols import known, typed
from dsrkit.wire.dissect.table import Row, Table, hexed
from dsrkit.wire.dissect.walk import Next, Walk

GUE: Final = Table(
    "gue",
    "draft-ietf-intarea-gue s3.1",
    4,
    (
        Row("gue.version", 0, 1, mask=0xC0),
        Row("gue.control", 0, 1, mask=0x20),
        Row("gue.hlen", 0, 1, mask=0x1F, scale=4),
        Row("gue.proto", 1, 1),
        Row("gue.flags", 2, 2, show=hexed(4)),
        Row("gue.word", 0, 4, show=hexed(8)),
    ),
)
VXLAN: Final = Table(
    "vxlan",
    "RFC 7348 s5",
    8,
    (
        Row("vxlan.flags", 0, 2, show=hexed(4)),
        Row("vxlan.vni", 4, 3),
    ),
)
GENEVE: Final = Table(
    "geneve",
    "RFC 8926 s3.4",
    8,
    (
        Row("geneve.version", 0, 1, mask=0xC0),
        Row("geneve.flags.oam", 1, 1, mask=0x80),
        Row("geneve.flags.critical", 1, 1, mask=0x40),
        Row("geneve.proto_type", 2, 2, show=hexed(4)),
        Row("geneve.vni", 4, 3),
    ),
)
GENEVE_OPTION: Final = Table(
    "geneve",
    "RFC 8926 s3.5",
    4,
    (
        Row("geneve.option.class", 0, 2, show=hexed(4)),
        Row("geneve.option.type", 2, 1, show=hexed(2)),
    ),
)
OPTION_LENGTH: Final = Row("geneve.option.length", mask=0x1F)
OPTION_OCTETS: Final = Row("geneve.option", kind="bytes")
TABLES: Final = (GUE, VXLAN, GENEVE, GENEVE_OPTION, Table("geneve", "RFC 8926 s3.5", 0, (OPTION_LENGTH, OPTION_OCTETS)))

_VXLAN_PORT, _GENEVE_PORT, _GPE_PORT, _GRE_PORT, _MPLS_PORT = 4789, 6081, 4790, 4754, 6635
_GPE_NEXT: Final = {1: "ip", 2: "ipv6", 3: "eth"}
_MOST_LABELS = 16
_IPS: Final = {4: "ip", 41: "ipv6"}
_TRANSPORTS: Final = frozenset({6, 17, 58})


def carried(walk: Walk, at: int, limit: int) -> Next:
    """The tunnel header behind the UDP header at `at`, whose datagram ends at `limit`; None where it is no tunnel."""
    inner, port = at + 8, walk.number(at + 2, 2)
    if port in walk.gue_ports:
        return _gue(walk, inner, limit)
    if port in (_VXLAN_PORT, _GENEVE_PORT):
        if not walk.here(inner, 8):
            walk.cut(inner, 8, layout.LAYER_GUE)
            return None
        first = walk.octets[inner]
        if port == _VXLAN_PORT:
            return ("vxlan", inner) if first & 0x08 else None  # flag I: the VNI is valid
        return None if first & 0xC0 else ("geneve", inner)
    if port == _GPE_PORT and walk.here(inner, 8) and walk.octets[inner] & 0x0C == 0x0C:  # flags I and P
        return "vxlan.gpe", inner
    if port == _GRE_PORT and walk.here(inner, 4) and not walk.number(inner, 2) & 0x4FFF:
        return ("gre", inner) if known(walk.number(inner + 2, 2)) else None
    if port == _MPLS_PORT:
        return _labels(walk, inner, limit)
    return _gue_anywhere(walk, inner, limit)


def _labels(walk: Walk, at: int, limit: int) -> Next:
    """MPLS labels with a plausible IP packet behind the last one."""
    for place in range(at, at + 4 * _MOST_LABELS, 4):
        if not walk.here(place, 4):
            return None
        if walk.octets[place + 2] & 1:
            return ("mpls", at) if plausible(walk, place + 4, limit) else None
    return None


def _gue(walk: Walk, at: int, limit: int) -> Next:
    """GUE of either variant at `at`, where it carries a plausible IP packet."""
    if not walk.here(at, 4):
        walk.cut(at, 4, layout.LAYER_GUE)
        return None
    first, protocol = walk.octets[at], walk.octets[at + 1]
    if first >> 6 == 1:
        return ("gue.bare", at) if plausible(walk, at, limit) else None
    if first >> 5 or protocol not in _IPS:  # another version, or a control message; another protocol
        return None
    return ("gue", at) if plausible(walk, at + 4 + 4 * (first & 31), limit) == _IPS[protocol] else None


def _gue_anywhere(walk: Walk, at: int, limit: int) -> Next:
    """GUE on a port that nobody named: the packet in it must fill the datagram to its last octet.

    An IPv4 packet has to have a valid header checksum, an IPv6 one a transport behind its header. IPv6 without a GUE
    header is left alone: that is Teredo (RFC 4380 s2.7).
    """
    if not walk.here(at, 24):
        return None
    inner, first = at, walk.octets[at]
    bare = first >> 6 == 1
    if not bare:
        if first >> 5 or walk.octets[at + 1] not in _IPS:
            return None
        inner = at + 4 + 4 * (first & 31)
    if not walk.here(inner, 20):
        return None
    version = walk.octets[inner] >> 4
    if version == 4:
        header, total = (walk.octets[inner] & 15) * 4, walk.number(inner + 2, 2)
        if header < 20 or not walk.here(inner, header) or walk.add(inner, inner + header) != 0xFFFF:
            return None
    elif version == 6 and not bare and walk.here(inner, 40):
        total = 40 + walk.number(inner + 4, 2)
        if walk.octets[inner + 6] not in _TRANSPORTS:
            return None
    else:
        return None
    if inner + total != limit and (not walk.fragmented or inner + total < limit):
        return None
    return _gue(walk, at, inner + total)


def plausible(walk: Walk, at: int, limit: int) -> str:
    """The parser of an IP packet at `at` whose lengths fit before `limit`; else nothing."""
    if not walk.here(at, 20):
        walk.cut(at, 20, layout.LAYER_IP)
        return ""
    version = walk.octets[at] >> 4
    if version == 4:
        header, total = (walk.octets[at] & 15) * 4, walk.number(at + 2, 2)
        if header < 20 or total < header:
            return ""
    elif version == 6:
        if not walk.here(at, 40):
            walk.cut(at, 40, layout.LAYER_IP)
            return ""
        total = 40 + walk.number(at + 4, 2)
    else:
        return ""
    if at + total > limit:
        return ""
    return "ip" if version == 4 else "ipv6"


def gue(walk: Walk, at: int) -> Next:
    """A GUE header of variant 0."""
    opened = walk.take(GUE, at, layout.LAYER_GUE)
    if opened is None:
        return None
    size = 4 + 4 * (walk.octets[at] & 31)
    opened.stop = at + size
    return _IPS[walk.octets[at + 1]], at + size


def bare_gue(walk: Walk, at: int) -> Next:
    """GUE of variant 1: no header, the first bits of the IP header say so."""
    walk.fill(walk.open("gue", at), GUE.rows[:1], at)
    walk.out.layers[-1].stop = at
    return ("ip" if walk.octets[at] >> 4 == 4 else "ipv6"), at


def vxlan(walk: Walk, at: int) -> Next:
    """A VXLAN header: an Ethernet frame follows."""
    if walk.take(VXLAN, at, layout.LAYER_GUE) is None:
        return None
    return "eth", at + 8


def vxlan_gpe(walk: Walk, at: int) -> Next:
    """A VXLAN header that says what follows."""
    if walk.take(VXLAN, at, layout.LAYER_GUE) is None:
        return None
    follow = _GPE_NEXT.get(walk.octets[at + 3])
    if follow is None:
        walk.payload(at + 8)
        return None
    return follow, at + 8


def geneve(walk: Walk, at: int) -> Next:
    """A Geneve header with its options: what its Ethernet type says follows."""
    opened = walk.take(GENEVE, at, layout.LAYER_GUE)
    if opened is None:
        return None
    end = at + 8 + (walk.octets[at] & 0x3F) * 4
    place = at + 8
    while place < min(end, walk.cap) and walk.more(opened, GENEVE_OPTION, place, layout.LAYER_GUE):
        size = 4 + (walk.octets[place + 3] & 0x1F) * 4
        walk.put(opened, OPTION_LENGTH, size, place + 3, place + 4)
        if place + size <= min(end, walk.cap):
            walk.put(opened, OPTION_OCTETS, walk.octets[place : place + size], place, place + size)
        place += size
    if not walk.room(at, end - at, layout.LAYER_GUE):
        return None
    opened.stop = end
    return typed(walk, walk.number(at + 2, 2), end)
