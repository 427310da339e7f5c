"""The usual set-up of every mode as a spec, without the machines that craft lets loose on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dsrkit.craft.options import Options
from dsrkit.craft.preset import preset as usual
from dsrkit.craft.presets import dns_rr, garp, health
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Spec

PRESETS: Final[Mapping[Mode, Callable[[Mode, Profile, Options], Spec]]] = {
    "nat": usual,
    "fullnat": usual,
    "l2dsr": usual,
    "l3dsr-tunnel": usual,
    "l3dsr-dscp": usual,
    "l7": usual,
    "garp": garp.preset,
    "health": health.preset,
    "dns-rr": dns_rr.preset,
}
