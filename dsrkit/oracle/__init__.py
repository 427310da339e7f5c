"""Other decoders that read the same frames: a second opinion on ours."""

from __future__ import annotations

from typing import Final

ORACLES: Final = ("tshark", "dpkt")
"""Their names."""
