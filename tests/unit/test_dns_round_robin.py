"""DNS round robin, crafted: what is broken is found, what is not stays silent, and every connection has its answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenarios import loud

import dsrkit
from dsrkit import craft
from dsrkit.model.report import Report
from dsrkit.report.text import render
from dsrkit.tables.checks.dns import CHECKS

FAULTS = {
    "DNS601": ("dns-rr.resolver.shares", "warning", "dns-rr"),
    "DNS602": ("dns-rr.client.fresh", "warning", None),
    "DNS603": ("dns-rr.real-server.alive", "error", "dns-rr"),
    "DNS604": ("dns-rr.client.order", "info", None),
    "DNS605": ("dns-rr.resolver.rotates", "warning", None),
    "DNS606": ("dns-rr.resolver.uncut", "warning", "dns-rr"),
}
"""The finding, its severity where the mode is stated, and the mode that the packets show without."""


def verified(folder: Path, *, mode: str | None = None, **options: Any) -> Report:
    path = folder / "made.pcapng"
    craft("dns-rr", **options).write(path)
    return dsrkit.verify(path, mode=mode)


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("code", FAULTS)
def test_faults_are_found(code: str, ip: str, tmp_path: Path) -> None:
    cell, severity, shown = FAULTS[code]
    stated = verified(tmp_path, fault=code, ip=ip, seed=3, mode="dns-rr")
    worst = stated.findings[0]
    assert (worst.code, worst.severity) == (code, severity)
    assert worst.symptoms[0] == cell
    assert worst.frames
    assert code in CHECKS[cell].codes
    blind = dsrkit.verify(tmp_path / "made.pcapng")
    assert blind.mode == shown
    assert blind.findings[0].code == code
    # one address used, so nothing proves that the name is meant to spread: information, not an accusation
    assert blind.findings[0].severity == (severity if shown else "info")


HEALTHY: list[dict[str, Any]] = [
    {"flows": 30},
    {"flows": 30, "ip": "6", "edns": True},
    {"flows": 60, "clients": 20, "resolvers": 3, "real_servers": 8},
    {"flows": 40, "ttl": 5, "rate": 1.0, "clients": 3},
    {"flows": 40, "loss": "2%", "clients": 4, "real_servers": 3, "seed": 4},
    {"flows": 20, "jitter": "5ms", "skew": "20ms", "clients": 3},
    {"flows": 20, "vlan": 7, "ip": "6", "seed": 2},
    {"flows": 10, "real_servers": 40, "clients": 3},  # answers by TCP
    {"flows": 10, "real_servers": 40, "edns": True},
    {"flows": 50, "rate": 0.05, "clients": 5, "real_servers": 3, "resolvers": 2},
]


@pytest.mark.parametrize("options", HEALTHY, ids=str)
def test_healthy_ones_are_silent_and_complete(options: dict[str, Any], tmp_path: Path) -> None:
    for report in (verified(tmp_path, **options), dsrkit.verify(tmp_path / "made.pcapng", mode="dns-rr")):
        assert report.mode == "dns-rr"
        assert loud(report) == []
        (name,) = report.dns
        assert (name.tied, name.untied) == (options["flows"], 0)
        assert {connection.result for connection in name.connections} == {"answered"}
        assert all(connection.upstream is not None for connection in name.connections)
        proven = {cell.cell for cell in report.cells if cell.verdict == "pass"}
        assert proven >= {"dns-rr.resolver.rotates", "dns-rr.client.fresh", "dns-rr.real-server.alive"}


def test_truncated_answers_that_are_asked_again_by_tcp(tmp_path: Path) -> None:
    (name,) = verified(tmp_path, flows=6, real_servers=40).dns
    assert name.truncated == 6
    assert name.answers == 12
    assert len(name.records) == 40


def test_few_connections_prove_nothing(tmp_path: Path) -> None:
    report = verified(tmp_path, flows=1)
    assert report.mode is None
    assert not [cell for cell in report.cells if cell.cell.startswith("dns-rr.")]
    stated = dsrkit.verify(tmp_path / "made.pcapng", mode="dns-rr")
    reasons = {cell.cell: cell.reason for cell in stated.cells if cell.verdict == "not_observable"}
    assert reasons["dns-rr.client.spread"] == "too few choices to tell an uneven spread from chance (n = 1)"
    assert "too few" in (reasons["dns-rr.resolver.rotates"] or "")


def test_cut_messages_are_said(tmp_path: Path) -> None:
    report = verified(tmp_path, flows=8, snaplen=70)
    assert report.dns == ()
    assert [note for note in report.notes if "captured only in part" in note]


def test_without_dns_a_stated_mode_is_not_observable(tmp_path: Path) -> None:
    path = tmp_path / "nat.pcapng"
    craft("nat").write(path)
    report = dsrkit.verify(path, mode="dns-rr")
    assert {cell.verdict for cell in report.cells if cell.cell in CHECKS} == {"not_observable"}


def test_dns_behind_a_load_balancer_is_a_service_and_no_round_robin(tmp_path: Path) -> None:
    path = tmp_path / "nat.pcapng"
    craft("nat", protocol="udp", port=53).write(path)
    report = dsrkit.verify(path)
    assert (report.mode, report.dns) == ("nat", ())


def test_the_report_shows_the_pairs_and_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    report = verified(tmp_path, flows=20, ip="6", clients=3)
    text = render(report)
    assert "www.example.com AAAA: 20 answers; " in text
    assert "20 connections tied to their answers" in text
    assert "8 more connections: --format json" in text
    assert "made.pcapng: " in text
    hostile = replace(report.dns[0], name="\x1b[2Jwww", chain=("\u202ecom",))
    shown = render(replace(report, dns=(hostile,)))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"\x1b[2Jwww AAAA" in shown
