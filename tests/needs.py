"""What a test needs of the machine: without it the test is skipped, and says what is missing.

`make test` installs the programs where it may, so that nothing is skipped on a machine with root and namespaces.
"""

from __future__ import annotations

import shutil

import pytest


def present(lacking: str | None) -> pytest.MarkDecorator:
    """The mark of tests that cannot run for the reason `lacking`, if there is one."""
    return pytest.mark.skipif(lacking is not None, reason=str(lacking))


def program(name: str) -> pytest.MarkDecorator:
    """The mark of tests that run a program."""
    return present(None if shutil.which(name) else f"{name} is not installed")
