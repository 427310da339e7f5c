"""What a probe asks, and what its answer says, read from the first octets of each side."""

from __future__ import annotations

import re
from typing import Final

from dsrkit.classes import dataclass

MOST_OCTETS: Final = 2048
_V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_REQUEST_LINE: Final = re.compile(rb"([A-Z]{3,10}) (\S{1,1024})(?: HTTP/(\d\.\d))?\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")
_PASSED_ON: Final = re.compile(rb"^(x-forwarded-for|forwarded|x-real-ip|via):", re.IGNORECASE | re.MULTILINE)
_AGENT: Final = re.compile(rb"^user-agent:[^\r\n]*(health|check|probe|monitor|keepalive)", re.IGNORECASE | re.MULTILINE)
_PATH: Final = re.compile(rb"health|check|alive|ready|status|heartbeat|ping|probe|monitor", re.IGNORECASE)
_MOST_TEXT: Final = 120


@dataclass(frozen=True, slots=True)
class Request:
    """The first thing that a client says. `typical`: worded as checks are; `passed_on`: for another client."""

    kind: str
    text: str | None
    typical: bool = False
    passed_on: bool = False


def request_of(data: bytes) -> Request:
    """Read the first octets that a client sends."""
    data, for_client = _behind_proxy_header(data)
    if for_client:
        return Request("tcp-data", None, passed_on=True)
    line = _REQUEST_LINE.match(data)
    if line is not None:
        method, path, version = line[1], line[2], line[3]
        text = f"{method.decode('ascii')} {path.decode('latin-1')}"[:_MOST_TEXT]
        # HAProxy and keepalived ask by HTTP/1.0, browsers and libraries do not.
        typical = version in (None, b"1.0") or method == b"OPTIONS" or bool(_PATH.search(path) or _AGENT.search(data))
        return Request("http", text, typical, bool(_PASSED_ON.search(data)))
    if data[:1] == b"\x16" and data[5:6] == b"\x01":
        return Request("tls", "ClientHello")
    return Request("tcp-data", None) if data else Request("tcp", None)


def _behind_proxy_header(data: bytes) -> tuple[bytes, bool]:
    """What follows a PROXY header, and whether that speaks for a client: checks have LOCAL or UNKNOWN in it.

    Source: The PROXY protocol, s2.1 and s2.2.
    """
    if data.startswith(b"PROXY "):
        line, _, rest = data.partition(b"\r\n")
        return rest, not line.startswith(b"PROXY UNKNOWN")
    if data.startswith(_V2_SIGNATURE) and len(data) >= 16:
        return data[16 + int.from_bytes(data[14:16], "big") :], data[12] & 0x0F != 0
    return data, False


def answer_of(kind: str, data: bytes) -> tuple[bool, str]:
    """Whether the first octets of a server are a good answer, and in which words.

    Source: RFC 9110 s15 (2xx, 3xx), RFC 8446 s5.1 (content types).
    """
    status = _STATUS_LINE.match(data)
    if status is not None:
        code = int(status[1])
        return 200 <= code < 400, f"HTTP {code}"
    if kind == "http":
        return False, "an answer that is not HTTP"
    if kind == "tls":
        return (
            (True, "ServerHello") if data[:1] == b"\x16" else (False, "TLS alert" if data[:1] == b"\x15" else "no TLS")
        )
    return True, "answered"
