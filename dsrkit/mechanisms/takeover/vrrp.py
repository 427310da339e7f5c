"""VRRP advertisements, read from octets: versions 2 and 3, for IPv4 and IPv6, to the group or to one peer."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from dsrkit.classes import dataclass

PROTOCOL: Final = 112
_ADVERTISEMENT = 1
_HEADER = 8
_CENTISECOND = 10_000_000
_SECOND = 1_000_000_000
_UNIVERSAL = 0x0200_0000_0000
_VIRTUAL: Final = {4: 0x0000_5E00_0100, 6: 0x0000_5E00_0200}


@dataclass(frozen=True, slots=True)
class Advert:
    """What a master says. Priority 0: it stops being master. Units: ns."""

    version: int
    vrid: int
    priority: int
    interval_ns: int
    addresses: tuple[str, ...]


def parse(octets: bytes, family: int) -> Advert | None:
    """The advertisement behind an IP header; None for what is cut or none (a length that claims more than there is).

    Source: RFC 3768 s5.3, RFC 5798 s5.2, RFC 9568 s5.2.
    """
    if len(octets) < _HEADER or octets[0] & 0xF != _ADVERTISEMENT:
        return None
    version, vrid, priority, count = octets[0] >> 4, octets[1], octets[2], octets[3]
    size = 4 if family == 4 else 16
    if version not in (2, 3) or len(octets) < _HEADER + count * size:
        return None
    if version == 2:
        interval = octets[5] * _SECOND
    else:
        interval = ((octets[4] & 0xF) << 8 | octets[5]) * _CENTISECOND
    listed = [octets[_HEADER + i * size : _HEADER + (i + 1) * size] for i in range(count)]
    texts = [str(IPv4Address(x)) if family == 4 else str(IPv6Address(x)) for x in listed]
    return Advert(version, vrid, priority, interval, tuple(texts))


def is_virtual(mac: int) -> bool:
    """Whether a MAC is a virtual router's, which moves with the VIP. Source: RFC 5798 s7.3."""
    return mac >> 8 in (_VIRTUAL[4] >> 8, _VIRTUAL[6] >> 8)


def vrid_of(mac: int) -> int:
    """The virtual router id in a virtual MAC.

    >>> vrid_of(0x00005E000133)
    51
    """
    return mac & 0xFF


def interface_mac(address: str) -> int | None:
    """The MAC that a link-local address was made of, if it was. Source: RFC 4291 s2.5.6, appendix A.

    >>> hex(interface_mac("fe80::b1:ff:fe00:10b"))
    '0x2b10000010b'
    """
    if not address.startswith("fe80:"):
        return None
    low = int(IPv6Address(address)) & 0xFFFF_FFFF_FFFF_FFFF
    if low >> 24 & 0xFFFF != 0xFFFE:
        return None
    return (low >> 40 << 24 | low & 0xFF_FFFF) ^ _UNIVERSAL
