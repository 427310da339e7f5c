"""What takeovers are read from: claims, adverts, where frames for VIPs go by MAC, and which requests were answered.

Everything is kept as columns of few rows. What a capture holds too much of ages out, oldest first, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.mechanisms.takeover.forms import ANNOUNCES, GROUP_BIT, forms
from dsrkit.mechanisms.takeover.vrrp import PROTOCOL, Advert, parse
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.frames import ACK, RST, SYN, TCP, Frames, Ints, Mask, Records, mix
from dsrkit.verify.scene import Scene
from dsrkit.wire import layout
from dsrkit.wire.address import ip_halves
from dsrkit.wire.rows import taken

MOST_ROWS: Final = 200_000
_MOST_VIPS: Final = 256
_MOST_RUNS: Final = 64
_MOST_PLACES: Final = 4096
_ADVERT_OCTETS: Final = 8 + 255 * 16
_ROUNDS: Final = 24
_ECHO_REQUESTS, _ECHO_REPLIES = (8, 128), (0, 129)

_I8 = np.int64
CLAIM: Final = np.dtype(
    [(name, _I8) for name in ("ts", "tap", "number", "form", "address", "asked", "sha", "tha", "eth_src", "eth_dst")]
)
"""An ARP or neighbour discovery message: `address` is its sender's or the one it announces, `asked` its target."""
ADVERT: Final = np.dtype(
    [(name, _I8) for name in ("ts", "tap", "number", "content", "src", "eth_src", "eth_dst", "ttl")]
)
TRY: Final = np.dtype(
    [("key", np.uint64)]
    + [(name, _I8) for name in ("ts", "last", "tap", "number", "client", "vip", "eth_src", "eth_dst", "proto")]
)
"""A request, or an answer to one: at one tap, between two MACs; `ts` and `last` of its first and last copy."""


class Rows:
    """Rows of one kind, newest `MOST_ROWS` at least."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self._parts: list[Records] = []
        self._empty = np.zeros(0, dtype)
        self._kept = 0
        self.aged = 0

    def add(self, part: Records) -> None:
        if not len(part):
            return
        self._parts.append(part)
        self._kept += len(part)
        while self._kept - len(self._parts[0]) >= MOST_ROWS:
            gone = self._parts.pop(0)
            self.aged += len(gone)
            self._kept -= len(gone)

    def all(self) -> Records:
        return np.concatenate(self._parts) if self._parts else self._empty


@dataclass(slots=True)
class Run:
    """Frames for a VIP that one sender gave to one MAC, none to another in between, as one tap saw them."""

    mac: int
    first: int  # ns
    last: int
    first_number: int
    last_number: int
    count: int


Place = tuple[int, int, int]
"""Tap, VIP, sender's MAC."""


@dataclass(slots=True)
class Collected:
    """Fed batch by batch."""

    scene: Scene
    claims: Rows = field(default_factory=lambda: Rows(CLAIM))
    adverts: Rows = field(default_factory=lambda: Rows(ADVERT))
    contents: list[Advert] = field(default_factory=list)
    requests: Rows = field(default_factory=lambda: Rows(TRY))
    answers: Rows = field(default_factory=lambda: Rows(TRY))
    runs: dict[Place, list[Run]] = field(default_factory=dict)
    restless: set[Place] = field(default_factory=set)
    errors: dict[int, int] = field(default_factory=dict)  # VIP -> last ICMP error about it
    _vips: dict[int, tuple[int, int]] = field(default_factory=dict)  # by its halves
    _content: dict[bytes, int] = field(default_factory=dict)
    _numbers: dict[Advert, int] = field(default_factory=dict)

    def see(self, f: Frames) -> None:
        if not f.n:
            return
        self._learn_vips()
        self._claims(f)
        self._adverts(f)
        if not self._vips:
            return
        self._errors(f)
        to_vip, from_vip = self._ends(f)
        if to_vip.any():
            self._frames(f, np.flatnonzero(to_vip))
            self._tries(f, to_vip, from_vip)

    @property
    def vips(self) -> list[int]:
        """Addresses that may be VIPs: stated or inferred ones, those of adverts, and those that more than one MAC
        claims or one announces."""
        return list(self._vips)

    @property
    def unrest(self) -> bool:
        """Whether anything speaks of a takeover: adverts, an announced VIP or one of several MACs, frames for one that
        go to another MAC than before."""
        owners: dict[int, set[int]] = {}
        for (address, mac), how in self.scene.claims.items():
            if address in self.scene.vips:
                owners.setdefault(address, set()).update({mac, 0} if "announced" in how else {mac})
        moved = any(len(runs) > 1 for (_, vip, _), runs in self.runs.items() if vip in self.scene.vips)
        return bool(self.contents) or moved or any(len(macs) > 1 for macs in owners.values())

    def _learn_vips(self) -> None:
        wanted = dict.fromkeys(self.scene.vips)
        macs: dict[int, set[int]] = {}
        for (address, mac), how in self.scene.claims.items():
            macs.setdefault(address, set()).add(mac)
            if "announced" in how:
                macs[address].add(0)
        wanted |= dict.fromkeys(address for address, known in macs.items() if len(known) > 1)
        for address in wanted:
            self._want(address)

    def _want(self, address: int) -> None:
        if address and address not in self._vips and len(self._vips) < _MOST_VIPS:
            self._vips[address] = ip_halves(self.scene.address(address))

    # --- who says what --------------------------------------------------------------------------------------------

    def _claims(self, f: Frames) -> None:
        rows = np.flatnonzero((f.rec["has"] & layout.HAS_RES) != 0)
        rows = rows[among(f.rec["res_op"][rows], (1, 2, 135, 136))]
        if not len(rows):
            return
        rec = taken(f.rec, rows)
        part = np.zeros(len(rows), CLAIM)
        part["ts"], part["tap"], part["number"] = rec["ts_ns"], f.tap[rows], f.number[rows]
        part["form"] = forms(f, rows)
        part["address"] = f.book.intern(rec["res_spa_hi"], rec["res_spa_lo"])
        part["asked"] = f.book.intern(rec["res_tpa_hi"], rec["res_tpa_lo"])
        part["sha"], part["tha"] = f.claimant[rows], rec["res_tha"]
        part["eth_src"], part["eth_dst"] = rec["eth_src"], rec["eth_dst"]
        if len(part) > MOST_ROWS // 10:  # a storm: what concerns no VIP is left out
            vips = self.vips
            keep = among(part["address"], vips) | among(part["asked"], vips) | ANNOUNCES[part["form"]]
            part = part[keep][-MOST_ROWS:]
        self.claims.add(part)

    def _adverts(self, f: Frames) -> None:
        rows = np.flatnonzero((f.rec["proto"] == PROTOCOL) & (f.rec["depth"] == 1))
        if not len(rows):
            return
        part = np.zeros(len(rows), ADVERT)
        part["content"] = -1
        hdr, ver = f.rec["hdr_len"][rows, 0].tolist(), f.rec["ver"][rows, 0].tolist()
        for i, row in enumerate(rows.tolist()):
            octets = f.octets(row, "in_at", hdr[i] + _ADVERT_OCTETS)[hdr[i] :]
            part["content"][i] = self._parsed(octets, ver[i])
        rec = taken(f.rec, rows)
        part["ts"], part["tap"], part["number"] = rec["ts_ns"], f.tap[rows], f.number[rows]
        part["src"] = f.book.intern(rec["src_hi"][:, 0], rec["src_lo"][:, 0])
        part["eth_src"], part["eth_dst"], part["ttl"] = rec["eth_src"], rec["eth_dst"], rec["ttl"][:, 0]
        part = part[part["content"] >= 0]
        self.adverts.add(part)
        for content in distinct(part["content"]).tolist():
            for address in self.contents[content].addresses:
                self._want(f.book.number(address))

    def _parsed(self, octets: bytes, family: int) -> int:
        """Number of an advert's content, -1 if it is none; one that was seen before is not read again."""
        key = bytes([family]) + octets
        if key not in self._content:
            advert = parse(octets, family)
            if advert is None or len(self._content) >= MOST_ROWS:
                return -1
            if advert not in self._numbers:
                self._numbers[advert] = len(self.contents)
                self.contents.append(advert)
            self._content[key] = self._numbers[advert]
        return self._content[key]

    def _errors(self, f: Frames) -> None:
        for row in np.flatnonzero((f.rec["has"] & layout.HAS_QUOTE) != 0)[-MOST_ROWS // 10 :].tolist():
            about = int(f.book.intern(f.rec["q_dst_hi"][[row]], f.rec["q_dst_lo"][[row]])[0])
            if about in self._vips:
                self.errors[about] = int(f.rec["ts_ns"][row])

    # --- where frames go ------------------------------------------------------------------------------------------

    def _ends(self, f: Frames) -> tuple[Mask, Mask]:
        """Plain packets to, and from, what may be a VIP."""
        halves = list(self._vips.values())
        plain = f.rec["depth"] == 1
        return _among(f, "dst", halves) & plain, _among(f, "src", halves) & plain

    def _frames(self, f: Frames, rows: Ints) -> None:
        rows = rows[((f.eth_dst[rows] & GROUP_BIT) == 0) & (f.eth_dst[rows] != 0) & (f.eth_src[rows] != 0)]
        if not len(rows):
            return
        dst_lo = f.rec["dst_lo"][rows, 0]
        for group in _groups(mix(f.tap[rows], dst_lo, f.eth_src[rows])):
            mine = rows[group]
            first = mine[:1]
            vip = int(f.book.intern(f.rec["dst_hi"][first, 0], f.rec["dst_lo"][first, 0])[0])
            place = int(f.tap[mine[0]]), vip, int(f.eth_src[mine[0]])
            if place not in self.runs and len(self.runs) >= _MOST_PLACES:
                continue
            self._extend(place, f, mine)

    def _extend(self, place: Place, f: Frames, rows: Ints) -> None:
        """Append to the runs of one sender; who changes the MAC all the time balances and is no neighbour."""
        known = self.runs.setdefault(place, [])
        macs = f.eth_dst[rows]
        starts = np.flatnonzero(np.concatenate([[True], macs[1:] != macs[:-1]]))
        if len(starts) + len(known) > _MOST_RUNS:
            self.restless.add(place)
        if place in self.restless:
            return
        ends = np.concatenate([starts[1:], [len(rows)]])
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            a, b = int(rows[start]), int(rows[end - 1])
            first, last = int(f.rec["ts_ns"][a]), int(f.rec["ts_ns"][b])
            if known and known[-1].mac == int(macs[start]):
                known[-1].last, known[-1].last_number = last, int(f.number[b])
                known[-1].count += end - start
            else:
                known.append(Run(int(macs[start]), first, last, int(f.number[a]), int(f.number[b]), end - start))

    # --- what was answered ----------------------------------------------------------------------------------------

    def _tries(self, f: Frames, to_vip: Mask, from_vip: Mask) -> None:
        """TCP's first word and pings, each with the key that its answer has too."""
        rec = f.rec
        whole = (rec["has"] & layout.HAS_L4) != 0
        tcp = whole & (rec["proto"] == TCP)
        flags = rec["tcp_flags"] & (SYN | ACK)
        refused = (rec["tcp_flags"] & RST) != 0  # somebody is there, who does not serve
        ping = whole & ((rec["proto"] == 1) | (rec["proto"] == 58))
        asks = to_vip & ((tcp & (flags == SYN)) | (ping & among(rec["icmp_type"], _ECHO_REQUESTS)))
        says = from_vip & ((tcp & ((flags == SYN | ACK) | refused)) | (ping & among(rec["icmp_type"], _ECHO_REPLIES)))
        for rows, store, near, far, own, offset in (
            (np.flatnonzero(asks), self.requests, "src", "dst", ("sport", "dport", "seq"), 0),
            (np.flatnonzero(says), self.answers, "dst", "src", ("dport", "sport", "ack"), 1),
        ):
            if len(rows):
                store.add(self._unique_tries(f, rows, near, far, own, offset))

    def _unique_tries(
        self, f: Frames, rows: Ints, near: str, far: str, own: tuple[str, str, str], offset: int
    ) -> Records:
        rec = f.rec  # column by column: rows are wide
        proto, times = rec["proto"][rows], rec["ts_ns"][rows]
        macs = rec["eth_src"][rows], rec["eth_dst"][rows]
        is_tcp = proto == TCP
        number = np.where(is_tcp, (rec[own[2]][rows].astype(np.int64) - offset) & 0xFFFF_FFFF, rec["seq"][rows])
        ports = [np.where(is_tcp, rec[port][rows], 0) for port in own[:2]]
        ends = {(side, half): rec[f"{side}_{half}"][rows, 0] for side in (near, far) for half in ("hi", "lo")}
        key = mix(proto, *ends.values(), *ports, number)
        _, first, member = np.unique(mix(key, f.tap[rows], *macs), return_index=True, return_inverse=True)
        out = np.zeros(len(first), TRY)
        out["key"], out["ts"], out["proto"] = key[first], times[first], proto[first]
        last = np.full(len(first), np.iinfo(np.int64).min)
        np.maximum.at(last, member, times)
        out["last"] = last
        out["tap"], out["number"] = f.tap[rows[first]], f.number[rows[first]]
        out["client"] = f.book.intern(ends[near, "hi"][first], ends[near, "lo"][first])
        out["vip"] = f.book.intern(ends[far, "hi"][first], ends[far, "lo"][first])
        out["eth_src"], out["eth_dst"] = macs[0][first], macs[1][first]
        return out


def _among(f: Frames, side: str, addresses: list[tuple[int, int]]) -> Mask:
    """Packets whose outermost address is one of a few."""
    low = f.rec[f"{side}_lo"][:, 0]
    out = among(low, np.asarray([lo for _, lo in addresses], np.uint64))
    if out.any() and any(hi for hi, _ in addresses):
        high = f.rec[f"{side}_hi"][:, 0]
        out &= among(mix(high, low), mix(*np.asarray(addresses, np.uint64).T))
    return np.asarray(out, bool)


def _groups(keys: Ints | np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Iterator[Ints]:
    """Rows of equal keys, each group in order; few groups are the rule, so the largest part needs no sorting."""
    left = np.arange(len(keys))
    for _ in range(_ROUNDS):
        if not len(left):
            return
        same = keys[left] == keys[left[0]]
        yield left[same]
        left = left[~same]
    order = left[np.argsort(keys[left], kind="stable")]
    cuts = np.flatnonzero(np.diff(keys[order].astype(np.uint64)) != 0) + 1
    yield from (part for part in np.split(order, cuts) if len(part))
