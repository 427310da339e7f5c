"""Mechanisms: what balances load, or moves it, without being one packet rewritten at one hop.

Each is an observer of the packets that `dsrkit.verify` goes through; the order is that in which they conclude, so that
a later one may lean on what an earlier one found (`Told.sections`). What they check is in `dsrkit.tables.checks`.
"""

from __future__ import annotations

from typing import Final

from dsrkit.mechanisms.dns import DnsRoundRobin
from dsrkit.mechanisms.health import HealthChecks
from dsrkit.mechanisms.sessions import ProxySessions
from dsrkit.mechanisms.spread import LoadSpread
from dsrkit.mechanisms.takeover import Takeovers
from dsrkit.verify.observer import Observer

MECHANISMS: Final[tuple[type[Observer], ...]] = (HealthChecks, ProxySessions, DnsRoundRobin, Takeovers, LoadSpread)
