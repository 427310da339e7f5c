"""Open flows: what is remembered of each between batches, as one sorted array that is bounded."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dsrkit.verify.frames import Ints, Words

MOST_OPEN: Final = 1 << 18
STATE: Final = np.dtype(
    [
        ("flow", np.uint64),
        ("last", np.int64),
        ("isn", np.int64),  # -1: the SYN was not seen
        ("seq", np.int64),  # of the last request
        ("service", np.int64),
        ("server", np.int16),  # as its packets say; -1: not known yet
        ("counted", np.int16),  # the server that the connection was counted for
        ("balancer", np.int16),
        ("begun", np.bool_),  # the client's handshake is over: the flow has its server
        ("closed", np.uint8),  # CLIENT_DONE | SERVER_DONE, or both at once after a RST
    ]
)
CLIENT_DONE, SERVER_DONE = 1, 2
OVER: Final = CLIENT_DONE | SERVER_DONE

States = npt.NDArray[np.void]


class FlowTable:
    """States by flow. Memory is bounded: beyond `most`, those that ended or rested longest are forgotten."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._states: States = np.zeros(0, STATE)
        self.forgotten = 0

    def find(self, flows: Words) -> Ints:
        """Where each flow's state is, -1 for one that is not known."""
        known = self._states["flow"]
        if not len(known):
            return np.full(len(flows), -1, np.int64)
        at = np.minimum(np.searchsorted(known, flows), len(known) - 1)
        return np.where(known[at] == flows, at, -1)

    def get(self, at: Ints) -> States:
        """States at places that `find` gave; an empty state (nothing known) at -1."""
        out = np.zeros(len(at), STATE)
        out["isn"] = out["service"] = out["server"] = out["counted"] = out["balancer"] = out["seq"] = -1
        there = at >= 0
        out[there] = self._states[at[there]]
        return out

    def put(self, states: States, at: Ints) -> None:
        """Replace the states at `at`, and add those whose place is -1. `states` are in the order of their flows."""
        there = at >= 0
        self._states[at[there]] = states[there]
        fresh = states[~there]
        if len(fresh):
            where = np.searchsorted(self._states["flow"], fresh["flow"])
            self._states = np.insert(self._states, where, fresh)
        if len(self._states) > self._most:
            self._forget()

    def _forget(self) -> None:
        """Keep the younger half of what may be kept, open flows before those that ended."""
        ended = self._states["closed"] == OVER
        order = np.lexsort((self._states["last"], ~ended))
        drop = order[: len(order) - self._most // 2]
        self.forgotten += int((~ended[drop]).sum())
        kept = np.ones(len(order), bool)
        kept[drop] = False
        self._states = self._states[kept]
