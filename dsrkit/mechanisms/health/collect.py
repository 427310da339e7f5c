"""Collects probes: connections and echo requests that a checker may have made, with what came of each.

Only the first packets of sources that can be checkers are picked, by masks over the columns; what belongs to them is
then followed packet by packet. Memory is bounded: a finished probe is a few numbers in its series, and pairs that open
connections faster than any checker are left out.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.mechanisms.health.parse import MOST_OCTETS, Request, answer_of, request_of
from dsrkit.mechanisms.health.series import DOWN, UNKNOWN, UP, Ask, Base, Series
from dsrkit.model.names import REWRITES
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.connections import icmp_name, too_big
from dsrkit.verify.flows import Flows, is_syn
from dsrkit.verify.frames import ACK, ICMP, INITIAL_TTLS, REQUEST, RST, SYN, TCP, Frames, Ints, Mask, Words, mix
from dsrkit.verify.scene import Scene

FIN: Final = 0x01
_RETRANSMISSION_NS: Final = 200_000_000
_PATIENCE_NS: Final = 60_000_000_000
"""No check waits longer for its answer."""
_FASTEST: Final = 20
"""New connections per second of one pair; checks are rarer."""
_MANY: Final = 100
_MOST_STARTS: Final = 2_000
"""Probes that one batch may begin, and `_MOST_KNOWN` pairs that are remembered to choose them by."""
_MOST_KNOWN: Final = 200_000
_MOST_SERIES: Final = 20_000
_MOST_TIMES: Final = 1_000_000


@dataclass(slots=True)
class Probe:
    """One question on its way."""

    base: Base
    client: int  # endpoint
    at: int
    number: int
    isn: int
    ip_id: int
    sender: int  # MAC
    last_at: int
    answer_at: int = 0
    answer_from: int = 0
    answer_number: int = 0
    answer_mac: int = 0
    acknowledged: bool = False
    repeated: bool = False  # the question, though the answer was there
    request: Request | None = None
    size: int = 0
    mark: int = 0
    told: tuple[bool, str] | None = None  # by the server's first octets
    refused: str = ""
    reset_by_server: bool = False
    reset_by_checker: bool = False
    gave_up_at: int = 0
    closed: bool = False


@dataclass(slots=True)
class Collector:
    """Feed it every batch, then read `series`."""

    scene: Scene
    series: dict[tuple[Base, Ask], Series] = field(default_factory=dict)
    starts: list[tuple[Ints, Ints, int]] = field(default_factory=list)  # times and sources of connections, tap
    talking: set[int] = field(default_factory=set)  # taps that show an answer to some probe
    end: dict[int, int] = field(default_factory=dict)  # tap -> its last packet
    notes: list[str] = field(default_factory=list)
    datagrams: bool = False  # UDP was seen
    own: set[int] = field(default_factory=set)  # addresses of the load balancer
    _open: dict[tuple[int, int, int], Probe] = field(default_factory=dict)  # (tap, protocol, endpoint or echo)
    _heavy: set[int] = field(default_factory=set)
    _known: Words = field(default_factory=lambda: np.zeros(0, np.uint64))
    _client_numbers: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _times: int = 0

    def _know(self) -> None:
        """The load balancer's addresses, with those that its MACs claim."""
        scene = self.scene
        claimed = {address for (address, mac), _ in scene.claims.items() if mac and mac in scene.macs("lb")}
        self.own |= (scene.ips("lb") | claimed) - scene.vips

    def feed(self, f: Frames, flows: Flows) -> None:
        """Take in a batch of new packets."""
        if not f.n:
            return
        asks = is_syn(f) | (f.is_echo & (flows.direction == REQUEST))
        rows = np.flatnonzero(asks & f.has_ip)
        if not self.end:
            self._know()
        begins = self._possible(f, flows, rows) if len(rows) else rows
        self._clock(f)
        self.datagrams = self.datagrams or bool(f.is_udp.any())
        if not len(begins) and not self._open:
            return
        ends = distinct(
            np.concatenate([flows.client[begins], np.asarray([p.client for p in self._open.values()], np.int64)])
        )
        mine = (f.is_tcp | f.is_echo) & among(flows.client, ends) & (flows.direction != 0)
        chosen = np.zeros(f.n, bool)
        chosen[begins] = True
        mine &= chosen | ~asks | self._again(f, flows, rows)
        self._walk(f, flows, np.flatnonzero(mine), chosen)
        self._errors(f)
        self._fold(done=False)

    def finish(self) -> list[Series]:
        """All series; call once, after the last batch."""
        self._fold(done=True)
        if any(s.lost for s in self.series.values()):
            self.notes.append("health checks: the oldest probes of long series stand for the later ones")
        for series in self.series.values():
            series.sort()
        return list(self.series.values())

    def nothing_else(self, sources: set[int]) -> bool:
        """Whether all connections are of these sources, so that the capture holds no clients' data path."""
        return not self.datagrams and all(set(distinct(who).tolist()) <= sources for _, who, _ in self.starts)

    # --- choosing -----------------------------------------------------------------------------------------------------

    def _possible(self, f: Frames, flows: Flows, rows: Ints) -> Ints:
        """First packets of probes: from the load balancer, or from somebody who is no client."""
        who, whom = flows.client[rows] >> 16, flows.server[rows] >> 16
        scene = self.scene
        own = among(who, list(self.own))
        if scene.mode in REWRITES:
            straight = among(whom, list(scene.ips("real-server"))) & ~among(who, list(scene.ips("client")))
            sent = among(f.eth_src[rows], list(scene.macs("lb") - {0}))
            # What the load balancer passes on has lost a hop.
            made = straight & sent & among(f.ttl[rows], INITIAL_TTLS)
            self.own.update(distinct(who[made]).tolist())
            others = straight & (~sent | made)
        else:
            stated = [ip for p in scene.role("client") if p.stated for ip in p.ips]
            others = ~among(who, stated)
        wanted = own | others
        syn = np.asarray(f.proto[rows] == TCP, bool)
        if self._times < _MOST_TIMES:
            tap = f.tap[rows]
            for one in distinct(tap[syn]).tolist():
                mine = rows[syn & (tap == one)]
                self.starts.append((f.ts[mine], flows.client[mine] >> 16, one))
            self._times += int(syn.sum())
        # One connection under two sources is a client's that was translated, not a check.
        foreign = np.concatenate([self._client_numbers, f.seq[rows][syn & ~wanted]])
        self._client_numbers = foreign[-_MOST_STARTS * 10 :]
        wanted &= ~(syn & among(f.seq[rows], foreign))
        rows = rows[wanted]
        return self._slow_enough(f, flows, rows) if len(rows) else rows

    def _slow_enough(self, f: Frames, flows: Flows, rows: Ints) -> Ints:
        """Without pairs that open connections faster than a checker, and without most of what came only once."""
        pair = mix(flows.client[rows] >> 16, flows.server[rows], f.tap[rows], f.proto[rows])
        pairs, member, count = np.unique(pair, return_inverse=True, return_counts=True)
        seconds = max(1e-9, (int(f.ts.max()) - int(f.ts.min())) / 1e9)
        fast = (count > _MANY) & (count > _FASTEST * seconds)
        if fast.any():
            self._heavy.update(pairs[fast].tolist())
        if self._heavy:
            fast |= among(pairs, np.asarray(sorted(self._heavy), np.uint64))
        keep = ~fast
        if int(count[keep].sum()) > _MOST_STARTS:
            keep &= among(pairs, self._known) | (count > 1)
        if len(self._known) < _MOST_KNOWN:
            self._known = distinct(np.concatenate([self._known, pairs[~fast]]))
        return rows[keep[member]][:_MOST_STARTS]

    def _again(self, f: Frames, flows: Flows, rows: Ints) -> Mask:
        """First packets that are repeated: of probes that are open."""
        again = np.zeros(f.n, bool)
        if self._open and len(rows):
            again[rows] = among(f.seq[rows], [probe.isn for probe in self._open.values()])
        return again

    # --- following ----------------------------------------------------------------------------------------------------

    def _walk(self, f: Frames, flows: Flows, rows: Ints, chosen: Mask) -> None:
        """Go through the packets of probes one by one."""
        rows = rows[np.argsort(f.tap[rows], kind="stable")]
        g = f.take(rows)
        clients, servers = flows.client[rows].tolist(), flows.server[rows].tolist()
        asked = (flows.direction[rows] == REQUEST).tolist()
        begins, syn = chosen[rows].tolist(), is_syn(g).tolist()
        tap, ts, number = g.tap.tolist(), g.ts.tolist(), g.number.tolist()
        flags, seq, size = g.flags.tolist(), g.seq.tolist(), g.payload_len.tolist()
        echo, ident = g.is_echo.tolist(), g.ip_id.tolist()
        for i in range(g.n):
            proto = ICMP if echo[i] else TCP
            key = (tap[i], proto, seq[i] << 20 ^ clients[i] if echo[i] else clients[i])
            probe = self._open.get(key)
            if asked[i] and (syn[i] or echo[i]):
                if probe is not None and probe.isn == seq[i]:
                    self._repeat(probe, ts[i], ident[i])
                elif begins[i]:
                    if probe is not None:
                        self._close(probe)
                    base = self._base(g, i, clients[i], servers[i], proto)
                    sender = int(g.eth_src[i])
                    self._open[key] = Probe(base, clients[i], ts[i], number[i], seq[i], ident[i], sender, ts[i])
                    if echo[i]:
                        self._open[key].size = size[i]
            elif probe is None:
                continue
            elif asked[i]:
                self._asked(g, i, probe, flags[i], size[i], ts[i])
            elif echo[i]:
                self._answer(g, i, probe, servers[i])
            else:
                self._answered(g, i, probe, flags[i], size[i], servers[i])

    def _base(self, g: Frames, i: int, client: int, server: int, proto: int) -> Base:
        tunnel = int(g.tunnel[i])
        return Base(
            int(g.tap[i]),
            client >> 16,
            server >> 16,
            proto,
            server & 0xFFFF if proto == TCP else 0,
            tunnel,
            int(g.outer_dst[i]),
            int(g.tos[i]) >> 2,
            0 if tunnel else int(g.eth_dst[i]),
        )

    def _repeat(self, probe: Probe, at: int, ident: int) -> None:
        """The same first packet: at another place of its way, or sent again."""
        if at - probe.last_at >= _RETRANSMISSION_NS and (ident != probe.ip_id or ident == 0):
            probe.last_at = at
            if probe.answer_at and not probe.acknowledged and at - probe.answer_at >= _RETRANSMISSION_NS // 2:
                probe.repeated = True

    def _asked(self, g: Frames, i: int, probe: Probe, flags: int, size: int, at: int) -> None:
        if flags & RST:
            probe.reset_by_checker = True
        elif flags & ACK and probe.answer_at:
            probe.acknowledged = True
        if size and probe.request is None:
            probe.request, probe.size = request_of(g.payload(i, MOST_OCTETS)), size
            if probe.request.kind == "tcp-data":
                probe.mark = int(g.rec["fp"][i])
        if flags & (RST | FIN) and not probe.gave_up_at:
            probe.gave_up_at = at
        if flags & RST or (flags & FIN and (probe.told is not None or probe.request is None)):
            probe.closed = True

    def _answer(self, g: Frames, i: int, probe: Probe, server: int) -> None:
        """The first answer; from whom it came is kept."""
        if not probe.answer_at:
            probe.answer_at, probe.answer_from = int(g.ts[i]), server >> 16
            probe.answer_number, probe.answer_mac = int(g.number[i]), int(g.eth_dst[i])
            self.talking.add(int(g.tap[i]))
        probe.closed = probe.closed or bool(g.is_echo[i])

    def _answered(self, g: Frames, i: int, probe: Probe, flags: int, size: int, server: int) -> None:
        if flags & (SYN | ACK) == (SYN | ACK):
            if int(g.ack[i]) == (probe.isn + 1) & 0xFFFF_FFFF:
                self._answer(g, i, probe, server)
            return
        if flags & RST:
            self.talking.add(int(g.tap[i]))
            if probe.answer_at:
                probe.reset_by_server = probe.reset_by_server or not probe.gave_up_at
            elif not probe.refused:
                probe.refused = "refused (RST)"
            probe.closed = True
        elif size and probe.told is None:
            kind = probe.request.kind if probe.request is not None else "tcp"
            probe.told = answer_of(kind, g.payload(i, 64))

    def _errors(self, f: Frames) -> None:
        """ICMP errors about probes."""
        if not self._open or not f.is_error.any():
            return
        g = f.take(np.flatnonzero(f.is_error))
        for i in range(g.n):
            endpoint = int(g.quoted_src[i]) << 16
            tap = int(g.tap[i])
            tcp = self._open.get((tap, TCP, endpoint | int(g.rec["q_sport"][i])))
            probe = tcp or self._open.get((tap, ICMP, int(g.rec["q_seq"][i]) << 20 ^ endpoint))
            if probe is not None and not probe.refused and not too_big(g, i):
                probe.refused = icmp_name(g, i)
                self.talking.add(tap)

    # --- finishing ----------------------------------------------------------------------------------------------------

    def _clock(self, f: Frames) -> None:
        for tap in distinct(f.tap).tolist():
            self.end[tap] = max(self.end.get(tap, 0), int(f.ts[f.tap == tap].max()))

    def _fold(self, *, done: bool) -> None:
        """Put probes that are over into their series."""
        over = [
            key
            for key, probe in self._open.items()
            if done or probe.closed or self.end[key[0]] - probe.last_at > _PATIENCE_NS
        ]
        for key in over:
            self._close(self._open.pop(key))

    def _close(self, probe: Probe) -> None:
        if probe.request is not None and probe.request.passed_on:
            return
        ask = self._ask(probe)
        found = self.series.get((probe.base, ask))
        if found is None:
            if len(self.series) >= _MOST_SERIES:
                return
            found = self.series[probe.base, ask] = Series(probe.base, ask)
        result, reason = self._result(probe)
        found.add(probe.at, probe.number, result, reason)
        found.size = max(found.size, probe.size)
        found.typical |= probe.request is not None and probe.request.typical
        if probe.answer_at:
            found.answer_ns.append(probe.answer_at - probe.at)
            if probe.answer_from != probe.base.target:
                found.from_other.append(probe.answer_number)
                found.other_source = probe.answer_from
            home = probe.answer_mac in (0, probe.sender)
            refused = probe.reset_by_checker and probe.answer_from != probe.base.target
            if not probe.acknowledged and home and (probe.repeated or refused):
                found.untaken.append(probe.answer_number)
        if result == DOWN and probe.gave_up_at:
            found.timeout_ns.append(probe.gave_up_at - probe.at)

    def _ask(self, probe: Probe) -> Ask:
        if probe.base.proto == ICMP:
            return Ask("ping", None)
        if probe.request is not None:
            return Ask(probe.request.kind, probe.request.text, probe.mark)
        half = probe.answer_at and probe.reset_by_checker and not probe.acknowledged and not probe.repeated
        return Ask("tcp-half-open" if half else "tcp", None)

    def _result(self, probe: Probe) -> tuple[int, str]:
        """What the checker learns from a probe, as far as packets tell."""
        cut = self.end[probe.base.tap] - probe.last_at < 1_000_000_000 and not probe.closed and not probe.gave_up_at
        if probe.refused:
            return DOWN, probe.refused
        if not probe.answer_at:
            return (UNKNOWN, "the capture ends") if cut else (DOWN, "no answer")
        if probe.base.proto == ICMP:
            return UP, "echo reply"
        if probe.repeated or (probe.reset_by_checker and probe.answer_from != probe.base.target):
            return DOWN, "answer not taken"
        if probe.told is not None:
            return (UP if probe.told[0] else DOWN), probe.told[1]
        if probe.reset_by_server:
            return DOWN, "reset by the server"
        if probe.request is not None:
            return (UNKNOWN, "the capture ends") if cut else (DOWN, "no answer to the request")
        if not probe.acknowledged and not probe.reset_by_checker and probe.answer_from != probe.base.target:
            return UNKNOWN, "nothing of the checker after the answer"
        return UP, "handshake"
