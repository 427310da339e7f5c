"""Verification of small made-up paths: what counts as the same packet, and what accuses nobody."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsrkit
from dsrkit.model.report import Report
from dsrkit.verify import batches
from dsrkit.verify.journeys import nearest

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

CLIENT, SERVER = "203.0.113.7", "198.51.100.80"
CLIENT6 = "2001:db8:a::7"
MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:04"]


def segment(hop: int, seq: int, payload: bytes, *, ident: int, flags: int = 0x18, ack: int = 1) -> bytes:
    """A TCP segment of the client in front of (hop 0) or behind (hop 1) a router."""
    tcp = make.tcp(payload, CLIENT, SERVER, seq=seq, ack=ack, flags=flags)
    packet = bytearray(make.ipv4(tcp, 6, CLIENT, SERVER, ttl=64 - hop, ident=ident))
    ends = MACS[2 * hop + 1], MACS[2 * hop]
    return b"".join(bytes.fromhex(m.replace(":", "")) for m in ends) + struct.pack("!H", 0x0800) + bytes(packet)


def verify(tmp_path: Path, **taps: Iterable[bytes]) -> Report:
    files = {}
    for name, frames in taps.items():
        files[name] = tmp_path / f"{name}.pcap"
        files[name].write_bytes(make.pcap(list(frames), step=1000))
    return dsrkit.verify(files)


def counts(report: Report) -> list[tuple[str, str, int, int]]:
    return [(j.source, j.target, j.paired, j.unpaired) for j in report.journeys]


def syn(hop: int) -> bytes:
    return segment(hop, 999, b"", ident=1, flags=0x02, ack=0)


@pytest.mark.parametrize("start", [1000, 0xFFFF_FF00], ids=["plain", "wrapping"])
def test_a_super_packet_and_its_segments_are_the_same_octets(tmp_path: Path, start: int) -> None:
    body = bytes(range(256)) * 12
    whole = [syn(0), segment(0, start, body, ident=2)]
    cut = [syn(1)] + [
        segment(1, (start + at) % 2**32, body[at : at + 1400], ident=2 + i)
        for i, at in enumerate(range(0, len(body), 1400))
    ]
    report = verify(tmp_path, a=whole, b=cut)
    assert counts(report) == [("a", "b", 2, 0)]
    assert report.exit_code == 0


def test_a_segment_that_is_missing_is_not_explained_by_its_neighbours(tmp_path: Path) -> None:
    body = bytes(range(200)) * 7
    sent = [syn(0), *(segment(0, 1000 + 1400 * i, body, ident=2 + i) for i in range(3))]
    arrived = [syn(1), segment(1, 1000, body, ident=2), segment(1, 3800, body, ident=4)]
    report = verify(tmp_path, a=sent, b=arrived)
    assert counts(report) == [("a", "b", 3, 1)]
    assert not report.findings


def test_a_changed_octet_fails_in_its_field_alone(tmp_path: Path) -> None:
    sent = [syn(0), segment(0, 1000, b"GET / HTTP/1.0", ident=2)]
    changed = [syn(1), segment(1, 1000, b"GET / HTTP/9.9", ident=2)]
    report = verify(tmp_path, a=sent, b=changed)
    failed = {c.cell: c.failed for c in report.cells if c.failed}
    assert failed.keys() == {"path.router.l4.payload", "path.router.l4.checksum"}
    assert report.exit_code == 1


def test_batches_do_not_change_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytes(range(100))
    sent = [syn(0), *(segment(0, 1000 + 100 * i, body, ident=2 + i) for i in range(400))]
    arrived = [syn(1), *(segment(1, 1000 + 100 * i, body, ident=2 + i) for i in range(400))]
    whole = verify(tmp_path, a=sent, b=arrived)
    pieces = batches.Input._pieces

    def small(self: batches.Input, f: batches._File, **how: bool) -> Iterable[batches.Piece]:
        for piece in pieces(self, f, **how):
            for at in range(0, len(piece.rec), 30):
                yield piece.take(slice(at, at + 30))

    monkeypatch.setattr(batches.Input, "_pieces", small)
    monkeypatch.setattr(batches, "BATCH_ROWS", 90)
    assert verify(tmp_path, a=sent, b=arrived) == whole
    assert counts(whole) == [("a", "b", 401, 0)]


def brute_force(times: list[int], clock: list[int]) -> int:
    return min(
        sum(abs(t - c) for t, c in zip(times, chosen, strict=True)) for chosen in combinations(clock, len(times))
    )


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.lists(st.integers(0, 50), min_size=1, max_size=8))
def test_copies_are_placed_with_the_least_total_distance(times: list[int], clock: list[int]) -> None:
    times, clock = sorted(times)[: len(clock)], sorted(clock)
    slots = nearest(np.asarray(times), np.asarray(clock)).tolist()
    assert slots == sorted(set(slots))
    assert sum(abs(t - clock[s]) for t, s in zip(times, slots, strict=True)) == brute_force(times, clock)


def test_many_equal_packets_take_little_memory(tmp_path: Path) -> None:
    """Datagrams without an IP id and with one content: 6,000 at one tap, a few less at the next."""

    def datagram(hop: int) -> bytes:
        packet = make.ipv4(make.udp(b"x" * 40, CLIENT, SERVER), 17, CLIENT, SERVER, ttl=64 - hop, ident=0)
        ends = MACS[2 * hop + 1], MACS[2 * hop]
        return b"".join(bytes.fromhex(m.replace(":", "")) for m in ends) + struct.pack("!H", 0x0800) + packet

    tracemalloc.start()
    report = verify(tmp_path, a=[datagram(0)] * 6000, b=[datagram(1)] * 5400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts(report) == [("a", "b", 5400, 600)]
    assert peak < 150e6
    assert not report.findings


def test_equal_routers_side_by_side_accuse_nobody(tmp_path: Path) -> None:
    """Packets that cross one or two routers between the same two taps, as with equal-cost paths."""
    sent = [syn(0), *(segment(0, 1000 + i, b"x", ident=2 + i) for i in range(40))]
    arrived = []
    for i, frame in enumerate([syn(1), *(segment(1, 1000 + i, b"x", ident=2 + i) for i in range(40))]):
        longer = bytearray(frame)
        if i % 2:
            longer[11] = 9  # the last router of the longer path has a MAC of its own
            longer[22] -= 1
            longer[24:26] = b"\0\0"
            longer[24:26] = struct.pack("!H", make.checksum(bytes(longer[14:34])))
        arrived.append(bytes(longer))
    report = verify(tmp_path, a=sent, b=arrived)
    assert counts(report) == [("a", "b", 41, 0)]
    assert not report.findings
    assert report.exit_code == 0


def test_pings_without_ip_ids_to_several_servers_are_no_nat(tmp_path: Path) -> None:
    def ping(hop: int, server: str, kind: int) -> bytes:
        ends = (CLIENT6, server) if kind == 128 else (server, CLIENT6)
        body = make.icmp(kind, 0, 0x0001_0001, b"ping", make.pseudo(*ends, 58, 12))
        packet = bytearray(make.ipv6(body, 58, *ends))
        packet[7] = 64 - hop if kind == 128 else 63 + hop
        macs = (MACS[2 * hop + 1], MACS[2 * hop]) if kind == 128 else (MACS[2 * hop], MACS[2 * hop + 1])
        return b"".join(bytes.fromhex(m.replace(":", "")) for m in macs) + struct.pack("!H", 0x86DD) + bytes(packet)

    servers = [f"2001:db8:b::{i}" for i in range(1, 5)]
    taps = {
        name: [ping(hop, server, kind) for server in servers for kind in (128, 129)]
        for hop, name in enumerate(("a", "b"))
    }
    report = verify(tmp_path, **taps)
    assert report.mode is None
    assert not report.findings


@pytest.mark.parametrize("case", ["nat/ipvs-nat", "l2dsr/ipvs-dr", "l3dsr-tunnel/ipvs-tun-ipip"])
def test_a_traceroute_to_the_service_accuses_nobody(tmp_path: Path, case: str) -> None:
    """One SYN with TTL 1 and the router's time exceeded, added to the client's tap of a healthy set-up."""
    files = sorted((Path(__file__).parents[2] / "pcaps" / case).glob("*.pcap"))
    healthy = dsrkit.verify(files)
    vip = healthy.service.vip[0]
    source, router = "198.51.100.10", "198.51.100.1"
    probe = make.ipv4(make.tcp(b"", source, vip, sport=33333, flags=2, ack=0, seq=77), 6, source, vip, ttl=1)
    error = make.ipv4(make.icmp(11, 0, 0, probe[:28]), 1, router, source)
    client = next(f for f in files if f.stem == "A_client")
    extra = make.pcap([make.ethernet(probe), make.ethernet(error)])[24:]
    (tmp_path / client.name).write_bytes(client.read_bytes() + extra)
    report = dsrkit.verify([tmp_path / f.name if f == client else f for f in files])
    assert report.mode == healthy.mode
    assert not [x for x in report.findings if x.severity != "info"]
