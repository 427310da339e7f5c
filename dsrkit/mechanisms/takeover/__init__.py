"""Who owns each VIP over time, and takeovers."""

from __future__ import annotations

from dsrkit.verify.observer import Observer


class Takeovers(Observer):
    """Who owns each VIP over time, and takeovers."""

    name = "takeovers"
