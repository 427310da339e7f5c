"""The closed vocabularies: one spelling of each word for the CLI, the spec file, the tables and the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

Mode = Literal["dns-rr", "garp", "health", "nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp", "l7"]
Profile = Literal["any", "ipvs", "katran", "glb", "cilium", "generic"]
Role = Literal["client", "router", "bridge", "lb", "real-server", "resolver"]
TunnelType = Literal["ipip", "6in6", "4in6", "6in4", "gre", "gue"]
Direction = Literal["request", "reply"]
Severity = Literal["error", "warning", "info"]
FailOn = Literal["error", "warning", "info", "never"]
Verdict = Literal["pass", "fail", "not_observable"]
ModeFrom = Literal["spec", "option", "inferred", "undetermined"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)
ROLES: Final[tuple[Role, ...]] = get_args(Role)
TUNNEL_TYPES: Final[tuple[TunnelType, ...]] = get_args(TunnelType)
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
FAIL_ON: Final[tuple[FailOn, ...]] = get_args(FailOn)
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
MODE_FROM: Final[tuple[ModeFrom, ...]] = get_args(ModeFrom)

REWRITES: Final[tuple[Mode, ...]] = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
"""Modes that rewrite or add headers, so that tables say what happens at each hop."""

DIRECT_RETURN: Final[tuple[Mode, ...]] = ("l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
"""Modes whose replies go past the load balancer."""

NO_VIP_NEEDED: Final[frozenset[str]] = frozenset({"dns-rr", "l7"})
"""Modes whose service is found by a name or by the proxy's own address."""

PORT_MAPPING: Final[frozenset[str]] = frozenset({"nat", "fullnat", "l7"})
"""Modes whose replies come back through the load balancer, which can then restore a port that it changed."""

ELLIPSIS: Final = "..."
"""In a path: an unknown number of routers."""


def did_you_mean(given: str, words: Iterable[str], *, cutoff: float = 0.5) -> str:
    """The nearest of some words as the start of a hint; empty where none is near.

    >>> did_you_mean("l2dssr", MODES)
    "did you mean 'l2dsr'? "
    """
    from difflib import get_close_matches  # only a mistake needs it

    near = get_close_matches(given, list(words), n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}? " if near else ""
