"""TCP with its options. Source: RFC 9293 s3.1, s3.2; 7323, 2018, 3168, 6994, 7413."""

from __future__ import annotations

from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, checksum_rows, verdict

_LETTERS: Final = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE")


def _flags(value: int) -> str:
    raised = ", ".join(letters for bit, letters in enumerate(_LETTERS) if value >> bit & 1)
    return f"0x{value:04x}" + (f" ({raised})" if raised else "")


HEADER: Final = Table(
    "tcp",
    "RFC 9293 s3.1",
    20,
    (
        Row("tcp.srcport", 0, 2),
        Row("tcp.dstport", 2, 2),
        Row("tcp.seq", 4, 4),
        Row("tcp.ack", 8, 4),
        Row("tcp.hdr_len", 12, 1, mask=0xF0, scale=4),
        Row("tcp.flags", 12, 2, mask=0x0FFF, show=_flags),
        Row("tcp.flags.res", 12, 2, mask=0x0E00),
        Row("tcp.flags.ae", 12, 2, mask=0x0100, source="RFC 7560 s4"),
        Row("tcp.flags.cwr", 12, 2, mask=0x0080, source="RFC 3168 s6.1"),
        Row("tcp.flags.ece", 12, 2, mask=0x0040, source="RFC 3168 s6.1"),
        Row("tcp.flags.urg", 12, 2, mask=0x0020),
        Row("tcp.flags.ack", 12, 2, mask=0x0010),
        Row("tcp.flags.push", 12, 2, mask=0x0008),
        Row("tcp.flags.reset", 12, 2, mask=0x0004),
        Row("tcp.flags.syn", 12, 2, mask=0x0002),
        Row("tcp.flags.fin", 12, 2, mask=0x0001),
        Row("tcp.window_size_value", 14, 2),
        Row("tcp.checksum", 16, 2, show=hexed(4)),
        Row("tcp.urgent_pointer", 18, 2),
    ),
)
CHECKSUM: Final = checksum_rows("tcp")
LENGTH: Final = Row("tcp.len")
OPTION_NAMES: Final = {
    0: "end of list",
    1: "no operation",
    2: "maximum segment size",
    3: "window scale",
    4: "SACK permitted",
    5: "SACK",
    8: "timestamps",
    19: "MD5 signature",
    28: "user timeout",
    29: "authentication",
    30: "multipath TCP",
    34: "fast open cookie",
    253: "experiment 1",
    254: "experiment 2",
}
KIND: Final = Row("tcp.option_kind", 0, 1, show=named(OPTION_NAMES, "unassigned"))
SIZE: Final = Row("tcp.option_len", 1, 1)
SACK: Final = (
    Row("tcp.options.sack_le", 0, 4, source="RFC 2018 s3"),
    Row("tcp.options.sack_re", 4, 4, source="RFC 2018 s3"),
)
KNOWN_OPTIONS: Final = {
    (2, 4): (Row("tcp.options.mss_val", 2, 2, source="RFC 9293 s3.7.1"),),
    (3, 3): (Row("tcp.options.wscale.shift", 2, 1, source="RFC 7323 s2.2"),),
    (8, 10): (
        Row("tcp.options.timestamp.tsval", 2, 4, source="RFC 7323 s3.2"),
        Row("tcp.options.timestamp.tsecr", 6, 4, source="RFC 7323 s3.2"),
    ),
}
EXPERIMENT: Final = Row("tcp.options.experimental.exid", 2, 2, show=hexed(4), source="RFC 6994 s3")
UNKNOWN: Final = Row("tcp.options.unknown.payload", kind="bytes")
OPTIONS: Final = Table(
    "tcp", "RFC 9293 s3.2", 0, (KIND, SIZE, *SACK, *sum(KNOWN_OPTIONS.values(), ()), EXPERIMENT, UNKNOWN)
)
TABLES: Final = (HEADER, OPTIONS, Table("tcp", "RFC 9293 s3.1", 0, (*CHECKSUM, LENGTH)))

_PROTOCOL, _SACK, _EXPERIMENTS = 6, 5, (253, 254)


def read(walk: Walk, at: int) -> Next:
    """A TCP segment: its payload follows."""
    opened = walk.take(HEADER, at, layout.LAYER_TCP)
    if opened is None:
        return None
    header = (walk.octets[at + 12] >> 4) * 4
    if header < 20:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        walk.defect(layout.DEFECT_LENGTH, layout.LAYER_TCP, 20, header, layout.BY_HEADER)
        return None
    if at + header > walk.limit:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        walk.defect(layout.DEFECT_LENGTH, layout.LAYER_TCP, header, walk.limit - at, layout.BY_HEADER)
        return None
    _judge(walk, opened, at)
    whole = walk.room(at, header, layout.LAYER_TCP)
    _options(walk, opened, at + 20, min(at + header, walk.cap))
    opened.stop = min(at + header, walk.cap)
    walk.put(opened, LENGTH, walk.limit - at - header, opened.stop, opened.stop)
    if not whole:
        return None
    walk.payload(at + header)
    return "tcp.payload", at + header


def _judge(walk: Walk, opened: Layer, at: int) -> None:
    """The checksum, over pseudo-header, header and payload: all of it must be there."""
    if walk.limit > walk.cap or walk.fragmented:
        verdict(opened, CHECKSUM, layout.SUM_UNVERIFIABLE, None)
        return
    pseudo = walk.pseudo.sum(_PROTOCOL, walk.limit - at)
    total = walk.add(at, walk.limit) + pseudo
    verdict(opened, CHECKSUM, walk.judge(walk.number(at + 16, 2), total, pseudo), total)


def _options(walk: Walk, opened: Layer, at: int, end: int) -> None:
    """The options, at most 40; one whose length cannot be ends them."""
    while at < end:
        kind = walk.octets[at]
        walk.fill(opened, (KIND,), at)
        if kind == 0:
            return
        if kind == 1:
            at += 1
            continue
        if at + 2 > end:
            return
        walk.fill(opened, (SIZE,), at)
        size = walk.octets[at + 1]
        if size < 2 or at + size > end:
            return
        if (kind, size) in KNOWN_OPTIONS:
            walk.fill(opened, KNOWN_OPTIONS[kind, size], at)
        elif kind == _SACK:
            for place in range(at + 2, at + size - 7, 8):
                walk.fill(opened, SACK, place)
        elif kind in _EXPERIMENTS and size >= 4:
            walk.fill(opened, (EXPERIMENT,), at)
        elif kind not in OPTION_NAMES and size > 2:
            walk.put(opened, UNKNOWN, walk.octets[at + 2 : at + size], at + 2, at + size)
        at += size
