"""VRRP 2 and 3. Source: RFC 3768 s5, 5798 s5."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.table import Row, Table, hexed
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, checksum_rows, ip_of, verdict

HEADER: Final = Table(
    "vrrp",
    "RFC 5798 s5.1",
    8,
    (
        Row("vrrp.version", 0, 1, mask=0xF0),
        Row("vrrp.type", 0, 1, mask=0x0F),
        Row("vrrp.virt_rtr_id", 1, 1),
        Row("vrrp.prio", 2, 1),
        Row("vrrp.addr_count", 3, 1),
        Row("vrrp.checksum", 6, 2, show=hexed(4)),
    ),
)
CHECKSUM: Final = checksum_rows("vrrp")
VERSION_2: Final = (
    Row("vrrp.auth_type", 4, 1, source="RFC 3768 s5.3.6"),
    Row("vrrp.adver_int", 5, 1, source="RFC 3768 s5.3.7"),
)
VERSION_3: Final = (Row("vrrp.short_adver_int", 4, 2, mask=0x0FFF, source="RFC 5798 s5.2.7"),)
ADDRESS: Final = Row("vrrp.ip_addr", kind="ip")
ADDRESS_6: Final = Row("vrrp.ipv6_addr", kind="ip")
TABLES: Final = (
    HEADER,
    Table("vrrp", "RFC 5798 s5.2.9", 0, (*VERSION_2, *VERSION_3, ADDRESS, ADDRESS_6)),
    Table("vrrp", "RFC 5798 s5.2.8", 0, CHECKSUM),
)

_PROTOCOL = 112


def read(walk: Walk, at: int) -> Next:
    """An advertisement: the addresses of a virtual router."""
    opened = walk.take(HEADER, at, layout.LAYER_FRAME)
    if opened is None:
        return None
    version = walk.octets[at] >> 4
    walk.fill(opened, VERSION_3 if version == 3 else VERSION_2, at)
    _judge(walk, opened, at, version)
    row, size = (ADDRESS, 4) if walk.pseudo.version == 4 else (ADDRESS_6, 16)
    place = at + 8
    for _ in range(walk.octets[at + 3]):
        if not walk.here(place, size):
            break
        walk.put(opened, row, ip_of(walk.octets[place : place + size]), place, place + size)
        place += size
    walk.payload(place)
    return None


def _judge(walk: Walk, opened: Layer, at: int, version: int) -> None:
    """The checksum: version 3 has a pseudo-header (RFC 5798 s5.2.8), version 2 none (RFC 3768 s5.3.8)."""
    if walk.limit > walk.cap or walk.fragmented:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        return
    pseudo = walk.pseudo.sum(_PROTOCOL, walk.limit - at) if version == 3 else 0
    total = walk.add(at, walk.limit) + pseudo
    verdict(opened, CHECKSUM, walk.judge(walk.number(at + 6, 2), total, pseudo), total)
