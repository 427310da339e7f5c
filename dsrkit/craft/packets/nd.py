"""Neighbour discovery as whole Ethernet frames: solicitations, advertisements and redirects of RFC 4861."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

from dsrkit.craft.packets.headers import ETHERTYPE_IPV6, ethernet, internet_checksum, ip, ipv6, mac, pseudo_header
from dsrkit.errors import UsageError

ALL_NODES: Final = "ff02::1"
UNSPECIFIED: Final = "::"

_ICMPV6 = 58
_SOLICITATION, _ADVERTISEMENT, _REDIRECT = 135, 136, 137
_SOURCE_LINK_ADDRESS, _TARGET_LINK_ADDRESS, _REDIRECTED_HEADER, _NONCE = 1, 2, 4, 14
_LARGEST = 1280  # of an ICMPv6 error, and of a redirect
_ROUTER, _SOLICITED, _OVERRIDE = 1 << 31, 1 << 30, 1 << 29


def solicited_node(target: str) -> str:
    """The multicast group that every owner of `target` listens to. Source: RFC 4291 s2.7.1. Raises: UsageError.

    >>> solicited_node("2001:db8:b::100")
    'ff02::1:ff00:100'
    """
    return str(ipaddress.IPv6Address(ip("ff02::1:ff00:0")[:13] + ip(target, 6)[13:]))


def multicast_mac(group: str) -> str:
    """The MAC address of an IPv6 group. Source: RFC 2464 s7. Raises: UsageError."""
    return (b"\x33\x33" + ip(group, 6)[12:]).hex(":")


def link_local(address: str) -> str:
    """The link-local address that is made from a MAC address. Source: RFC 4291 app. A. Raises: UsageError.

    >>> link_local("02:aa:00:00:00:0b")
    'fe80::aa:ff:fe00:b'
    """
    octets = mac(address)
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def solicitation(
    target: str, src: str, src_mac: str, *, dst: str | None = None, dst_mac: str | None = None, vlan: int | None = None
) -> bytes:
    """Who has `target`? To its solicited-node group, or to `dst` alone when an entry is only confirmed.

    Source: RFC 4861 s4.3, s7.2.2. Raises: UsageError.
    """
    to = dst or solicited_node(target)
    option = _link_address(_SOURCE_LINK_ADDRESS, src_mac)
    body = bytes(4) + ip(target, 6) + option
    return _frame(_SOLICITATION, body, src, to, src_mac, dst_mac, vlan)


def duplicate_detection(target: str, src_mac: str, *, nonce: bytes | None = None, vlan: int | None = None) -> bytes:
    """Does anybody have `target`, asked before it is used: from `::`, without a link-layer address.

    Linux adds a nonce of 6 octets unless `enhanced_dad` is 0.
    Source: RFC 4862 s5.4.2; RFC 7527 s4.1. Raises: UsageError.
    """
    if nonce is not None and (len(nonce) < 6 or len(nonce) % 8 != 6):
        raise UsageError(f"a nonce has 6 octets (or 14, 22, ...), not {len(nonce)}")
    option = b"" if nonce is None else struct.pack("!BB", _NONCE, (len(nonce) + 2) // 8) + nonce
    body = bytes(4) + ip(target, 6) + option
    return _frame(_SOLICITATION, body, UNSPECIFIED, solicited_node(target), src_mac, None, vlan)


def advertisement(
    target: str,
    target_mac: str,
    *,
    dst: str = ALL_NODES,
    dst_mac: str | None = None,
    src: str | None = None,
    router: bool = False,
    solicited: bool = True,
    override: bool = True,
    vlan: int | None = None,
) -> bytes:
    """`target` is at `target_mac`, in answer to a solicitation from `dst`; sent from `target` unless `src` is given.

    Source: RFC 4861 s4.4, s7.2.4. Raises: UsageError.
    """
    flags = _ROUTER * router | _SOLICITED * solicited | _OVERRIDE * override
    body = struct.pack("!I", flags) + ip(target, 6) + _link_address(_TARGET_LINK_ADDRESS, target_mac)
    return _frame(_ADVERTISEMENT, body, src or target, dst, target_mac, dst_mac, vlan)


def unsolicited(
    target: str, target_mac: str, *, src: str | None = None, router: bool = False, vlan: int | None = None
) -> bytes:
    """`target` is at `target_mac`, told to all nodes unasked: the gratuitous ARP of IPv6.

    Source: RFC 4861 s7.2.6; net/ipv6/ndisc.c ndisc_send_unsol_na. Raises: UsageError.
    """
    return advertisement(target, target_mac, src=src, router=router, solicited=False, vlan=vlan)


def redirect(
    target: str, target_mac: str, about: bytes, *, src_mac: str, dst_mac: str, vlan: int | None = None
) -> bytes:
    """The better next hop for an IPv6 packet is `target`: from a router, to the packet's source.

    Source: RFC 4861 s4.5, s8.2; net/ipv6/ndisc.c ndisc_send_redirect. Raises: UsageError.
    """
    source, destination = (str(ipaddress.IPv6Address(about[at : at + 16])) for at in (8, 24))
    known = _link_address(_TARGET_LINK_ADDRESS, target_mac)
    room = _LARGEST - 40 - 40 - len(known) - 8
    quoted = about[: min(len(about), room) & ~7]
    header = struct.pack("!BB6x", _REDIRECTED_HEADER, 1 + len(quoted) // 8) + quoted
    body = bytes(4) + ip(target, 6) + ip(destination, 6) + known + header
    return _frame(_REDIRECT, body, link_local(src_mac), source, src_mac, dst_mac, vlan)


def _link_address(kind: int, address: str) -> bytes:
    return struct.pack("!BB", kind, 1) + mac(address)


def _frame(kind: int, body: bytes, src: str, dst: str, src_mac: str, dst_mac: str | None, vlan: int | None) -> bytes:
    """An ICMPv6 message in IPv6 in Ethernet; hop limit 255 proves that no router forwarded it (RFC 4861 s7.1)."""
    source, target = ip(src, 6), ip(dst, 6)
    if dst_mac is None:
        if target[0] != 0xFF:
            raise UsageError(f"{dst} is no multicast address, so its MAC address has to be given")
        dst_mac = multicast_mac(dst)
    bare = struct.pack("!BBH", kind, 0, 0) + body
    checksum = internet_checksum(pseudo_header(source, target, len(bare), _ICMPV6) + bare)
    message = struct.pack("!BBH", kind, 0, checksum) + body
    return ethernet(dst_mac, src_mac, ETHERTYPE_IPV6, ipv6(src, dst, _ICMPV6, message, hop_limit=255), vlan=vlan)
