"""The headers of capture files: of pcap files, of pcapng sections and interfaces.

Source: draft-ietf-opsawg-pcap s4, draft-ietf-opsawg-pcapng s4.1, s4.2.
"""

from __future__ import annotations

import struct
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.wire.files import options
from dsrkit.wire.files.parts import Interface, Section


@dataclass(frozen=True, slots=True)
class Pcap:
    """How a pcap file's records are to be read.

    `swapped`: big endian. `subsecond`: nanoseconds per unit. `record`: octets of a record's header.
    """

    name: str
    swapped: int
    subsecond: int
    record: int = 16


PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": Pcap("pcap", 0, 1000),
    b"\xa1\xb2\xc3\xd4": Pcap("pcap", 1, 1000),
    b"\x4d\x3c\xb2\xa1": Pcap("pcap (nanoseconds)", 0, 1),
    b"\xa1\xb2\x3c\x4d": Pcap("pcap (nanoseconds)", 1, 1),
    b"\x34\xcd\xb2\xa1": Pcap("pcap (modified)", 0, 1000, 24),
    b"\xa1\xb2\xcd\x34": Pcap("pcap (modified)", 1, 1000, 24),
}
"""By the magic number as it stands in the file."""
PCAP_HEADER: Final = 24

SECTION: Final = b"\x0a\x0d\x0d\x0a"
SECTION_LEAST: Final = 28
INTERFACE: Final = (b"\x01\x00\x00\x00", b"\x00\x00\x00\x01")
INTERFACE_LEAST: Final = 20
BYTE_ORDER: Final = {b"\x4d\x3c\x2b\x1a": 0, b"\x1a\x2b\x3c\x4d": 1}

UNKNOWN_LINKTYPE: Final = 0xFFFF
"""Of an interface whose description is damaged."""


def pcap_interface(head: bytes, swapped: int) -> Interface:
    """The one interface of a pcap file; the link type's upper bits say how long frame check sequences are."""
    snaplen, linktype = struct.unpack(">II" if swapped else "<II", head[16:24])
    return Interface(0, linktype & 0xFFFF, snaplen)


def section(block: bytes, order: str, number: int, first_frame: int) -> Section:
    """A section header block."""
    said = _texts(block[24:-4], order, (2, 3, 4))
    return Section(number, first_frame, said[2], said[3], said[4], said[options.COMMENT])


def interface(block: bytes, order: str, number: int, of_section: int) -> tuple[Interface, tuple[int, ...]]:
    """An interface description block, and its row of the table that `Scanner.pcapng` reads."""
    linktype, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
    found = options.first(block[16:-4], order)
    said = _texts(block[16:-4], order, (2, 3))
    only = options.text(found[11][1:]) if found.get(11, b"")[:1] == b"\0" else ""  # 0: a filter in libpcap's language
    offset = struct.unpack(order + "q", found[14][:8])[0] if len(found.get(14, b"")) >= 8 else 0
    resolution = found.get(9, b"\x06")[:1] or b"\x06"
    described = Interface(number, linktype, snaplen, said[2], said[3], said[options.COMMENT], only, of_section)
    return described, (linktype, *ticks(resolution[0]), _signed64(offset * 1_000_000_000), snaplen)


def _texts(octets: bytes, order: str, codes: tuple[int, ...]) -> dict[int, str]:
    """Texts of some codes, "" where absent, and all comments as lines."""
    found = options.first(octets, order)
    said = {code: options.text(found.get(code, b"")) for code in codes}
    said[options.COMMENT] = "\n".join(options.texts(octets, order, options.COMMENT))
    return said


def ticks(resolution: int) -> tuple[int, int, int]:
    """How if_tsresol turns ticks into nanoseconds: multiplier, divisor, binary shift."""
    exponent = resolution & 0x7F
    if resolution & 0x80 and exponent:
        return 1, 1, exponent
    if resolution & 0x80:
        return 1_000_000_000, 1, 0
    if exponent <= 9:
        return 10 ** (9 - exponent), 1, 0
    if exponent <= 27:
        return 1, 10 ** (exponent - 9), 0
    return 0, 1, 0  # 64 bits of it are less than a nanosecond


def _signed64(value: int) -> int:
    """A number modulo 2**64, as a signed one."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)
