"""dsrkit: craft, inspect and verify the packets of server load balancing.

Public names load on first use (PEP 562), so that ``import dsrkit`` costs neither numpy nor scapy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsrkit.craft.api import craft
    from dsrkit.craft.forward import forward
    from dsrkit.craft.scenario import Scenario
    from dsrkit.diagnose.explain import explain
    from dsrkit.errors import CaptureError, DsrkitError, MissingDependency, SpecError, UsageError
    from dsrkit.model.report import Finding, Report
    from dsrkit.model.spec import Spec
    from dsrkit.pcaps import pcaps
    from dsrkit.verification import verify
    from dsrkit.wire.capture import Capture, read
    from dsrkit.wire.columns import Columns, decode

__version__ = "0.1.0"

_HOME = {
    "Capture": "dsrkit.wire.capture",
    "CaptureError": "dsrkit.errors",
    "Columns": "dsrkit.wire.columns",
    "DsrkitError": "dsrkit.errors",
    "Finding": "dsrkit.model.report",
    "MissingDependency": "dsrkit.errors",
    "Report": "dsrkit.model.report",
    "Scenario": "dsrkit.craft.scenario",
    "Spec": "dsrkit.model.spec",
    "SpecError": "dsrkit.errors",
    "UsageError": "dsrkit.errors",
    "craft": "dsrkit.craft.api",
    "decode": "dsrkit.wire.columns",
    "explain": "dsrkit.diagnose.explain",
    "forward": "dsrkit.craft.forward",
    "pcaps": "dsrkit.pcaps",
    "read": "dsrkit.wire.capture",
    "verify": "dsrkit.verification",
}

__all__ = [
    "Capture",
    "CaptureError",
    "Columns",
    "DsrkitError",
    "Finding",
    "MissingDependency",
    "Report",
    "Scenario",
    "Spec",
    "SpecError",
    "UsageError",
    "__version__",
    "craft",
    "decode",
    "explain",
    "forward",
    "pcaps",
    "read",
    "verify",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'dsrkit' has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `dsrkit.verify`, `craft` and `pcaps` the functions: importing a module would put it in their place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
