"""Diagnoses from checks that already say in words what is wrong: what they are called, and which of them is a cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.model.names import SEVERITIES, Severity
from dsrkit.verify.verdicts import Verdict


def from_check(
    codes: tuple[str, ...],
    lead: Verdict,
    others: Iterable[Verdict] = (),
    *,
    ruled_out: Mapping[str, str] | None = None,
    settle: str = "",
    nodes: tuple[str, ...] | None = None,
) -> Diagnosis:
    """A cause in the words of the check `lead`, which explains `others` too."""
    symptoms = [lead, *others]
    return Diagnosis(
        codes,
        lead.message,
        lead.nodes if nodes is None else nodes,
        symptoms,
        list(dict.fromkeys(frame for v in symptoms for frame in v.frames)),
        failed=lead.failed,
        among=lead.checked,
        ruled_out={code: why for code, why in (ruled_out or {}).items() if code not in codes},
        settle=settle,
        severity=cast(Severity, min((v.severity for v in symptoms), key=SEVERITIES.index)),
        field=lead.wireshark,
        expected=lead.expected or None,
        actual=lead.actual or None,
        tap=lead.tap,
    )
