"""Entries of the area PRX."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="PRX801",
        name="proxy-header-not-agreed",
        severity="error",
        summary="PROXY header unexpected or missing",
        signature="",
        cause="",
    ),
    Entry(
        code="PRX802",
        name="transparent-without-return-path",
        severity="error",
        summary="Session 2 source not LB",
        signature="",
        cause="",
    ),
    Entry(
        code="PRX803",
        name="idle-timeouts-differ",
        severity="error",
        summary="One side's idle timeout shorter",
        signature="",
        cause="",
    ),
    Entry(
        code="PRX804",
        name="one-session-through-proxy",
        severity="error",
        summary="It is called L7 but one TCP session spans both sides",
        signature="",
        cause="",
    ),
    Entry(
        code="PRX805",
        name="server-refuses-proxy",
        severity="error",
        summary="A real server refuses the proxy",
        signature="",
        cause="",
    ),
)
