"""Where a damaged capture goes on: the next place from which several plausible records follow one another.

One record header proves little: packets hold any octets. So a place counts where each header's length leads to the next
header, or, at the end of a file, exactly to its end.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from dsrkit.wire.files.headers import BYTE_ORDER, SECTION_LEAST

Octets = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LINKS: Final = 3
"""Records that have to follow one another."""
SPAN: Final = LINKS * (262144 + 24)
"""Octets that these may need."""
_FIRST_STEP: Final = 4096
_LONGEST_STEP: Final = 1 << 16
HEADER: Final = 28
"""Octets that the longest header has."""
_DAY: Final = 86400
_MOST_WIRELEN: Final = 1 << 24


class Follow(Protocol):
    """How records of a format follow one another."""

    least: int
    """Records that suffice where they lead exactly to the end of the file."""

    def __call__(self, octets: Octets, at: Places, first: Places) -> tuple[Mask, Mask, Places]:
        """For each place: a plausible record?, enough evidence by itself?, where the next one is.

        `first` are the places where the chains began.
        """


class PcapRecords:
    """Records of a pcap file: lengths that agree, a fraction of a second, times that are not days apart."""

    least = 2

    def __init__(self, swapped: int, subsecond: int, header: int) -> None:
        self._swapped = swapped
        self._units = 1_000_000_000 // subsecond
        self._header = header

    def __call__(self, octets: Octets, at: Places, first: Places) -> tuple[Mask, Mask, Places]:
        ok = at + self._header <= len(octets)
        safe = np.where(ok, at, 0)
        seconds, units, caplen, wirelen = (_word(octets, safe + 4 * i, self._swapped) for i in range(4))
        ok &= (caplen > 0) & (caplen <= 262144) & (caplen <= wirelen) & (wirelen <= _MOST_WIRELEN)
        ok &= units < self._units
        ok &= np.abs(seconds - _word(octets, np.where(ok, first, 0), self._swapped)) <= _DAY
        return ok, np.zeros(len(at), bool), at + self._header + caplen


class PcapngBlocks:
    """Blocks of a pcapng file: a known type, and the same length at both ends."""

    least = 1
    _KINDS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x0BAD, 0x40000BAD, 0x80000001], np.int64)

    def __init__(self, swapped: int) -> None:
        self._swapped = swapped

    def __call__(self, octets: Octets, at: Places, first: Places) -> tuple[Mask, Mask, Places]:
        ok = at + 12 <= len(octets)
        safe = np.where(ok, at, 0)
        kind = _word(octets, safe, self._swapped)
        section = ok & (kind == 0x0A0D0D0A)
        swapped = np.full(len(at), self._swapped)
        for magic, order in BYTE_ORDER.items():
            swapped[section & (_word(octets, safe + 8, 1) == int.from_bytes(magic, "big"))] = order
        size = np.where(swapped, _word(octets, safe + 4, 1), _word(octets, safe + 4, 0))
        known = np.array([int.from_bytes(magic, "big") for magic in BYTE_ORDER])
        section &= np.isin(_word(octets, safe + 8, 1), known) & (size >= SECTION_LEAST)
        ok &= section | np.isin(kind, self._KINDS)
        ok &= (size >= 12) & (size % 4 == 0) & (at + size <= len(octets))
        end = np.where(ok, at + size - 4, 0)
        ok &= np.where(swapped, _word(octets, end, 1), _word(octets, end, 0)) == size
        return ok, ok & section, at + size


def _word(octets: Octets, at: Places, swapped: int) -> Places:
    """The 32-bit numbers at `at`, of a buffer that is at least 4 octets long behind each."""
    order = (0, 1, 2, 3) if swapped else (3, 2, 1, 0)
    value: Places = np.zeros(len(at), np.int64)
    for i in order:
        value = value << 8 | octets[at + i]
    return value


def leads_on(octets: Octets, at: Places, follow: Follow, *, ends: bool) -> Places:
    """Those of the places from which plausible records follow; `ends`: the file ends where `octets` do."""
    found: list[Places] = []
    begun = place = at
    for link in range(1, LINKS + 1):
        ok, enough, following = follow(octets, place, begun)
        if ends and link >= follow.least:
            enough |= ok & (following == len(octets))
        found.append(begun[enough])
        begun, place = begun[ok & ~enough], following[ok & ~enough]
    return np.sort(np.concatenate([*found, begun]))


def search(octets: Octets, start: int, stop: int, follow: Follow, *, ends: bool) -> int | None:
    """The first place in ``octets[start:stop]`` where a damaged file goes on."""
    if len(octets) < HEADER:
        return None
    step = _FIRST_STEP
    while start < stop:
        until = min(start + step, stop)
        if octets[start:until].any():
            found = leads_on(octets, np.arange(start, until, dtype=np.int64), follow, ends=ends)
            if len(found):
                return int(found[0])
        # a header may begin with some of the zeros of a hole
        start = until if until == stop else max(until - HEADER, start + 1)
        step = min(2 * step, _LONGEST_STEP)
    return None
