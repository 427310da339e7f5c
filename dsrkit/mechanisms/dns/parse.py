"""DNS messages, read strictly: what does not parse to its last octet is none.

Source: RFC 1035 s4.1; RFC 3596 s2.2 (AAAA); RFC 6891 s6.1 (EDNS); RFC 2181 s8 (TTL).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

from dsrkit.classes import dataclass

HEADER: Final = 12
A, CNAME, OPT, AAAA = 1, 5, 41, 28
KINDS: Final = {A: "A", AAAA: "AAAA"}
NO_ERROR: Final = 0

_IN: Final = 1
_POINTER: Final = 0xC0
_MOST_NAME: Final = 255
_MOST_CHAIN: Final = 16
_QR, _OPCODE, _TC, _Z = 0x8000, 0x7800, 0x0200, 0x0040
_LOWER: Final = bytes(octet + 32 if 0x41 <= octet <= 0x5A else octet for octet in range(256))


class NotDns(ValueError):
    """Octets that are no DNS message."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message about the addresses of one name; other messages are `None` to `parse`.

    `addresses` are those that the CNAME `chain` from the question leads to, in the order of the message, and `ttl` is
    the least of all records on that way (None without addresses). `cut` says that TC is set.
    """

    ident: int
    response: bool
    name: str
    kind: str
    rcode: int = NO_ERROR
    cut: bool = False
    addresses: tuple[str, ...] = ()
    ttl: int | None = None
    chain: tuple[str, ...] = ()


def parse(data: bytes) -> Message | None:
    """A question for A or AAAA, or the answer to one.

    Raises: NotDns for what is no DNS message.
    """
    if len(data) < HEADER:
        raise NotDns("shorter than a header")
    ident, flags, questions, answers, authorities, more = struct.unpack_from("!6H", data)
    if flags & _Z:
        raise NotDns("the reserved bit is set")
    if flags & _OPCODE or questions != 1:
        return None
    name, at = _name(data, HEADER)
    if at + 4 > len(data):
        raise NotDns("the question is cut")
    kind, klass = struct.unpack_from("!2H", data, at)
    at += 4
    response, cut = bool(flags & _QR), bool(flags & _TC)
    if not response and (answers or authorities or more > 2):
        raise NotDns("a question with answers")
    records = _records(data, at, answers, answers + authorities + more, cut)
    if kind not in KINDS or klass != _IN:
        return None
    found, ttl, chain = _led_to(name, kind, records)
    return Message(ident, response, _text(name), KINDS[kind], flags & 0xF, cut, found, ttl, chain)


_Record = tuple[bytes, int, int, bytes]  # owner, type, TTL, data (an owner for CNAME)


def _records(data: bytes, at: int, wanted: int, count: int, cut: bool) -> list[_Record]:
    """The records of the answer section; all sections must fill the message exactly, unless it says that it is cut."""
    out: list[_Record] = []
    for number in range(count):
        if cut and at == len(data):
            return out
        try:
            owner, start = _name(data, at)
            if start + 10 > len(data):
                raise NotDns("a record is cut")
            kind, klass, ttl, size = struct.unpack_from("!2HIH", data, start)
            start += 10
            if start + size > len(data):
                raise NotDns("a record is longer than the message")
            value = data[start : start + size]
            if kind == CNAME and klass == _IN:
                value, end = _name(data, start)
                if end != start + size:
                    raise NotDns("a CNAME of another length")
            if klass == _IN and size != {A: 4, AAAA: 16}.get(kind, size):
                raise NotDns("an address of another length")
        except NotDns:
            if cut:
                return out
            raise
        at = start + size
        if number < wanted and klass == _IN:
            out.append((owner, kind, ttl if ttl < 1 << 31 else 0, value))
    if at != len(data):
        raise NotDns("octets after the last record")
    return out


def _led_to(name: bytes, kind: int, records: list[_Record]) -> tuple[tuple[str, ...], int | None, tuple[str, ...]]:
    """Addresses at the end of the CNAME chain, the least TTL on the way, and the chain's names."""
    alias = {owner: (value, ttl) for owner, rtype, ttl, value in records if rtype == CNAME}
    at, chain, ttls = name, [name], []
    while at in alias and len(chain) <= _MOST_CHAIN:
        at, ttl = alias[at]
        if at in chain:
            return (), None, ()
        chain.append(at)
        ttls.append(ttl)
    found = [(value, ttl) for owner, rtype, ttl, value in records if rtype == kind and owner == at]
    ttls += [ttl for _, ttl in found]
    addresses = tuple(dict.fromkeys(str(ipaddress.ip_address(value)) for value, _ in found))
    return addresses, min(ttls) if addresses else None, tuple(_text(one) for one in chain[1:])


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """A name in lower case as its labels with their lengths, and where it ends; pointers lead only backwards.

    Source: RFC 1035 s4.1.4; RFC 4343 s3.
    """
    labels: list[bytes] = []
    size, end, least = 1, 0, at
    while True:
        if at >= len(data):
            raise NotDns("a name is cut")
        length = data[at]
        if length & _POINTER == _POINTER:
            if at + 2 > len(data):
                raise NotDns("a pointer is cut")
            end = end or at + 2
            at = (length & ~_POINTER) << 8 | data[at + 1]
            if at >= least or at < HEADER:
                raise NotDns("a pointer that does not lead back")
            least = at
            continue
        if length & _POINTER:
            raise NotDns("a label type that nobody uses")
        if length == 0:
            return b"".join(labels), end or at + 1
        size += length + 1
        if size > _MOST_NAME or at + 1 + length > len(data):
            raise NotDns("a name is too long")
        labels.append(data[at : at + 1 + length].translate(_LOWER))
        at += 1 + length


def _text(name: bytes) -> str:
    """A name as zone files write it: dots and backslashes inside a label, and what is not printable, are escaped.

    Source: RFC 1035 s5.1; RFC 4343 s2.1.
    """
    labels: list[str] = []
    at = 0
    while at < len(name):
        label = name[at + 1 : at + 1 + name[at]]
        labels.append("".join(_character(octet) for octet in label))
        at += 1 + name[at]
    return ".".join(labels) or "."


def _character(octet: int) -> str:
    if octet in b'.\\"();@$':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x21 <= octet <= 0x7E else f"\\{octet:03d}"
