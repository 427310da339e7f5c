"""Which frames an expression selects: by columns for a window at once, by taking frames apart where columns are silent.

Every test is answered for all rows by columns as far as they know: yes, no, or open. Open are the rows of which only
the dissector, or the text of a role, can tell; `and`, `or` and `not` are carried through with three values, so that
only the rows whose answer depends on an open test are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.fields import Reference
from dsrkit.inspect.where.compare import Value, address, calculated, holds, holds_value, integer, scalar, signed
from dsrkit.inspect.where.silence import COUNTED, silent
from dsrkit.inspect.where.tree import (
    Combined,
    Compare,
    CompareFields,
    Expression,
    Joined,
    Not,
    Number,
    Operand,
    Present,
    Test,
    Text,
    leaves,
)
from dsrkit.wire.columns import Array, Mask


@dataclass(frozen=True, slots=True)
class Known:
    """What columns say of every row: `yes`, or `open`; the rest is no."""

    yes: Mask
    open: Mask


class Selection:
    """One batch under an expression: `rows` in order, each as soon as it is known."""

    def __init__(self, expression: Expression, batch: Batch) -> None:
        self._batch = batch
        self._expression = expression
        self._known: dict[int, Known] = {}

    def rows(self, among: Mask | None = None) -> Iterator[int]:
        """Rows that are selected, of those `among`."""
        known = self._ask(self._expression)
        candidates = known.yes | known.open if among is None else (known.yes | known.open) & among
        for i in np.flatnonzero(candidates).tolist():
            if known.yes[i] or self._decide(self._expression, i):
                yield i

    # --- by columns -----------------------------------------------------------------------------------------------

    def _ask(self, expression: Expression) -> Known:
        if isinstance(expression, Not):
            part = self._ask(expression.of)
            known = Known(~part.yes & ~part.open, part.open)
        elif isinstance(expression, Joined):
            known = _joined(expression.how, [self._ask(part) for part in expression.parts])
        else:
            known = self._test(expression)
        self._known[id(expression)] = known
        return known

    def _test(self, test: Test) -> Known:
        nowhere = np.zeros(len(self._batch), bool)
        if isinstance(test, Present) and isinstance(test.what, Reference):
            return self._presence(test.what)
        if isinstance(test, Text):
            return Known(nowhere, silent(self._batch, [test.what]))
        parts = [test.what, test.than] if isinstance(test, CompareFields) else [test.what]
        open_ = silent(self._batch, [leaf for part in parts for leaf in leaves(part)])
        some, every = nowhere.copy(), ~nowhere
        for values in product(*(self._columns(part) for part in parts)):
            there = np.logical_and.reduce([mask for mask, _ in values])
            right = holds(test, [column for _, column in values])
            some |= there & right
            every &= ~there | right
            nowhere = nowhere | there
        asks_all = isinstance(test, Compare | CompareFields) and test.every
        yes = every & nowhere if asks_all else some
        return Known(yes & ~open_, open_)

    def _presence(self, what: Reference) -> Known:
        open_ = silent(self._batch, [what])
        yes = np.zeros(len(self._batch), bool)
        if what.row:
            rec = self._batch.window.rec
            if what.name in COUNTED:
                return Known(np.not_equal(rec[COUNTED[what.name]], 0), yes)
            return Known(~open_, open_)
        for name in what.columns:
            if what.is_layer:
                yes |= self._batch.columns.present(name)
            else:
                mask, values = self._batch.column(name)
                yes |= mask & (values != 0) if what.kind == "flag" else mask
        return Known(yes & ~open_, open_)

    def _columns(self, what: Operand) -> list[tuple[Mask, Array]]:
        """Where each value of an operand is there, and what it is."""
        everywhere = np.ones(len(self._batch), bool)
        if isinstance(what, Number):
            return [(everywhere, np.full(len(self._batch), what.value, np.int64))]
        if isinstance(what, Combined):
            return [
                (at & there, calculated(what.sign, signed(left), signed(right)))
                for (at, left), (there, right) in product(self._columns(what.left), self._columns(what.right))
            ]
        if what.row:
            return [] if what.kind == "text" else [(everywhere, self._batch.numbers(what.name))]
        return [(mask, address(values, what)) for mask, values in map(self._batch.column, what.columns)]

    # --- one by one -----------------------------------------------------------------------------------------------

    def _decide(self, expression: Expression, i: int) -> bool:
        known = self._known[id(expression)]
        if not known.open[i]:
            return bool(known.yes[i])
        if isinstance(expression, Not):
            return not self._decide(expression.of, i)
        if isinstance(expression, Joined):
            answers = (self._decide(part, i) for part in expression.parts)
            if expression.how == "^^":
                return sum(answers) % 2 == 1
            return all(answers) if expression.how == "&&" else any(answers)
        return self._tested(expression, i)

    def _tested(self, test: Test, i: int) -> bool:
        if isinstance(test, Present) and isinstance(test.what, Reference):
            return self._is_there(test.what, i)
        parts = [test.what, test.than] if isinstance(test, CompareFields) else [test.what]
        answers = [holds_value(test, values) for values in product(*(self._values(part, i) for part in parts))]
        asks_all = isinstance(test, Compare | CompareFields | Text) and test.every
        return bool(answers) and all(answers) if asks_all else any(answers)

    def _is_there(self, what: Reference, i: int) -> bool:
        if what.row:
            return bool(self._batch.texts(what.name, i))
        taken = self._batch.dissection(i)
        for layer in taken.layers:
            if layer.quoted or what.number not in (None, layer.number):
                continue
            if what.is_layer and layer.name in what.deep:
                return True
            for field in layer.fields:
                one_bit = field.mask.bit_count() == 1
                if field.name in what.deep and (field.value or not one_bit):
                    return True
        return False

    def _values(self, what: Operand, i: int) -> list[Value]:
        """Every value of an operand in one frame."""
        if isinstance(what, Number):
            return [what.value]
        if isinstance(what, Combined):
            pairs = product(self._values(what.left, i), self._values(what.right, i))
            return [calculated(what.sign, int(left), int(right)) for left, right in pairs]
        if what.row:
            if what.kind == "text":
                return list(self._batch.texts(what.name, i))
            return [int(self._batch.numbers(what.name)[i])]
        if not what.deep:
            found = (self._batch.column(name) for name in what.columns)
            return [integer(values[i]) for mask, values in found if mask[i]]
        return [
            scalar(what, field.value)
            for layer in self._batch.dissection(i).layers
            if not layer.quoted and what.number in (None, layer.number)
            for field in layer.fields
            if field.name in what.deep
        ]


def _joined(how: str, parts: list[Known]) -> Known:
    if how == "&&":
        yes = np.logical_and.reduce([part.yes for part in parts])
        return Known(yes, np.logical_and.reduce([part.yes | part.open for part in parts]) & ~yes)
    if how == "||":
        yes = np.logical_or.reduce([part.yes for part in parts])
        return Known(yes, np.logical_or.reduce([part.open for part in parts]) & ~yes)
    open_ = np.logical_or.reduce([part.open for part in parts])
    return Known(np.logical_xor.reduce([part.yes for part in parts]) & ~open_, open_)
