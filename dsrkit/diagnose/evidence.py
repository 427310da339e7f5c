"""What packets show besides cells: facts that tell look-alikes apart, counted once per packet, with examples.

Every fact is bounded; counts stay complete.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import field
from typing import Any, Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.floods import Floods
from dsrkit.diagnose.facts.fragments import Fragments
from dsrkit.diagnose.facts.idle import Idle
from dsrkit.diagnose.facts.marks import Marks
from dsrkit.diagnose.facts.options import Options
from dsrkit.diagnose.facts.owners import Owners
from dsrkit.diagnose.facts.requests import Requests
from dsrkit.diagnose.facts.reuse import Reuse
from dsrkit.diagnose.facts.seen import Seen, grouped
from dsrkit.diagnose.facts.sizes import Sizes
from dsrkit.diagnose.facts.way import Ways
from dsrkit.verify.arrays import among
from dsrkit.verify.connections import Quoted, quoted
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REQUEST, Frames, Mask
from dsrkit.verify.journeys import Journeys
from dsrkit.verify.observer import Bulk, Observer, Outcome, Told
from dsrkit.verify.verdicts import Frame
from dsrkit.wire import layout

_MOST_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class IcmpError:
    """One ICMP error as one tap saw it: who sent it to whom, at both layers, and what it quotes."""

    frame: Frame
    eth_src: int
    eth_dst: int
    src: int
    dst: int
    version: int
    type: int
    code: int
    mtu: int
    quoted: Quoted
    sport: int  # ports of the innermost packet quoted
    dport: int
    client: int  # its source address
    ttl: int  # what is left of the error's own TTL


@dataclass(slots=True)
class Facts:
    """What was counted. MACs are integers, addresses numbers of the address book."""

    arp_asked: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(asking MAC, address asked for): ARP requests and neighbour solicitations that announce nothing."""
    arp_answered: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(address, MAC that answered for it): replies and advertisements."""
    re_emitted: dict[int, Seen] = field(default_factory=lambda: defaultdict(Seen))
    """MAC of a real server that sends requests for the VIP on instead of answering them."""
    errors: list[IcmpError] = field(default_factory=list)
    requests: Requests = field(default_factory=Requests)
    owners: Owners = field(default_factory=Owners)
    ways: Ways = field(default_factory=Ways)
    sizes: Sizes = field(default_factory=Sizes)
    marks: Marks = field(default_factory=Marks)
    fragments: Fragments = field(default_factory=Fragments)
    options: Options = field(default_factory=Options)
    floods: Floods = field(default_factory=Floods)
    idle: Idle = field(default_factory=Idle)
    reuse: Reuse = field(default_factory=Reuse)


class Evidence(Observer):
    """Collects `facts`; reports nothing itself."""

    name = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.facts = Facts()

    def see(self, f: Frames, flows: Flows) -> None:
        self._neighbours(f)
        self._bounces(f, flows)
        self._errors(f)
        self.facts.requests.see(f, flows, self.scene)
        self.facts.owners.see(f, flows)
        self.facts.ways.see(f, flows, self.scene)
        self.facts.sizes.see(f, flows, self.scene)
        self.facts.marks.see(f, flows, self.scene)
        self.facts.fragments.see(f, flows)
        self.facts.options.see(f, flows, self.scene)
        self.facts.floods.see(f, self.scene, self.taps)
        self.facts.idle.see(f, flows, self.scene)
        self.facts.reuse.see(f, flows, self.scene)

    def follow(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        self.facts.sizes.follow(f, journeys)

    def weigh(self, f: Frames, flows: Flows, journeys: Journeys, bulk: dict[int, Bulk]) -> None:
        for facts in (self.facts.requests, self.facts.marks, self.facts.sizes):
            facts.see(f, flows, self.scene)
        self.facts.owners.see(f, flows)

    def conclude(self, told: Told) -> Outcome:
        return Outcome()

    def _neighbours(self, f: Frames) -> None:
        """Who asks for whom. Source: RFC 826, RFC 4861 s4.3, s4.4."""
        rows = np.flatnonzero(f.has(layout.HAS_RES))
        if not len(rows):
            return
        spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows])
        tpa = f.book.intern(f.rec["res_tpa_hi"][rows], f.rec["res_tpa_lo"][rows])
        op = f.rec["res_op"][rows]
        asks = among(op, (1, 135)) & (spa != tpa)
        for key, members in grouped(f.eth_src[rows][asks], tpa[asks]):
            self.facts.arp_asked[key].add(f, rows[asks][members])
        answers = among(op, (2, 136))
        for key, members in grouped(spa[answers], f.claimant[rows][answers]):
            self.facts.arp_answered[key] += len(members)

    def _bounces(self, f: Frames, flows: Flows) -> None:
        servers = list(self.scene.macs("real-server") - self.scene.macs("lb") - {0})
        sent_on = (flows.direction == REQUEST) & (f.tunnel == 0) & among(f.dst, list(self.scene.vips))
        rows = np.flatnonzero(sent_on & among(f.eth_src, servers))
        for (mac,), members in grouped(f.eth_src[rows]):
            self.facts.re_emitted[mac].add(f, rows[members])

    def _errors(self, f: Frames) -> None:
        for row in np.flatnonzero(f.is_error)[: max(0, _MOST_KEPT - len(self.facts.errors))].tolist():
            self.facts.errors.append(
                IcmpError(
                    f.ref(row),
                    int(f.eth_src[row]),
                    int(f.eth_dst[row]),
                    int(f.src[row]),
                    int(f.dst[row]),
                    int(f.ver[row]),
                    int(f.icmp_type[row]),
                    int(f.rec["icmp_code"][row]),
                    int(f.seq[row]) & (0xFFFF if f.ver[row] == 4 else 0xFFFF_FFFF),
                    quoted(f, row),
                    int(f.rec["q_sport"][row]),
                    int(f.rec["q_dport"][row]),
                    int(f.quoted_src[row]),
                    int(f.ttl[row]),
                )
            )
