"""VRRP advertisements as whole Ethernet frames: version 2 for IPv4, version 3 for IPv4 and IPv6."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from dsrkit.craft.packets.headers import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ethernet,
    internet_checksum,
    ip,
    ip_version,
    ipv4,
    ipv6,
    pseudo_header,
    within,
)
from dsrkit.errors import UsageError

GROUPS: Final = {4: ("224.0.0.18", "01:00:5e:00:00:12"), 6: ("ff02::12", "33:33:00:00:00:12")}
"""Address and MAC address that all virtual routers listen to. Source: RFC 5798 s5.1.1.2, s5.1.2.2."""
RELEASE: Final = 0
"""Priority of a master that stops. Source: RFC 5798 s5.2.4."""

_VRRP = 112
_ADVERTISEMENT = 1
_NO_AUTHENTICATION, _SIMPLE_PASSWORD = 0, 1
_INTERNETWORK_CONTROL = 0xC0  # CS6, as keepalived and most routers mark it


def virtual_mac(vrid: int, version: int = 4) -> str:
    """The MAC address of a virtual router for IPv4 or IPv6. Source: RFC 5798 s7.3. Raises: UsageError.

    >>> virtual_mac(51)
    '00:00:5e:00:01:33'
    """
    return f"00:00:5e:00:{1 if version == 4 else 2:02x}:{within('virtual router id', vrid, 1, 255):02x}"


def advertisement(
    vrid: int,
    priority: int,
    addresses: Sequence[str],
    src: str,
    *,
    version: int = 2,
    interval: float = 1,
    password: str | None = None,
    src_mac: str | None = None,
    peer: tuple[str, str] | None = None,
    tos: int = _INTERNETWORK_CONTROL,
    ident: int = 0,
    vlan: int | None = None,
) -> bytes:
    """The advertisement of a master for `addresses`, sent from `src` and by default from the virtual MAC address.

    `src` decides between IPv4 and IPv6. `interval` is in seconds. `peer` is an IP and a MAC address to send to instead
    of the multicast group (`unicast_peer` of keepalived). `password` is the simple one that version 2 knew at first.
    `tos` is the TOS octet or the traffic class; TTL and hop limit are 255.
    Source: RFC 3768 s5; RFC 2338 s5.3.6.2; RFC 5798 s5; keepalived vrrp.c vrrp_build_ip4. Raises: UsageError.
    """
    family = ip_version(src)
    if version not in (2, 3) or (version, family) == (2, 6):
        raise UsageError(f"there is no VRRP version {version} for IPv{family} (IPv4 has 2 and 3, IPv6 has 3)")
    if version == 3 and password is not None:
        raise UsageError("VRRP version 3 has no passwords")
    dst, dst_mac = peer or GROUPS[family]
    start = struct.pack(
        "!BBBB",
        version << 4 | _ADVERTISEMENT,
        within("virtual router id", vrid, 1, 255),
        within("priority", priority, 0, 255),
        within("number of addresses", len(addresses), 1, 255),
    )
    timing = _timing_v2(interval, password) if version == 2 else _timing_v3(interval)
    rest = b"".join(ip(address, family) for address in addresses) + _authentication(version, password)
    length = len(start) + len(timing) + 2 + len(rest)
    # only version 3 protects the addresses of the IP header
    covered = pseudo_header(ip(src), ip(dst, family), length, _VRRP) if version == 3 else b""
    checksum = internet_checksum(covered + start + timing + rest)
    message = start + timing + struct.pack("!H", checksum) + rest
    if family == 4:
        ethertype, packet = ETHERTYPE_IPV4, ipv4(src, dst, _VRRP, message, ttl=255, tos=tos, ident=ident)
    else:
        ethertype, packet = ETHERTYPE_IPV6, ipv6(src, dst, _VRRP, message, hop_limit=255, traffic_class=tos)
    return ethernet(dst_mac, src_mac or virtual_mac(vrid, family), ethertype, packet, vlan=vlan)


def _timing_v2(interval: float, password: str | None) -> bytes:
    """Authentication type and seconds between advertisements. Source: RFC 3768 s5.3.6, s5.3.7."""
    if interval != int(interval):
        raise UsageError(f"VRRP version 2 counts whole seconds between advertisements, not {interval:g}")
    kind = _NO_AUTHENTICATION if password is None else _SIMPLE_PASSWORD
    return struct.pack("!BB", kind, within("seconds between advertisements", int(interval), 1, 255))


def _timing_v3(interval: float) -> bytes:
    """Hundredths of seconds between advertisements, in 12 bits. Source: RFC 5798 s5.2.7."""
    return struct.pack("!H", within("hundredths of seconds between advertisements", round(interval * 100), 1, 0xFFF))


def _authentication(version: int, password: str | None) -> bytes:
    """Eight octets at the end of version 2, zero without a password. Source: RFC 3768 s5.3.10."""
    if version == 3:
        return b""
    octets = (password or "").encode()
    if len(octets) > 8:
        raise UsageError(f"a VRRP password has at most 8 octets, not {len(octets)}")
    return octets.ljust(8, b"\0")
