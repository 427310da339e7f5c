"""Frames: the packets of all taps side by side, as the columns that inference and judgement work on.

Everything here is vectorised over the records of `dsrkit.wire`; addresses are interned to small integers so that
endpoints fit into one 64-bit number. Column arrays have shape (n,), n being the number of packets in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dsrkit.verify.arrays import among
from dsrkit.wire import layout
from dsrkit.wire.address import V4_MAPPED, ip_halves, ip_text
from dsrkit.wire.rows import taken

Ints: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Records: TypeAlias = npt.NDArray[np.void]

REQUEST: Final = 1
REPLY: Final = 2
DIRECTIONS: Final = {REQUEST: "request", REPLY: "reply"}

INITIAL_TTLS: Final = (64, 128, 255)
"""A packet that still has one of these was sent by the machine whose MAC its frame has."""

TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMPV6: Final = 58
PROTOCOLS: Final = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}

SYN, RST, ACK = 0x02, 0x04, 0x10

TUNNEL_NONE: Final = 0
TUNNEL_NAMES: Final = ("", "ipip", "6in6", "4in6", "6in4", "gre", "gue", "gue1")
"""Tunnel types by their number in the column `tunnel`; gue1 is GUE variant 1."""

_FRAGMENT_BITS = 0x3FFF
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_V4: Final = 1 << 32
"""What is added to an IPv4 address to make it a number of its own."""


def mix(*columns: npt.ArrayLike) -> Words:
    """A 64-bit hash of several columns (splitmix64 steps); equal rows have equal hashes."""
    state: Words | None = None
    for column in columns:
        value = np.asarray(column).astype(np.uint64)
        state = value if state is None else (state ^ value)
        with np.errstate(over="ignore"):
            state = (state + _GOLDEN) * _MIX
            state = state ^ (state >> np.uint64(29))
    assert state is not None
    return state


class AddressBook:
    """IP addresses as integers of 33 bits, the same for all batches of one verification; 0 is no address.

    An IPv4 address is its own number, so that millions of clients cost no memory; others are numbered as they come. A
    book may start from another, with its numbers, and keep what is new to itself: whoever looks at each batch once
    forgets its addresses with it.
    """

    def __init__(self, start: AddressBook | None = None) -> None:
        self._start = start
        self._first = len(start) if start is not None else 0
        self._ids: dict[tuple[int, int], int] = {} if start is not None else {(0, 0): 0}
        self._halves: list[tuple[int, int]] = [] if start is not None else [(0, 0)]

    def __len__(self) -> int:
        return self._first + len(self._halves)

    def intern(self, hi: Words, lo: Words) -> Ints:
        """The numbers of many addresses at once."""
        out = (lo & np.uint64(_V4 - 1)).astype(np.int64) | _V4
        others = np.flatnonzero((hi != 0) | (lo >> np.uint64(32) != V4_MAPPED >> 32))
        if len(others):
            _, first, inverse = np.unique(mix(hi[others], lo[others]), return_index=True, return_inverse=True)
            ids = [self._id(int(hi[i]), int(lo[i])) for i in others[first]]
            out[others] = np.asarray(ids, np.int64)[inverse]
        return out

    def _id(self, hi: int, lo: int) -> int:
        if hi == 0 and lo >> 32 == V4_MAPPED >> 32:
            return _V4 | lo & (_V4 - 1)
        key = (hi, lo)
        if self._start is not None and self._start._ids.get(key, self._first) < self._first:
            return self._start._ids[key]
        if key not in self._ids:
            self._ids[key] = len(self)
            self._halves.append(key)
        return self._ids[key]

    def number(self, text: str) -> int:
        """The number of an address given as text."""
        return self._id(*ip_halves(text))

    def halves(self, number: int) -> tuple[int, int]:
        """The two halves of an address."""
        if number >= _V4:
            return 0, V4_MAPPED | number & (_V4 - 1)
        if self._start is not None and number < self._first:
            return self._start.halves(number)
        return self._halves[number - self._first]

    def text(self, number: int) -> str:
        return ip_text(*self.halves(number))

    def sort_key(self, numbers: Iterable[int]) -> list[tuple[int, int]]:
        """Addresses by their value, to order machines."""
        return sorted(self.halves(n) for n in numbers)


Reader: TypeAlias = Callable[[int, int, int], bytes]
"""Octets of a tap's file by tap, offset and size."""


PAST: Final = np.dtype(
    [("last", np.int64), ("isn", np.int64), ("server", np.int16), ("begun", np.bool_), ("closed", np.bool_)]
)
"""What is known of the earlier packets of a packet's flow, where the fast path has counted them: time of the last one
(ns; 0: none), its SYN's sequence number (-1: not seen), index of the real server (-1: unknown), whether the client has
spoken, whether anybody has closed."""


class Frames:
    """The packets of one batch, all taps together.

    Shape: every column (n,).  Absent: addresses 0, MACs 0, numbers 0; masks tell.
    `tap` is the index of the tap, `number` the 1-based frame number in the tap's file. `reader` fetches octets that no
    column holds, while the batch is being looked at.
    """

    def __init__(
        self, book: AddressBook, records: Records, tap: Ints, number: Ints, reader: Reader | None = None
    ) -> None:
        self.book = book
        self.reader = reader
        self.rec = records
        self.tap = tap
        self.number = number
        self.n = len(records)
        self._columns: dict[str, Ints] = {}
        self._rows = np.arange(self.n)
        self._zeros = np.zeros(self.n, np.int64)
        depth = records["depth"].astype(np.int64)
        self._in = np.maximum(depth - 1, 0)
        self._out = np.maximum(depth - 2, 0)
        self._nested = bool(self._in.any())
        self._has = records["has"].copy()
        self.has_ip = self.has(layout.HAS_IP)
        self.blemished = np.zeros(self.n, bool)
        """Packets that something was found wrong with; filled in while the batch is judged."""
        self.weight: Ints | None = None
        """How many packets each stands for, all alike; None: itself alone."""
        self.past: Records | None = None
        """`PAST` of each packet's flow; None: every packet of the input is judged."""
        self.tunnel = self._tunnel(depth) if bool((depth > 1).any()) else self._zeros
        self.any_tunnel = bool(self.tunnel.any())

    def has(self, part: int) -> Mask:
        """Packets of which a part (`layout.HAS_*`) was there to read."""
        return np.asarray((self._has & part) != 0, bool)

    def field(self, name: str) -> Ints:
        """A field of the record as integers."""
        return self._once(name, lambda: self.rec[name])

    def inner(self, field: str) -> Ints:
        """A field of the innermost IP header."""
        return self._once(f"inner.{field}", lambda: self._level(field, self._in))

    def outer(self, field: str) -> Ints:
        """A field of the IP header right outside the innermost one; 0 where there is no tunnel."""
        if not self.any_tunnel:
            return self._zeros
        return self._once(
            f"outer.{field}", lambda: np.where(self.tunnel > 0, self.rec[field][self._rows, self._out], 0)
        )

    def _once(self, name: str, read: Callable[[], npt.ArrayLike]) -> Ints:
        """A column that is gathered from the records when first asked for: rows are wide, so reading is what costs."""
        if name not in self._columns:
            self._columns[name] = np.asarray(read()).astype(np.int64)
        return self._columns[name]

    def _address(self, side: str, level: Ints) -> Ints:
        return self.book.intern(self._level(f"{side}_hi", level), self._level(f"{side}_lo", level))

    def _level(self, field: str, level: Ints) -> npt.NDArray[Any]:
        """A field of the IP header at each packet's level."""
        return np.asarray(self.rec[field][self._rows, level] if self._nested else self.rec[field][:, 0])

    def _tunnel(self, depth: Ints) -> Ints:
        """Tunnel type of each packet by its number; overlays (VXLAN, Geneve) are links, not tunnels to a server."""
        encap = self.inner("encap")
        inner_ver = self.inner("ver")
        outer_ver = np.asarray(self.rec["ver"][self._rows, self._out]).astype(np.int64)
        plain = np.select(
            [(outer_ver == 4) & (inner_ver == 4), (outer_ver == 6) & (inner_ver == 6), outer_ver == 6],
            [1, 2, 3],
            4,
        )
        codes = (layout.ENCAP_IPIP, layout.ENCAP_GRE, layout.ENCAP_GUE, layout.ENCAP_GUE1)
        kinds = [encap == code for code in codes]
        return np.where(depth >= 2, np.select(kinds, [plain, 5, 6, 7], TUNNEL_NONE), TUNNEL_NONE).astype(np.int64)

    def count(self, wanted: Ints | Mask) -> int:
        """How many packets some of these are."""
        rows = np.flatnonzero(wanted) if wanted.dtype == bool else wanted
        return len(rows) if self.weight is None else int(self.weight[rows].sum())

    def tally(self, keys: Words, rows: Ints) -> tuple[Ints, Ints]:
        """Where each different key comes first, and how many packets have it; `rows` are the packets of the keys."""
        if self.weight is None:
            _, first, count = np.unique(keys, return_index=True, return_counts=True)
            return first, count
        _, first, of = np.unique(keys, return_index=True, return_inverse=True)
        count = np.zeros(len(first), np.int64)
        np.add.at(count, of, self.weight[rows])
        return first, count

    def take(self, rows: Ints | Mask) -> Frames:
        """Some of the packets as a batch of their own."""
        out = Frames(self.book, taken(self.rec, rows), self.tap[rows], self.number[rows], self.reader)
        out.past = None if self.past is None else taken(self.past, rows)
        return out

    def octets(self, row: int, start: str, most: int) -> bytes:
        """Captured octets of one packet from where a record field (`in_at`, `l4_at`, `payload_at`) says, up to `most`.

        Only while its batch is new: octets of packets that wait for their other sightings are not kept.
        """
        assert self.reader is not None
        at = int(self.rec[start][row])
        size = min(most, int(self.rec["caplen"][row]) - at)
        return self.reader(int(self.tap[row]), int(self.rec["offset"][row]) + at, size) if size > 0 else b""

    def payload(self, row: int, most: int = 65_535) -> bytes:
        """Captured octets of the innermost transport payload, without the link's padding."""
        return self.octets(row, "payload_at", min(most, int(self.rec["payload_len"][row])))

    # --- columns, each computed when first asked for ------------------------------------------------

    @cached_property
    def ts(self) -> Ints:
        return self.field("ts_ns")

    @cached_property
    def src(self) -> Ints:
        return self._address("src", self._in)

    @cached_property
    def dst(self) -> Ints:
        return self._address("dst", self._in)

    @cached_property
    def outer_src(self) -> Ints:
        return np.where(self.tunnel > 0, self._address("src", self._out), 0) if self.any_tunnel else self._zeros

    @cached_property
    def outer_dst(self) -> Ints:
        return np.where(self.tunnel > 0, self._address("dst", self._out), 0) if self.any_tunnel else self._zeros

    @cached_property
    def eth_src(self) -> Ints:
        return self.field("eth_src")

    @cached_property
    def eth_dst(self) -> Ints:
        return self.field("eth_dst")

    @cached_property
    def has_eth_dst(self) -> Mask:
        return self.has(layout.HAS_ETH_DST)

    @cached_property
    def has_l4(self) -> Mask:
        return self.has(layout.HAS_L4)

    @cached_property
    def has_all_payload(self) -> Mask:
        return self.has(layout.HAS_ALL_PAYLOAD)

    @cached_property
    def ver(self) -> Ints:
        return self.inner("ver")

    @cached_property
    def ttl(self) -> Ints:
        return self.inner("ttl")

    @cached_property
    def wire_ttl(self) -> Ints:
        """TTL or hop limit of the outermost header that routers act on."""
        return np.where(self.tunnel > 0, self.outer("ttl"), self.ttl)

    @cached_property
    def tos(self) -> Ints:
        return self.inner("tos")

    @cached_property
    def ip_id(self) -> Ints:
        return self.inner("ip_id")

    @cached_property
    def ip_len(self) -> Ints:
        """Octets of the whole innermost packet, header included, for both IP versions."""
        value = self.inner("ip_len") + np.where(self.ver == 6, 40, 0)
        # Big TCP: the length does not fit and is 0 on the wire; the frame's own length tells.
        wire = self.field("wirelen") - self.field("in_at")
        return np.where((self.ver == 4) & (value == 0), wire, value)

    @cached_property
    def fragment(self) -> Mask:
        """Fragments of the innermost packet."""
        return np.asarray((self.inner("frag") & _FRAGMENT_BITS) != 0, bool)

    @cached_property
    def outer_fragment(self) -> Mask:
        return np.asarray((self.outer("frag") & _FRAGMENT_BITS) != 0, bool)

    @cached_property
    def proto(self) -> Ints:
        return self.field("proto")

    @cached_property
    def flags(self) -> Ints:
        return self.field("tcp_flags")

    @cached_property
    def seq(self) -> Ints:
        return self.field("seq")

    @cached_property
    def ack(self) -> Ints:
        return self.field("ack")

    @cached_property
    def payload_len(self) -> Ints:
        return self.field("payload_len")

    @cached_property
    def is_tcp(self) -> Mask:
        return np.asarray(self.has_l4 & (self.proto == TCP) & ~self.fragment, bool)

    @cached_property
    def whole_header(self) -> Mask:
        """Packets whose transport header was captured to its last option."""
        return np.asarray(self.field("payload_at") <= self.field("caplen"), bool)

    @cached_property
    def is_udp(self) -> Mask:
        return np.asarray(self.has_l4 & (self.proto == UDP) & ~self.fragment, bool)

    @cached_property
    def is_udp_head(self) -> Mask:
        """UDP datagrams, whole or their first fragment."""
        return np.asarray(self.has_l4 & (self.proto == UDP), bool)

    @cached_property
    def icmp_type(self) -> Ints:
        return self.field("icmp_type")

    @cached_property
    def is_echo(self) -> Mask:
        v4 = (self.proto == ICMP) & among(self.icmp_type, (8, 0))
        v6 = (self.proto == ICMPV6) & among(self.icmp_type, (128, 129))
        return np.asarray(self.has_l4 & (v4 | v6) & ~self.fragment, bool)

    @cached_property
    def is_error(self) -> Mask:
        """ICMP errors: they quote traffic and are none themselves."""
        return self.has(layout.HAS_QUOTE)

    @cached_property
    def source(self) -> Ints:
        """Source endpoint: address and port in one number."""
        return (self.src << 16) | self.field("sport")

    @cached_property
    def target(self) -> Ints:
        """Destination endpoint."""
        return (self.dst << 16) | self.field("dport")

    @cached_property
    def quoted_src(self) -> Ints:
        """Source address of the innermost packet that an ICMP error quotes."""
        return self._quoted("src")

    @cached_property
    def quoted_dst(self) -> Ints:
        return self._quoted("dst")

    def _quoted(self, side: str) -> Ints:
        if not self.is_error.any():
            return self._zeros
        inner = self.has(layout.HAS_QUOTE_INNER)
        hi = np.where(inner, self.rec[f"qi_{side}_hi"], self.rec[f"q_{side}_hi"])
        lo = np.where(inner, self.rec[f"qi_{side}_lo"], self.rec[f"q_{side}_lo"])
        return np.where(self.is_error, self.book.intern(hi, lo), 0)

    @cached_property
    def claimant(self) -> Ints:
        """MAC of who claims an address by ARP or neighbour discovery; an advertisement without the option is its
        sender's. Source: RFC 4861 s4.4."""
        own = self.field("res_sha")
        return np.where((self.rec["res_op"] == 136) & (own == 0), self.eth_src, own)

    def ref(self, row: int) -> tuple[int, int]:
        """A packet as findings name it: index of its tap, frame number in the tap's file."""
        return int(self.tap[row]), int(self.number[row])

    @cached_property
    def port_of_tap(self) -> Ints:
        """The interface a packet was seen on inside its file (pcapng interface, or index in a cooked capture)."""
        return (self.field("iface") << 32) | self.field("ifindex")


def endpoint_address(endpoint: Ints) -> Ints:
    return endpoint >> 16
