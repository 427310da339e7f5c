"""The catalogue as a list: for people, a line per code; as JSON, all that is known."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby

from dsrkit.diagnose.entry import AREAS, Entry
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.errors import UsageError


def of_area(area: str | None) -> list[Entry]:
    """The entries of an area, or all of them.

    Raises: UsageError for an area that is none.
    """
    wanted = area.upper() if area is not None else None
    if wanted is not None and wanted not in AREAS:
        raise UsageError(f"--area {area!r} is not valid (one of: {', '.join(AREAS)})")
    return [entry for entry in ENTRIES.values() if wanted in (None, entry.area)]


def as_text(entries: list[Entry]) -> str:
    """A heading per area, a line per code; what packets show only as a candidate of another code is in parentheses."""
    titles = {str(area): title for area, title in AREAS.items()}
    width = max(len(entry.name) for entry in entries)
    blocks = []
    for area, members in groupby(entries, lambda entry: entry.area):
        lines = [f"{area}: {titles[area]}"]
        lines += [f"  {e.code}  {_severity(e):<9}  {e.name:<{width}}  {e.summary}" for e in members]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _severity(entry: Entry) -> str:
    return entry.severity if entry.from_packets else f"({entry.severity})"


def as_json(entries: list[Entry]) -> str:
    return json.dumps([{"area": entry.area, **asdict(entry)} for entry in entries], indent=2, ensure_ascii=False) + "\n"
