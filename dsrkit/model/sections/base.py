"""What every entry of a section can do."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from dsrkit.model.json_schema import Schema


class Section(Protocol):
    """One entry of a section; entries with one `key` are the same thing seen in parts of a capture set."""

    SCHEMA: ClassVar[Schema]

    @property
    def key(self) -> object: ...

    def merge(self, other: Any, /) -> Any: ...

    def to_dict(self) -> dict[str, Any]: ...
