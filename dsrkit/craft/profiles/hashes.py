"""The hashes by which load balancers spread flows, over columns of many flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

U32: Final = np.uint32
U64: Final = np.uint64
Words = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.uint64]


def siphash24(key: bytes, messages: npt.NDArray[np.uint8]) -> Longs:
    """SipHash-2-4 of each row, under a key of 16 octets.

    Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.

    Shape: messages (n, octets), result (n,).
    """
    count, octets = messages.shape
    padded = np.zeros((count, octets // 8 * 8 + 8), np.uint8)
    padded[:, :octets] = messages
    padded[:, -1] = octets & 0xFF
    k0, k1 = np.frombuffer(key, "<u8").astype(U64)
    magic = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [np.full(count, U64(start) ^ k, U64) for start, k in zip(magic, (k0, k1, k0, k1), strict=True)]
    for word in padded.view("<u8").astype(U64).T:
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= U64(0xFF)
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[Longs], count: int) -> None:
    for _ in range(count):
        v[0] += v[1]
        v[2] += v[3]
        v[1] = _left64(v[1], 13) ^ v[0]
        v[3] = _left64(v[3], 16) ^ v[2]
        v[0] = _left64(v[0], 32)
        v[2] += v[1]
        v[0] += v[3]
        v[1] = _left64(v[1], 17) ^ v[2]
        v[3] = _left64(v[3], 21) ^ v[0]
        v[2] = _left64(v[2], 32)


def _left64(x: Longs, bits: int) -> Longs:
    return x << U64(bits) | x >> U64(64 - bits)


def _left32(x: Words, bits: int) -> Words:
    return x << U32(bits) | x >> U32(32 - bits)


def jhash_3words(a: Words, b: Words, c: Words, seed: int) -> Words:
    """Bob Jenkins' hash of three words.

    Source: include/linux/jhash.h jhash_3words.
    """
    start = U32((seed + 0xDEADBEEF + 12) & 0xFFFFFFFF)
    return jhash_final(a + start, b + start, c + start)


def jhash_mix(a: Words, b: Words, c: Words) -> tuple[Words, Words, Words]:
    """Source: include/linux/jhash.h __jhash_mix."""
    v = [a.copy(), b.copy(), c.copy()]
    # i, j, k: i loses k and is mixed with it, k then gains j
    for i, j, k, bits in ((0, 1, 2, 4), (1, 2, 0, 6), (2, 0, 1, 8), (0, 1, 2, 16), (1, 2, 0, 19), (2, 0, 1, 4)):
        v[i] = (v[i] - v[k]) ^ _left32(v[k], bits)
        v[k] = v[k] + v[j]
    return v[0], v[1], v[2]


def jhash_final(a: Words, b: Words, c: Words) -> Words:
    """Source: include/linux/jhash.h __jhash_final."""
    v = [a.copy(), b.copy(), c.copy()]
    for i, j, bits in ((2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24)):
        v[i] = (v[i] ^ v[j]) - _left32(v[j], bits)
    return v[2]


def rows(count: int, parts: Sequence[bytes | npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Columns of octets side by side; plain octets are the same in every row."""
    columns = [
        np.broadcast_to(np.frombuffer(part, np.uint8), (count, len(part))) if isinstance(part, bytes) else part
        for part in parts
    ]
    return np.concatenate(columns, axis=1)


def big_endian(ports: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """The two octets of each port as they stand in a header."""
    return np.ascontiguousarray(ports.astype(">u2")).view(np.uint8).reshape(len(ports), 2)
