"""Buffers that are used again as soon as nobody holds what was read into them."""

from __future__ import annotations

import sys
from typing import Any, cast

import numpy as np

from dsrkit.wire.files.parts import Rows
from dsrkit.wire.layout import RECORD


class Memory:
    """Octets that are used again when nobody outside holds a view of them any more.

    Whoever gets a view gets it from `octets` and so holds a reference to it; ours are counted at the start.
    """

    def __init__(self, size: int) -> None:
        self.octets = np.zeros(-(-size // 8), dtype=np.uint64)
        self.view = memoryview(cast(Any, self.octets)).cast("B")
        self._ours = sys.getrefcount(self.octets)

    @property
    def free(self) -> bool:
        """No view of it is held any more."""
        return sys.getrefcount(self.octets) <= self._ours

    def rows(self, count: int) -> Rows:
        """The first rows of it."""
        return np.ndarray((count,), RECORD, buffer=cast(Any, self.octets))  # a view would be checked field by field

    def share(self, size: int) -> memoryview:
        """The first octets of it, read-only."""
        return memoryview(cast(Any, self.octets)).cast("B")[:size].toreadonly()


class Pool:
    """Memories of one size, as few as the consumer's holding on to them allows; `kept` of them are used again."""

    def __init__(self, size: int, kept: int = 2) -> None:
        self.size = size
        self._kept = kept
        self._memories: list[Memory] = []

    def take(self) -> Memory:
        """A memory that nobody looks at."""
        for memory in self._memories:
            if memory.free:
                return memory
        fresh = Memory(self.size)
        self._memories = [*self._memories[1 - self._kept :], fresh]
        return fresh
