"""What the payload of a packet says, if it begins a message that many know: DNS, HTTP, TLS, PROXY."""

from __future__ import annotations

import re
from typing import Final

from dsrkit.mechanisms.dns.parse import Message, NotDns, parse
from dsrkit.mechanisms.sessions.proxy_protocol import ProxyHeader, starts_like_header
from dsrkit.mechanisms.sessions.proxy_protocol import parse as parse_proxy
from dsrkit.verify.frames import TCP, UDP, Frames
from dsrkit.wire import layout

DNS_PORT: Final = 53
_MOST_OCTETS: Final = 2048
_MOST_TEXT: Final = 60
_MOST_ADDRESSES: Final = 8
_REQUEST: Final = re.compile(rb"([A-Z]{3,10}) (\S{1,1024}) HTTP/\d")
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")
_HELLOS: Final = {1: "TLS ClientHello", 2: "TLS ServerHello"}
_CODES: Final = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}


def said(f: Frames, i: int) -> str:
    """The payload in a few words, unescaped; empty for what nobody knows."""
    if not int(f.rec["payload_len"][i]):
        return ""
    message = dns_of(f, i)
    if message is not None:
        return dns_text(message)
    if int(f.rec["proto"][i]) != TCP:
        return ""
    octets = f.payload(i, _MOST_OCTETS)
    header = parse_proxy(octets) if starts_like_header(octets) else None
    if isinstance(header, ProxyHeader):
        return " ".join(["PROXY", f"v{header.version}", *filter(None, [_spoken(octets[header.length :])])])
    return _spoken(octets)


def _spoken(octets: bytes) -> str:
    request = _REQUEST.match(octets)
    if request is not None:
        path = request[2].decode("latin-1")
        return f"HTTP {request[1].decode('ascii')} {path[:_MOST_TEXT]}{'...' if len(path) > _MOST_TEXT else ''}"
    status = _STATUS.match(octets)
    if status is not None:
        return f"HTTP {status[1].decode('ascii')}"
    return _HELLOS.get(octets[5], "") if octets[:2] == b"\x16\x03" and len(octets) > 5 else ""


def dns_of(f: Frames, i: int) -> Message | None:
    """The question or answer about addresses that a datagram is."""
    rec = f.rec[i]
    if int(rec["proto"]) != UDP or not int(rec["has"]) & layout.HAS_L4:
        return None
    if DNS_PORT not in (int(rec["sport"]), int(rec["dport"])):
        return None
    try:
        return parse(f.payload(i))
    except NotDns:
        return None


def dns_text(message: Message) -> str:
    """A DNS message in one line: ``DNS answer www.example.com → 10.0.0.21 10.0.0.22``."""
    if not message.response:
        return f"DNS query {message.name} {message.kind}"
    found = " ".join(message.addresses[:_MOST_ADDRESSES]) or _CODES.get(message.rcode, "no address")
    left = len(message.addresses) - _MOST_ADDRESSES
    found += f" and {left} more" if left > 0 else ""
    return f"DNS answer {message.name} → {found}" + (" (truncated)" if message.cut else "")


def proxy_header(f: Frames, i: int) -> ProxyHeader | None:
    """The PROXY header that a TCP segment begins with."""
    if int(f.rec["proto"][i]) != TCP or not int(f.rec["payload_len"][i]):
        return None
    octets = f.payload(i, _MOST_OCTETS)
    found = parse_proxy(octets) if starts_like_header(octets) else None
    return found if isinstance(found, ProxyHeader) else None
