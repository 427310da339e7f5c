"""The words of a filter expression, each with its place, so that a mistake can be pointed at."""

from __future__ import annotations

import re
from typing import Final, Literal

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError

_SHOWN: Final = 32
"""Characters of an expression that a message shows on each side of a mistake."""

TokenKind = Literal["word", "text", "operator", "end"]

_WORD: Final = r"[A-Za-z0-9_:/#\[\]-]+(?:\.(?!\.)[A-Za-z0-9_:/#\[\]-]+)*"
_TOKEN: Final = re.compile(
    rf"""\s*(?:
      (?P<tos>[tT][oO][sS]=(?:0[xX][0-9A-Fa-f]+|[0-9]+)(?![\w.]))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<operator>===|!==|==|!=|<=|>=|&&|\|\||\^\^|\.\.|~=|[-+](?=\s)|[<>!~&(){{}},])
    | (?P<word>{_WORD})
    )""",
    re.VERBOSE,
)
_SAME: Final = {
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "lt": "<",
    "ge": ">=",
    "le": "<=",
    "and": "&&",
    "or": "||",
    "xor": "^^",
    "not": "!",
    "matches": "~",
    "any_eq": "==",
    "all_ne": "!=",
    "all_eq": "===",
    "any_ne": "!==",
    "~=": "!==",
    "bitand": "&",
    "bitwise_and": "&",
}
"""Words for operators, in any case, and other ways to write them."""
_WORDS: Final = frozenset({"in", "contains"})


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted text (unquoted), or an operator (as its sign); `at` is where it starts in the expression."""

    kind: TokenKind
    text: str
    at: int


class WhereError(UsageError):
    """An expression that is not one: says what is wrong, and shows where."""

    def __init__(self, expression: str, at: int, why: str) -> None:
        before, after = expression[:at], expression[at:]
        head = before if len(before) <= _SHOWN else "…" + before[-_SHOWN:]
        tail = after if len(after) <= _SHOWN else after[:_SHOWN] + "…"
        super().__init__(f"--where: {why} (column {at + 1}, at ^ in: {head}^{tail})")


def tokens(expression: str) -> list[Token]:
    """The words of an expression, and an end.

    Raises: WhereError for a character that starts no word, or a text without its closing quote.
    """
    found: list[Token] = []
    at = 0
    end = len(expression.rstrip())
    while at < end:
        match = _TOKEN.match(expression, at)
        if match is None:
            start = at + len(expression[at:]) - len(expression[at:].lstrip())
            sign = expression[start]
            why = "a text that is not closed" if sign in "\"'" else f"{sign!r} means nothing here"
            raise WhereError(expression, start, why)
        kind = match.lastgroup or "word"
        found.append(_token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, Token("end", "", end)]


def _token(kind: str, text: str, at: int) -> Token:
    if kind == "text":
        return Token("text", re.sub(r"\\([\"'\\])", r"\1", text[1:-1]), at)
    lower = text.lower()
    if lower in _SAME:
        return Token("operator", _SAME[lower], at)
    if lower in _WORDS:
        return Token("operator", lower, at)
    return Token("operator" if kind == "operator" else "word", text, at)
