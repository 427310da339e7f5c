"""What the tables of checks are made of; each mechanism has one of its own."""

from __future__ import annotations

from dsrkit.classes import dataclass
from dsrkit.model.names import Severity


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `meaning` is what holds where it passes, `severity` that of a break which does harm (without harm it
    is milder), `codes` the faults that a failure may be, most likely first; without any, `alone` says why no fault of
    the catalogue is named."""

    meaning: str
    severity: Severity
    source: str
    codes: tuple[str, ...] = ()
    alone: str = ""
