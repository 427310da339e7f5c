"""How load spreads over real servers."""

from __future__ import annotations

from dsrkit.verify.observer import Observer


class LoadSpread(Observer):
    """How load spreads over real servers."""

    name = "spread"
