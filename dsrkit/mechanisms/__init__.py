"""Mechanisms: what balances load, or moves it, without being one packet rewritten at one hop.

Each is an observer of the packets that `dsrkit.verify` goes through; the order is that in which they conclude, so that
a later one may lean on what an earlier one found (`Told.sections`).
"""

from __future__ import annotations

from typing import Final

from dsrkit.mechanisms.dns import DnsRoundRobin
from dsrkit.mechanisms.dns import checks as dns_checks
from dsrkit.mechanisms.health import HealthChecks
from dsrkit.mechanisms.health import checks as health_checks
from dsrkit.mechanisms.sessions import ProxySessions
from dsrkit.mechanisms.sessions import checks as sessions_checks
from dsrkit.mechanisms.spread import LoadSpread
from dsrkit.mechanisms.spread import checks as spread_checks
from dsrkit.mechanisms.takeover import Takeovers
from dsrkit.mechanisms.takeover import checks as takeover_checks
from dsrkit.model.names import MODES
from dsrkit.verify.observer import Observer

MECHANISMS: Final[tuple[type[Observer], ...]] = (HealthChecks, ProxySessions, DnsRoundRobin, Takeovers, LoadSpread)


def cell_ids() -> list[str]:
    """The id of every check of the mechanisms: what stands beside the cells of the rewrite tables in a report."""
    anywhere = (health_checks, sessions_checks, dns_checks, takeover_checks)
    kept = [f"{mode}.{check}" for mode in MODES for check in spread_checks.CHECKS]
    return [*(check for checks in anywhere for check in checks.CHECKS), *kept]
