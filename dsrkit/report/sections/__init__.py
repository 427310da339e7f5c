"""The sections of mechanisms as text: the timeline or pairing that an engineer would draw by hand."""

from __future__ import annotations

from dsrkit.model.report import Report
from dsrkit.report.page import Page
from dsrkit.report.sections import dns, health_check, session, spread, takeover


def show_sections(page: Page, report: Report) -> None:
    """Every section that holds something."""
    if report.takeovers:
        takeover.show(page, report.takeovers)
    if report.health_checks:
        health_check.show(page, report.health_checks)
    if report.sessions:
        session.show(page, report.sessions)
    if report.dns:
        dns.show(page, report.dns)
    if report.spread:
        spread.show(page, report.spread)
