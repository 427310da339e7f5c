"""What requests looked like at each place: their marks and outer headers, and who was heard there at all.

Every table is bounded by the number of places, not of packets.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.seen import Seen, grouped
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows, is_syn
from dsrkit.verify.frames import REQUEST, Frames
from dsrkit.verify.scene import Scene
from dsrkit.wire import layout

_MOST_PLACES: Final = 20_000
_MOST_LENGTHS: Final = 64
_MOST_SUMMED: Final = 200
_GRE_CHECKSUM: Final = 0x8000_0000
"""The C bit of a GRE header. Source: RFC 2784 s2.1."""


class Asked(NamedTuple):
    """A place where first packets of requests were seen without an outer header, and how they were marked."""

    tap: int
    eth_src: int
    eth_dst: int
    dst: int
    proto: int
    port: int
    tos: int


class Outer(NamedTuple):
    """A kind of outer header; `checked` is whether a GRE checksum is there."""

    src: int
    dst: int
    eth_src: int
    eth_dst: int
    tunnel: int
    checked: int


@dataclass(slots=True)
class Requests:
    """Facts about requests; `see` is given every packet once."""

    asked: dict[Asked, Seen] = field(default_factory=lambda: defaultdict(Seen))
    outer: dict[Outer, Seen] = field(default_factory=lambda: defaultdict(Seen))
    outer_lengths: dict[tuple[int, int, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    """(outer source, outer destination, UDP source port) -> total lengths of the packets sent. Units: octets."""
    heard: set[tuple[int, int]] = field(default_factory=set)
    """(tap, MAC that sent a frame there)."""
    stale_sums: dict[int, Seen] = field(default_factory=lambda: defaultdict(Seen))
    """Destination address -> requests whose checksum is wrong for it and right for the VIP."""
    _summed: int = 0

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        request = flows.direction == REQUEST
        if len(self.heard) < _MOST_PLACES:
            self.heard |= {(one >> 48, one & 0xFFFF_FFFF_FFFF) for one in distinct(f.tap << 48 | f.eth_src).tolist()}
        self._marks(f, np.flatnonzero(request & (f.tunnel == 0) & (is_syn(f) | f.is_udp_head)))
        if f.any_tunnel:
            self._outer(f, np.flatnonzero(request & (f.tunnel > 0)))
        self._sums(f, request, scene)

    def _marks(self, f: Frames, rows: Any) -> None:
        columns = f.tap, f.eth_src, f.eth_dst, f.dst, f.proto, f.field("dport"), f.tos
        for values, members in grouped(*(column[rows] for column in columns)):
            place = Asked(*values)
            if place in self.asked or len(self.asked) < _MOST_PLACES:
                self.asked[place].add(f, rows[members])

    def _outer(self, f: Frames, rows: Any) -> None:
        checked = (f.field("tun_word") & _GRE_CHECKSUM) != 0
        checked &= f.inner("encap") == layout.ENCAP_GRE
        columns = f.outer_src, f.outer_dst, f.eth_src, f.eth_dst, f.tunnel, checked
        for values, members in grouped(*(column[rows] for column in columns)):
            kind = Outer(*values)
            if kind in self.outer or len(self.outer) < _MOST_PLACES:
                self.outer[kind].add(f, rows[members])
        udp = rows[f.field("tun_sport")[rows] > 0]
        length = f.outer("ip_len") + np.where(f.outer("ver") == 6, 40, 0)
        sent = grouped(f.outer_src[udp], f.outer_dst[udp], f.field("tun_sport")[udp], length[udp])
        for (src, dst, port, octets), _ in sent:
            if (src, dst, port) in self.outer_lengths or len(self.outer_lengths) < _MOST_PLACES:
                known = self.outer_lengths[src, dst, port]
                if len(known) < _MOST_LENGTHS:
                    known.add(octets)

    def _sums(self, f: Frames, request: Any, scene: Scene) -> None:
        """Wrong checksums that the VIP would make right: the address was replaced, and the sum was not."""
        if self._summed >= _MOST_SUMMED or not scene.vips:
            return
        wrong = request & (f.field("l4_state") == layout.SUM_INVALID) & (f.is_tcp | f.is_udp)
        wrong &= ~among(f.dst, list(scene.vips))
        for row in np.flatnonzero(wrong)[: _MOST_SUMMED - self._summed].tolist():
            self._summed += 1
            if any(fits(f, row, scene, vip) for vip in scene.vips):
                self.stale_sums[int(f.dst[row])].add(f, [row])


def fits(f: Frames, row: int, scene: Scene, destination: int) -> bool:
    """Whether a packet's transport checksum is right for another destination, with its port or the service's."""
    size = int(f.ip_len[row]) - (int(f.rec["l4_at"][row]) - int(f.rec["in_at"][row]))
    segment = f.octets(row, "l4_at", size)
    source, target = (ip_address(scene.address(a)).packed for a in (int(f.src[row]), destination))
    if len(segment) != size or size < 8 or len(source) != len(target):
        return False
    proto, port = int(f.proto[row]), int(f.rec["dport"][row])
    ports = {port, *(v for (p, v), behind in scene.services.items() if p == proto and port in behind)}
    pseudo = source + target + size.to_bytes(4, "big") + proto.to_bytes(4, "big")
    return any(_folded(pseudo + segment[:2] + p.to_bytes(2, "big") + segment[4:]) == 0xFFFF for p in ports)


def _folded(octets: bytes) -> int:
    """The ones' complement sum of 16-bit words. Source: RFC 1071 s1."""
    words = np.frombuffer(octets + bytes(len(octets) % 2), ">u2")
    total = int(words.astype(np.int64).sum())
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
