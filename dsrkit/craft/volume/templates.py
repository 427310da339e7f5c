"""Copies of a connection at volume: numpy patches what differs between connections into frames that were built once.

A `Template` is one simulated connection at all taps. Its frames are walked once for the spots that name the connection
(`spots`); a copy differs in these octets only, and its checksums are adjusted by what changed below them (RFC 1624), so
that one that was wrong stays wrong by the same difference. There is no Python per frame of a copy.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from dsrkit.craft.frame import Batch, Bytes, Frame, Int64s
from dsrkit.craft.packets.octets import GUE_PORTS, packed, sum16
from dsrkit.craft.volume.spots import Checksum, End, Kind, Spot, spots_of

Derive: TypeAlias = Callable[[Bytes, Int64s], npt.NDArray[Any]]
"""Client addresses (n, 4 or 16) and ports (n,) to addresses or ports that a load balancer derives from them."""

_Which: TypeAlias = slice | Int64s
_Change: TypeAlias = tuple[npt.NDArray[Any], Int64s]  # what is written, the difference of its sum
_Known: TypeAlias = dict[int, _Change]
_Signs: TypeAlias = dict[object, int]
_FOREVER: Final = np.iinfo(np.int64).max
_MASKS: Final = {
    Kind.ID: 0xFFFF,
    Kind.FRAGMENT_ID: 0xFFFFFFFF,
    Kind.FLOW_LABEL: 0xFFFFF,
    Kind.SEQUENCE: 0xFFFFFFFF,
    Kind.TIMESTAMP: 0xFFFFFFFF,
}
_ZERO_STAYS: Final = (Kind.ID, Kind.FRAGMENT_ID, Kind.FLOW_LABEL)  # 0: the sender does not use the field
_ENOUGH: Final = 1 << 20  # times 0xffff: keeps a sum of differences positive, and is zero in ones-complement


@dataclass(frozen=True, slots=True)
class Endpoints:
    """One session of a connection: every address and port by which each end appears on the wire, NAT'd ones included.

    What an end counts (sequence numbers, timestamps, IPv4 ids, ...) is shifted alike wherever it appears.
    """

    name: str
    initiator: tuple[tuple[str, int], ...]
    responder: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One connection, simulated: its frames at all taps in time order, and what in them is the connection's own.

    `lb_ip` and `lb_port` are the load balancer's own end in full NAT and layer 7. `derived` has a function for
    ``outer.src`` or ``tunnel.srcport`` where they are made from the client's address and port.

    Units: `ts_ns` of the frames from the connection's start.
    """

    frames: tuple[Frame, ...]
    client_ip: str
    client_port: int
    sessions: tuple[Endpoints, ...]
    lb_ip: str | None = None
    lb_port: int | None = None
    derived: Mapping[str, Derive] = field(default_factory=dict)
    tunnel_ports: Collection[int] = GUE_PORTS


@dataclass(frozen=True, slots=True)
class FlowArrays:
    """What makes each copy of a template a connection of its own.

    Each connection's counters start at values drawn from its `key`, and so does its jitter: the same keys, the same
    octets, however the work is cut. `number` is the connection's in the scenario.

    Shape: (n,), `client_ip` (n, 4 or 16).
    """

    start_ns: Int64s
    client_ip: Bytes
    client_port: Int64s
    key: npt.NDArray[np.uint64]
    lb_port: Int64s | None = None
    number: Int64s | None = None

    def __len__(self) -> int:
        return len(self.start_ns)

    def __getitem__(self, rows: _Which) -> FlowArrays:
        return FlowArrays(
            self.start_ns[rows],
            self.client_ip[rows],
            self.client_port[rows],
            self.key[rows],
            None if self.lb_port is None else self.lb_port[rows],
            None if self.number is None else self.number[rows],
        )


def expand(
    template: Template,
    values: FlowArrays,
    taps: Sequence[str],
    *,
    jitter_ns: int = 0,
    skew_ns: Mapping[str, int] | None = None,
    snaplen: int | None = None,
) -> Batch:
    """All frames of all copies of one template, in time order.

    Each frame of a connection is late by up to `jitter_ns` more than the one before; the clock of a tap is wrong by its
    `skew_ns`. A width that differs from the template's (of a client address as text, say) is a ValueError.
    """
    flight = _Flight(template, values, jitter_ns, skew_ns or {})
    return _land([flight], -_FOREVER, _FOREVER, taps, snaplen)


def stream(
    groups: Sequence[tuple[Template, FlowArrays]],
    taps: Sequence[str],
    *,
    jitter_ns: int = 0,
    skew_ns: Mapping[str, int] | None = None,
    snaplen: int | None = None,
    octets: int = 16 << 20,
) -> Iterator[Batch]:
    """All frames of all copies of many templates, in time order over the batches; see `expand`.

    Memory: some `octets` of frames at a time, and the times of connections that have begun and not ended.
    """
    skew = skew_ns or {}
    flights: list[_Flight] = []
    since = -_FOREVER
    for pieces, until in _pieces(groups, octets, min([0, *skew.values()])):
        flights += [_Flight(template, values, jitter_ns, skew) for template, values in pieces]
        for begin, end in _windows(flights, since, until, octets):
            if len(batch := _land(flights, begin, end, taps, snaplen)):
                yield batch
        flights = [flight for flight in flights if flight.last >= until]
        since = until


def address_texts(addresses: Bytes) -> npt.NDArray[np.bytes_]:
    """Addresses as PROXY lines and X-Forwarded-For write them; templates are grouped by the width of these."""
    family = socket.AF_INET if addresses.shape[1] == 4 else socket.AF_INET6
    return np.array([socket.inet_ntop(family, row.tobytes()).encode() for row in addresses], "S")


def drawn(key: npt.NDArray[np.uint64], name: str) -> npt.NDArray[np.uint64]:
    """64 random bits per connection for one purpose.

    Source: splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    """
    bits = key + np.array([crc32(name.encode()) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF], np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


# --- what varies, per template -------------------------------------------------------------------------------------


class _Own(StrEnum):
    """The variables that are no counters."""

    CLIENT_IP = "client.ip"
    CLIENT_PORT = "client.port"
    LB_PORT = "lb.port"
    CLIENT_IP_TEXT = "client.ip as text"
    CLIENT_PORT_TEXT = "client.port as text"
    OUTER_SRC = "outer.src"
    TUNNEL_SRCPORT = "tunnel.srcport"


class _Names:
    """Which variable of a connection a spot of the template holds."""

    def __init__(self, template: Template) -> None:
        self.client = packed(template.client_ip)
        self.addresses = {self.client: _Own.CLIENT_IP}
        self.ports: dict[End, str] = {(self.client, template.client_port): _Own.CLIENT_PORT}
        if template.lb_ip is not None and template.lb_port is not None:
            self.ports[packed(template.lb_ip), template.lb_port] = _Own.LB_PORT
        self.tunnel_port = None
        client = np.frombuffer(self.client, np.uint8)[None], np.array([template.client_port])
        if derive := template.derived.get(_Own.OUTER_SRC):
            self.addresses.setdefault(derive(*client)[0].tobytes(), _Own.OUTER_SRC)
        if derive := template.derived.get(_Own.TUNNEL_SRCPORT):
            self.tunnel_port = int(derive(*client)[0])
        self.by_ends: dict[tuple[End, End], str] = {}
        self.by_addresses: dict[tuple[bytes, bytes], str] = {}
        for session in template.sessions:
            for own, other, side in (
                (session.initiator, session.responder, "initiator"),
                (session.responder, session.initiator, "responder"),
            ):
                for ip, port in own:
                    for peer_ip, peer_port in other:
                        a, b = packed(ip), packed(peer_ip)
                        self.by_ends[(a, port), (b, peer_port)] = f"{session.name}.{side}"
                        self.by_addresses[a, b] = f"{session.name}.{side}"

    def of(self, spot: Spot) -> str | None:
        """The name of the variable, None where the octets are the same in every copy."""
        match spot.kind:
            case Kind.ADDRESS:
                return self.addresses.get(spot.owner[0])
            case Kind.PORT:
                return self.ports.get(spot.owner)
            case Kind.TUNNEL_PORT:
                return _Own.TUNNEL_SRCPORT if spot.owner[1] == self.tunnel_port else None
            case Kind.ADDRESS_TEXT:
                return _Own.CLIENT_IP_TEXT
            case Kind.PORT_TEXT:
                return _Own.CLIENT_PORT_TEXT if self.ports.get(spot.owner) == _Own.CLIENT_PORT else None
            case Kind.SEQUENCE | Kind.TIMESTAMP:
                side = self.by_ends.get((spot.owner, spot.peer))
                return side and f"{side}.{spot.kind.value}"
        # The counters of an IP header belong to its sender, whatever it carries: later fragments have no ports.
        sender = self.by_addresses.get((spot.owner[0], spot.peer[0])) or str(ip_address(spot.owner[0]))
        return f"{sender}.{spot.kind.value}"


@dataclass(frozen=True, slots=True)
class _Patch:
    """A spot that varies. A counter (`mask` is not 0) is shifted from its value in the template."""

    name: str  # of its field in the record that numpy writes
    sign: int  # the same for the same octets to write, wherever they stand: a packet is seen at many taps
    at: int
    variable: str
    mask: int
    format: str
    old: bytes
    sum: int

    def values(self, column: _Column, which: _Which) -> _Change:
        """What to write for the connections `which`, and by how much their sums of 16-bit words change."""
        if not self.mask:
            return column.values[which], column.sums[which] - self.sum
        number = int.from_bytes(self.old, "big")
        new = (column.values[which] + (number & self.mask)) & self.mask
        new += number & ~self.mask
        return new, (new >> 16) + (new & 0xFFFF) - self.sum


@dataclass(frozen=True, slots=True)
class _Mend:
    """A checksum, and what below it varies: indices into the changes, with the weight of their place."""

    name: str
    sign: int
    checksum: Checksum
    old: bytes
    terms: tuple[tuple[int, int], ...]

    def values(self, changes: Sequence[Int64s]) -> _Change:
        """The adjusted Internet checksum, and by how much it changes itself.

        Source: RFC 1624 s3, with the differences added before folding.
        """
        old = int.from_bytes(self.old, "big")
        total = np.full(len(changes[0]), (0xFFFF - old) + 0xFFFF * _ENOUGH, np.int64)
        for index, weight in self.terms:
            total += changes[index] if weight == 1 else changes[index] * weight
        for _ in range(3):
            total = (total & 0xFFFF) + (total >> 16)
        new = 0xFFFF - total
        if self.checksum.optional:
            new[new == 0] = 0xFFFF
        return new, new - old

    def crc(self, patches: Sequence[_Patch], rows: Bytes) -> _Change:
        """The same for a CRC32C: it is linear, so the CRC of the differing bits is the difference of the CRCs."""
        ((_, end),) = self.checksum.ranges
        new = np.full(len(rows), int.from_bytes(self.old, "big"), np.uint32)
        for index, _ in self.terms:
            for at, octet in enumerate(patches[index].old, patches[index].at):
                new ^= _crc_table(end - at - 1)[rows[:, at] ^ octet]
        return new, ((new >> 16) + (new & 0xFFFF)).astype(np.int64) - sum16(self.old)


@dataclass(frozen=True, slots=True)
class _Shape:
    """One frame of a template, ready to be copied."""

    frame: Frame
    octets: Bytes
    patches: tuple[_Patch, ...]
    mends: tuple[_Mend, ...]
    record: np.dtype[Any]

    def fill(self, rows: Bytes, columns: Mapping[str, _Column], which: _Which, known: _Known) -> None:
        """Write the frame of the connections `which` into `rows`; `known` are changes of other frames of theirs.

        Shape: rows (connections, octets of the frame).
        """
        rows[:] = self.octets
        if not self.patches:
            return
        record = rows.view(self.record)[:, 0]
        changes: list[Int64s] = []
        for patch in self.patches:
            if (change := known.get(patch.sign)) is None:
                change = known[patch.sign] = patch.values(columns[patch.variable], which)
            record[patch.name] = change[0]
            changes.append(change[1])
        for mend in self.mends:
            if (change := known.get(mend.sign)) is None:
                change = mend.crc(self.patches, rows) if mend.checksum.crc else mend.values(changes)
                known[mend.sign] = change
            record[mend.name] = change[0]
            changes.append(change[1])


@lru_cache(maxsize=4096)
def _crc_table(zeros: int) -> npt.NDArray[np.uint32]:
    """CRC32C, from 0 and not inverted, of each octet with that many zero octets behind it."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(0x82F63B78), crc >> 1)
    single = crc
    for _ in range(zeros):
        crc = single[crc & 0xFF] ^ crc >> 8
    return crc


@lru_cache(maxsize=1024)
def _shapes(template: Template) -> tuple[_Shape, ...]:
    names, signs = _Names(template), _Signs()
    return tuple(_shape(frame, names, signs, template.tunnel_ports) for frame in template.frames)


def _shape(frame: Frame, names: _Names, signs: _Signs, tunnel_ports: Collection[int]) -> _Shape:
    spots, checksums = spots_of(frame.data, names.client, tunnel_ports=tunnel_ports)
    patches = tuple(patch for spot in spots if (patch := _patch(frame.data, spot, names, signs)))
    changed = [(patch.at, len(patch.old), patch.sign) for patch in patches]
    mends: list[_Mend] = []
    for checksum in checksums:
        terms = tuple(
            (index, 256 if (at - start) % 2 else 1)
            for start, end in checksum.ranges
            for index, (at, width, _) in enumerate(changed)
            if start <= at and at + width <= end
        )
        if terms:
            width = 4 if checksum.crc else 2
            old = frame.data[checksum.at : checksum.at + width]
            below = tuple((changed[index][2], weight) for index, weight in terms)
            places = tuple(checksum.ranges[0][1] - changed[index][0] for index, _ in terms) if checksum.crc else ()
            sign = signs.setdefault((old, checksum.optional, below, places), len(signs))
            mends.append(_Mend(_at(checksum.at), sign, checksum, old, terms))
            changed.append((checksum.at, width, sign))
    fields = {patch.name: (patch.format, patch.at) for patch in patches}
    fields |= {mend.name: (f">u{len(mend.old)}", mend.checksum.at) for mend in mends}
    record = np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [at for _, at in fields.values()],
            "itemsize": len(frame.data),
        }
    )
    return _Shape(frame, np.frombuffer(frame.data, np.uint8), patches, tuple(mends), record)


def _patch(data: bytes, spot: Spot, names: _Names, signs: _Signs) -> _Patch | None:
    old = data[spot.at : spot.at + spot.width]
    variable = names.of(spot)
    mask = _MASKS.get(spot.kind, 0)
    if variable is None or (spot.kind in _ZERO_STAYS and int.from_bytes(old, "big") & mask == 0):
        return None
    numeric = mask or spot.kind in (Kind.PORT, Kind.TUNNEL_PORT)
    kind = f">u{spot.width}" if numeric else f"V{spot.width}"
    sign = signs.setdefault((variable, old), len(signs))
    return _Patch(_at(spot.at), sign, spot.at, variable, mask, kind, old, sum16(old))


def _at(place: int) -> str:
    """The name of a record's field."""
    return f"at {place}"


# --- values of the copies ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """A variable of every connection: what is written, and its sum as 16-bit words (counters: summed when written)."""

    values: npt.NDArray[Any]
    sums: Int64s


def _octet_column(octets: Bytes) -> _Column:
    width = octets.shape[1]
    padded = np.pad(octets, ((0, 0), (0, width % 2)))
    words = padded.view(">u2").sum(axis=1, dtype=np.int64)
    return _Column(np.ascontiguousarray(octets).view(f"V{width}")[:, 0], words)


def _text_column(texts: npt.NDArray[np.bytes_], width: int) -> _Column:
    if np.any(np.char.str_len(texts) != width):
        raise ValueError(f"connections of one template need client texts of {width} octets each")
    return _octet_column(np.ascontiguousarray(texts.astype(f"S{width}")).view(np.uint8).reshape(-1, width))


def _port_column(ports: Int64s | None) -> _Column:
    if ports is None:
        raise ValueError("a template with a port of the load balancer's own needs one per connection")
    numbers = ports.astype(np.int64)
    return _Column(numbers, numbers)


def _columns(template: Template, shapes: Sequence[_Shape], values: FlowArrays) -> dict[str, _Column]:
    """The variables that the frames of a template need, for every connection."""
    columns: dict[str, _Column] = {}
    for patch in {patch.variable: patch for shape in shapes for patch in shape.patches}.values():
        name = patch.variable
        match name:
            case _Own.CLIENT_IP:
                column = _octet_column(values.client_ip)
            case _Own.OUTER_SRC:
                column = _octet_column(template.derived[name](values.client_ip, values.client_port))
            case _Own.CLIENT_IP_TEXT:
                column = _text_column(address_texts(values.client_ip), len(patch.old))
            case _Own.CLIENT_PORT_TEXT:
                column = _text_column(values.client_port.astype("S5"), len(patch.old))
            case _Own.CLIENT_PORT:
                column = _port_column(values.client_port)
            case _Own.LB_PORT:
                column = _port_column(values.lb_port)
            case _Own.TUNNEL_SRCPORT:
                column = _port_column(template.derived[name](values.client_ip, values.client_port))
            case _:
                shift = (drawn(values.key, name) & np.uint64(patch.mask)).astype(np.int64)
                column = _Column(shift, shift)
        columns[name] = column
    return columns


# --- frames in time ------------------------------------------------------------------------------------------------


class _Flight:
    """Some connections of one template, from their start to their end."""

    def __init__(self, template: Template, values: FlowArrays, jitter_ns: int, skew_ns: Mapping[str, int]) -> None:
        if values.client_ip.shape[1] != len(packed(template.client_ip)):
            raise ValueError("the clients of a template's copies need addresses of its IP version")
        self.shapes = _shapes(template)
        self.numbers = np.full(len(values), -1, np.int64) if values.number is None else values.number
        self.columns = _columns(template, self.shapes, values)
        late = np.array([shape.frame.ts_ns + skew_ns.get(shape.frame.tap, 0) for shape in self.shapes], np.int64)
        self.times = values.start_ns[None, :] + late[:, None]
        if jitter_ns:
            self.times += _jitter(values.key, len(self.shapes), jitter_ns)
        self.ordered = bool(np.all(self.times[:, 1:] >= self.times[:, :-1]))
        self.first = int(self.times.min(initial=_FOREVER))
        self.last = int(self.times.max(initial=-_FOREVER))
        self.octets = len(values) * sum(len(shape.octets) for shape in self.shapes)

    def within(self, since: int, until: int) -> Iterator[tuple[_Shape, _Which, Int64s]]:
        """Each frame of the template with its connections that send it in this window, and when."""
        for shape, times in zip(self.shapes, self.times, strict=True):
            which: _Which
            if since <= self.first and self.last < until:
                which = slice(0, len(times))
            elif self.ordered:
                which = slice(*(int(place) for place in np.searchsorted(times, (since, until))))
            else:
                which = np.flatnonzero((times >= since) & (times < until))
            if len(when := times[which]):
                yield shape, which, when


def _jitter(key: npt.NDArray[np.uint64], frames: int, jitter_ns: int) -> Int64s:
    """Delays that add up along each connection, so that no frame overtakes its cause.  Shape: (frames, connections)."""
    delays = np.empty((frames, len(key)), np.int64)
    for i in range(frames):
        delays[i] = (drawn(key, f"jitter {i}") % np.uint64(jitter_ns + 1)).astype(np.int64)
    return delays.cumsum(axis=0)


def _pieces(
    groups: Sequence[tuple[Template, FlowArrays]], octets: int, skew_ns: int
) -> Iterator[tuple[list[tuple[Template, FlowArrays]], int]]:
    """Connections by their start, about `octets` of frames at a time, and the time before which nothing comes later."""
    ordered = [(template, values[np.argsort(values.start_ns, kind="stable")]) for template, values in groups]
    starts = np.sort(np.concatenate([values.start_ns for _, values in ordered] or [np.zeros(0, np.int64)]))
    total = sum(len(values) * sum(len(frame.data) for frame in template.frames) for template, values in ordered)
    step = max(1, len(starts) * octets // max(total, 1))
    edges = [*np.unique(starts[step::step]).tolist(), _FOREVER]
    begins = [0] * len(ordered)
    for edge in edges:
        ends = [int(np.searchsorted(values.start_ns, edge)) for _, values in ordered]
        pieces = [
            (template, values[begin:end])
            for (template, values), begin, end in zip(ordered, begins, ends, strict=True)
            if end > begin
        ]
        yield pieces, edge if edge == _FOREVER else edge + skew_ns
        begins = ends


def _windows(flights: Sequence[_Flight], since: int, until: int, octets: int) -> Iterator[tuple[int, int]]:
    """The time from `since` to `until` in parts of about so many octets."""
    if sum(flight.octets for flight in flights) <= 2 * octets:
        yield since, until
        return
    times: list[Int64s] = []
    size = 0
    for flight in flights:
        for shape, _, when in flight.within(since, until):
            times.append(when)
            size += len(when) * len(shape.octets)
    every = np.concatenate(times or [np.zeros(1, np.int64)])
    middle = int(np.partition(every, len(every) // 2)[len(every) // 2])
    if size <= 2 * octets or middle == every.min():
        yield since, until
    else:
        yield from _windows(flights, since, middle, octets)
        yield from _windows(flights, middle, until, octets)


def _land(flights: Sequence[_Flight], since: int, until: int, taps: Sequence[str], snaplen: int | None) -> Batch:
    """Every frame of a window: patched shape by shape, then put in order of time."""
    parts = [(flight, *part) for flight in flights for part in flight.within(since, until)]
    counts = np.array([len(when) for *_, when in parts], np.int64)
    lengths = np.array([len(shape.octets) for _, shape, *_ in parts], np.int64)
    bases = np.concatenate([np.zeros(1, np.int64), (counts * lengths).cumsum()])
    buffer = np.empty(bases[-1], np.uint8)
    offsets = []
    known: dict[tuple[int, int, int], _Known] = {}
    for (flight, shape, which, when), base, length in zip(parts, bases.tolist(), lengths.tolist(), strict=False):
        end = base + len(when) * length
        same = known.setdefault((id(flight), which.start, which.stop), {}) if isinstance(which, slice) else {}
        shape.fill(buffer[base:end].reshape(-1, length), flight.columns, which, same)
        offsets.append(np.arange(base, end, length, dtype=np.int64))
    times = np.concatenate([when for *_, when in parts] or [counts])
    order = np.argsort(times, kind="stable")
    part = np.repeat(np.arange(len(parts)), counts)[order]
    tap = {name: number for number, name in enumerate(taps)}
    texts = dict.fromkeys(shape.frame.comment for _, shape, *_ in parts if shape.frame.comment)
    comments = {text: number for number, text in enumerate(texts)}
    hop_of = [(shape.frame.sender, shape.frame.receiver) for _, shape, *_ in parts]
    hops = {hop: number for number, hop in enumerate(dict.fromkeys(hop_of))}
    caplen = lengths if snaplen is None else np.minimum(lengths, snaplen)
    return Batch(
        tap=np.array([tap[shape.frame.tap] for _, shape, *_ in parts], np.uint8)[part],
        ts_ns=times[order],
        offset=np.concatenate(offsets or [counts])[order],
        caplen=caplen[part],
        wire_octets=np.array([shape.frame.wire_octets for _, shape, *_ in parts], np.int64)[part],
        comment=np.array([comments.get(shape.frame.comment, -1) for _, shape, *_ in parts], np.int64)[part],
        hop=np.array([hops[hop] for hop in hop_of], np.int64)[part],
        flow=np.concatenate([flight.numbers[which] for flight, _, which, _ in parts] or [counts])[order],
        buffer=buffer,
        comments=tuple(comments),
        hops=tuple(hops),
    )
