"""A client's session at a proxy and the one behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from dsrkit.model.frame import FrameRef
from dsrkit.model.json_schema import (
    COUNT,
    FRAME,
    INTEGER,
    MAYBE_STRING,
    NUMBER,
    STRING,
    Schema,
    closed,
    enum,
    list_of,
    or_null,
)

PROOFS: Final = ("proxy-header", "toa", "payload", "request", "forwarded-for", "time")
"""How a pair is known, strongest first."""
ENDS: Final = ("closed", "reset", "refused", "rejected", "open")


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address and a port, and the name of the machine where the report has one."""

    SCHEMA: ClassVar[Schema] = closed({"ip": STRING, "port": COUNT, "node": MAYBE_STRING})

    ip: str
    port: int
    node: str | None = None

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    def to_dict(self) -> dict[str, Any]:
        return {"ip": self.ip, "port": self.port, "node": self.node}


@dataclass(frozen=True, slots=True)
class Session:
    """Session 1, from the client to the VIP, and session 2, from the proxy to the server: one row for each two.

    A client's session may have several rows (retries; requests that go to several servers), and so may a session with a
    server that several clients' requests go over. `client` and `vip` come from the PROXY header where no tap shows
    session 1; then `frame_1` is absent.

    Units: `start_ns` nanoseconds since the epoch, of session 1's first packet (of session 2's where that was not seen);
    `delay_ms` from there to session 2's first packet, absent where session 2 is the older one or taps do not tell.
    """

    SCHEMA: ClassVar[Schema] = closed(
        {
            "client": Endpoint.SCHEMA,
            "vip": Endpoint.SCHEMA,
            "proxy": Endpoint.SCHEMA,
            "server": Endpoint.SCHEMA,
            "start_ns": INTEGER,
            "delay_ms": or_null(NUMBER),
            "by": list_of(enum(PROOFS)),
            "requests": COUNT,
            "proxy_header": MAYBE_STRING,
            "end": enum(ENDS),
            "frame_1": or_null(FRAME),
            "frame_2": FRAME,
        }
    )

    client: Endpoint
    vip: Endpoint
    proxy: Endpoint
    server: Endpoint
    start_ns: int
    delay_ms: float | None
    by: tuple[str, ...]
    requests: int
    proxy_header: str | None
    end: str
    frame_1: FrameRef | None
    frame_2: FrameRef

    @property
    def key(self) -> object:
        ends = (self.client, self.vip, self.proxy, self.server)
        return self.start_ns, *((end.ip, end.port) for end in ends)

    def merge(self, other: Session) -> Session:
        """The same one as both parts of a capture set show it: what either knows, else the same choice of both."""
        delays = [d for d in (self.delay_ms, other.delay_ms) if d is not None]
        headers = [h for h in (self.proxy_header, other.proxy_header) if h is not None]
        firsts = [f for f in (self.frame_1, other.frame_1) if f is not None]
        return Session(
            client=_named(self.client, other.client),
            vip=_named(self.vip, other.vip),
            proxy=_named(self.proxy, other.proxy),
            server=_named(self.server, other.server),
            start_ns=self.start_ns,
            delay_ms=min(delays, default=None),
            by=tuple(proof for proof in PROOFS if proof in self.by or proof in other.by),
            requests=max(self.requests, other.requests),
            proxy_header=min(headers, default=None),
            end=min(self.end, other.end, key=ENDS.index),
            frame_1=min(firsts, default=None),
            frame_2=min(self.frame_2, other.frame_2),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "client": self.client.to_dict(),
            "vip": self.vip.to_dict(),
            "proxy": self.proxy.to_dict(),
            "server": self.server.to_dict(),
            "start_ns": self.start_ns,
            "delay_ms": self.delay_ms,
            "by": list(self.by),
            "requests": self.requests,
            "proxy_header": self.proxy_header,
            "end": self.end,
            "frame_1": self.frame_1.to_dict() if self.frame_1 is not None else None,
            "frame_2": self.frame_2.to_dict(),
        }


def _named(a: Endpoint, b: Endpoint) -> Endpoint:
    return max(a, b, key=lambda end: end.node or "")
