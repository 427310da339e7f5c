"""The two sessions of a proxy."""

from __future__ import annotations

from dsrkit.verify.observer import Observer


class ProxySessions(Observer):
    """The two sessions of a proxy."""

    name = "sessions"
