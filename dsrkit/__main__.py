"""`python -m dsrkit`."""

from __future__ import annotations

from dsrkit.cli.main import main

main()
