"""Command-line options made from craft's table of them."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter
from typing import Annotated, Any

import typer

from dsrkit.cli.common import complete
from dsrkit.craft.options import flag


def parameter(name: str, annotation: Any, default: object) -> Parameter:
    """A parameter of a command's function, for its signature, which typer reads."""
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def annotation(name: str, default: object, entry: Mapping[str, Any]) -> Any:
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
