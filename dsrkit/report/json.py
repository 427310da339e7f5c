"""The report as JSON, in the published schema."""

from __future__ import annotations

from dsrkit.model.report import Report


def render(report: Report) -> str:
    """The JSON document with its final newline."""
    return report.to_json() + "\n"
