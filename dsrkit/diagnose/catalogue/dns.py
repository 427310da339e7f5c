"""Entries of the area DNS."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="DNS601",
        name="resolver-pins-clients",
        severity="info",
        summary="One resolver/carrier proxy pins many users to one address",
        signature="",
        cause="",
    ),
    Entry(code="DNS602", name="dns-ttl-ignored", severity="warning", summary="TTL ignored", signature="", cause=""),
    Entry(
        code="DNS603",
        name="dead-server-still-answered",
        severity="error",
        summary="Dead server still answered",
        signature="",
        cause="",
    ),
    Entry(
        code="DNS604",
        name="client-reorders-answers",
        severity="info",
        summary="Client reorders answers (RFC 6724 / Happy Eyeballs / sticky)",
        signature="",
        cause="",
    ),
    Entry(code="DNS605", name="answers-not-rotated", severity="info", summary="No rotation", signature="", cause=""),
    Entry(
        code="DNS606",
        name="dns-answer-truncated",
        severity="error",
        summary="RRset incomplete or truncated",
        signature="",
        cause="",
    ),
)
