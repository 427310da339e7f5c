"""Report files of parts of one capture set: read, made sure to be different parts, and merged."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dsrkit.errors import UsageError
from dsrkit.model.merging import together
from dsrkit.model.names import FailOn
from dsrkit.model.report import Report
from dsrkit.model.same_machines import with_files


def merge_files(paths: Sequence[str | os.PathLike[str]], *, fail_on: FailOn = "warning") -> Report:
    """The report of all parts. A capture file's name that several of them use is told apart by the report's name.

    Raises: UsageError for files that are no reports, that hold the same capture twice, or that contradict each other.
    """
    parts: dict[str, Report] = {}
    for path in paths:
        shown = os.fspath(path)
        if any(_same(shown, other) for other in parts):
            raise UsageError(f"{shown!r} is given twice")
        try:
            parts[shown] = Report.load(path, fail_on=fail_on)
        except UsageError as error:
            text = str(error)
            raise UsageError(text if text.startswith(repr(shown)) else f"{shown!r}: {text}") from None
    first, *others = _apart(parts)
    return together(first.merge(*others)) if others else first


def _same(one: str, other: str) -> bool:
    return one == other or (one != "-" != other and os.path.realpath(one) == os.path.realpath(other))


def _apart(parts: dict[str, Report]) -> list[Report]:
    """The reports with names of capture files that are each one file's."""
    users: dict[str, list[str]] = {}
    seen: dict[tuple[str, str | None, int, int], str] = {}
    for shown, report in parts.items():
        for file in dict.fromkeys(tap.file for tap in report.taps):
            users.setdefault(file, []).append(shown)
        for tap in report.taps:
            key = (tap.file, tap.interface, tap.packets, tap.octets)
            if tap.packets and seen.setdefault(key, shown) != shown:
                raise UsageError(
                    f"{seen[key]!r} and {shown!r} hold the same capture, {tap.file!r}: it would count twice"
                )
    common = {file for file, used in users.items() if len(used) > 1}
    return [with_files(report, {file: f"{shown}:{file}" for file in common}) for shown, report in parts.items()]
