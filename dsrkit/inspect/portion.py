"""A portion of a capture's packets as columns: the conversation of each, its direction, and what it shows of both."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np

from dsrkit.inspect.head import Known
from dsrkit.inspect.repeats import Repeated
from dsrkit.inspect.service import Replies, Service
from dsrkit.inspect.talks import Checks, Proxied
from dsrkit.verify.arrays import among
from dsrkit.verify.frames import ACK, REPLY, REQUEST, RST, SYN, TCP, UDP, Frames, Ints, Words, mix
from dsrkit.verify.journeys import REWRITTEN

FIN: Final = 1
SYN_THERE, SYN_BACK, ANSWERED, DATA, FIN_THERE, FIN_BACK, RST_THERE, RST_BACK = (1 << bit for bit in range(8))
"""What was seen of a connection, from its client and back. ANSWERED: the client has acknowledged something."""
REQUEST_VIA, REQUEST_PAST, REPLY_VIA, REPLY_PAST, CHECK, FRONT, BACK, SERVED = (1 << bit for bit in range(8, 16))
"""What was seen of a conversation's way: by the load balancer or past it, as a check or as a session of a proxy."""

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

NAMED: Final = ("client_hi", "client_lo", "client_port", "service_hi", "service_lo", "service_port", "proto")
"""What tells a conversation from others."""

_OFFSET: Final = 0x1FFF


class Portion:
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
        rows = np.flatnonzero(f.fragment & f.has_l4 & (self.direction == 0) & among(f.proto, (TCP, UDP)))
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
        legs["key"] = mix(*(legs[name] for name in NAMED))
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
            (asks & ack & ~syn & ~rst, ANSWERED),
            (tcp & (f.payload_len > 0), DATA),
            (asks & fin, FIN_THERE),
            (says & fin, FIN_BACK),
            (asks & rst, RST_THERE),
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
