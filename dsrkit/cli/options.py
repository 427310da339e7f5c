"""Commands whose options come from tables: the common ones of a dataclass, the rest from craft's table of options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from inspect import Parameter, Signature
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from dsrkit.cli.common import complete
from dsrkit.craft.options import Options, flag
from dsrkit.model.names import MODES

C = TypeVar("C")
Entry = tuple[str, Any, Mapping[str, Any]]
"""Name, default and entry of an option, as `dsrkit.craft.options.options_of` gives them."""


def entries(names: Iterable[str]) -> list[Entry]:
    """The options of these names, whatever their modes."""
    table = {field.name: field for field in fields(Options)}
    return [(name, table[name].default, table[name].metadata) for name in names]


def mode_argument() -> Parameter:
    """The MODE of a command that takes it from the spec as well."""
    argument = typer.Argument(
        metavar="[MODE]",
        show_default=False,
        autocompletion=complete(MODES),
        help=f"The mode, unless the spec says it: {', '.join(MODES)}.",
    )
    return _parameter("mode", Annotated[str | None, argument], None)


def with_options(
    run: Callable[..., None], text: str, common: type[Any], table: Iterable[Entry], first: Iterable[Parameter] = ()
) -> Callable[..., None]:
    """`run` with a signature for typer to read: `first`, the fields of `common`, and the options of `table`."""
    hints = get_type_hints(common, include_extras=True)
    parameters = [
        *first,
        *(_parameter(field.name, hints[field.name], field.default) for field in fields(common)),
        *(_parameter(name, _annotation(name, default, entry), None) for name, default, entry in table),
    ]
    run.__signature__ = Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]  # PEP 362
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = text
    return run


def sorted_out(common: type[C], values: dict[str, Any]) -> tuple[C, dict[str, Any]]:
    """What typer passes to such a command: the common options, and those of the table that were given."""
    shared = common(**{field.name: values.pop(field.name) for field in fields(common)})  # type: ignore[arg-type]
    return shared, {name: value for name, value in values.items() if value not in (None, False, [])}


def _parameter(name: str, annotation: Any, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _annotation(name: str, default: object, entry: Mapping[str, Any]) -> Any:
    """An option of the table for typer: a text, or several, which the table itself will parse; or a switch."""
    kind: Any = bool if isinstance(default, bool) else list[str] if entry["many"] else str
    shown = f"{default / 10**9:g}s" if entry["metavar"] == "TIME" and isinstance(default, int) else str(default)
    text, choices = entry["help"], entry["choices"]
    option = typer.Option(
        flag(name),
        metavar=entry["metavar"],
        help=f"{text.removesuffix('.')} [default: {shown}]." if default else text,
        autocompletion=complete(choices) if choices else None,
    )
    return Annotated[kind | None, option]
