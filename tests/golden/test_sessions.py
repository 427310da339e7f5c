"""Sessions of a proxy on real captures: each client's connection with the server that truth.json names, no other."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from scenarios import Scenario, cases, loud, shared

import dsrkit
from dsrkit.model.sections.session import Session
from dsrkit.report.text import render

PROXIES = cases(["l7"])
HEALTHY = [case for case in PROXIES if case.healthy]
BROKEN = [case for case in PROXIES if not case.healthy]
OTHERS = [case for case in shared() if "l7" not in case.modes]


def connections(case: Scenario) -> dict[tuple[str, int], dict[str, Any]]:
    """What the clients' programs saw, by the client's address and port."""
    return {(c["src"], c["sport"]): c for c in case.truth["observed_client_results"]["main"]["tcp"]}


def rows(sessions: tuple[Session, ...]) -> dict[tuple[str, int], list[Session]]:
    out: dict[tuple[str, int], list[Session]] = {}
    for session in sessions:
        out.setdefault((session.client.ip, session.client.port), []).append(session)
    return out


@pytest.mark.parametrize("stated", [False, True], ids=["blind", "stated"])
@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_every_connection_is_paired_with_its_server(case: Scenario, stated: bool, tmp_path: Path) -> None:
    report = dsrkit.verify(spec=case.spec(tmp_path)) if stated else dsrkit.verify(case.blind(tmp_path))
    assert report.mode == "l7"
    assert loud(report) == []
    found = rows(report.sessions)
    truth = connections(case)
    assert found.keys() >= truth.keys()
    rips = case.truth["real_servers"]
    for client, connection in truth.items():
        (session,) = found[client]
        assert session.server.ip == rips[connection["server"]]
        assert session.proxy.ip == case.truth["lb_source_to_servers"]
        assert session.vip.ip == case.vips[0]
        assert session.requests == connection["requests"]
        assert session.proxy_header == "v2 PROXY"
        assert session.by == ("proxy-header", "payload")
        assert session.end == "closed"
    # one session with a server for each, and the clients' SYNs that were recorded are all there
    assert all(n == 1 for n in Counter((s.proxy, s.server) for s in report.sessions).values())
    syns = case.truth["observed_summary"]["B_lb.pcap"]["syn"]
    assert len(report.sessions) == sum(syns.values())


@pytest.mark.parametrize("case", PROXIES, ids=str)
def test_machines_taps_and_path_are_named_as_in_other_modes(case: Scenario) -> None:
    report = dsrkit.verify(sorted(case.folder.glob("*.pcap")))
    assert [node.name for node in report.nodes] == ["client", "router", "lb", "rs1", "rs2", "rs3"]
    at = {tap.name: tap.node for tap in report.taps}
    assert at == {"A_client": "client", "B_lb": "lb", "C_lb": "lb", "C_rs1": "rs1", "C_rs2": "rs2", "C_rs3": "rs3"}
    assert report.path.request == ("client", "router", "lb", "real-server")
    assert report.path.reply == report.path.request[::-1]
    (why,) = [note for note in report.notes if note.startswith("mode l7: ")]
    assert "sessions of clients belong to" in why
    assert "bypass" not in render(report)


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_payload_alone_pairs_them_all(case: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without what the headers say: the octets of both sessions tell, whatever segments they came in."""
    monkeypatch.setattr("dsrkit.mechanisms.sessions.pair.Pairing.by_address", lambda self: None)
    report = dsrkit.verify([str(path) for path in case.files])
    found = rows(report.sessions)
    rips = case.truth["real_servers"]
    for client, connection in connections(case).items():
        assert [s.server.ip for s in found[client]] == [rips[connection["server"]]]
        assert "payload" in found[client][0].by


@pytest.mark.parametrize("case", HEALTHY, ids=str)
def test_two_taps_tell_as_much_as_all(case: Scenario) -> None:
    whole = rows(dsrkit.verify([str(path) for path in case.files]).sessions)
    for taps in combinations(case.files, 2):
        report = dsrkit.verify([str(path) for path in taps])
        assert loud(report) == []
        for client, sessions in rows(report.sessions).items():
            assert [s.server.ip for s in sessions] == [s.server.ip for s in whole[client]]


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_header_that_servers_do_not_expect(case: Scenario) -> None:
    report = dsrkit.verify([str(path) for path in case.files])
    (finding,) = loud(report)
    assert finding.code == "PRX801"
    assert finding.symptoms == ("l7.real-server.header-agreed",)
    assert finding.severity == "error"
    assert case.true_names(report, finding.nodes) == {"rs1", "rs2", "rs3", "lb"}
    found = rows(report.sessions)
    for client in connections(case):
        assert {s.end for s in found[client]} == {"rejected"}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_each_tap_behind_the_proxy_shows_it(case: Scenario) -> None:
    behind = [path for path in case.files if path.name.startswith("C_")]
    assert len(behind) == 4
    for path in behind:
        report = dsrkit.verify(str(path))
        assert [finding.code for finding in loud(report)] == ["PRX801"]
        assert {s.frame_1 for s in report.sessions} == {None}


@pytest.mark.skipif(not OTHERS, reason="the shared captures are not at hand")
@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_nothing_else_is_a_proxy(case: Scenario) -> None:
    report = dsrkit.verify([str(path) for path in case.files])
    assert report.sessions == ()
    assert "l7" not in report.mechanisms
    assert not [cell for cell in report.cells if cell.cell.startswith("l7.")]
