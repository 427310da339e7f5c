"""Connections: what became of every attempt to use the service, across all taps.

A TCP connection is one initial sequence number of one client endpoint; UDP of one client endpoint with one service port
counts as one connection. Answered ones are forgotten after a while and only counted; memory is bounded by the attempts
that are still open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import field
from typing import Any, Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.names import DIRECT_RETURN, REWRITES
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import ACK, REPLY, REQUEST, RST, SYN, TCP, UDP, Frames, Ints, Mask, mix
from dsrkit.verify.journeys import Joiner, Journeys
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame, Point
from dsrkit.wire import layout
from dsrkit.wire.icmp import NAMES as ICMP_NAMES

_MOST_OPEN: Final = 50_000
"""Attempts without an answer that are remembered: some 1.6 kB each."""
_RETRANSMISSION_NS: Final = 200_000_000
"""Least time-out of a retransmission. Source: Linux TCP_RTO_MIN; RFC 6298 s2.4 has 1 s."""
_TRACING_TTL: Final = 32
"""No system starts with a TTL this small; traceroute does."""
_ROUNDS: Final = 3
COPIES: Final = 3
"""So many transmissions of one SYN or segment, all in vain, are no accident on a path that loses a few per cent."""

Group = tuple[int, int, int]
"""Index of the real server (-1: not known), protocol, service port."""


@dataclass(slots=True)
class Refusal:
    """A RST or an ICMP error instead of an answer.

    `kind` is ``"rst"`` or ``"icmp"``; `icmp` the version, type and code. `sender` is the MAC of the frame, `tos` the DS
    field and ECN of the refusing packet, `ttl` what is left of its TTL, `when` its time. `quoted` says which packet an
    error quotes: its first header.

    Units: `when` in nanoseconds since 1970.
    """

    frame: Frame
    text: str
    kind: str
    source: int  # address
    sender: int
    tos: int
    ttl: int = 0
    icmp: tuple[int, int, int] = (0, 0, 0)
    quoted: Quoted | None = None
    when: int = 0


@dataclass(frozen=True, slots=True)
class Quoted:
    """The outermost header that an ICMP error quotes, and whether a tunnel packet's inner header is quoted with it.

    Units: `length` is the quoted total length in octets, as the sender of the error left it.
    """

    src: int
    dst: int
    proto: int
    length: int
    ttl: int
    tos: int
    wrapped: bool


@dataclass(slots=True)
class WrongAnswer:
    """An answer from another address than the one that was asked."""

    asked: Frame
    answer: Frame
    source: int  # address
    endpoint: int
    client: int  # endpoint
    right: tuple[int, ...]
    sender: int  # MAC
    receiver: int  # MAC
    proto: int
    server: int = -1  # index of the real server that the request was sent to


@dataclass(slots=True)
class Connection:
    """One attempt. `asked` holds, per tap, the addresses that were asked and the first frame."""

    proto: int
    client: int
    port: int
    asked: dict[int, tuple[set[int], Frame]] = field(default_factory=dict)
    sent: Counter[tuple[int, int, int, int]] = field(default_factory=Counter)
    seen: dict[tuple[int, int, int, int], tuple[int, int]] = field(default_factory=dict)  # place -> (IP id, time)
    targets: dict[tuple[int, int, int, int], int] = field(default_factory=dict)  # place -> endpoint asked there first
    scans: bool = False  # its client asks several services with one sequence number, as port scanners do
    reached: list[Point] = field(default_factory=list)
    last: tuple[int, Frame] | None = None  # lowest TTL at which the request was seen, and where
    last_tos: int = 0  # DS field and ECN of the request there
    last_sum: int = 0  # and the state of its transport checksum (`layout.SUM_*`)
    last_hop: int = 0  # MAC that it was sent to there
    server: int = -1
    answered: bool = False
    opened: bool = False  # its client was seen to acknowledge the answer
    wrong_from: set[int] = field(default_factory=set)  # endpoints that answered and were not asked as the service
    counted: bool = False  # it began on the fast path, which has counted it as answered
    answer_at: list[Point] = field(default_factory=list)
    answer_to: set[int] = field(default_factory=set)  # MACs that answers were sent to
    answer_time: dict[int, int] = field(default_factory=dict)  # tap -> when the first answer passed
    refusal: Refusal | None = None
    expired: Refusal | None = None  # its TTL ran out, as a traceroute's does

    def asked_before(self, tap: int) -> set[int]:
        """Addresses that were asked at a tap, or nearer to the client than it."""
        ttl: dict[int, int] = {}
        for at, hops, *_ in self.sent:
            ttl[at] = max(ttl.get(at, 0), hops)
        return set().union(*(known for at, (known, _) in self.asked.items() if at == tap or ttl[at] > ttl[tap]))

    @property
    def copies(self) -> int:
        """Transmissions: what one tap shows before and after a node is one."""
        return max(self.sent.values(), default=0)

    @property
    def goes_round(self) -> bool:
        """Whether one tap shows the request again and again with less TTL."""
        ttls = Counter((tap, mac) for tap, _, mac in {(tap, ttl, mac) for tap, ttl, mac, _ in self.sent})
        return max(ttls.values(), default=0) >= _ROUNDS

    @property
    def came_once(self) -> bool:
        """Whether one transmission of many came further than all others."""
        least = min((ttl for _, ttl, *_ in self.sent), default=0)
        furthest = max((n for (_, ttl, *_), n in self.sent.items() if ttl == least), default=0)
        return self.copies >= COPIES and furthest == 1 and not self.goes_round

    @property
    def repeated_after_answer(self) -> bool:
        """Whether the client asked again though the answer was on its way, by the clock of a tap that saw both."""
        both = [when > self.answer_time[tap] for (tap, *_), (_, when) in self.seen.items() if tap in self.answer_time]
        return any(both) if both else True

    @property
    def group(self) -> Group:
        return self.server, self.proto, self.port


@dataclass(slots=True)
class Connections:
    """All connections of an input, fed batch by batch."""

    scene: Scene
    joiner: Joiner
    _tcp: dict[int, Connection] = field(default_factory=dict)
    _udp: dict[tuple[int, int], Connection] = field(default_factory=dict)  # (client endpoint, the VIP's port)
    answered: Counter[Group] = field(default_factory=Counter)
    unknown: Counter[Group] = field(default_factory=Counter)
    unheard: list[Connection] = field(default_factory=list)  # answered, yet the client went on asking
    two_way: set[tuple[int, int]] = field(default_factory=set)  # (protocol, tap) that shows requests and answers
    judged_answers: Counter[int] = field(default_factory=Counter)  # tap -> answers whose address was looked at
    wrong: dict[int, list[WrongAnswer]] = field(default_factory=lambda: defaultdict(list))
    wrong_count: Counter[int] = field(default_factory=Counter)
    resets: set[tuple[int, int]] = field(default_factory=set)
    _welcome: set[tuple[int, int]] = field(default_factory=set)
    """(client, endpoint that answered it): who acknowledges an answer has asked whoever gave it, say a server's own
    address for its health."""
    _low: dict[tuple[int, int, int], set[int]] = field(default_factory=lambda: defaultdict(set))

    def feed(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        """Take in the packets that leave a batch."""
        wanted = self._of_service(f, flows) & leaving
        who, whom = (np.zeros(f.n, np.int64),) * 2 if self.scene.mode == "fullnat" else (f.source, f.target)
        for row, key in _keyed(f.seq, who, np.flatnonzero(is_syn(f) & wanted)):
            c = self._tcp.get(key)
            if c is None:
                c = self._tcp[key] = Connection(TCP, int(flows.client[row]), int(flows.server[row]) & 0xFFFF)
                if f.past is not None and f.past["last"][row] > 0 and f.past["isn"][row] == f.seq[row]:
                    c.answered = c.counted = True
            self._ask(f, journeys, c, row, 1)
        back = (f.ack - 1) & 0xFFFF_FFFF
        for row, key in _keyed(back, whom, np.flatnonzero(is_synack(f) & leaving)):
            if key in self._tcp:
                self._answer(f, self._tcp[key], row)
                if journeys.point_of_row[row] >= 0:
                    point = journeys.ways[REPLY].points[int(journeys.point_of_row[row])]
                    if point not in self._tcp[key].answer_at:
                        self._tcp[key].answer_at.append(point)
        # Only who got the SYN-ACK acknowledges it: an answer that this tap does not show.
        opened = f.is_tcp & ((f.flags & (SYN | ACK | RST)) == ACK) & wanted
        for row, key in _keyed((f.seq - 1) & 0xFFFF_FFFF, who, np.flatnonzero(opened)):
            c = self._tcp.get(key)
            if c is not None:
                c.answered = c.opened = True
                if c.wrong_from and int(f.target[row]) in c.wrong_from:
                    self._welcome.add((int(f.source[row]), int(f.target[row])))
        refused = f.is_tcp & ((f.flags & (RST | ACK)) == (RST | ACK)) & (f.payload_len == 0) & leaving
        for row, key in _keyed(back, whom, np.flatnonzero(refused)):
            if key in self._tcp and self._tcp[key].refusal is None:
                self._tcp[key].refusal = _rst(f, row)
        self._feed_udp(f, flows, journeys, wanted, leaving)
        self._feed_errors(f, leaving)
        if self.scene.mode not in REWRITES:
            reset = np.flatnonzero(f.is_tcp & ((f.flags & (RST | ACK)) == RST) & leaving)
            self.resets |= set(zip(f.source[reset].tolist(), f.target[reset].tolist(), strict=True))
        self._forget()

    def began(self, asked: Frames, answered: Frames | None, server: int, count: int) -> None:
        """Count TCP connections that began alike and were answered: sightings of one's SYN, and of its SYN-ACK if a tap
        shows it."""
        first = int(np.argmin(asked.tap))
        to = asked.target if self.scene.mode != "fullnat" else np.zeros(asked.n, np.int64)
        self.answered[server, TCP, int(to[first]) & 0xFFFF] += count
        taps = set(asked.tap.tolist())
        lbs = self.scene.macs("lb") if self.scene.mode in ("nat", "fullnat") else set()
        for tap, mac in zip(answered.tap.tolist(), answered.eth_dst.tolist(), strict=True) if answered else ():
            if tap in taps:
                self.two_way.add((TCP, tap))
                # Between server and load balancer an answer is in the server's own name, as it must be.
                self.judged_answers[tap] += count if mac not in lbs else 0

    def conversed(self, requests: Frames, server: int, count: int) -> None:
        """Count UDP conversations that were answered: sightings of a request of theirs."""
        first = int(np.argmin(requests.tap))
        self.answered[server, UDP, self._vport(int(requests.target[first]) & 0xFFFF)] += count

    def heard(self, answer: Frames, asked: set[int], count: int) -> None:
        """Count the first answers of such conversations: sightings of one, and the taps that show requests too."""
        lbs = self.scene.macs("lb") if self.scene.mode in ("nat", "fullnat") else set()
        for tap, mac in zip(answer.tap.tolist(), answer.eth_dst.tolist(), strict=True):
            if tap in asked:
                self.two_way.add((UDP, tap))
                self.judged_answers[tap] += count if mac not in lbs else 0

    def finish(self) -> list[Connection]:
        """The connections that got no answer."""
        scanners = {c.client for c in self._tcp.values() if c.scans}
        for tap, answers in self.wrong.items():
            kept = [w for w in answers if w.client not in scanners and (w.client, w.endpoint) not in self._welcome]
            self.wrong_count[tap] -= len(answers) - len(kept)
            self.wrong[tap] = kept
        left = [c for c in (*self._tcp.values(), *self._udp.values()) if not c.scans]
        for c in left:
            if c.answered:
                self._close(c)
            elif c.refusal is None and not self._traced(c):
                c.refusal = c.expired
        return [c for c in left if not c.answered]

    def _traced(self, c: Connection) -> bool:
        """Whether its client sends requests of different TTLs, all low; one that is only far away keeps its TTL."""
        return any(len(self._low[tap, mac, c.client >> 16]) > 1 for tap, ttl, mac, _ in c.sent if ttl < _TRACING_TTL)

    def _close(self, c: Connection) -> None:
        self.answered[c.group] += not c.counted
        asks_on = c.proto == TCP and not c.opened and c.copies >= COPIES and c.repeated_after_answer
        if asks_on and len(self.unheard) < _MOST_OPEN:
            self.unheard.append(c)

    def _of_service(self, f: Frames, flows: Flows) -> Mask:
        """Requests to the balanced service on either side; any request where the mode is unknown."""
        scene = self.scene
        request = flows.direction == REQUEST
        if scene.mode not in REWRITES:
            return np.asarray(request & (f.tunnel == 0), bool)
        mine = among(flows.server >> 16, list(scene.vips | scene.ips("real-server")))
        if scene.services:
            mine &= among(f.proto << 16 | (flows.server & 0xFFFF), scene.port_codes())
        if scene.mode != "fullnat":
            mine &= ~among(flows.client >> 16, list(scene.ips("lb")))
        return np.asarray(request & mine, bool)

    def _ask(self, f: Frames, journeys: Journeys, c: Connection, row: int, times: int) -> None:
        tap, ttl = int(f.tap[row]), int(f.wire_ttl[row])
        frame = f.ref(row)
        c.asked.setdefault(tap, (set(), frame))[0].add(int(f.dst[row]))
        place = (tap, ttl, int(f.eth_src[row]), int(f.port_of_tap[row]))
        if ttl < _TRACING_TTL and len(self._low) < _MOST_OPEN:
            self._low[tap, int(f.eth_src[row]), c.client >> 16].add(ttl)
        ident, when = int(f.ip_id[row]), int(f.ts[row])
        last = c.seen.get(place)
        # The copy of a mirror port is no transmission: the same IP id again, or sooner than any retransmission.
        if last is None or (ident != last[0] if ident else when - last[1] >= _RETRANSMISSION_NS):
            c.sent[place] += times
        c.seen[place] = (ident, when)
        c.scans |= c.proto == TCP and self._elsewhere(
            c.targets.setdefault(place, int(f.target[row])), int(f.target[row])
        )
        if journeys.server_of_row[row] >= 0:
            c.server = int(journeys.server_of_row[row])
        if journeys.point_of_row[row] >= 0:
            point = journeys.ways[REQUEST].points[int(journeys.point_of_row[row])]
            if point not in c.reached:
                c.reached.append(point)
        if c.last is None or ttl < c.last[0]:
            c.last = (ttl, frame)
            c.last_tos, c.last_sum = int(f.tos[row]), int(f.rec["l4_state"][row])
            c.last_hop = int(f.eth_dst[row])

    def _elsewhere(self, one: int, other: int) -> bool:
        """Whether two endpoints asked at one place are two services, and not one that two real servers have."""
        another_port = (one ^ other) & 0xFFFF != 0
        return one != other and (another_port or not {one >> 16, other >> 16}.isdisjoint(self.scene.vips))

    def _answer(self, f: Frames, c: Connection, row: int) -> None:
        c.answered = True
        tap = int(f.tap[row])
        c.answer_to.add(int(f.eth_dst[row]))
        c.answer_time.setdefault(tap, int(f.ts[row]))
        if tap not in c.asked:
            return
        self.two_way.add((c.proto, tap))
        if self.scene.mode in ("nat", "fullnat") and int(f.eth_dst[row]) in self.scene.macs("lb"):
            return  # between server and load balancer: in the server's own name, as it must be
        asked, frame = c.asked[tap]
        # A tap behind the load balancer shows the real server's address as the one that was asked.
        # So does one where the VIP is told in an IP option instead of a tunnel's inner header.
        vips = self.scene.vips if self.scene.mode in ("l3dsr-dscp", "l3dsr-tunnel") else set()
        right = (asked & vips) or vips or (asked if self.scene.mode in REWRITES else c.asked_before(tap))
        self.judged_answers[tap] += 1
        if int(f.src[row]) not in right and not self._asked_itself(c, int(f.src[row])):
            c.wrong_from.add(int(f.source[row]))
            self.note_wrong(f, tap, frame, row, tuple(right), c.server)

    def _asked_itself(self, c: Connection, source: int) -> bool:
        """Whether a server that answers UDP as itself was asked as itself: by a name server's check, say.

        In DSCP mode all requests come to it so; then those that a tap at the load balancer does not show. TCP needs no
        such rule: who asked somebody else does not acknowledge the answer.
        """
        if c.proto != UDP or set().union(*(known for known, _ in c.asked.values())) != {source}:
            return False
        if self.scene.mode != "l3dsr-dscp":
            return self.scene.mode in DIRECT_RETURN
        lbs = {party.name for party in self.scene.role("lb")}
        at_lb = {i for i, tap in enumerate(self.joiner.taps) if tap.node in lbs}
        return bool(at_lb) and not at_lb & c.asked.keys()

    def note_wrong(self, f: Frames, tap: int, asked: Frame, row: int, right: tuple[int, ...], server: int = -1) -> None:
        self.wrong_count[tap] += 1
        if len(self.wrong[tap]) < 1000:
            self.wrong[tap].append(
                WrongAnswer(
                    asked,
                    f.ref(row),
                    int(f.src[row]),
                    int(f.source[row]),
                    int(f.target[row]),
                    right,
                    int(f.eth_src[row]),
                    int(f.eth_dst[row]),
                    int(f.proto[row]),
                    server,
                )
            )

    def _vport(self, port: int) -> int:
        """The VIP's UDP port that a port on either side of the load balancer stands for."""
        return next(
            (v for (proto, v), ports in self.scene.services.items() if proto == UDP and port in {v, *ports}), port
        )

    def _feed_udp(self, f: Frames, flows: Flows, journeys: Journeys, wanted: Mask, leaving: Mask) -> None:
        asked = np.flatnonzero(f.is_udp_head & wanted)
        key = mix(flows.client[asked], f.tap[asked], f.wire_ttl[asked], f.eth_src[asked])
        _, first, count = np.unique(key, return_index=True, return_counts=True)
        for row, n in zip(asked[first].tolist(), count.tolist(), strict=True):
            client, port = int(flows.client[row]), self._vport(int(flows.server[row]) & 0xFFFF)
            c = self._udp.get((client, port))
            if c is None:
                c = self._udp[client, port] = Connection(UDP, client, port)
                c.answered = c.counted = f.past is not None and int(f.past["last"][row]) > 0
            self._ask(f, journeys, c, row, n)
        answers = np.flatnonzero(f.is_udp_head & (flows.direction == REPLY) & leaving)
        _, first = np.unique(mix(flows.client[answers], f.tap[answers], flows.server[answers]), return_index=True)
        for row in answers[first].tolist():
            c = self._udp.get((int(flows.client[row]), self._vport(int(flows.server[row]) & 0xFFFF)))
            if c is not None:
                self._answer(f, c, row)
        if self.scene.mode in REWRITES and self.scene.mode not in ("nat", "fullnat"):
            self._udp_from_servers(f, leaving)

    def _udp_from_servers(self, f: Frames, leaving: Mask) -> None:
        """UDP that a server sends to a client of the service in its own name: it answers, but not as the VIP."""
        ports = [p for proto, p in self.scene.services if proto == UDP]
        own = (
            f.is_udp_head
            & leaving
            & among(f.src, list(self.scene.ips("real-server")))
            & among(f.source & 0xFFFF, ports)
        )
        for row in np.flatnonzero(own).tolist():
            c = self._udp.get((int(f.target[row]), self._vport(int(f.source[row]) & 0xFFFF)))
            if c is not None and not self._asked_itself(c, int(f.src[row])):
                tap = int(f.tap[row])
                c.answered = True
                self.judged_answers[tap] += 1
                asked = c.asked.get(tap, next(iter(c.asked.values())))[1]
                self.note_wrong(f, tap, asked, row, tuple(self.scene.vips))

    def _feed_errors(self, f: Frames, leaving: Mask) -> None:
        for row in np.flatnonzero(f.is_error & leaving).tolist():
            if too_big(f, row):
                continue  # path MTU discovery refuses a size, not a connection
            source = int(f.quoted_src[row]) << 16 | int(f.rec["q_sport"][row])
            inner = int(f.rec["has"][row]) & layout.HAS_QUOTE_INNER
            proto = int(f.rec["qi_proto" if inner else "q_proto"][row])
            if proto == UDP:
                c = self._udp.get((source, self._vport(int(f.rec["q_dport"][row]))))
            else:
                who = 0 if self.scene.mode == "fullnat" else source
                c = self._tcp.get(int(mix([int(f.rec["q_seq"][row])], [who])[0]))
            if c is None:
                continue
            if expired(f, row) and max(ttl for _, ttl, *_ in c.sent) < _TRACING_TTL:
                c.expired = c.expired or _icmp(f, row)  # traceroute may have asked for it
            elif c.refusal is None or c.refusal.kind == "rst" or self._nearer(f, row, c.refusal):
                c.refusal = _icmp(f, row)

    def _nearer(self, f: Frames, row: int, old: Refusal) -> bool:
        """Whether an error is nearer to what went wrong than one that a load balancer made of it."""
        wrapped = bool(int(f.rec["has"][row]) & layout.HAS_QUOTE_INNER)
        if old.quoted is not None and wrapped != old.quoted.wrapped:
            return wrapped
        servers = self.scene.macs("real-server")
        return int(f.eth_src[row]) in servers and old.sender not in servers

    def _forget(self) -> None:
        """Drop what was answered before the last batch, and the oldest attempts beyond the bound."""
        tables: tuple[dict[Any, Connection], ...] = (self._tcp, self._udp)
        for table in tables:
            if len(table) <= _MOST_OPEN // 10:
                continue
            for key in [k for k, c in table.items() if c.answered and (c.opened or not c.wrong_from)]:
                self._close(table.pop(key))
            while len(table) > _MOST_OPEN:
                self.unknown[table.pop(next(iter(table))).group] += 1


def _rst(f: Frames, row: int) -> Refusal:
    source, ttl = int(f.src[row]), int(f.ttl[row])
    return Refusal(
        f.ref(row), f"RST from {f.book.text(source)}", "rst", source, int(f.eth_src[row]), int(f.tos[row]), ttl
    )


def _icmp(f: Frames, row: int) -> Refusal:
    source = int(f.src[row])
    return Refusal(
        f.ref(row),
        f"{icmp_name(f, row)} from {f.book.text(source)}",
        "icmp",
        source,
        int(f.eth_src[row]),
        int(f.tos[row]),
        int(f.ttl[row]),
        (int(f.ver[row]), int(f.icmp_type[row]), int(f.rec["icmp_code"][row])),
        quoted(f, row),
        int(f.ts[row]),
    )


def quoted(f: Frames, row: int) -> Quoted:
    """What an ICMP error quotes."""
    rec, one = f.rec, slice(row, row + 1)
    src = f.book.intern(rec["q_src_hi"][one], rec["q_src_lo"][one])
    dst = f.book.intern(rec["q_dst_hi"][one], rec["q_dst_lo"][one])
    length = int(rec["q_len"][row]) + (40 if rec["q_ver"][row] == 6 else 0)
    return Quoted(
        int(src[0]),
        int(dst[0]),
        int(rec["q_proto"][row]),
        length,
        int(rec["q_ttl"][row]),
        int(rec["q_tos"][row]),
        bool(int(rec["has"][row]) & layout.HAS_QUOTE_INNER),
    )


def icmp_name(f: Frames, row: int) -> str:
    """Type and code of an ICMP error, with their name."""
    version, kind, code = int(f.ver[row]), int(f.icmp_type[row]), int(f.rec["icmp_code"][row])
    name = ICMP_NAMES.get((version, kind, code))
    return f"ICMP{'v6' if version == 6 else ''} type {kind} code {code}" + (f" ({name})" if name else "")


def too_big(f: Frames, row: int) -> bool:
    """ICMP fragmentation needed, ICMPv6 packet too big. Source: RFC 1191 s4, RFC 8201 s4."""
    kind, code = int(f.icmp_type[row]), int(f.rec["icmp_code"][row])
    return bool((f.ver[row] == 4 and (kind, code) == (3, 4)) or (f.ver[row] == 6 and kind == 2))


def expired(f: Frames, row: int) -> bool:
    """ICMP time exceeded. Source: RFC 792, RFC 4443 s3.3."""
    return (int(f.ver[row]), int(f.icmp_type[row])) in ((4, 11), (6, 3))


def _keyed(number: Ints, endpoint: Ints, rows: Ints) -> list[tuple[int, int]]:
    if not len(rows):
        return []
    return list(zip(rows.tolist(), mix(number[rows], endpoint[rows]).tolist(), strict=True))
