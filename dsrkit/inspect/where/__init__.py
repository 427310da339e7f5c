"""Filters: Wireshark's display filters over our field names, compiled to columns; nothing is evaluated as Python.

>>> compiled = compile_filter("ip.dst#2 == 203.0.113.10 and tcp.flags.syn")
>>> compiled.asks_roles
False
"""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.classes import dataclass
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.fields import DESCRIBED
from dsrkit.inspect.where.select import Selection
from dsrkit.inspect.where.syntax import parse
from dsrkit.inspect.where.tree import Expression, fields_of
from dsrkit.wire.columns import Mask


@dataclass(frozen=True)
class Filter:
    """An expression that is understood. `asks_roles`: it needs batches that are described."""

    expression: Expression
    asks_roles: bool

    def rows(self, batch: Batch, among: Mask | None = None) -> Iterator[int]:
        """The rows of a batch that it selects, of those `among`, each as soon as it is known."""
        return Selection(self.expression, batch).rows(among)


def compile_filter(text: str) -> Filter:
    """Understand an expression.

    Raises: WhereError, with the place of the mistake.
    """
    expression = parse(text)
    return Filter(expression, any(field.name in DESCRIBED for field in fields_of(expression)))
