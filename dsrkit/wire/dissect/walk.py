"""The way through one frame: what may be read, what the headers claim, which layers were found, and what went wrong.

Two bounds travel along, as in the scan: `limit`, where the headers read so far say that the packet ends, and `cap`,
where the octets that may be read end. A header's length is checked in a step of its own (`take`, `more`, `room`); of a
header that is not all there, the fields that are there are kept.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import field
from typing import Final, TypeAlias

from dsrkit.classes import dataclass
from dsrkit.wire import layout
from dsrkit.wire.dissect.table import Row, Table
from dsrkit.wire.dissect.tree import Defect, Dissection, Field, Layer, Scalar

Next: TypeAlias = tuple[str, int] | None
"""What follows, and where: the name of a parser and a position; None where nothing does."""

SUM_WORDS: Final = {
    layout.SUM_NONE: "",
    layout.SUM_VALID: "good",
    layout.SUM_PARTIAL: "partial",
    layout.SUM_ZERO: "zero",
    layout.SUM_ABSENT: "absent",
    layout.SUM_INVALID: "bad",
    layout.SUM_UNVERIFIABLE: "unverifiable",
}


@dataclass(slots=True)
class Pseudo:
    """The addresses of a pseudo-header: those of the final destination where a route is still to be gone."""

    version: int = 0
    src: bytes = b""
    dst: bytes = b""

    def sum(self, protocol: int, size: int) -> int:
        """Its folded sum. Source: RFC 9293 s3.1, 768, 8200 s8.1."""
        return ones_sum(self.src + self.dst + protocol.to_bytes(2, "big") + (size & 0xFFFF_FFFF).to_bytes(4, "big"))


@dataclass(slots=True)
class Walk:
    """The state of one frame's dissection.

    `fragmented` tells whether any packet so far is a fragment, `later` whether the one that is read is not the first of
    its datagram: no header of the next layer is in it.
    """

    out: Dissection
    gue_ports: frozenset[int]
    octets: bytes = b""
    cap: int = 0
    cap_by: int = layout.BY_CAPTURE
    limit: int = 0
    limit_by: int = layout.BY_CAPTURE
    pseudo: Pseudo = field(default_factory=Pseudo)
    packet_at: int = 0
    fragmented: bool = False
    own_fragment: bool = False
    later: bool = False
    quoting: bool = False
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.octets = self.out.octets
        self.cap = len(self.octets)
        self.limit = max(self.cap, self.out.wirelen)

    # --- reading ------------------------------------------------------------------------------------------------------

    def number(self, at: int, size: int) -> int:
        """A big-endian number, of octets that are there."""
        return int.from_bytes(self.octets[at : at + size], "big")

    def here(self, at: int, size: int) -> bool:
        """Whether octets may be read: no defect where not."""
        return at + size <= self.cap

    def room(self, at: int, size: int, layer: int) -> bool:
        """Whether octets may be read; else a defect that says who claimed less."""
        if at + size <= self.cap:
            return True
        if at + size > self.limit and self.limit_by != layout.BY_CAPTURE:
            self.defect(layout.DEFECT_LENGTH, layer, size, self.limit - at, self.limit_by)
        elif self.cap_by != layout.BY_CAPTURE and not self.fragmented:
            self.defect(layout.DEFECT_LENGTH, layer, size, self.cap - at, self.cap_by)
        else:
            self.defect(layout.DEFECT_TRUNCATED, layer, size, self.cap - at, self.cap_by)
        return False

    def cut(self, at: int, size: int, layer: int) -> None:
        """A tunnel's header is not all there: a defect where the snap length cut it, none where it is another thing."""
        if at + size <= self.limit and not self.fragmented:
            self.defect(layout.DEFECT_TRUNCATED, layer, size, self.cap - at, self.cap_by)

    def defect(self, kind: int, layer: int, need: int, have: int, by: int) -> None:
        """Note why reading stopped, or what lied: the first defect stays, a quoted packet has none."""
        if self.out.defect is None and not self.quoting:
            self.out.defect = Defect(kind, layer, need, max(have, 0), by)

    def claim(self, end: int, need: int, at: int, by: int, layer: int) -> None:
        """A length field says that the packet ends at `end`: a defect where more is claimed than there is."""
        if end > self.limit and not self.fragmented:
            self.defect(layout.DEFECT_LENGTH, layer, need, self.limit - at, by)
        if self.out.trailer is None and not self.quoting and end < len(self.octets):
            self.out.trailer = end, len(self.octets)
        if self.limit < self.cap:
            self.cap, self.cap_by = self.limit, self.limit_by
        self.limit, self.limit_by = end, by
        if end < self.cap:
            self.cap, self.cap_by = end, by

    def packet(self, at: int, pseudo: Pseudo) -> None:
        """An IP packet begins."""
        self.packet_at, self.pseudo = at, pseudo
        self.own_fragment = self.later = False

    def fragment(self, offset: int, more: int) -> None:
        """Note whether this packet is a fragment."""
        self.later = offset != 0
        self.own_fragment = bool(offset or more)
        self.fragmented |= self.own_fragment

    def payload(self, at: int) -> None:
        """Here the innermost payload begins, if the packet reaches so far."""
        if not self.quoting and at <= self.cap:
            self.out.payload = at, max(at, min(self.limit, self.cap))

    # --- layers and fields --------------------------------------------------------------------------------------------

    def open(self, name: str, at: int, *, number: int = 0) -> Layer:
        """A new layer, the next of its protocol or of the `number` given."""
        self.counts[name, self.quoting] += 1
        layer = Layer(name, number or self.counts[name, self.quoting], at, at, quoted=self.quoting)
        self.out.layers.append(layer)
        return layer

    def take(self, table: Table, at: int, layer: int, *, number: int = 0) -> Layer | None:
        """A new layer with the fields of its table; None, and a defect of `layer`, where it is not all there.

        What is there of it is kept, and nothing where no field is.
        """
        if not self.here(at, 1):
            self.room(at, table.size, layer)
            return None
        opened = self.open(table.name, at, number=number)
        return opened if self.more(opened, table, at, layer) else None

    def more(self, opened: Layer, table: Table, at: int, layer: int) -> bool:
        """A further part of a layer; False, and a defect of `layer`, where it is not all there."""
        whole = self.room(at, table.size, layer)
        self.fill(opened, table.rows, at)
        return whole

    def fill(self, opened: Layer, rows: Iterable[Row], at: int) -> None:
        """The fields of a header at `at` whose octets may be read."""
        for row in rows:
            start, stop = at + row.at, at + row.at + row.size
            if row.size and stop <= self.cap:
                opened.fields.append(_field(row, self.octets[start:stop], start))
                opened.stop = max(opened.stop, stop)

    def put(self, opened: Layer, row: Row, value: Scalar, start: int, stop: int, text: str = "") -> None:
        """A field whose value or place the packet decides; it need not stand in octets."""
        if not text and row.show and isinstance(value, int):
            text = row.show(value)
        opened.fields.append(Field(row.name, value, start, stop, row.mask, text))
        opened.stop = max(opened.stop, min(stop, self.cap))

    # --- checksums ----------------------------------------------------------------------------------------------------

    def add(self, start: int, stop: int) -> int:
        """Ones' complement sum of octets that are there."""
        return ones_sum(self.octets[start:stop])

    def judge(self, found: int, total: int, pseudo: int) -> int:
        """State of a checksum: `found` on the wire, `total` the sum over all, `pseudo` 0 where there is none."""
        if ones_fold(total) == 0xFFFF:
            return layout.SUM_VALID
        if found == 0:
            return layout.SUM_ZERO
        return layout.SUM_PARTIAL if pseudo and found == pseudo else layout.SUM_INVALID


def verdict(opened: Layer, rows: tuple[Row, Row], state: int, total: int | None) -> None:
    """Say what a checksum field is worth, and which sum would be right where it is not.

    `rows` are those of `checksum_rows`, `total` is the sum over all that is covered, None where that is not there.
    """
    name = rows[0].name.removesuffix(".state")
    at = next((i for i, one in enumerate(opened.fields) if one.name == name), None)
    if at is None:
        return
    found = opened.fields[at]
    remark = SUM_WORDS[state]
    calculated = None
    if total is not None and isinstance(found.value, int):
        calculated = ~ones_fold(total + (0xFFFF - found.value)) & 0xFFFF
        if state in (layout.SUM_INVALID, layout.SUM_ZERO, layout.SUM_PARTIAL):
            remark += f", right: 0x{calculated:04x}"
    opened.fields[at] = Field(found.name, found.value, found.start, found.stop, found.mask, found.text, remark)
    more = [Field(rows[0].name, state, found.start, found.stop, text=f"{state} ({SUM_WORDS[state]})")]
    if calculated is not None:
        more.append(Field(rows[1].name, calculated, found.start, found.stop, text=f"0x{calculated:04x}"))
    opened.fields[at + 1 : at + 1] = more


def checksum_rows(protocol: str) -> tuple[Row, Row]:
    """Rows of a checksum's state (`layout.SUM_*`) and of the sum that would be right."""
    return Row(f"{protocol}.checksum.state"), Row(f"{protocol}.checksum_calculated")


def ones_fold(total: int) -> int:
    """A sum of 16-bit words as a ones' complement one. Source: RFC 1071 s2."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ones_sum(octets: bytes) -> int:
    """Ones' complement sum of octets, padded with a zero: 0 to 0xffff, and 0 for zeros only. Source: RFC 1071."""
    total = int.from_bytes(octets, "big") << (8 * (len(octets) % 2))
    return total and (total % 0xFFFF or 0xFFFF)


def _field(row: Row, octets: bytes, start: int) -> Field:
    stop = start + row.size
    if row.kind == "int":
        value = int.from_bytes(octets, "big")
        if row.mask:
            value = (value & row.mask) >> row.shift
        value *= row.scale
        return Field(row.name, value, start, stop, row.mask, row.show(value) if row.show else "")
    if row.kind == "mac":
        return Field(row.name, octets.hex(":"), start, stop)
    if row.kind == "ip":
        return Field(row.name, ip_of(octets), start, stop)
    if row.kind == "text":
        return Field(row.name, octets.decode("latin-1"), start, stop)
    return Field(row.name, octets, start, stop)


def ip_of(octets: bytes) -> str:
    """4 or 16 octets as an address, as Wireshark writes it."""
    return socket.inet_ntop(socket.AF_INET if len(octets) == 4 else socket.AF_INET6, octets)
