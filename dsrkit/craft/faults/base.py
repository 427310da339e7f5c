"""What a fault is made of: one thing broken in a healthy set-up, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dsrkit.craft.frame import Frame
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.scenario import LINKTYPE_ETHERNET
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Spec

NAT_MODES: tuple[Mode, ...] = ("nat", "fullnat")


def unchanged(world: World, options: Options) -> None:
    """For faults that only need other options."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the catalogue that packets can show.

    `shows` says what the taps see. `strike` breaks the machines after the mode has prepared them and before the clock
    runs; it may schedule later events. `options` are the option values that it needs, taken where the caller says
    nothing, and `flows` the number of connections that show it. `spec` changes the intended set-up (a second load
    balancer, more taps), `capture` what the taps made of the frames, and `link_type`
    how they wrote them. `acts_as` is the mode that the machines really have,
    where it is another one than they are said to have, `profile` the implementation that has the fault, where only one
    does. `alone` says that the fault does not hang on what other connections did, nor on ARP or neighbour discovery: at
    volume, copies of one connection show it as a simulation of them all does (held by tests/unit/test_craft_copies.py).
    """

    code: str
    name: str
    modes: tuple[Mode, ...]
    shows: str
    strike: Callable[[World, Options], None] = unchanged
    options: Mapping[str, object] = field(default_factory=dict)
    flows: int = 4
    spec: Callable[[Spec, Options], Spec] | None = None
    capture: Callable[[list[Frame], World, Options], list[Frame]] | None = None
    link_type: int = LINKTYPE_ETHERNET
    acts_as: Mode | None = None
    profile: Profile | None = None
    alone: bool = False
