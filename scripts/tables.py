"""Print the rewrite tables of `dsrkit.tables` into docs/modes/*.md, between these comments:

    <!-- cells: l2dsr -->
    ...
    <!-- end of cells -->

Usage: ``python scripts/tables.py [--write]``; without --write it exits with 1 if a page is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from dsrkit.tables import MODES
from dsrkit.tables.words import words

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?P<open><!-- cells: (?P<mode>\S+) -->\n).*?(?P<close><!-- end of cells -->)", re.DOTALL)


def pages() -> list[Path]:
    return sorted((ROOT / "docs").rglob("*.md"))


def row(*values: str) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def printed(mode: str) -> str:
    """The field cells of a mode, both directions in one row where they agree, then its presence cells."""
    fields: dict[tuple[str, ...], list[str]] = {}
    for _, table, cell in MODES[mode].cells():
        key = (table.node, cell.field, words(cell.field, cell.rule), cell.source)
        fields.setdefault(key, []).append(table.direction)
    lines = [row("node", "direction", "field", "must be", "source"), row(*["---"] * 5)]
    lines += [
        row(node, " and ".join(directions), f"`{field}`", rule, source)
        for (node, field, rule, source), directions in fields.items()
    ]
    promises: dict[tuple[str, str], list[str]] = {}
    for cell_id, _, presence in MODES[mode].presence():
        promises.setdefault((presence.promise, presence.source), []).append(f"`{cell_id}`")
    lines += ["", row("what must be so", "cells", "source"), row(*["---"] * 3)]
    lines += [row(promise, ", ".join(cells), source) for (promise, source), cells in promises.items()]
    return "\n".join(["", *lines, "", ""])


def filled(text: str) -> str:
    return BLOCK.sub(lambda match: f"{match['open']}{printed(match['mode'])}{match['close']}", text)


def stale() -> dict[Path, str]:
    """Pages that would change → their new text."""
    return {page: new for page in pages() if (new := filled(old := page.read_text(encoding="utf-8"))) != old}


def main() -> int:
    write = sys.argv[1:] == ["--write"]
    changed = stale()
    for page, new in changed.items():
        if write:
            page.write_text(new, encoding="utf-8")
        print(f"{page.relative_to(ROOT)}: {'tables printed' if write else 'out of date, run `make docs-tables`'}")
    return int(bool(changed) and not write)


if __name__ == "__main__":
    sys.exit(main())
