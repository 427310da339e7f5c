"""The witness rule: break each cell of each table in turn, and a capture that dsrkit did not make must fail for it.

A table that craft and verify share can be wrong in both directions at once; only outside packets prove that a cell is
right. Cells without such a witness stand in unwitnessed.toml, each with its reason, and that list can only shrink.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from scenarios import Scenario, cases, shared

import dsrkit
from dsrkit.model.report import Report
from dsrkit.model.spec import Spec
from dsrkit.tables import MODES, nodes
from dsrkit.tables.nodes import Cell, ModeTables, NodeTable
from dsrkit.tables.rules import Affine, Field, Free, PerProfile, Recomputed, Rule, const, keep, narrow

PROFILE = "ipvs"
NEVER = const(-7)
"""A value that no header field has."""
NOWHERE = const(0)
"""The same for an address: the number of no address."""
UNWITNESSED: dict[str, str] = tomllib.loads((Path(__file__).parent / "unwitnessed.toml").read_text(encoding="utf-8"))
MOST_CAPTURES = 6


@dataclass(frozen=True)
class Place:
    """A cell in the tables: where it stands and what it says there."""

    mode: str
    table: NodeTable
    field: str

    @property
    def id(self) -> str:
        return nodes.cell_id(self.mode, self.table.node, self.table.direction, self.field)

    def covers(self, verdict_cell: str) -> bool:
        """Whether a verdict is about this cell, alone or composed: ``l3dsr-tunnel.router+lb.outer.ttl``."""
        mode, kinds, rest = verdict_cell.split(".", 2)
        direction = "reply" if rest.startswith("reply.") else "request"
        field = rest.removeprefix("reply.")
        same = field in {self.field, *nodes.lifted({self.field: keep(self.field)})}
        return same and mode == self.mode and direction == self.table.direction and self.table.node in kinds.split("+")


FIELD_CELLS = {
    cell_id: (Place(mode, table, cell.field), narrow(cell.rule, PROFILE))
    for mode, tables in MODES.items()
    for cell_id, table, cell in tables.cells()
    if not isinstance(narrow(cell.rule, PROFILE), Free)
}
PRESENCE_CELLS = {
    cell_id: Place(mode, table, cell.name)
    for mode, tables in MODES.items()
    for cell_id, table, cell in tables.presence()
}


def broken(field: str, rule: Rule) -> list[Rule]:
    """Wrong rules in a cell's place, each the smallest mistake that a reader could make there."""
    match rule:
        case Affine(Field(), low, high):
            return [Affine(rule.base, high + 1, high + 1), Affine(rule.base, low - 1, low - 1)]
        case Recomputed() if not field.startswith(("outer.", "tunnel.")):
            return [keep(field)]
        case _:
            return [NOWHERE if field.endswith((".src", ".dst")) and not field.startswith("eth.") else NEVER]


def with_rule(place: Place, rule: Rule) -> ModeTables:
    """The mode's tables with another rule in one cell (for one profile, where it depends on the profile)."""

    def changed(cell: Cell) -> Cell:
        if cell.field != place.field:
            return cell
        if isinstance(cell.rule, PerProfile):
            others = tuple((name, r) for name, r in cell.rule.rules if name != PROFILE)
            return replace(cell, rule=PerProfile(tuple(sorted((*others, (PROFILE, rule))))))
        return replace(cell, rule=rule)

    table = replace(place.table, cells=tuple(changed(cell) for cell in place.table.cells))
    return with_table(place, table)


def with_table(place: Place, table: NodeTable) -> ModeTables:
    tables = MODES[place.mode]
    return replace(tables, nodes=tuple(table if node is place.table else node for node in tables.nodes))


# --- real captures ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """A real capture, how it is verified, and its report by the tables as they are."""

    scenario: Scenario
    files: tuple[Path, ...]
    spec: Spec | None
    report: Report

    def again(self) -> Report:
        return verified(self.files, self.spec)

    def __repr__(self) -> str:
        return f"{self.scenario.name} ({len(self.files)} taps{' and a spec' if self.spec else ''})"


def verified(files: Sequence[Path], spec: Spec | None) -> Report:
    return dsrkit.verify(files, spec=spec, profile=PROFILE)


@cache
def recorded() -> list[Recorded]:
    """Every recording, smallest first: all taps, some with a spec, and of broken ones the client's tap alone."""
    own = cases()
    every = [*own, *(s for s in shared() if s.name not in {case.name for case in own})]
    every.sort(key=lambda s: sum(path.stat().st_size for path in s.files))
    runs: list[tuple[Scenario, Sequence[Path], Spec | None]] = [(s, s.files, None) for s in every]
    runs += [
        (s, s.files, Spec.parse(s.spec_text())) for s in every if s.case and "udp_port" in (s.truth.get("tunnel") or {})
    ]
    runs += [(s, s.files[:1], None) for s in every if not s.healthy]
    return [Recorded(s, tuple(files), spec, verified(files, spec)) for s, files, spec in runs]


def exercising(place: Place) -> list[Recorded]:
    """Recordings that check a cell and find it right."""
    out = []
    for r in recorded():
        mine = [cell for cell in r.report.cells if place.covers(cell.cell) and cell.checked]
        if mine and not any(cell.failed for cell in mine):
            out.append(r)
    return out


def failed(report: Report) -> set[tuple[str, str, str]]:
    return {(cell.cell, cell.hop, cell.direction) for cell in report.cells if cell.verdict == "fail"}


def kills(place: Place, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a recording fails, in this cell and no other, once the cell holds another rule."""
    witnesses = exercising(place)[:MOST_CAPTURES]  # by the tables as they are
    with monkeypatch.context() as patch:
        patch.setitem(MODES, place.mode, with_rule(place, rule))
        for r in witnesses:
            new = failed(r.again()) - failed(r.report)
            if new and all(place.covers(cell) for cell, _, _ in new):
                return True
    return False


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", FIELD_CELLS)
def test_field_cell(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, rule = FIELD_CELLS[cell]
    survivors = [wrong for wrong in broken(place.field, rule) if not kills(place, wrong, monkeypatch)]
    if cell in UNWITNESSED:
        assert survivors, "it has a witness now: take it off unwitnessed.toml"
    else:
        assert survivors == [], "no recording fails with these wrong rules"


@pytest.mark.parametrize("cell", PRESENCE_CELLS)
def test_presence_cell(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the cell, what it found in a broken recording is not found any more (or, healthy, is not proven)."""
    place = PRESENCE_CELLS[cell]
    seen = [r for r in recorded() if any(v.cell == cell and v.checked for v in r.report.cells)]
    if cell in UNWITNESSED:
        assert not seen, "it has a witness now: take it off unwitnessed.toml"
        return
    assert seen, "no recording exercises it"
    guilty = [r for r in seen if any(cell in finding.symptoms for finding in r.report.findings)]
    witness = (guilty or seen)[0]
    left = tuple(p for p in place.table.presence if p.name != place.field)
    monkeypatch.setitem(MODES, place.mode, with_table(place, replace(place.table, presence=left)))
    report = witness.again()
    assert not any(v.cell == cell for v in report.cells)
    if guilty:
        assert report.findings != witness.report.findings
        assert not any(cell in finding.symptoms for finding in report.findings)
    else:
        assert report.rules.passed < witness.report.rules.passed


def test_unwitnessed_cells_exist_and_say_why() -> None:
    assert UNWITNESSED.keys() <= FIELD_CELLS.keys() | PRESENCE_CELLS.keys()
    assert all(reason.endswith(".") and len(reason.split()) > 3 for reason in UNWITNESSED.values())


def test_no_exercised_cell_is_unwitnessed() -> None:
    """A cell of profile ipvs that a recording checks must have a witness; only cells out of reach may be listed."""
    listed = [place for cell, (place, _) in FIELD_CELLS.items() if cell in UNWITNESSED]
    assert {place.id: exercising(place) for place in listed if exercising(place)} == {}
