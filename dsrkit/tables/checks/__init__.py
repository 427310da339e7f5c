"""What the mechanisms check, by the ids that stand in reports beside those of the rewrite tables' cells."""

from __future__ import annotations

from typing import Final

from dsrkit.model.names import REWRITES
from dsrkit.tables.checks import dns, health, sessions, spread, takeover
from dsrkit.tables.checks.check import Check

CHECKS: Final[dict[str, Check]] = {
    **health.CHECKS,
    **sessions.CHECKS,
    **dns.CHECKS,
    **takeover.CHECKS,
    **{f"{mode}.{check}": what for mode in REWRITES for check, what in spread.CHECKS.items()},
}
