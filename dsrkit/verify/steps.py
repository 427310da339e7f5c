"""Steps: how the same packet looks at one place and at the next, counted over all packets.

This is the table that experienced engineers draw first: group everything by identity, order each group by TTL, and see
what changed from one sighting to the next. A healthy set-up has few kinds of steps; roles and mode are read from them.
The table is bounded by the number of places, not of packets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames, Ints, Mask, Words, endpoint_address, mix
from dsrkit.wire import layout

SENT = 4  # LINUX_SLL packet type: sent by the capturing host
SAME, OPTION, OVERLAY = 0, 1, 2
"""What a step adds besides a tunnel: nothing, an IP option, or an overlay's header around the packet."""
_JITTER_NS = 1_000_000
_FORWARDING_NS = 5_000_000_000
"""Nothing that forwards packets holds one for longer (a queue of five seconds would be a finding of its own)."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One place where packets were seen, as far as it matters: link addresses, tunnel, and the serving endpoint.

    What differs from packet to packet (`outer_src`, `client`, `ttl`) is that of one example.
    """

    tap: int
    eth_src: int
    eth_dst: int
    tunnel: int
    outer_dst: int
    server: int  # address
    port: int
    dscp: int
    sent: bool  # a cooked capture says that the capturing host sent it
    outer_src: int = field(compare=False)
    client: int = field(compare=False)  # address
    ttl: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """`count` packets went from a place like `a` to a place like `b`, the TTL that routers act on falling by `fall`."""

    a: Sight
    b: Sight
    direction: int
    proto: int
    fall: int
    client_kept: bool
    grown: int  # SAME, OPTION or OVERLAY
    count: int = field(default=0, compare=False)

    @property
    def same_link(self) -> bool:
        """Two ends of one link: nothing on the wire differs."""
        a, b = self.a, self.b
        return (
            (a.eth_src, a.eth_dst, a.tunnel) == (b.eth_src, b.eth_dst, b.tunnel) and self.fall == 0 and self.server_kept
        )

    @property
    def server_kept(self) -> bool:
        return (self.a.server, self.a.port) == (self.b.server, self.b.port)

    @property
    def hairpin(self) -> bool:
        """The MAC that received the packet is the one that sent it on."""
        return self.a.eth_dst != 0 and self.a.eth_dst == self.b.eth_src


def decapsulated(f: Frames, flows: Flows) -> Mask:
    """Packets that a capture on several interfaces shows a second time, behind a server's tunnel device."""
    out = np.zeros(f.n, bool)
    joined = flows.identity != 0
    tunnelled = joined & (f.tunnel > 0)
    if not tunnelled.any():
        return out
    wrapped = distinct(mix(flows.identity, f.tap, f.ttl)[tunnelled])
    same_interface = distinct(mix(flows.identity, f.tap, f.ttl, f.port_of_tap)[tunnelled])
    plain = joined & (f.tunnel == 0) & among(mix(flows.identity, f.tap, f.ttl), wrapped)
    return np.asarray(plain & ~among(mix(flows.identity, f.tap, f.ttl, f.port_of_tap), same_interface), bool)


def causal_order(f: Frames, flows: Flows, rows: Ints) -> Ints:
    """`rows` sorted by identity, and the sightings of each packet in the order of its way.

    The TTL falls along the path; a tunnel's header comes with the load balancer. Where neither tells (a load balancer
    that takes no TTL), the frame whose sender received the packet in another frame comes later. Clocks only break ties.
    """
    identity, ttl, wire = flows.identity[rows], f.ttl[rows], f.wire_ttl[rows]
    tunnel = f.tunnel[rows] > 0
    handed_on = (f.eth_src[rows] != 0) & among(
        mix(identity, ttl, tunnel, f.eth_src[rows]), mix(identity, ttl, tunnel, f.eth_dst[rows])
    )
    return rows[np.lexsort((f.ts[rows], handed_on, -wire, tunnel, -ttl, identity))]


def steps(f: Frames, flows: Flows) -> Counter[Step]:
    """Every kind of step between consecutive sightings of the same packet, with its count."""
    out: Counter[Step] = Counter()
    rows = np.flatnonzero((flows.identity != 0) & ~decapsulated(f, flows))
    if len(rows) < 2:
        return out
    order = causal_order(f, flows, rows)
    place = _place(f, flows)
    a, b = order[:-1], order[1:]
    # A packet sent twice with one identity (a SYN-ACK has IP id 0) is no step.
    joined = (flows.identity[a] == flows.identity[b]) & (place[a] != place[b])
    a, b = a[joined], b[joined]
    plausible = _plausible(f, flows, a, b)
    a, b = a[plausible], b[plausible]
    if not len(a):
        return out
    fall = f.wire_ttl[a] - f.wire_ttl[b]
    client_kept = endpoint_address(flows.client[a]) == endpoint_address(flows.client[b])
    header = f.inner("hdr_len")
    wrapped = f.field("depth")[b] > f.field("depth")[a]
    grown = np.where(wrapped, OVERLAY, np.where(header[b] > header[a], OPTION, SAME))
    grown = np.where((f.tunnel[a] == 0) & (f.tunnel[b] == 0), grown, SAME)
    kinds = mix(place[a], place[b], fall, client_kept, grown)
    first, count = f.tally(kinds, a)
    for i, n in zip(first.tolist(), count.tolist(), strict=True):
        step = Step(
            sight(f, flows, int(a[i])),
            sight(f, flows, int(b[i])),
            int(flows.direction[a[i]]),
            int(f.proto[a[i]]),
            int(fall[i]),
            bool(client_kept[i]),
            int(grown[i]),
        )
        out[step] += n
    return out


def _place(f: Frames, flows: Flows) -> Words:
    sent = f.rec["pkttype"] == SENT
    return mix(
        f.tap,
        f.port_of_tap,
        f.eth_src,
        f.eth_dst,
        f.tunnel,
        f.outer_dst,
        flows.server,
        flows.direction,
        f.tos >> 2,
        sent,
        f.proto,
    )


def _plausible(f: Frames, flows: Flows, a: Ints, b: Ints) -> Mask:
    """Pairs that can be one packet before and after a node, as far as frames, clocks and numbers tell."""
    one_clock = f.tap[a] == f.tap[b]
    gap = f.ts[b] - f.ts[a]
    soon = ~one_clock | ((gap >= -_JITTER_NS) & (gap <= _FORWARDING_NS))
    numbered = ~f.is_tcp[a] | (f.seq[a] != 0)
    return np.asarray(~rewritten(f, flows, a, b) | (sent_anew(f, a, b) & soon & numbered), bool)


def rewritten(f: Frames, flows: Flows, a: Ints, b: Ints) -> Mask:
    """Pairs whose addresses or tunnel differ."""
    return np.asarray(
        (flows.server[a] != flows.server[b]) | (flows.client[a] != flows.client[b]) | (f.tunnel[a] != f.tunnel[b]), bool
    )


def sent_anew(f: Frames, a: Ints, b: Ints) -> Mask:
    """Pairs whose second frame has another sender: whatever rewrites or wraps a packet sends it in a frame of its own.

    Without this, packets that merely share their numbers (test fixtures, say) would look like NAT. Link types without
    addresses cannot tell and pass.
    """
    link = f.has(layout.HAS_ETH_SRC)[a] & f.has(layout.HAS_ETH_SRC)[b]
    return np.asarray(~link | (f.eth_src[a] != f.eth_src[b]) | (f.port_of_tap[a] != f.port_of_tap[b]), bool)


def places(f: Frames, flows: Flows) -> Counter[tuple[Sight, int]]:
    """Every place where conversations were seen: (what it looks like, direction) -> packets."""
    out: Counter[tuple[Sight, int]] = Counter()
    rows = np.flatnonzero(flows.direction != 0)
    if len(rows):
        first, count = f.tally(_place(f, flows)[rows], rows)
        for i, n in zip(rows[first].tolist(), count.tolist(), strict=True):
            out[sight(f, flows, i), int(flows.direction[i])] += n
    return out


def sight(f: Frames, flows: Flows, row: int) -> Sight:
    return Sight(
        tap=int(f.tap[row]),
        eth_src=int(f.eth_src[row]),
        eth_dst=int(f.eth_dst[row]),
        tunnel=int(f.tunnel[row]),
        outer_dst=int(f.outer_dst[row]),
        server=int(flows.server[row]) >> 16,
        port=int(flows.server[row]) & 0xFFFF,
        dscp=int(f.tos[row]) >> 2,
        sent=int(f.rec["pkttype"][row]) == SENT,
        outer_src=int(f.outer_src[row]),
        client=int(flows.client[row]) >> 16,
        ttl=int(f.wire_ttl[row]),
    )
