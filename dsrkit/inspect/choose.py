"""Which frames are asked for: by number, by a filter, and how many."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.where import Filter
from dsrkit.wire.columns import Mask

_PART: Final = re.compile(r"(?P<first>[0-9]{1,18})?(?P<dash>-)?(?P<last>[0-9]{1,18})?")


@dataclass(frozen=True)
class Numbers:
    """Ranges of frame numbers, both ends among them; None is open.

    >>> Numbers.parse("4,9-12,100-")
    Numbers(ranges=((4, 4), (9, 12), (100, None)))
    """

    ranges: tuple[tuple[int, int | None], ...]

    @classmethod
    def parse(cls, text: str) -> Numbers:
        """Numbers as people write them: ``4,9-12,100-``.

        Raises: UsageError, naming the part that is none.
        """
        ranges: list[tuple[int, int | None]] = []
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None or not (match["first"] or match["last"]):
                raise UsageError(f"--frames: {part.strip()!r} is no frame number and no range such as 9-12 or 100-")
            first = int(match["first"] or 1)
            last = int(match["last"]) if match["last"] else None if match["dash"] else first
            if first == 0 or (last is not None and last < first):
                why = "frames are counted from 1" if first == 0 else "the range ends before it begins"
                raise UsageError(f"--frames: {part.strip()!r}: {why}")
            ranges.append((first, last))
        return cls(tuple(ranges))

    @property
    def last(self) -> int | None:
        """The last one asked for, if there is one."""
        ends = [last for _, last in self.ranges]
        return None if None in ends else max(end for end in ends if end is not None)

    def among(self, batch: Batch) -> Mask:
        """The rows of a batch that are asked for."""
        numbers = batch.numbers("frame.number")
        asked = np.zeros(len(batch), bool)
        for first, last in self.ranges:
            asked |= (numbers >= first) & (numbers <= last if last is not None else True)
        return asked


def chosen(
    batches: Iterable[Batch], *, numbers: Numbers | None = None, where: Filter | None = None, count: int | None = None
) -> Iterator[tuple[Batch, list[int]]]:
    """Batches with the rows that are asked for, as long as more can come; `count` bounds the rows of all of them."""
    left = None if count is None else min(count, sys.maxsize)
    for batch in batches:
        among = numbers.among(batch) if numbers else np.ones(len(batch), bool)
        if among.any():
            rows = where.rows(batch, among) if where else iter(np.flatnonzero(among).tolist())
            taken = list(rows if left is None else islice(rows, left))
            if taken:
                yield batch, taken
            if left is not None:
                left -= len(taken)
        if left == 0 or (numbers and numbers.last is not None and batch.number(len(batch) - 1) >= numbers.last):
            return
