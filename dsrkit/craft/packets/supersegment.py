"""Several TCP segments as one, the way that segmentation offload shows them to a capture on the machine itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsrkit.craft.packets.headers import internet_checksum, pseudo_header
from dsrkit.craft.packets.octets import TCP, Octets

_FIN, _SYN, _RST, _PSH, _URG = 0x01, 0x02, 0x04, 0x08, 0x20
LONGEST: Final = 0xFFFF
"""Octets of an IP packet (GSO_MAX_SIZE of Linux 6.1)."""


def payload_of(packet: Octets) -> bytes:
    """The octets of the stream that a plain TCP segment carries; empty for anything else."""
    if not packet.networks or packet.ip.proto != TCP or not packet.ip.first:
        return b""
    ip = packet.ip
    return bytes(packet.data[ip.payload + 4 * (packet.data[ip.payload + 12] >> 4) : ip.end])


def follows(first: bytes, second: bytes) -> bool:
    """Whether an offload engine would put the second frame behind the first: same stream, no gap, nothing to hurry.

    Source: net/ipv4/tcp_offload.c tcp_gro_receive.
    """
    a, b = Octets(first, depth=1), Octets(second, depth=1)
    here, there = payload_of(a), payload_of(b)
    if not here or not there or len(first) + len(there) > LONGEST:
        return False
    same = ("eth.src", "eth.dst", "ip.src", "ip.dst", "ip.ttl", "l4.srcport", "l4.dstport", "tcp.ack")
    if any(a.get(field) != b.get(field) for field in same):
        return False
    if (a.number("tcp.seq") + len(here)) & 0xFFFFFFFF != b.number("tcp.seq"):
        return False
    return not a.number("tcp.flags") & (_FIN | _SYN | _RST | _PSH | _URG)


def joined(frames: Sequence[bytes]) -> bytes:
    """One frame with the payload of all, and the flags of the last one.

    Lengths and checksums are right for the whole, as they are for what GRO has put together.
    """
    packets = [Octets(frame, depth=1) for frame in frames]
    first, last = packets[0], packets[-1]
    ip = first.ip
    at = ip.payload
    body = b"".join(payload_of(packet) for packet in packets)
    data = bytearray(first.data[: at + 4 * (first.data[at + 12] >> 4)]) + body
    data[at + 13] |= last.number("tcp.flags") & (_PSH | _FIN)
    length = len(data) - at
    if ip.version == 4:
        data[ip.at + 2 : ip.at + 4] = (len(data) - ip.at).to_bytes(2, "big")
        data[ip.at + 10 : ip.at + 12] = b"\0\0"
        data[ip.at + 10 : ip.at + 12] = internet_checksum(bytes(data[ip.at : at])).to_bytes(2, "big")
        ends = bytes(data[ip.at + 12 : ip.at + 20])
    else:
        data[ip.at + 4 : ip.at + 6] = (len(data) - ip.at - 40).to_bytes(2, "big")
        ends = bytes(data[ip.at + 8 : ip.at + 40])
    half = len(ends) // 2
    data[at + 16 : at + 18] = b"\0\0"
    total = internet_checksum(pseudo_header(ends[:half], ends[half:], length, TCP) + bytes(data[at:]))
    data[at + 16 : at + 18] = total.to_bytes(2, "big")
    return bytes(data)
