"""ARP, and what its address pairs mean. Source: RFC 826, 5227."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.walk import Next, Walk, ip_of

HEADER: Final = Table(
    "arp",
    "RFC 826",
    8,
    (
        Row("arp.hw.type", 0, 2, show=named({1: "Ethernet"})),
        Row("arp.proto.type", 2, 2, show=hexed(4)),
        Row("arp.hw.size", 4, 1),
        Row("arp.proto.size", 5, 1),
        Row("arp.opcode", 6, 2, show=named({1: "request", 2: "reply", 3: "reverse request", 4: "reverse reply"})),
    ),
)
SENDER_MAC: Final = Row("arp.src.hw_mac", kind="mac")
SENDER_IP: Final = Row("arp.src.proto_ipv4", kind="ip")
TARGET_MAC: Final = Row("arp.dst.hw_mac", kind="mac")
TARGET_IP: Final = Row("arp.dst.proto_ipv4", kind="ip")
SENDER_HARDWARE: Final = Row("arp.src.hw", kind="bytes")
SENDER_PROTOCOL: Final = Row("arp.src.proto", kind="bytes")
TARGET_HARDWARE: Final = Row("arp.dst.hw", kind="bytes")
TARGET_PROTOCOL: Final = Row("arp.dst.proto", kind="bytes")
GRATUITOUS: Final = Row("arp.isgratuitous", source="RFC 5944 s4.6")
PROBE: Final = Row("arp.isprobe", source="RFC 5227 s2.1.1")
ANNOUNCEMENT: Final = Row("arp.isannouncement", source="RFC 5227 s2.3")
ADDRESSES: Final = Table(
    "arp",
    "RFC 826",
    0,
    (
        *(SENDER_MAC, SENDER_IP, TARGET_MAC, TARGET_IP),
        *(SENDER_HARDWARE, SENDER_PROTOCOL, TARGET_HARDWARE, TARGET_PROTOCOL),
        *(GRATUITOUS, PROBE, ANNOUNCEMENT),
    ),
)
TABLES: Final = (HEADER, ADDRESSES)

_REQUEST, _REPLY = 1, 2


def read(walk: Walk, at: int) -> Next:
    """An ARP packet: nothing follows."""
    opened = walk.take(HEADER, at, layout.LAYER_ARP)
    if opened is None:
        return None
    protocol, operation = walk.number(at + 2, 2), walk.number(at + 6, 2)
    hardware_size, protocol_size = walk.octets[at + 4], walk.octets[at + 5]
    size = 8 + 2 * (hardware_size + protocol_size)
    whole = walk.room(at, size, layout.LAYER_ARP)
    macs, ips = hardware_size == 6, protocol == 0x0800 and protocol_size == 4
    place = at + 8
    found: list[bytes] = []
    for width, row in (
        (hardware_size, SENDER_MAC if macs else SENDER_HARDWARE),
        (protocol_size, SENDER_IP if ips else SENDER_PROTOCOL),
        (hardware_size, TARGET_MAC if macs else TARGET_HARDWARE),
        (protocol_size, TARGET_IP if ips else TARGET_PROTOCOL),
    ):
        if not walk.here(place, width):
            return None
        octets = walk.octets[place : place + width]
        found.append(octets)
        if not width:
            continue
        value = octets.hex(":") if row.kind == "mac" else ip_of(octets) if row.kind == "ip" else octets
        walk.put(opened, row, value, place, place + width)
        place += width
    if whole and operation in (_REQUEST, _REPLY):
        _, sender, target_hardware, target = found
        gratuitous = sender == target
        if gratuitous:
            walk.put(opened, GRATUITOUS, 1, at, at)
        if operation == _REQUEST and gratuitous and not any(target_hardware):
            walk.put(opened, ANNOUNCEMENT, 1, at, at)
        elif operation == _REQUEST and ips and not gratuitous and not any(sender):
            walk.put(opened, PROBE, 1, at, at)
    if place < len(walk.octets) and walk.out.trailer is None:
        walk.out.trailer = place, len(walk.octets)
    return None
