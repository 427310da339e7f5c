"""Loss and scans accuse nobody: what is lost once, or asked by a port scanner, is no fault of the service."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

import dsrkit


@pytest.mark.parametrize("mode", ["nat", "l3dsr-tunnel", "l3dsr-dscp"])
@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_lost_datagrams_accuse_nobody(mode: str, seed: int, tmp_path: Path) -> None:
    file = tmp_path / "made.pcapng"
    dsrkit.craft(mode, flows=20, seed=seed, protocol="udp", loss="5%").write(file)
    assert [f.code for f in dsrkit.verify(file).findings if f.severity != "info"] == []


def test_a_server_that_answers_no_datagram_is_found(tmp_path: Path) -> None:
    file = tmp_path / "made.pcapng"
    dsrkit.craft("l2dsr", fault="DSR301", flows=12, protocol="udp").write(file)
    assert [f.code for f in dsrkit.verify(file).findings] == ["DSR301"]


@pytest.mark.parametrize(
    ("mode", "ip", "seed"),
    [
        ("health", "4", 0),
        ("l3dsr-tunnel", "4", 5),
        ("garp", "4", 4),
        ("garp", "6", 2),
        ("garp", "4", 9),
        ("garp", "6", 16),
    ],
)
def test_late_answers_and_lost_questions_accuse_nobody(mode: str, ip: str, seed: int, tmp_path: Path) -> None:
    """An answer that came late all the same; a neighbour that was asked for in vain once."""
    file = tmp_path / "made.pcapng"
    dsrkit.craft(mode, ip=ip, seed=seed, loss="5%").write(file)
    assert [f.code for f in dsrkit.verify(file).findings if f.severity != "info"] == []


def test_a_scan_with_one_sequence_number_accuses_nobody(tmp_path: Path) -> None:
    """As nmap does: one source port and one sequence number for every port of every host."""
    scenario = dsrkit.craft("l2dsr")
    scenario.write_split(tmp_path)
    seen = {tap: list(rdpcap(str(tmp_path / f"{tap}.pcap"))) for tap in scenario.taps}
    first = next(p for p in seen["A"] if TCP in p and p[TCP].flags == "S")
    inside = next(p for p in seen["B"] if TCP in p and p[TCP].flags == "S")
    vip = first[IP].dst
    servers = {node.ips[0]: node.macs[0] for node in scenario.spec.nodes if node.role == "real-server"}
    when = max(float(p.time) for packets in seen.values() for p in packets) + 1
    for number, (host, port) in enumerate((h, p) for h in (vip, *servers) for p in (80, 22, 443, 25)):
        tap, mac = ("B", inside.dst) if host == vip else ("D", servers[host])
        flags = "SA" if port == 22 and host != vip else "RA"
        for at, src, dst, ttl in (("A", first.src, first.dst, 64), (tap, inside.src, mac, 63)):
            ask = IP(src=first[IP].src, dst=host, ttl=ttl, id=number + 1) / TCP(sport=61000, dport=port, seq=7)
            answer = IP(src=host, dst=first[IP].src, ttl=127 - ttl, id=number + 1)
            answer /= TCP(sport=port, dport=61000, flags=flags, seq=9, ack=8)
            for packet, later in (
                (Ether(src=src, dst=dst) / ask, 64 - ttl),
                (Ether(src=dst, dst=src) / answer, ttl - 60),
            ):
                packet.time = when + number / 100 + later / 1000
                seen[at].append(packet)
    for tap, packets in seen.items():
        wrpcap(str(tmp_path / f"{tap}.pcap"), sorted(packets, key=lambda p: float(p.time)))
    report = dsrkit.verify({tap: tmp_path / f"{tap}.pcap" for tap in scenario.taps})
    assert [f.code for f in report.findings if f.severity != "info"] == []
