"""What packets of one way have in common: whose they are, and how they go by the load balancer.

A way is what matters of machines, tap, link and tunnel; a capture has few. One packet stands for each.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dsrkit.inspect.head import Known
from dsrkit.inspect.marks import BACK, CHECK, FRONT, REPLY_VIA, REQUEST_PAST, REQUEST_VIA, SERVED
from dsrkit.inspect.service import DIRECT, Replies, Service
from dsrkit.inspect.talks import Checks, Proxied
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REPLY, REQUEST, Frames, Ints, Words
from dsrkit.verify.journeys import REWRITTEN, servers_of

_TELL: Final = SERVED | CHECK | BACK
"""Whose packets tell which server a conversation is with."""


class Ways:
    """Judges packets, each standing for a way; `changed` says that judgements given before may be others now."""

    def __init__(self, known: Known, tally: Any) -> None:
        self._known = known
        self._bits = tally
        self._handed = np.zeros(0, np.int64)
        self.changed = False

    def words(self, f: Frames, flows: Flows) -> Words:
        """For each packet the word that the tally keeps of its way."""
        known, bits = self._known, self._bits
        scene = known.scene
        served = Service(f, flows, known, known.words, Replies())
        asks, says = flows.direction == REQUEST, flows.direction == REPLY
        request, reply = served.served & asks, served.served & says
        after = request & (served.form == REWRITTEN)
        past = request & served.to_server & ~served.to_lb & ~served.from_lb & ~after
        checks = Checks(f, flows, known, known.words)
        proxied = Proxied(f, flows, known, known.words)
        sent = served.steps.sent & self._beside(f, served)
        own_address = among(flows.server >> 16, list(scene.vips | scene.ips("real-server")))
        out = np.zeros(f.n, np.int64)
        for seen, bit in (
            (after | (request & served.to_lb), REQUEST_VIA),
            (past, REQUEST_PAST),
            (reply & served.steps.handled, REPLY_VIA),
            (checks.mine, CHECK),
            (proxied.front, FRONT),
            (proxied.back, BACK),
            (request | reply, SERVED),
            (served.served, bits.WAY_SERVED),
            (served.steps.mine, bits.WAY_REPLY),
            (served.steps.mine & served.to_lb, bits.WAY_TO_LB),
            (served.steps.handled, bits.WAY_TOUCHED),
            (served.steps.own, bits.WAY_OWN),
            (sent, bits.WAY_SENT),
            (own_address, bits.WAY_ADDRESSLESS),
        ):
            out[seen] |= bit
        found = servers_of(f, flows, scene, np.arange(f.n))
        found[(out & _TELL) == 0] = -1
        out |= served.form << bits.WAY_FORM | (found + 1) << 32
        return out.astype(np.uint64)

    def _beside(self, f: Frames, served: Service) -> Any:
        """At which taps a reply must go back to the load balancer: where that hands requests to servers."""
        if self._known.scene.mode in DIRECT:
            return True
        handed = distinct(np.concatenate([self._handed, f.tap[served.handed]]))
        self.changed |= len(handed) > len(self._handed)
        self._handed = handed
        return among(f.tap, handed)


def machines(known: Known) -> tuple[set[int], set[int]]:
    """Addresses (as the book numbers them) and MACs by which ways are told apart."""
    scene = known.scene
    addresses, macs = set(scene.vips), set[int]()
    for role in ("lb", "real-server"):
        addresses |= scene.ips(role)
        macs |= scene.macs(role)
    for check in known.checks:
        for series in (check.series, *check.others):
            base = series.base
            addresses |= {base.source, base.target, base.outer_dst}
            macs.add(base.mac)
    for ends in known.backs:
        addresses |= {end >> 16 for end in ends}
    addresses |= {end >> 16 for end in known.fronts}
    return addresses - {0}, macs - {0}


def ends_of(f: Frames, direction: Ints, source_port: Ints, target_port: Ints) -> tuple[Ints, Ints]:
    """The client's and the server's endpoint of each packet."""
    source, target = f.src << 16 | source_port, f.dst << 16 | target_port
    request = direction == REQUEST
    return np.where(request, source, target), np.where(request, target, source)
