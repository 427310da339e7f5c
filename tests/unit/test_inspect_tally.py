"""The tally of conversations: the same compiled and interpreted, within its memory, whatever the rows say."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import numpy as np
import pytest
from scenarios import PCAPS

from dsrkit.inspect.flows import table
from dsrkit.inspect.head import Head, Taps, know
from dsrkit.inspect.sums import Sums
from dsrkit.wire.capture import read
from dsrkit.wire.layout import LEVELS, RECORD

SOURCES = [
    "fullnat/ipvs-fullnat/B_lb.pcap",
    "l2dsr/ipvs-dr-loss/B_lb.pcap",
    "l3dsr-tunnel/ipvs-tun-ipip/B_lb.pcap",
    "nat/ipvs-nat/B_lb.pcap",
]


def summed(octets: bytes, *, most: int = 1000, interpreted: bool = False) -> tuple[list[Any], list[str]]:
    capture = read(io.BytesIO(octets))
    taps, head = Taps(capture, "tap", None), Head(capture)
    sums = Sums(know(head, taps), taps, most, interpreted=interpreted)
    for window in head:
        sums.add(window.rec)
    return sums.rows().tolist(), sums.notes


def damaged(octets: bytes, seed: int) -> bytes:
    """A capture with octets of its packets replaced, and some of its packets cut."""
    chance = random.Random(seed)
    out, at = bytearray(octets), 24
    while at < len(out):
        size = int.from_bytes(out[at + 8 : at + 12], "little")
        for _ in range(chance.choice((0, 0, 1, 3))):
            out[at + 16 + chance.randrange(min(size, 60))] = chance.randrange(256)
        at += 16 + size
    return bytes(out)


@pytest.mark.parametrize("name", SOURCES)
def test_interpreted_and_compiled_add_up_alike(name: str) -> None:
    octets = (PCAPS / name).read_bytes()[:60_000]
    assert octets[:4] == bytes.fromhex("d4c3b2a1")
    rows, notes = summed(octets)
    assert rows
    assert (rows, notes) == summed(octets, interpreted=True)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_packets_add_up_alike(seed: int) -> None:
    octets = damaged((PCAPS / SOURCES[seed]).read_bytes()[:40_000], seed)
    rows, notes = summed(octets)
    assert rows
    assert (rows, notes) == summed(octets, interpreted=True)


@pytest.mark.parametrize("interpreted", [False, True])
def test_rows_of_any_content_are_added_up(interpreted: bool) -> None:  # interpreted every index is checked
    capture = read(PCAPS / SOURCES[1])
    taps, head = Taps(capture, "tap", None), Head(capture)
    sums = Sums(know(head, taps), taps, 500, interpreted=interpreted)
    chance = np.random.default_rng(7)
    count = 0
    for _ in range(5):
        rec = np.frombuffer(chance.bytes(2000 * RECORD.itemsize), RECORD).copy()
        rec["iface"], rec["depth"] = 0, rec["depth"] % (LEVELS + 1)
        rec["ts_ns"] = np.abs(rec["ts_ns"])
        sums.add(rec)
        count += int(((rec["depth"] > 0) & ((rec["has"] & 4) != 0)).sum())
    rows = sums.rows()
    listed = int(rows["packets"].sum() + rows["packets_back"].sum())
    left = sum(int(note.split("have ")[1].split()[0].replace(",", "")) for note in sums.notes if "have " in note)
    errors = sum(int(note.split()[0].replace(",", "")) for note in sums.notes if "ICMP errors" in note)
    assert len(rows) == 500
    assert listed + left + errors == count


def flood(connections: int, packets: int) -> bytes:
    """A capture of many connections, some packets each, every packet once."""
    ethernet = bytes.fromhex("020000000002 020000000001 0800")
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for number in range(packets):
        for client in range(connections):
            source = struct.pack("!BBH", 10, client >> 16, client & 0xFFFF)
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, number + 1, 0, 64, 6, 0, source, bytes((192, 0, 2, 1)))
            tcp = struct.pack("!HHIIBBHHH", 40000, 80, number + 1, 1, 0x50, 0x10 if number else 2, 100, 0, 0)
            ts = number * connections + client
            out.append(struct.pack("<IIII", ts // 1_000_000, ts % 1_000_000, 54, 54) + ethernet + ip + tcp)
    return b"".join(out)


def test_what_there_is_no_room_for_is_counted() -> None:
    found = table(io.BytesIO(flood(9000, 3)), most=5000)
    assert len(found.flows) == 5000
    assert {flow.packets for flow in found.flows} == {3}
    assert found.notes == [
        "only the first 5,000 conversations are listed; the others have 12,000 packets with 480,000 octets"
    ]


def test_more_packets_than_are_remembered_count_once_each() -> None:
    found = table(io.BytesIO(flood(300, 300)))
    assert len(found.flows) == 300
    assert {(flow.packets, flow.retransmissions) for flow in found.flows} == {(300, 0)}


def test_the_first_are_put_into_words() -> None:
    octets = (PCAPS / SOURCES[2]).read_bytes()
    assert table(io.BytesIO(octets), first=3).flows == table(io.BytesIO(octets)).flows[:3]
