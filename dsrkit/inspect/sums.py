"""Sums over conversations: a batch of packets as columns, added to one row for each conversation."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np

from dsrkit.inspect.head import Known
from dsrkit.inspect.repeats import Repeated, copies
from dsrkit.inspect.service import DIRECT, Replies, Service
from dsrkit.inspect.talks import Checks, Proxied
from dsrkit.verify.frames import ACK, REPLY, REQUEST, RST, SYN, TCP, UDP, Frames, Ints, Mask, Words, mix
from dsrkit.verify.journeys import PLAIN, REWRITTEN, servers_of

FIN: Final = 1
SYN_THERE, SYN_BACK, OPENED, SAID, FIN_THERE, FIN_BACK, CLIENT_RST, RST_BACK = (1 << bit for bit in range(8))
REQUEST_VIA, REQUEST_PAST, REPLY_VIA, REPLY_PAST, CHECK, FRONT, BACK, SERVED = (1 << bit for bit in range(8, 16))
"""What was seen of a conversation: of its handshake and end, and of its way. SAID: the client sent on after its SYN,
and so has been answered; OPENED: data."""

_I8, _U8, _U2 = np.int64, np.uint64, np.uint16
ROW: Final = np.dtype(
    [
        ("key", _U8),
        ("client_hi", _U8),
        ("client_lo", _U8),
        ("service_hi", _U8),
        ("service_lo", _U8),
        ("packets", _I8),
        ("octets", _I8),
        ("packets_back", _I8),
        ("octets_back", _I8),
        ("first", _I8),
        ("last", _I8),
        ("repeats", _I8),
        ("marks", _I8),
        ("server_low", _I8),
        ("server_high", _I8),
        ("client_port", _U2),
        ("service_port", _U2),
        ("proto", _U2),
        ("pad_", _U2),
    ]
)
"""One conversation. `server_low` and `server_high` are the least and the greatest index of a real server that was seen
in it; the latter is -1 where none was."""

_NONE: Final = np.iinfo(_I8).max
_SETTLE_NS: Final = 1_000_000_000
_MOST_CARRIED: Final = 100_000
_MOST_ALIASES: Final = 200_000
_MOST_SERVICES: Final = 100_000
_OFFSET: Final = 0x1FFF
_SHIFT: Final = 56


_REQUESTS: Final = {
    (True, True): "some requests via LB",
    (True, False): "requests via LB",
    (False, True): "requests past LB",
}
_REPLIES: Final = {
    (True, True): "some replies via LB",
    (True, False): "replies via LB",
    (False, True): "replies bypass LB",
}
"""By whether packets were seen to go by way of the load balancer, and past it."""


class Batch:
    """Some packets with what is known of each. Shape of every column: (n,)."""

    def __init__(self, f: Frames, known: Known, repeated: Repeated) -> None:
        self.f, self.known, self.repeated = f, known, repeated
        self.flows = known.orient(f)
        self.direction = self.flows.direction.copy()
        self.client, self.service = self.flows.client.copy(), self.flows.server.copy()
        self._direct_first_fragments()
        self._follow_first_fragments()
        self._without_direction()
        self.wanted = f.has_ip & (self.direction != 0)
        self.served = Service(f, self.flows, known, known.words, Replies())

    def _without_direction(self) -> None:
        """Packets that nobody asks and answers by: between two addresses, the lower one in front; errors left out."""
        f = self.f
        rows = np.flatnonzero(f.has_ip & (self.direction == 0) & ~f.is_error)
        if not len(rows):
            return
        level = np.maximum(f.rec["depth"][rows].astype(np.int64) - 1, 0)
        hi, lo = ([f.rec[f"{side}_{half}"][rows, level] for side in ("src", "dst")] for half in ("hi", "lo"))
        up = (hi[0] < hi[1]) | ((hi[0] == hi[1]) & (lo[0] <= lo[1]))
        self.direction[rows] = np.where(up, REQUEST, REPLY)
        self.client[rows] = np.where(up, f.src[rows], f.dst[rows]) << 16
        self.service[rows] = np.where(up, f.dst[rows], f.src[rows]) << 16

    def _direct_first_fragments(self) -> None:
        """Where nothing but fragments tells who serves, the lower port does."""
        f = self.f
        rows = np.flatnonzero(f.fragment & f.has_l4 & (self.direction == 0) & np.isin(f.proto, (TCP, UDP)))
        if not len(rows):
            return
        up = f.field("dport")[rows] < f.field("sport")[rows]
        self.direction[rows] = np.where(up, REQUEST, REPLY)
        self.client[rows] = np.where(up, f.source[rows], f.target[rows])
        self.service[rows] = np.where(up, f.target[rows], f.source[rows])

    def _follow_first_fragments(self) -> None:
        """Later fragments have no ports: they belong to the conversation of their datagram's first one."""
        f = self.f
        part = np.flatnonzero(f.fragment & f.has_ip)
        if not len(part):
            return
        offset = f.inner("frag")[part] & _OFFSET
        datagram = mix(f.src[part], f.dst[part], f.ip_id[part], f.proto[part])
        first = part[(offset == 0) & f.has_l4[part]]
        known, at = np.unique(datagram[(offset == 0) & f.has_l4[part]], return_index=True)
        if not len(known):
            return
        place = np.minimum(np.searchsorted(known, datagram), len(known) - 1)
        mine = known[place] == datagram
        rows, leader = part[mine], first[at][place[mine]]
        for column in (self.direction, self.client, self.service):
            column[rows] = column[leader]

    @cached_property
    def identity(self) -> Words:
        """What makes packets the same at several taps."""
        f = self.f
        own = mix(f.src, f.dst, f.proto, f.ip_id, f.inner("frag"), f.ip_len, f.rec["fp"], f.rec["seq"])
        mine = self.flows.identity
        if self.known.scene.mode != "fullnat":  # nobody else replaces the client's address
            mine = mix(mine, self.client)
        return np.where(self.flows.identity != 0, mine, own)

    @cached_property
    def place(self) -> Words:
        """Where on its way a packet was seen: equal packets at one place are several."""
        f = self.f
        at = (f.tap, f.port_of_tap, f.eth_src, f.eth_dst, f.tunnel, f.outer_dst, f.wire_ttl, f.rec["pkttype"])
        return mix(*at, self.flows.server, self.flows.client)

    @cached_property
    def legs(self) -> tuple[Any, Ints]:
        """The conversations as packets name them, and the one that each packet is of (-1: none)."""
        rows = np.flatnonzero(self.wanted)
        f = self.f
        code = mix(self.client[rows], self.service[rows], f.proto[rows])
        _, first, member = np.unique(code, return_index=True, return_inverse=True)
        first = rows[first]
        legs = np.zeros(len(first), ROW)
        for end, column in (("client", self.client), ("service", self.service)):
            numbers, inverse = np.unique(column[first] >> 16, return_inverse=True)
            halves = np.asarray([f.book.halves(int(n)) for n in numbers], np.uint64).reshape(-1, 2)
            legs[f"{end}_hi"], legs[f"{end}_lo"] = halves[inverse, 0], halves[inverse, 1]
            legs[f"{end}_port"] = column[first] & 0xFFFF
        legs["proto"] = f.proto[first]
        legs["key"] = mix(*(legs[name] for name in _NAMED))
        out = np.full(f.n, -1, np.int64)
        out[rows] = member
        return legs, out

    def marks(self) -> Ints:
        """What each packet shows of its conversation."""
        f, served = self.f, self.served
        asks, says = self.direction == REQUEST, self.direction == REPLY
        tcp = f.is_tcp
        flags = np.where(tcp, f.flags, 0)
        syn, ack, rst, fin = ((flags & bit) != 0 for bit in (SYN, ACK, RST, FIN))
        out = np.zeros(f.n, np.int64)
        request, reply = served.served & asks, served.served & says
        after = request & (served.form == REWRITTEN)
        checks = Checks(f, self.flows, self.known, self.known.words)
        proxied = Proxied(f, self.flows, self.known, self.known.words)
        for seen, mark in (
            (asks & syn & ~ack, SYN_THERE),
            (says & syn & ack, SYN_BACK),
            (asks & ack & ~syn & ~rst, SAID),
            (tcp & (f.payload_len > 0), OPENED),
            (asks & fin, FIN_THERE),
            (says & fin, FIN_BACK),
            (asks & rst, CLIENT_RST),
            (says & rst, RST_BACK),
            (after | (request & served.to_lb), REQUEST_VIA),
            (request & served.to_server & ~served.to_lb & ~served.from_lb & ~after, REQUEST_PAST),
            (reply & served.via_lb, REPLY_VIA),
            (reply & served.past_lb, REPLY_PAST),
            (checks.mine, CHECK),
            (proxied.front, FRONT),
            (proxied.back, BACK),
            (request | reply, SERVED),
        ):
            out[seen] |= mark
        return out


_NAMED: Final = ("client_hi", "client_lo", "client_port", "service_hi", "service_lo", "service_port", "proto")


class Sums:
    """All conversations so far, at most so many; what belongs to others is counted together."""

    def __init__(self, known: Known, most: int) -> None:
        self._known, self._most = known, most
        self._table = np.zeros(0, ROW)  # by key
        self._seen = np.zeros(0, np.uint64)  # identities of the last second, each where it was seen
        self._seen_at = np.zeros(0, np.uint64)
        self._aliases: dict[int, int] = {}  # key of a conversation behind the load balancer -> its key in front
        self.started = 0
        self.rest = 0
        self.rest_octets = 0
        self.errors = 0

    def add(self, b: Batch) -> None:
        """Take in the next packets."""
        if b.f.n and not self.started:
            self.started = int(b.f.ts[0])
        self.errors += int((b.f.is_error & b.f.has_ip).sum())
        legs, leg = b.legs
        rows = np.flatnonzero(b.wanted)
        if not len(rows):
            return
        packet, count, leader, size = self._packets(b, rows)
        self._alias(b, legs, leg, rows, packet)
        part = legs.copy()
        part["first"], part["server_low"], part["server_high"] = _NONE, _NONE, -1
        part["last"] = np.iinfo(_I8).min
        lead, back = leg[leader], b.direction[leader] == REPLY
        for way, suffix in ((~back, ""), (back, "_back")):
            part[f"packets{suffix}"] = np.bincount(lead[way], count[way], len(legs)).astype(_I8)
            part[f"octets{suffix}"] = np.bincount(lead[way], (count * size)[way], len(legs)).astype(_I8)
        np.minimum.at(part["first"], leg[rows], b.f.ts[rows])
        np.maximum.at(part["last"], leg[rows], b.f.ts[rows])
        marks = b.marks()
        np.bitwise_or.at(part["marks"], leg[rows], marks[rows])
        found = servers_of(b.f, b.flows, self._known.scene, rows)
        found[(marks[rows] & (SERVED | CHECK | BACK)) == 0] = -1
        told = found >= 0
        np.minimum.at(part["server_low"], leg[rows][told], found[told])
        np.maximum.at(part["server_high"], leg[rows][told], found[told])
        part["repeats"] = np.bincount(lead, self._repeats(b, rows, packet, count), len(legs)).astype(_I8)
        self._merge(part)
        self._remember(b, rows)

    def _packets(self, b: Batch, rows: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """The packets among sightings: (packet of each row; how many times it was sent; a row of each; its octets).

        A packet was sent as often as the place saw it that saw it most often; it is told in the form of its client.
        """
        f = b.f
        identity, place = b.identity[rows], b.place[rows]
        _, packet = np.unique(identity, return_inverse=True)
        sighting = mix(identity, place)
        spots, first, spot, seen = np.unique(sighting, return_index=True, return_inverse=True, return_counts=True)
        copied = copies(f, rows, sighting) & ((f.ip_id[rows] != 0) | f.is_tcp[rows])
        seen = seen - np.bincount(spot[copied], minlength=len(spots))
        known = np.isin(identity[first], self._seen) & ~np.isin(spots, self._seen_at)
        total = int(packet.max()) + 1
        count = np.zeros(total, np.int64)
        np.maximum.at(count, packet[first], np.where(known, 0, seen))
        # Another sighting of what the batch before has counted: whatever this one holds of it is no new packet.
        if known.any():
            again = np.zeros(total, bool)
            again[packet[first][known]] = True
            count[again & ~self._anew(packet[first], spots, total)] = 0
        order = np.lexsort((rows, b.served.form[rows] != PLAIN, packet))
        fresh = np.append(True, packet[order][1:] != packet[order][:-1])
        leader = rows[order[fresh]]
        return packet, count, leader, f.ip_len[leader]

    def _anew(self, packet: Ints, spots: Words, total: int) -> Mask:
        """Packets that a place sees again which saw them before: they were sent again."""
        out = np.zeros(total, bool)
        out[packet[np.isin(spots, self._seen_at)]] = True
        return out

    def _alias(self, b: Batch, legs: Any, leg: Ints, rows: Ints, packet: Ints) -> None:
        """Which conversation in front of the load balancer one behind it is, by packets seen on both sides."""
        if self._known.scene.mode not in ("nat", "fullnat", "l3dsr-dscp") or len(self._aliases) >= _MOST_ALIASES:
            return
        form = b.served.form[rows]
        total = int(packet.max()) + 1
        front, behind = np.full(total, -1, np.int64), np.full(total, -1, np.int64)
        for column, wanted in ((front, form == PLAIN), (behind, form == REWRITTEN)):
            mine = wanted & b.served.served[rows]
            column[packet[mine]] = leg[rows][mine]
        both = (front >= 0) & (behind >= 0)
        for here, there in np.unique(np.stack([behind[both], front[both]]), axis=1).T.tolist():
            self._aliases.setdefault(int(legs["key"][here]), int(legs["key"][there]))

    def _repeats(self, b: Batch, rows: Ints, packet: Ints, count: Ints) -> Ints:
        """How often each packet is a retransmission: as often as the place saw it as one that saw it most."""
        mine = (b.repeated.of[rows] != 0) & ~b.repeated.copied[rows]
        out = np.zeros(len(count), np.int64)
        if mine.any():
            _, first, seen = np.unique(mix(packet[mine], b.place[rows[mine]]), return_index=True, return_counts=True)
            np.maximum.at(out, packet[mine][first], seen)
        return np.minimum(out, count)

    def _merge(self, part: Any) -> None:
        """Add a batch's rows to the table."""
        part = part[np.argsort(part["key"])]
        table = self._table
        at = np.searchsorted(table["key"], part["key"])
        old = np.zeros(len(part), bool)
        inside = at < len(table)
        old[inside] = table["key"][at[inside]] == part["key"][inside]
        where, mine = at[old], part[old]
        for name in ("packets", "octets", "packets_back", "octets_back", "repeats"):
            table[name][where] += mine[name]
        table["marks"][where] |= mine["marks"]
        for name, least in (("first", True), ("last", False), ("server_low", True), ("server_high", False)):
            pick = np.minimum if least else np.maximum
            table[name][where] = pick(table[name][where], mine[name])
        new = part[~old]
        room = max(0, self._most - len(table))
        if len(new) > room:
            new = new[np.argsort(new["first"], kind="stable")]
            left = new[room:]
            self.rest += int(left["packets"].sum() + left["packets_back"].sum())
            self.rest_octets += int(left["octets"].sum() + left["octets_back"].sum())
            new = new[:room]
        if len(new):
            table = np.concatenate([table, new])
            self._table = table[np.argsort(table["key"], kind="stable")]

    def _remember(self, b: Batch, rows: Ints) -> None:
        """Keep the last second's identities, and the servers, for the batches to come."""
        late = rows[b.f.ts[rows] > int(b.f.ts[rows].max()) - _SETTLE_NS][-_MOST_CARRIED:]
        self._seen = np.unique(b.identity[late])
        self._seen_at = np.unique(mix(b.identity[late], b.place[late]))
        known = self._known
        served = (b.flows.direction == REQUEST) & np.isin(b.f.proto, (TCP, UDP)) & ((b.flows.server & 0xFFFF) != 0)
        if len(known.services) < _MOST_SERVICES:
            ends = np.unique(np.stack([b.f.proto[served], b.flows.server[served]]), axis=1)
            codes = [proto << _SHIFT | self._kept(b.f, end) for proto, end in ends.T.tolist()]
            known.services = np.union1d(known.services, np.asarray(codes, np.int64))

    def _kept(self, f: Frames, end: int) -> int:
        """An endpoint by the number that its address has in the book that outlives the batch."""
        hi, lo = f.book.halves(end >> 16)
        book = self._known.scene.book
        number = int(book.intern(np.asarray([hi], np.uint64), np.asarray([lo], np.uint64))[0])
        return number << 16 | end & 0xFFFF

    # --- what came of it ----------------------------------------------------------------------------------------------

    def rows(self) -> Any:
        """The conversations, both sides of a load balancer as one. Dtype: `ROW`."""
        table = self._table
        if not self._aliases or not len(table):
            return table
        key = np.asarray([self._aliases.get(k, k) for k in table["key"].tolist()], np.uint64)
        names, member = np.unique(key, return_inverse=True)
        # The conversation in front gives the addresses; one that is only known from behind gives its own.
        order = np.lexsort((table["key"] != key, member))
        fresh = np.append(True, member[order][1:] != member[order][:-1])
        out = table[order[fresh]].copy()
        for name in ("packets", "octets", "packets_back", "octets_back", "repeats"):
            out[name] = np.bincount(member, table[name], len(names)).astype(_I8)
        for name, pick in (("first", np.minimum), ("last", np.maximum)):
            pick.at(out[name], member, table[name])
        np.bitwise_or.at(out["marks"], member, table["marks"])
        np.minimum.at(out["server_low"], member, table["server_low"])
        np.maximum.at(out["server_high"], member, table["server_high"])
        return out

    def path(self, row: Any) -> str:
        """How a conversation goes by the load balancer, as far as it was seen."""
        marks = int(row["marks"])
        if marks & CHECK:
            return "health check"
        if marks & (FRONT | BACK):
            return "front session of the proxy" if marks & FRONT else "back session of the proxy"
        via = {mark: bool(marks & mark) for mark in (REQUEST_VIA, REQUEST_PAST, REPLY_VIA, REPLY_PAST)}
        if self._known.scene.mode not in DIRECT:
            if via[REPLY_PAST]:
                return "replies bypass LB"
            return "via LB" if via[REQUEST_VIA] or via[REPLY_VIA] else ""
        words = _REQUESTS.get((via[REQUEST_VIA], via[REQUEST_PAST])), _REPLIES.get((via[REPLY_VIA], via[REPLY_PAST]))
        return ", ".join(word for word in words if word)

    @property
    def notes(self) -> list[str]:
        """What the table leaves out."""
        out = []
        if self.rest:
            out.append(
                f"only the first {self._most:,} conversations are listed; the others have {self.rest:,} packets with "
                f"{self.rest_octets:,} octets"
            )
        if self.errors:
            out.append(f"{self.errors:,} ICMP errors belong to no conversation")
        return out
