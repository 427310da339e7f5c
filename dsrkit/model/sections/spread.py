"""How the load of a service spreads over its real servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsrkit.model.json_schema import STRING, Schema, closed


@dataclass(frozen=True, slots=True)
class Spread:
    """How the load of a service spreads over its real servers."""

    SCHEMA: ClassVar[Schema] = closed({"service": STRING})

    service: str

    @property
    def key(self) -> object:
        return self.service

    def merge(self, other: Spread) -> Spread:
        """The same one as both parts of a capture set show it."""
        return self

    def to_dict(self) -> dict[str, Any]:
        return {"service": self.service}
