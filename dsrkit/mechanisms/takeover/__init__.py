"""Who owns each VIP over time, and takeovers."""

from __future__ import annotations

from dsrkit.mechanisms.takeover.collect import Collected
from dsrkit.mechanisms.takeover.ownership import Ownership
from dsrkit.mechanisms.takeover.requests import Requests
from dsrkit.mechanisms.takeover.vanished import vanished
from dsrkit.model.spec import Spec
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames
from dsrkit.verify.observer import Observer, Outcome, Told
from dsrkit.verify.scene import Scene, TapInfo


class Takeovers(Observer):
    """Who owns each VIP over time, and takeovers."""

    name = "takeovers"

    def __init__(self, scene: Scene, taps: list[TapInfo], spec: Spec | None) -> None:
        super().__init__(scene, taps, spec)
        self.seen = Collected(scene)

    def see(self, f: Frames, flows: Flows) -> None:
        self.seen.see(f)

    def doubts(self) -> bool:
        return self.seen.unrest

    def conclude(self, told: Told) -> Outcome:
        ownership = Ownership(self.seen, self.scene, told.offsets)
        requests = Requests(self.seen, told.offsets)
        gone = vanished(ownership, requests)
        if not ownership.stories and not gone:
            return Outcome()
        from dsrkit.mechanisms.takeover.conclude import Concluder  # loaded where something is claimed or lost

        return Concluder(self.scene, self.taps, self.spec, ownership, requests, gone).outcome(told)
