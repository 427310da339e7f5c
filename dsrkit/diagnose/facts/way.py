"""The ways that packets take besides the one that they should: redirects, load balancers that hand requests to each
other, and a source in the destination's place."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from typing import Any, Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.seen import Seen, grouped
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows, is_syn
from dsrkit.verify.frames import REQUEST, Frames, mix
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame

_MOST: Final = 10_000
_REDIRECT: Final = 5
_ND_REDIRECT: Final = 137


@dataclass(frozen=True, slots=True)
class Redirect:
    """An ICMP redirect: `sender` (MAC) tells `receiver` (address) that `target` is not best reached through it.

    Source: RFC 792, RFC 4861 s4.5.
    """

    frame: Frame
    sender: int
    receiver: int
    target: int


@dataclass(slots=True)
class Ways:
    """Facts about ways; MACs are integers, addresses numbers of the address book."""

    redirects: list[Redirect] = field(default_factory=list)
    handed_on: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(MAC of one load balancer, of another): requests that the one gives the other, which sends them on again."""
    swapped: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(sender's MAC, source address): requests to a machine in that machine's own name, which left their client in the
    client's name."""

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Take in a batch; every packet once."""
        self._redirects(f)
        opening = (flows.direction == REQUEST) & (f.tunnel == 0) & (is_syn(f) | f.is_udp_head)
        lbs = list(scene.macs("lb") - {0})
        if len(lbs) > 1:
            self._handed_on(f, flows, np.flatnonzero(opening & among(f.eth_src, lbs)), lbs)
        if scene.mode is None:
            self._swapped(f, np.flatnonzero(is_syn(f) & (f.tunnel == 0)), scene)

    def _redirects(self, f: Frames) -> None:
        four = f.is_error & (f.ver == 4) & (f.icmp_type == _REDIRECT)
        six = f.rec["res_op"] == _ND_REDIRECT
        for row in np.flatnonzero(four | six)[: max(0, _MOST - len(self.redirects))].tolist():
            target = int(f.quoted_dst[row])
            if six[row]:
                one = slice(row, row + 1)
                target = int(f.book.intern(f.rec["res_tpa_hi"][one], f.rec["res_tpa_lo"][one])[0])
            self.redirects.append(Redirect(f.ref(row), int(f.eth_src[row]), int(f.dst[row]), target))

    def _handed_on(self, f: Frames, flows: Flows, rows: Any, lbs: list[int]) -> None:
        """A copy from one load balancer to another, and one of the same packet from that one."""
        to_lb = rows[among(f.eth_dst[rows], lbs) & (f.eth_dst[rows] != f.eth_src[rows])]
        sent = mix(flows.identity[rows], f.eth_src[rows], f.ttl[rows])
        again = np.zeros(len(to_lb), bool)
        for hops in (0, 1):  # some load balancers lower the TTL, some do not
            again |= among(mix(flows.identity[to_lb], f.eth_dst[to_lb], f.ttl[to_lb] - hops), sent)
        for key, members in grouped(f.eth_src[to_lb[again]], f.eth_dst[to_lb[again]]):
            self.handed_on[key].add(f, to_lb[again][members])

    def _swapped(self, f: Frames, rows: Any, scene: Scene) -> None:
        """SYNs whose source is the address of the machine that they are sent to, and which have another source
        elsewhere."""
        places = grouped(f.src[rows], f.eth_dst[rows], f.eth_src[rows])
        odd = [
            rows[members]
            for (src, to, by), members in places
            if (src, to) in scene.claims and (src, by) not in scene.claims
        ]
        if not odd:
            return
        suspects = np.concatenate(odd)
        same = mix(f.seq, f.field("sport"), f.target)
        others = rows[~among(rows, suspects)]
        found = suspects[among(same[suspects], same[others])]
        own = mix(f.src, same)
        found = found[~among(own[found], own[others])]  # not the machine's own request, handed back to it
        for key, members in grouped(f.eth_src[found], f.src[found]):
            if key in self.swapped or len(self.swapped) < _MOST:
                self.swapped[key].add(f, found[members])
