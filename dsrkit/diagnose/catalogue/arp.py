"""Entries of the area ARP."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = ()
