"""Sums over conversations: portions of packets added to one row for each conversation."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dsrkit.inspect.head import Known
from dsrkit.inspect.portion import BACK, CHECK, ROW, SERVED, Portion
from dsrkit.inspect.repeats import copies
from dsrkit.verify.arrays import among, distinct, distinct_columns
from dsrkit.verify.frames import REPLY, REQUEST, TCP, UDP, Frames, Ints, Mask, Words, mix
from dsrkit.verify.journeys import PLAIN, REWRITTEN, servers_of

_I8: Final = np.int64
_NONE: Final = np.iinfo(_I8).max
_SETTLE_NS: Final = 1_000_000_000
_MOST_CARRIED: Final = 100_000
_MOST_ALIASES: Final = 200_000
_MOST_SERVICES: Final = 100_000
_SHIFT: Final = 56
_SIGHTING: Final = np.dtype([("ts", np.int64), ("identity", np.uint64), ("spot", np.uint64)])


class Sums:
    """All conversations so far, at most so many; what belongs to others is counted together."""

    def __init__(self, known: Known, most: int) -> None:
        self._known, self._most = known, most
        self._table = np.zeros(0, ROW)  # by key
        self._late = np.zeros(0, _SIGHTING)  # of the last second
        self._seen = np.zeros(0, np.uint64)  # their identities, and those with their places
        self._seen_at = np.zeros(0, np.uint64)
        self._aliases: dict[int, int] = {}  # key of a conversation behind the load balancer -> its key in front
        self.started = 0
        self.rest = 0
        self.rest_octets = 0
        self.errors = 0

    def add(self, b: Portion) -> None:
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

    def _packets(self, b: Portion, rows: Ints) -> tuple[Ints, Ints, Ints, Ints]:
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
        known = among(identity[first], self._seen) & ~among(spots, self._seen_at)
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
        out[packet[among(spots, self._seen_at)]] = True
        return out

    def _alias(self, b: Portion, legs: Any, leg: Ints, rows: Ints, packet: Ints) -> None:
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
        for here, there in distinct_columns(np.stack([behind[both], front[both]]))[0].T.tolist():
            self._aliases.setdefault(int(legs["key"][here]), int(legs["key"][there]))

    def _repeats(self, b: Portion, rows: Ints, packet: Ints, count: Ints) -> Ints:
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

    def _remember(self, b: Portion, rows: Ints) -> None:
        """Keep the last second's identities, and the servers, for the batches to come."""
        part = np.zeros(len(rows), _SIGHTING)
        part["ts"], part["identity"] = b.f.ts[rows], b.identity[rows]
        part["spot"] = mix(b.identity[rows], b.place[rows])
        late = np.concatenate([self._late, part])[-_MOST_CARRIED:]
        self._late = late[late["ts"] > int(part["ts"].max()) - _SETTLE_NS]
        self._seen, self._seen_at = distinct(self._late["identity"]), distinct(self._late["spot"])
        known = self._known
        served = (b.flows.direction == REQUEST) & among(b.f.proto, (TCP, UDP)) & ((b.flows.server & 0xFFFF) != 0)
        if len(known.services) < _MOST_SERVICES:
            ends = distinct_columns(np.stack([b.f.proto[served], b.flows.server[served]]))[0]
            codes = [proto << _SHIFT | self._kept(b.f, end) for proto, end in ends.T.tolist()]
            known.services = distinct(np.concatenate([known.services, np.asarray(codes, np.int64)]))

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
