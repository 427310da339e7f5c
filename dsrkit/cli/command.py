"""Commands that start fast: each is made when it is named, and takes texts as they are.

Reading the options of all commands takes 0.08 s. Typer converts values by pydantic, which takes 0.1 s to load: as long
as it takes to judge some thousand packets. A text needs no conversion, nor does an option that is not given, and a
number in digits little; all else goes typer's way, and so does what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup

_MOST_DIGITS: Final = 19
"""Of a number that needs no closer look."""


class Command(TyperCommand):
    """A command of typer's whose parameters load pydantic only for what has to be converted."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_given(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands that are made when they are named."""

    places: ClassVar[Mapping[str, str]] = {}
    """Names of commands, in the order of ``--help``, and where each is: module below `dsrkit.cli`, name in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands(self.places, self.commands)

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_given(super().get_params(ctx))


class _Commands(MutableMapping[str, Any]):
    """Commands by name; one of `places` is made when it is asked for."""

    def __init__(self, places: Mapping[str, str], made: Mapping[str, Any]) -> None:
        self._places = places
        self._made = dict(made)

    def __getitem__(self, name: str) -> Any:
        if name not in self._made and name in self._places:
            self._made[name] = _command(name, *self._places[name].split(":"))
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._places, *self._made)))

    def __len__(self) -> int:
        return len({*self._places, *self._made})


def _command(name: str, module: str, attribute: str) -> Any:
    found = getattr(import_module(f"dsrkit.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, cls=Command)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command


def _as_given(params: list[Any]) -> list[Any]:
    for param in params:
        convert = getattr(param, "get_runtime_param", None)  # versions before pydantic have none
        if convert is not None and "get_runtime_param" not in vars(param):
            vars(param)["get_runtime_param"] = _AsGiven(convert).itself
    return params


@dataclass(frozen=True)
class _AsGiven:
    """A parameter's conversion, made when a value is neither absent nor text nor a plain number."""

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
            if wanted.annotation is int and _is_number(value, wanted.parameter_info):
                return int(value)
        return self.convert().coerce(value, param=param, ctx=ctx)


def _is_number(value: Any, option: Any) -> bool:
    """Whether a text is a number, in digits alone and few of them, that an option admits."""
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _MOST_DIGITS):
        return False
    return (option.min is None or int(value) >= option.min) and (option.max is None or int(value) <= option.max)
