"""Assertions about packets for test suites, with pytest (`dsrkit.pytest_plugin`) or without.

Every assertion fails with an `AssertionError` that says what is wrong, field by field; what the caller got wrong is a
`DsrkitError`. Names load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsrkit.testing.bench import Bench, scenario
    from dsrkit.testing.forwarded import assert_forwarded
    from dsrkit.testing.frames import assert_frames
    from dsrkit.testing.golden import Goldens, assert_golden
    from dsrkit.testing.verdict import assert_verified

_HOME = {
    "Bench": "dsrkit.testing.bench",
    "Goldens": "dsrkit.testing.golden",
    "assert_forwarded": "dsrkit.testing.forwarded",
    "assert_frames": "dsrkit.testing.frames",
    "assert_golden": "dsrkit.testing.golden",
    "assert_verified": "dsrkit.testing.verdict",
    "scenario": "dsrkit.testing.bench",
}

__all__ = ["Bench", "Goldens", "assert_forwarded", "assert_frames", "assert_golden", "assert_verified", "scenario"]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'dsrkit.testing' has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
