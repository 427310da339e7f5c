"""What a mode has to say about itself to be crafted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Spec


@dataclass(frozen=True, slots=True)
class ModeDriver:
    """A mode's usual set-up, and its traffic.

    `preset` makes the complete spec; `drive` prepares the machines and schedules everything that happens (the caller
    lets the clock run); `alone` says that connections do not touch each other, so that copies of one are as good as
    simulating each. `machines` names the mode whose load balancer and servers stand in the set-up, where that is not
    the mode itself.
    """

    preset: Callable[[Mode, Profile, Options], Spec]
    drive: Callable[[World, Options, int], None]
    alone: bool = False
    machines: Callable[[Options], Mode] | None = None
