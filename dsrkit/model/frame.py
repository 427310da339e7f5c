"""A frame of a capture file, as findings and sections name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class FrameRef:
    """A frame, numbered from 1 as in tshark."""

    file: str
    frame: int

    def to_dict(self) -> dict[str, Any]:
        return {"file": self.file, "frame": self.frame}
