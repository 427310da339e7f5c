"""The two sessions of a proxy: which belongs to which, and what the proxy says of the first on the second.

Two TCP sessions share no header, so pairs are found by what the proxy names, by what both carry and by time, and only
where that proves a proxy is a capture called `l7`.
"""

from __future__ import annotations

from dsrkit.mechanisms.sessions.collect import Collector
from dsrkit.model.spec import Spec
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames
from dsrkit.verify.observer import Observer, Outcome, Told
from dsrkit.verify.scene import Scene, TapInfo


class ProxySessions(Observer):
    """Sessions of clients with a proxy, and the proxy's own with servers."""

    name = "sessions"

    def __init__(self, scene: Scene, taps: list[TapInfo], spec: Spec | None) -> None:
        super().__init__(scene, taps, spec)
        self._collector = Collector()

    def see(self, f: Frames, flows: Flows) -> None:
        # Where headers are rewritten, or DNS spreads clients, no second session is looked for.
        if self.scene.mode in (None, "l7"):
            self._collector.see(f, flows)

    def conclude(self, told: Told) -> Outcome:
        if not self._collector.sights and self.scene.mode != "l7":
            return Outcome()
        from dsrkit.mechanisms.sessions.conclude import Concluder  # loaded where there are sessions

        return Concluder(self.scene, self.taps, self.spec, self._collector).outcome(told)
