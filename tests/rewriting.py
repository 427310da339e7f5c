"""Captures under other names: MACs, addresses, client ports and clocks replaced, checksums left as right as they were.

For tests; nothing of dsrkit here. Checksums are repaired by difference (RFC 1624, taken modulo 65535), so a valid one
stays valid, a wrong one stays as wrong, a cut packet needs no payload, and 0 in UDP stays 0. A sum that an offload
engine had still to complete (only the pseudo-header's) stays that.
"""

from __future__ import annotations

import ipaddress
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ONES = 0xFFFF
EPHEMERAL = 32768
LINK = {1: 14, 113: 16, 276: 20}
"""Octets of the link header by link type: Ethernet, Linux cooked v1 and v2."""


@dataclass
class Names:
    """Random bijections of MACs, addresses and client ports, filled in as they are met.

    Groups, broadcasts, unspecified and link-local addresses mean something by their value and stay.
    """

    rng: random.Random
    macs: bool = True
    addresses: bool = True
    ports: bool = True
    known: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.factor, self.offset = self.rng.randrange(1, EPHEMERAL, 2), self.rng.randrange(EPHEMERAL)

    def mac(self, old: bytes) -> bytes:
        if not self.macs or len(old) < 6 or old[0] & 1 or not any(old):
            return old
        return self._new(old, lambda: bytes([self.rng.randrange(128) * 2]) + self.rng.randbytes(5))

    def address(self, old: bytes) -> bytes:
        if not self.addresses or len(old) not in (4, 16):
            return old
        is_v4 = len(old) == 4
        ip = ipaddress.IPv4Address(old) if is_v4 else ipaddress.IPv6Address(old)
        if ip.is_multicast or ip.is_unspecified or ip.is_link_local or ip.is_loopback or old == b"\xff" * 4:
            return old
        first = self.rng.choice([*range(11, 100), *range(128, 169), *range(170, 224)])
        return self._new(
            old, lambda: bytes([first if is_v4 else 0x20 | first & 0x1F]) + self.rng.randbytes(len(old) - 1)
        )

    def port(self, old: int) -> int:
        """A client's port; the ports of services stay."""
        if not self.ports or old < EPHEMERAL:
            return old
        return EPHEMERAL + ((old - EPHEMERAL) * self.factor + self.offset) % EPHEMERAL

    def old(self) -> dict[bytes, bytes]:
        """The way back. The table holds MACs and addresses; their lengths differ."""
        return {new: old for old, new in self.known.items()}

    def _new(self, old: bytes, draw: object) -> bytes:
        assert callable(draw)
        while old not in self.known:
            new = draw()
            if new not in self.known.values():
                self.known[old] = new
        return self.known[old]


def total(octets: bytes | bytearray) -> int:
    """The ones' complement sum, modulo 65535 (2 to the 16 is 1 there)."""
    return int.from_bytes(bytes(octets) + b"\0" * (len(octets) % 2), "big") % ONES


class Packet:
    """One frame, rewritten in place from the inside out; `old` keeps what it was."""

    def __init__(self, frame: bytes, linktype: int, names: Names) -> None:
        self.old, self.new, self.names = frame, bytearray(frame), names
        self.link(linktype)

    def link(self, linktype: int) -> None:
        size = LINK[linktype]
        if len(self.old) < size:
            return
        if linktype == 1:
            self.mac(0)
            self.mac(6)
            kind = self.u16(12)
        elif linktype == 113:
            self.mac(6)
            kind = self.u16(14)
        else:
            self.mac(12)
            kind = self.u16(0)
        if kind == 0x0806 and len(self.old) >= size + 28:
            for at in (size + 8, size + 18):
                self.mac(at)
                self.address(at + 6, 4)
        elif kind in (0x0800, 0x86DD):
            self.ip(size, len(self.old))

    # --- fields -------------------------------------------------------------------------------------------------------

    def u16(self, at: int) -> int:
        return int.from_bytes(self.old[at : at + 2], "big")

    def mac(self, at: int) -> None:
        self.new[at : at + 6] = self.names.mac(self.old[at : at + 6])

    def address(self, at: int, size: int) -> None:
        self.new[at : at + size] = self.names.address(self.old[at : at + size])

    def port(self, at: int) -> None:
        self.new[at : at + 2] = self.names.port(self.u16(at)).to_bytes(2, "big")

    def change(self, start: int, end: int) -> int:
        """What the octets of a range add to a sum now, more than before."""
        return total(self.new[start:end]) - total(self.old[start:end])

    def repair(self, at: int, change: int, *, udp: bool = False) -> None:
        """Undo a change in the sum of what a checksum covers."""
        value = (self.u16(at) - change) % ONES
        self.new[at : at + 2] = (value or (ONES if udp else 0)).to_bytes(2, "big")

    # --- layers -------------------------------------------------------------------------------------------------------

    def ip(self, at: int, end: int) -> None:
        version = self.old[at] >> 4 if at < end else 0
        if version == 4 and end - at >= 20:
            head, proto, where, size = (self.old[at] & 15) * 4, self.old[at + 9], at + 12, 4
            length = self.u16(at + 2)
            later_fragment = self.u16(at + 6) & 0x1FFF != 0
        elif version == 6 and end - at >= 40:
            head, proto, where, size = 40, self.old[at + 6], at + 8, 16
            length = 40 + self.u16(at + 4)
            later_fragment = False
        else:
            return
        body, stop = at + head, min(end, at + length) if length > head else end
        self.address(where, size)
        self.address(where + size, size)
        ends = self.change(where, where + 2 * size)
        if version == 4:
            self.repair(at + 10, ends)
        if later_fragment or body >= stop:
            return
        if proto in (4, 41):
            self.ip(body, stop)
        elif proto in (6, 17):
            self.transport(proto, body, stop, at + length, where, size, ends)
        elif proto == 1 and stop - body >= 8:
            self.icmp(body, stop)
        elif proto == 58 and stop - body >= 8:
            self.icmp6(body, stop, ends)

    def transport(self, proto: int, at: int, stop: int, full: int, where: int, size: int, ends: int) -> None:
        if stop - at < 4:
            return
        self.port(at)
        self.port(at + 2)
        if proto == 17 and self.u16(at + 2) == 6080 and stop - at >= 12:
            first, inner = self.old[at + 8], self.old[at + 9]
            if first >> 5 == 0 and inner in (4, 41):  # GUE variant 0: version, control bit, header length, protocol
                self.ip(at + 12 + (first & 31) * 4, stop)
        field_at = at + (16 if proto == 6 else 6)
        if field_at + 2 > stop or (proto == 17 and self.u16(field_at) == 0):
            return
        pseudo = total(self.old[where : where + 2 * size]) + proto + full - at
        complete = full == stop
        valid = complete and (pseudo + total(self.old[at:stop])) % ONES == 0
        if not valid and self.u16(field_at) % ONES == pseudo % ONES:
            self.repair(field_at, -ends, udp=True)
        else:
            self.repair(field_at, ends + self.change(at, stop), udp=proto == 17)

    def icmp(self, at: int, stop: int) -> None:
        kind = self.old[at]
        if kind == 5:
            self.address(at + 4, 4)
        if kind in (3, 5, 11, 12):
            self.ip(at + 8, stop)
        self.repair(at + 2, self.change(at, stop))

    def icmp6(self, at: int, stop: int, ends: int) -> None:
        kind = self.old[at]
        if kind in (1, 2, 3, 4):
            self.ip(at + 8, stop)
        options = {133: 8, 134: 16, 135: 24, 136: 24}.get(kind)
        if options:
            if kind in (135, 136):
                self.address(at + 8, 16)
            option = at + options
            while option + 8 <= stop and self.old[option + 1]:
                if self.old[option] in (1, 2):
                    self.mac(option + 2)
                option += self.old[option + 1] * 8
        self.repair(at + 2, ends + self.change(at, stop))


def records(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Seconds, fraction, wire length and frame of each record of a little-endian pcap file."""
    at = 24
    while at < len(data):
        seconds, fraction, caplen, wirelen = struct.unpack_from("<IIII", data, at)
        yield seconds, fraction, wirelen, data[at + 16 : at + 16 + caplen]
        at += 16 + caplen


def rewrite(source: Path, target: Path, names: Names, shift_us: int = 0) -> None:
    """`source` under other names, its clock moved by `shift_us` microseconds."""
    data = source.read_bytes()
    (magic,) = struct.unpack_from("<I", data)
    (linktype,) = struct.unpack_from("<I", data, 20)
    unit = {0xA1B2C3D4: 1_000_000, 0xA1B23C4D: 1_000_000_000}[magic]
    out = [data[:24]]
    for seconds, fraction, wirelen, frame in records(data):
        seconds, fraction = divmod(seconds * unit + fraction + shift_us * (unit // 1_000_000), unit)
        out += [struct.pack("<IIII", seconds, fraction, len(frame), wirelen), Packet(frame, linktype, names).new]
    target.write_bytes(b"".join(out))
