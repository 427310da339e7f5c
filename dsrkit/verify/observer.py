"""Observers: what else is read from the packets that the judge goes through, once per packet.

A mechanism that is not one packet rewritten at one hop (a takeover, a health check, a proxy's two sessions, answers of
name servers) sees the same batches, roles and journeys as the judge, and adds its verdicts and its section to the same
report.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from dsrkit.classes import dataclass
from dsrkit.model.names import Mode
from dsrkit.model.spec import Spec
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames, Ints, Mask
from dsrkit.verify.journeys import Journeys
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.verdicts import Verdict


@dataclass(slots=True)
class Outcome:
    """What an observer has to say when every packet has been seen.

    `section` is what the report shows of it, `mechanism` its name if the capture holds it; `mode` is the mode of a
    capture in which nothing rewrites packets, and `because` what that was inferred from.
    """

    mechanism: Mode | None = None
    mode: Mode | None = None
    because: str = ""
    section: tuple[Any, ...] = ()
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Bulk:
    """What the fast path counted of one direction, by journey: packets (`count`), their octets, connections that began
    with such a packet, and those whose first word after the handshake it was; of UDP, the first request or the first
    answer. Shape: (journeys,) each."""

    count: Ints
    octets: Ints
    began: Ints
    spoke: Ints


@dataclass(slots=True)
class Told:
    """What observers may lean on at the end: `offsets` (ns, by tap) bring time stamps to the first tap's clock, and
    `sections` holds what those concluded before have found, by their names."""

    offsets: list[int]
    sections: dict[str, tuple[Any, ...]] = field(default_factory=dict)


class Observer:
    """One mechanism; a subclass overrides what it needs.

    `name` is its section in the report; one without a name only collects.
    """

    name = ""

    def __init__(self, scene: Scene, taps: list[TapInfo], spec: Spec | None) -> None:
        self.scene = scene
        self.taps = taps
        self.spec = spec

    def see(self, f: Frames, flows: Flows) -> None:
        """A batch of packets, each of which is seen once; their octets can be read now (`Frames.octets`)."""

    def follow(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        """Settled journeys, and the packets (`leaving`) whose other sightings are all known."""

    def began(self, server: Ints, when: Ints, tap: Ints) -> None:
        """Connections that the fast path counted: index of the real server, time of the SYN (ns), tap that shows it."""

    def weigh(self, f: Frames, flows: Flows, journeys: Journeys, bulk: dict[int, Bulk]) -> None:
        """All that the fast path counted, by direction; each journey is an example of many. Called once, at the end."""

    def doubts(self) -> bool:
        """Whether something was seen that the fast path must not count past: everything is then looked at singly."""
        return False

    def conclude(self, told: Told) -> Outcome:
        """Everything that was found; called once, after the last batch."""
        return Outcome()
