"""Captures of several taps as one pcapng with an interface for each, as `mergecap -I none` makes them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path


def merged(files: Sequence[Path]) -> bytes:
    """All packets in the order of time; an interface is called as its file without the ending."""
    out = _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    packets: list[tuple[int, int, int, bytes]] = []
    for number, path in enumerate(files):
        octets = path.read_bytes()
        name = path.name.partition(".")[0].encode()
        options = _option(2, name) + _option(9, b"\x09")
        out += _block(1, struct.pack("<HHI", struct.unpack_from("<I", octets, 20)[0], 0, 0) + options)
        packets += [(ts, number, size, frame) for ts, size, frame in _packets(octets)]
    for ts, number, size, frame in sorted(packets, key=lambda packet: packet[0]):
        head = struct.pack("<IIIII", number, ts >> 32, ts & 0xFFFF_FFFF, len(frame), size)
        out += _block(6, head + frame)
    return out


def _packets(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Time in nanoseconds, length on the wire, octets."""
    unit = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[struct.unpack_from("<I", octets)[0]]
    at = 24
    while at < len(octets):
        seconds, part, caplen, size = struct.unpack_from("<IIII", octets, at)
        yield seconds * 1_000_000_000 + part * unit, size, octets[at + 16 : at + 16 + caplen]
        at += 16 + caplen


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))
