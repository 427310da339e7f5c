"""What a test needs of the machine: without it the test is skipped, but in CI it runs, and fails."""

from __future__ import annotations

import os
import shutil

import pytest

IN_CI = bool(os.environ.get("CI"))


def present(lacking: str | None) -> pytest.MarkDecorator:
    """The mark of tests that cannot run for the reason `lacking`, if there is one."""
    return pytest.mark.skipif(lacking is not None and not IN_CI, reason=str(lacking))


def program(name: str) -> pytest.MarkDecorator:
    """The mark of tests that run a program."""
    return present(None if shutil.which(name) else f"{name} is not installed")
