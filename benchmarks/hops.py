"""What the frames of a connection look like at each hop, and many of them at once.

The headers in front of TCP are dsrkit.craft's: one connection per real server is crafted in full, and its SYN and
SYN-ACK show what every hop makes of a request and of a reply. Here addresses, ports, counters, lengths, payload and
checksums of many packets are put into copies of them, column by column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from traffic import ACK, SYN, Connections, Ints, Scripts

import dsrkit
from dsrkit.craft.frame import Frame

Octets = npt.NDArray[np.uint8]
POOL: Final = 1 << 20
"""Octets of noise that payloads are cut from."""
WINDOW: Final = 509
NOP_NOP_STAMP: Final = 0x0101080A


@dataclass(frozen=True, slots=True)
class Headers:
    """Where the headers of a frame begin: every IP header (offset, version), UDP of GUE (-1: none), TCP."""

    ip: tuple[tuple[int, int], ...]
    udp: int
    tcp: int


def headers_of(frame: bytes) -> Headers:
    """The headers of a healthy frame of ours: IP in IP, GRE without options, GUE of variant 0 without options."""
    found: list[tuple[int, int]] = []
    at, udp, proto = 14, -1, 4 if frame[12:14] == b"\x08\x00" else 41
    while proto != 6:
        match proto:
            case 4:
                found.append((at, 4))
                proto, at = frame[at + 9], at + 4 * (frame[at] & 15)
            case 41:
                found.append((at, 6))
                proto, at = frame[at + 6], at + 40
            case 47:
                proto, at = (4 if frame[at + 2 : at + 4] == b"\x08\x00" else 41), at + 4
            case 17:
                udp, proto, at = at, frame[at + 9], at + 12
            case _:
                raise ValueError(f"no frame of this generator: IP protocol {proto}")
    return Headers(tuple(found), udp, at)


def sum16(octets: bytes | bytearray) -> int:
    """The sum of 16-bit words, not folded."""
    return int(np.frombuffer(octets + b"\0" * (len(octets) % 2), ">u2").sum(dtype=np.int64))


def folded(total: Any) -> Any:
    """The Internet checksum of a sum (an int, or an array of them).  Source: RFC 1071."""
    for _ in range(3):
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@dataclass(frozen=True, slots=True)
class Passage:
    """One hop of one direction as a tap sees it: the headers in front of TCP, for each server."""

    tap: str
    request: bool
    late_ns: int
    prefix: tuple[bytes, ...]
    headers: Headers
    client: bytes  # the crafted client's address, as it is in the prefixes
    servers: tuple[bytes, ...]  # the servers' addresses
    sent_by_balancer: bool

    def rows(self, batch: Packets, *, framing: Framing) -> tuple[Octets, int]:
        """Records of packets of one shape (script flags alike, payloads of one size); and where the frame begins."""
        return _rows(self, batch, framing)


@dataclass(frozen=True, slots=True)
class Framing:
    """What a capture file puts around a frame.  Units: nanoseconds in pcap as in pcapng."""

    pcapng: bool

    @property
    def before(self) -> int:
        return 28 if self.pcapng else 16

    def after(self, octets: int) -> int:
        return -octets % 4 + 4 if self.pcapng else 0

    def head(self) -> bytes:
        """Source: draft-ietf-opsawg-pcap s4 (nanosecond magic); draft-ietf-opsawg-pcapng s4.1, s4.2 (if_tsresol 9)."""
        if not self.pcapng:
            return b"\x4d\x3c\xb2\xa1\x02\0\x04\0" + bytes(8) + b"\0\0\x04\0\x01\0\0\0"
        section = b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0" + b"\xff" * 8 + b"\x1c\0\0\0"
        interface = b"\x01\0\0\0\x20\0\0\0\x01\0\0\0\0\0\x04\0" + b"\x09\0\x01\0\x09\0\0\0\0\0\0\0" + b"\x20\0\0\0"
        return section + interface

    def fill(self, rows: Octets, when_ns: Ints, octets: int) -> None:
        if self.pcapng:
            words = np.empty((len(rows), 7), "<u4")
            words[:, 0], words[:, 1], words[:, 2] = 6, rows.shape[1], 0
            words[:, 3], words[:, 4] = when_ns >> 32, when_ns & 0xFFFFFFFF
            words[:, 5] = words[:, 6] = octets
            rows[:, 28 + octets : -4] = 0
            rows[:, -4:] = np.frombuffer(rows.shape[1].to_bytes(4, "little"), np.uint8)
        else:
            words = np.empty((len(rows), 4), "<u4")
            words[:, 0], words[:, 1] = when_ns // 10**9, when_ns % 10**9
            words[:, 2] = words[:, 3] = octets
        rows[:, : self.before] = words.view(np.uint8)


class Packets:
    """Some packets: which connection, which packet of its script, and when at this tap."""

    def __init__(self, connections: Connections, scripts: Scripts, mss: tuple[int, int], stamps: bool) -> None:
        self.of, self.scripts, self.mss, self.stamps = connections, scripts, mss, stamps
        generator = np.random.default_rng(0)
        self.pool = generator.integers(256, size=POOL, dtype=np.uint8)
        words = self.pool.view(">u2").astype(np.int64)
        self.sums = np.concatenate([np.zeros(1, np.int64), words.cumsum()])
        self.flow = self.row = self.when_ns = np.zeros(0, np.int64)

    def some(self, flow: Ints, row: Ints, when_ns: Ints) -> Packets:
        chosen = object.__new__(Packets)
        chosen.of, chosen.scripts, chosen.mss, chosen.stamps = self.of, self.scripts, self.mss, self.stamps
        chosen.pool, chosen.sums = self.pool, self.sums
        chosen.flow, chosen.row, chosen.when_ns = flow, row, when_ns
        return chosen


def _rows(passage: Passage, packets: Packets, framing: Framing) -> tuple[Octets, int]:
    scripts, of, flow, row = packets.scripts, packets.of, packets.flow, packets.row
    size, flags = int(scripts.size[row[0]]), int(scripts.flags[row[0]])
    plain, side = len(passage.prefix[0]), 0 if passage.request else 1
    options, words = _options(packets, flags, side)
    header = 20 + options.shape[1]
    octets = plain + header + size
    before = framing.before
    rows = np.empty((len(flow), before + octets + framing.after(octets)), np.uint8)
    framing.fill(rows, packets.when_ns, octets)
    frames = rows[:, before : before + octets]
    total = _network(passage, packets, frames, header + size, side)

    at = passage.headers.tcp
    near, far = (of.port[flow], np.full(len(flow), 80)) if passage.request else (np.full(len(flow), 80), of.port[flow])
    seq = of.isn[flow, side] + scripts.seq[row] & 0xFFFFFFFF
    ack = (of.isn[flow, 1 - side] + scripts.ack[row] & 0xFFFFFFFF) * bool(flags & ACK)
    offset_flags = np.full(len(flow), header // 4 << 12 | flags)
    tcp = np.empty((len(flow), 10), ">u2")
    parts = (near, far, seq >> 16, seq & 0xFFFF, ack >> 16, ack & 0xFFFF, offset_flags, np.full(len(flow), WINDOW))
    for number, column in enumerate(parts):
        tcp[:, number] = column
        total += column
    total += words
    if size:
        step = (POOL - size - 2) // 2
        place = (flow * 7919 + scripts.seq[row] * 2654435761 + side) % step
        total += packets.sums[place + size // 2] - packets.sums[place]
        if size % 2:
            total += packets.pool[2 * place + size - 1].astype(np.int64) << 8
        windows = np.lib.stride_tricks.sliding_window_view(packets.pool, size)
        frames[:, at + header :] = windows[2 * place]
    tcp[:, 8], tcp[:, 9] = folded(total), 0
    frames[:, at : at + 20] = tcp.view(np.uint8)
    frames[:, at + 20 : at + header] = options
    return rows, before


def _options(packets: Packets, flags: int, side: int) -> tuple[Octets, Ints]:
    """TCP options of packets, and the sums of their words."""
    row, flow, scripts = packets.row, packets.flow, packets.scripts
    syn = bytes.fromhex("0204") + packets.mss[side].to_bytes(2, "big") if flags & SYN else b""
    if not packets.stamps:
        octets = np.frombuffer(syn, np.uint8)
        return np.broadcast_to(octets, (len(flow), len(octets))), np.full(len(flow), sum16(syn))
    lead = syn + bytes.fromhex("0402080a") if syn else NOP_NOP_STAMP.to_bytes(4, "big")
    tail = bytes.fromhex("01030307") if syn else b""
    echo = scripts.echo_ns[row]
    own = packets.of.stamp[flow, side] + scripts.at_ns[row] // 10**6 & 0xFFFFFFFF
    peer = (packets.of.stamp[flow, 1 - side] + echo // 10**6 & 0xFFFFFFFF) * (echo >= 0)
    found = np.empty((len(flow), len(lead) + 8 + len(tail)), np.uint8)
    found[:, : len(lead)] = np.frombuffer(lead, np.uint8)
    stamps = np.stack([own, peer], axis=1)
    found[:, len(lead) : len(lead) + 8] = stamps.astype(">u4").view(np.uint8)
    found[:, len(lead) + 8 :] = np.frombuffer(tail, np.uint8)
    total = ((stamps >> 16) + (stamps & 0xFFFF)).sum(axis=1) + sum16(lead) + sum16(tail)
    return found, total


def _network(passage: Passage, packets: Packets, frames: Octets, segment: int, side: int) -> Ints:
    """Put what is in front of TCP into the frames; the sum of the pseudo header."""
    headers, of, flow = passage.headers, packets.of, packets.flow
    server = of.server[flow]
    fixed = [_with_lengths(prefix, headers, segment) for prefix in passage.prefix]
    frames[:, : headers.tcp] = np.stack([np.frombuffer(prefix, np.uint8) for prefix in fixed])[server]
    at, version = headers.ip[-1]
    width = 4 if version == 4 else 16
    source = at + (12 if version == 4 else 8)
    mine = source if passage.request else source + width
    other = source + width if passage.request else source
    client = of.client[flow]
    inner: Ints = np.array([sum16(prefix[other : other + width]) for prefix in fixed])[server]
    if fixed[0][mine : mine + width] == passage.client:
        frames[:, mine : mine + width] = client
        near = np.ascontiguousarray(client).view(">u2").sum(axis=1, dtype=np.int64)
    else:
        near = np.array([sum16(prefix[mine : mine + width]) for prefix in fixed])[server]
    total: Ints = inner + near + segment + 6
    if headers.udp >= 0:
        port = 32768 + (flow * 40503 + 977) % 28232
        frames[:, headers.udp : headers.udp + 2] = port.astype(">u2").view(np.uint8).reshape(-1, 2)
    if version == 6:
        label = (flow * 2654435761 + side * 977 >> 4) % 0xFFFFF + 1
        octets = label.astype(">u4").view(np.uint8).reshape(-1, 4)
        frames[:, at + 1] = frames[:, at + 1] & 0xF0 | octets[:, 1]
        frames[:, at + 2 : at + 4] = octets[:, 2:]
        return total
    order = packets.scripts.order[packets.row]
    ident = (of.ip_id[flow, side] + order) & 0xFFFF
    if not passage.request:
        ident[packets.scripts.flags[packets.row] & SYN != 0] = 0  # Linux: the SYN-ACK has no socket yet
    frames[:, at + 4 : at + 6] = ident.astype(">u2").view(np.uint8).reshape(-1, 2)
    rest = [sum16(prefix[at : at + 4] + prefix[at + 6 : at + 10]) for prefix in fixed]
    checksum = folded(np.array(rest)[server] + ident + inner + near)
    frames[:, at + 10 : at + 12] = checksum.astype(">u2").view(np.uint8).reshape(-1, 2)
    return total


def _with_lengths(prefix: bytes, headers: Headers, segment: int) -> bytes:
    octets = bytearray(prefix)
    end = headers.tcp + segment
    for at, version in headers.ip:
        if version == 4:
            octets[at + 2 : at + 4] = (end - at).to_bytes(2, "big")
            octets[at + 10 : at + 12] = bytes(2)
            octets[at + 10 : at + 12] = int(folded(sum16(octets[at : at + 20]))).to_bytes(2, "big")
        else:
            octets[at + 4 : at + 6] = (end - at - 40).to_bytes(2, "big")
    if headers.udp >= 0:
        octets[headers.udp + 4 : headers.udp + 6] = (end - headers.udp).to_bytes(2, "big")
    return bytes(octets)


# --- from craft ------------------------------------------------------------------------------------------------------

STEP_NS: Final = 35_000
BALANCER: Final = "lb1"


def passages_of(mode: str, *, ip: int, tunnel: str | None, servers: int, taps: str) -> list[Passage]:
    """Every passage that the taps see, in the order of the path.

    `taps`: ``pair`` is before and behind the load balancer, as two files of its two interfaces; ``all`` is craft's.
    """
    options: dict[str, Any] = {"ip": ip, "real_servers": servers}
    if tunnel is not None:
        options["tunnel"] = "6in6" if (tunnel, ip) == ("ipip", 6) else tunnel
    scenario = dsrkit.craft(mode, flows=servers, seed=9, **options)
    paths = [dict(_paths(list(scenario.frames()), flow)) for flow in range(servers)]
    sent = paths[0][True][0].data
    client = sent[26:30] if ip == 4 else sent[22:38]
    found = []
    for request in (True, False):
        for place, frame in enumerate(paths[0][request]):
            tap = frame.tap if taps == "all" else _side(frame, request, paths[0][request][:place])
            if tap is None:
                continue
            headers = headers_of(frame.data)
            prefix = tuple(path[request][place].data[: headers.tcp] for path in paths)
            if headers.udp >= 0 and prefix[0][headers.udp + 6 : headers.udp + 8] != bytes(2):
                raise ValueError("UDP of a tunnel with a checksum is not made here")
            found.append(
                Passage(
                    tap,
                    request,
                    place * STEP_NS,
                    prefix,
                    headers,
                    client,
                    tuple(_destination(path[True][-1].data) for path in paths),
                    frame.sender == BALANCER,
                )
            )
    return found


def _paths(frames: list[Frame], flow: int) -> Iterator[tuple[bool, list[Frame]]]:
    """The frames of the SYN and of the SYN-ACK, over all taps."""
    mine = [frame for frame in frames if frame.flow == flow]
    for request in (True, False):
        wanted = SYN if request else SYN | ACK
        number = next(f.packet for f in mine if f.packet >= 0 and f.data[headers_of(f.data).tcp + 13] == wanted)
        yield request, [frame for frame in mine if frame.packet == number]


def _destination(frame: bytes) -> bytes:
    at, version = headers_of(frame).ip[0]
    return frame[at + 16 : at + 20] if version == 4 else frame[at + 24 : at + 40]


def _side(frame: Frame, request: bool, earlier: list[Frame]) -> str | None:
    """Whether a frame is before or behind the load balancer; None where it passes elsewhere, or passed already."""
    if frame.receiver == BALANCER:
        return "before" if request else "behind"
    if frame.sender == BALANCER and not any(other.sender == BALANCER for other in earlier):
        return "behind" if request else "before"
    return None
