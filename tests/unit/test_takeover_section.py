"""Takeovers in reports: JSON by the schema, and merging in any grouping."""

from __future__ import annotations

import json

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from dsrkit.model.frame import FrameRef
from dsrkit.model.report import Report
from dsrkit.model.schema import REPORT_SCHEMA
from dsrkit.model.sections.takeover import (
    PROTOCOLS,
    REASONS,
    Blackout,
    Event,
    Move,
    Neighbour,
    Owner,
    Reign,
    Sight,
    Takeover,
)
from dsrkit.report.text import render

VALIDATOR = jsonschema.validators.validator_for(REPORT_SCHEMA)(REPORT_SCHEMA)
NAMES = st.sampled_from(["lb1", "lb2", "\x1b[31m"])
COUNTS = st.integers(0, 3)
MS = st.sampled_from([-1.5, 0.0, 2.25])
OWNERS = st.builds(Owner, NAMES, st.none() | NAMES, st.none() | NAMES)
MOVES = st.builds(
    Move,
    old=st.none() | OWNERS,
    new=st.none() | OWNERS,
    at_ns=COUNTS,
    reason=st.sampled_from(REASONS),
    announcements=COUNTS,
    events=st.lists(st.builds(Event, NAMES, COUNTS, MS, NAMES, st.builds(FrameRef, NAMES, st.just(1))), max_size=1).map(
        tuple
    ),
    taps=st.lists(st.builds(Sight, NAMES, COUNTS, st.none() | MS), max_size=1).map(tuple),
    neighbours=st.lists(st.builds(Neighbour, NAMES, NAMES, NAMES, st.none() | MS), max_size=1).map(tuple),
    clients=st.lists(st.builds(Blackout, NAMES, COUNTS, MS, st.none() | MS), max_size=1).map(tuple),
)
REPORTS = st.builds(
    Report,
    takeovers=st.lists(
        st.builds(
            Takeover,
            vips=st.sampled_from([("192.0.2.1",), ("192.0.2.1", "192.0.2.2")]),
            protocol=st.sampled_from(PROTOCOLS),
            vrid=st.none() | COUNTS,
            owners=st.lists(st.builds(Reign, OWNERS, COUNTS, COUNTS), max_size=2).map(tuple),
            moves=st.lists(MOVES, max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
)


@given(REPORTS, REPORTS, REPORTS)
def test_merging_is_associative(a: Report, b: Report, c: Report) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@settings(deadline=None, max_examples=30)
@given(REPORTS)
def test_json_follows_the_schema(report: Report) -> None:
    VALIDATOR.validate(json.loads(report.to_json()))


@settings(deadline=None, max_examples=30)
@given(REPORTS)
def test_text_shows_every_owner_and_no_control_character(report: Report) -> None:
    page = render(report)
    assert "\x1b" not in page
    assert ("VIP ownership" in page) == bool(report.takeovers)
