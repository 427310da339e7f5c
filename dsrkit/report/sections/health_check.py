"""Health checks as text: a table of servers for each kind of check, and what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsrkit.model.sections import HealthCheck
from dsrkit.model.sections.health_check import Change
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet, number, plain_table

_MOST_SERVERS: Final = 40
_MOST_CHANGES: Final = 12
_WAYS: Final = {"vip": "along the data path", "rip": "to the server's own address"}


def show(page: Page, items: Sequence[HealthCheck]) -> None:
    """A table per checker and question, and a line per change of verdict."""
    page.heading("Health checks")
    groups: dict[tuple[str, ...], list[HealthCheck]] = {}
    for item in items:
        groups.setdefault((item.checker, item.source, item.kind, item.request or "", item.through), []).append(item)
    for group in groups.values():
        _group(page, group)


def _group(page: Page, group: list[HealthCheck]) -> None:
    first = group[0]
    who = first.checker if first.checker == first.source else f"{first.checker} ({first.source})"
    what = f"{first.kind} {first.request}" if first.request else first.kind
    carried = "" if first.carried == "plain" else f" ({first.carried})"
    page.add(bullet(escape(f"{who}: {what}, {_WAYS[first.through]}{carried}, seen at {first.tap}")))
    table = plain_table(
        "server", "asked at", "every", "checks", "passed", "answer", "verdict", "connections",
        right=("every", "checks", "passed", "answer", "connections"), whole=("server", "verdict"),
    )  # fmt: skip
    for item in group[:_MOST_SERVERS]:
        in_vain = f" ({item.unanswered:,} in vain)" if item.unanswered else ""
        table.add_row(
            escape(item.server),
            escape(_target(item)),
            f"{_seconds(item.interval.median_ms)} ± {_seconds(item.interval.jitter_ms)}",
            f"{item.probes:,}",
            f"{item.passed:,}",
            "-" if item.answer_ms is None else _seconds(item.answer_ms),
            item.verdict,
            f"{item.connections:,}{in_vain}",
        )
    page.add(table, indent=4)
    if len(group) > _MOST_SERVERS:
        page.add(bullet(f"and {number(len(group) - _MOST_SERVERS, 'server')} more"))
    for item in group[:_MOST_SERVERS]:
        if len(item.history) > 1 or item.failed:
            _changes(page, item)


def _target(item: HealthCheck) -> str:
    if not item.port:
        return item.target
    return f"[{item.target}]:{item.port}" if ":" in item.target else f"{item.target}:{item.port}"


def _changes(page: Page, item: HealthCheck) -> None:
    table = plain_table(
        "server", "after", "verdict", "because", "checks", "clients", "frame", right=("after", "checks")
    )
    for change in item.history[:_MOST_CHANGES]:
        table.add_row(
            escape(item.server),
            _seconds(change.ms),
            change.verdict,
            escape(change.reason),
            f"{change.probes:,}",
            _traffic(change, item),
            escape(f"{change.frame.file}: {change.frame.frame}"),
        )
    page.add(table, indent=4, gap=1)
    if len(item.history) > _MOST_CHANGES:
        page.add(bullet(f"and {number(len(item.history) - _MOST_CHANGES, 'change')} more"))


def _traffic(change: Change, item: HealthCheck) -> str:
    """How the load balancer took it, by the new connections that it sent there."""
    if change.traffic_ns is None:
        return "-"
    word = "last" if change.verdict == "down" else "first"
    return f"{word} new one {_signed((change.traffic_ns - change.at_ns) / 1e6)}"


def _signed(ms: float) -> str:
    return f"{_seconds(abs(ms))} {'later' if ms >= 0 else 'before'}"


def _seconds(ms: float) -> str:
    """A duration with three significant digits."""
    if ms and abs(ms) < 1:
        return f"{ms * 1000:.0f} µs"
    return f"{ms:.3g} ms" if abs(ms) < 1000 else f"{ms / 1000:.3f} s"
