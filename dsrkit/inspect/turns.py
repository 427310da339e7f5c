"""Who asks and who answers, where neither endpoint or both are known to serve; and what fragments belong to.

Few packets of a capture come here; all that can be told by endpoints is told by the tally.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsrkit.verify.arrays import among
from dsrkit.verify.flows import by_first_word, direct_fragments, identify_fragments
from dsrkit.verify.frames import REPLY, REQUEST, TCP, UDP, Frames, Ints, Words, endpoint_address, mix

_OFFSET = 0x1FFF
_PROTO_SHIFT = 56


@dataclass(frozen=True, slots=True)
class Turns:
    """Direction and both ports, by role. Shape: (n,) each. Absent: direction 0 where a packet is of no conversation."""

    direction: Ints
    client_port: Ints
    service_port: Ints
    identity: Words | None = None


def talks(f: Frames) -> Turns:
    """Packets of TCP and UDP, by who speaks first."""
    tag = f.proto << _PROTO_SHIFT
    direction = by_first_word(f, f.source | tag, f.target | tag, np.arange(f.n))
    request = direction == REQUEST
    source, target = f.field("sport"), f.field("dport")
    return Turns(direction, np.where(request, source, target), np.where(request, target, source))


def fragments(f: Frames, direction: Ints, undecided: Ints, *, addressless: bool) -> Turns:
    """All packets of a batch that has fragments; `direction` is what is known, 0 elsewhere."""
    direction = direction.copy()
    if len(undecided):
        tag = f.proto << _PROTO_SHIFT
        direction[undecided] = by_first_word(f, f.source | tag, f.target | tag, undecided)
    direct_fragments(f, direction)
    known = direction.copy()
    source, target = f.field("sport"), f.field("dport")
    request = direction == REQUEST
    client = np.where(request, f.source, np.where(direction == REPLY, f.target, 0))
    service = np.where(request, f.target, np.where(direction == REPLY, f.source, 0))
    # Where nothing but fragments tells who serves, the lower port does.
    rows = np.flatnonzero(f.fragment & f.has_l4 & (direction == 0) & among(f.proto, (TCP, UDP)))
    up = target[rows] < source[rows]
    direction[rows] = np.where(up, REQUEST, REPLY)
    client[rows], service[rows] = (
        np.where(up, a[rows], b[rows]) for a, b in ((f.source, f.target), (f.target, f.source))
    )
    _follow(f, direction, client, service)
    _by_address(f, direction, client, service)
    who = np.where(known == REQUEST, f.source, np.where(known == REPLY, f.target, 0))
    identity = np.zeros(f.n, np.uint64)
    where = np.zeros(f.n, np.int64) if addressless else endpoint_address(who)
    identify_fragments(f, known, where, known != 0, identity)
    return Turns(direction, client & 0xFFFF, service & 0xFFFF, identity)


def _follow(f: Frames, direction: Ints, client: Ints, service: Ints) -> None:
    """Later fragments have no ports: they belong to the conversation of their datagram's first one."""
    part = np.flatnonzero(f.fragment & f.has_ip)
    offset = f.inner("frag")[part] & _OFFSET
    datagram = mix(f.src[part], f.dst[part], f.ip_id[part], f.proto[part])
    leads = (offset == 0) & f.has_l4[part]
    first = part[leads]
    known, at = np.unique(datagram[leads], return_index=True)
    if not len(known):
        return
    place = np.minimum(np.searchsorted(known, datagram), len(known) - 1)
    mine = known[place] == datagram
    rows, leader = part[mine], first[at][place[mine]]
    for column in (direction, client, service):
        column[rows] = column[leader]


def _by_address(f: Frames, direction: Ints, client: Ints, service: Ints) -> None:
    """Packets that nobody asks and answers by: between two addresses, the lower one in front; errors left out."""
    rows = np.flatnonzero(f.has_ip & (direction == 0) & ~f.is_error)
    level = np.maximum(f.rec["depth"][rows].astype(np.int64) - 1, 0)
    hi, lo = ([f.rec[f"{side}_{half}"][rows, level] for side in ("src", "dst")] for half in ("hi", "lo"))
    up = (hi[0] < hi[1]) | ((hi[0] == hi[1]) & (lo[0] <= lo[1]))
    direction[rows] = np.where(up, REQUEST, REPLY)
    client[rows] = np.where(up, f.src[rows], f.dst[rows]) << 16
    service[rows] = np.where(up, f.dst[rows], f.src[rows]) << 16
