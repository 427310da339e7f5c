"""Which form of the scan runs: the compiled module where it was built, else the same source, interpreted."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Final

from dsrkit.wire import _cython

GUE_PORTS: Final = frozenset({6080, 9886, 19523})
"""UDP ports that are GUE unless said otherwise: IANA's (and Linux IPVS'), katran's, GLB's."""

INTERPRETED_NOTE: Final = (
    "the scan is interpreted, hundreds of times slower: the compiled module dsrkit.wire.scan was not built"
)


@functools.cache
def load(*, interpreted: bool = False) -> ModuleType:
    """The scan's module; `interpreted` gives the interpreted one even where the compiled one exists."""
    return _cython.load("dsrkit.wire.scan", interpreted=interpreted)[0]


@functools.cache
def backend() -> str:
    """``"compiled"`` or ``"interpreted"``: what `load` gives by itself."""
    return _cython.load("dsrkit.wire.scan")[1]
