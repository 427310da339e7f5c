"""Load per real server as text."""

from __future__ import annotations

from collections.abc import Sequence

from dsrkit.model.sections import Spread
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet


def show(page: Page, items: Sequence[Spread]) -> None:
    page.heading("Load per real server")
    for item in items:
        page.add(bullet(escape(item.service)))
