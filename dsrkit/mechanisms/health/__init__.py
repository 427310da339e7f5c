"""Health checks of real servers."""

from __future__ import annotations

from dsrkit.mechanisms.health.collect import Collector
from dsrkit.mechanisms.health.entries import entry, name_machines
from dsrkit.mechanisms.health.judge import Judgement
from dsrkit.mechanisms.health.recognise import Check, recognise
from dsrkit.mechanisms.health.traffic import Traffic
from dsrkit.model.names import REWRITES
from dsrkit.model.spec import Spec
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames, Ints, Mask
from dsrkit.verify.journeys import Journeys
from dsrkit.verify.observer import Observer, Outcome, Told
from dsrkit.verify.scene import Scene, TapInfo


class HealthChecks(Observer):
    """Health checks of real servers: who asks what, how often, by which way, and what came of it."""

    name = "health_checks"

    def __init__(self, scene: Scene, taps: list[TapInfo], spec: Spec | None) -> None:
        super().__init__(scene, taps, spec)
        self._collector = Collector(scene)
        self._traffic = Traffic(scene, self._collector.own)
        self.checks: list[Check] = []
        """What was found to be checks, once concluded."""

    def see(self, f: Frames, flows: Flows) -> None:
        self._collector.feed(f, flows)

    def follow(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        self._traffic.feed(f, flows, journeys, leaving)

    def began(self, server: Ints, when: Ints, tap: Ints) -> None:
        self._traffic.began(server, when, tap)

    def conclude(self, told: Told) -> Outcome:
        scene = self.scene
        checks = self.checks = recognise(self._collector, scene, self.taps, told)
        self._name_the_checker(checks)
        alone = self._collector.nothing_else({check.series.base.source for check in checks})
        if checks and scene.mode is None:
            name_machines(checks, scene)
        judgement = Judgement(scene, self.taps, self.spec, checks, self._traffic, told.offsets)
        servers = {id(party): i for i, party in enumerate(scene.role("real-server"))}
        entries = [
            entry(
                check,
                scene,
                self.taps,
                self._traffic,
                told.offsets,
                judgement.lost[servers[id(check.party)]] if id(check.party) in servers else 0,
            )
            for check in checks
        ]
        entries.sort(key=lambda e: (e.source, e.kind, e.port, e.server))
        return Outcome(
            mechanism="health" if checks else None,
            mode="health" if checks and alone and scene.mode not in REWRITES else None,
            because=f"periodic checks of {len(entries)} servers, and nothing else between the same machines",
            section=tuple(entries),
            verdicts=judgement.verdicts(),
            notes=self._collector.notes,
        )

    def _name_the_checker(self, checks: list[Check]) -> None:
        """An address that a load balancer is only seen to check from is its own too."""
        balancers = self.scene.role("lb")
        for source in {check.series.base.source for check in checks}:
            if len(balancers) == 1 and source in self._collector.own and self.scene.party_of_ip(source) is None:
                balancers[0].ips.add(source)
