"""DNS round robin: answers and the connections that they lead to."""

from __future__ import annotations

from dsrkit.mechanisms.dns.collect import Collector
from dsrkit.model.names import REWRITES
from dsrkit.model.spec import Spec
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames
from dsrkit.verify.observer import Observer, Outcome, Told
from dsrkit.verify.scene import Scene, TapInfo


class DnsRoundRobin(Observer):
    """DNS round robin: answers and the connections that they lead to.

    Where a load balancer rewrites packets, a name service is one of the services behind it, and not what balances.
    """

    name = "dns"

    def __init__(self, scene: Scene, taps: list[TapInfo], spec: Spec | None) -> None:
        super().__init__(scene, taps, spec)
        records = spec.dns.records if spec is not None and spec.dns is not None else ()
        self._seen = Collector(scene, taps, records)

    def see(self, f: Frames, flows: Flows) -> None:
        if self.scene.mode not in REWRITES:
            self._seen.see(f, flows)

    def conclude(self, told: Told) -> Outcome:
        if self.scene.mode in REWRITES:
            return Outcome()
        from dsrkit.mechanisms.dns.conclude import Concluder  # loaded where names can balance

        return Concluder(self.scene, self.taps, self.spec, self._seen).outcome(told)
