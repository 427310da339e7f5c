"""From symptoms to causes: every picture looks at the case in turn, the strongest evidence first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis, Picture
from dsrkit.diagnose.evidence import Evidence
from dsrkit.diagnose.pictures import PICTURES
from dsrkit.model.report import Finding
from dsrkit.model.spec import Spec
from dsrkit.verify.judge import Judge
from dsrkit.verify.verdicts import Verdict


def diagnose(
    judge: Judge, verdicts: list[Verdict], sections: Mapping[str, tuple[Any, ...]], spec: Spec | None
) -> tuple[list[Finding], list[Verdict]]:
    """(findings with their causes, loudest and widest first; the symptoms that they explain)."""
    evidence = next(o for o in judge.observers if isinstance(o, Evidence))
    case = Case(judge, verdicts, evidence, sections, spec)
    for picture in PICTURES:
        case.found += _look(picture, case)
    if not case.found:
        return [], case.taken
    from dsrkit.diagnose.findings import findings  # loads the catalogue, of which a clean capture needs nothing

    _fold_consequences(case, case.found)
    return findings(case), case.taken


def _look(picture: Picture, case: Case) -> list[Diagnosis]:
    found = list(picture(case))
    for diagnosis in found:
        case.take(diagnosis.symptoms)
    return found


def _fold_consequences(case: Case, found: list[Diagnosis]) -> None:
    """Symptoms whose every connection a diagnosis has explained belong to it."""
    explained = {id(c): d for d in found for v in d.symptoms for c in v.connections}
    for verdict in case.failed():
        owners = [explained.get(id(c)) for c in verdict.connections]
        if owners and all(owner is not None for owner in owners):
            owner = owners[0]
            assert owner is not None
            owner.symptoms += case.take([verdict])
