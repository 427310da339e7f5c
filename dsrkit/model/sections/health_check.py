"""A health check of one real server: who asks what, how often, by which way, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from dsrkit.classes import dataclass
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

KINDS = ("ping", "tcp", "tcp-half-open", "http", "tls", "tcp-data", "udp")
"""What is asked: an echo, a handshake (`tcp-half-open`: reset before it is complete), a request, a TLS hello, other
octets over TCP or UDP."""
WAYS = ("vip", "rip")
"""The data path that clients' packets take from the load balancer on, or plainly the server's own address."""
VERDICTS = ("up", "down", "unknown")


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict from its first probe on: `probes` in a row said so.

    `traffic_ns` shows how the load balancer took it: after `down` the last new connection of a client that the server
    got until it was up again, after `up` the first one. Absent: None without such a connection. Units: ns since the
    epoch; `ms` since the first probe.
    """

    at_ns: int
    ms: float
    verdict: str
    reason: str
    probes: int
    frame: FrameRef
    traffic_ns: int | None = None

    SCHEMA: ClassVar[Schema] = closed(
        {
            "at_ns": INTEGER,
            "ms": NUMBER,
            "verdict": enum(VERDICTS),
            "reason": STRING,
            "probes": COUNT,
            "frame": FRAME,
            "traffic_ns": or_null(INTEGER),
        }
    )

    def order(self) -> tuple[Any, ...]:
        """By time; the rest makes the order the same however parts are merged."""
        return (self.at_ns, self.frame, self.verdict, self.reason, self.probes, self.ms, self.traffic_ns or 0)

    def to_dict(self) -> dict[str, Any]:
        return {
            "at_ns": self.at_ns,
            "ms": self.ms,
            "verdict": self.verdict,
            "reason": self.reason,
            "probes": self.probes,
            "frame": self.frame.to_dict(),
            "traffic_ns": self.traffic_ns,
        }


@dataclass(frozen=True, slots=True)
class Interval:
    """Time from one probe to the next: the median of `gaps` gaps, and the median distance from it. Units: ms."""

    gaps: int
    median_ms: float
    jitter_ms: float

    SCHEMA: ClassVar[Schema] = closed({"gaps": COUNT, "median_ms": NUMBER, "jitter_ms": NUMBER})

    def to_dict(self) -> dict[str, Any]:
        return {"gaps": self.gaps, "median_ms": self.median_ms, "jitter_ms": self.jitter_ms}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A health check of one real server.

    `target` and `port` are where the probes are addressed, `address` is the server's own address; `carried` says how
    they are led to the server (`plain`, a tunnel's name, `dscp 7`, `mac`). `size` is octets of the request or of the
    echo's data. `connections` are the clients' new connections that this server got, `unanswered` those in vain.
    Absent: None where no packet tells; `port` 0 for a ping. Units: `*_ns` since the epoch, `*_ms` durations.
    """

    checker: str
    source: str
    server: str
    address: str | None
    kind: str
    target: str
    port: int
    request: str | None
    size: int
    through: str
    carried: str
    tap: str
    interval: Interval
    probes: int
    passed: int
    failed: int
    answer_ms: float | None
    timeout_ms: float | None
    first_ns: int
    last_ns: int
    verdict: str
    history: tuple[Change, ...]
    connections: int = 0
    unanswered: int = 0

    SCHEMA: ClassVar[Schema] = closed(
        {
            "checker": STRING,
            "source": STRING,
            "server": STRING,
            "address": MAYBE_STRING,
            "type": enum(KINDS),
            "target": STRING,
            "port": COUNT,
            "request": MAYBE_STRING,
            "size": COUNT,
            "through": enum(WAYS),
            "carried": STRING,
            "tap": STRING,
            "interval": Interval.SCHEMA,
            "probes": COUNT,
            "passed": COUNT,
            "failed": COUNT,
            "answer_ms": or_null(NUMBER),
            "timeout_ms": or_null(NUMBER),
            "first_ns": INTEGER,
            "last_ns": INTEGER,
            "verdict": enum(VERDICTS),
            "history": list_of(Change.SCHEMA),
            "connections": COUNT,
            "unanswered": COUNT,
        }
    )

    @property
    def key(self) -> object:
        return (
            self.source,
            self.server,
            self.address,
            self.kind,
            self.target,
            self.port,
            self.request,
            self.through,
            self.carried,
        )

    def merge(self, other: HealthCheck) -> HealthCheck:
        """The same one as both parts of a capture set show it."""
        earlier = min(self, other, key=lambda c: (c.first_ns, c.checker, c.tap, c.size))
        later = max(self, other, key=lambda c: (c.last_ns, c.verdict))
        changes = dict.fromkeys((*self.history, *other.history))
        return replace(
            earlier,
            interval=max(self.interval, other.interval, key=lambda i: (i.gaps, i.median_ms, i.jitter_ms)),
            probes=self.probes + other.probes,
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            answer_ms=_longest(self.answer_ms, other.answer_ms),
            timeout_ms=_longest(self.timeout_ms, other.timeout_ms),
            last_ns=later.last_ns,
            verdict=later.verdict,
            history=tuple(sorted(changes, key=Change.order)),
            connections=self.connections + other.connections,
            unanswered=self.unanswered + other.unanswered,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "checker": self.checker,
            "source": self.source,
            "server": self.server,
            "address": self.address,
            "type": self.kind,
            "target": self.target,
            "port": self.port,
            "request": self.request,
            "size": self.size,
            "through": self.through,
            "carried": self.carried,
            "tap": self.tap,
            "interval": self.interval.to_dict(),
            "probes": self.probes,
            "passed": self.passed,
            "failed": self.failed,
            "answer_ms": self.answer_ms,
            "timeout_ms": self.timeout_ms,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "verdict": self.verdict,
            "history": [change.to_dict() for change in self.history],
            "connections": self.connections,
            "unanswered": self.unanswered,
        }


def _longest(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return max(known, default=None)
