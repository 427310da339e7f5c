"""Health checks of real servers."""

from __future__ import annotations

from dsrkit.verify.observer import Observer


class HealthChecks(Observer):
    """Health checks of real servers."""

    name = "health_checks"
