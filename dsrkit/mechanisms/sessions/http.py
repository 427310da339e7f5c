"""What HTTP/1 heads tell about a request and its answer, however a proxy has dressed them up."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from dsrkit.classes import dataclass

_REQUEST: Final = re.compile(rb"([A-Z]{3,10}) (\S{1,2000}) HTTP/1\.[01]\r?\n")
_ANSWER: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r\n]")
_FOR: Final = re.compile(r'(?i)(?:^|[;,\s])for="?(\[[0-9a-f:.]+\]|[0-9a-f:.]+?)(?::\d+)?"?(?=[;,\s]|$)')
_KEPT: Final = (b"date", b"etag", b"last-modified", b"content-length", b"content-type", b"location", b"set-cookie")
"""What a proxy hands on of an answer as it is."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's method and target, and whom it says that it is forwarded for (the last one of each header)."""

    method: bytes
    target: bytes
    forwarded_for: tuple[str, ...] = ()

    @property
    def to_proxy(self) -> bool:
        """A request that its client made to a forward proxy. Source: RFC 9112 s3.2.2, s3.2.3."""
        return self.method == b"CONNECT" or b"://" in self.target


def request_of(octets: bytes) -> Request | None:
    """The request that octets begin with."""
    line = _REQUEST.match(octets)
    if line is None:
        return None
    named: list[str] = []
    for name, value in _fields(octets[line.end() :]):
        text = value.decode("latin-1")
        if name in (b"x-forwarded-for", b"x-real-ip"):
            named.append(_plain(text.rsplit(",", 1)[-1].strip()))
        elif name == b"forwarded":  # RFC 7239 s4
            named += [_plain(found) for found in _FOR.findall(text)[-1:]]
    return Request(line[1], line[2], tuple(address for address in named if address))


def _plain(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return ""


def status_of(octets: bytes) -> int | None:
    """The status that an answer begins with."""
    line = _ANSWER.match(octets)
    return int(line[1]) if line is not None else None


def same_answer(a: bytes, b: bytes) -> bool:
    """Whether two heads may be one answer on both sides of a proxy: nothing that it hands on differs."""
    if status_of(a) != status_of(b):
        return False
    one, other = dict(_fields(a.partition(b"\n")[2])), dict(_fields(b.partition(b"\n")[2]))
    return all(one[name] == other[name] for name in _KEPT if name in one and name in other)


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """Whole header lines, up to the empty one."""
    out = []
    *lines, _ = head.split(b"\n")
    for line in lines[:200]:
        name, colon, value = line.rstrip(b"\r").partition(b":")
        if not colon:
            break
        out.append((name.strip().lower(), value.strip()))
    return out
