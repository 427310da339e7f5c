"""A diagnosis: a cause that explains symptoms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field

from dsrkit.classes import dataclass
from dsrkit.diagnose.case import Case
from dsrkit.model.names import Severity
from dsrkit.verify.verdicts import Frame, Verdict


@dataclass(slots=True)
class Diagnosis:
    """One cause with its evidence.

    `codes` are the candidates, likeliest first: more than one where packets cannot decide. `nodes` are names of
    machines. `failed` of `among` connections (or packets) suffer. `ruled_out` says per look-alike what speaks against
    it. `settle` names the tap or the command that would decide what is left open. `severity` is that of the first
    code's entry unless given. `actual` and `expected` are shown as they are. `vips` are for the commands where nothing
    is known to be a VIP but what this cause concerns.
    """

    codes: tuple[str, ...]
    message: str
    nodes: tuple[str, ...] = ()
    symptoms: list[Verdict] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    failed: int = 0
    among: int = 0
    ruled_out: dict[str, str] = field(default_factory=dict)
    settle: str = ""
    severity: Severity | None = None
    field: str | None = None
    expected: str | None = None
    actual: str | None = None
    tap: int | None = None
    vips: tuple[str, ...] = ()


Picture = Callable[[Case], Iterable[Diagnosis]]
"""Looks for one packet picture; takes the symptoms that it explains."""
