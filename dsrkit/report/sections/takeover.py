"""Takeovers as text."""

from __future__ import annotations

from collections.abc import Sequence

from dsrkit.model.sections import Takeover
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet


def show(page: Page, items: Sequence[Takeover]) -> None:
    page.heading("Takeovers")
    for item in items:
        page.add(bullet(escape(item.vip)))
