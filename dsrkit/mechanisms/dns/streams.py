"""DNS over TCP: messages with their length in front, over however many segments.

Source: RFC 1035 s4.2.2; RFC 7766 s8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Final

from dsrkit.classes import dataclass

MOST_STREAMS: Final = 2_000
_MOST_WAITING: Final = 32

StreamKey = tuple[int, int, int]
"""Tap, source endpoint, target endpoint."""


@dataclass(slots=True)
class _Stream:
    """One direction of a connection: what is in order but no whole message yet, and segments that came early."""

    expected: int
    data: bytearray = field(default_factory=bytearray)
    early: dict[int, bytes] = field(default_factory=dict)


class Streams:
    """The directions of all connections to name servers, the oldest of them forgotten beyond a bound."""

    def __init__(self) -> None:
        self._open: dict[StreamKey, _Stream] = {}
        self.forgotten = 0

    def start(self, key: StreamKey, seq: int) -> None:
        """A SYN: octets begin after `seq`."""
        known = self._open.pop(key, None)
        if known is not None and known.expected == (seq + 1) & 0xFFFF_FFFF:
            self._open[key] = known  # the SYN once more
            return
        if len(self._open) >= MOST_STREAMS:
            self._open.pop(next(iter(self._open)))
            self.forgotten += 1
        self._open[key] = _Stream((seq + 1) & 0xFFFF_FFFF)

    def add(self, key: StreamKey, seq: int, octets: bytes) -> Iterator[bytes]:
        """Messages that a segment completes; a stream whose SYN was not seen starts with its first segment."""
        if key not in self._open:
            self.start(key, (seq - 1) & 0xFFFF_FFFF)
        stream = self._open[key]
        if len(stream.early) < _MOST_WAITING:
            stream.early.setdefault(seq, octets)
        while stream.early:
            at = next((s for s in stream.early if _old_or_next(s, stream.expected)), None)
            if at is None:
                break
            part = stream.early.pop(at)
            fresh = part[(stream.expected - at) & 0xFFFF_FFFF :]
            stream.data += fresh
            stream.expected = (stream.expected + len(fresh)) & 0xFFFF_FFFF
        while len(stream.data) >= 2:
            size = int.from_bytes(stream.data[:2], "big")
            if len(stream.data) < 2 + size:
                break
            yield bytes(stream.data[2 : 2 + size])
            del stream.data[: 2 + size]


def _old_or_next(seq: int, expected: int) -> bool:
    """Whether a segment starts at or before the octet that comes next, in the sequence space of 32 bits."""
    return (expected - seq) & 0xFFFF_FFFF < 0x8000_0000
