"""The PROXY protocol, versions 1 and 2: who the client is, said in the first octets of a session.

Strict: a header that a conforming receiver refuses is refused here, with what is wrong with it.
Source: HAProxy, doc/proxy-protocol.txt (2.2 text, 2.1 human-readable, 2.2 binary header format).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from dsrkit.classes import dataclass

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MOST_TEXT: Final = 107
"""Octets of the longest line of version 1, with its CR LF."""
MOST_OCTETS: Final = 16 + 0xFFFF

WORD: Final = b"PROXY "
_FAMILIES: Final = {0x00: "UNKNOWN", 0x11: "TCP4", 0x12: "UDP4", 0x21: "TCP6", 0x22: "UDP6", 0x31: "UNIX", 0x32: "UNIX"}
_SIZES: Final = {"UNKNOWN": 0, "TCP4": 12, "UDP4": 12, "TCP6": 36, "UDP6": 36, "UNIX": 216}
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")
_CRC32C: Final = 0x03
_TLV_SIZES: Final = {_CRC32C: (4, 4), 0x05: (0, 128)}  # UNIQUE_ID holds up to 128 octets
_SSL: Final = 0x20
TLV_NAMES: Final = {0x01: "ALPN", 0x02: "AUTHORITY", 0x03: "CRC32C", 0x04: "NOOP", 0x05: "UNIQUE_ID", 0x20: "SSL"}


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A header that holds.

    `length` is how many octets it takes; `source` and `target` are empty where it names no addresses (LOCAL, UNKNOWN),
    paths where the family is UNIX; `checked` says whether it carried a checksum.
    """

    version: int
    command: str
    family: str
    length: int
    source: str = ""
    source_port: int = 0
    target: str = ""
    target_port: int = 0
    tlvs: tuple[tuple[int, bytes], ...] = ()
    checked: bool = False

    @property
    def speaks_for_client(self) -> bool:
        """Whether it names a client by address and port."""
        return self.command == "PROXY" and self.family in ("TCP4", "TCP6", "UDP4", "UDP6")


@dataclass(frozen=True, slots=True)
class BadHeader:
    """Octets that begin as a header, or must be one, and are none; `incomplete` ones may become one with more."""

    problem: str
    incomplete: bool = False


def starts_like_header(octets: bytes) -> bool:
    """Whether a stream begins as a PROXY header does."""
    return octets.startswith((SIGNATURE, WORD))


def parse(octets: bytes) -> ProxyHeader | BadHeader:
    """The header at the very start of a stream.

    >>> parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 1024 443" + bytes((13, 10))).source
    '192.0.2.1'
    """
    if octets.startswith(SIGNATURE):
        return _binary(octets)
    if octets.startswith(WORD):
        return _text(octets)
    if SIGNATURE.startswith(octets) or WORD.startswith(octets):
        return BadHeader("it ends within the signature", incomplete=True)
    return BadHeader("it begins with neither signature")


# --- version 1 --------------------------------------------------------------------------------------------------------


def _text(octets: bytes) -> ProxyHeader | BadHeader:
    line, end, _ = octets[:MOST_TEXT].partition(b"\n")
    if not end:
        short = len(octets) < MOST_TEXT
        return BadHeader(f"no end of line within {MOST_TEXT} octets" if not short else "the line does not end", short)
    if not line.endswith(b"\r"):
        return BadHeader("the line ends without CR")
    length = len(line) + 1
    try:
        words = line[:-1].decode("ascii").split(" ")
    except UnicodeDecodeError:
        return BadHeader("the line is not ASCII")
    if words[1] == "UNKNOWN":
        return ProxyHeader(1, "PROXY", "UNKNOWN", length)
    if words[1] not in ("TCP4", "TCP6"):
        return BadHeader("the protocol is none of TCP4, TCP6 and UNKNOWN")
    if len(words) != 6:
        return BadHeader(f"{len(words)} words instead of 6")
    _, family, source, target, *ports = words
    version = 4 if family == "TCP4" else 6
    for text in (source, target):
        if not _is_address(text, version):
            return BadHeader(f"{_shown(text)} is no IPv{version} address")
    for text in ports:
        if not _PORT.fullmatch(text) or int(text) > 0xFFFF:
            return BadHeader(f"{_shown(text)} is no port")
    return ProxyHeader(1, "PROXY", family, length, _plain(source), int(ports[0]), _plain(target), int(ports[1]))


def _is_address(text: str, version: int) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _plain(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 24 else text[:24] + "…")


# --- version 2 --------------------------------------------------------------------------------------------------------


def _binary(octets: bytes) -> ProxyHeader | BadHeader:
    if len(octets) > 12:
        if octets[12] >> 4 != 2:
            return BadHeader(f"version {octets[12] >> 4} behind the signature of version 2")
        if octets[12] & 15 > 1:
            return BadHeader(f"command {octets[12] & 15} is neither LOCAL nor PROXY")
    if len(octets) > 13 and octets[13] not in _FAMILIES:
        return BadHeader(f"no address family and protocol 0x{octets[13]:02x}")
    if len(octets) < 16:
        return BadHeader("it ends within its first 16 octets", incomplete=True)
    command = "PROXY" if octets[12] & 15 else "LOCAL"
    family = _FAMILIES[octets[13]]
    size = int.from_bytes(octets[14:16], "big")
    need = _SIZES[family]
    if size < need:
        return BadHeader(f"length {size} is too short for {family}, which takes {need}")
    if len(octets) < 16 + size:
        return BadHeader(f"{len(octets) - 16} octets follow where its length says {size}", incomplete=True)
    body = octets[16 : 16 + size]
    try:
        tlvs = tuple(_tlvs(body[need:]))
        checked = _check_tlvs(octets[: 16 + size], tlvs, 16 + need)
    except ValueError as error:
        return BadHeader(str(error))
    header = ProxyHeader(2, command, family, 16 + size, tlvs=tlvs, checked=checked)
    if command == "LOCAL" or not need:
        return header
    return ProxyHeader(2, command, family, 16 + size, *_addresses(body, family), tlvs=tlvs, checked=checked)


def _addresses(body: bytes, family: str) -> tuple[str, int, str, int]:
    if family == "UNIX":
        source, target = (part.split(b"\0")[0].decode("utf-8", "replace") for part in (body[:108], body[108:216]))
        return source, 0, target, 0
    size = 4 if family.endswith("4") else 16
    source, target = (str(ipaddress.ip_address(part)) for part in (body[:size], body[size : 2 * size]))
    ports = body[2 * size :]
    return source, int.from_bytes(ports[:2], "big"), target, int.from_bytes(ports[2:4], "big")


def _tlvs(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Type, length, value, up to the very end. Raises: ValueError where the lengths do not add up."""
    at = 0
    while at < len(octets):
        if len(octets) - at < 3:
            raise ValueError(f"{len(octets) - at} octets are left over behind the last TLV")
        kind, size = octets[at], int.from_bytes(octets[at + 1 : at + 3], "big")
        if at + 3 + size > len(octets):
            raise ValueError(f"TLV 0x{kind:02x} says {size} octets, but {len(octets) - at - 3} are left of the header")
        yield kind, octets[at + 3 : at + 3 + size]
        at += 3 + size


def _check_tlvs(header: bytes, tlvs: tuple[tuple[int, bytes], ...], at: int) -> bool:
    """Sizes, the checksum and what is inside SSL; whether there was a checksum. Raises: ValueError."""
    checked = False
    for kind, value in tlvs:
        low, high = _TLV_SIZES.get(kind, (0, 0xFFFF))
        if not low <= len(value) <= high:
            raise ValueError(f"TLV {TLV_NAMES[kind]} with {len(value)} octets")
        if kind == _CRC32C:
            zeroed = header[: at + 3] + bytes(4) + header[at + 7 :]
            found, right = int.from_bytes(value, "big"), crc32c(zeroed)
            if found != right:
                raise ValueError(f"CRC32C is 0x{found:08x}, but the header's is 0x{right:08x}")
            checked = True
        if kind == _SSL:
            if len(value) < 5:
                raise ValueError(f"TLV SSL with {len(value)} octets")
            for _ in _tlvs(value[5:]):
                pass
        at += 3 + len(value)
    return checked


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32c(octets: bytes) -> int:
    """Castagnoli's checksum. Source: RFC 3720 s12.1, appendix B.4.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFF_FFFF
    for octet in octets:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFF_FFFF
