"""All entries of the catalogue, found by code or by name."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.catalogue import arp, cap, dns, dsc, dsr, hck, nat, prx, tun
from dsrkit.diagnose.entry import Entry

ENTRIES: Final[dict[str, Entry]] = {
    entry.code: entry for area in (arp, nat, dsr, tun, dsc, dns, hck, prx, cap) for entry in area.ENTRIES
}
"""Every entry by its code, in the order of the catalogue."""

BY_NAME: Final[dict[str, Entry]] = {entry.name: entry for entry in ENTRIES.values()}
