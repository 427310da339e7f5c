"""The catalogue of faults tests itself: complete, consistent, readable; and the pages that explain it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import dsrkit
from dsrkit.cli.main import app
from dsrkit.craft.faults import FAULTS
from dsrkit.diagnose.causes import CAUSES, causes_of
from dsrkit.diagnose.entry import AREAS, Entry
from dsrkit.diagnose.explain import words_to_explain
from dsrkit.diagnose.explain_tables import NODES, cell_names, field_named, parsed
from dsrkit.diagnose.mending import mending
from dsrkit.diagnose.registry import BY_NAME, ENTRIES
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, SEVERITIES
from dsrkit.tables import MODES as TABLES
from dsrkit.tables.checks import CHECKS
from dsrkit.tables.checks.check import Check
from dsrkit.tables.fields import FIELDS, WIRESHARK

ROOT = Path(__file__).parents[2]
CODES = {
    "ARP": range(101, 120),
    "NAT": range(201, 215),
    "DSR": range(301, 324),
    "TUN": range(401, 424),
    "DSC": range(501, 518),
    "DNS": range(601, 607),
    "HCK": range(701, 707),
    "PRX": range(801, 806),
    "CAP": range(901, 913),
}
LONGEST_SENTENCE = 45
ALL = [pytest.param(entry, id=entry.code) for entry in ENTRIES.values()]


def texts(entry: Entry) -> Iterator[str]:
    """Every piece of prose of an entry."""
    yield from (entry.summary, entry.signature, entry.cause)
    yield from (one.told_by for one in entry.look_alikes)
    yield from (one.why for one in entry.fixes if one.why)
    if entry.effect:
        yield entry.effect


# --- complete ---------------------------------------------------------------------------------------------------------


def test_every_code_is_there_once_and_in_order() -> None:
    assert list(ENTRIES) == [f"{area}{number}" for area, numbers in CODES.items() for number in numbers]
    assert list(CODES) == list(AREAS)


def test_names_are_unique() -> None:
    assert not [name for name, count in Counter(entry.name for entry in ENTRIES.values()).items() if count > 1]
    assert len(BY_NAME) == len(ENTRIES)


@pytest.mark.parametrize("code", FAULTS)
def test_craft_knows_the_fault_by_the_same_name(code: str) -> None:
    assert ENTRIES[code].name == FAULTS[code].name


@pytest.mark.parametrize("code", FAULTS)
def test_craft_shows_a_fault_in_modes_that_can_have_it(code: str) -> None:
    assert set(FAULTS[code].modes) <= set(ENTRIES[code].modes)


@pytest.mark.parametrize("entry", ALL)
def test_nothing_is_left_empty(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", entry.name)
    assert entry.severity in SEVERITIES
    assert set(entry.modes) <= set(MODES)
    assert entry.modes
    assert all(text.strip() == text and text for text in texts(entry))
    assert entry.effect
    assert entry.sources
    assert all(one.where and (one.commands or one.why) and all(one.commands) for one in entry.fixes)
    assert all(entry.decide)


@pytest.mark.parametrize("entry", ALL)
def test_an_error_can_be_settled_and_mended(entry: Entry) -> None:
    if entry.severity == "error":
        assert entry.fixes
        assert entry.decide


def test_artefacts_accuse_nobody() -> None:
    assert {entry.severity for entry in ENTRIES.values() if entry.area == "CAP"} == {"info"}


# --- consistent -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ALL)
def test_other_codes_exist(entry: Entry) -> None:
    named = [one.code for one in entry.look_alikes]
    said = [code for text in texts(entry) for code in re.findall(r"\b[A-Z]{3}\d{3}\b", text)]
    assert {*named, *said, *entry.same_picture} <= ENTRIES.keys()
    assert entry.code not in {*named, *entry.same_picture}
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("entry", ALL)
def test_a_look_alike_is_told_apart_and_an_equal_picture_is_not(entry: Entry) -> None:
    assert not {one.code for one in entry.look_alikes} & set(entry.same_picture)


@pytest.mark.parametrize("entry", ALL)
def test_the_same_picture_is_the_same_from_both_sides(entry: Entry) -> None:
    assert all(entry.code in ENTRIES[code].same_picture for code in entry.same_picture)


@pytest.mark.parametrize("entry", ALL)
def test_the_same_picture_is_of_a_common_mode(entry: Entry) -> None:
    assert all(set(entry.modes) & set(ENTRIES[code].modes) for code in entry.same_picture)


@pytest.mark.parametrize("entry", ALL)
def test_a_hidden_cause_has_a_code_that_packets_show(entry: Entry) -> None:
    if not entry.from_packets and entry.same_picture:
        assert any(ENTRIES[code].from_packets for code in entry.same_picture)


@pytest.mark.parametrize("entry", ALL)
def test_the_example_can_be_had(entry: Entry) -> None:
    if entry.code in FAULTS:
        assert f"--fault {entry.code}" in entry.example
    if not entry.example.startswith("dsrkit "):
        assert not entry.example or (ROOT / entry.example).is_dir()
        return
    program, command, mode, *words = shlex.split(entry.example)
    assert (program, command) == ("dsrkit", "craft")
    craft = typer.main.get_command(app).commands["craft"].commands[mode]  # type: ignore[attr-defined]
    code = craft.make_context(mode, words).params["fault"]
    assert mode in FAULTS[code].modes
    assert code == entry.code or code in entry.same_picture


# --- readable ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ALL)
def test_sentences_are_short(entry: Entry) -> None:
    sentences = [one for text in texts(entry) for one in re.split(r"(?<=[.?!;:])\s", text)]
    assert max((len(one.split()) for one in sentences), default=0) <= LONGEST_SENTENCE


@pytest.mark.parametrize("entry", ALL)
def test_sentences_end(entry: Entry) -> None:
    """Whole sentences end with a full stop; what goes on behind a name (told_by, why) does not."""
    assert all(text.endswith(".") for text in (entry.summary, entry.signature, entry.cause, entry.effect))
    assert not [one.told_by for one in entry.look_alikes if one.told_by.endswith(".")]
    assert not [one.why for one in entry.fixes if one.why.endswith(".")]
    assert entry.summary.count(". ") == 0, "a summary is one sentence"


@pytest.mark.parametrize("entry", ALL)
def test_advice_begins_at_its_beginning(entry: Entry) -> None:
    assert not [one.why for one in entry.fixes if re.match(r"(and|or|which)\b", one.why)]


@pytest.mark.parametrize("entry", ALL)
@pytest.mark.parametrize(
    ("vip", "other"), [("203.0.113.10", r"\bip6|ip -6|net\.ipv6"), ("2001:db8::10", r"\bip [sd]addr")]
)
def test_commands_are_those_of_the_vip(entry: Entry, vip: str, other: str) -> None:
    lines = (mending(entry.fixes, [vip]) or "").splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    assert not [one for one in commands if re.search(r"\bVIP6?\b", one)]
    assert not [one for one in commands if re.search(other, one) and vip in one]


# --- explained --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ALL)
def test_a_page_says_all_that_is_known(entry: Entry) -> None:
    page = " ".join(dsrkit.explain(entry.code).split())
    assert page == " ".join(dsrkit.explain(entry.name).split()) == " ".join(dsrkit.explain(entry.code.lower()).split())
    commands = [line for one in entry.fixes for line in one.commands]
    for text in (*texts(entry), *entry.decide, *commands, *entry.sources, *entry.same_picture, *entry.modes):
        assert " ".join(text.split()) in page


@pytest.mark.parametrize("width", [60, 88])
def test_prose_keeps_to_the_width(width: int) -> None:
    page = dsrkit.explain("DSR301", width=width)
    prose = [line for line in page.splitlines() if not line.startswith(("  $ ", "      "))]
    assert max(map(len, prose)) <= width


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_says_what_it_promises(mode: str) -> None:
    page = dsrkit.explain(mode.upper())
    assert f"docs/modes/{mode}.md" in page
    assert (ROOT / f"docs/modes/{mode}.md").is_file()
    if mode in TABLES:
        assert all(presence.promise in " ".join(page.split()) for _, _, presence in TABLES[mode].presence())


SOURCES = {
    **{cell: one.source for table in TABLES.values() for cell, _, one in table.cells()},
    **{cell: one.source for table in TABLES.values() for cell, _, one in table.presence()},
}


@pytest.mark.parametrize("cell", cell_names())
def test_a_cell_says_its_rule_and_its_source(cell: str) -> None:
    page = " ".join(dsrkit.explain(cell).split())
    assert cell in page
    assert SOURCES[cell] in page


def test_a_stretch_of_several_nodes_is_explained() -> None:
    page = dsrkit.explain("l2dsr.router+lb.ip.ttl")
    assert "At each router, ip.ttl must be: −1." in page
    assert "At the load balancer, ip.ttl must be: ipvs: −1" in page


def test_what_no_cell_names_must_stay_as_it_is() -> None:
    assert "comes out as it went in" in " ".join(dsrkit.explain("l2dsr.lb.tcp.seq").split())


def test_a_mode_that_packets_contradict_is_explained() -> None:
    assert "the form of the mode that was stated" in " ".join(dsrkit.explain("l2dsr.lb.mode").split())


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_has_a_page(field: str) -> None:
    assert dsrkit.explain(field).startswith(f"{field}\n")


@pytest.mark.parametrize(
    ("word", "field"),
    [
        *((theirs, field) for field, names in WIRESHARK.items() for theirs in names),
        ("ip.dst#2", "ip.dst"),
        ("ipv6.src", "ip.src"),
        ("ipv6.hlim", "ip.ttl"),
        ("ipv6.tclass.dscp", "ip.dsfield.dscp"),
        ("ipv6.flow", "ipv6.flow"),
    ],
)
def test_wireshark_names_are_understood(word: str, field: str) -> None:
    assert field_named(word) == field


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("DSR399", "DSR301 to DSR323"),
        ("vip-missing", "DSR301 (vip-missing-on-real-server)"),
        ("l2dssr", "l2dsr"),
        ("ip.tll", "ip.ttl"),
        ("l2dsr.lb.ip.tl", "l2dsr.lb.ip.ttl"),
        ("dsr", "dsrkit rules --area DSR"),
        ("", "dsrkit rules"),
        ("qqqqqqqq", "dsrkit rules"),
    ],
)
def test_an_unknown_word_gets_a_hint(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(hint)):
        dsrkit.explain(word)


def test_completion_offers_only_what_is_understood() -> None:
    words = words_to_explain()
    assert len(words) == len(set(words))
    assert {"DSR301", "two-masters", "l2dsr", "ip.ttl", "nat.lb.reply.ip.src", "garp.owner.announced"} <= set(words)


@pytest.mark.parametrize(("check", "what"), CHECKS.items(), ids=CHECKS)
def test_a_check_is_explained_with_its_source_and_codes(check: str, what: Check) -> None:
    page = " ".join(dsrkit.explain(check).split())
    assert page.startswith(f"{check} A rule of mode {check.partition('.')[0]}")
    assert f"{what.meaning[1:]}. (Source: {what.source})" in page
    assert all(f"{code} ({ENTRIES[code].name})" in page for code in what.codes)
    assert bool(what.codes) != bool(what.alone), "it names a fault, or says why not"
    assert what.alone in page


# --- from symptoms to codes -------------------------------------------------------------------------------------------


def test_causes_are_codes() -> None:
    assert {code for _, codes in CAUSES for code in codes} <= ENTRIES.keys()


UNEXPLAINED = {"fullnat.real-server.answered-by-vip"}
"""Nothing bypasses a load balancer that servers take for their client."""


@pytest.mark.parametrize("cell", [name for table in TABLES.values() for name, _, _ in table.presence()])
def test_every_promise_has_causes_for_its_break(cell: str) -> None:
    name = parsed(cell)
    assert name is not None
    found = causes_of(name.mode, name.nodes, name.rest)
    assert bool(found) == (cell not in UNEXPLAINED)
    assert name.mode == "path" or all(name.mode in entry.modes for entry in found)


def test_every_cause_is_reached_from_some_cell() -> None:
    ways = [
        f"{mode}.{node}.{back}{field}"
        for mode in TABLES
        for node in NODES
        for back in ("", "reply.")
        for field in FIELDS
    ]
    names = [name for cell in (*cell_names(), *ways) if (name := parsed(cell)) is not None]
    reached = {entry.code for name in names for entry in causes_of(name.mode, name.nodes, name.rest)}
    assert {code for _, codes in CAUSES for code in codes} == reached
