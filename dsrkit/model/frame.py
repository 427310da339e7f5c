"""A frame of a capture file, as findings and sections name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class FrameRef:
    """A frame, numbered from 1 as in tshark."""

    file: str
    frame: int

    def to_dict(self) -> dict[str, Any]:
        return {"file": self.file, "frame": self.frame}


def frame_filter(frames: Sequence[FrameRef]) -> str | None:
    """A display filter for those of the first one's file; numbers of frames mean something in one file only."""
    numbers = sorted({x.frame for x in frames if x.file == frames[0].file})
    return "frame.number in {" + ",".join(map(str, numbers)) + "}" if numbers else None
