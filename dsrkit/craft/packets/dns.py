"""DNS messages as servers and resolvers send them: the payload of UDP, or of TCP behind two octets of length."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from dsrkit.craft.packets.headers import ip, within
from dsrkit.errors import UsageError

TYPES: Final = {"A": 1, "NS": 2, "CNAME": 5, "AAAA": 28}
RCODES: Final = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}

_NAMES: Final = {number: name for name, number in TYPES.items()}
_IN = 1
_OPT = 41
_QR, _AA, _TC, _RD, _RA = 1 << 15, 1 << 10, 1 << 9, 1 << 8, 1 << 7
_DNSSEC_OK = 1 << 15
_POINTER = 0xC000


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record: `data` is an address or, for NS and CNAME, a name. Source: RFC 1035 s3.2.1; RFC 3596 s2."""

    name: str
    type: str
    data: str
    ttl: int = 30


def addresses(name: str, ips: Sequence[str], *, ttl: int = 30) -> tuple[Record, ...]:
    """A and AAAA records of a name in the order given. Raises: UsageError."""
    return tuple(Record(name, "A" if len(ip(address)) == 4 else "AAAA", address, ttl) for address in ips)


def query(
    name: str,
    qtype: str = "A",
    *,
    ident: int = 0,
    recursion_desired: bool = True,
    edns: int | None = None,
    dnssec_ok: bool = False,
) -> bytes:
    """A question; `edns` is the size of UDP payload that the asker takes. Source: RFC 1035 s4.1. Raises: UsageError."""
    return _message(ident, _RD * recursion_desired, name, qtype, (), edns, dnssec_ok)


def response(
    name: str,
    qtype: str = "A",
    answers: Sequence[Record] = (),
    *,
    ident: int = 0,
    rcode: str = "NOERROR",
    authoritative: bool = False,
    truncated: bool = False,
    recursion_desired: bool = True,
    recursion_available: bool = True,
    edns: int | None = None,
    dnssec_ok: bool = False,
) -> bytes:
    """The answer to a question, names compressed as BIND and dnsmasq do. Source: RFC 1035 s4.1. Raises: UsageError."""
    if rcode not in RCODES:
        raise UsageError(f"unknown response code {rcode!r} (there are {', '.join(RCODES)})")
    flags = (
        _QR
        | _AA * authoritative
        | _TC * truncated
        | _RD * recursion_desired
        | _RA * recursion_available
        | RCODES[rcode]
    )
    return _message(ident, flags, name, qtype, answers, edns, dnssec_ok)


@dataclass(frozen=True, slots=True)
class Message:
    """What a query or response says; `edns` is the size of UDP payload that its sender takes, None without EDNS."""

    ident: int
    name: str
    type: str
    answers: tuple[Record, ...] = ()
    truncated: bool = False
    recursion_desired: bool = True
    edns: int | None = None
    dnssec_ok: bool = False


def parse(message: bytes) -> Message:
    """Read a message with one question whose answers are addresses or names.

    Source: RFC 1035 s4.1. Raises: UsageError for anything else.
    """
    try:
        ident, flags, questions, answers, authorities, additional = struct.unpack_from("!HHHHHH", message)
        if questions != 1:
            raise UsageError(f"a DNS message with {questions} questions")
        name, at = _get_name(message, 12)
        (kind,) = struct.unpack_from("!H", message, at)
        at += 4
        found, edns, dnssec_ok = [], None, False
        for number in range(answers + authorities + additional):
            owner, at = _get_name(message, at)
            rtype, size, ttl, length = struct.unpack_from("!HHIH", message, at)
            at += 10
            if rtype == _OPT:
                edns, dnssec_ok = size, bool(ttl & _DNSSEC_OK)
            elif number < answers:
                found.append(Record(owner, _NAMES[rtype], _get_data(message, rtype, at, length), ttl))
            at += length
        truncated, recursion = bool(flags & _TC), bool(flags & _RD)
        return Message(ident, name, _NAMES[kind], tuple(found), truncated, recursion, edns, dnssec_ok)
    except (struct.error, IndexError, KeyError, ValueError):
        raise UsageError(f"{len(message)} octets are no DNS message that can be read") from None


def _get_name(message: bytes, at: int) -> tuple[str, int]:
    """A name, and where what follows it starts."""
    labels: list[str] = []
    end = 0
    while (length := message[at]) != 0:
        if length >= _POINTER >> 8:
            end = end or at + 2
            target = struct.unpack_from("!H", message, at)[0] & (_POINTER ^ 0xFFFF)
            if target >= at:
                raise ValueError("a pointer that does not go back")
            at = target
            continue
        labels.append(message[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels), end or at + 1


def _get_data(message: bytes, rtype: int, at: int, length: int) -> str:
    if rtype in (TYPES["A"], TYPES["AAAA"]):
        return str(ip_address(message[at : at + length]))
    return _get_name(message, at)[0]


def over_tcp(message: bytes) -> bytes:
    """A message with its length before it. Source: RFC 1035 s4.2.2. Raises: UsageError."""
    return struct.pack("!H", within("length of a DNS message", len(message), 0, 0xFFFF)) + message


def _message(
    ident: int,
    flags: int,
    name: str,
    qtype: str,
    answers: Sequence[Record],
    edns: int | None,
    dnssec_ok: bool,
) -> bytes:
    counts = (1, within("number of answers", len(answers), 0, 0xFFFF), 0, int(edns is not None))
    out = bytearray(struct.pack("!HHHHHH", within("DNS id", ident, 0, 0xFFFF), flags, *counts))
    seen: dict[bytes, int] = {}
    _put_name(out, name, seen)
    out += struct.pack("!HH", _type(qtype), _IN)
    for record in answers:
        _put_record(out, record, seen)
    if edns is not None:
        out += _opt(edns, dnssec_ok)
    return bytes(out)


def _put_record(out: bytearray, record: Record, seen: dict[bytes, int]) -> None:
    _put_name(out, record.name, seen)
    ttl = within("TTL of a record", record.ttl, 0, 0x7FFFFFFF)  # RFC 2181 s8
    out += struct.pack("!HHIH", _type(record.type), _IN, ttl, 0)
    start = len(out)
    if record.type in ("A", "AAAA"):
        out += ip(record.data, 4 if record.type == "A" else 6)
    else:
        _put_name(out, record.data, seen)
    struct.pack_into("!H", out, start - 2, len(out) - start)


def _put_name(out: bytearray, name: str, seen: dict[bytes, int]) -> None:
    """Labels up to the first suffix that stands earlier in the message, then a pointer. Source: RFC 1035 s4.1.4."""
    rest = _encoded(name)
    while rest != b"\0":
        if rest in seen:
            out += struct.pack("!H", _POINTER | seen[rest])
            return
        if len(out) <= _POINTER ^ 0xFFFF:  # a pointer has 14 bits
            seen[rest] = len(out)
        end = 1 + rest[0]
        out += rest[:end]
        rest = rest[end:]
    out += rest


def _encoded(name: str) -> bytes:
    """A name as labels, uncompressed. Source: RFC 1035 s2.3.4, s3.1."""
    try:
        labels = [label.encode("ascii") for label in name.rstrip(".").split(".")] if name.strip(".") else []
    except UnicodeEncodeError:
        raise UsageError(f"name {name!r}: write names outside ASCII in their xn-- form") from None
    if any(not 1 <= len(label) <= 63 for label in labels):
        raise UsageError(f"name {name!r}: every label has 1 to 63 octets")
    out = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(out) > 255:
        raise UsageError(f"name {name[:40]!r}... takes {len(out)} octets, and 255 is the most")
    return out


def _type(name: str) -> int:
    if name not in TYPES:
        raise UsageError(f"unknown type of record {name!r} (there are {', '.join(TYPES)})")
    return TYPES[name]


def _opt(payload: int, dnssec_ok: bool) -> bytes:
    """The pseudo-record of EDNS version 0. Source: RFC 6891 s6.1.2."""
    size = within("EDNS payload size", payload, 0, 0xFFFF)
    return struct.pack("!BHHIH", 0, _OPT, size, _DNSSEC_OK * dnssec_ok, 0)
