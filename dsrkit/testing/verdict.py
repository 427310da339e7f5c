"""`assert_verified`: captures that show nothing wrong, and enough to say so."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from dsrkit.diagnose.chosen import check_words
from dsrkit.errors import UsageError
from dsrkit.model.report import Report
from dsrkit.model.spec import Allow, Spec
from dsrkit.report.text import nothing_checked_reason, render
from dsrkit.verification import verify
from dsrkit.verify.batches import PathLike
from dsrkit.verify.choice import allowed, where

Allowed: TypeAlias = str | Mapping[str, str]
"""A code, a name or the beginning of a cell's id; or a table with `code`, `reason` and, if only there, `node`."""


def assert_verified(
    source: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None = None,
    *,
    mode: str | None = None,
    spec: Spec | PathLike | None = None,
    profile: str | None = None,
    vip: Collection[str] = (),
    allow: Iterable[Allowed] = (),
    fail_on: str = "warning",
) -> Report:
    """Fail if `dsrkit.verify` finds something wrong in captures, or can judge nothing in them; return its report.

    `allow` are findings that are meant to be: codes, or tables ``{"code": ..., "node": ..., "reason": ...}`` as the
    ``[[allow]]`` of a spec; the rest is as in `dsrkit.verify`.

    Raises: AssertionError with the findings; DsrkitError for files, spec and options that make no sense.
    """
    __tracebackhide__ = True
    _check_files(source)
    rules = [_rule(one) for one in _listed(allow)]
    found = verify(source, mode=mode, spec=spec, profile=profile, vip=vip, fail_on=fail_on)
    report = _without(found, rules)
    if report.exit_code == 2:
        raise AssertionError(f"nothing was checked: {nothing_checked_reason(report)}")
    if report.exit_code:
        raise AssertionError(
            f"verify finds what should not be:\n{render(report, quiet=True, exits=False)}".rstrip("\n")
        )
    return report


def _check_files(source: object) -> None:
    """Refuse frames: what is verified are captures, whose times and taps count as well."""
    several = source.values() if isinstance(source, Mapping) else source
    files = several if isinstance(several, Iterable) and not isinstance(several, str | bytes) else [several]
    for file in files:
        if not isinstance(file, str | os.PathLike) and file is not None:
            raise UsageError(f"verify takes capture files by their paths, not {reprlib.repr(file)}")


def _listed(allow: Iterable[Allowed]) -> list[Allowed]:
    if not isinstance(allow, Iterable):
        raise UsageError(f"allow={allow!r}: a list of codes is wanted, or of tables of code, node and reason")
    return [allow] if isinstance(allow, str | Mapping) else list(allow)


def _rule(one: Allowed) -> Allow:
    if isinstance(one, str) and one:
        rule = Allow(one, "allowed by the test")
    else:
        table = dict(one) if isinstance(one, Mapping) else {}
        texts = all(isinstance(value, str) and value for value in table.values())
        if not {"code", "reason"} <= table.keys() <= {"code", "reason", "node"} or not texts:
            raise UsageError(
                f"allow {one!r}: a code is wanted, or a table of texts: code, reason, and node where it is one's only"
            )
        rule = Allow(table["code"], table["reason"], table.get("node"))
    check_words("allow", [rule.code])
    return rule


def _without(report: Report, rules: list[Allow]) -> Report:
    """The report without what is allowed, which its notes name."""
    kept, notes = [], list(report.notes)
    for finding in report.findings:
        by = allowed(finding, rules)
        if by:
            notes.append(f"allowed: {where(finding)}: {'; '.join(dict.fromkeys(rule.reason for rule in by))}")
        else:
            kept.append(finding)
    return replace(report, findings=tuple(kept), notes=tuple(notes))
