"""DNS messages, shallowly: their header, questions, and the addresses and names of their records.

Source: RFC 1035 s4, 3596 s2, 6895 s2.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import Final

from dsrkit.wire.dissect.table import Row, Table, hexed, named
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk, ip_of

TYPE_NAMES: Final = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    41: "OPT",
    65: "HTTPS",
    255: "ANY",
}
_RCODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
HEADER: Final = Table(
    "dns",
    "RFC 1035 s4.1.1",
    12,
    (
        Row("dns.id", 0, 2, show=hexed(4)),
        Row("dns.flags", 2, 2, show=hexed(4)),
        Row("dns.flags.response", 2, 2, mask=0x8000),
        Row("dns.flags.opcode", 2, 2, mask=0x7800),
        Row("dns.flags.truncated", 2, 2, mask=0x0200),
        Row("dns.flags.recdesired", 2, 2, mask=0x0100),
        Row("dns.count.queries", 4, 2),
        Row("dns.count.answers", 6, 2),
        Row("dns.count.auth_rr", 8, 2),
        Row("dns.count.add_rr", 10, 2),
    ),
)
RESPONSE: Final = (
    Row("dns.flags.authoritative", 2, 2, mask=0x0400),
    Row("dns.flags.recavail", 2, 2, mask=0x0080),
    Row("dns.flags.rcode", 2, 2, mask=0x000F, show=named(_RCODES)),
)
QUESTION_NAME: Final = Row("dns.qry.name", kind="text")
QUESTION: Final = (Row("dns.qry.type", 0, 2, show=named(TYPE_NAMES)), Row("dns.qry.class", 2, 2, show=hexed(4)))
RECORD_NAME: Final = Row("dns.resp.name", kind="text")
RECORD: Final = (
    Row("dns.resp.type", 0, 2, show=named(TYPE_NAMES)),
    Row("dns.resp.class", 2, 2, show=hexed(4)),
    Row("dns.resp.ttl", 4, 4),
    Row("dns.resp.len", 8, 2),
)
OPTIONS: Final = (RECORD[0], RECORD[3])
ADDRESS: Final = Row("dns.a", kind="ip")
ADDRESS_6: Final = Row("dns.aaaa", kind="ip", source="RFC 3596 s2.2")
NAMED: Final = {
    2: Row("dns.ns", kind="text"),
    5: Row("dns.cname", kind="text"),
    12: Row("dns.ptr.domain_name", kind="text"),
}
TABLES: Final = (
    HEADER,
    Table("dns", "RFC 1035 s4.1.1", 0, RESPONSE),
    Table("dns", "RFC 1035 s4.1.2", 0, (QUESTION_NAME, *QUESTION)),
    Table("dns", "RFC 1035 s4.1.3", 0, (RECORD_NAME, *RECORD, ADDRESS, ADDRESS_6, *NAMED.values())),
)

_MOST_RECORDS, _MOST_LABELS = 256, 128
_OPT = 41


def read(walk: Walk, at: int) -> Next:
    """A message: nothing follows. What is cut off, or does not parse, ends the layer."""
    opened = walk.open("dns", at)
    walk.fill(opened, HEADER.rows, at)
    if not walk.here(at, HEADER.size):
        return None
    if walk.octets[at + 2] & 0x80:
        walk.fill(opened, RESPONSE, at)
    questions, *counts = (walk.number(at + place, 2) for place in (4, 6, 8, 10))
    parts = chain(repeat(_question, min(questions, _MOST_RECORDS)), repeat(_record, min(sum(counts), _MOST_RECORDS)))
    place = at + HEADER.size
    for part in parts:
        following = part(walk, opened, at, place)
        if following is None:
            break
        place = following
    return None


def _question(walk: Walk, opened: Layer, base: int, at: int) -> int | None:
    """A question at `at`: where the next thing begins, None if it is not all there."""
    name, place = name_at(walk, base, at)
    if place is None or not walk.here(place, 4):
        return None
    walk.put(opened, QUESTION_NAME, name, at, place)
    walk.fill(opened, QUESTION, place)
    return place + 4


def _record(walk: Walk, opened: Layer, base: int, at: int) -> int | None:
    """A record, as `_question`; in an OPT record class and TTL are other things (RFC 6891 s6.1)."""
    name, place = name_at(walk, base, at)
    if place is None or not walk.here(place, 10):
        return None
    kind, size = walk.number(place, 2), walk.number(place + 8, 2)
    walk.put(opened, RECORD_NAME, name, at, place)
    walk.fill(opened, OPTIONS if kind == _OPT else RECORD, place)
    data = place + 10
    if not walk.here(data, size):
        return None
    if (kind, size) == (1, 4):
        walk.put(opened, ADDRESS, ip_of(walk.octets[data : data + 4]), data, data + 4)
    elif (kind, size) == (28, 16):
        walk.put(opened, ADDRESS_6, ip_of(walk.octets[data : data + 16]), data, data + 16)
    elif kind in NAMED:
        text, end = name_at(walk, base, data)
        if end is not None:
            walk.put(opened, NAMED[kind], text, data, data + size)
    opened.stop = data + size
    return data + size


def name_at(walk: Walk, base: int, at: int) -> tuple[str, int | None]:
    """A name, compressed or not, of a message that begins at `base`: its text and where it ends, None if it does not.

    Pointers must lead back, so that they come to an end. Source: RFC 1035 s4.1.4.
    """
    labels: list[str] = []
    end: int | None = None
    place, low = at, at
    while walk.here(place, 1) and len(labels) < _MOST_LABELS:
        size = walk.octets[place]
        if size == 0:
            return ".".join(labels) or "<Root>", end or place + 1
        if size >= 0xC0:
            if not walk.here(place, 2):
                break
            target = base + (walk.number(place, 2) & 0x3FFF)
            end = end or place + 2
            if target >= low:
                break
            place = low = target
            continue
        if size > 63 or not walk.here(place + 1, size):
            break
        labels.append(walk.octets[place + 1 : place + 1 + size].decode("latin-1"))
        place += 1 + size
    return "", None
