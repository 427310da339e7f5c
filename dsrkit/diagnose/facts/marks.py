"""Marks besides those of requests: in replies, on outer headers, and ports that answer in the VIP's name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.requests import fits
from dsrkit.diagnose.facts.seen import Seen, grouped
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows, is_synack
from dsrkit.verify.frames import REPLY, REQUEST, Frames
from dsrkit.verify.scene import Scene
from dsrkit.wire import layout

_MOST: Final = 20_000
_MOST_SUMMED: Final = 200


@dataclass(slots=True)
class Marks:
    """Facts about marks; DSCP values are those of the six bits, TOS those of the octet."""

    in_replies: dict[tuple[int, int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(VIP, sender's MAC, DSCP): SYN-ACKs and segments with data."""
    answering: dict[tuple[int, int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(address, protocol, port) that SYN-ACKs and datagrams come from."""
    outside: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(TOS inside, TOS outside) of tunnel packets."""
    wrapped_replies: dict[tuple[int, int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(outer source, outer destination, inner source) of replies that have an outer header."""
    above_hook: dict[int, Seen] = field(default_factory=lambda: defaultdict(Seen))
    """Tap -> requests for the VIP whose checksum is that for a server's own address."""
    _summed: int = 0

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Take in a batch; every packet once."""
        vips = list(scene.vips)
        back = (flows.direction == REPLY) & (f.tunnel == 0) & among(f.src, vips)
        opening = is_synack(f) | f.is_udp_head
        said = np.flatnonzero(back & (opening | f.is_tcp & (f.payload_len > 0)))
        for key, members in grouped(f.src[said], f.eth_src[said], f.tos[said] >> 2):
            if key in self.in_replies or len(self.in_replies) < _MOST:
                self.in_replies[key].add(f, said[members])
        rows = np.flatnonzero(back & opening)
        for key, members in grouped(f.src[rows], f.proto[rows], f.field("sport")[rows]):
            if key in self.answering or len(self.answering) < _MOST:
                self.answering[key].add(f, rows[members])
        if f.any_tunnel:
            wrapped = np.flatnonzero((flows.direction == REQUEST) & (f.tunnel > 0))
            for key, members in grouped(f.tos[wrapped], f.outer("tos")[wrapped]):
                self.outside[key].add(f, wrapped[members])
            back_in = np.flatnonzero((flows.direction == REPLY) & (f.tunnel > 0) & (f.is_tcp | f.is_udp))
            for key, members in grouped(f.outer_src[back_in], f.outer_dst[back_in], f.src[back_in]):
                if key in self.wrapped_replies or len(self.wrapped_replies) < _MOST:
                    self.wrapped_replies[key].add(f, back_in[members])
        if scene.mode == "l3dsr-dscp":
            self._sums(f, flows, scene)

    def _sums(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Requests after the server's own rewrite, as a capture above that hook shows them."""
        wrong = (flows.direction == REQUEST) & (f.field("l4_state") == layout.SUM_INVALID) & (f.is_tcp | f.is_udp)
        wrong &= among(f.dst, list(scene.vips)) & (f.tos >> 2 > 0)
        for row in np.flatnonzero(wrong)[: max(0, _MOST_SUMMED - self._summed)].tolist():
            self._summed += 1
            if any(fits(f, row, scene, ip) for ip in scene.ips("real-server")):
                self.above_hook[int(f.tap[row])].add(f, [row])
