"""What happens in each mode: its set-up as a spec, and the traffic that is let loose on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dsrkit.craft.modes.base import ModeDriver
from dsrkit.craft.modes.dns_rr import DNS_RR
from dsrkit.craft.modes.garp import GARP
from dsrkit.craft.modes.health import HEALTH
from dsrkit.craft.modes.l7 import L7
from dsrkit.craft.modes.rewriting import REWRITING
from dsrkit.craft.options import Options
from dsrkit.model.names import Mode

DRIVERS: Final[Mapping[Mode, ModeDriver]] = {
    "nat": REWRITING,
    "fullnat": REWRITING,
    "l2dsr": REWRITING,
    "l3dsr-tunnel": REWRITING,
    "l3dsr-dscp": REWRITING,
    "l7": L7,
    "garp": GARP,
    "health": HEALTH,
    "dns-rr": DNS_RR,
}


def machines_of(mode: Mode, options: Options) -> Mode:
    """The mode whose load balancer and servers stand in a mode's set-up."""
    machines = DRIVERS[mode].machines
    return mode if machines is None else machines(options)


__all__ = ["DRIVERS", "ModeDriver", "machines_of"]
