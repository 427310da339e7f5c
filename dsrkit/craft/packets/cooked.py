"""Frames as a capture on all interfaces shows them: with a cooked header that has no destination MAC address.

Source: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html.
"""

from __future__ import annotations

import struct
from typing import Final

from dsrkit.craft.packets.octets import ETHERNET

TO_US, BROADCAST, MULTICAST, FROM_US = 0, 1, 2, 4
_ARPHRD_ETHER: Final = 1
_SLL2: Final = 20


def cooked(frame: bytes, kind: int, interface: int = 2) -> bytes:
    """An Ethernet frame without tags, cooked."""
    header = struct.pack("!2sHIHBB6sH", frame[12:14], 0, interface, _ARPHRD_ETHER, kind, 6, frame[6:12], 0)
    return header + frame[ETHERNET:]


def kind_of(frame: bytes, *, sent: bool) -> int:
    """How the host that captures got a frame."""
    if sent:
        return FROM_US
    return BROADCAST if frame[:6] == b"\xff" * 6 else MULTICAST if frame[0] & 1 else TO_US


def uncooked(data: bytes) -> bytes:
    """A cooked frame as an Ethernet frame whose destination is unknown."""
    return bytes(6) + data[12:18] + data[:2] + data[_SLL2:]
