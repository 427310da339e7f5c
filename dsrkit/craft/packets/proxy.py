"""PROXY protocol headers, which tell a server behind a proxy whom the connection comes from.

Source of all of it: HAProxy, doc/proxy-protocol.txt.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Final, Literal

from dsrkit.craft.packets.headers import ip, ip_version, within
from dsrkit.errors import UsageError

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
V1_MAX: Final = 107

_COMMANDS = {"local": 0x20, "proxy": 0x21}
_FAMILIES = {4: 0x10, 6: 0x20}
_TRANSPORTS = {"tcp": 1, "udp": 2}

# types of TLVs, s2.2
_ALPN, _AUTHORITY, _CRC32C, _NOOP, _UNIQUE_ID, _SSL, _NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30
_SSL_VERSION, _SSL_CN, _SSL_CIPHER, _SSL_SIG_ALG, _SSL_KEY_ALG = 0x21, 0x22, 0x23, 0x24, 0x25

CLIENT_SSL: Final = 0x01
CLIENT_CERT_CONN: Final = 0x02
CLIENT_CERT_SESS: Final = 0x04


def v1(src: str, sport: int, dst: str, dport: int) -> bytes:
    """The line of version 1 for TCP over IPv4 or IPv6. Source: s2.1. Raises: UsageError.

    >>> v1("198.51.100.10", 40000, "192.0.2.100", 80)
    b'PROXY TCP4 198.51.100.10 192.0.2.100 40000 80\\r\\n'
    """
    family, _, ports = _ends(src, sport, dst, dport)
    numbers = " ".join(map(str, struct.unpack("!HH", ports)))
    return f"PROXY TCP{family} {_text(src)} {_text(dst)} {numbers}\r\n".encode()


def v1_unknown(rest: str = "") -> bytes:
    """The line of version 1 that names nobody; receivers skip `rest`. Source: s2.1. Raises: UsageError."""
    line = f"PROXY UNKNOWN{rest}\r\n".encode()
    if len(line) > V1_MAX or "\r\n" in rest:
        raise UsageError(f"a PROXY line has at most {V1_MAX} octets and no line break within")
    return line


def v2(
    src: str,
    sport: int,
    dst: str,
    dport: int,
    *,
    transport: Literal["tcp", "udp"] = "tcp",
    command: Literal["proxy", "local"] = "proxy",
    tlvs: Sequence[bytes] = (),
) -> bytes:
    """The header of version 2 with both ends of a connection. Source: s2.2. Raises: UsageError.

    >>> v2("198.51.100.10", 40000, "192.0.2.100", 80)[12:].hex()
    '2111000cc633640ac00002649c400050'
    """
    if transport not in _TRANSPORTS:
        raise UsageError(f"PROXY header: transport {transport!r} is neither tcp nor udp")
    family, addresses, ports = _ends(src, sport, dst, dport)
    return _v2(command, _FAMILIES[family] | _TRANSPORTS[transport], addresses + ports, tlvs)


def v2_unspecified(command: Literal["proxy", "local"] = "local", *, tlvs: Sequence[bytes] = ()) -> bytes:
    """The header of version 2 without addresses, as health checks send it. Source: s2.2. Raises: UsageError."""
    return _v2(command, 0, b"", tlvs)


def tlv(kind: int, value: bytes) -> bytes:
    """Any type, length and value. Source: s2.2. Raises: UsageError."""
    length = within("length of a TLV", len(value), 0, 0xFFFF)
    return struct.pack("!BH", within("type of a TLV", kind, 0, 0xFF), length) + value


CRC32C: Final = tlv(_CRC32C, bytes(4))
"""The place of the checksum among the TLVs: `v2` puts the value there."""


def alpn(protocol: str) -> bytes:
    """The application protocol that TLS agreed on, such as `h2`. Source: s2.2.1."""
    return tlv(_ALPN, protocol.encode())


def authority(host: str) -> bytes:
    """The host name that the client asked for (SNI). Source: s2.2.2."""
    return tlv(_AUTHORITY, host.encode())


def noop(length: int = 0) -> bytes:
    """Zeros to be skipped, for alignment. Source: s2.2.4. Raises: UsageError."""
    return tlv(_NOOP, bytes(within("length of a TLV", length, 0, 0xFFFF)))


def unique_id(value: bytes) -> bytes:
    """An id of the connection, of up to 128 octets. Source: s2.2.5. Raises: UsageError."""
    within("length of a unique id", len(value), 0, 128)
    return tlv(_UNIQUE_ID, value)


def netns(name: str) -> bytes:
    """The name of the network namespace. Source: s2.2.7."""
    return tlv(_NETNS, name.encode())


def ssl(
    client: int = CLIENT_SSL,
    *,
    verified: bool = True,
    version: str | None = None,
    common_name: str | None = None,
    cipher: str | None = None,
    signature: str | None = None,
    key: str | None = None,
) -> bytes:
    """What TLS of the client was like: flags, whether its certificate was verified, and sub-TLVs for what is given.

    Source: s2.2.6. Raises: UsageError.
    """
    texts = {
        _SSL_VERSION: version,
        _SSL_CN: common_name,
        _SSL_CIPHER: cipher,
        _SSL_SIG_ALG: signature,
        _SSL_KEY_ALG: key,
    }
    inner = b"".join(tlv(kind, text.encode()) for kind, text in texts.items() if text is not None)
    return tlv(_SSL, struct.pack("!BI", within("client flags", client, 0, 0xFF), not verified) + inner)


def crc32c(octets: bytes) -> int:
    """The CRC of Castagnoli's polynomial, reflected. Source: RFC 3720 app. B.4.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for octet in octets:
        value = value >> 8 ^ _CRC_TABLE[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF


def _crc_of_octet(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    return octet


_CRC_TABLE = tuple(map(_crc_of_octet, range(256)))


def _v2(command: str, family: int, ends: bytes, tlvs: Sequence[bytes]) -> bytes:
    if command not in _COMMANDS:
        raise UsageError(f"PROXY header: command {command!r} is neither proxy nor local")
    if tlvs.count(CRC32C) > 1:
        raise UsageError("PROXY header: one checksum at most")
    extra = b"".join(tlvs)
    length = within("length of a PROXY header", len(ends) + len(extra), 0, 0xFFFF)
    header = SIGNATURE + struct.pack("!BBH", _COMMANDS[command], family, length) + ends + extra
    if CRC32C in tlvs:
        end = len(header) - sum(map(len, tlvs[tlvs.index(CRC32C) + 1 :]))
        header = header[: end - 4] + struct.pack("!I", crc32c(header)) + header[end:]
    return header


def _ends(src: str, sport: int, dst: str, dport: int) -> tuple[int, bytes, bytes]:
    """IP version, addresses and ports of both ends."""
    family = ip_version(src)
    ports = struct.pack("!HH", within("source port", sport, 0, 0xFFFF), within("destination port", dport, 0, 0xFFFF))
    return family, ip(src) + ip(dst, family), ports


def _text(address: str) -> str:
    """An address as inet_ntop writes it, like HAProxy."""
    octets = ip(address)
    return socket.inet_ntop(socket.AF_INET if len(octets) == 4 else socket.AF_INET6, octets)
