"""The flow table of recorded scenarios: the same whether one tap is looked at or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from merging import merged
from scenarios import Scenario, cases

from dsrkit.inspect import flows as flow_table
from dsrkit.inspect.flows import Flow, FlowTable, table
from dsrkit.inspect.head import Head
from dsrkit.model.names import REWRITES
from dsrkit.wire.capture import Window

CASES = {case.name: case for case in cases([*REWRITES, "health", "l7"])}
WHOLE = [
    case
    for case in CASES.values()
    if case.healthy and case.mode in REWRITES and not any(word in case.name for word in ("loss", "snaplen", "any"))
]
"""Everything that the client sees is all there is: nothing is lost on the way, and nothing is cut."""
PATHS = {
    "l2dsr": "requests via LB, replies bypass LB",
    "l3dsr-tunnel": "requests via LB, replies bypass LB",
    "l3dsr-dscp": "requests via LB, replies bypass LB",
    "nat": "via LB",
    "fullnat": "via LB",
}


@cache
def everything(name: str) -> FlowTable:
    """The flows of all taps in one file."""
    return table(BytesIO(merged(CASES[name].files)))


def talks(case: Scenario, flows: Iterable[Flow]) -> dict[tuple[str, str], Flow]:
    """Conversations over TCP and UDP with the VIP."""
    vips = tuple(f"[{vip}]:" if ":" in vip else f"{vip}:" for vip in case.vips)
    return {(f.client, f.service): f for f in flows if f.protocol in ("TCP", "UDP") and f.service.startswith(vips)}


def numbers(flow: Flow) -> tuple[int, ...]:
    return flow.packets, flow.octets, flow.packets_back, flow.octets_back


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_each_packet_counts_once_however_many_taps_saw_it(case: Scenario) -> None:
    client = next(path for path in case.files if "client" in path.name or path.name.startswith("A"))
    alone, together = talks(case, table(client).flows), talks(case, everything(case.name).flows)
    assert alone
    assert together.keys() == alone.keys()
    assert {key: numbers(flow) for key, flow in together.items()} == {key: numbers(f) for key, f in alone.items()}
    assert {key: flow.state for key, flow in together.items()} == {key: flow.state for key, flow in alone.items()}


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_flows_name_their_server_and_their_way(case: Scenario) -> None:
    servers = {address for node in case.of_role("real-server") for address in case.addresses(node)}
    for flow in talks(case, everything(case.name).flows).values():
        assert flow.path == PATHS[case.mode]
        name, _, address = flow.server.partition(" ")
        assert name.startswith("rs")
        assert address in servers or case.mode == "l2dsr"  # there MACs alone may tell
        assert flow.protocol == "UDP" or flow.state == "closed"


@pytest.mark.parametrize("name", ["ipvs-dr", "ipvs-nat", "l3dsr-dscp", "ipvs-tun-ipip"])
def test_flows_are_the_connections_of_the_truth(name: str) -> None:
    case = CASES[name]
    made = {f"{c['src']}:{c['sport']}" for c in case.truth["observed_client_results"]["main"]["tcp"]}
    found = {f.client for f in talks(case, everything(case.name).flows).values() if f.protocol == "TCP"}
    assert made
    assert made <= found


@pytest.mark.parametrize("name", ["ipvs-dr", "ipvs-nat", "ipvs-fullnat", "ipvs-tun-ipip"])
def test_portions_make_no_difference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sightings of one packet lie in many portions."""
    rows = 40
    expected = everything(name).flows
    whole = Head.__iter__

    def pieces(head: Head) -> Iterator[Window]:
        for window in whole(head):
            for at in range(0, len(window.rec), rows):
                yield Window(window.rec[at : at + rows], window.first_row + at, window.buf, window.base)

    monkeypatch.setattr(Head, "__iter__", pieces)
    monkeypatch.setattr(flow_table, "_WHOLE_ROWS", rows)
    monkeypatch.setattr(flow_table, "_BATCH_ROWS", rows)
    assert table(BytesIO(merged(CASES[name].files))).flows == expected


def test_lost_packets_are_sent_again() -> None:
    flows = talks(CASES["ipvs-dr-loss"], everything("ipvs-dr-loss").flows)
    assert sum(flow.retransmissions for flow in flows.values()) > 10


def test_replies_by_way_of_the_load_balancer_show() -> None:
    flows = talks(CASES["b13-dr-reply-via-lb"], everything("b13-dr-reply-via-lb").flows)
    tcp = [flow for flow in flows.values() if flow.protocol == "TCP"]
    assert {flow.path for flow in tcp} == {"requests via LB, replies via LB"}
    assert {flow.state for flow in tcp} == {"half-open"}
    assert all(flow.retransmissions for flow in tcp)


def test_checks_are_flows_of_their_own() -> None:
    flows = [flow for flow in everything("lab-health-http").flows if flow.path == "health check"]
    assert len({flow.server for flow in flows}) == 2
    assert {flow.state for flow in flows} == {"closed"}


def test_both_sessions_of_a_proxy_are_flows() -> None:
    case = next(case for case in CASES.values() if case.mode == "l7" and case.healthy)
    flows = everything(case.name).flows
    paths = [flow.path for flow in flows if flow.protocol == "TCP"]
    assert paths.count("front session of the proxy") == paths.count("back session of the proxy") > 5


def test_more_flows_than_are_kept_are_counted(tmp_path: Path) -> None:
    path = CASES["ipvs-nat"].files[0]
    whole, part = table(path), table(path, most=5)
    assert len(part.flows) == 5
    kept = sum(flow.packets + flow.packets_back for flow in part.flows)
    every = sum(flow.packets + flow.packets_back for flow in whole.flows)
    assert f"only the first 5 conversations are listed; the others have {every - kept:,} packets" in part.notes[0]


def test_the_largest_flow_is_first_and_columns_are_plain() -> None:
    found = table(CASES["ipvs-nat"].files[0])
    octets = [flow.octets + flow.octets_back for flow in found.flows]
    assert octets == sorted(octets, reverse=True)
    values, texts = found.columns, found.texts()
    assert len(values) == len(texts) == 13
    assert {type(cell) for column in values for cell in column} == {str, int, float}
    assert all(isinstance(cell, str) for column in texts for cell in column)
