"""The sections of a report: what each mechanism found, as plain typed data, one file per mechanism."""

from __future__ import annotations

from typing import Final

from dsrkit.model.sections.base import Section
from dsrkit.model.sections.dns import Dns
from dsrkit.model.sections.health_check import HealthCheck
from dsrkit.model.sections.session import Session
from dsrkit.model.sections.spread import Spread
from dsrkit.model.sections.takeover import Takeover

__all__ = ["SECTIONS", "Dns", "HealthCheck", "Section", "Session", "Spread", "Takeover"]

SECTIONS: Final[dict[str, type[Section]]] = {
    "takeovers": Takeover,
    "health_checks": HealthCheck,
    "sessions": Session,
    "dns": Dns,
    "spread": Spread,
}
"""Class of each section by its key in the JSON."""
