"""DNS as text: who answered what, and which answer led to which connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsrkit.model.sections import Dns
from dsrkit.model.sections.dns import DnsConnection, DnsFairness, DnsParty
from dsrkit.report.blocks import Text
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet, number, plain_table

_MOST_NAMES: Final = 8
_MOST_ROWS: Final = 12
_ROTATIONS: Final = {
    "unknown": "too few to tell",
    "fixed": "always the same",
    "cyclic": "in turn",
    "random": "changes",
    "uneven": "changes, with favourites",
    "mixed": "differs in parts",
}


def show(page: Page, items: Sequence[Dns]) -> None:
    page.heading("DNS")
    for item in items[:_MOST_NAMES]:
        _name(page, item)
    if len(items) > _MOST_NAMES:
        page.add(bullet(f"{len(items) - _MOST_NAMES} more names: --format json"))


def _name(page: Page, item: Dns) -> None:
    page.add(Text(f"  {escape(item.name)} {item.type}: {_summary(item)}"))
    records = plain_table(
        "address", "node", "in answers", "first", "connections", "failed",
        right=("in answers", "first", "connections", "failed"), whole=("address",),
    )  # fmt: skip
    for one in item.records[:_MOST_ROWS]:
        cells = (one.answers, one.first, one.connections, one.failed)
        records.add_row(one.address, escape(one.node or "-"), *(f"{n:,}" for n in cells))
    page.add(records, indent=4)
    if len(item.records) > _MOST_ROWS:
        page.add(Text(f"    {len(item.records) - _MOST_ROWS} more addresses"))
    for role, title in (("server", "answered by"), ("client", "asked by")):
        _parties(page, [one for one in item.parties if one.role == role], title)
    _connections(page, item)


def _summary(item: Dns) -> str:
    parts = [number(item.answers, "answer")]
    if item.ttl_min is not None:
        same = item.ttl_min == item.ttl_max
        parts.append(f"TTL {item.ttl_min} s" if same else f"TTL {item.ttl_min} to {item.ttl_max} s")
    counts = (
        (item.truncated, "cut"),
        (item.negative, "without addresses"),
        (item.unanswered, "questions unanswered"),
        (item.stale, "connections after the TTL"),
    )
    parts += [f"{count:,} {what}" for count, what in counts if count]
    if item.chain:
        parts.append("alias of " + escape(" > ".join(item.chain[:4])))
    parts.append(
        f"{number(item.tied, 'connection')} tied to their answers" + (f", {item.untied:,} not" if item.untied else "")
    )
    return "; ".join(parts)


def _parties(page: Page, parties: Sequence[DnsParty], title: str) -> None:
    if not parties:
        return
    other = "clients" if title == "answered by" else "resolvers"
    table = plain_table(
        title, "node", "questions", "answers", other, "order", "connections (spread)",
        right=("questions", "answers", other), whole=(title,),
    )  # fmt: skip
    for one in parties[:_MOST_ROWS]:
        order = _ROTATIONS[one.rotation] if one.role == "server" else "-"
        counts = (one.questions, one.answers, one.peers)
        table.add_row(one.address, escape(one.node or "-"), *(f"{n:,}" for n in counts), order, _shares(one))
    page.add(table, indent=4)
    if len(parties) > _MOST_ROWS:
        page.add(Text(f"    {len(parties) - _MOST_ROWS} more"))


def _shares(one: DnsParty) -> str:
    if not one.shares:
        return "-"
    shown = ", ".join(f"{address} {count:,}" for address, count in one.shares[:4])
    more = f", {len(one.shares) - 4} more" if len(one.shares) > 4 else ""
    return f"{shown}{more}{_test(one.fairness)}"


def _test(fairness: DnsFairness | None) -> str:
    if fairness is None or fairness.p_value is None:
        return ""
    if not fairness.conclusive:
        return f" (n = {fairness.choices}: too few)"
    value = "p < 0.0001" if fairness.p_value < 0.0001 else f"p = {fairness.p_value:.2g}"
    return f" ({value}, n = {fairness.choices})"


def _connections(page: Page, item: Dns) -> None:
    if not item.connections:
        return
    start = min(one.time_ns for one in item.connections)
    table = plain_table(
        "time", "client", "asked", "answer", "age", "place", "connects to", "result",
        right=("time", "age", "place"), whole=("client", "asked", "connects to"),
    )  # fmt: skip
    for one in item.connections[:_MOST_ROWS]:
        table.add_row(f"{(one.time_ns - start) / 1e9:.3f}", one.client, *_answer(one), _target(one), one.result)
    page.add(table, indent=4)
    if item.tied > _MOST_ROWS:
        page.add(Text(f"    {item.tied - _MOST_ROWS:,} more connections: --format json"))


def _answer(one: DnsConnection) -> tuple[str, str, str, str]:
    if one.answer is None or one.age_ms is None:
        return "-", "-", "-", "-"
    age = f"{one.age_ms:.1f} ms" if one.age_ms < 1000 else f"{one.age_ms / 1000:.1f} s"
    file = one.answer.file.rsplit("/", 1)[-1]
    return one.resolver or "-", f"{escape(file)}: {one.answer.frame}", age, str(one.position)


def _target(one: DnsConnection) -> str:
    return f"[{one.server}]:{one.port}" if ":" in one.server else f"{one.server}:{one.port}"
