"""Sums over conversations: the packets of a capture added to one row for each conversation, in constant memory."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Final

import numpy as np

from dsrkit.inspect.head import Known, Taps
from dsrkit.inspect.turns import Turns, fragments, talks
from dsrkit.inspect.ways import Ways, ends_of, machines
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REQUEST, AddressBook, Frames, Ints, Words
from dsrkit.wire import _cython
from dsrkit.wire.capture import Rows
from dsrkit.wire.rows import octets

_I8, _U8 = np.int64, np.uint64
LEG: Final = np.dtype(
    [
        ("client_hi", _U8),
        ("client_lo", _U8),
        ("service_hi", _U8),
        ("service_lo", _U8),
        ("ports", _U8),
        ("classes", _U8),
        ("server_low", np.int32),
        ("server_high", np.int32),
        ("alias", _I8),
        ("packets", _I8),
        ("octets", _I8),
        ("packets_back", _I8),
        ("octets_back", _I8),
        ("first", _I8),
        ("last", _I8),
        ("repeats", _I8),
        ("marks", _I8),
    ]
)
"""One conversation. `server_low` and `server_high` are the least and the greatest index of a real server that was seen
in it; the latter is -1 where none was. `ports` is ``client << 32 | service << 16 | protocol``; `alias` the number, from
1, of the conversation in front of the load balancer that it is, 0 for none."""

_LEAST: Final = 4096
_ENDS: Final = 1 << 18
_WAYS: Final = 1 << 16
_MOST_WAYS: Final = 1 << 15
_PACKET_SLOTS: Final = 1 << 16
_SEGMENT_SETS: Final = 1 << 14
"""Slots of the tables: endpoints that serve, ways, packets and sets of segments that were seen of late."""
_MOST_PACKETS: Final = 32_768
_PROTO_SHIFT: Final = 56
_MASK: Final = (1 << 64) - 1
_COUNTED: Final = ("packets", "octets", "packets_back", "octets_back", "repeats")


@cache
def _module() -> ModuleType:
    return _cython.load("dsrkit.inspect.tally")[0]


class Sums:
    """All conversations so far, at most so many; what belongs to others is counted together."""

    def __init__(self, known: Known, taps: Taps, most: int, *, interpreted: bool = False) -> None:
        self._known, self._taps, self._most = known, taps, most
        self._module = _cython.load("dsrkit.inspect.tally", interpreted=True)[0] if interpreted else _module()
        mode = known.scene.mode
        self._fullnat = mode == "fullnat"
        self._tally = self._module.Tally(int(self._fullnat), int(mode in ("nat", "fullnat", "l3dsr-dscp")))
        self._ways = Ways(known, self._module)
        self._capacity = self._scratched = 0
        self._tap_of = np.zeros(0, np.int64)
        self._table = np.zeros(0, LEG)
        self._way_table = np.zeros(2 * _WAYS, np.uint64)
        self._near_ways = np.zeros(self._module.NEAR_WORDS, np.uint64)
        words = self._module.PACKET_WORDS * (_PACKET_SLOTS * 7 // 8)
        self._packets = [_lines(words) for _ in range(2)]
        self._packet_slots = np.zeros(2 * _PACKET_SLOTS, np.uint32)
        self._half = 0
        self._tally.keep_segments(octets(_lines(self._module.SEGMENT_SET_WORDS * _SEGMENT_SETS)))
        self._ends = 0
        self._serving(len(known.services))
        self._tally.keep_ways(octets(self._way_table), octets(self._near_ways))
        self._forget()
        self._teach()
        self._errors = 0
        self.started = 0

    def _teach(self) -> None:
        """Tell the tally who serves, and which machines there are."""
        tally, book = self._tally, self._known.scene.book
        for code in self._known.services.tolist():
            end = code & ((1 << _PROTO_SHIFT) - 1)
            tally.serve(*book.halves(end >> 16), end & 0xFFFF, code >> _PROTO_SHIFT)
        addresses, macs = machines(self._known)
        slots = 1 << max(6, (4 * (len(addresses) + len(macs))).bit_length())
        tally.keep_special(octets(np.zeros(2 * slots, np.uint64)))
        keys = [tally.address(*book.halves(number)) for number in sorted(addresses)]
        for number, key in enumerate([*keys, *(tally.mac(mac) for mac in sorted(macs))], 1):
            tally.note_special(key, number)

    # --- memory -------------------------------------------------------------------------------------------------------

    def _room(self, rows: int) -> None:
        """Have room for what so many rows may bring."""
        legs, ways, packets, ends = self._tally.counted
        if legs + rows > self._capacity < self._most or not self._capacity:
            self._capacity = min(max(2 * self._capacity, legs + rows, _LEAST), max(self._most, 1))
            words = _lines(self._module.LEG_WORDS * self._capacity)
            words[: self._table.size * self._module.LEG_WORDS] = self._table.view(np.uint64)
            self._table = words.view(LEG)
            slots = 1 << (2 * self._capacity).bit_length()
            self._tally.keep_legs(octets(words), octets(np.zeros(slots, np.uint64)), min(self._capacity, self._most))
        self._serving(ends)
        if ways > _MOST_WAYS or self._ways.changed:
            self._ways.changed = False
            self._way_table.fill(0)
            self._near_ways.fill(0)
            self._tally.keep_ways(octets(self._way_table), octets(self._near_ways))
        if packets + rows > _MOST_PACKETS:
            self._forget()
        if rows > self._scratched:
            self._scratched = rows
            self._numbers = np.zeros(6 * rows, np.int64)
            self._seen = np.zeros(2 * rows, np.uint8)
            hashes = np.zeros(5 * rows, np.uint64)
            self._tally.scratch(octets(self._numbers), octets(hashes), octets(self._seen))

    def _serving(self, ends: int) -> None:
        """Have room for more endpoints that serve: few as a rule, so that their table is small and near."""
        if 4 * ends >= self._ends < _ENDS:
            self._ends = min(max(_LEAST, 1 << (16 * ends).bit_length()), _ENDS)
            self._tally.keep_ends(octets(np.zeros(self._ends, np.uint64)))

    def _forget(self) -> None:
        """Begin to remember packets anew; those so far are still known until the next time."""
        self._packets.reverse()
        self._half = 1 - self._half
        self._packet_slots[self._half :: 2] = 0
        now, before = map(octets, self._packets)
        self._tally.keep_packets(now, before, octets(self._packet_slots), self._half)

    def _tap_table(self, rec: Rows) -> None:
        last = int(rec["iface"].max())
        if last >= len(self._tap_of):
            self._tap_of = np.asarray([self._taps.of(i) for i in range(last + 1)], np.int64)
            self._tally.see_taps(octets(self._tap_of))

    # --- packets ------------------------------------------------------------------------------------------------------

    def add(self, rec: Rows) -> None:
        """Take in the next packets."""
        if not len(rec):
            return
        if not self.started:
            self.started = int(rec["ts_ns"][0])
        self._room(len(rec))
        self._tap_table(rec)
        tally, count = self._tally, self._scratched
        left, parts, fresh = tally.look(octets(rec), len(rec))
        if left:
            left, parts, fresh = tally.again()
        ports: dict[int, int] = {}
        turns = None
        if left:
            rows = self._numbers[2 * count : 2 * count + left].copy()
            turns = self._fragments(rec, rows) if parts else talks(self._frames(rec, rows))
            fresh = self._decide(rows, turns, ports, every=parts > 0)
        if fresh:
            self._judge(rec, self._numbers[3 * count : 3 * count + fresh], ports)
        tally.add(None if turns is None or turns.identity is None else octets(turns.identity))

    def _frames(self, rec: Rows, rows: Ints | slice) -> Frames:
        part = rec[rows]
        taps = self._tap_of[part["iface"]]
        return Frames(AddressBook(self._known.scene.book), part, taps, np.zeros(len(part), np.int64))

    def _fragments(self, rec: Rows, rows: Ints) -> Turns:
        """The turns of all rows, where some are fragments."""
        tally, count = self._module, self._scratched
        direction = self._seen[: len(rec)].astype(np.int64)
        kind = self._seen[count : count + len(rec)]
        direction[kind == tally.OTHER_KIND] = 0
        undecided = rows[kind[rows] != tally.FRAGMENT_KIND]
        return fragments(self._frames(rec, slice(None)), direction, undecided, addressless=self._fullnat)

    def _decide(self, rows: Ints, turns: Turns, ports: dict[int, int], *, every: bool) -> int:
        """Tell the tally the turns of rows that it could not decide on; how many rows stand for new ways."""
        fresh = 0
        at = rows if every else np.arange(len(rows))
        both = turns.client_port[at] << 16 | turns.service_port[at]
        for row, direction, pair in zip(rows.tolist(), turns.direction[at].tolist(), both.tolist(), strict=True):
            if not direction:
                self._errors += 1
                continue
            ports[row] = pair
            serves = direction == REQUEST and self._seen[self._scratched + row] != self._module.FRAGMENT_KIND
            fresh = self._tally.decide(row, direction, pair, int(serves))
        return fresh

    def _judge(self, rec: Rows, rows: Ints, ports: dict[int, int]) -> None:
        """Say what the ways are that rows stand for."""
        f = self._frames(rec, rows)
        direction = self._seen[rows].astype(np.int64)
        kind = self._seen[self._scratched + rows]
        with_ports = among(kind, (self._module.TCP_KIND, self._module.UDP_KIND))
        client, server = ends_of(f, direction, *(np.where(with_ports, f.field(name), 0) for name in ("sport", "dport")))
        for k in np.flatnonzero(kind == self._module.FRAGMENT_KIND).tolist():
            pair = ports[int(rows[k])]
            client[k], server[k] = client[k] | pair >> 16, server[k] | pair & 0xFFFF
        identity = (kind != self._module.OTHER_KIND).astype(np.uint64) * np.arange(1, f.n + 1, dtype=np.uint64)
        words = self._ways.words(f, Flows(direction, client, server, identity))
        for row, word in zip(rows.tolist(), words.tolist(), strict=True):
            self._tally.answer(row, word)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def rows(self) -> Any:
        """The conversations, both sides of a load balancer as one. Dtype: `LEG`."""
        table = self._table[: self._tally.counted[0]]
        if not table["alias"].any():
            return table
        own = np.arange(len(table))
        # The conversation in front gives the addresses; one that is only known from behind gives its own.
        key = np.where(table["alias"] > 0, table["alias"] - 1, own)
        names, member = np.unique(key, return_inverse=True)
        order = np.lexsort((key != own, member))
        fresh = np.append(True, member[order][1:] != member[order][:-1])
        out = table[order[fresh]].copy()
        for name in _COUNTED:
            out[name] = np.bincount(member, table[name], len(names)).astype(_I8)
        for name, pick in (("first", np.minimum), ("last", np.maximum)):
            pick.at(out[name], member, table[name])
        np.bitwise_or.at(out["marks"], member, table["marks"])
        np.minimum.at(out["server_low"], member, table["server_low"])
        np.maximum.at(out["server_high"], member, table["server_high"])
        return out

    @property
    def notes(self) -> list[str]:
        """What the table leaves out."""
        rest, rest_octets, errors = self._tally.left
        errors += self._errors
        out = []
        if rest:
            out.append(
                f"only the first {self._most:,} conversations are listed; the others have {rest:,} packets with "
                f"{rest_octets:,} octets"
            )
        if errors:
            out.append(f"{errors:,} ICMP errors belong to no conversation")
        return out


def _lines(words: int) -> Words:
    """Zeros that begin where a cache line does."""
    room = np.zeros(words + 7, np.uint64)
    skip = -(room.ctypes.data // 8) % 8
    return room[skip : skip + words]
