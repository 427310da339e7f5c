"""Bad and huge input: no mechanism fails on it, takes time out of proportion, or lets it reach a terminal raw."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

import dsrkit
from dsrkit.model.report import Report
from dsrkit.report.text import render

Packets = Iterator[tuple[int, bytes]]
CLIENT, SERVER, PROXY = (bytes([2, 0, 0, 0, 0, n]) for n in (1, 2, 3))
VIP, RESOLVER, BALANCER = (IPv4Address(text) for text in ("20.0.0.1", "9.9.9.9", "30.0.0.1"))
SECONDS = 30
"""Far above what they take, far below what comparing everything with everything takes."""


def _ip(source: IPv4Address, target: IPv4Address, proto: int, payload: bytes, ident: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident & 0xFFFF, 0x4000, 64, proto, 0)
    return head + source.packed + target.packed + payload


def _frame(target: bytes, source: bytes, packet: bytes, kind: int = 0x0800) -> bytes:
    return target + source + struct.pack("!H", kind) + packet


def _tcp(sport: int, dport: int, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    numbers = struct.pack("!HHII", sport, dport, seq & 0xFFFF_FFFF, ack & 0xFFFF_FFFF)
    return numbers + struct.pack("!BBHHH", 0x50, flags, 65000, 0, 0) + data


def _dns(ident: int, name: bytes, addresses: list[IPv4Address]) -> bytes:
    flags = 0x8180 if addresses else 0x0100
    head = struct.pack("!6H", ident & 0xFFFF, flags, 1, len(addresses), 0, 0) + name + struct.pack("!2H", 1, 1)
    return head + b"".join(b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 5, 4) + a.packed for a in addresses)


def _lookup(at: int, i: int, name: bytes, addresses: list[IPv4Address]) -> Packets:
    client = IPv4Address("10.0.0.7")
    for sport, dport, data, ends in (
        (5000, 53, _dns(0, name, []), (client, RESOLVER)),
        (53, 5000, _dns(0, name, addresses), (RESOLVER, client)),
    ):
        at += 10_000
        macs = (SERVER, CLIENT) if dport == 53 else (CLIENT, SERVER)
        udp = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
        yield at, _frame(*macs, _ip(*ends, 17, udp, i))


def _syn(at: int, i: int, server: IPv4Address) -> tuple[int, bytes]:
    segment = _tcp(1024 + i % 60_000, 80, i * 77, 0, 2)
    return at, _frame(SERVER, CLIENT, _ip(IPv4Address("10.0.0.7"), server, 6, segment, i))


def same_question() -> Packets:
    """One question with one identifier, again and again."""
    for i in range(6_000):
        yield from _lookup(i * 1_000_000_000, i, b"\x04same\0", [IPv4Address(0x0808_0801), IPv4Address(0x0808_0802)])
        yield _syn(i * 1_000_000_000 + 50_000, i, IPv4Address(0x0808_0801 + i % 2))


def names_between() -> Packets:
    """Thousands of names, and connections that the first of them explains."""
    for i in range(6_000):
        own = [IPv4Address(0x0800_0001), IPv4Address(0x0800_0002)] if i == 0 else [IPv4Address(0x0700_0000 + i)]
        yield from _lookup(i * 1_000_000, i, b"\x05" + b"%05d" % i + b"\0", own)
    for i in range(6_000):
        yield _syn(6_000_000_000 + i * 10_000, i, IPv4Address(0x0800_0001 + i % 2))


def alike_at_once() -> Packets:
    """Sessions on both sides of a proxy at one time that ask for the same thing."""
    asked, said = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 80
    for i in range(3_000):
        client, server = IPv4Address(0x0A00_0100 + i), IPv4Address(0x1E00_000A + i % 3)
        for a, b, macs, port, isn in (
            (client, VIP, (PROXY, CLIENT), 80, i * 1_234_567),
            (BALANCER, server, (SERVER, PROXY), 8080, i * 7_654_321 + 99),
        ):
            there = _tcp(1024 + i, port, isn, 0, 2), _tcp(1024 + i, port, isn + 1, 6, 0x18, asked)
            back = _tcp(port, 1024 + i, 5, isn + 1, 0x12), _tcp(port, 1024 + i, 6, isn + 1 + len(asked), 0x18, said)
            for out, home in zip(there, back, strict=True):
                yield 0, _frame(*macs, _ip(a, b, 6, out, i))
                yield 0, _frame(macs[1], macs[0], _ip(b, a, 6, home, i))


def owners_by_turns() -> Packets:
    """Hundreds of addresses that seven machines claim by turns."""
    for i in range(4_000):
        mac, vip = bytes([2, 0, 0, 1, 0, i % 7]), IPv4Address(0xC000_0200 + i % 200).packed
        claim = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + vip + b"\xff" * 6 + vip
        yield i * 1_000_000, _frame(b"\xff" * 6, mac, claim, 0x0806)


def full_adverts() -> Packets:
    """Adverts with as many addresses as fit."""
    for i in range(1_000):
        listed = b"".join(IPv4Address(0xC000_0200 + n).packed for n in range(255))
        advert = struct.pack("!BBBBBBH", 0x21, 51, 100, 255, 0, 1, 0) + listed + bytes(8)
        packet = _ip(IPv4Address(0xC000_0302 + i % 2), IPv4Address("224.0.0.18"), 112, advert, i)
        yield i * 10_000_000, _frame(bytes([1, 0, 0x5E, 0, 0, 18]), bytes([0, 0, 0x5E, 0, 1, 51]), packet)


def _verified(folder: Path, packets: Packets) -> Report:
    path = folder / "made.pcap"
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2_3C4D, 2, 4, 0, 0, 262_144, 1))
        for at, frame in packets:
            when = at + 1_700_000_000_000_000_000
            out.write(struct.pack("<IIII", when // 10**9, when % 10**9, len(frame), len(frame)) + frame)
    return dsrkit.verify(path)


@pytest.mark.parametrize("packets", [same_question, names_between, alike_at_once, owners_by_turns, full_adverts])
def test_work_stays_in_proportion(packets: Callable[[], Packets], tmp_path: Path) -> None:
    before = time.process_time()
    report = _verified(tmp_path, packets())
    assert time.process_time() - before < SECONDS
    assert sum(tap.packets for tap in report.taps) == sum(1 for _ in packets())


def hostile_names() -> Packets:
    """Names of escape sequences, line breaks, bidirectional overrides and markup; connections follow them."""
    for i in range(40):
        evil = (b"\x1b[31mred", b"a\nPASS b", b"\xe2\x80\xaeabc", b"[bold]x")[i % 4]
        addresses = [IPv4Address(0x0808_0801), IPv4Address(0x0808_0802)][:: 1 - 2 * (i // 4 % 2)]
        yield from _lookup(i * 7_000_000_000, i, bytes([len(evil)]) + evil + b"\0", addresses)
        yield _syn(i * 7_000_000_000 + 50_000, i, addresses[0])


def hostile_checks() -> Packets:
    """Health checks of paths that would colour, break or turn a line."""
    for i in range(40):
        server, at, isn, port = IPv4Address(0x1E00_000A + i % 2), i // 2 * 2_000_000_000 + i % 2 * 9, i * 999, 2000 + i
        asked = b"GET " + (b"/health\x1b[2J\xe2\x80\xae", b"/health\x9b31m\x07")[i % 2] + b" HTTP/1.0\r\n\r\n"
        said = b"HTTP/1.0 200 \x1b[1m\r\n\r\n"
        for out, segment in (
            (True, _tcp(port, 80, isn, 0, 2)),
            (False, _tcp(80, port, 5, isn + 1, 0x12)),
            (True, _tcp(port, 80, isn + 1, 6, 0x18, asked)),
            (False, _tcp(80, port, 6, isn + 1 + len(asked), 0x18, said)),
            (True, _tcp(port, 80, isn + 1 + len(asked), 6 + len(said), 0x14)),
        ):
            at += 1_000
            ends, macs = ((BALANCER, server), (SERVER, PROXY)) if out else ((server, BALANCER), (PROXY, SERVER))
            yield at, _frame(*macs, _ip(*ends, 6, segment, i))


@pytest.mark.parametrize(("packets", "section"), [(hostile_names, "dns"), (hostile_checks, "health_checks")])
def test_text_of_packets_cannot_steer_a_terminal(packets: Callable[[], Packets], section: str, tmp_path: Path) -> None:
    report = _verified(tmp_path, packets())
    assert json.loads(report.to_json())[section]
    lines = render(report, verbose=True).split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("PASS b") for line in lines)
