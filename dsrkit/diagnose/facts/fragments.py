"""Datagrams in fragments: whether all of them passed a place, and whether anybody answered."""

from __future__ import annotations

from dataclasses import field
from typing import Final, NamedTuple

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REPLY, UDP, Frames
from dsrkit.verify.verdicts import Frame

_MOST: Final = 20_000
_OFFSET: Final = 0x1FFF
_MORE: Final = 0x2000


class Spot(NamedTuple):
    """Where a datagram was seen."""

    tap: int
    eth_src: int
    eth_dst: int
    src: int
    dst: int
    ident: int


@dataclass(slots=True)
class Datagram:
    """What one spot showed of a datagram: its first fragment's fingerprint, octets that passed, octets in all."""

    print: int = 0
    client: int = 0  # endpoint
    octets: int = 0
    total: int = 0
    frames: list[Frame] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return 0 < self.total <= self.octets

    @property
    def first_only(self) -> bool:
        return self.print != 0 and len(self.frames) == 1


@dataclass(slots=True)
class Fragments:
    """Facts about fragments of UDP datagrams without an outer header."""

    datagrams: dict[Spot, Datagram] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    """Endpoints of clients that sent datagrams in fragments and got an answer."""
    _clients: set[int] = field(default_factory=set)

    def see(self, f: Frames, flows: Flows) -> None:
        """Take in a batch; every packet once."""
        rows = np.flatnonzero(f.fragment & (f.tunnel == 0) & (f.inner("nxt") == UDP))
        for row in rows.tolist():
            spot = Spot(
                int(f.tap[row]),
                int(f.eth_src[row]),
                int(f.eth_dst[row]),
                int(f.src[row]),
                int(f.dst[row]),
                int(f.ip_id[row]),
            )
            one = self.datagrams.get(spot)
            if one is None:
                if len(self.datagrams) >= _MOST:
                    continue
                one = self.datagrams[spot] = Datagram()
            self._piece(f, row, one)
        if self._clients:
            back = np.flatnonzero((flows.direction == REPLY) & f.is_udp_head)
            self.answered |= set(f.target[back][among(f.target[back], list(self._clients))].tolist())

    def _piece(self, f: Frames, row: int, one: Datagram) -> None:
        where, size = int(f.inner("frag")[row]), int(f.ip_len[row] - f.inner("hdr_len")[row])
        one.octets += size
        one.frames.append(f.ref(row))
        if not where & _OFFSET:
            one.print, one.client = int(f.rec["fp"][row]), int(f.source[row])
            self._clients.add(one.client)
        if not where & _MORE:
            one.total = (where & _OFFSET) * 8 + size
