"""A health check of one real server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsrkit.model.json_schema import STRING, Schema, closed


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A health check of one real server."""

    SCHEMA: ClassVar[Schema] = closed({"server": STRING})

    server: str

    @property
    def key(self) -> object:
        return self.server

    def merge(self, other: HealthCheck) -> HealthCheck:
        """The same one as both parts of a capture set show it."""
        return self

    def to_dict(self) -> dict[str, Any]:
        return {"server": self.server}
