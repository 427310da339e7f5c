"""A capture that is never on disk: an L2 DSR load balancer's link, written to standard output as long as asked for.

``python -m robustness.stream OCTETS PAYLOAD`` writes at least so many octets: connections of ever new
clients to the VIP, each packet before and after the load balancer, requests of `PAYLOAD` octets.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from typing import BinaryIO, Final

import numpy as np

CONNECTIONS: Final = 16
"""Connections of one round; each round is written again with other clients, sequence numbers and times."""
VIP: Final = ipaddress.IPv4Address("203.0.113.10").packed
ROUTER, BALANCER, SERVERS = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", (b"\2\0\0\0\0\x21", b"\2\0\0\0\0\x22")
_SYN, _ACK, _DATA, _FIN = 0x02, 0x10, 0x18, 0x11
_STEPS: Final = (_SYN, _ACK, *[_DATA] * 8, _FIN)


def _sum(octets: bytes) -> int:
    words = np.frombuffer(octets + b"\0" * (len(octets) % 2), ">u2").astype(np.uint64)
    total = int(words.sum())
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _frame(source: bytes, to: bytes, ttl: int, port: int, flags: int, seq: int, payload: bytes) -> bytes:
    """A segment from a client to the VIP; the client's address is filled in per round."""
    client = bytes(4)
    tcp = struct.pack("!HHIIHHHH", port, 80, seq, 0 if flags == _SYN else 2000, 5 << 12 | flags, 512, 0, 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), seq & 0xFFFF, 0x4000, ttl, 6, 0, client, VIP)
    tcp = tcp[:16] + struct.pack("!H", 0xFFFF ^ _sum(client + VIP + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = ip[:10] + struct.pack("!H", 0xFFFF ^ _sum(ip)) + ip[12:]
    return to + source + b"\x08\0" + ip + tcp


def _round(payload: int) -> tuple[bytes, list[int]]:
    """One round of records, and where they begin."""
    out, places = bytearray(), []
    data = bytes(range(256)) * (payload // 256 + 1)
    for step, flags in enumerate(_STEPS):
        sent = payload * max(step - 2, 0)
        for i in range(CONNECTIONS):
            for hop in range(2):
                server = SERVERS[i % 2]
                ends = (BALANCER, server) if hop else (ROUTER, BALANCER)
                body = data[:payload] if flags == _DATA else b""
                seq = 1_000_000 * i + (step > 0) + sent
                frame = _frame(*ends, 63 - hop, 1024 + i, flags, seq, body)
                places.append(len(out))
                micro = (step * CONNECTIONS + i) * 100 + hop * 30
                out += struct.pack("<IIII", 1_700_000_000, micro, len(frame), len(frame)) + frame
    return bytes(out), places


def write(to: BinaryIO, octets: int, payload: int) -> None:
    """Write a capture of at least so many octets."""
    head = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    to.write(head)
    block, starts = _round(payload)
    buffer = np.frombuffer(bytearray(block), np.uint8)
    places = np.array(starts)
    offsets = {"time": 0, "source": 16 + 26, "ip_sum": 16 + 24, "tcp_sum": 16 + 50}
    words = {name: places + at for name, at in offsets.items()}
    sums = {name: _get16(buffer, words[name]) for name in ("ip_sum", "tcp_sum")}
    left, turn = octets - len(head), 0
    while left > 0:
        client = 0x0A000000 | turn & 0xFFFFFF
        for i, octet in enumerate(client.to_bytes(4, "big")):
            buffer[words["source"] + i] = octet
        for i, octet in enumerate((1_700_000_000 + turn).to_bytes(4, "little")):
            buffer[words["time"] + i] = octet
        folded = (client >> 16) + (client & 0xFFFF)
        for name, before in sums.items():  # RFC 1624: the sum grows by the words that were 0 before
            total = (0xFFFF ^ before) + folded
            total = (total & 0xFFFF) + (total >> 16)
            total = 0xFFFF ^ ((total & 0xFFFF) + (total >> 16))
            buffer[words[name]], buffer[words[name] + 1] = total >> 8, total & 255
        to.write(memoryview(buffer))
        left -= len(block)
        turn += 1


def _get16(octets: np.ndarray, at: np.ndarray) -> np.ndarray:
    return octets[at].astype(np.int64) << 8 | octets[at + 1]


if __name__ == "__main__":
    write(sys.stdout.buffer, int(float(sys.argv[1])), int(sys.argv[2]))
