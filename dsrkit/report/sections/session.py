"""Sessions as text."""

from __future__ import annotations

from collections.abc import Sequence

from dsrkit.model.sections import Session
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet


def show(page: Page, items: Sequence[Session]) -> None:
    page.heading("Sessions")
    for item in items:
        page.add(bullet(escape(item.client)))
