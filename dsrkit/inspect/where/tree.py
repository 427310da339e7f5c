"""What a filter expression says: tests of fields, put together by and, or, xor and not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from dsrkit.classes import dataclass
from dsrkit.inspect.fields import Reference

Order = Literal["==", "<", "<=", ">", ">="]
Sign = Literal["&", "+", "-"]
How = Literal["&&", "||", "^^"]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`: one, or those of a network, or as written. Addresses are numbers of 128 bits."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a calculation."""

    value: int


@dataclass(frozen=True, slots=True)
class Combined:
    """Two operands, calculated with."""

    sign: Sign
    left: Operand
    right: Operand


Operand: TypeAlias = Reference | Number | Combined


@dataclass(frozen=True, slots=True)
class Present:
    """A field or header is there; one that is a single bit, or a calculation, is not 0."""

    what: Operand


@dataclass(frozen=True, slots=True)
class Compare:
    """Any value of a field (every one, if `every`) stands in an order to a constant; `negated` tests the opposite of
    each value."""

    what: Operand
    order: Order
    than: Range
    every: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class CompareFields:
    """The same with the values of another field: any pair, or every one."""

    what: Operand
    order: Order
    than: Operand
    every: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """Any value is in one of the ranges."""

    what: Operand
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Any text (or octets, as text of one character each) is found by a pattern; `every` and `negated` as above."""

    what: Reference
    pattern: re.Pattern[str]
    every: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    of: Expression


@dataclass(frozen=True, slots=True)
class Joined:
    """Several, of which all, any, or an odd number must hold."""

    how: How
    parts: tuple[Expression, ...]


Test: TypeAlias = Present | Compare | CompareFields | Member | Text
Expression: TypeAlias = Test | Not | Joined


def leaves(what: Operand) -> Iterator[Reference]:
    """The fields of an operand."""
    if isinstance(what, Reference):
        yield what
    elif isinstance(what, Combined):
        yield from leaves(what.left)
        yield from leaves(what.right)


def fields_of(expression: Expression) -> Iterator[Reference]:
    """Every field that an expression tests."""
    if isinstance(expression, Not):
        yield from fields_of(expression.of)
    elif isinstance(expression, Joined):
        for part in expression.parts:
            yield from fields_of(part)
    else:
        yield from leaves(expression.what)
        if isinstance(expression, CompareFields):
            yield from leaves(expression.than)
