"""What stands above the frames: mode, service and machines, and from what they are known."""

from __future__ import annotations

from dsrkit.inspect.head import Known


def heading(known: Known) -> list[str]:
    """A few lines, unescaped."""
    scene = known.scene
    if scene.mode is None:
        return ["no load balancing seen"]
    return [f"mode {scene.mode} ({scene.mode_from})"]
