"""Questions with their answers, and the connections to answered addresses, each once however many taps saw it."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.mechanisms.dns.parse import HEADER, Message, NotDns, parse
from dsrkit.mechanisms.dns.streams import Streams
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.connections import expired, icmp_name, too_big
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import ACK, INITIAL_TTLS, RST, SYN, TCP, UDP, Frames, Ints, Mask, mix
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.verdicts import Frame
from dsrkit.wire import layout

MOST: Final = 100_000
"""So many questions, and so many connections, are remembered."""
DNS_PORT: Final = 53
_MDNS, _LLMNR = 5353, 5355
_COPY_NS: Final = 200_000_000
"""The same octets at one tap within this time are a copy (a mirror, a hairpin); later they were sent again."""
_MOST_OPEN: Final = 64
"""Questions of one client with the same identifier and name that a packet may still belong to, the last ones."""
_TRIES: Final = 4
"""So many datagrams of an endpoint on another port than 53 must be no DNS before it is left alone."""

Sightings = dict[int, tuple[int, int]]
"""Tap -> time stamp (ns, that tap's clock) and frame number of the first sighting."""


@dataclass(slots=True, eq=False)
class Lookup:
    """One question and its answer; times by tap."""

    client: int  # endpoint
    server: int  # endpoint
    name: str
    kind: str
    by_tcp: bool
    asked: Sightings = field(default_factory=dict)
    answered: Sightings = field(default_factory=dict)
    addresses: tuple[int, ...] = ()
    ttl: int | None = None
    rcode: int = 0
    cut: bool = False
    chain: tuple[str, ...] = ()
    _answer: Message | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """One connection to an answered address: all SYNs with one sequence number, and what became of it."""

    client: int  # endpoint
    server: int  # endpoint
    asked: Sightings = field(default_factory=dict)
    sent: Counter[int] = field(default_factory=Counter)  # tap -> SYNs
    seen: Counter[int] = field(default_factory=Counter)  # tap -> SYNs, copies of a mirror or hairpin included
    last: dict[int, int] = field(default_factory=dict)  # tap -> time of the last SYN
    answered: bool = False
    refusal: str = ""

    @property
    def copies(self) -> int:
        return max(self.sent.values(), default=0)


class Collector:
    """Sees every packet once."""

    def __init__(self, scene: Scene, taps: list[TapInfo], records: tuple[str, ...]) -> None:
        self.book = scene.book
        self._taps = taps
        self._lookups: dict[tuple[int, int, int, str, str], list[Lookup]] = defaultdict(list)
        self._attempts: dict[tuple[int, int, int], Attempt] = {}
        self._streams = Streams()
        self._names: set[int] = set()  # ``proto << 56 | endpoint`` of servers that spoke DNS on another port
        self._tried: Counter[int] = Counter()
        self.lookups: list[Lookup] = []
        self.attempts: list[Attempt] = []
        self.targets: set[int] = {scene.book.number(record) for record in records}
        self.syns: Counter[int] = Counter()  # tap -> SYNs to anything but name servers
        self.answering: set[int] = set()  # taps that showed a SYN-ACK of an attempt
        self.ends: dict[int, int] = {}  # tap -> time of the last packet
        self.macs: dict[int, set[int]] = defaultdict(set)  # address -> source MACs of its SYN-ACKs
        self.cut_short = 0  # messages that the capture holds only in part
        self.left_out = 0  # questions and connections beyond what is remembered

    def see(self, f: Frames, flows: Flows) -> None:
        if not f.n:
            return
        for tap in distinct(f.tap).tolist():
            self.ends[tap] = max(self.ends.get(tap, 0), int(f.ts[f.tap == tap].max()))
        self._messages(f, flows)
        syn = is_syn(f)
        if not syn.any() and not self.targets:
            return
        others = syn & (f.field("dport") != DNS_PORT)
        for tap, count in enumerate(np.bincount(f.tap[others], minlength=1).tolist()):
            self.syns[tap] += count
        if self.targets:
            self._connections(f, syn & (f.field("dport") != DNS_PORT))

    # --- questions and answers --------------------------------------------------------------------------------------

    def _messages(self, f: Frames, flows: Flows) -> None:
        rows = np.flatnonzero(self._datagrams(f, flows) | self._segments(f))
        if not len(rows):
            return
        when = f.ts[rows] + np.asarray([tap.shift_ns for tap in self._taps], np.int64)[f.tap[rows]]
        for row in rows[np.argsort(when, kind="stable")].tolist():
            if len(self.lookups) >= MOST:
                self.left_out += 1
            elif f.proto[row] == UDP:
                self._datagram(f, row)
            else:
                self._segment(f, row)

    def _datagrams(self, f: Frames, flows: Flows) -> Mask:
        """Datagrams of name servers: port 53, and endpoints whose datagrams parse. Not mDNS and LLMNR, whose answers
        come from whoever has the name. Source: RFC 6762 s5.2; RFC 4795 s2."""
        udp = np.asarray(f.is_udp & (f.payload_len >= HEADER), bool)
        if not udp.any():
            return udp
        sport, dport = f.field("sport"), f.field("dport")
        link_local = ((sport == _MDNS) & (dport == _MDNS)) | (sport == _LLMNR) | (dport == _LLMNR)
        multicast = self._multicast(f, udp & (dport == _MDNS))
        usual = np.asarray(udp & ((sport == DNS_PORT) | (dport == DNS_PORT)), bool)
        odd = udp & ~usual & ~link_local & ~multicast & (flows.direction != 0)
        if not odd.any():
            return usual
        ends, place = np.unique(flows.server[odd], return_inverse=True)
        known = np.zeros(len(ends), bool)
        rows = np.flatnonzero(odd)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(len(ends) + 1))
        for i, end in enumerate(ends.tolist()):
            if end not in self._names and self._tried[end] < _TRIES and len(self._tried) < MOST:
                for row in rows[order[starts[i] : min(starts[i + 1], starts[i] + _TRIES)]].tolist():
                    self._tried[end] += 1
                    if _message(f.payload(row)) is not None:
                        self._names.add(end)
                        break
            known[i] = end in self._names
        usual[rows[known[place]]] = True
        return usual

    def _multicast(self, f: Frames, rows: Mask) -> Mask:
        out = np.zeros(f.n, bool)
        for row in np.flatnonzero(rows).tolist()[:MOST]:
            out[row] = ipaddress.ip_address(self.book.text(int(f.dst[row]))).is_multicast
        return out

    def _segments(self, f: Frames) -> Mask:
        """Segments of DNS over TCP, and its SYNs."""
        sport, dport = f.field("sport"), f.field("dport")
        mine = f.is_tcp & ((sport == DNS_PORT) | (dport == DNS_PORT))
        return np.asarray(mine & ((f.payload_len > 0) | ((f.flags & SYN) != 0)), bool)

    def _datagram(self, f: Frames, row: int) -> None:
        if not f.has_all_payload[row]:
            self.cut_short += 1
            return
        message = _message(f.payload(row))
        if message is not None:
            self._take(f, row, message, by_tcp=False)

    def _segment(self, f: Frames, row: int) -> None:
        key = int(f.tap[row]), int(f.source[row]), int(f.target[row])
        if f.flags[row] & SYN:
            self._streams.start(key, int(f.seq[row]))
            return
        if not f.has_all_payload[row]:
            self.cut_short += 1
            return
        for data in self._streams.add(key, int(f.seq[row]), f.payload(row)):
            message = _message(data)
            if message is not None:
                self._take(f, row, message, by_tcp=True)

    def _take(self, f: Frames, row: int, message: Message, *, by_tcp: bool) -> None:
        source, target = int(f.source[row]), int(f.target[row])
        client, server = (target, source) if message.response else (source, target)
        known = self._lookups[client, server, message.ident, message.name, message.kind]
        tap, sighting = int(f.tap[row]), (int(f.ts[row]), int(f.number[row]))
        if message.response:
            if int(f.ttl[row]) in INITIAL_TTLS:  # no router has had it
                self.macs[int(f.src[row])].add(int(f.eth_src[row]))
            self._answer(known, client, server, tap, sighting, message, by_tcp)
        else:
            self._ask(known, client, server, tap, sighting, message, by_tcp)

    def _ask(
        self,
        known: list[Lookup],
        client: int,
        server: int,
        tap: int,
        sighting: tuple[int, int],
        message: Message,
        by_tcp: bool,
    ) -> None:
        for lookup in known[-_MOST_OPEN:]:
            if tap not in lookup.asked and (tap not in lookup.answered or lookup.answered[tap][0] >= sighting[0]):
                lookup.asked[tap] = sighting
                return
        if known and (not known[-1].answered or sighting[0] - known[-1].asked.get(tap, sighting)[0] < _COPY_NS):
            return  # asked once more, or a copy
        self._new(known, client, server, message, by_tcp).asked[tap] = sighting

    def _answer(
        self,
        known: list[Lookup],
        client: int,
        server: int,
        tap: int,
        sighting: tuple[int, int],
        message: Message,
        by_tcp: bool,
    ) -> None:
        lookup = next((one for one in known[-_MOST_OPEN:] if _awaits(one, tap, message)), None)
        if lookup is None:
            late = known and any(tap in one.answered for one in known[-_MOST_OPEN:])
            if late and (known[-1].asked or sighting[0] - known[-1].answered.get(tap, sighting)[0] < _COPY_NS):
                return  # the answer to a question that was asked twice, or a copy
            lookup = self._new(known, client, server, message, by_tcp)
        lookup.answered[tap] = sighting
        if lookup._answer is None:
            lookup._answer = message
            lookup.addresses = tuple(self.book.number(address) for address in message.addresses)
            lookup.ttl, lookup.rcode, lookup.cut = message.ttl, message.rcode, message.cut
            lookup.chain = message.chain
            self.targets.update(lookup.addresses)

    def _new(self, known: list[Lookup], client: int, server: int, message: Message, by_tcp: bool) -> Lookup:
        lookup = Lookup(client, server, message.name, message.kind, by_tcp)
        known.append(lookup)
        self.lookups.append(lookup)
        return lookup

    # --- connections --------------------------------------------------------------------------------------------------

    def _connections(self, f: Frames, syn: Mask) -> None:
        targets = np.asarray(sorted(self.targets), np.int64)
        asked = np.flatnonzero(syn & among(f.dst, targets))
        for row in asked[np.argsort(f.ts[asked], kind="stable")].tolist():
            self._syn(f, row)
        if not self._attempts:
            return
        from_server = f.is_tcp & among(f.src, targets)
        for row in np.flatnonzero(is_synack(f) & from_server).tolist():
            attempt = self._of(f, row)
            if attempt is not None:
                attempt.answered = True
                self.answering.add(int(f.tap[row]))
                self.macs[int(f.src[row])].add(int(f.eth_src[row]))
        for row in np.flatnonzero(from_server & ((f.flags & (RST | ACK)) == (RST | ACK))).tolist():
            attempt = self._of(f, row)
            if attempt is not None and not attempt.answered and not attempt.refusal:
                attempt.refusal = "refused"
        self._opened(f, targets)
        self._errors(f)

    def _syn(self, f: Frames, row: int) -> None:
        key = int(f.source[row]), int(f.target[row]), int(f.seq[row])
        attempt = self._attempts.get(key)
        if attempt is None:
            if len(self.attempts) >= MOST:
                self.left_out += 1
                return
            attempt = self._attempts[key] = Attempt(key[0], key[1])
            self.attempts.append(attempt)
        tap, when = int(f.tap[row]), int(f.ts[row])
        attempt.asked.setdefault(tap, (when, int(f.number[row])))
        if tap not in attempt.last or when - attempt.last[tap] >= _COPY_NS:
            attempt.sent[tap] += 1
        attempt.seen[tap] += 1
        attempt.last[tap] = when

    def _of(self, f: Frames, row: int) -> Attempt | None:
        """The attempt that a packet of the server acknowledges."""
        return self._attempts.get((int(f.target[row]), int(f.source[row]), (int(f.ack[row]) - 1) & 0xFFFF_FFFF))

    def _opened(self, f: Frames, targets: Ints) -> None:
        """Only who got the SYN-ACK acknowledges it: an answer that no tap may show."""
        opening = np.flatnonzero(f.is_tcp & ((f.flags & (SYN | ACK | RST)) == ACK) & among(f.dst, targets))
        if not len(opening):
            return
        waiting = {
            key: attempt
            for key, attempt in self._attempts.items()
            if not attempt.answered and attempt.refusal != "refused"
        }
        if not waiting:
            return
        keys = list(waiting)
        source, target, seq = (np.asarray(column, np.int64) for column in zip(*keys, strict=True))
        first = mix(source, target, (seq + 1) & 0xFFFF_FFFF)
        for number in np.flatnonzero(among(first, mix(f.source[opening], f.target[opening], f.seq[opening]))).tolist():
            waiting[keys[number]].answered = True

    def _errors(self, f: Frames) -> None:
        for row in np.flatnonzero(f.is_error).tolist():
            inner = int(f.rec["has"][row]) & layout.HAS_QUOTE_INNER
            if int(f.rec["qi_proto" if inner else "q_proto"][row]) != TCP or too_big(f, row) or expired(f, row):
                continue
            source = int(f.quoted_src[row]) << 16 | int(f.rec["q_sport"][row])
            target = int(f.quoted_dst[row]) << 16 | int(f.rec["q_dport"][row])
            attempt = self._attempts.get((source, target, int(f.rec["q_seq"][row])))
            if attempt is not None and not attempt.answered and not attempt.refusal:
                attempt.refusal = icmp_name(f, row)


def first_of(sightings: Sightings) -> Frame:
    """The frame to show: the first tap's."""
    tap = min(sightings)
    return tap, sightings[tap][1]


def _message(data: bytes) -> Message | None:
    try:
        return parse(data)
    except NotDns:
        return None


def _awaits(lookup: Lookup, tap: int, message: Message) -> bool:
    """Whether an answer at a tap is the first one there to this question."""
    return tap not in lookup.answered and (lookup._answer is None or lookup._answer == message)
