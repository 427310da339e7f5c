"""How load spreads over real servers, and whether each connection stays with its own."""

from __future__ import annotations

from dsrkit.mechanisms.spread.collect import Collector
from dsrkit.mechanisms.spread.conclude import section, verdicts
from dsrkit.mechanisms.spread.others import by_name, by_session
from dsrkit.mechanisms.spread.packets import Finder
from dsrkit.model.names import REWRITES
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames, Mask
from dsrkit.verify.journeys import Journeys
from dsrkit.verify.observer import Bulk, Observer, Outcome, Told


class LoadSpread(Observer):
    """How load spreads over real servers, and whether each connection stays with its own."""

    name = "spread"
    _collector: Collector | None = None

    def follow(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        if self._collector is None:  # now the scene is complete
            self._collector = Collector(Finder(self.scene, self.taps))
        self._collector.feed(f, flows, journeys)

    def weigh(self, f: Frames, flows: Flows, journeys: Journeys, bulk: dict[int, Bulk]) -> None:
        if self._collector is not None:
            self._collector.weigh(f, flows, journeys, bulk)

    def conclude(self, told: Told) -> Outcome:
        collector = self._collector
        if collector is None:
            return Outcome()
        notes = []
        if collector.table.forgotten:
            notes.append(
                f"{collector.table.forgotten:,} connections rested too long to be remembered among so many: "
                "a later packet of theirs counts as a connection of its own"
            )
        if self.scene.mode not in REWRITES:
            return Outcome(
                section=by_name(self.scene, collector, told) + by_session(self.scene, collector, told), notes=notes
            )
        return Outcome(
            section=section(self.scene, collector), verdicts=verdicts(self.scene, collector, told), notes=notes
        )
