"""Words that choose findings: each must name something that a report can hold, or a misspelt one would hide nothing,
or everything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dsrkit.diagnose.entry import AREAS
from dsrkit.diagnose.explain_tables import cell_names
from dsrkit.diagnose.registry import BY_NAME, ENTRIES
from dsrkit.errors import SpecError, UsageError
from dsrkit.model.names import MODES as ALL_MODES
from dsrkit.model.names import did_you_mean
from dsrkit.model.spec import Spec
from dsrkit.tables import MODES
from dsrkit.tables.checks import CHECKS
from dsrkit.tables.fields import FIELDS

_WAYS: Final = ("", "reply.")


def check_words(option: str, words: Iterable[str]) -> None:
    """Refuse a word that neither codes, names nor ids of cells and checks begin with.

    >>> check_words("--ignore", ["DSR301", "dsc", "l2dsr.lb.ip.ttl"])

    Raises: UsageError naming the option and the nearest word.
    """
    for word in words:
        if not _known(word):
            raise UsageError(f"{option} {word!r}: {_unknown(word)}")


def check_spec(spec: Spec) -> None:
    """The same for the words of ``[rules]`` and ``[[allow]]``.

    Raises: SpecError naming the file and the key.
    """
    keys = {"rules.select": spec.rules.select, "rules.ignore": spec.rules.ignore}
    keys |= {f"allow[{i}].code": (allow.code,) for i, allow in enumerate(spec.allow)}
    for key, words in keys.items():
        for word in words:
            if not _known(word):
                raise SpecError(f"{spec.file or 'spec'}: {key}: {word!r}: {_unknown(word)}")


def words_to_choose() -> list[str]:
    """Whole words, for completion: codes, names, cells, checks."""
    return [*ENTRIES, *BY_NAME, *cell_names(), *CHECKS]


def _known(word: str) -> bool:
    codes = any(one.startswith(word.upper()) for one in ENTRIES) or word.lower() in BY_NAME
    return codes or _is_cell(word) or any(one.startswith(word) for one in CHECKS)


def _is_cell(word: str) -> bool:
    """Whether ids of the tables' cells begin with a word, those of fields without a cell included."""
    mode, dot, rest = word.partition(".")
    if not dot:
        return any(one.startswith(mode) for one in (*ALL_MODES, *MODES))
    if mode not in MODES:
        return False
    nodes = {table.node for table in MODES[mode].nodes}
    node, dot, field = rest.partition(".")
    *whole, last = node.split("+")
    if not set(whole) <= nodes or not (last in nodes if dot else any(one.startswith(last) for one in nodes)):
        return False
    presence = {cell.name for _, _, cell in MODES[mode].presence()}
    return any(f"{way}{one}".startswith(field) for way in _WAYS for one in (*FIELDS, *presence, "mode"))


def _unknown(word: str) -> str:
    area = word[:3].upper()
    if area in AREAS and word[3:4].isdigit():
        return f"there is no such code (dsrkit rules --area {area} lists those of the area)"
    words = (*cell_names(), *CHECKS) if "." in word else (*ENTRIES, *BY_NAME, *ALL_MODES, *AREAS)
    near = did_you_mean(word.lower(), words, cutoff=0.6) or did_you_mean(word.upper(), words, cutoff=0.6)
    return (
        f"no code, name or cell begins with that: {near.strip() or 'dsrkit rules lists codes, --verbose shows cells'}"
    )
