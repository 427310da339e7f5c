"""Faults of L2DSR, and of direct server return in general."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.faults.base import DSR_MODES, Fault
from dsrkit.craft.options import Options
from dsrkit.craft.world import World


def _vip_missing(world: World, options: Options) -> None:
    server = world.servers[0]
    server.local.difference_update(world.vips)


FAULTS: Final = (
    Fault(
        "DSR301",
        "vip-missing-on-real-server",
        DSR_MODES,
        "SYNs for the VIP reach one server and nothing comes back; they are repeated after 1, 3 and 7 s",
        _vip_missing,
    ),
)
