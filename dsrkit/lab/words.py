"""The words that the lab knows, without the weight of what they stand for: the command line reads them at once."""

from __future__ import annotations

from typing import Final

ENGINES: Final = ("auto", "host", "uml")
FLOWS: Final = 12
