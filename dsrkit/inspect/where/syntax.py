"""From the text of a filter expression to what it says, by recursive descent.

``or`` binds least, then ``xor``, ``and``, ``not``, and the tests; inside them ``&`` binds closer than ``+`` and ``-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, cast

from dsrkit.inspect.fields import Reference, reference
from dsrkit.inspect.where.literals import constant, integer
from dsrkit.inspect.where.tokens import Token, WhereError, tokens
from dsrkit.inspect.where.tree import (
    Combined,
    Compare,
    CompareFields,
    Expression,
    How,
    Joined,
    Member,
    Not,
    Number,
    Operand,
    Order,
    Present,
    Range,
    Sign,
    Test,
    Text,
)

DEEPEST: Final = 100
"""Brackets and nots that may stand inside each other."""

_RELATIONS: Final = {
    "==": ("==", False, False),
    "!=": ("==", True, True),
    "===": ("==", True, False),
    "!==": ("==", False, True),
    "<": ("<", False, False),
    "<=": ("<=", False, False),
    ">": (">", False, False),
    ">=": (">=", False, False),
}
"""Sign → order, whether every value must, whether each is negated: as Wireshark 4 has them."""
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TEXTUAL: Final = ("text", "bytes")
_COUNTED: Final = ("int", "flag", "dscp", "tos")
_ADDRESS: Final = re.compile(r"[0-9]|[0-9A-Fa-f]*:")


def parse(expression: str) -> Expression:
    """What an expression says.

    Raises: WhereError, with the place of the mistake.
    """
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = tokens(expression)
        self.at = 0
        self.depth = 0

    # --- tokens -------------------------------------------------------------------------------------------------------

    @property
    def here(self) -> Token:
        return self.tokens[self.at]

    def takes(self, *signs: str) -> str | None:
        """Go on behind an operator, if it is one of these."""
        token = self.here
        if token.kind != "operator" or token.text not in signs:
            return None
        self.at += 1
        return token.text

    def needs(self, sign: str, why: str) -> None:
        if not self.takes(sign):
            raise self.mistake(why)

    def mistake(self, why: str, token: Token | None = None) -> WhereError:
        return WhereError(self.expression, (token or self.here).at, why)

    # --- and, or, not -------------------------------------------------------------------------------------------------

    def whole(self) -> Expression:
        if len(self.tokens) == 1:
            raise self.mistake("the expression is empty")
        said = self.disjunction()
        if self.at < len(self.tokens) - 1:
            raise self.mistake(f"{self.here.text!r} is not expected here; 'and' or 'or' goes between two tests")
        return said

    def disjunction(self) -> Expression:
        return self.joined("||", lambda: self.joined("^^", lambda: self.joined("&&", self.negation)))

    def joined(self, sign: How, part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self.takes(sign):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(sign, tuple(parts))

    def negation(self) -> Expression:
        if not self.takes("!"):
            return self.test()
        return Not(self.deeper(self.negation))

    def deeper(self, part: Callable[[], Expression]) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.mistake(f"more than {DEEPEST} brackets and nots inside each other")
        said = part()
        self.depth -= 1
        return said

    # --- tests --------------------------------------------------------------------------------------------------------

    def test(self) -> Expression:
        if self.takes("("):
            said = self.deeper(self.disjunction)
            self.needs(")", "a closing bracket is missing")
            return said
        every = self.quantifier()
        first = self.here
        left = self.sum()
        if self.takes("!"):  # 'not in', as in Wireshark
            self.needs("in", "only 'in' goes behind 'not' here")
            return Not(self.members(left, first))
        if self.takes("in"):
            return self.members(left, first)
        sign = self.takes("contains", "~")
        if sign:
            return self.textual(left, sign, first, every=bool(every), negated=False)
        sign = self.takes(*_RELATIONS)
        if sign is None:
            return self.present(left, first)
        order, all_of, negated = _RELATIONS[sign]
        said = self.relation(left, cast(Order, order), first, every=all_of if every is None else every, negated=negated)
        if self.here.kind == "operator" and self.here.text in _RELATIONS:
            raise self.mistake("one comparison at a time; join two of them by 'and'")
        return said

    def quantifier(self) -> bool | None:
        """``any`` or ``all`` before a comparison."""
        token = self.here
        if token.kind == "word" and token.text.lower() in ("any", "all") and self.tokens[self.at + 1].kind == "word":
            self.at += 1
            return token.text.lower() == "all"
        return None

    def present(self, left: Operand | Token, first: Token) -> Test:
        if isinstance(left, Token):
            raise self.unknown(left)
        if isinstance(left, Number):
            raise self.mistake("a number alone tests nothing", first)
        return Present(left)

    def relation(self, left: Operand | Token, order: Order, first: Token, *, every: bool, negated: bool) -> Test:
        second = self.here
        kind = left.kind if isinstance(left, Reference) else None
        if isinstance(left, Reference) and left.is_layer:
            raise self.mistake(f"{left.name} is a header, which is there or not; compare one of its fields", first)
        if kind in _TEXTUAL:
            if order != "==":
                raise self.mistake("texts have no order; use ==, != , contains or matches", second)
            return self.textual(left, "==", first, every=every, negated=negated)
        if isinstance(left, Reference) and second.kind in ("word", "text"):
            following = self.tokens[self.at + 1]
            plain = not (following.kind == "operator" and following.text in ("&", "+", "-"))
            if plain and (second.kind == "text" or not self.is_name(left, second)):
                self.at += 1
                return Compare(left, order, self.constant(left, second), every, negated)
        right = self.sum()
        return self.compared(left, order, right, first, second, every=every, negated=negated)

    def compared(
        self,
        left: Operand | Token,
        order: Order,
        right: Operand | Token,
        first: Token,
        second: Token,
        *,
        every: bool,
        negated: bool,
    ) -> Test:
        """A comparison whose right side is no plain constant, or whose left side is one."""
        if isinstance(left, (Token, Number)):
            if isinstance(right, (Token, Number)):
                raise self.unknown(first) if isinstance(left, Token) else self.mistake("no field is compared", first)
            turned = cast(Order, _TURNED.get(order, order))
            if isinstance(right, Reference):
                return Compare(right, turned, self.constant(right, first), every, negated)
            assert isinstance(left, Number)
            return Compare(right, turned, Range(left.value, left.value), every, negated)
        if isinstance(right, Token):
            raise self.unknown(right)
        if isinstance(right, Number):
            return Compare(left, order, Range(right.value, right.value), every, negated)
        kinds = {_family(left), _family(right)}
        if len(kinds) > 1 or kinds & set(_TEXTUAL):
            raise self.mistake("these two cannot be compared with each other", second)
        return CompareFields(left, order, right, every, negated)

    def members(self, left: Operand | Token, first: Token) -> Test:
        self.needs("{", "a set in braces follows 'in': {80, 443, 8000..8010}")
        field = self.field(left, first)
        texts: list[str] = []
        ranges: list[Range] = []
        while not self.takes("}"):
            token = self.here
            if token.kind not in ("word", "text"):
                raise self.mistake("a value, '..' or '}' is expected")
            self.at += 1
            self.takes(",")
            if isinstance(field, Reference) and field.kind in _TEXTUAL:
                texts.append(self.pattern(field, token, "=="))
                continue
            low = self.constant(field, token)
            if self.tokens[self.at - 1].kind != "operator" and self.takes(".."):
                upper = self.here
                self.at += 1
                low = Range(low.low, self.constant(field, upper).high)
                if low.high < low.low:
                    raise self.mistake("the range ends before it begins", token)
                self.takes(",")
            ranges.append(low)
        if texts and isinstance(field, Reference):
            return Text(field, re.compile("|".join(texts), re.DOTALL))
        if not ranges:
            raise self.mistake("the set is empty", self.tokens[self.at - 1])
        return Member(field, tuple(ranges))

    def textual(self, left: Operand | Token | None, sign: str, first: Token, *, every: bool, negated: bool) -> Text:
        field = self.field(left, first)
        if not isinstance(field, Reference) or field.kind not in _TEXTUAL:
            word = "matches" if sign == "~" else sign
            raise self.mistake(f"{word!r} needs a field that is text", first)
        token = self.here
        if token.kind not in ("word", "text"):
            raise self.mistake("a text in quotes is expected")
        self.at += 1
        pattern = self.pattern(field, token, sign)
        try:
            compiled = re.compile(pattern, re.DOTALL | (re.IGNORECASE if sign == "~" else 0))
        except re.error as error:
            raise self.mistake(f"not a regular expression: {error.msg}", token) from None
        except (RecursionError, OverflowError):
            raise self.mistake("a regular expression that is too deep or repeats too often", token) from None
        return Text(field, compiled, every, negated)

    def pattern(self, field: Reference, token: Token, sign: str) -> str:
        """A regular expression for a text; octets are given in hexadecimal."""
        text = token.text
        if sign == "~":
            return text
        if field.kind == "bytes" and token.kind == "word":
            try:
                text = bytes.fromhex(text.replace(":", " ").replace("-", " ")).decode("latin-1")
            except ValueError:
                raise self.mistake(f"{text!r} are no octets in hexadecimal (0a:ff)", token) from None
        return re.escape(text) if sign == "contains" else rf"\A{re.escape(text)}\Z"

    # --- operands -----------------------------------------------------------------------------------------------------

    def sum(self) -> Operand | Token:
        left = self.masked()
        while sign := self.takes("+", "-"):
            left = self.combined(sign, left, self.masked())
        return left

    def masked(self) -> Operand | Token:
        left = self.operand()
        while sign := self.takes("&"):
            left = self.combined(sign, left, self.operand())
        return left

    def combined(self, sign: str, left: Operand | Token, right: Operand | Token) -> Operand:
        sides: list[Operand] = []
        for side in (left, right):
            if isinstance(side, Token):
                raise self.unknown(side)
            if isinstance(side, Reference) and (side.kind not in _COUNTED or side.is_layer):
                raise self.mistake(f"{side.name} is no number to calculate with")
            sides.append(side)
        return Combined(cast(Sign, sign), *sides)

    def operand(self) -> Operand | Token:
        """A field, a number, or a word that only the other side can make sense of."""
        token = self.here
        if token.kind not in ("word", "text"):
            found = "the expression ends" if token.kind == "end" else f"{token.text!r} is there"
            raise self.mistake(f"a field or a value is expected, and {found}")
        self.at += 1
        if token.kind == "text":
            return token
        try:
            return Number(integer(token.text))
        except ValueError:
            pass
        try:
            return reference(token.text)
        except KeyError:
            return token

    def is_name(self, field: Reference, token: Token) -> bool:
        """Whether a word on the right is a field rather than a constant."""
        try:
            constant(field, token.text)
        except ValueError:
            try:
                return not reference(token.text).is_layer
            except KeyError:
                return False
        return False

    def field(self, left: Operand | Token | None, first: Token) -> Operand:
        if isinstance(left, Token):
            raise self.unknown(left)
        if left is None or isinstance(left, Number):
            raise self.mistake("a field is expected here", first)
        if isinstance(left, Reference) and left.is_layer:
            raise self.mistake(f"{left.name} is a header, which is there or not; name one of its fields", first)
        return left

    def constant(self, field: Operand, token: Token) -> Range:
        """The numbers that a word stands for beside a field."""
        try:
            if isinstance(field, Reference):
                return constant(field, token.text)
            number = integer(token.text)
            return Range(number, number)
        except ValueError as error:
            why = str(error) if isinstance(field, Reference) else f"{token.text!r} is not a number"
            raise self.mistake(why, token) from None

    def unknown(self, token: Token) -> WhereError:
        """What is wrong with a word that is no field."""
        if token.kind == "text" or _ADDRESS.match(token.text):
            return self.mistake(f"{token.text!r} is not compared with any field", token)
        try:
            reference(token.text)
        except KeyError as error:
            return self.mistake(str(error.args[0]), token)
        return self.mistake(f"{token.text!r} is not expected here", token)


def _family(operand: Operand) -> str:
    """Kinds that may be compared with each other have one."""
    if not isinstance(operand, Reference) or operand.kind in _COUNTED:
        return "int"
    return operand.kind
