"""The rewrite tables: what every node of every mode does to every header field, as data only; `checks` has what holds
beside them.

`craft` writes by them, `verify` judges by them, the docs print them. Nothing here knows bytes, arrays or captures.
"""

from __future__ import annotations

from dsrkit.tables import fullnat, l2dsr, l3dsr_dscp, l3dsr_tunnel, nat, path
from dsrkit.tables.nodes import ModeTables

PROFILES = ("ipvs", "katran", "glb", "cilium", "generic")
"""Implementations whose header habits are known; ``any`` accepts the union."""

MODES: dict[str, ModeTables] = {t.TABLES.mode: t.TABLES for t in (nat, fullnat, l2dsr, l3dsr_tunnel, l3dsr_dscp, path)}


def tables(mode: str | None) -> ModeTables:
    """The tables of a mode; those of a bare path where the mode is not known."""
    return MODES[mode or "path"]
