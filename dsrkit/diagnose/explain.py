"""`explain`: the page about a code, a mode, a field, a cell or a check, as text."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from dsrkit.diagnose.entry import AREAS, Entry
from dsrkit.diagnose.explain_tables import cell_names, cell_page, check_page, field_named, field_page, mode_page, parsed
from dsrkit.diagnose.page import WIDTH, Page
from dsrkit.diagnose.registry import BY_NAME, ENTRIES
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES
from dsrkit.tables.checks import CHECKS
from dsrkit.tables.fields import FIELDS

_EVIDENCE: Final = {
    "recorded": "seen in recordings of a real data plane",
    "source": "reported in public by those who had it",
    "lab": "reproduced in a lab",
    "general": "general knowledge",
    "guess": "a guess: nobody has shown the chain of causes",
}


_SEVERITY: Final = {"error": "An error", "warning": "A warning", "info": "For information,"}
_DIP: Final = re.compile(r"\bDIP6?\b")


def explain(word: str, *, width: int = WIDTH) -> str:
    """The page about a code or its name, a mode, a field (``ip.ttl``), a cell (``l2dsr.lb.ip.ttl``) or a check
    (``garp.owner.announced``).

    >>> print(explain("arp-ignore-on-loopback-only").splitlines()[0])
    ARP102 arp-ignore-on-loopback-only

    Raises: UsageError for a word that is none of these; it names the nearest.
    """
    given = word.strip()
    page = Page(width)
    entry = ENTRIES.get(given.upper()) or BY_NAME.get(given.lower())
    if entry is not None:
        entry_page(entry, page)
        return page.text()
    lower = given.lower()
    mode = next((one for one in MODES if one == lower), None)
    if mode is not None:
        mode_page(mode, page)
        return page.text()
    cell, field = parsed(lower), field_named(lower)
    if lower in CHECKS:
        check_page(lower, CHECKS[lower], page)
    elif cell is not None:
        cell_page(cell, page)
    elif field is not None:
        field_page(field, page)
    else:
        raise UsageError(_unknown(given))
    return page.text()


def words_to_explain() -> list[str]:
    """Everything that `explain` takes, for completion: codes, names, modes, fields, cells, checks."""
    return [*ENTRIES, *BY_NAME, *MODES, *FIELDS, *cell_names(), *CHECKS]


def _unknown(word: str) -> str:
    if word.upper() in AREAS:
        return f"{word.upper()} is an area, not a code: dsrkit rules --area {word.upper()} lists its codes"
    if word[:3].upper() in AREAS and word[3:4].isdigit():
        area = word[:3].upper()
        codes = [code for code in ENTRIES if code.startswith(area)]
        return f"there is no code {word!r}: {codes[0]} to {codes[-1]} are all of the area (dsrkit rules --area {area})"
    lower = {one.lower(): one for one in words_to_explain()}
    within = [name for name in (*BY_NAME, *FIELDS) if len(word) > 2 and word.lower() in name]
    near = within[:3] or [lower[one] for one in get_close_matches(word.lower(), lower, n=3, cutoff=0.6)]
    if not near:
        return (
            f"nothing is known of {word!r}: give a code or its name, a mode, a field, a cell or a check (dsrkit rules)"
        )
    named = [f"{BY_NAME[one].code} ({one})" if one in BY_NAME else one for one in near]
    return f"nothing is known of {word!r}: did you mean {' or '.join(named)}?"


def entry_page(entry: Entry, page: Page) -> None:
    """All that is known about a code, what is needed first at the top; the documentation has its pages from here."""
    page.line(f"{entry.code} {entry.name}")
    page.paragraph(f"{_SEVERITY[entry.severity]} in {_listed(entry.modes)}.", indent=False)
    page.line("")
    page.paragraph(entry.summary, indent=False)
    page.heading("What users notice")
    page.paragraph(entry.effect)
    page.heading("What the packets show")
    page.paragraph(entry.signature)
    if entry.area == "CAP" or not entry.from_packets:
        page.paragraph(_hidden(entry))
    page.heading("How it comes about")
    page.paragraph(entry.cause)
    if entry.decide:
        page.heading("To be sure")
        page.commands(entry.decide)
    if entry.fixes:
        page.heading("To mend it")
    for fix in entry.fixes:
        where = fix.where[0].upper() + fix.where[1:]
        page.paragraph(f"{where}: {fix.why}." if fix.why else f"{where}:")
        if fix.commands:
            page.commands(fix.commands, prompt="    ")
    if any(_DIP.search(command) for fix in entry.fixes for command in (*fix.commands, *entry.decide)):
        page.paragraph("DIP stands for the load balancer's own address.")
    if entry.look_alikes:
        page.heading("What looks like it, and how to tell")
        page.items((_titled(one.code), one.told_by) for one in entry.look_alikes)
    if entry.same_picture:
        page.heading("What packets cannot tell from it")
        page.items((_titled(code), ENTRIES[code].summary) for code in entry.same_picture)
    page.heading("How it is known")
    page.paragraph(f"{_EVIDENCE[entry.evidence].capitalize()}. Sources: {'; '.join(entry.sources)}.")
    page.heading("Try it")
    if entry.shown_by:
        page.commands([entry.shown_by])
    page.paragraph(entry.says or _says(entry))


def _says(entry: Entry) -> str:
    """What verify says of an example."""
    if not entry.from_packets:
        return f"dsrkit verify names {first_named(entry)}, with {entry.code} among the candidates."
    others = ", and as candidates what packets cannot tell from it" if entry.same_picture else ""
    return f"dsrkit verify names {entry.code}{others}."


def first_named(entry: Entry) -> str:
    """The code that a finding has in front where packets show an entry's picture and its example's mode."""
    if entry.from_packets:
        return entry.code
    mode = entry.example.split()[2]
    shown = [code for code in entry.same_picture if ENTRIES[code].from_packets]
    return next((code for code in shown if mode in ENTRIES[code].modes), shown[0])


def _listed(words: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _titled(code: str) -> str:
    return f"{code} ({ENTRIES[code].name})"


def _hidden(entry: Entry) -> str:
    if entry.area == "CAP":
        return "No finding names it: verify accuses nobody for it, and keeps it from making others look guilty."
    if not entry.same_picture:
        return "No finding names it by itself."
    first = tuple(code for code in entry.same_picture if ENTRIES[code].from_packets)
    return f"A finding never names it first: it stands among the candidates of {_listed(first)}."
