"""Findings made of diagnoses: what the catalogue says of each code, about this case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.mending import mending
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.frame import FrameRef, frame_filter
from dsrkit.model.names import SEVERITIES, Severity
from dsrkit.model.report import Finding
from dsrkit.verify.verdicts import MOST_FRAMES

_RANK: Final = {severity: i for i, severity in enumerate(SEVERITIES)}


def findings(case: Case) -> list[Finding]:
    """Those of a case, loudest and widest first."""
    case.found.sort(key=lambda d: (_RANK[severity(d)], -d.failed))
    return [_finding(case, d) for d in case.found]


def severity(diagnosis: Diagnosis) -> Severity:
    return diagnosis.severity or ENTRIES[diagnosis.codes[0]].severity


def _finding(case: Case, d: Diagnosis) -> Finding:
    entry = ENTRIES[d.codes[0]]
    frames = d.frames or [frame for v in d.symptoms for frame in v.frames]
    refs = [FrameRef(case.taps[tap].file, number) for tap, number in dict.fromkeys(frames)][:MOST_FRAMES]
    tap = d.tap if d.tap is not None else frames[0][0] if frames else None
    return Finding(
        code=entry.code,
        name=entry.name,
        severity=severity(d),
        message=d.message,
        nodes=d.nodes,
        tap=case.taps[tap].name if tap is not None else None,
        count=max(1, d.failed),
        frames=tuple(refs),
        field=d.field,
        expected=d.expected,
        actual=d.actual,
        fix=mending(entry.fixes, sorted(case.scene.address(v) for v in case.scene.vips) or d.vips),
        filter=frame_filter(refs),
        candidates=(*d.codes, *_unshown(case, d)),
        symptoms=tuple(dict.fromkeys(v.cell for v in d.symptoms)),
        ruled_out=d.ruled_out,
        settle=d.settle or None,
    )


def _unshown(case: Case, d: Diagnosis) -> Iterator[str]:
    """Causes on a host that packets never show, behind the likeliest one of their picture."""
    for code in ENTRIES[d.codes[0]].same_picture:
        entry = ENTRIES[code]
        of_mode = case.mode is None or case.mode in entry.modes
        if not entry.from_packets and of_mode and code not in d.codes and code not in d.ruled_out:
            yield code
