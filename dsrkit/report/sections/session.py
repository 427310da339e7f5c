"""Sessions as text: the pairing table, in the order in which clients came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsrkit.model.sections.session import Endpoint, Session
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet, number, plain_table

_MOST: Final = 30


def show(page: Page, items: Sequence[Session]) -> None:
    page.heading("Sessions (1: client to VIP, 2: proxy to server)")
    table = plain_table(
        "at ms", "session 1", "session 2", "delay ms", "by", "end", right=("at ms", "delay ms"), whole=("end",)
    )
    ordered = sorted(items, key=lambda s: s.start_ns)
    first = ordered[0].start_ns
    for item in ordered[:_MOST]:
        header = f" ({item.proxy_header})" if item.proxy_header else ""
        table.add_row(
            f"{(item.start_ns - first) / 1e6:.1f}",
            f"{_end(item.client)} > {_end(item.vip)}",
            f"{_end(item.proxy)} > {_end(item.server, name=True)}",
            "" if item.delay_ms is None else f"{item.delay_ms:.1f}",
            escape(", ".join(item.by) + header),
            item.end,
        )
    page.add(table, indent=2)
    if len(ordered) > _MOST:
        page.add(bullet(f"{len(ordered) - _MOST} more: --format json has them all"))
    fronts = {(s.client, s.vip, s.start_ns) for s in ordered}
    backs = {(s.proxy, s.server) for s in ordered}
    requests = sum(s.requests for s in ordered)
    said = f", {number(requests, 'request')}" if requests else ""
    page.add(bullet(f"{number(len(fronts), 'session')} of clients over {len(backs):,} with servers{said}"))


def _end(end: Endpoint, *, name: bool = False) -> str:
    shown = f"{end} {end.node}" if name and end.node else str(end)
    return escape(shown)
