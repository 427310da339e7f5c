"""What each implementation writes where the rewrite tables leave a choice: one module per implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dsrkit.craft.profiles.base import Derived, Encapsulation, Flows, Profile, Tunnel
from dsrkit.craft.profiles.cilium import CILIUM
from dsrkit.craft.profiles.generic import GENERIC
from dsrkit.craft.profiles.glb import GLB
from dsrkit.craft.profiles.ipvs import IPVS
from dsrkit.craft.profiles.katran import KATRAN
from dsrkit.errors import UsageError

PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in (IPVS, KATRAN, GLB, CILIUM, GENERIC)}

__all__ = ["PROFILES", "Derived", "Encapsulation", "Flows", "Profile", "Tunnel", "profile_of"]


def profile_of(name: str) -> Profile:
    """A profile by its name.

    Raises: UsageError for a name that is none, `any` included: something definite has to be written.
    """
    if name not in PROFILES:
        raise UsageError(f"profile {name!r} cannot be crafted (one of: {', '.join(PROFILES)})")
    return PROFILES[name]
