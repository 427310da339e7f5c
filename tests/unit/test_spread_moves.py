"""Load per server and connections that change theirs: what is normal passes, what breaks a connection is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

import dsrkit
from dsrkit.mechanisms.spread.table import OVER, STATE, FlowTable
from dsrkit.model.report import CellVerdict, Report
from dsrkit.model.sections.spread import Spread
from dsrkit.tables.checks.spread import CHECKS, FLOW_KEPT
from dsrkit.verify import fastpath
from dsrkit.verify.batches import Input, Piece, Portion

CLIENT, VIP = "198.51.100.10", "192.0.2.100"
SERVERS = {"a": "10.0.0.11", "b": "10.0.0.12"}
MACS = {"client": "02:00:00:00:00:01", "lb": "02:00:00:00:00:02", "a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b"}


@dataclass
class Nat:
    """A capture at a load balancer with one interface, which shows each packet before and after."""

    frames: list[Packet] = field(default_factory=list)
    now: float = 1_700_000_000.0
    ident: int = 0

    def request(self, server: str, layer: Packet, *, reply: bool = False) -> None:
        self.ident += 1
        self.now += 0.01
        rip, near, far = SERVERS[server], ("client", "lb"), ("lb", server)
        sides = [((CLIENT, VIP), near, 64), ((CLIENT, rip), far, 63)]
        if reply:
            sides = [((rip, CLIENT), far[::-1], 64), ((VIP, CLIENT), near[::-1], 63)]
        for (src, dst), (sender, receiver), ttl in sides:
            ether = Ether(src=MACS[sender], dst=MACS[receiver])
            frame = ether / IP(src=src, dst=dst, ttl=ttl, id=self.ident) / layer.copy()
            frame.time = self.now
            self.frames.append(frame)

    def tcp(self, server: str, port: int, seq: int, flags: str = "A", octets: int = 0) -> None:
        self.request(server, TCP(sport=port, dport=80, seq=seq, ack=1, flags=flags) / Raw(b"x" * octets))

    def answer(self, server: str, port: int, seq: int, ack: int, flags: str) -> None:
        self.request(server, TCP(sport=80, dport=port, seq=seq, ack=ack, flags=flags), reply=True)

    def connect(self, server: str, port: int, isn: int) -> None:
        """A connection that is opened and asks something."""
        self.tcp(server, port, isn, "S")
        self.answer(server, port, isn * 7 % 1_000_003, isn + 1, "SA")
        self.tcp(server, port, isn + 1, "PA", 10)

    def verified(self, folder: Path) -> Report:
        path = folder / "B.pcap"
        wrpcap(str(path), self.frames)
        return dsrkit.verify(path, mode="nat", vip=[VIP])


@pytest.fixture
def nat() -> Nat:
    """Both servers are known by a connection of their own."""
    known = Nat()
    known.connect("a", 1001, 50_000)
    known.connect("b", 1002, 60_000)
    return known


def kept(report: Report) -> CellVerdict:
    (cell,) = [cell for cell in report.cells if cell.cell == f"nat.{FLOW_KEPT}"]
    return cell


def tcp_of(report: Report) -> Spread:
    (spread,) = [spread for spread in report.spread if spread.port == "tcp/80"]
    return spread


def by_address(report: Report, spread: Spread) -> dict[str, int]:
    address = {node.name: node.ip[0] for node in report.nodes if node.ip}
    names = {ip: name for name, ip in SERVERS.items()}
    return {names[address[load.name]]: load.connections for load in spread.servers if load.name is not None}


def test_quiet_connections(nat: Nat, tmp_path: Path) -> None:
    report = nat.verified(tmp_path)
    assert (kept(report).verdict, kept(report).checked) == ("pass", 2)
    assert by_address(report, tcp_of(report)) == {"a": 1, "b": 1}


def test_data_that_goes_to_another_server(nat: Nat, tmp_path: Path) -> None:
    nat.connect("a", 2000, 70_000)
    nat.tcp("b", 2000, 70_011, "PA", 10)
    report = nat.verified(tmp_path)
    assert (kept(report).verdict, kept(report).checked, kept(report).failed) == ("fail", 3, 1)
    (finding,) = [finding for finding in report.findings if f"nat.{FLOW_KEPT}" in finding.symptoms]
    assert finding.code == f"nat.{FLOW_KEPT}"  # nothing was silent, so nothing tells why
    assert finding.severity == CHECKS[FLOW_KEPT].severity == "error"
    assert f"{CLIENT} port 2000" in finding.message
    assert [ref.frame for ref in finding.frames] == [len(nat.frames) - 2, len(nat.frames)]
    assert by_address(report, tcp_of(report)) == {"a": 2, "b": 1}
    assert tcp_of(report).moved == 1


def test_data_that_goes_to_another_server_after_a_silence_was_forgotten(nat: Nat, tmp_path: Path) -> None:
    nat.connect("a", 2000, 70_000)
    nat.now += 900
    nat.tcp("b", 2000, 70_011, "PA", 10)
    (finding,) = nat.verified(tmp_path).findings
    assert finding.code == "NAT207"
    assert "had sent nothing for 900 s" in finding.message


@pytest.mark.parametrize("silence", [0, 900])
def test_a_packet_that_goes_astray_was_not_forgotten(nat: Nat, silence: int, tmp_path: Path) -> None:
    nat.connect("a", 2000, 70_000)
    nat.tcp("b", 2000, 70_011, "PA", 10)
    nat.now += silence
    nat.tcp("a", 2000, 70_021, "PA", 10)
    (finding,) = nat.verified(tmp_path).findings
    assert finding.code == f"nat.{FLOW_KEPT}"
    assert "goes to the first server again" in finding.message


def test_a_port_used_again_is_a_new_connection(nat: Nat, tmp_path: Path) -> None:
    nat.connect("a", 2000, 70_000)
    nat.connect("b", 2000, 4_000_000_000)
    report = nat.verified(tmp_path)
    assert (kept(report).verdict, kept(report).checked) == ("pass", 4)
    assert by_address(report, tcp_of(report)) == {"a": 2, "b": 2}


def test_a_syn_may_be_given_another_server_until_it_is_answered(nat: Nat, tmp_path: Path) -> None:
    nat.tcp("a", 2000, 70_000, "S")
    nat.now += 1
    nat.connect("b", 2000, 70_000)
    report = nat.verified(tmp_path)
    assert (kept(report).verdict, kept(report).failed) == ("pass", 0)
    assert tcp_of(report).rescheduled == 1
    assert by_address(report, tcp_of(report)) == {"a": 1, "b": 2}


def test_what_follows_the_syn_goes_elsewhere(nat: Nat, tmp_path: Path) -> None:
    nat.tcp("a", 2000, 70_000, "S")
    nat.answer("a", 2000, 5, 70_001, "SA")
    nat.tcp("b", 2000, 70_001)
    report = nat.verified(tmp_path)
    assert kept(report).failed == 1
    assert any("what followed to another" in finding.message for finding in report.findings)


@pytest.mark.parametrize("flags", ["A", "FA", "R", "RA"])
def test_a_late_packet_of_a_closed_connection_accuses_nobody(nat: Nat, flags: str, tmp_path: Path) -> None:
    nat.connect("a", 2000, 70_000)
    nat.tcp("a", 2000, 70_011, "FA")
    nat.tcp("b", 2000, 70_012, flags)
    assert kept(nat.verified(tmp_path)).failed == 0


def test_a_packet_of_another_age_accuses_nobody(nat: Nat, tmp_path: Path) -> None:
    """A number far away belongs to an earlier connection on this port."""
    nat.connect("a", 2000, 70_000)
    nat.tcp("b", 2000, 3_000_000_000, "PA", 10)
    assert kept(nat.verified(tmp_path)).failed == 0


def test_datagrams_may_go_anywhere(nat: Nat, tmp_path: Path) -> None:
    for server in "aabba":
        nat.request(server, UDP(sport=3000, dport=53) / Raw(server.encode() * 9))
    report = nat.verified(tmp_path)
    (udp,) = [spread for spread in report.spread if spread.port == "udp/53"]
    assert (udp.rescheduled, udp.moved) == (2, 0)
    assert by_address(report, udp) == {"a": 2, "b": 1}
    assert kept(report).verdict == "pass"


def in_pieces(data: Input, *_: object, **__: object) -> Iterator[Portion]:
    """What is read at once, handed out in eight portions."""
    (portion,) = WHOLE(data)
    frames = data.frames(portion.pieces)
    parts = np.array_split(np.argsort(frames.ts, kind="stable"), 8)
    for i, part in enumerate(parts):
        piece = Piece(frames.rec[part], frames.tap[part], frames.number[part], 0)
        yield Portion([piece], int(frames.ts[part].max()) if i < 7 else None)


WHOLE = Input.portions


def test_batches_change_nothing(nat: Nat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nat.connect("a", 2000, 70_000)
    nat.now += 30
    nat.tcp("b", 2000, 70_011, "PA", 10)
    nat.now += 30
    nat.connect("b", 1001, 4_000_000_000)
    for server in "ab":
        nat.now += 30
        nat.request(server, UDP(sport=3000, dport=53) / Raw(server.encode() * 9))
    whole = nat.verified(tmp_path)
    monkeypatch.setattr(Input, "portions", in_pieces)
    monkeypatch.setattr(fastpath, "compiled", lambda: None)
    monkeypatch.setattr(Input, "is_small", lambda data: False)
    parts = nat.verified(tmp_path)
    assert parts.spread == whole.spread
    assert (kept(parts).checked, kept(parts).failed) == (kept(whole).checked, kept(whole).failed) == (4, 1)


def states(*flows: int, closed: int = 0) -> np.ndarray:
    out = np.zeros(len(flows), STATE)
    out["flow"] = out["last"] = flows
    out["closed"] = closed
    return out


def test_table_forgets_what_ended_and_then_what_rested_longest() -> None:
    table = FlowTable(most=4)
    old, ended = states(1, 2), states(8, 9, closed=OVER)
    for part in (old, ended, states(5)):
        table.put(part, table.find(part["flow"]))
    assert (table.find(np.asarray([1, 2, 5, 8, 9], np.uint64)) >= 0).tolist() == [False, True, True, False, False]
    assert table.forgotten == 1


def test_table_replaces_what_it_knows() -> None:
    table = FlowTable()
    table.put(states(3, 7), table.find(np.asarray([3, 7], np.uint64)))
    again = states(3, 5)
    again["server"] = 2
    table.put(again, table.find(again["flow"]))
    found = table.get(table.find(np.asarray([3, 4, 5, 7], np.uint64)))
    assert found["server"].tolist() == [2, -1, 2, 0]
