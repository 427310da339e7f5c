"""Verification of small made-up paths: what counts as the same packet, and what accuses nobody."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import dsrkit
from dsrkit.model.report import Report
from dsrkit.verify import batches

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

CLIENT, SERVER = "203.0.113.7", "198.51.100.80"
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

    def small(self: batches.Input, f: batches._File) -> Iterable[batches.Piece]:
        for piece in pieces(self, f):
            for at in range(0, len(piece.rec), 30):
                yield piece.take(slice(at, at + 30))

    monkeypatch.setattr(batches.Input, "_pieces", small)
    cut = batches.Input.batches
    monkeypatch.setattr(batches.Input, "batches", lambda self, rows=90: cut(self, rows))
    assert verify(tmp_path, a=sent, b=arrived) == whole
    assert counts(whole) == [("a", "b", 401, 0)]
