"""No implementation in particular: what RFC 2003 suggests and a hardware load balancer plausibly does."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.profiles.base import IPIP_PAIRS, Encapsulation, Profile, Tunnel, always, node_address, same
from dsrkit.craft.profiles.ipvs import gue_source_port, outer_ecn

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
    modes=frozenset({"nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"}),
    tunnels={
        **{
            kind: Tunnel(Encapsulation(kind), pairs=frozenset({pair}), habits=_HABITS)
            for kind, pair in IPIP_PAIRS.items()
        },
        "gre": Tunnel(Encapsulation("gre"), habits=_HABITS),
        "gue": Tunnel(
            Encapsulation("gue"),
            variants=frozenset({0, 1}),
            habits=_HABITS,
            derived={"tunnel.srcport": gue_source_port},
        ),
    },
    stack=True,
)
