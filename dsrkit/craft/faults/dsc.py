"""Faults of L3DSR by DSCP."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.options import Options
from dsrkit.craft.rewrite import with_rule
from dsrkit.craft.world import World
from dsrkit.tables.rules import const


def _bleached(world: World, options: Options) -> None:
    router = world.router
    router.router_table = with_rule(router.router_table, "ip.dsfield.dscp", const(0))


FAULTS: Final = (
    Fault(
        "DSC502",
        "dscp-bleached",
        ("l3dsr-dscp",),
        "the tag is there behind the load balancer and 0 at the server, which answers from its own address",
        _bleached,
    ),
)
