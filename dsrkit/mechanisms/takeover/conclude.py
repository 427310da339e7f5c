"""From stories of VIPs to the outcome: what moved, what every move cost, and the owners that no data path shows."""

from __future__ import annotations

from dsrkit.classes import dataclass
from dsrkit.mechanisms.takeover.judge import TakeoverJudge
from dsrkit.mechanisms.takeover.moves import Moves, Takeaway
from dsrkit.mechanisms.takeover.ownership import Machine, Ownership, Story
from dsrkit.mechanisms.takeover.requests import Requests
from dsrkit.mechanisms.takeover.show import Shown
from dsrkit.mechanisms.takeover.vanished import Vanished
from dsrkit.model.spec import Spec
from dsrkit.verify.observer import Outcome, Told
from dsrkit.verify.scene import Party, Scene, TapInfo


@dataclass(slots=True)
class Concluder:
    """One run over all stories, and over the owners that vanished (`gone`)."""

    scene: Scene
    taps: list[TapInfo]
    spec: Spec | None
    ownership: Ownership
    requests: Requests
    gone: list[Vanished]

    def outcome(self, told: Told) -> Outcome:
        ownership, gone = self.ownership, self.gone
        self._name_owners(ownership)
        moves = Moves(ownership, self.requests)
        known: list[tuple[Story, list[Takeaway]]] = [
            (story, [moves.of(story, change) for change in story.changes]) for story in ownership.stories
        ]
        if self.scene.mode is None:
            self.scene.vips |= {story.vip for story in ownership.stories}
        stated = self.spec.takeover.vrid if self.spec is not None and self.spec.takeover is not None else None
        return Outcome(
            mechanism="garp",
            mode="garp",
            because=self._because(ownership, sum(len(moves) for _, moves in known)),
            section=Shown(ownership, moves, self.taps, told.sections.get("health_checks", ())).section(known, gone),
            verdicts=TakeoverJudge(ownership, self.taps, stated).verdicts(known, gone),
            notes=self._notes(),
        )

    def _name_owners(self, ownership: Ownership) -> None:
        """Parties for owners that no data path shows: the other load balancer of a pair."""
        for machine in dict.fromkeys(s.machine for story in ownership.stories for s in story.signs):
            if self._party(ownership, machine) is not None:
                continue
            ip = ownership.ip(machine)
            name = self.scene.free_name("lb", numbered=self.scene.party("lb") is None)
            party = Party(name, "lb", {ip} if ip else set(), {machine} if machine > 0 else set())
            self.scene.parties.append(party)

    def _party(self, ownership: Ownership, machine: Machine) -> Party | None:
        found = self.scene.party_of_mac(machine) if machine > 0 else None
        return found or self.scene.party_of_ip(ownership.ip(machine) or 0)

    def _because(self, ownership: Ownership, moves: int) -> str:
        vips = ", ".join(self.scene.address(vip) for vip in list(dict.fromkeys(s.vip for s in ownership.stories))[:4])
        return f"VRRP or announcements claim {vips} ({moves} takeovers), and nothing shows where requests go then"

    def _notes(self) -> list[str]:
        seen = self.ownership.seen
        aged = sum(rows.aged for rows in (seen.claims, seen.adverts, seen.requests, seen.answers))
        return [f"takeovers: {aged:,} rows aged out, the start of the capture is not looked at"] if aged else []
