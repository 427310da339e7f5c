"""Segments that a tap has seen before at the same place of their way: sent again, or copied on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dsrkit.inspect.marks import COPY_NS, TWIN_NS
from dsrkit.verify.frames import Frames, Ints, Mask, Words, mix

_KEPT: Final = 200_000
"""Segments that are remembered from one window to the next."""
_FIN, _SYN, _RST = 1, 2, 4


@dataclass(slots=True)
class Repeated:
    """For each frame the number of the frame whose TCP segment it repeats, 0 for none; and which of them are copies.

    A copy (of a mirror port, or a second capture of one link) has the same IP id; a retransmission is a packet of its
    own.
    """

    of: Ints
    copied: Mask


class Repeats:
    """Feed it the windows of a capture in order."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.uint64)  # sorted
        self._numbers = np.zeros(0, np.int64)

    def see(self, f: Frames) -> Repeated:
        """What the frames of the next window repeat."""
        out = Repeated(np.zeros(f.n, np.int64), np.zeros(f.n, bool))
        takes = (f.payload_len > 1) | ((f.flags & (_SYN | _FIN)) != 0)  # one octet may be a keep-alive
        rows = np.flatnonzero(f.is_tcp & takes & ((f.flags & _RST) == 0))
        if not len(rows):
            return out
        keys = _keys(f, rows)
        fresh, first, member = np.unique(keys, return_index=True, return_inverse=True)
        at = np.minimum(np.searchsorted(self._keys, fresh), max(0, len(self._keys) - 1))
        known = self._keys[at] == fresh if len(self._keys) else np.zeros(len(fresh), bool)
        since = f.number[rows][first]
        if known.any():
            since[known] = self._numbers[at[known]]
        earlier = since[member]
        out.of[rows] = np.where(earlier < f.number[rows], earlier, 0)
        out.copied[rows] = copies(f, rows, keys)
        self._keep(fresh[~known], since[~known])
        return out

    def _keep(self, keys: Words, numbers: Ints) -> None:
        """Remember new segments; when there are too many, the older half is forgotten."""
        keys, numbers = np.concatenate([self._keys, keys]), np.concatenate([self._numbers, numbers])
        order = np.argsort(keys, kind="stable")  # two sorted runs
        if len(order) > _KEPT:
            late = np.partition(numbers, -_KEPT // 2)[-_KEPT // 2]
            order = order[numbers[order] >= late]
        self._keys, self._numbers = keys[order], numbers[order]


def _keys(f: Frames, rows: Ints) -> Words:
    """What is the same of two transmissions of one segment, and the place where they were seen."""
    rec = f.rec
    level = np.maximum(rec["depth"][rows].astype(np.int64) - 1, 0)
    ends = [rec[f"{side}_{half}"][rows, level] for side in ("src", "dst") for half in ("hi", "lo")]
    place = (f.tap[rows], f.port_of_tap[rows], f.eth_src[rows], f.eth_dst[rows], f.tunnel[rows], f.wire_ttl[rows])
    segment = (rec["sport"][rows], rec["dport"][rows], f.seq[rows], f.payload_len[rows], f.flags[rows] & (_SYN | _FIN))
    return mix(*ends, *place, *segment)


def copies(f: Frames, rows: Ints, keys: Words) -> Mask:
    """Which rows are the copy of one just before them."""
    order = np.lexsort((rows, f.ip_id[rows], keys))
    key, ident, ts = keys[order], f.ip_id[rows][order], f.ts[rows][order]
    same = (key[1:] == key[:-1]) & (ident[1:] == ident[:-1])
    gap = np.abs(ts[1:] - ts[:-1])
    out = np.zeros(len(rows), bool)
    out[order[1:]] = same & (gap < np.where(ident[1:] != 0, COPY_NS, TWIN_NS))
    return out
