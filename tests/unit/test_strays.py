"""Frames for one server's address to another one's MAC, and replies that leave with a server's address: what is a
mistake of the load balancer, and what only looks like one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

import dsrkit
from dsrkit.model.report import Finding

CLIENT, VIP = "198.51.100.10", "192.0.2.100"
SERVERS = {"a": "10.0.0.11", "b": "10.0.0.12", "c": "10.0.0.13"}
MACS = {
    "client": "02:00:00:00:00:01",
    "lb": "02:00:00:00:00:02",
    "a": "02:00:00:00:00:0a",
    "b": "02:00:00:00:00:0b",
    "c": "02:00:00:00:00:0c",
    "second": "02:00:00:00:00:1a",
}
STRAY, LEFT = "nat.lb.eth.dst", "nat.lb.reply.ip.src"


@dataclass
class Nat:
    """A capture at a load balancer with one interface, which shows each packet before and after."""

    frames: list[Packet] = field(default_factory=list)
    now: float = 1_700_000_000.0
    ident: int = 0
    reply_ttl: int = 64
    mac: dict[str, str] = field(default_factory=lambda: dict(MACS))
    seq: dict[int, int] = field(default_factory=dict)

    def send(self, src: str, dst: str, sender: str, receiver: str, ttl: int, layer: Packet) -> None:
        ether = Ether(src=self.mac.get(sender, sender), dst=self.mac.get(receiver, receiver))
        frame = ether / IP(src=src, dst=dst, ttl=ttl, id=self.ident) / layer.copy()
        frame.time = self.now
        self.frames.append(frame)

    def ask(self, server: str, port: int, flags: str = "PA", octets: int = 10, to: str = "") -> None:
        """A request, in a frame `to` another MAC, if one is given."""
        self.ident += 1
        self.now += 0.01
        seq = self.seq.setdefault(port, port * 1000)
        layer = TCP(sport=port, dport=80, seq=seq, ack=0 if flags == "S" else 1, flags=flags) / Raw(b"x" * octets)
        self.seq[port] = seq + octets + (flags == "S")
        self.send(CLIENT, VIP, "client", "lb", 64, layer)
        self.send(CLIENT, SERVERS[server], "lb", to or server, 63, layer)

    def answer(self, server: str, port: int, flags: str = "A", name: str = VIP) -> None:
        """A reply, leaving the load balancer under a name."""
        self.ident += 1
        self.now += 0.01
        layer = TCP(sport=80, dport=port, seq=self.ident * 1009, ack=self.seq[port], flags=flags)
        self.send(SERVERS[server], CLIENT, server, "lb", self.reply_ttl, layer)
        self.send(name, CLIENT, "lb", "client", self.reply_ttl - 1, layer)

    def open(self, server: str, port: int, requests: int = 20) -> None:
        self.ask(server, port, "S", 0)
        self.answer(server, port, "SA")
        for _ in range(requests):
            self.ask(server, port)
            self.answer(server, port)

    def direct(self, server: str, port: int) -> None:
        """The client asks a server itself, and the load balancer routes."""
        for flags, back in (("S", "SA"), ("A", "A"), ("PA", "A")):
            self.ident += 1
            self.now += 0.01
            ask = TCP(sport=port, dport=80, seq=port + self.ident, flags=flags)
            self.send(CLIENT, SERVERS[server], "client", "lb", 64, ask)
            self.send(CLIENT, SERVERS[server], "lb", server, 63, ask)
            says = TCP(sport=80, dport=port, seq=port * 7 + self.ident, ack=port + self.ident + 1, flags=back)
            self.send(SERVERS[server], CLIENT, server, "lb", 64, says)
            self.send(SERVERS[server], CLIENT, "lb", "client", 63, says)

    def verified(self, folder: Path) -> tuple[Finding, ...]:
        path = folder / "B.pcap"
        wrpcap(str(path), self.frames)
        report = dsrkit.verify(path, mode="nat", vip=[VIP])
        assert sum(journey.paired for journey in report.journeys) > 50
        return report.findings


@pytest.fixture
def nat() -> Nat:
    """Every server is known by a connection of its own; that of port 2000 is open."""
    known = Nat()
    for port, server in enumerate(SERVERS, 1001):
        known.open(server, port)
    known.open("a", 2000)
    return known


def test_a_frame_for_another_server(nat: Nat, tmp_path: Path) -> None:
    nat.ask("a", 2000, to="b")
    at = len(nat.frames)
    nat.ask("a", 2000)
    (finding,) = nat.verified(tmp_path)
    assert (finding.code, finding.severity, finding.count, finding.nodes) == (STRAY, "error", 1, ("lb",))
    assert [ref.frame for ref in finding.frames] == [at]
    assert finding.expected == f"{MACS['a']} for {SERVERS['a']}"
    assert finding.actual == f"{MACS['b']}, the MAC of {SERVERS['b']}"


def test_two_in_a_row_are_a_takeover_and_back(nat: Nat, tmp_path: Path) -> None:
    for to in ("b", "b", ""):
        nat.ask("a", 2000, to=to)
    assert not nat.verified(tmp_path)


def test_the_last_frame_is_the_begin_of_a_takeover(nat: Nat, tmp_path: Path) -> None:
    nat.ask("a", 2000, to="b")
    assert not nat.verified(tmp_path)


def test_a_server_that_claims_the_address_may_have_it(nat: Nat, tmp_path: Path) -> None:
    claim = ARP(op=2, hwsrc=MACS["b"], psrc=SERVERS["a"], hwdst=MACS["lb"], pdst="10.0.0.1")
    frame = Ether(src=MACS["b"], dst=MACS["lb"]) / claim
    frame.time = nat.now
    nat.frames.append(frame)
    nat.ask("a", 2000, to="b")
    nat.ask("a", 2000)
    assert not [finding for finding in nat.verified(tmp_path) if STRAY in finding.symptoms]


def test_a_second_interface_of_the_server(nat: Nat, tmp_path: Path) -> None:
    nat.ask("a", 2000, to="second")
    nat.ask("a", 2000)
    assert not nat.verified(tmp_path)


def test_a_server_that_answers_by_both(nat: Nat, tmp_path: Path) -> None:
    nat.ask("a", 2000, to="b")
    nat.mac["a"] = MACS["b"]
    nat.answer("a", 2000)
    nat.mac["a"] = MACS["a"]
    nat.ask("a", 2000)
    assert not nat.verified(tmp_path)


def test_packets_spread_over_two_ways(nat: Nat, tmp_path: Path) -> None:
    for _ in range(8):
        nat.ask("a", 2000, to="b")
        nat.ask("a", 2000)
    assert not nat.verified(tmp_path)


@pytest.mark.parametrize("behind_b", ["b", "c"])
def test_routers_before_the_servers(behind_b: str, tmp_path: Path) -> None:
    """One for each server, or one that leads to two of them: each may lead to all."""
    nat = Nat(reply_ttl=63 if behind_b == "b" else 64)
    nat.mac["b"] = MACS[behind_b]
    for port, server in enumerate(SERVERS, 1001):
        nat.open(server, port)
    nat.open("a", 2000)
    nat.ask("a", 2000, to="b")
    nat.ask("a", 2000)
    assert not nat.verified(tmp_path)


def test_a_reply_that_leaves_with_the_servers_address(nat: Nat, tmp_path: Path) -> None:
    nat.answer("a", 2000, name=SERVERS["a"])
    nat.ask("a", 2000)
    (finding,) = nat.verified(tmp_path)
    assert (finding.code, finding.severity, finding.count) == (LEFT, "error", 1)
    assert finding.actual == SERVERS["a"]


@pytest.mark.parametrize("port", [3000, 2000])
def test_what_clients_ask_a_server_itself_is_routed(nat: Nat, port: int, tmp_path: Path) -> None:
    """Even where they use a port that they also use for the VIP."""
    nat.direct("b", port)
    assert not [finding for finding in nat.verified(tmp_path) if LEFT in finding.symptoms]
