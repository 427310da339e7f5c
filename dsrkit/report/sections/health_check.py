"""Health checks as text."""

from __future__ import annotations

from collections.abc import Sequence

from dsrkit.model.sections import HealthCheck
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet


def show(page: Page, items: Sequence[HealthCheck]) -> None:
    page.heading("Health checks")
    for item in items:
        page.add(bullet(escape(item.server)))
