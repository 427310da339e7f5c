"""Mutations of capture files: octets flipped, cut, lengths that lie, pieces of one file in another; by a seed."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path

PCAPS = Path(__file__).parents[2] / "pcaps"
VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
ENDINGS = (".pcap", ".pcapng", ".cap", ".trace", ".ntar")
LIES = (
    0,
    1,
    3,
    4,
    15,
    16,
    28,
    127,
    255,
    256,
    32767,
    65535,
    65536,
    262144,
    262145,
    1 << 24,
    (1 << 31) - 1,
    (1 << 32) - 1,
)


@cache
def corpus(most: int) -> tuple[tuple[str, bytes], ...]:
    """Names and octets of the files that are mutated: at most so many octets long."""
    folders = [folder for folder in (VECTORS, PCAPS) if folder.is_dir()]
    found = [
        (f"{folder.name}/{path.relative_to(folder)}", path)
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in ENDINGS and path.stat().st_size <= most and PCAPS / "crafted" not in path.parents
    ]
    return tuple((name, path.read_bytes()) for name, path in found)


def flip(octets: bytearray, rng: random.Random, _: bytes) -> None:
    """Bits change."""
    for _i in range(rng.choice((1, 1, 2, 4, 16, 64))):
        octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)


def overwrite(octets: bytearray, rng: random.Random, _: bytes) -> None:
    """A run of octets is something else: zeros, ones, noise."""
    at, size = rng.randrange(len(octets)), rng.choice((1, 4, 16, 100, 5000))
    size = min(size, len(octets) - at)
    octets[at : at + size] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))


def cut(octets: bytearray, rng: random.Random, _: bytes) -> None:
    """The file ends early."""
    del octets[rng.randrange(len(octets)) :]


def drop(octets: bytearray, rng: random.Random, _: bytes) -> None:
    """A piece is missing."""
    at = rng.randrange(len(octets))
    del octets[at : at + rng.choice((1, 2, 4, 60, 1000))]


def lie(octets: bytearray, rng: random.Random, _: bytes) -> None:
    """A number of 1, 2 or 4 octets is another, in either byte order."""
    form = rng.choice(("B", "<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    if len(octets) >= size:
        at = rng.randrange(len(octets) - size + 1)
        if rng.random() < 0.5:
            at -= at % 4
        octets[at : at + size] = struct.pack(form, rng.choice(LIES) & ((1 << 8 * size) - 1))


def splice(octets: bytearray, rng: random.Random, other: bytes) -> None:
    """A piece of another file lies in this one."""
    at, source = rng.randrange(len(octets)), rng.randrange(len(other))
    piece = other[source : source + rng.choice((8, 40, 300, 4000))]
    octets[at : at + (len(piece) if rng.random() < 0.5 else 0)] = piece


def repeat(octets: bytearray, rng: random.Random, _: bytes) -> None:
    """A piece is there twice."""
    at = rng.randrange(len(octets))
    octets[at:at] = octets[at : at + rng.choice((4, 16, 200, 2000))]


MUTATIONS = (flip, flip, overwrite, cut, drop, lie, lie, splice, repeat)


def mutate(octets: bytes, rng: random.Random, other: bytes) -> bytes:
    """One to a few mutations, one behind the other."""
    changed = bytearray(octets)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if changed:
            rng.choice(MUTATIONS)(changed, rng, other)
    return bytes(changed)


def mutant(i: int, seed: int, files: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The mutant of this number, the same for the same seed and files, with a name to make it again by."""
    rng = random.Random(f"{seed}/{i}")
    name, octets = files[rng.randrange(len(files))]
    _, other = files[rng.randrange(len(files))]
    return f"{name}#{seed}/{i}", mutate(octets, rng, other or b"\0")
