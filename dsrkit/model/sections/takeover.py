"""Who owns VIPs that only one machine at a time may have, and each time they moved.

Units: ``*_ns`` are nanoseconds since the epoch by the first tap's clock, ``*_ms`` milliseconds since the first sign of
the new owner. Absent: None for what no tap shows.
"""

from __future__ import annotations

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
    STRINGS,
    Schema,
    closed,
    enum,
    list_of,
    or_null,
)

PROTOCOLS = ("vrrp2", "vrrp3", "announcements")
REASONS = ("released", "silent", "preempted", "unseen")
"""Why a VIP moved: its owner gave it up (VRRP priority 0), was heard no more, was outbid while it was alive; or
nothing shows it."""

_MAYBE_NUMBER: Schema = {"type": ["number", "null"]}


@dataclass(frozen=True, slots=True)
class Owner:
    """A machine that has a VIP, by what packets show of it."""

    SCHEMA: ClassVar[Schema] = closed({"name": STRING, "ip": MAYBE_STRING, "mac": MAYBE_STRING})

    name: str
    ip: str | None = None
    mac: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ip": self.ip, "mac": self.mac}


@dataclass(frozen=True, slots=True)
class Reign:
    """A time in which one machine alone claimed the VIP: its first and last sign, and how many of each kind."""

    SCHEMA: ClassVar[Schema] = closed(
        {"owner": Owner.SCHEMA, "first_ns": INTEGER, "last_ns": INTEGER, "adverts": COUNT, "claims": COUNT}
    )

    owner: Owner
    first_ns: int
    last_ns: int
    adverts: int = 0
    claims: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "owner": self.owner.to_dict(),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "adverts": self.adverts,
            "claims": self.claims,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a takeover's timeline; `what` is the kind, `text` says it in words."""

    SCHEMA: ClassVar[Schema] = closed(
        {"what": STRING, "ts_ns": INTEGER, "relative_ms": NUMBER, "text": STRING, "count": COUNT, "frame": FRAME}
    )

    what: str
    ts_ns: int
    relative_ms: float
    text: str
    frame: FrameRef
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "ts_ns": self.ts_ns,
            "relative_ms": self.relative_ms,
            "text": self.text,
            "count": self.count,
            "frame": self.frame.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Sight:
    """How many announcements of a takeover one tap saw."""

    SCHEMA: ClassVar[Schema] = closed({"tap": STRING, "announcements": COUNT, "first_ms": _MAYBE_NUMBER})

    tap: str
    announcements: int
    first_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"tap": self.tap, "announcements": self.announcements, "first_ms": self.first_ms}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A machine that hands over frames for the VIP: when it last used the old owner's MAC, and first the new one's.

    `stale` says that it went on using the old MAC though the VIP had moved.
    """

    SCHEMA: ClassVar[Schema] = closed(
        {
            "name": STRING,
            "mac": STRING,
            "tap": STRING,
            "last_to_old_ms": _MAYBE_NUMBER,
            "first_to_new_ms": _MAYBE_NUMBER,
            "stale": {"type": "boolean"},
        }
    )

    name: str
    mac: str
    tap: str
    last_to_old_ms: float | None = None
    first_to_new_ms: float | None = None
    stale: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "mac": self.mac,
            "tap": self.tap,
            "last_to_old_ms": self.last_to_old_ms,
            "first_to_new_ms": self.first_to_new_ms,
            "stale": self.stale,
        }


@dataclass(frozen=True, slots=True)
class Blackout:
    """A client whose requests were in vain for a time; idle time is none. `until_ms` is its first answer after it."""

    SCHEMA: ClassVar[Schema] = closed(
        {
            "client": STRING,
            "requests": COUNT,
            "from_ms": NUMBER,
            "until_ms": _MAYBE_NUMBER,
            "blackout_ms": _MAYBE_NUMBER,
        }
    )

    client: str
    requests: int
    from_ms: float
    until_ms: float | None = None

    @property
    def blackout_ms(self) -> float | None:
        return None if self.until_ms is None else round(self.until_ms - self.from_ms, 3)

    def to_dict(self) -> dict[str, Any]:
        return {
            "client": self.client,
            "requests": self.requests,
            "from_ms": self.from_ms,
            "until_ms": self.until_ms,
            "blackout_ms": self.blackout_ms,
        }


@dataclass(frozen=True, slots=True)
class Move:
    """One takeover: `forms` are those of its announcements, `senders` the programs that are known to send them so."""

    SCHEMA: ClassVar[Schema] = closed(
        {
            "old": or_null(Owner.SCHEMA),
            "new": or_null(Owner.SCHEMA),
            "at_ns": INTEGER,
            "reason": enum(REASONS),
            "announcements": COUNT,
            "forms": STRINGS,
            "senders": STRING,
            "events": list_of(Event.SCHEMA),
            "taps": list_of(Sight.SCHEMA),
            "neighbours": list_of(Neighbour.SCHEMA),
            "clients": list_of(Blackout.SCHEMA),
        }
    )

    old: Owner | None
    new: Owner | None
    at_ns: int
    reason: str = "unseen"
    announcements: int = 0
    forms: tuple[str, ...] = ()
    senders: str = ""
    events: tuple[Event, ...] = ()
    taps: tuple[Sight, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    clients: tuple[Blackout, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "old": None if self.old is None else self.old.to_dict(),
            "new": None if self.new is None else self.new.to_dict(),
            "at_ns": self.at_ns,
            "reason": self.reason,
            "announcements": self.announcements,
            "forms": list(self.forms),
            "senders": self.senders,
            "events": [event.to_dict() for event in self.events],
            "taps": [sight.to_dict() for sight in self.taps],
            "neighbours": [neighbour.to_dict() for neighbour in self.neighbours],
            "clients": [client.to_dict() for client in self.clients],
        }


@dataclass(frozen=True, slots=True)
class Takeover:
    """VIPs that always have the same owner: who it was, one after the other, and each move."""

    SCHEMA: ClassVar[Schema] = closed(
        {
            "vips": STRINGS,
            "protocol": enum(PROTOCOLS),
            "vrid": or_null(COUNT),
            "owners": list_of(Reign.SCHEMA),
            "moves": list_of(Move.SCHEMA),
        }
    )

    vips: tuple[str, ...]
    protocol: str = "announcements"
    vrid: int | None = None
    owners: tuple[Reign, ...] = ()
    moves: tuple[Move, ...] = ()

    @property
    def key(self) -> object:
        return self.vips, self.protocol, self.vrid

    def merge(self, other: Takeover) -> Takeover:
        """The same VIPs as both parts of a capture set show them."""
        return Takeover(
            self.vips,
            self.protocol,
            self.vrid,
            tuple(sorted(dict.fromkeys([*self.owners, *other.owners]), key=lambda reign: reign.first_ns)),
            tuple(sorted(dict.fromkeys([*self.moves, *other.moves]), key=lambda move: move.at_ns)),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "vips": list(self.vips),
            "protocol": self.protocol,
            "vrid": self.vrid,
            "owners": [reign.to_dict() for reign in self.owners],
            "moves": [move.to_dict() for move in self.moves],
        }
