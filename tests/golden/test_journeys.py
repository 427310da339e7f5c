"""Packets paired at every hop, against counts that were made without dsrkit."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scenarios import CAPTURES, PCAPS, Scenario, cases, shared

import dsrkit
from dsrkit.model.report import Report

PAIRS: dict[str, list[tuple[str, str, str, int, int]]] = {
    scenario: [tuple(row) for row in rows]
    for scenario, rows in tomllib.loads((Path(__file__).parent / "pairs.toml").read_text(encoding="utf-8")).items()
}
ROWS = [(scenario, *row) for scenario, rows in PAIRS.items() for row in rows]


@cache
def scenario(name: str) -> Scenario:
    """A scenario from pcaps/ or, failing that, from the shared captures."""
    for folder in (*PCAPS.glob(f"*/{name}"), CAPTURES / name):
        if (folder / "truth.json").is_file():
            return Scenario(folder)
    pytest.skip(f"{name} is neither in pcaps/ nor in {CAPTURES}")


@cache
def report(name: str) -> Report:
    return dsrkit.verify(scenario(name).files)


def taps(name: str, place: str) -> list[str]:
    """The taps of a place of the table: the client's, the router's, the load balancer's, all servers'."""
    roles = {"client": "client", "router": "l3-router", "LB": "l4-switch", "RS": "real-server"}
    return [Path(c["file"]).stem for c in scenario(name).truth["captures"] if c["role"] == roles[place.split()[0]]]


def points(name: str, place: str, direction: str) -> list[str]:
    """Observation points of a place: the load balancer's are one tap twice, or its outside and its inside."""
    found = taps(name, place)
    if not place.startswith("LB") or len(found) == 1:
        known = {p for j in report(name).journeys if j.direction == direction for p in (j.source, j.target)}
        side = place.rpartition(" ")[2]
        return [f"{tap}.{side}" if f"{tap}.{side}" in known else tap for tap in found]
    outside, inside = sorted(found)  # B_lb, C_lb
    return [outside if (direction == "request") == place.endswith("in") else inside]


@pytest.mark.parametrize(("name", "protocol", "direction", "hop", "paired", "unpaired"), ROWS)
def test_pairs(name: str, protocol: str, direction: str, hop: str, paired: int, unpaired: int) -> None:
    source, target = (points(name, place, direction) for place in hop.split("->"))
    found = [
        journey
        for journey in report(name).journeys
        if journey.protocol == protocol
        and journey.direction == direction
        and journey.source in source
        and journey.target in target
    ]
    assert (sum(j.paired for j in found), sum(j.unpaired for j in found)) == (paired, unpaired), found


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_else_is_a_journey(name: str) -> None:
    """Both directions of TCP and UDP, and pings of the VIP, which end at the load balancer."""
    journeys = report(name).journeys
    assert {(j.protocol, j.direction) for j in journeys if not j.protocol.startswith("icmp")} == {
        (protocol, direction) for protocol in ("tcp", "udp") for direction in ("request", "reply")
    }
    servers = set(taps(name, "RS"))
    assert not [j for j in journeys if j.protocol.startswith("icmp") and servers & {j.source, j.target}]


@pytest.mark.skipif(not shared(), reason=f"the shared captures are not in {CAPTURES}")
def test_transcription() -> None:
    """The table is the independent count that lies with the shared captures."""
    counted: dict[str, list[tuple[Any, ...]]] = {
        s.name: [(p["protocol"], p["direction"], p["hop"], p["paired"], p["unpaired"]) for p in s.expected["pairs"]]
        for s in shared()
        if "pairs" in s.expected
    }
    assert {name: set(rows) for name, rows in PAIRS.items()} == {name: set(rows) for name, rows in counted.items()}


def test_recorded_cases_are_in_the_table() -> None:
    """A healthy case without loss, cutting or a second interface has rows; only the lab's were not counted."""
    special = {"ipvs-dr-loss", "ipvs-nat-snaplen96", "ipvs-tun-ipip-any"}
    counted = {case.name for case in cases() if case.healthy and not case.name.startswith("lab-")}
    assert counted - special <= PAIRS.keys()
