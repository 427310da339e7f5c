"""Print what the package knows as tables into docs/, between comments such as these:

    <!-- cells: l2dsr -->
    ...
    <!-- end of cells -->

`cells: MODE` are the rewrite tables, `options: MODE` what craft takes in that mode and not in all (`options: all` those
of all), `tunnels: profiles` what every profile puts around packets, `forms: garp` the announcements, `faults: AREA`
what craft can break, `breaks: lab` what a lab can, `codes: AREA` what `dsrkit explain` says of each code, `pcaps: MODE`
the captures that come with the package.

Usage: ``python scripts/tables.py [--write]``; without --write it exits with 1 if a page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import dsrkit
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.options import flag, options_of
from dsrkit.craft.packets.arp import FORMS
from dsrkit.craft.profiles import PROFILES
from dsrkit.diagnose.explain import entry_page
from dsrkit.diagnose.page import Page
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.lab.faults import FAULTS as BREAKS
from dsrkit.model.names import MODES as ALL_MODES
from dsrkit.pcaps import Case
from dsrkit.tables import MODES
from dsrkit.tables.words import words

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?P<open><!-- (?P<kind>cells|options|tunnels|forms|faults|breaks|codes|pcaps): (?P<what>\S+) -->\n)"
    r".*?(?P<close><!-- end of (?P=kind) -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    return sorted((ROOT / "docs").rglob("*.md"))


def row(*values: str) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(head)
    return [row(*names), row(*["---"] * len(names)), *(row(*values) for values in rows)]


def cells(mode: str) -> list[str]:
    """The field cells of a mode, both directions in one row where they agree, then its presence cells."""
    fields: dict[tuple[str, ...], list[str]] = {}
    for _, node, cell in MODES[mode].cells():
        key = (node.node, cell.field, words(cell.field, cell.rule), cell.source)
        fields.setdefault(key, []).append(node.direction)
    promises: dict[tuple[str, str], list[str]] = {}
    for cell_id, _, presence in MODES[mode].presence():
        promises.setdefault((presence.promise, presence.source), []).append(f"`{cell_id}`")
    return [
        *table(
            ("node", "direction", "field", "must be", "source"),
            (
                (node, " and ".join(directions), f"`{field}`", rule, source)
                for (node, field, rule, source), directions in fields.items()
            ),
        ),
        "",
        *table(
            ("what must be so", "cells", "source"),
            ((promise, ", ".join(ids), source) for (promise, source), ids in promises.items()),
        ),
    ]


def options(mode: str) -> list[str]:
    """The options of a mode that are not those of every mode; or those, for `all`."""
    of_all = [one for one in options_of(ALL_MODES[0]) if set(one[2]["modes"]) == set(ALL_MODES)]
    names = [name for name, _, _ in of_all]
    mine = of_all if mode == "all" else [one for one in options_of(mode) if one[0] not in names]
    rows = []
    for name, default, entry in mine:
        choices = ", ".join((entry["metavar"] or "").split("|"))  # GitHub and mkdocs disagree about | in tables
        value = f"{default / 10**9:g}s" if entry["metavar"] == "TIME" else default
        usual = f"`{value}`" if default else ""
        rows.append((f"`{flag(name)}`", choices, entry["help"].rstrip("."), usual))
    return table(("option", "value", "meaning", "default"), rows)


def tunnels(_: str) -> list[str]:
    """What each profile that tunnels puts around a packet, in the order of its preference."""
    rows = []
    for profile in PROFILES.values():
        for kind, tunnel in profile.tunnels.items():
            pairs = ", ".join(f"{inner} in {outer}" for inner, outer in sorted(tunnel.pairs))
            gue = kind == "gue"
            variants = ", ".join(map(str, sorted(tunnel.variants))) if gue else ""
            rows.append((f"`{profile.name}`", f"`{kind}`", pairs, variants, str(tunnel.default.port) if gue else ""))
    return table(("profile", "`--tunnel`", "IP version in IP version", "`--gue-variant`", "GUE's port"), rows)


def forms(_: str) -> list[str]:
    rows = [
        (f"`{name}`", form.title, " and ".join([*["4"] * bool(form.ipv4), *["6"] * bool(form.ipv6)]), form.source)
        for name, form in FORMS.items()
    ]
    return table(("`--form`", "what is sent", "IP", "source"), rows)


def faults(area: str) -> list[str]:
    rows = table(
        ("code", "name", "modes", "what the taps see"),
        (
            (f"`{code}`", f"`{fault.name}`", ", ".join(f"`{mode}`" for mode in fault.modes), fault.shows)
            for code, fault in FAULTS.items()
            if code.startswith(area)
        ),
    )
    return [*rows, "", f"How each comes about and how to mend it: [the codes of {area}](codes/{area.lower()}.md)."]


def breaks(_: str) -> list[str]:
    return table(
        ("code", "mode", "what is really wrong", "what clients see", "what the captures show"),
        (
            (f"`{code}`", ", ".join(f"`{mode}`" for mode in fault.modes), fault.wrong, fault.symptom, fault.picture)
            for code, fault in BREAKS.items()
        ),
    )


def codes(area: str) -> list[str]:
    """All that is known about the codes of an area, each below a heading of its own, after a list of them."""
    entries = [entry for entry in ENTRIES.values() if entry.area == area]
    page = MarkdownPage()
    for entry in entries:
        entry_page(entry, page)
    listed = ((f"[`{e.code}`](#{e.code.lower()})", f"`{e.name}`", e.severity, linked(e.summary)) for e in entries)
    return [*table(("code", "name", "severity", "what is wrong"), listed), "", *page.text().splitlines()]


def pcaps(mode: str) -> list[str]:
    """The captures of a mode that come with the package: recordings, then crafted ones."""
    cases = [case for case in map(dsrkit.pcaps, dsrkit.pcaps()) if case.mode == mode]
    return table(
        ("name", "what", "broken by", "taps", "packets", "`dsrkit verify` says", "engine"),
        (
            (
                f"`{case.name}`",
                escaped(case.title),
                "" if case.healthy else to_code(case.fault) if case.fault else "as said",
                str(len(case.taps)),
                str(sum(tap.packets for tap in case.taps)),
                _verdict(case),
                _engine(case),
            )
            for case in cases
        ),
    )


def _verdict(case: Case) -> str:
    modes = " or ".join(case.expected.modes)
    named = ", ".join(to_code(code) for code in case.expected.codes)
    return f"exit {case.expected.exit_code}, {modes}{': ' if named else ''}{named}"


def _engine(case: Case) -> str:
    if case.made == "crafted":
        return f"crafted, profile {case.provenance['profile']}"
    balancer = case.provenance["load_balancer"].split()[0].rstrip(",:")
    return f"{case.provenance['kernel']}, {balancer if balancer != 'none' else 'dnsmasq'}"


def to_code(code: str) -> str:
    """A code as a link from a page beside the folder of codes; a cell has no page."""
    entry = ENTRIES.get(code)
    return f"[{code}](codes/{entry.area.lower()}.md#{code.lower()})" if entry is not None else f"`{code}`"


class MarkdownPage(Page):
    """What a terminal gets as indented text. A code alone is a heading: a name may be improved, an anchor may not."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[str] = []

    def text(self) -> str:
        return "\n\n".join(self._blocks)

    def heading(self, words: str) -> None:
        self._blocks.append(f"**{words}**")

    def line(self, words: str) -> None:
        if words:
            code, name = words.split()
            self._blocks += [f"## {code}", f"`{name}`"]

    def paragraph(self, words: str, *, indent: bool = True) -> None:
        self._blocks.append(linked(words))

    def items(self, entries: Iterable[tuple[str, str]]) -> None:
        self._blocks.append("\n".join(linked(f"- {name}: {said}" if said else f"- {name}") for name, said in entries))

    def commands(self, lines: Iterable[str], *, prompt: str = "$ ") -> None:
        self._blocks.append("\n".join(["```sh", *lines, "```"]))


def escaped(prose: str) -> str:
    """Prose without Markdown's signs."""
    return re.sub(r"[\\*<>\[\]`]|(?<!\w)_", r"\\\g<0>", prose)


def linked(prose: str) -> str:
    """Prose as Markdown: codes, RFCs and issues are links."""
    text = re.sub(r"\b[A-Z]{3}\d{3}\b", _link_of, escaped(prose))
    text = re.sub(r"\bRFC (\d+)", r"[RFC \1](https://www.rfc-editor.org/rfc/rfc\1)", text)
    return re.sub(r"([\w.-]+/[\w.-]+) #(\d+)", r"[\1 #\2](https://github.com/\1/issues/\2)", text)


def _link_of(code: re.Match[str]) -> str:
    entry = ENTRIES.get(code[0])
    return f"[{entry.code}]({entry.area.lower()}.md#{entry.code.lower()})" if entry is not None else code[0]


PRINTED: dict[str, Callable[[str], list[str]]] = {
    "cells": cells,
    "options": options,
    "tunnels": tunnels,
    "forms": forms,
    "faults": faults,
    "breaks": breaks,
    "codes": codes,
    "pcaps": pcaps,
}


def filled(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        lines = PRINTED[match["kind"]](match["what"])
        return "\n".join([match["open"], *lines, "", match["close"]])

    return BLOCK.sub(block, text)


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
