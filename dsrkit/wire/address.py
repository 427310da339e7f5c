"""Addresses as integers: halves of 128 bits for IP, the low 48 bits for MACs; text the way Wireshark prints it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

V4_MAPPED: Final = 0xFFFF_0000_0000
"""Low half of ``::ffff:0.0.0.0``: how a record holds an IPv4 address (hi 0). Source: RFC 4291 s2.5.5.2."""

_MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF
_MAC: Final = re.compile(r"[0-9a-f]{1,2}(?:([:-])[0-9a-f]{1,2})(?:\1[0-9a-f]{1,2}){4}", re.IGNORECASE)


def ip_text(hi: int, lo: int) -> str:
    """The address that two 64-bit halves hold, as Wireshark prints it: IPv4-mapped ones as dotted IPv4.

    >>> ip_text(0, 0xFFFF0A000001)
    '10.0.0.1'
    >>> ip_text(0x20010DB8 << 32, 1)
    '2001:db8::1'
    """
    hi, lo = int(hi), int(lo)
    if hi == 0 and lo >> 32 == 0xFFFF:
        return f"{lo >> 24 & 0xFF}.{lo >> 16 & 0xFF}.{lo >> 8 & 0xFF}.{lo & 0xFF}"
    return str(ipaddress.IPv6Address(hi << 64 | lo))


def ip_halves(text: str) -> tuple[int, int]:
    """The two 64-bit halves of an IPv4 (mapped) or IPv6 address.

    Raises: ValueError, naming the text, where it is no address.

    >>> [hex(half) for half in ip_halves("10.0.0.1")]
    ['0x0', '0xffff0a000001']
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return 0, V4_MAPPED | int(address)
    return int(address) >> 64, int(address) & _MASK64


def mac_text(mac: int) -> str:
    """A MAC as Wireshark prints it.

    >>> mac_text(0x020000000A01)
    '02:00:00:00:0a:01'
    """
    digits = f"{int(mac):012x}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def mac_int(text: str) -> int:
    """The integer of a MAC written with colons or hyphens.

    Raises: ValueError, naming the text, where it is no MAC.

    >>> hex(mac_int("02:00:00:00:0a:01"))
    '0x20000000a01'
    """
    if not _MAC.fullmatch(text):
        raise ValueError(f"{text!r} does not appear to be a MAC address")
    value = 0
    for part in re.split("[:-]", text):
        value = value << 8 | int(part, 16)
    return value
