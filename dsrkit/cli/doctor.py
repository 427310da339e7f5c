"""`dsrkit doctor`: which parts this computer has, and what each is needed for."""

from __future__ import annotations

import sys

import typer

from dsrkit.cli.common import user_errors, write


def command() -> None:
    """Show which programs, kernel parts and Python packages are here, and which modes a lab can build with them.

    Nothing is changed or loaded. Exit codes: 0 if a lab of every mode can run here, 1 if of some modes only.
    """
    with user_errors():
        from dsrkit.lab.doctor import examined

        found = examined()
        write(sys.stdout, found.text())
    raise typer.Exit(0 if found.complete else 1)
