"""DNS round robin on real captures: each connection with its answer, as the client's program saw it, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios import Scenario, cases, loud, shared

import dsrkit
from dsrkit.model.report import Report
from dsrkit.report.text import render

(RECORDED,) = cases(["dns-rr"])
OTHERS = [case for case in shared() if case.name != "dns-rr"]


def verified(folder: Path, *, stated: bool) -> Report:
    return dsrkit.verify(spec=RECORDED.spec(folder)) if stated else dsrkit.verify(RECORDED.blind(folder))


@pytest.mark.parametrize("stated", [False, True], ids=["blind", "stated"])
def test_every_connection_is_tied_to_its_answer(stated: bool, tmp_path: Path) -> None:
    report = verified(tmp_path, stated=stated)
    assert (report.mode, report.mode_from) == ("dns-rr", "spec" if stated else "inferred")
    assert (loud(report), report.exit_code) == ([], 0)
    assert report.mechanisms == ("dns-rr",)
    (name,) = report.dns
    queries = RECORDED.truth["observed_client_results"]["main"]["queries"]
    assert (name.name, name.type) == (RECORDED.truth["dns_name"], "A")
    assert [(c.server, c.result, c.position) for c in name.connections] == [(q["used"], "answered", 1) for q in queries]
    assert (name.tied, name.untied, name.answers, name.stale) == (len(queries), 0, len(queries), 0)
    assert len({connection.answer for connection in name.connections}) == len(queries), "an answer for each"
    assert {connection.resolver for connection in name.connections} == {RECORDED.truth["dns_server"]}
    assert (name.ttl_min, name.ttl_max) == (30, 30)
    firsts = [q["answers"][0] for q in queries]
    assert {r.address: r.first for r in name.records} == {a: firsts.count(a) for a in sorted(set(firsts))}
    (server,) = [party for party in name.parties if party.role == "server"]
    assert server.rotation == "cyclic"
    assert name.fairness is not None
    assert name.fairness.conclusive
    assert name.fairness.p_value == pytest.approx(1.0)


@pytest.mark.parametrize("stated", [False, True], ids=["blind", "stated"])
def test_machines_get_their_roles(stated: bool, tmp_path: Path) -> None:
    report = verified(tmp_path, stated=stated)
    for node in report.nodes:
        assert {RECORDED.role(name) for name in RECORDED.true_names(report, [node.name])} == {node.role}
    found = {ip for node in report.nodes if node.role == "real-server" for ip in node.ip if not ip.startswith("fe80:")}
    assert found == set(RECORDED.truth["real_servers"].values())
    assert [node.ip for node in report.nodes if node.role == "resolver"] == [(RECORDED.truth["dns_server"],)]


def test_machines_taps_and_path_are_named_as_in_other_modes() -> None:
    report = dsrkit.verify(sorted(RECORDED.folder.glob("*.pcap")))
    assert [node.name for node in report.nodes] == ["client", "router", "rs1", "rs2", "rs3", "resolver"]
    at = {tap.name: tap.node for tap in report.taps}
    assert at == {
        "A_client": "client", "B_dns": "resolver", "B_router": "router", "B_rs1": "rs1", "B_rs2": "rs2", "B_rs3": "rs3",
    }  # fmt: skip
    assert report.path.request == ("client", "router", "real-server")
    (why,) = report.notes
    assert why.startswith(f"mode dns-rr: {RECORDED.truth['dns_name']} has 3 addresses")
    assert not [cell for cell in report.cells if cell.verdict == "not_observable"], "nothing is asked without a spec"
    assert "bypass" not in render(report)


def test_the_client_alone_shows_it_all() -> None:
    report = dsrkit.verify(RECORDED.folder / "A_client.pcap")
    (name,) = report.dns
    assert (report.mode, name.tied, name.untied, loud(report)) == ("dns-rr", 18, 0, [])


def test_servers_and_name_server_without_the_client() -> None:
    """Whoever asked is the same machine that connects, so the taps are joined by their clocks."""
    report = dsrkit.verify([RECORDED.folder / f"B_{tap}.pcap" for tap in ("dns", "rs1", "rs2", "rs3")])
    (name,) = report.dns
    queries = RECORDED.truth["observed_client_results"]["main"]["queries"]
    assert [c.server for c in name.connections] == [q["used"] for q in queries]
    assert loud(report) == []


def test_the_name_server_alone_shows_answers_and_no_connection() -> None:
    report = dsrkit.verify(RECORDED.folder / "B_dns.pcap")
    (name,) = report.dns
    assert (report.mode, name.answers, name.tied) == (None, 18, 0)
    assert loud(report) == []


def test_stated_records_and_ttl(tmp_path: Path) -> None:
    spec = RECORDED.spec(tmp_path)
    stated = spec.read_text()
    spec.write_text(stated + '[dns]\nname = "www.lab.example"\nttl = 30\n' + f"records = {sorted(rips())!r}\n")
    report = dsrkit.verify(spec=spec)
    passed = {cell.cell for cell in report.cells if cell.verdict == "pass"}
    assert passed >= {"dns-rr.resolver.complete", "dns-rr.resolver.ttl"}
    assert report.exit_code == 0
    spec.write_text(stated + '[dns]\nname = "www.lab.example"\nttl = 5\nrecords = ["192.0.2.21", "192.0.2.99"]\n')
    report = dsrkit.verify(spec=spec)
    found = {finding.code: finding.message for finding in loud(report)}
    assert found.keys() == {"DNS606", "DNS602"}
    assert "192.0.2.99" in found["DNS606"]


def rips() -> list[str]:
    return list(RECORDED.truth["real_servers"].values())


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_no_other_recording_is_one(case: Scenario) -> None:
    report = dsrkit.verify(case.files)
    assert report.dns == ()
    assert not [cell for cell in report.cells if cell.cell.startswith("dns-rr.")]
