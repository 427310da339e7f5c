"""Who owns VIPs, and takeovers as timelines, as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from dsrkit.model.sections.takeover import Move, Owner, Takeover
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, bullet, join, number, plain_table

_MOST_VIPS: Final = 6
_MOST_MOVES: Final = 8
_MOST_ROWS: Final = 12
_REASONS: Final = {
    "released": "given up by priority 0",
    "silent": "the old owner fell silent",
    "preempted": "while the old owner was alive",
    "unseen": "",
}


def show(page: Page, items: Sequence[Takeover]) -> None:
    page.heading("VIP ownership")
    for item in items:
        page.add(bullet(_owned(item)))
        for move in item.moves[:_MOST_MOVES]:
            _show_move(page, move)
        if len(item.moves) > _MOST_MOVES:
            page.add(bullet(f"{number(len(item.moves) - _MOST_MOVES, 'more move')}: --format json"))


def _owned(item: Takeover) -> str:
    vips = join(item.vips[:_MOST_VIPS])
    if len(item.vips) > _MOST_VIPS:
        vips += f" and {len(item.vips) - _MOST_VIPS} more"
    by = f"VRRP version {item.protocol[-1]}, virtual router {item.vrid}" if item.vrid is not None else "announcements"
    names = [escape(name) for name, _ in groupby(reign.owner.name for reign in item.owners)]  # merged parts repeat it
    order = " → ".join(names[:_MOST_ROWS]) + (" → ..." if len(names) > _MOST_ROWS else "")
    return f"{vips} ({by}): {order or 'owner not seen'}" + ("" if item.moves or len(names) > 1 else ", no takeover")


def _name(owner: Owner | None) -> str:
    if owner is None:
        return "an owner that no tap shows"
    shown = owner.ip if owner.ip is not None and owner.ip != owner.name else owner.mac
    return escape(owner.name) + (f" ({escape(shown)})" if shown is not None and shown != owner.name else "")


def _show_move(page: Page, move: Move) -> None:
    why = _REASONS[move.reason]
    page.add(bullet(f"from {_name(move.old)} to {_name(move.new)}" + (f", {why}" if why else "")), indent=2)
    table = plain_table("ms", "what", "frame", right=("ms",), whole=("frame",))
    for event in move.events[:_MOST_ROWS]:
        times = f", {event.count} times" if event.count > 1 else ""
        table.add_row(
            f"{event.relative_ms:+,.1f}",
            escape(event.text) + times,
            f"{escape(event.frame.file.rsplit('/', 1)[-1])}:{event.frame.frame}",
        )
    if move.events:
        page.add(table, indent=6)
    if move.taps:
        seen = ", ".join(f"{escape(sight.tap)} {sight.announcements}" for sight in move.taps[:_MOST_ROWS])
        by = f", as sent by {escape(' or '.join(move.senders.rsplit(', ', 1)))}" if move.senders else ""
        page.add(bullet(f"announcements seen: {seen}{by}"), indent=4)
    for client in move.clients[:_MOST_ROWS]:
        long = "until the capture ends" if client.blackout_ms is None else f"for {client.blackout_ms:,.0f} ms"
        page.add(
            bullet(f"client {escape(client.client)}: {number(client.requests, 'request')} in vain {long}"), indent=4
        )
    if len(move.clients) > _MOST_ROWS:
        page.add(bullet(f"{len(move.clients) - _MOST_ROWS} more clients"), indent=4)
