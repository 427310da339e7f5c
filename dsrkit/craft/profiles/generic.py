"""No implementation in particular: what RFC 2003 suggests and a hardware load balancer plausibly does."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.profiles.base import Profile, always, node_address, same
from dsrkit.craft.profiles.ipvs import linux_tunnels, outer_ecn
from dsrkit.model.names import REWRITES

_HABITS: Final = {
    "outer.src": node_address,
    "outer.ttl": always(64),
    "outer.dsfield.dscp": same("ip.dsfield.dscp"),
    "outer.dsfield.ecn": outer_ecn,
    "outer.flags.df": same("ip.flags.df"),
}

GENERIC: Final = Profile(
    name="generic",
    title="any other load balancer",
    modes=frozenset(REWRITES),
    tunnels=linux_tunnels(_HABITS, variants=(0, 1)),
    stack=True,
)
