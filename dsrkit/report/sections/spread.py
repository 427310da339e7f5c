"""Load per real server as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsrkit.model.sections import Spread
from dsrkit.model.sections.spread import Fairness, Load
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet, number, plain_table

_MOST_ROWS: Final = 60
_COUNTS: Final = ("connections", "share", "request packets", "octets", "reply packets", "octets ")


def show(page: Page, items: Sequence[Spread]) -> None:
    page.heading("Load per real server")
    several = any(len(item.load_balancers) > 1 for item in items)
    table = plain_table("service", "server", *_COUNTS, right=_COUNTS, whole=("service",))
    rows = [(item, load) for item in items for load in item.servers]
    for item, load in rows[:_MOST_ROWS]:
        first = load is item.servers[0]
        table.add_row(_service(item) if first else "", *_row(item, load))
    if rows:
        page.add(table, indent=2)
    if several:
        forwarded = [(item, load) for item in items for load in item.load_balancers]
        # Replies that go past load balancers leave nothing to show here.
        counts = _COUNTS if any(load.reply_packets for _, load in forwarded) else _COUNTS[:-2]
        table = plain_table("service", "load balancer", *counts, right=counts, whole=("service",))
        for item, load in forwarded[:_MOST_ROWS]:
            cells = _row(item, load)[: len(counts) + 1]
            table.add_row(_service(item) if load is item.load_balancers[0] else "", *cells)
        page.add(table, indent=2)
    if len(rows) > _MOST_ROWS:
        page.add(bullet(f"{len(rows) - _MOST_ROWS:,} more rows: --format json"))
    for item in items[:_MOST_ROWS]:
        facts = [*_even(item.fairness), *_unusual(item)]
        if facts:
            page.add(bullet(f"{_service(item)}: {'; '.join(facts)}"))


def _row(item: Spread, load: Load) -> list[str]:
    share = f"{load.connections / item.connections:.1%}" if item.connections else "-"
    return [
        escape(load.name) if load.name is not None else "(not told)",
        f"{load.connections:,}",
        share,
        f"{load.request_packets:,}",
        f"{load.request_octets:,}",
        f"{load.reply_packets:,}",
        f"{load.reply_octets:,}",
    ]


def _service(item: Spread) -> str:
    return f"{escape(item.service) if item.service is not None else '-'} {escape(item.port)}"


def _even(fairness: Fairness | None) -> list[str]:
    if fairness is None or fairness.servers < 2:
        return []
    sample = f"{number(fairness.sample, 'connection')} over {fairness.servers} servers"
    if fairness.verdict == "too-few":
        return [f"{sample} are too few to say whether the spread is even"]
    p_value = "" if fairness.p_value is None else f", p = {fairness.p_value:.3g}"
    meant = "; weights may be meant" if fairness.verdict == "uneven" else ""
    return [f"{fairness.verdict}: {sample}{p_value}, Jain's index {fairness.jain:.2f}{meant}"]


def _unusual(item: Spread) -> list[str]:
    facts = []
    if item.moved:
        facts.append(f"{number(item.moved, 'connection')} moved to another server in the middle")
    if item.rescheduled:
        what = "datagram" if item.port.startswith("udp") else "SYN"
        facts.append(f"{number(item.rescheduled, what)} given another server than the one before, as may be")
    if item.handed_over:
        facts.append(f"{number(item.handed_over, 'connection')} went on at another load balancer, to the same server")
    return facts
