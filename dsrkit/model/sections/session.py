"""A client's session at a proxy and the one behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dsrkit.model.json_schema import STRING, Schema, closed


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session at a proxy and the one behind it."""

    SCHEMA: ClassVar[Schema] = closed({"client": STRING})

    client: str

    @property
    def key(self) -> object:
        return self.client

    def merge(self, other: Session) -> Session:
        """The same one as both parts of a capture set show it."""
        return self

    def to_dict(self) -> dict[str, Any]:
        return {"client": self.client}
