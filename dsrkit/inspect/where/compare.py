"""Whether values stand as a test wants them: for whole columns, and for the values of one frame."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dsrkit.inspect.fields import Reference
from dsrkit.inspect.where.tree import Compare, CompareFields, Member, Order, Range, Test, Text
from dsrkit.wire.address import V4_MAPPED, ip_halves, mac_int
from dsrkit.wire.columns import ADDRESS, Array, Mask

Value = int | str
_MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF

_ORDERS: Final[dict[Order, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# --- columns ----------------------------------------------------------------------------------------------------------


def holds(test: Test, columns: list[Array]) -> Mask:
    """Where a test holds for values."""
    values = columns[0]
    if isinstance(test, CompareFields):
        related = _paired(test.order, *columns)
        return ~related if test.negated else related
    if isinstance(test, Member):
        mask: Mask = np.logical_or.reduce([_ranged("==", values, one) for one in test.ranges])
        return mask
    if isinstance(test, Compare):
        related = _ranged(test.order, values, test.than)
        return ~related if test.negated else related
    return np.not_equal(values, 0)


def _ranged(order: Order, values: Array, than: Range) -> Mask:
    """Values against a constant: less than its lowest number, greater than its highest, or within."""
    if order == "==":
        return _at_least(values, than.low) & ~_at_least(values, than.high + 1)
    if order in ("<", ">="):
        below = ~_at_least(values, than.low)
        return below if order == "<" else ~below
    above = _at_least(values, than.high + 1)
    return above if order == ">" else ~above


def _at_least(values: Array, bound: int) -> Mask:
    """Where values reach a number of any size."""
    if values.dtype == ADDRESS:
        if bound >> 128:
            return np.zeros(len(values), bool)
        high, low = np.uint64(bound >> 64), np.uint64(bound & _MASK64)
        reached: Mask = (values["hi"] > high) | ((values["hi"] == high) & (values["lo"] >= low))
        return reached
    limits = np.iinfo(values.dtype)
    if not limits.min < bound <= limits.max:
        return np.full(len(values), bound <= limits.min)
    mask: Mask = np.greater_equal(values, values.dtype.type(bound))
    return mask


def _paired(order: Order, left: Array, right: Array) -> Mask:
    if left.dtype != ADDRESS:
        mask: Mask = _ORDERS[order](signed(left), signed(right))
        return mask
    same = np.equal(left["hi"], right["hi"])
    strict: Order = "<" if order[0] == "<" else ">"
    if order == "==":
        equal: Mask = same & np.equal(left["lo"], right["lo"])
        return equal
    mask = np.where(same, _ORDERS[order](left["lo"], right["lo"]), _ORDERS[strict](left["hi"], right["hi"]))
    return mask


def address(values: Array, what: Reference) -> Array:
    """IPv4 columns as those that may hold IPv6."""
    if what.kind != "ip" or values.dtype == ADDRESS:
        return values
    halves = np.zeros(len(values), ADDRESS)
    halves["lo"] = np.uint64(V4_MAPPED) | values.astype(np.uint64)
    return halves


def signed(values: Array) -> Array:
    return values.astype(np.int64)


def calculated(sign: str, left: Any, right: Any) -> Any:
    if sign == "&":
        return left & right
    return left + right if sign == "+" else left - right


# --- single values ----------------------------------------------------------------------------------------------------


def holds_value(test: Test, values: tuple[Value, ...]) -> bool:
    """Whether a test holds for one value, or one pair."""
    value = values[0]
    if isinstance(test, Text):
        return (test.pattern.search(str(value)) is not None) != test.negated
    if isinstance(test, CompareFields):
        return bool(_ORDERS[test.order](value, values[1])) != test.negated
    number = int(value)
    if isinstance(test, Member):
        return any(one.low <= number <= one.high for one in test.ranges)
    if isinstance(test, Compare):
        return _ranged_value(test.order, number, test.than) != test.negated
    return number != 0


def _ranged_value(order: Order, value: int, than: Range) -> bool:
    if order == "==":
        return than.low <= value <= than.high
    if order in ("<", ">="):
        return (value < than.low) == (order == "<")
    return (value > than.high) == (order == ">")


def scalar(what: Reference, value: int | str | bytes) -> Value:
    """A dissected value as the rows have it: addresses as numbers, octets as text of one character each."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str) and what.kind in ("ip", "mac"):
        if what.kind == "mac":
            return mac_int(value)
        high, low = ip_halves(value)
        return high << 64 | low
    return value


def integer(value: npt.NDArray[Any] | Any) -> int:
    if value.dtype == ADDRESS:
        return int(value["hi"]) << 64 | int(value["lo"])
    return int(value)
