"""What of a report is wanted: selected, ignored and allowed findings and cells.

A word is a code or its beginning (``DSR301``, ``DSR``), the name of a code, or the beginning of a cell's id
(``l2dsr.lb.``). Causes are sought in all that was judged, whatever is wanted of it, so that a choice can hide a finding
but never turn it into another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dsrkit.classes import dataclass
from dsrkit.model.names import MODES
from dsrkit.model.report import Finding
from dsrkit.model.spec import Allow


def is_cell(word: str) -> bool:
    """Whether a word is the beginning of cell ids, and not of codes or names.

    >>> is_cell("l2dsr.lb"), is_cell("DSR301"), is_cell("nat-reply-bypasses-lb")
    (True, False, False)
    """
    mode = word.partition(".")[0]
    return mode == "path" or any(one.startswith(mode) for one in MODES)


@dataclass(frozen=True, slots=True)
class Choice:
    """Words that select and words that ignore; no word that selects means everything."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(cls, select: Collection[str], ignore: Collection[str]) -> Choice:
        return cls(tuple(dict.fromkeys(select)), tuple(dict.fromkeys(ignore)))

    def shows_cell(self, cell: str) -> bool:
        """Whether a cell is shown by itself: where only codes are selected, all cells are, since codes rest on them."""
        selected = [word for word in self.select if is_cell(word)]
        return (not selected or _begins(cell, selected)) and not self._ignores(cell)

    def shows(self, finding: Finding) -> bool:
        """Whether a finding is wanted: by its code, by a code that it may be instead, or by a cell that it explains.

        Ignoring takes the code itself, or all cells that the finding rests on: a code that it may be instead does not
        make it another fault.
        """
        codes = [word for word in self.ignore if not is_cell(word)]
        if any(_named(word, finding.code, finding.name) for word in codes):
            return False
        if finding.symptoms and all(self._ignores(cell) for cell in finding.symptoms):
            return False
        return not self.select or any(
            any(cell.startswith(word) for cell in (finding.code, *finding.symptoms))
            if is_cell(word)
            else _means(word, finding)
            for word in self.select
        )

    def _ignores(self, cell: str) -> bool:
        return _begins(cell, [word for word in self.ignore if is_cell(word)])


def allowed(finding: Finding, rules: Iterable[Allow]) -> list[Allow]:
    """The rules that allow a finding, one for each of its nodes at least; none if a node of it is not allowed."""
    fits = [rule for rule in rules if _means(rule.code, finding)]
    if any(rule.node is None for rule in fits):
        return [rule for rule in fits if rule.node is None]
    here = [rule for rule in fits if rule.node in finding.nodes]
    return here if here and {rule.node for rule in here} >= set(finding.nodes) else []


def where(finding: Finding) -> str:
    """A finding in few words: ``DSR301 at web1, web2``."""
    return f"{finding.code} at {', '.join(finding.nodes)}" if finding.nodes else finding.code


def _begins(cell: str, words: list[str]) -> bool:
    return cell.startswith(tuple(words))


def _named(word: str, code: str, name: str) -> bool:
    return code.startswith(word.upper()) or name == word.lower()


def _means(word: str, finding: Finding) -> bool:
    """Whether a word names a finding, its cell, or a code that packets cannot tell from its own."""
    if is_cell(word):
        return finding.code.startswith(word)
    return _named(word, finding.code, finding.name) or any(one.startswith(word.upper()) for one in finding.candidates)
