"""Load per real server on recordings: what clients saw is what was counted."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.utils import RawPcapReader
from scenarios import Scenario, cases

import dsrkit
from dsrkit.model.names import REWRITES
from dsrkit.model.report import Report

TOLD = [case for case in cases() if case.mode in REWRITES and "observed_client_results" in case.truth]
HEALTHY = [case for case in cases() if case.mode in REWRITES and case.healthy]


def answered(case: Scenario) -> Counter[tuple[str, str]]:
    """Connections that a server answered, by protocol and server, as the clients wrote them down."""
    phases = [phase for phase in case.truth["observed_client_results"].values() if isinstance(phase, dict)]
    tries = [(proto, one) for phase in phases for proto in ("tcp", "udp") for one in phase.get(proto) or ()]
    return Counter((proto, one["server"]) for proto, one in tries if one["ok"])


def counted(report: Report) -> Counter[tuple[str, str | None]]:
    out: Counter[tuple[str, str | None]] = Counter()
    for spread in report.spread:
        for load in spread.servers:
            out[spread.port[:3], load.name] += load.connections
    return out


@pytest.mark.parametrize("case", [case for case in TOLD if case.healthy], ids=str)
def test_connections_are_those_of_the_clients(case: Scenario, tmp_path: Path) -> None:
    report = dsrkit.verify(spec=case.spec(tmp_path))
    more = counted(report)
    more.subtract(answered(case))
    results = case.truth["observed_client_results"]
    # curl asks once more and does not tell who answered; a lost datagram got a server, too.
    unanswered = sum(not one["ok"] for phase in results.values() if isinstance(phase, dict) for one in phase["udp"])
    assert min(more.values()) >= 0
    assert sum(more.values()) == ("curl" in results) + unanswered


@pytest.mark.parametrize("case", HEALTHY, ids=str)
@pytest.mark.parametrize("stated", [False, True], ids=["blind", "spec"])
def test_connections_stay_with_their_servers(case: Scenario, stated: bool, tmp_path: Path) -> None:
    report = dsrkit.verify(spec=case.spec(tmp_path)) if stated else dsrkit.verify(case.blind(tmp_path))
    (cell,) = [cell for cell in report.cells if cell.cell == f"{report.mode}.lb.flow-kept"]
    assert (cell.verdict, cell.failed) == ("pass", 0)
    assert cell.checked == sum(spread.connections for spread in report.spread if spread.port.startswith("tcp"))
    assert all(spread.moved == 0 for spread in report.spread)


@pytest.mark.parametrize("name", ["ipvs-dr", "ipvs-nat", "ipvs-fullnat", "l3dsr-dscp", "ipvs-tun-gue"])
def test_each_packet_counts_once(name: str, tmp_path: Path) -> None:
    """All taps together count what the client's own capture holds."""
    case = next(case for case in HEALTHY if case.name == name)
    report = dsrkit.verify(spec=case.spec(tmp_path))
    loads = [load for spread in report.spread for load in spread.servers]
    vip = ip_address(case.truth["vip"]).packed
    sent, got = [], []
    with RawPcapReader(str(case.folder / case.truth["captures"][0]["file"])) as frames:
        captured = [frame for frame, _ in frames]
    for frame in captured:
        length, proto = int.from_bytes(frame[16:18], "big"), frame[23]
        if frame[12:14] == b"\x08\x00" and proto in (6, 17):
            sent += [length] if frame[30:34] == vip else []
            got += [length] if frame[26:30] == vip else []
    assert (sum(x.request_packets for x in loads), sum(x.request_octets for x in loads)) == (len(sent), sum(sent))
    assert (sum(x.reply_packets for x in loads), sum(x.reply_octets for x in loads)) == (len(got), sum(got))
