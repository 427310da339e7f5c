"""The packet pictures, in the order in which they are looked for: what is proven by one packet before what is inferred
from silence."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.diagnosis import Picture

PICTURES: Final[tuple[Picture, ...]] = ()
