"""Constants of a filter expression, as numbers: by the kind of the field that they are compared with."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from dsrkit.inspect.fields import Kind, Reference
from dsrkit.inspect.where.tree import Range
from dsrkit.model.dscp import parse_dscp
from dsrkit.wire.address import V4_MAPPED, mac_int

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGER: Final = re.compile(r"-?(?:0[xX][0-9A-Fa-f]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)")
_WANTED: Final[dict[Kind, str]] = {
    "int": "a number",
    "flag": "1 or 0",
    "state": "the state of a checksum: good, partial, zero, absent, bad, unverifiable or none",
    "dscp": "a code point: 7, EF or tos=0x1c",
    "tos": "a DS octet: 28, 0x1c or tos=0x1c",
    "mac": "a MAC address",
    "time": "a time: seconds since 1970, or 2026-01-31T12:00:00 in UTC",
    "span": "seconds",
}


def constant(field: Reference, text: str) -> Range:
    """The numbers that a word stands for, where it is compared with a field.

    Raises: ValueError, saying what could be written.
    """
    kind = field.kind
    word = field.words.get(text.upper() if kind == "dscp" else text.lower())
    if word is not None:
        return Range(word, word)
    if kind == "ip":
        return _network(field, text)
    try:
        value = _number(kind, text)
    except (ValueError, InvalidOperation, OverflowError):
        known = f" ({', '.join(field.words)})" if kind == "int" and field.words else ""
        raise ValueError(f"{text!r} is not {_WANTED.get(kind, 'a number')}{known}") from None
    return Range(value, value)


def integer(text: str) -> int:
    """A number in decimal, 0x1f, 017 or 0b11.

    Raises: ValueError where it is none.
    """
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    digits = text.lstrip("-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = "0o" + digits[1:]
    value = int(digits, 0)
    return -value if text.startswith("-") else value


def _number(kind: Kind, text: str) -> int:
    if kind == "flag" and text.lower() in ("true", "false"):
        return int(text.lower() == "true")
    if kind == "mac":
        return mac_int(text.replace(".", ":"))
    if kind == "dscp":
        return parse_dscp(text)
    if kind == "tos" and text.lower().startswith("tos="):
        return int(text[4:], 0)
    if kind in ("time", "span"):
        return _nanoseconds(kind, text)
    if kind == "state":
        raise ValueError(text)
    return integer(text)


def _nanoseconds(kind: Kind, text: str) -> int:
    if kind == "time" and re.match(r"[0-9]{4}-[0-9]{2}-", text):
        moment = datetime.fromisoformat(text.replace(",", "."))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    return int(Decimal(text) * 1_000_000_000)


def _network(field: Reference, text: str) -> Range:
    """An address, or all of a network; IPv4 addresses as IPv4-mapped ones, as the rows have them."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address and no network (10.0.0.0/8)") from None
    if field.version not in (None, network.version):
        other = "ipv6" if network.version == 6 else "ip"
        name = field.name.partition(".")[2].partition("#")[0]
        hint = f"; ask {other}.{name}" if field.layer in ("ip", "ipv6") else ""
        raise ValueError(f"{field.name} holds IPv{field.version} addresses, and {text} is none{hint}")
    base = V4_MAPPED if network.version == 4 else 0
    return Range(base | int(network.network_address), base | int(network.broadcast_address))
