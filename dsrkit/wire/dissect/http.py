"""The first line of HTTP/1 requests and responses, and the host asked for. Source: RFC 9112 s3, s4; RFC 9110 s7.2."""

from __future__ import annotations

from typing import Final

from dsrkit.wire.dissect.table import Row, Table
from dsrkit.wire.dissect.tree import Layer
from dsrkit.wire.dissect.walk import Next, Walk

REQUEST: Final = (
    Row("http.request.method", kind="text"),
    Row("http.request.uri", kind="text"),
    Row("http.request.version", kind="text"),
)
RESPONSE_VERSION: Final = Row("http.response.version", kind="text")
STATUS: Final = Row("http.response.code")
PHRASE: Final = Row("http.response.phrase", kind="text")
HOST: Final = Row("http.host", kind="text", source="RFC 9110 s7.2")
TABLES: Final = (
    Table("http", "RFC 9112 s3", 0, (*REQUEST, HOST)),
    Table("http", "RFC 9112 s4", 0, (RESPONSE_VERSION, STATUS, PHRASE)),
)

METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE")
_STARTS: Final = (b"HTTP/1.", *(method + b" " for method in METHODS))
_LONGEST_LINE, _LONGEST_HEAD = 8192, 16384


def begins(octets: bytes) -> bool:
    """Whether a payload begins like a request or a response."""
    return octets.startswith(_STARTS)


def read(walk: Walk, at: int) -> Next:
    """A message's beginning: nothing follows. A first line that is not all there is no message's beginning."""
    end = walk.octets.find(b"\n", at, min(at + _LONGEST_LINE, walk.cap))
    words = walk.octets[at : max(end, at)].rstrip(b"\r").split(b" ", 2)
    if len(words) < 2:
        return None
    if words[0].startswith(b"HTTP/1."):
        if not (len(words[1]) == 3 and words[1].isdigit()):
            return None
        opened = walk.open("http", at)
        place = at + len(words[0]) + 1
        walk.put(opened, RESPONSE_VERSION, words[0].decode("latin-1"), at, place - 1)
        walk.put(opened, STATUS, int(words[1]), place, place + 3)
        if len(words) == 3:
            walk.put(opened, PHRASE, words[2].decode("latin-1"), place + 4, place + 4 + len(words[2]))
    elif len(words) == 3 and words[2].startswith(b"HTTP/1."):
        opened = walk.open("http", at)
        place = at
        for row, word in zip(REQUEST, words, strict=True):
            walk.put(opened, row, word.decode("latin-1"), place, place + len(word))
            place += len(word) + 1
        _host(walk, opened, end + 1)
    return None


def _host(walk: Walk, opened: Layer, at: int) -> None:
    """The Host field, as far as the head is in this segment."""
    head = walk.octets[at : min(at + _LONGEST_HEAD, walk.cap)]
    place = at
    for line in head.split(b"\r\n")[:-1]:
        if not line:
            return
        if line[:5].lower() == b"host:":
            host = line[5:].strip(b" \t")
            begin = place + line.index(host, 5)
            walk.put(opened, HOST, host.decode("latin-1"), begin, begin + len(host))
            return
        place += len(line) + 2
