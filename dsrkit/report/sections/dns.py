"""DNS as text."""

from __future__ import annotations

from collections.abc import Sequence

from dsrkit.model.sections import Dns
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet


def show(page: Page, items: Sequence[Dns]) -> None:
    page.heading("DNS")
    for item in items:
        page.add(bullet(escape(item.name)))
