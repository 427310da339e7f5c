"""An earlier report: what it knew already is shown, and does not fail again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError
from dsrkit.model.report import SCHEMA, Finding, Report

Machine = frozenset[str]
"""What a machine is known by: its addresses, or its name where a report has none. Inferred names may change hands."""


@dataclass(frozen=True, slots=True)
class Known:
    """A finding of the earlier report."""

    code: str
    machines: tuple[Machine, ...]
    symptoms: frozenset[str]
    where: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings of an earlier report."""

    findings: tuple[Known, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Baseline:
        """Read a report that ``verify --format json`` wrote.

        Raises: UsageError for a file that cannot be read, or that holds no report of this version.
        """
        from dsrkit.model.reading import read_document  # only who has an earlier report needs it

        data = read_document(path, "--baseline")
        try:
            return cls.of(data)
        except (AttributeError, KeyError, TypeError):
            raise UsageError(
                f"--baseline {os.fspath(path)!r}: says {SCHEMA}, but its findings cannot be read"
            ) from None

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Baseline:
        """The findings of a report in its JSON form."""
        addresses = {node["name"]: _addresses(node["ip"], node["mac"]) for node in report["nodes"]}
        return cls(
            tuple(
                Known(
                    finding["code"],
                    tuple(_machine(name, addresses) for name in finding["nodes"]),
                    frozenset(finding["symptoms"]),
                    ", ".join(finding["nodes"]),
                )
                for finding in report["findings"]
            )
        )

    def mark(self, report: Report) -> Report:
        """The report with what is known marked, and a note on what is no longer found."""
        addresses = {node.name: _addresses(node.ip, node.mac) for node in report.nodes}
        findings, met = [], set()
        for finding in report.findings:
            machines = [_machine(name, addresses) for name in finding.nodes]
            old = [one for one in self.findings if _same_fault(finding, one)]
            known = _covered(machines, old)
            met |= {id(one) for one in old if known}
            findings.append(replace(finding, known=known))
        gone = [f"{one.code} at {one.where}" if one.where else one.code for one in self.findings if id(one) not in met]
        notes = [f"no longer found: {', '.join(gone)}"] if gone else []
        return replace(report, findings=tuple(findings), notes=(*report.notes, *notes))


def _same_fault(finding: Finding, old: Known) -> bool:
    """The same code, or the same failed cells under another one: a cause may get a better name than it had."""
    return finding.code == old.code or bool(finding.symptoms and set(finding.symptoms) == old.symptoms)


def _covered(machines: list[Machine], old: list[Known]) -> bool:
    """Whether each machine suffered from it before: the same fault at one more server is news."""
    if not machines:
        return bool(old)
    before = [machine for one in old for machine in one.machines]
    return all(any(machine & other for other in before) for machine in machines)


def _addresses(ip: Any, mac: Any) -> Machine:
    return frozenset((*ip, *mac))


def _machine(name: str, addresses: Mapping[str, Machine]) -> Machine:
    return addresses.get(name) or frozenset((name,))
