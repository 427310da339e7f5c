"""Retransmissions: segments that a tap has seen before at the same place of their way."""

from __future__ import annotations

from typing import Final

import numpy as np

from dsrkit.verify.frames import Frames, Ints, mix

_KEPT: Final = 100_000
"""Segments that are remembered from one window to the next."""
_FIN, _SYN, _RST = 1, 2, 4
_COPY_NS: Final = 1_000_000


class Repeats:
    """Feed it the windows of a capture in order."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.uint64)
        self._numbers = np.zeros(0, np.int64)

    def of(self, f: Frames) -> Ints:
        """For each frame the number of the frame whose TCP segment it repeats, 0 for none.

        The copy that a mirror port makes of a frame is no retransmission: it comes at once, with the same IP id.
        """
        out = np.zeros(f.n, np.int64)
        takes = (f.payload_len > 1) | ((f.flags & (_SYN | _FIN)) != 0)  # one octet may be a keep-alive
        rows = np.flatnonzero(f.is_tcp & takes & ((f.flags & _RST) == 0))
        if not len(rows):
            return out
        rec = f.rec
        level = np.maximum(rec["depth"][rows].astype(np.int64) - 1, 0)
        ends = [rec[f"{side}_{half}"][rows, level] for side in ("src", "dst") for half in ("hi", "lo")]
        place = (f.tap[rows], f.port_of_tap[rows], f.eth_src[rows], f.eth_dst[rows], f.tunnel[rows], f.wire_ttl[rows])
        segment = (rec["sport"][rows], rec["dport"][rows], f.seq[rows], f.payload_len[rows], f.flags[rows] & 3)
        keys = mix(*ends, *place, *segment)
        every = np.concatenate([self._keys, keys])
        numbers = np.concatenate([self._numbers, f.number[rows]])
        _, first, member = np.unique(every, return_index=True, return_inverse=True)
        earlier = numbers[first[member]][len(self._keys) :]
        out[rows] = np.where(earlier < f.number[rows], earlier, 0)
        fresh = np.sort(first)[-_KEPT:]
        self._keys, self._numbers = every[fresh], numbers[fresh]
        return out
