"""What ``import cython`` answers while a module of ours is interpreted: names that do nothing, no Cython needed.

The compiled modules, which setup.py names, are written in Cython's pure Python mode. Compiled, their ``import cython``
vanishes; interpreted, `load` lets it find this module, which is cheaper to import than Cython's own shadow and always
there.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Type:
    """A C type: usable in an annotation, subscripted to a memoryview type; calling it changes nothing."""

    def __getitem__(self, shape: object) -> _Type:
        return self

    def __call__(self, value: _T) -> _T:
        return value


uchar = ushort = uint = ulonglong = int = longlong = Py_ssize_t = bint = void = _Type()
compiled = False


def _keep(function: _T) -> _T:
    return function


cfunc = cclass = final = inline = _keep


class _NoGil:
    """``cython.nogil`` as a decorator and as a context: nothing to release when interpreted."""

    def __call__(self, function: _T) -> _T:
        return function

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


nogil = _NoGil()


def exceptval(value: object = None, *, check: bool = False) -> Callable[[_T], _T]:
    """The value that means an exception when compiled; interpreted exceptions are just raised."""
    return _keep


def boundscheck(on: bool) -> Callable[[_T], _T]:
    """Whether compiled indexing is checked; interpreted it always is."""
    return _keep


def declare(kind: object, value: Any = None) -> Any:
    """A typed module variable: interpreted, its value."""
    return value


@contextlib.contextmanager
def _standing_in() -> Iterator[None]:
    """Let ``import cython`` find this module for a while."""
    before = sys.modules.get("cython")
    sys.modules["cython"] = sys.modules[__name__]
    try:
        yield
    finally:
        if before is None:
            del sys.modules["cython"]
        else:
            sys.modules["cython"] = before


def _source_of(name: str) -> str:
    """Path of the Python source of a module whose extension may shadow it."""
    package, _, leaf = name.rpartition(".")
    paths = importlib.import_module(package).__path__
    return f"{next(iter(paths))}/{leaf}.py"


def load(name: str, *, interpreted: bool = False) -> tuple[ModuleType, str]:
    """A module of the compiled dialect and its backend, ``"compiled"`` or ``"interpreted"``.

    The compiled extension is taken where it was built; else, or when asked, the same source is interpreted, under
    another module name when asked for, so that both can be used side by side.
    """
    if not interpreted:
        with _standing_in():
            module = importlib.import_module(name)
        is_source = str(getattr(module, "__file__", "")).endswith((".py", ".pyc"))
        return module, "interpreted" if is_source else "compiled"
    alias = f"{name}__interpreted"
    if alias in sys.modules:
        return sys.modules[alias], "interpreted"
    spec = importlib.util.spec_from_file_location(alias, _source_of(name))
    if spec is None or spec.loader is None:
        raise ImportError(f"no source of {name} to interpret")
    module = importlib.util.module_from_spec(spec)
    with _standing_in():
        spec.loader.exec_module(module)
    sys.modules[alias] = module
    return module, "interpreted"
