"""The case: everything that a diagnosis may look at when all packets have been judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsrkit.diagnose.evidence import Evidence
from dsrkit.model.names import DIRECT_RETURN
from dsrkit.model.spec import Spec
from dsrkit.verify.connections import Connection, Connections, WrongAnswer
from dsrkit.verify.frames import REQUEST
from dsrkit.verify.judge import Judge
from dsrkit.verify.scene import Party, Scene, TapInfo
from dsrkit.verify.verdicts import Point, Verdict


@dataclass(slots=True)
class Case:
    """Verdicts are the symptoms; `evidence` is what packets showed besides; a diagnosis takes the symptoms that it
    explains (`take`), and what nobody takes is reported as itself."""

    judge: Judge
    verdicts: list[Verdict]
    evidence: Evidence
    sections: Mapping[str, tuple[Any, ...]]
    spec: Spec | None = None
    taken: list[Verdict] = field(default_factory=list)

    @property
    def scene(self) -> Scene:
        return self.judge.scene

    @property
    def taps(self) -> list[TapInfo]:
        return self.judge.taps

    @property
    def mode(self) -> str | None:
        return self.scene.mode

    @property
    def direct(self) -> bool:
        """Whether replies go past the load balancer."""
        return self.scene.mode in DIRECT_RETURN

    @property
    def connections(self) -> Connections:
        return self.judge.presence.connections

    # --- symptoms -------------------------------------------------------------------------------------------------

    def failed(self, *ends: str, node: str | None = None) -> list[Verdict]:
        """Failed cells nobody has explained yet whose id ends so (``".answered"``), of one kind of node (``"lb"``)."""
        return [
            v
            for v in self.verdicts
            if v.failed
            and not any(v is t for t in self.taken)
            and (not ends or v.cell.endswith(ends))
            and (node is None or node in v.cell.split(".")[1].split("+"))
        ]

    def take(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        """Mark symptoms as explained."""
        fresh = [v for v in verdicts if not any(v is t for t in self.taken)]
        self.taken += fresh
        return fresh

    # --- machines -------------------------------------------------------------------------------------------------

    def servers(self) -> list[Party]:
        return self.scene.role("real-server")

    def server_of(self, connection: Connection) -> Party | None:
        """The real server that a connection was sent to, as far as journeys tell."""
        known = self.servers()
        return known[connection.server] if 0 <= connection.server < len(known) else None

    def served_by(self, party: Party) -> int:
        """Connections that this server answered."""
        at = next((i for i, p in enumerate(self.servers()) if p is party), -1)
        return sum(n for (server, _, _), n in self.connections.answered.items() if server == at)

    def wrong_answers(self) -> list[WrongAnswer]:
        """Answers from another address than the one that was asked, from all taps."""
        return [w for answers in self.connections.wrong.values() for w in answers]

    # --- taps -----------------------------------------------------------------------------------------------------

    def tap_at(self, party: Party) -> bool:
        """Whether a tap was taken at this machine, so that its silence is silence."""
        return any(t.node == party.name for t in self.taps)

    def points(self, direction: int = REQUEST) -> list[Point]:
        """Observation points in path order."""
        return self.judge.joiner.points(direction)
