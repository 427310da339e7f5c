"""How the load of a service spreads over its real servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, get_args

from dsrkit.classes import dataclass
from dsrkit.model.json_schema import COUNT, MAYBE_STRING, NUMBER, STRING, Schema, closed, enum, list_of, or_null

Evenness = Literal["even", "uneven", "too-few"]
Test = Literal["exact", "chi-square", "none"]
EVENNESS: Final[tuple[Evenness, ...]] = get_args(Evenness)

_COUNTS: Final = ("connections", "request_packets", "request_octets", "reply_packets", "reply_octets")
_SHARE: Final = or_null(NUMBER)


@dataclass(frozen=True, slots=True)
class Load:
    """What one machine got. `name` is None for what no packet ties to a machine.

    A TCP connection counts for the server that it began at, a UDP flow once each time it is given a server. Packets and
    octets (of whole IP packets) count once however many taps saw them.
    """

    SCHEMA: ClassVar[Schema] = closed({"name": MAYBE_STRING, **dict.fromkeys(_COUNTS, COUNT), "share": _SHARE})

    name: str | None
    connections: int = 0
    request_packets: int = 0
    request_octets: int = 0
    reply_packets: int = 0
    reply_octets: int = 0

    def merge(self, other: Load) -> Load:
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})

    def to_dict(self, total: int) -> dict[str, Any]:
        share = round(self.connections / total, 4) if total else None
        return {"name": self.name, **{name: getattr(self, name) for name in _COUNTS}, "share": share}


@dataclass(frozen=True, slots=True)
class Fairness:
    """Whether chance explains how connections fell to the servers that got any.

    `p_value` is the probability that equal, independent choices come out at least as uneven, `jain` Jain's index.
    Weights may be meant: uneven is an observation, no fault.
    """

    SCHEMA: ClassVar[Schema] = closed(
        {
            "verdict": enum(EVENNESS),
            "test": enum(get_args(Test)),
            "sample": COUNT,
            "servers": COUNT,
            "p_value": or_null(NUMBER),
            "jain": NUMBER,
        }
    )

    verdict: Evenness
    test: Test
    sample: int
    servers: int
    p_value: float | None
    jain: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "test": self.test,
            "sample": self.sample,
            "servers": self.servers,
            "p_value": self.p_value,
            "jain": self.jain,
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """How the load of one service spreads over its real servers, and over load balancers.

    `moved` are connections that went on at another server, `rescheduled` SYNs and datagrams that were given another
    server than the one before, `handed_over` connections that went on at another load balancer and the same server.
    `service` is the VIP, or the name that DNS spreads.  Absent: `service` where no packet tells the VIP; `fairness`
    after a merge, since it belongs to the counts that it was made from.
    """

    SCHEMA: ClassVar[Schema] = closed(
        {
            "service": MAYBE_STRING,
            "port": STRING,
            "connections": COUNT,
            "servers": list_of(Load.SCHEMA),
            "load_balancers": list_of(Load.SCHEMA),
            "fairness": or_null(Fairness.SCHEMA),
            "moved": COUNT,
            "rescheduled": COUNT,
            "handed_over": COUNT,
        }
    )

    service: str | None
    port: str
    servers: tuple[Load, ...] = ()
    load_balancers: tuple[Load, ...] = ()
    fairness: Fairness | None = None
    moved: int = 0
    rescheduled: int = 0
    handed_over: int = 0

    @property
    def key(self) -> object:
        return self.service, self.port

    @property
    def connections(self) -> int:
        return sum(load.connections for load in self.servers)

    def merge(self, other: Spread) -> Spread:
        """Both parts of a capture set together."""
        return Spread(
            self.service,
            self.port,
            _together(self.servers + other.servers),
            _together(self.load_balancers + other.load_balancers),
            None,
            self.moved + other.moved,
            self.rescheduled + other.rescheduled,
            self.handed_over + other.handed_over,
        )

    def to_dict(self) -> dict[str, Any]:
        total = self.connections
        return {
            "service": self.service,
            "port": self.port,
            "connections": total,
            "servers": [load.to_dict(total) for load in self.servers],
            "load_balancers": [load.to_dict(total) for load in self.load_balancers],
            "fairness": self.fairness.to_dict() if self.fairness is not None else None,
            "moved": self.moved,
            "rescheduled": self.rescheduled,
            "handed_over": self.handed_over,
        }


def _together(loads: tuple[Load, ...]) -> tuple[Load, ...]:
    groups: dict[str | None, Load] = {}
    for load in loads:
        groups[load.name] = groups[load.name].merge(load) if load.name in groups else load
    return tuple(groups.values())
