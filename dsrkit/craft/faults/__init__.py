"""The fault catalogue as things that can be crafted, one module per area."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from dsrkit.craft.faults import arp, cap, dns, dsc, dsr, hck, nat, prx, tun
from dsrkit.craft.faults.base import Fault
from dsrkit.errors import UsageError

AREAS: Final = (arp, nat, dsr, tun, dsc, dns, hck, prx, cap)

FAULTS: Final[Mapping[str, Fault]] = {fault.code: fault for area in AREAS for fault in area.FAULTS}
"""Every fault by its code, in the order of the catalogue."""

__all__ = ["FAULTS", "Fault", "fault_of"]


def fault_of(word: str, mode: str) -> Fault:
    """A fault by code or name, for a mode that can have it.

    Raises: UsageError for a word that is neither, or a fault that the mode cannot have.
    """
    known = {**{code.lower(): fault for code, fault in FAULTS.items()}, **{f.name: f for f in FAULTS.values()}}
    fault = known.get(word.lower())
    if fault is None:
        within = [name for name in known if word and word.lower() in name]
        near = (within or get_close_matches(word.lower(), known, n=1, cutoff=0.6))[:3]
        named = " or ".join(f"{known[one].code} ({known[one].name})" for one in near)
        hint = f"did you mean {named}?" if near else "dsrkit craft --list-faults names them all"
        raise UsageError(f"no fault {word!r} ({hint})")
    if mode not in fault.modes:
        raise UsageError(f"{fault.code} ({fault.name}) is no fault of mode {mode} (of: {', '.join(fault.modes)})")
    return fault
