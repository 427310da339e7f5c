"""The case: everything that a diagnosis may look at when all packets have been judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from dsrkit.classes import dataclass
from dsrkit.diagnose.evidence import Evidence
from dsrkit.model.names import DIRECT_RETURN
from dsrkit.model.spec import Spec
from dsrkit.verify.connections import Connection, Connections, WrongAnswer
from dsrkit.verify.frames import REPLY
from dsrkit.verify.journeys import REWRITTEN
from dsrkit.verify.judge import Judge
from dsrkit.verify.scene import Party, Scene, TapInfo
from dsrkit.verify.verdicts import Verdict

if TYPE_CHECKING:
    from dsrkit.diagnose.diagnosis import Diagnosis


@dataclass(slots=True)
class Case:
    """Verdicts are the symptoms; `evidence` is what packets showed besides; a diagnosis takes the symptoms that it
    explains (`take`), and what nobody takes is reported as itself. `found` are the diagnoses so far."""

    judge: Judge
    verdicts: list[Verdict]
    evidence: Evidence
    sections: Mapping[str, tuple[Any, ...]]
    spec: Spec | None = None
    taken: list[Verdict] = field(default_factory=list)
    found: list[Diagnosis] = field(default_factory=list)

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

    def at_balancer(self, tap: int) -> bool:
        """Whether a tap was taken at a load balancer."""
        return any(self.taps[tap].node == p.name for p in self.scene.role("lb"))

    def shows_output(self, verdict: Verdict) -> bool:
        """Whether the point where a packet is missing shows everything that the load balancer sends: its own link, or
        one where it is seen to send to several servers."""
        if verdict.source is None or verdict.target is None or not self.at_balancer(verdict.target.tap):
            return False
        tap, lbs = verdict.target.tap, self.scene.macs("lb")
        if verdict.source.tap == tap or self._stated(tap):
            return True
        facts = self.evidence.facts.requests
        sent = {(a.eth_dst, a.dst) for a in facts.asked if a.tap == tap and a.eth_src in lbs}
        return len(sent) > 1

    def _stated(self, tap: int) -> bool:
        """Whether a spec says where a tap was taken."""
        return self.spec is not None and any(t.name == self.taps[tap].name and t.node for t in self.spec.taps)

    def arrived(self, connection: Connection, server: Party) -> bool:
        """Whether its request was seen at its server: at a tap there, or on a link where servers are heard to send,
        addressed to this one's MAC."""
        taps = {p.tap for p in connection.reached}
        if any(self.taps[tap].node == server.name for tap in taps):
            return True
        behind = {p.tap for p in connection.reached if p.form == REWRITTEN and not self.at_balancer(p.tap)}
        heard, servers = self.evidence.facts.requests.heard, self.scene.macs("real-server")
        near = any((tap, mac) in heard for tap in behind for mac in servers)
        return near and connection.last_hop in server.macs

    def missed(self, connection: Connection, server: Party) -> bool:
        """Whether the server's own tap was recording and does not hold the request."""
        own = [i for i, t in enumerate(self.taps) if t.node == server.name and t.packets]
        return bool(own) and not any(p.tap in own for p in connection.reached)

    def sees_replies(self, connections: Iterable[Connection]) -> bool:
        """Whether a tap on the clients' side would have shown the answers to all of these."""
        clients = {p.name for p in self.scene.role("client")}
        near = {i for i, t in enumerate(self.taps) if t.link == "A" or t.node in clients}
        return all(near & c.asked.keys() for c in connections)

    def replies_pass(self, taps: Iterable[int], *protocols: str) -> bool:
        """Whether replies of these protocols were seen at one of these taps and again nearer to the client."""
        pairs, ends = self.judge.pairs, self.judge.ends
        from_here = {key for key, (a, _) in ends.items() if a.direction == REPLY and a.tap in set(taps)}
        return any(n and (a, b) in from_here and proto in protocols for (a, b, proto), n in pairs.items())

    def senders_to_servers(self) -> set[int]:
        """MACs that hand requests for the servers' own addresses to them: the way back to the load balancer."""
        rips = self.scene.ips("real-server")
        return {place.eth_src for place in self.evidence.facts.requests.asked if place.dst in rips}

    def server_ports(self) -> dict[str, set[int]]:
        """The ports that requests to each real server's own address were sent to."""
        out: dict[str, set[int]] = {}
        for place in self.evidence.facts.requests.asked:
            party = self.scene.party_of_ip(place.dst)
            if party is not None and party.role == "real-server":
                out.setdefault(party.name, set()).add(place.port)
        return out
