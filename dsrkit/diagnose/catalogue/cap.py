"""Entries of the area CAP."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = ()
