"""Roles of frames in load-balancing terms."""

from __future__ import annotations

from dsrkit.inspect.head import Known
from dsrkit.verify.frames import REPLY, REQUEST, Frames
from dsrkit.verify.journeys import forms, in_service


class Roles:
    """The roles of one window's frames."""

    def __init__(self, f: Frames, known: Known) -> None:
        self.f = f
        self.flows = known.orient(f)
        self.form = forms(f, self.flows, known.scene)
        self.served = in_service(f, self.flows, known.scene, self.form)

    def text(self, i: int) -> str:
        """What one frame is; empty where it has no role."""
        if not self.served[i]:
            return ""
        return {REQUEST: "request", REPLY: "reply"}.get(int(self.flows.direction[i]), "")
