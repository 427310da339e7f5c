"""Commands that take texts as they are.

Typer converts values by pydantic, which takes 0.1 s to load: as long as it takes to judge some thousand packets. A text
needs no conversion, nor does an option that is not given; all else goes typer's way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command of typer's whose parameters load pydantic only for what has to be converted."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_given(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands of that kind."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_given(super().get_params(ctx))


def _as_given(params: list[Any]) -> list[Any]:
    for param in params:
        convert = getattr(param, "get_runtime_param", None)  # versions before pydantic have none
        if convert is not None and "get_runtime_param" not in vars(param):
            vars(param)["get_runtime_param"] = _AsGiven(convert).itself
    return params


@dataclass(frozen=True)
class _AsGiven:
    """A parameter's conversion, made when a value is neither absent nor text."""

    convert: Callable[[], Any]

    def itself(self) -> _AsGiven:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        wanted = param.type_descriptor
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if wanted.parameter_info.parser is None:
            if wanted.annotation is str and isinstance(value, str):
                return value
            if wanted.annotation == list[str] and isinstance(value, (list, tuple)):
                return list(value)
        return self.convert().coerce(value, param=param, ctx=ctx)
