"""Sizes: what servers offer (MSS), what fits through the tunnel, what does not, and where 'too big' is heard."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from typing import Final, NamedTuple

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.seen import Seen, grouped
from dsrkit.verify.arrays import among
from dsrkit.verify.connections import too_big
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import REQUEST, Frames, mix
from dsrkit.verify.journeys import PLAIN, REWRITTEN, Journeys
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame

_MOST: Final = 10_000
_MOST_SESSIONS: Final = 200_000
_DF: Final = 0x4000


class Offer(NamedTuple):
    """The MSS of SYN-ACKs, by tap and sender's MAC. Units: octets."""

    tap: int
    sender: int
    version: int
    mss: int


@dataclass(frozen=True, slots=True)
class Misled:
    """'Too big' about a reply, on its way to a server that did not send it."""

    frame: Frame
    server: int
    right: int


@dataclass(slots=True)
class Sizes:
    """Facts about sizes. Units: octets of whole packets, inner ones in tunnels."""

    offers: dict[Offer, Seen] = field(default_factory=lambda: defaultdict(Seen))
    wrapped: int = 0
    """The longest inner packet that was seen with its outer header."""
    outer: int = 0
    """The longest outer packet."""
    overhead: int = 0
    """What the outer headers add."""
    lost: dict[Frame, int] = field(default_factory=dict)
    """Requests with data that went in at the load balancer and did not come out, with their lengths."""
    insisted: dict[int, Seen] = field(default_factory=lambda: defaultdict(Seen))
    """Tap -> segments that a client sent again as long as before, though an error there had called them too big."""
    cut: dict[int, Seen] = field(default_factory=lambda: defaultdict(Seen))
    """Outer source -> outer packets in fragments around a packet that must not be cut (DF)."""
    misled: list[Misled] = field(default_factory=list)
    _refused: dict[int, tuple[int, int]] = field(default_factory=dict)
    _sessions: dict[int, int] = field(default_factory=dict)  # client's endpoint -> server's address or MAC

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Take in a batch; every packet once."""
        rows = np.flatnonzero(is_synack(f) & (f.tunnel == 0) & (f.field("mss") > 0))
        for values, members in grouped(f.tap[rows], f.eth_src[rows], f.ver[rows], f.field("mss")[rows]):
            offer = Offer(*values)
            if offer in self.offers or len(self.offers) < _MOST:
                self.offers[offer].add(f, rows[members])
        if f.any_tunnel:
            self._outer(f, flows)
        self._insisting(f, flows)
        self._errors_to_servers(f, flows, scene)

    def follow(self, f: Frames, journeys: Journeys) -> None:
        """Requests whose every sighting is known: which ones did not come out."""
        way = journeys.ways.get(REQUEST)
        if way is None or not len(way.rows):
            return
        plain = np.asarray([p.form == PLAIN for p in way.points], bool)
        out = np.asarray([p.form == REWRITTEN for p in way.points], bool)
        if not plain.any() or not out.any():
            return
        gone = (way.rows[:, plain] >= 0).any(axis=1) & ~(way.rows[:, out] >= 0).any(axis=1)
        for column in np.flatnonzero(plain).tolist():
            rows = way.rows[gone, column]
            rows = rows[rows >= 0]
            rows = rows[f.is_tcp[rows] & (f.payload_len[rows] > 0)]
            for row in rows[: max(0, _MOST - len(self.lost))].tolist():
                self.lost[f.ref(row)] = int(f.ip_len[row])

    def _outer(self, f: Frames, flows: Flows) -> None:
        asks = (flows.direction == REQUEST) & (f.tunnel > 0)
        whole = np.flatnonzero(asks & ~f.outer_fragment)
        if len(whole):
            length = f.outer("ip_len")[whole] + np.where(f.outer("ver")[whole] == 6, 40, 0)
            self.wrapped = max(self.wrapped, int(f.ip_len[whole].max()))
            self.outer = max(self.outer, int(length.max()))
            self.overhead = max(self.overhead, int((length - f.ip_len[whole]).max()))
        four = (f.outer("ver") == 4) & (f.ver == 4)
        kept = (f.inner("frag") & _DF != 0) & (f.outer("frag") & _DF == 0)
        rows = np.flatnonzero((f.tunnel > 0) & f.outer_fragment & four & kept)
        for (source,), members in grouped(f.outer_src[rows]):
            self.cut[source].add(f, rows[members])

    def _insisting(self, f: Frames, flows: Flows) -> None:
        """Segments after an error that says how long they may be, and as long as ever."""
        errors = [r for r in np.flatnonzero(f.is_error).tolist() if too_big(f, r)]
        keys = mix(f.tap, f.source, f.seq)
        for row in errors[: max(0, _MOST - len(self._refused))]:
            client = int(f.quoted_src[row]) << 16 | int(f.rec["q_sport"][row])
            key = int(mix([int(f.tap[row])], [client], [int(f.rec["q_seq"][row])])[0])
            mtu = int(f.seq[row]) & (0xFFFF if f.ver[row] == 4 else 0xFFFF_FFFF)
            self._refused.setdefault(key, (int(f.ts[row]), mtu))
        if not self._refused:
            return
        known = np.asarray(sorted(self._refused), np.uint64)
        carries = f.is_tcp & (f.payload_len > 0) & (f.tunnel == 0) & (flows.direction == REQUEST)
        for row in np.flatnonzero(carries & among(keys, known)).tolist():
            since, mtu = self._refused[int(keys[row])]
            if int(f.ts[row]) > since and int(f.ip_len[row]) > mtu > 0:
                self.insisted[int(f.tap[row])].add(f, [row])

    def _errors_to_servers(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Which server an error about a reply is forwarded to, and which one sent that reply."""
        lbs = list(scene.macs("lb") - {0})
        if not lbs:
            return
        server = np.where(f.tunnel > 0, f.outer_dst, f.dst)
        direct = among(f.dst, list(scene.vips)) & (f.tunnel == 0)
        server = np.where(direct, f.eth_dst, server)
        out = among(f.eth_src, lbs) | (f.tunnel > 0)
        rows = np.flatnonzero((flows.direction == REQUEST) & is_syn(f) & out)
        room = max(0, _MOST_SESSIONS - len(self._sessions))
        self._sessions.update(zip(flows.client[rows[:room]].tolist(), server[rows[:room]].tolist(), strict=True))
        about = f.is_error & out & among(f.dst, list(scene.vips)) & among(f.quoted_src, list(scene.vips))
        for row in np.flatnonzero(about)[: max(0, _MOST - len(self.misled))].tolist():
            client = int(f.quoted_dst[row]) << 16 | int(f.rec["q_dport"][row])
            right = self._sessions.get(client)
            if too_big(f, row) and right is not None and right != int(server[row]):
                self.misled.append(Misled(f.ref(row), int(server[row]), right))


def header(version: int) -> int:
    """Octets of the IP and TCP headers without options. Source: RFC 9293 s3.7.1, RFC 8200 s8.3."""
    return 60 if version == 6 else 40
