"""`python -m dsrkit`."""

from __future__ import annotations

from dsrkit.cli.entry import main

main()
