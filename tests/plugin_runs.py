"""Test suites of users, for tests: with the plugin as an installed package brings it, or named where it is not."""

from __future__ import annotations

import importlib.metadata
from typing import Final

import pytest

import dsrkit.testing.bench

# A run in this process gives back the modules that it loads, and numpy cannot be loaded twice: all are loaded before.
import dsrkit.testing.golden
import dsrkit.testing.verdict  # noqa: F401

INSTALLED: Final = any(
    entry.value == "dsrkit.pytest_plugin" for entry in importlib.metadata.entry_points(group="pytest11")
)
"""Whether pytest finds the plugin by itself, as it does beside an installed package."""
WITH: Final = () if INSTALLED else ("-p", "dsrkit.pytest_plugin")
WITHOUT: Final = ("-p", "no:dsrkit") if INSTALLED else ()
CI: Final = ("CI", "BUILD_NUMBER")


def at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment says that this is CI, or that goldens are to be written."""
    for name in (*CI, "DSRKIT_UPDATE", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)


def failure(result: pytest.RunResult) -> str:
    """What pytest shows of the exceptions of a run, without its marks."""
    return "".join(f"{line[8:].rstrip()}\n" for line in result.outlines if line.startswith("E  ") or line == "E")
