"""A VIP that moved from one owner to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsrkit.model.json_schema import STRING, Schema, closed


@dataclass(frozen=True, slots=True)
class Takeover:
    """A VIP that moved from one owner to another."""

    SCHEMA: ClassVar[Schema] = closed({"vip": STRING})

    vip: str

    @property
    def key(self) -> object:
        return self.vip

    def merge(self, other: Takeover) -> Takeover:
        """The same one as both parts of a capture set show it."""
        return self

    def to_dict(self) -> dict[str, Any]:
        return {"vip": self.vip}
