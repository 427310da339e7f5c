"""Entries of the area HCK."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="HCK701",
        name="check-misses-data-path",
        severity="warning",
        summary="Check tests RIP, not the VIP path",
        signature="",
        cause="",
    ),
    Entry(
        code="HCK702",
        name="check-answer-from-vip-discarded",
        severity="error",
        summary="Check reply arrives from VIP and LB discards it",
        signature="",
        cause="",
    ),
    Entry(
        code="HCK703",
        name="check-answer-dropped-by-rp-filter",
        severity="error",
        summary="Reply dropped on LB by rp_filter (VIP local there)",
        signature="",
        cause="",
    ),
    Entry(
        code="HCK704",
        name="check-not-tagged",
        severity="error",
        summary="UDP/ICMP checks are not tagged",
        signature="",
        cause="",
    ),
    Entry(code="HCK705", name="check-is-ping-only", severity="warning", summary="Ping-only", signature="", cause=""),
    Entry(
        code="HCK706",
        name="no-real-server",
        severity="error",
        summary="No real server behind the VIP",
        signature="",
        cause="",
    ),
)
