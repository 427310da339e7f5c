"""A name whose answers spread clients over servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsrkit.model.json_schema import STRING, Schema, closed


@dataclass(frozen=True, slots=True)
class Dns:
    """A name whose answers spread clients over servers."""

    SCHEMA: ClassVar[Schema] = closed({"name": STRING})

    name: str

    @property
    def key(self) -> object:
        return self.name

    def merge(self, other: Dns) -> Dns:
        """The same one as both parts of a capture set show it."""
        return self

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}
