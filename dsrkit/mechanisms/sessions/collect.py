"""TCP sessions as each tap shows them: handshakes, ends, and the first octets of what each side says.

Masks select the few packets that matter: handshakes and ends, the octets that open a stream, and those that answer
the other side. A session that is pure volume costs nothing after its first octets.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import ACK, REQUEST, RST, SYN, Frames, Ints, Mask, mix
from dsrkit.verify.verdicts import Frame
from dsrkit.wire.address import ip_text

FIN: Final = 0x01
PREFIX: Final = 2048
"""Octets of a stream, and of each later turn of it, that are kept."""
_MOST_TURNS: Final = 64
_MOST_SESSIONS: Final = 20_000
_MOST_OCTETS: Final = 24 << 20
_TOA: Final = {254: (8, 4), 253: (20, 16)}
"""Kinds of the TCP option that hands on a client's address: their length, octets of the address. Source: LVS TOA."""


@dataclass(slots=True)
class Mark:
    """A packet that matters for itself. MACs are 0 where the link has none."""

    ts: int
    seq: int
    ref: Frame
    ttl: int = 0
    src: int = 0
    dst: int = 0


@dataclass(slots=True)
class Segment:
    ts: int
    ack: int
    octets: bytes
    size: int  # on the wire: a tap may have cut it
    ref: Frame


@dataclass(slots=True)
class Turn:
    """What one side says between two answers of the other."""

    ts: int
    ref: Frame
    octets: bytes
    at: int  # octets of the stream before it


@dataclass(slots=True)
class Stream:
    """One direction of a session. Offsets are octets behind the first one."""

    base: int | None = None
    segments: dict[int, Segment] = field(default_factory=dict)
    said: dict[int, int] = field(default_factory=dict)  # octets of each turn, by what it acknowledges
    size: int | None = None  # octets in all, once a FIN tells
    fin: Mark | None = None
    reset: Mark | None = None
    first: int | None = None  # times of data
    last: int | None = None

    def prefix(self) -> bytes:
        """The octets from the start, as far as they are there without a gap."""
        out = b""
        for at in sorted(self.segments):
            segment = self.segments[at]
            if at > len(out):
                break
            out += segment.octets[len(out) - at :]
            if len(segment.octets) < segment.size and at + segment.size > len(out):
                break
        return out

    def turns(self) -> list[Turn]:
        out: list[Turn] = []
        ack: int | None = None
        end = -1
        for at in sorted(self.segments):
            segment = self.segments[at]
            if ack is None or _ahead(segment.ack, ack):
                out.append(Turn(segment.ts, segment.ref, segment.octets, at))
                ack, end = segment.ack, at + len(segment.octets)
            elif at <= end < at + len(segment.octets):
                out[-1].octets += segment.octets[end - at :]
                end = at + len(segment.octets)
        return out


def _ahead(a: int, b: int) -> bool:
    return 0 < (a - b & 0xFFFF_FFFF) < 0x8000_0000


@dataclass(slots=True)
class Sight:
    """A session as one tap shows it; endpoints are ``address number << 16 | port``."""

    tap: int
    client: int
    server: int
    syn: Mark | None = None
    synack: Mark | None = None
    request: Stream = field(default_factory=Stream)
    reply: Stream = field(default_factory=Stream)
    toa: tuple[str, int] | None = None
    start: int = 0  # time of the first packet
    used: int | None = None  # time of the last data before the first end
    ref: Frame = (0, 0)

    @property
    def over(self) -> bool:
        """Whether either side has ended it."""
        return any(m is not None for s in (self.request, self.reply) for m in (s.fin, s.reset))

    @property
    def identity(self) -> tuple[int, int, int]:
        """What tells two sessions of the same endpoints apart."""
        isn = self.syn.seq + 1 & 0xFFFF_FFFF if self.syn is not None else self.request.base
        return self.client, self.server, -1 if isn is None else isn


class Collector:
    """Sessions of all taps, within bounds."""

    def __init__(self) -> None:
        self.sights: list[Sight] = []
        self.left_out = 0
        self.full = False
        self._open: dict[tuple[int, int, int], Sight] = {}
        self._octets = 0

    def see(self, f: Frames, flows: Flows) -> None:
        rows = self._rows(f, flows)
        direction, client, server = (
            flows.direction[rows].tolist(),
            flows.client[rows].tolist(),
            flows.server[rows].tolist(),
        )
        tap, ts, flags = f.tap[rows].tolist(), f.ts[rows].tolist(), f.flags[rows].tolist()
        for row, way, *who, at, bits in zip(rows.tolist(), direction, tap, client, server, ts, flags, strict=True):
            self._one(f, row, way, (who[0], who[1], who[2]), at, bits)

    def _rows(self, f: Frames, flows: Flows) -> Ints:
        """The packets to look at, in order of time."""
        talk = f.is_tcp & (flows.direction != 0)
        wanted = talk & ((f.flags & (SYN | RST | FIN)) != 0)
        data = np.flatnonzero(talk & (f.payload_len > 0))
        if len(data):
            session = mix(f.tap[data], flows.client[data], flows.server[data], flows.direction[data])
            turn = mix(session, f.ack[data])
            order = np.lexsort((f.ts[data], turn))
            size = f.payload_len[data][order]
            first = np.r_[True, turn[order][1:] != turn[order][:-1]]
            before = np.cumsum(size) - size
            start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
            wanted[data[order[before - before[start] < PREFIX]]] = True
            _, last = np.unique(session[::-1], return_index=True)
            wanted[data[len(data) - 1 - last]] = True
            wanted[_before_ends(f, flows, talk)] = True
        rows = np.flatnonzero(wanted)
        return rows[np.argsort(f.ts[rows], kind="stable")]

    def _one(self, f: Frames, row: int, way: int, key: tuple[int, int, int], ts: int, flags: int) -> None:
        sight = self._open.get(key)
        seq = int(f.rec["seq"][row])
        opens = flags & (SYN | ACK) == SYN
        if sight is None or (opens and sight.syn is not None and sight.syn.seq != seq) or (opens and sight.syn is None):
            if len(self.sights) >= _MOST_SESSIONS:
                self.left_out += 1
                return
            sight = self._open[key] = Sight(*key, start=ts, ref=f.ref(row))
            self.sights.append(sight)
        stream = sight.request if way == REQUEST else sight.reply
        if flags & SYN:
            self._opening(f, row, sight, stream, ts, seq, flags)
        size = int(f.rec["payload_len"][row])
        if stream.base is None and (size or flags & FIN):
            stream.base = seq
        at = 0 if stream.base is None else seq - stream.base & 0xFFFF_FFFF
        if flags & (FIN | RST) and not sight.over:
            sight.used = ts if size else max(sight.request.last or 0, sight.reply.last or 0)
        if flags & FIN and stream.fin is None:
            stream.fin, stream.size = _mark(f, row, ts, seq), at + size if at < 0x8000_0000 else None
        if flags & RST and stream.reset is None:
            stream.reset = _mark(f, row, ts, seq)
        if size and not flags & (SYN | RST):
            self._data(f, row, sight, stream, ts, at, size)

    def _opening(self, f: Frames, row: int, sight: Sight, stream: Stream, ts: int, seq: int, flags: int) -> None:
        mark = _mark(f, row, ts, seq)
        stream.base = seq + 1 & 0xFFFF_FFFF
        if flags & ACK:
            sight.synack = sight.synack or mark
        else:
            sight.syn = sight.syn or mark
            self._options(f, row, sight)

    def _options(self, f: Frames, row: int, sight: Sight) -> None:
        if sight.toa is None and int(f.rec["opt_fp"][row]):
            sight.toa = _toa(f.octets(row, "l4_at", 60))

    def _data(self, f: Frames, row: int, sight: Sight, stream: Stream, ts: int, at: int, size: int) -> None:
        stream.first = ts if stream.first is None else stream.first
        stream.last = ts
        if at >= 0x4000_0000:  # before the first octet that was seen, or a keep-alive probe
            return
        ack = int(f.rec["ack"][row])
        known = stream.segments.get(at)
        if known is not None and known.size >= size:
            return
        if at >= PREFIX and known is None:
            fresh = ack not in stream.said and len(stream.said) < _MOST_TURNS
            follows = stream.said.get(ack, PREFIX) < PREFIX
            if not (fresh or follows):
                return
        if self._octets >= _MOST_OCTETS:
            self.full = True
            return
        if at == 0 and sight.request is stream:
            self._options(f, row, sight)
        octets = f.payload(row, PREFIX)
        self._octets += len(octets)
        stream.said[ack] = stream.said.get(ack, 0) + size
        since = known.ts if known is not None else ts
        stream.segments[at] = Segment(since, ack, octets, size, known.ref if known is not None else f.ref(row))


def _before_ends(f: Frames, flows: Flows, talk: Mask) -> Ints:
    """The last packet with data before each end of a session: from there on it was idle."""
    rows = np.flatnonzero(talk)
    session = mix(f.tap[rows], flows.client[rows], flows.server[rows])
    order = np.lexsort((f.ts[rows], session))
    rows, session = rows[order], session[order]
    place = np.arange(len(rows))
    data = np.maximum.accumulate(np.where(f.payload_len[rows] > 0, place, -1))
    ends = ((f.flags[rows] & (RST | FIN)) != 0) & (data >= 0)
    ends &= session[data] == session
    return np.asarray(rows[data[ends]], np.int64)


def _mark(f: Frames, row: int, ts: int, seq: int) -> Mark:
    src, dst = (int(f.rec[side][row]) for side in ("eth_src", "eth_dst"))
    return Mark(ts, seq, f.ref(row), int(f.ttl[row]), src, dst)


def _toa(header: bytes) -> tuple[str, int] | None:
    """The address and port that a TCP header's option hands on."""
    end = min(len(header), (header[12] >> 4) * 4) if len(header) > 12 else 0
    at = 20
    while at + 1 < end and header[at]:
        if header[at] == 1:
            at += 1
            continue
        size = header[at + 1]
        if size < 2 or at + size > end:
            return None
        if header[at] in _TOA and _TOA[header[at]][0] == size:
            body = header[at + 4 : at + size]
            if len(body) == 4:
                address = ip_text(0, 0xFFFF_0000_0000 | int.from_bytes(body, "big"))
            else:
                address = ip_text(int.from_bytes(body[:8], "big"), int.from_bytes(body[8:], "big"))
            return address, int.from_bytes(header[at + 2 : at + 4], "big")
        at += size
    return None
