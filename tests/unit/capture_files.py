"""Capture files and frames built octet by octet from the formats' definitions, for tests; nothing of dsrkit here."""

from __future__ import annotations

import ipaddress
import struct


def checksum(octets: bytes) -> int:
    """RFC 1071."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet(payload: bytes, kind: int = 0x0800, tags: tuple[tuple[int, int], ...] = ()) -> bytes:
    head = bytes.fromhex("020000000002020000000001")
    for tpid, tci in tags:
        head += struct.pack("!HH", tpid, tci)
    return head + struct.pack("!H", kind) + payload


def ipv4(
    payload: bytes,
    proto: int,
    src: str = "192.0.2.1",
    dst: str = "198.51.100.1",
    *,
    total: int | None = None,
    frag: int = 0x4000,
    options: bytes = b"",
    ttl: int = 64,
    tos: int = 0,
    ident: int = 7,
) -> bytes:
    size = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | size // 4,
        tos,
        size + len(payload) if total is None else total,
        ident,
        frag,
        ttl,
        proto,
        0,
        ipaddress.IPv4Address(src).packed,
        ipaddress.IPv4Address(dst).packed,
    )
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(
    payload: bytes, nxt: int, src: str = "2001:db8::1", dst: str = "2001:db8::2", *, plen: int | None = None
) -> bytes:
    return (
        struct.pack("!IHBB", 0x6_0C_00000 | 0x12345, len(payload) if plen is None else plen, nxt, 64)
        + ipaddress.IPv6Address(src).packed
        + ipaddress.IPv6Address(dst).packed
        + payload
    )


def pseudo(src: str, dst: str, proto: int, size: int) -> bytes:
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 4:
        return a.packed + b.packed + struct.pack("!BBI", 0, proto, size)
    return a.packed + b.packed + struct.pack("!II", size, proto)


def tcp(
    payload: bytes = b"",
    src: str = "192.0.2.1",
    dst: str = "198.51.100.1",
    *,
    sport: int = 40000,
    dport: int = 80,
    flags: int = 0x18,
    seq: int = 0x01020304,
    ack: int = 0x05060708,
    options: bytes = b"",
    field: int | None = None,
) -> bytes:
    size = 20 + len(options)
    body = struct.pack("!HHIIHHHH", sport, dport, seq, ack, size // 4 << 12 | flags, 512, 0, 3)
    body += options + payload
    value = checksum(pseudo(src, dst, 6, len(body)) + body) if field is None else field
    return body[:16] + struct.pack("!H", value) + body[18:]


def udp(
    payload: bytes = b"",
    src: str = "192.0.2.1",
    dst: str = "198.51.100.1",
    *,
    sport: int = 40000,
    dport: int = 53,
    field: int | None = None,
    size: int | None = None,
) -> bytes:
    body = struct.pack("!HHHH", sport, dport, 8 + len(payload) if size is None else size, 0) + payload
    value = (checksum(pseudo(src, dst, 17, len(body)) + body) or 0xFFFF) if field is None else field
    return body[:6] + struct.pack("!H", value) + body[8:]


def icmp(kind: int, code: int, word: int, payload: bytes, over: bytes = b"") -> bytes:
    """ICMP; for ICMPv6 `over` is the pseudo-header."""
    body = struct.pack("!BBHI", kind, code, 0, word) + payload
    return body[:2] + struct.pack("!H", checksum(over + body)) + body[4:]


def pcap(
    frames: list[bytes],
    *,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    linktype: int = 1,
    snaplen: int = 262144,
    when: tuple[int, int] = (1_700_000_000, 123_456),
    step: int = 0,
) -> bytes:
    """A classic capture; frames longer than `snaplen` are cut, each is `step` ticks later than the one before."""
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, snaplen, linktype)
    for i, frame in enumerate(frames):
        cut = frame[:snaplen]
        out += struct.pack(order + "IIII", when[0], when[1] + i * step, len(cut), len(frame))
        if magic == 0xA1B2CD34:
            out += struct.pack(order + "IHBB", 1, 0x0800, 0, 0)
        out += cut
    return out


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(linktype: int = 1, snaplen: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order)


def enhanced(frame: bytes, number: int = 0, ticks: int = 0, order: str = "<", wirelen: int | None = None) -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), wirelen or len(frame))
    return block(6, head + frame, order)
