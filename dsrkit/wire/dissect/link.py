"""Link layers: Ethernet with its tags, 802.3 with LLC and SNAP, Linux cooked captures, BSD loopback, raw IP.

Source: IEEE 802.3 s3.2, 802.1Q s9, 802 s9.2; www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.protocols import ethertype_text, typed
from dsrkit.wire.dissect.table import Row, Table, hexed
from dsrkit.wire.dissect.walk import Next, Walk

ETHERNET: Final = Table("eth", "IEEE 802.3 s3.2", 14, (Row("eth.dst", 0, 6, "mac"), Row("eth.src", 6, 6, "mac")))
TYPE: Final = Row("eth.type", 12, 2, show=ethertype_text)
LENGTH: Final = Row("eth.len", 12, 2)
VLAN: Final = Table(
    "vlan",
    "IEEE 802.1Q s9.6",
    4,
    (
        Row("vlan.priority", 0, 2, mask=0xE000),
        Row("vlan.dei", 0, 2, mask=0x1000),
        Row("vlan.id", 0, 2, mask=0x0FFF),
    ),
)
VLAN_TYPE: Final = Row("vlan.etype", 2, 2, show=ethertype_text)
VLAN_LENGTH: Final = Row("vlan.len", 2, 2)
SERVICE_TAG: Final = Table(
    "ieee8021ad",
    "IEEE 802.1Q s9.6",
    4,
    (
        Row("ieee8021ad.priority", 0, 2, mask=0xE000),
        Row("ieee8021ad.dei", 0, 2, mask=0x1000),
        Row("ieee8021ad.id", 0, 2, mask=0x0FFF),
    ),
)
LLC: Final = Table(
    "llc",
    "IEEE 802.2 s3.2",
    3,
    (Row("llc.dsap", 0, 1, show=hexed(2)), Row("llc.ssap", 1, 1, show=hexed(2))),
)
UNNUMBERED: Final = Row("llc.control", 2, 1)
SNAP: Final = Table(
    "llc", "IEEE 802 s9.2", 5, (Row("llc.oui", 0, 3, show=hexed(6)), Row("llc.type", 3, 2, show=ethertype_text))
)
COOKED: Final = Table(
    "sll",
    "LINKTYPE_LINUX_SLL",
    16,
    (
        Row("sll.pkttype", 0, 2),
        Row("sll.hatype", 2, 2),
        Row("sll.halen", 4, 2),
    ),
)
COOKED_TYPE: Final = Row("sll.etype", 14, 2, show=ethertype_text)
COOKED2: Final = Table(
    "sll",
    "LINKTYPE_LINUX_SLL2",
    20,
    (
        Row("sll.etype", 0, 2, show=ethertype_text),
        Row("sll.ifindex", 4, 4),
        Row("sll.hatype", 8, 2),
        Row("sll.pkttype", 10, 1),
        Row("sll.halen", 11, 1),
    ),
)
SOURCE: Final = Row("sll.src.eth", kind="mac")
FAMILY: Final = Row("null.family", 0, 4, source="LINKTYPE_NULL, LINKTYPE_LOOP")
TABLES: Final = (
    ETHERNET,
    Table("eth", "IEEE 802.3 s3.2", 0, (TYPE, LENGTH)),
    VLAN,
    Table("vlan", "IEEE 802.1Q s9.3", 0, (VLAN_TYPE, VLAN_LENGTH)),
    SERVICE_TAG,
    LLC,
    Table("llc", "IEEE 802.2 s5.2", 0, (UNNUMBERED,)),
    SNAP,
    COOKED,
    COOKED2,
    Table("sll", "LINKTYPE_LINUX_SLL", 0, (COOKED_TYPE, SOURCE)),
    Table("null", "LINKTYPE_NULL", 4, (FAMILY,)),
)

_ETHER_TYPES_FROM: Final = 0x0600
_FAMILIES: Final = {2: "ip", 10: "ipv6", 24: "ipv6", 28: "ipv6", 30: "ipv6"}
"""AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD and Darwin."""


def ethernet(walk: Walk, at: int) -> Next:
    """An Ethernet frame: by type, or 802.3 by length."""
    if not walk.room(at, ETHERNET.size, layout.LAYER_LINK):
        return None
    opened = walk.open("eth", at)
    walk.fill(opened, ETHERNET.rows, at)
    kind = walk.number(at + 12, 2)
    walk.fill(opened, (TYPE,) if kind >= _ETHER_TYPES_FROM else (LENGTH,), at)
    if kind >= _ETHER_TYPES_FROM:
        return typed(walk, kind, at + 14)
    return _lengthed(walk, kind, at + 14)


def _lengthed(walk: Walk, length: int, at: int) -> Next:
    """What follows a length where a type may stand. Source: IEEE 802.3 s3.2.6."""
    walk.payload(at)
    if length > 1500 or not walk.here(at, 3):
        return None
    return "llc", at


def vlan(walk: Walk, at: int) -> Next:
    """A customer's tag (802.1Q)."""
    opened = walk.take(VLAN, at, layout.LAYER_LINK)
    if opened is None:
        return None
    walk.fill(opened, (VLAN_TYPE,) if walk.number(at + 2, 2) >= _ETHER_TYPES_FROM else (VLAN_LENGTH,), at)
    return _tagged(walk, at)


def service_tag(walk: Walk, at: int) -> Next:
    """A provider's tag (802.1ad)."""
    if walk.take(SERVICE_TAG, at, layout.LAYER_LINK) is None:
        return None
    return _tagged(walk, at)


def _tagged(walk: Walk, at: int) -> Next:
    kind = walk.number(at + 2, 2)
    return typed(walk, kind, at + 4) if kind >= _ETHER_TYPES_FROM else _lengthed(walk, kind, at + 4)


def llc(walk: Walk, at: int) -> Next:
    """Logical link control, and the Ethernet type of a SNAP header behind it."""
    opened = walk.take(LLC, at, layout.LAYER_LINK)
    if opened is not None and walk.octets[at + 2] & 3 == 3:
        walk.fill(opened, (UNNUMBERED,), at)
    if opened is None or walk.octets[at : at + 3] != b"\xaa\xaa\x03":
        walk.payload(at + 3)
        return None
    if not walk.more(opened, SNAP, at + 3, layout.LAYER_LINK):
        return None
    return typed(walk, walk.number(at + 6, 2), at + 8) if walk.number(at + 3, 3) == 0 else None


def cooked(walk: Walk, at: int) -> Next:
    """Linux cooked capture."""
    opened = walk.take(COOKED, at, layout.LAYER_LINK)
    if opened is None:
        return None
    if walk.number(at + 4, 2) == 6:
        walk.put(opened, SOURCE, walk.octets[at + 6 : at + 12].hex(":"), at + 6, at + 12)
    walk.fill(opened, (COOKED_TYPE,), at)
    return typed(walk, walk.number(at + 14, 2), at + 16)


def cooked2(walk: Walk, at: int) -> Next:
    """Linux cooked capture, version 2: with the interface."""
    opened = walk.take(COOKED2, at, layout.LAYER_LINK)
    if opened is None:
        return None
    if walk.octets[at + 11] == 6:
        walk.put(opened, SOURCE, walk.octets[at + 12 : at + 18].hex(":"), at + 12, at + 18)
    return typed(walk, walk.number(at, 2), at + 20)


def null(walk: Walk, at: int) -> Next:
    """BSD loopback: the address family in the byte order of the machine that captured."""
    if not walk.room(at, 4, layout.LAYER_LINK):
        return None
    octets = walk.octets[at : at + 4]
    family = int.from_bytes(octets, "big")
    if family > 0xFFFF:  # the other machine's order: families are small numbers
        family = int.from_bytes(octets, "little")
    walk.put(walk.open("null", at), FAMILY, family, at, at + 4)
    if family in _FAMILIES:
        return _FAMILIES[family], at + 4
    walk.payload(at + 4)
    return None


def raw(walk: Walk, at: int) -> Next:
    """IP without a link layer, its version in its first four bits."""
    walk.open("raw", at)
    return any_ip(walk, at)


def any_ip(walk: Walk, at: int) -> Next:
    """An IP packet of either version."""
    if not walk.room(at, 1, layout.LAYER_IP):
        return None
    version = walk.octets[at] >> 4
    if version in (4, 6):
        return ("ip" if version == 4 else "ipv6"), at
    walk.defect(layout.DEFECT_VERSION, layout.LAYER_IP, 46, version, layout.BY_HEADER)
    return None
