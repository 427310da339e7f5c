"""A name whose answers spread clients over servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, TypeVar, get_args

from dsrkit.classes import dataclass
from dsrkit.model.frame import FrameRef
from dsrkit.model.json_schema import (
    COUNT,
    FRAME,
    INTEGER,
    NUMBER,
    STRING,
    STRINGS,
    Schema,
    closed,
    enum,
    list_of,
    or_null,
)

Rotation = Literal["unknown", "fixed", "cyclic", "random", "uneven", "mixed"]
"""How the order of answers changes: not at all, in turn, by chance, with favourites, differently in merged parts."""
Result = Literal["answered", "refused", "unreachable", "silent"]
ROTATIONS: Final[tuple[Rotation, ...]] = get_args(Rotation)
RESULTS: Final[tuple[Result, ...]] = get_args(Result)

MOST_CONNECTIONS: Final = 1000
"""Connections that are listed one by one; counts are complete."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One address of the name: in how many answers it stood, how often in front, and what came of it."""

    address: str
    node: str | None = None
    answers: int = 0
    first: int = 0
    connections: int = 0
    failed: int = 0

    SCHEMA: ClassVar[Schema] = closed(
        {
            "address": STRING,
            "node": or_null(STRING),
            "answers": COUNT,
            "first": COUNT,
            "connections": COUNT,
            "failed": COUNT,
        }
    )

    def merge(self, other: DnsRecord) -> DnsRecord:
        return DnsRecord(
            self.address,
            self.node if self.node is not None else other.node,
            self.answers + other.answers,
            self.first + other.first,
            self.connections + other.connections,
            self.failed + other.failed,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "node": self.node,
            "answers": self.answers,
            "first": self.first,
            "connections": self.connections,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class DnsFairness:
    """A test of choices against equal shares; a choice is the first connection after an answer.

    Absent: `p_value` None where there is nothing to test. `conclusive` is False where there are too few choices.
    """

    choices: int
    p_value: float | None = None
    method: str = "none"
    conclusive: bool = False
    jain: float = 1.0

    SCHEMA: ClassVar[Schema] = closed(
        {
            "choices": COUNT,
            "p_value": or_null(NUMBER),
            "method": enum(["exact", "chi-square", "none"]),
            "conclusive": {"type": "boolean"},
            "jain": NUMBER,
        }
    )

    def to_dict(self) -> dict[str, Any]:
        return {
            "choices": self.choices,
            "p_value": self.p_value,
            "method": self.method,
            "conclusive": self.conclusive,
            "jain": self.jain,
        }


@dataclass(frozen=True, slots=True)
class DnsParty:
    """A machine that answers (`role` server), or one that asks and connects (client): what it gave or got.

    `shares` are connections by address; `peers` counts those that it dealt with, at least.  Absent: `fairness` None in
    a report that was merged from several.
    """

    address: str
    role: Literal["server", "client"]
    node: str | None = None
    questions: int = 0
    answers: int = 0
    peers: int = 0
    rotation: Rotation = "unknown"
    shares: tuple[tuple[str, int], ...] = ()
    fairness: DnsFairness | None = None

    SCHEMA: ClassVar[Schema] = closed(
        {
            "address": STRING,
            "role": enum(["server", "client"]),
            "node": or_null(STRING),
            "questions": COUNT,
            "answers": COUNT,
            "peers": COUNT,
            "rotation": enum(ROTATIONS),
            "shares": {"type": "object", "additionalProperties": COUNT},
            "fairness": or_null(DnsFairness.SCHEMA),
        }
    )

    def merge(self, other: DnsParty) -> DnsParty:
        return DnsParty(
            self.address,
            self.role,
            self.node if self.node is not None else other.node,
            self.questions + other.questions,
            self.answers + other.answers,
            max(self.peers, other.peers),
            _join(self.rotation, other.rotation),
            _sum(self.shares + other.shares),
            None,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "role": self.role,
            "node": self.node,
            "questions": self.questions,
            "answers": self.answers,
            "peers": self.peers,
            "rotation": self.rotation,
            "shares": dict(self.shares),
            "fairness": None if self.fairness is None else self.fairness.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class DnsConnection:
    """A connection and the answer that led to it.

    Units: `time_ns` since the epoch, `age_ms` from the answer to the SYN, `ttl` in seconds.  Absent: `answer` and what
    goes with it None where no captured answer explains the connection. `position` counts from 1.
    """

    client: str
    server: str
    port: int
    time_ns: int
    frame: FrameRef
    result: Result
    resolver: str | None = None
    answer: FrameRef | None = None
    upstream: FrameRef | None = None
    age_ms: float | None = None
    ttl: int | None = None
    position: int | None = None

    SCHEMA: ClassVar[Schema] = closed(
        {
            "client": STRING,
            "server": STRING,
            "port": COUNT,
            "time_ns": INTEGER,
            "frame": FRAME,
            "result": enum(RESULTS),
            "resolver": or_null(STRING),
            "answer": or_null(FRAME),
            "upstream": or_null(FRAME),
            "age_ms": or_null(NUMBER),
            "ttl": or_null(COUNT),
            "position": or_null(COUNT),
        }
    )

    def to_dict(self) -> dict[str, Any]:
        return {
            "client": self.client,
            "server": self.server,
            "port": self.port,
            "time_ns": self.time_ns,
            "frame": self.frame.to_dict(),
            "result": self.result,
            "resolver": self.resolver,
            "answer": None if self.answer is None else self.answer.to_dict(),
            "upstream": None if self.upstream is None else self.upstream.to_dict(),
            "age_ms": self.age_ms,
            "ttl": self.ttl,
            "position": self.position,
        }


@dataclass(frozen=True, slots=True)
class Dns:
    """A name with one type of address (A or AAAA): answers, who gave and got them, and the connections.

    `untied` counts connections to its addresses that no captured answer explains. `truncated` and `negative` are
    answers with TC and answers without addresses.  Absent: `ttl_min` None where no answer holds an address.
    """

    name: str
    type: str
    answers: int = 0
    unanswered: int = 0
    truncated: int = 0
    negative: int = 0
    ttl_min: int | None = None
    ttl_max: int | None = None
    chain: tuple[str, ...] = ()
    records: tuple[DnsRecord, ...] = ()
    parties: tuple[DnsParty, ...] = ()
    tied: int = 0
    untied: int = 0
    stale: int = 0
    fairness: DnsFairness | None = None
    connections: tuple[DnsConnection, ...] = ()

    SCHEMA: ClassVar[Schema] = closed(
        {
            "name": STRING,
            "type": enum(["A", "AAAA"]),
            "answers": COUNT,
            "unanswered": COUNT,
            "truncated": COUNT,
            "negative": COUNT,
            "ttl": or_null(closed({"min": COUNT, "max": COUNT})),
            "chain": STRINGS,
            "records": list_of(DnsRecord.SCHEMA),
            "parties": list_of(DnsParty.SCHEMA),
            "tied": COUNT,
            "untied": COUNT,
            "stale": COUNT,
            "fairness": or_null(DnsFairness.SCHEMA),
            "connections": list_of(DnsConnection.SCHEMA),
        }
    )

    @property
    def key(self) -> object:
        return self.name, self.type

    def merge(self, other: Dns) -> Dns:
        """The same name as both parts of a capture set show it; a test of fairness does not add up."""
        return replace(
            self,
            answers=self.answers + other.answers,
            unanswered=self.unanswered + other.unanswered,
            truncated=self.truncated + other.truncated,
            negative=self.negative + other.negative,
            ttl_min=_least(min, self.ttl_min, other.ttl_min),
            ttl_max=_least(max, self.ttl_max, other.ttl_max),
            chain=tuple(dict.fromkeys(self.chain + other.chain)),
            records=_grouped(self.records + other.records, lambda r: r.address, DnsRecord.merge),
            parties=_grouped(self.parties + other.parties, lambda p: (p.address, p.role), DnsParty.merge),
            tied=self.tied + other.tied,
            untied=self.untied + other.untied,
            stale=self.stale + other.stale,
            fairness=None,
            connections=(self.connections + other.connections)[:MOST_CONNECTIONS],
        )

    def to_dict(self) -> dict[str, Any]:
        ttl = None if self.ttl_min is None else {"min": self.ttl_min, "max": self.ttl_max}
        return {
            "name": self.name,
            "type": self.type,
            "answers": self.answers,
            "unanswered": self.unanswered,
            "truncated": self.truncated,
            "negative": self.negative,
            "ttl": ttl,
            "chain": list(self.chain),
            "records": [record.to_dict() for record in self.records],
            "parties": [party.to_dict() for party in self.parties],
            "tied": self.tied,
            "untied": self.untied,
            "stale": self.stale,
            "fairness": None if self.fairness is None else self.fairness.to_dict(),
            "connections": [one.to_dict() for one in self.connections],
        }


def _join(first: Rotation, second: Rotation) -> Rotation:
    if first == "unknown" or first == second:
        return second
    return first if second == "unknown" else "mixed"


def _sum(pairs: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    out: dict[str, int] = {}
    for address, count in pairs:
        out[address] = out.get(address, 0) + count
    return tuple(out.items())


def _least(pick: Callable[[int, int], int], first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else pick(first, second)


def _grouped(items: Iterable[T], key: Callable[[T], object], merge: Callable[[T, T], T]) -> tuple[T, ...]:
    groups: dict[object, T] = {}
    for item in items:
        at = key(item)
        groups[at] = merge(groups[at], item) if at in groups else item
    return tuple(groups.values())
