"""Pairs of sessions in conversations made for it: re-use, re-tries, TLS, mixed IP versions, and what is no proxy."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsrkit.inspect.survey import Survey
from dsrkit.mechanisms.sessions import ProxySessions
from dsrkit.mechanisms.sessions.proxy_protocol import SIGNATURE
from dsrkit.model.report import Report
from dsrkit.verify.pipeline import examine

SYN, ACK, FIN, RST = 2, 16, 1, 4
ROUTER, LB, LB2, SERVER, CLIENT = (bytes.fromhex(f"0200000000{n:02x}") for n in (1, 2, 3, 4, 5))


@dataclass
class Talk:
    """One TCP session; `at` is milliseconds."""

    wire: Wire
    client: tuple[str, int]
    server: tuple[str, int]
    macs: tuple[bytes, bytes]
    isn: int
    peer_isn: int
    options: bytes = b""
    sent: int = 1
    got: int = 1

    def open(self, at: float) -> Talk:
        self.send(at, flags=SYN, seq=self.isn, ack=0, options=self.options)
        self.reply(at + 0.01, flags=SYN | ACK, seq=self.peer_isn)
        self.send(at + 0.02)
        return self

    def refuse(self, at: float) -> Talk:
        self.send(at, flags=SYN, seq=self.isn, ack=0)
        self.reply(at + 0.01, flags=RST | ACK, seq=0)
        return self

    def send(self, at: float, octets: bytes = b"", flags: int = ACK, options: bytes = b"", **numbers: int) -> None:
        numbers = {"seq": self.isn + self.sent, "ack": self.peer_isn + self.got, **numbers}
        self.wire.add(at, self.macs, self.client, self.server, flags, numbers, octets, options)
        self.sent += len(octets) + bool(flags & FIN)

    def reply(self, at: float, octets: bytes = b"", flags: int = ACK, **numbers: int) -> None:
        numbers = {"seq": self.peer_isn + self.got, "ack": self.isn + self.sent, **numbers}
        self.wire.add(at, self.macs[::-1], self.server, self.client, flags, numbers, octets)
        self.got += len(octets) + bool(flags & FIN)

    def close(self, at: float) -> None:
        self.send(at, flags=FIN | ACK)
        self.reply(at + 0.01, flags=FIN | ACK)
        self.send(at + 0.02)


@dataclass
class Wire:
    """One tap that sees everything."""

    frames: list[tuple[float, bytes]] = field(default_factory=list)
    isn: int = 1_000_000

    def talk(
        self, client: tuple[str, int], server: tuple[str, int], macs: tuple[bytes, bytes], **known: int | bytes
    ) -> Talk:
        self.isn += 7_654_321
        numbers = {"isn": self.isn, "peer_isn": self.isn ^ 0x5A5A5A, **known}
        return Talk(self, client, server, macs, **numbers)  # type: ignore[arg-type]

    def add(
        self,
        at: float,
        macs: tuple[bytes, bytes],
        source: tuple[str, int],
        target: tuple[str, int],
        flags: int,
        numbers: dict[str, int],
        octets: bytes,
        options: bytes = b"",
    ) -> None:
        a, b = (ipaddress.ip_address(end[0]) for end in (source, target))
        size = 20 + len(options)
        head = struct.pack(
            ">HHIIBBHHH", source[1], target[1], numbers["seq"], numbers["ack"], size // 4 << 4, flags, 64000, 0, 0
        )
        tcp = head + options + octets
        if a.version == 4:
            ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), len(self.frames) + 1, 0x4000, 64, 6, 0)
            kind = b"\x08\x00"
        else:
            ip = struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64)
            kind = b"\x86\xdd"
        self.frames.append((at, macs[1] + macs[0] + kind + ip + a.packed + b.packed + tcp))

    def save(self, folder: Path) -> Path:
        path = folder / "wire.pcap"
        out = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)  # time stamps in nanoseconds
        for at, frame in sorted(self.frames, key=lambda entry: entry[0]):
            ns = 1_700_000_000 * 10**9 + round(at * 1e6)
            out += struct.pack("<IIII", *divmod(ns, 10**9), len(frame), len(frame)) + frame
        path.write_bytes(out)
        return path

    def report(self, folder: Path, mode: str | None = None) -> Report:
        return examine(str(self.save(folder)), observers=[ProxySessions], mode=mode)


VIP = ("203.0.113.10", 80)
RS = [(f"10.0.0.{n}", 8080) for n in (11, 12, 13)]


def front(wire: Wire, client: str, port: int, **known: int) -> Talk:
    return wire.talk((client, port), VIP, (ROUTER, LB), **known)


def back(wire: Wire, port: int, server: tuple[str, int], **known: int | bytes) -> Talk:
    return wire.talk(("10.0.0.1", port), server, (LB2, SERVER), **known)


def get(path: str, *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: www.example.com", *more, "", ""]).encode()


def ok(body: str, status: str = "200 OK", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", "Date: Sat, 01 Aug 2026 12:00:00 GMT", f"Content-Length: {len(body)}", *more, "", ""]
    return ("\r\n".join(head) + body).encode()


def exchange(a: Talk, b: Talk, at: float, asked: bytes, out: bytes, said: bytes, got: bytes | None = None) -> None:
    a.send(at, asked)
    b.send(at + 0.2, out)
    b.reply(at + 0.4, got or said)
    a.reply(at + 0.6, said)


def paired(report: Report) -> set[tuple[str, int, str, int, str, int]]:
    return {(s.client.ip, s.client.port, s.proxy.ip, s.proxy.port, s.server.ip, s.requests) for s in report.sessions}


def accused(report: Report) -> list[str]:
    return [f.code for f in report.findings if f.severity != "info" and f.code.startswith("l7.")]


def test_requests_of_several_clients_share_sessions_with_servers(tmp_path: Path) -> None:
    """HTTP keep-alive and re-use: each request has its own server, and the heads are changed on the way."""
    wire = Wire()
    one, two = front(wire, "198.51.100.10", 40000).open(0), front(wire, "198.51.100.11", 40000).open(0.1)
    x, y = back(wire, 50000, RS[0]).open(1), back(wire, 50001, RS[1]).open(1.1)
    via = "Via: 1.1 lb"
    plan = [(one, x, "/a"), (two, y, "/b"), (one, y, "/c"), (two, x, "/a"), (one, x, "/d"), (one, y, "/a")]
    for i, (a, b, path) in enumerate(plan):
        forwarded = f'Forwarded: for="{a.client[0]}:1234";proto=http'
        exchange(a, b, 10 + i, get(path), get(path, forwarded, via), ok(f"{i}" * 80), ok(f"{i}" * 80, "200 OK", via))
    for talk in (one, two, x, y):
        talk.close(30)
    report = wire.report(tmp_path)
    assert report.mode == "l7"
    assert paired(report) == {
        ("198.51.100.10", 40000, "10.0.0.1", 50000, "10.0.0.11", 2),
        ("198.51.100.10", 40000, "10.0.0.1", 50001, "10.0.0.12", 2),
        ("198.51.100.11", 40000, "10.0.0.1", 50001, "10.0.0.12", 1),
        ("198.51.100.11", 40000, "10.0.0.1", 50000, "10.0.0.11", 1),
    }
    assert all(s.by == ("request", "forwarded-for") for s in report.sessions)
    assert accused(report) == []


def test_tls_passes_through_also_between_ip_versions(tmp_path: Path) -> None:
    wire = Wire()
    for i in range(3):
        a = wire.talk(("2001:db8:1::5", 40000 + i), ("2001:db8::10", 443), (ROUTER, LB)).open(i * 10)
        b = back(wire, 50000 + i, ("10.0.0.11", 443)).open(i * 10 + 1)
        hello = b"\x16\x03\x01\x02\x00\x01" + bytes((7 * i + k) % 251 for k in range(300))
        # The same octets in other segments: twice on one side, in the wrong order and again on the other.
        a.send(i * 10 + 2, hello[:100])
        a.send(i * 10 + 2.1, hello[100:])
        b.send(i * 10 + 2.5, hello[200:], seq=b.isn + 201)
        b.sent = 1
        b.send(i * 10 + 2.6, hello)
        answer = b"\x16\x03\x03" + bytes((11 * i + k) % 253 for k in range(900))
        b.reply(i * 10 + 3, answer)
        a.reply(i * 10 + 3.5, answer[:500])
        a.reply(i * 10 + 3.6, answer[500:])
        a.close(i * 10 + 5)
        b.close(i * 10 + 5)
    report = wire.report(tmp_path)
    assert paired(report) == {("2001:db8:1::5", 40000 + i, "10.0.0.1", 50000 + i, "10.0.0.11", 0) for i in range(3)}
    assert {s.by for s in report.sessions} == {("payload",)}
    assert report.service.vip == ("2001:db8::10",)


def test_a_refused_session_is_tried_again_elsewhere(tmp_path: Path) -> None:
    wire = Wire()
    for i in range(4):
        a = front(wire, "198.51.100.10", 40000 + i).open(i * 100)
        if i % 2:
            back(wire, 51000 + i, RS[1]).refuse(i * 100 + 1)
        b = back(wire, 50000 + i, RS[0]).open(i * 100 + 2)
        exchange(a, b, i * 100 + 5, get(f"/{i}"), get(f"/{i}"), ok(f"{i}" * 80))
        a.close(i * 100 + 10)
        b.close(i * 100 + 10)
    report = wire.report(tmp_path)
    found = {(s.client.port, s.proxy.port): s.end for s in report.sessions}
    assert found == {
        (40000, 50000): "closed", (40001, 50001): "closed", (40002, 50002): "closed", (40003, 50003): "closed",
        (40001, 51001): "refused", (40003, 51003): "refused",
    }  # fmt: skip
    (finding,) = [f for f in report.findings if f.code.startswith("l7.")]
    assert (finding.code, finding.severity, finding.count) == ("l7.real-server.accepts", "warning", 2)


def v2(source: tuple[str, int], target: tuple[str, int], more: bytes = b"") -> bytes:
    ends = [ipaddress.ip_address(end[0]).packed for end in (source, target)]
    body = b"".join(ends) + struct.pack(">HH", source[1], target[1]) + more
    return SIGNATURE + b"\x21\x11" + struct.pack(">H", len(body)) + body


def proxied(headers: Iterable[bytes], *, answers: bool = True) -> Wire:
    wire = Wire()
    for i, header in enumerate(headers):
        a = front(wire, "198.51.100.10", 40000 + i).open(i * 10)
        b = back(wire, 50000 + i, RS[i % 2]).open(i * 10 + 1)
        a.send(i * 10 + 2, get(f"/{i}"))
        b.send(i * 10 + 2.2, header)
        b.send(i * 10 + 2.3, get(f"/{i}"))
        if answers:
            b.reply(i * 10 + 3, ok(f"{i}" * 80))
            a.reply(i * 10 + 3.3, ok(f"{i}" * 80))
        a.close(i * 10 + 5)
        b.close(i * 10 + 5)
    return wire


def said(i: int) -> bytes:
    return v2(("198.51.100.10", 40000 + i), VIP)


def test_headers_that_say_what_session_1_is(tmp_path: Path) -> None:
    report = proxied(said(i) for i in range(4)).report(tmp_path)
    assert accused(report) == []
    passed = {cell.cell: cell.checked for cell in report.cells if cell.verdict == "pass"}
    assert passed["l7.lb.header-says-session"] == passed["l7.lb.header-well-formed"] == 4


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (v2(("198.51.100.10", 40009), VIP), "l7.lb.header-says-session"),
        (v2(("10.0.0.1", 50003), VIP), "l7.lb.header-says-session"),
        (v2(("198.51.100.10", 40003), ("203.0.113.99", 80)), "l7.lb.header-says-session"),
        (v2(("198.51.100.10", 40003), VIP, b"\x05\x00\x09abc"), "l7.lb.header-well-formed"),
        (v2(("198.51.100.10", 40003), VIP, b"\x03\x00\x04abcd"), "l7.lb.header-well-formed"),
        (b"PROXY TCP4 198.51.100.10 203.0.113.10 040003 80\r\n", "l7.lb.header-well-formed"),
    ],
)
def test_a_header_that_is_wrong(header: bytes, code: str, tmp_path: Path) -> None:
    report = proxied([said(0), said(1), said(2), header]).report(tmp_path)
    assert report.mode == "l7"
    (finding,) = [f for f in report.findings if f.code.startswith("l7.")]
    assert (finding.code, finding.count) == (code, 1)


@pytest.mark.parametrize("first", [1, 5, 200])
@pytest.mark.parametrize("header", [said(0), b"PROXY TCP4 198.51.100.10 203.0.113.10 40000 80\r\n"])
def test_a_header_alone_shows_a_proxy(header: bytes, first: int, tmp_path: Path) -> None:
    """To inspect, too, which takes no sessions apart where there is neither a header nor a second server."""
    wire = Wire()
    b = back(wire, 50000, RS[0]).open(0)
    for at, octets in enumerate((header[:first], header[first:], get("/"))):
        if octets:
            b.send(2 + at, octets)
    b.reply(6, ok("0" * 80))
    b.close(7)
    assert wire.report(tmp_path).mode == "l7"
    assert any("l7" in line for line in Survey(wire.save(tmp_path)).heading)


def test_local_headers_are_the_proxy_itself(tmp_path: Path) -> None:
    """A health check of the proxy says LOCAL: nothing to compare with a client."""
    wire = proxied(said(i) for i in range(3))
    check = back(wire, 55000, RS[0]).open(50)
    check.send(51, SIGNATURE + b"\x20\x00\x00\x00")
    check.close(52)
    report = wire.report(tmp_path)
    assert accused(report) == []
    assert len(report.sessions) == 3


def test_the_toa_option_names_the_client(tmp_path: Path) -> None:
    wire = Wire()
    for i in range(2):
        a = front(wire, "198.51.100.10", 40000 + i).open(i * 10)
        option = struct.pack(">BBH4s", 254, 8, 40000 + i, ipaddress.ip_address("198.51.100.10").packed)
        b = back(wire, 50000 + i, RS[i], options=option).open(i * 10 + 1)
        exchange(a, b, i * 10 + 2, b"\x01" * 40, b"\x01" * 40, b"\x02" * 90)
        a.close(i * 10 + 5)
        b.close(i * 10 + 5)
    report = wire.report(tmp_path)
    assert {(s.client.port, s.proxy.port, s.by) for s in report.sessions} == {
        (40000 + i, 50000 + i, ("toa", "payload")) for i in range(2)
    }


# --- what is no proxy -------------------------------------------------------------------------------------------------


def test_nat_keeps_the_sequence_numbers(tmp_path: Path) -> None:
    wire = Wire()
    for i in range(4):
        known = {"isn": 5_000_000 * (i + 1), "peer_isn": 9_000_000 * (i + 1)}
        a = front(wire, "198.51.100.10", 40000 + i, **known).open(i * 10)
        b = back(wire, 50000 + i, RS[0], **known).open(i * 10 + 0.001)
        exchange(a, b, i * 10 + 2, get(f"/{i}"), get(f"/{i}"), ok(f"{i}" * 80))
    assert wire.report(tmp_path).sessions == ()
    stated = wire.report(tmp_path, "l7")
    assert "l7.lb.own-session" in accused(stated)
    assert stated.sessions == ()


def test_a_crawler_is_no_proxy(tmp_path: Path) -> None:
    """One client that asks many servers for the same, who answer the same."""
    wire = Wire()
    for i in range(6):
        talk = wire.talk(("198.51.100.10", 40000 + i), (f"192.0.2.{i + 1}", 80), (CLIENT, ROUTER)).open(i * 10)
        talk.send(i * 10 + 1, get("/robots.txt"))
        talk.reply(i * 10 + 2 - i / 10, ok("User-agent: *" * 8))
        talk.close(i * 10 + 3)
    report = wire.report(tmp_path)
    assert (report.mode, report.sessions) == (None, ())


def test_clients_that_ask_two_servers_for_the_same_are_no_proxy(tmp_path: Path) -> None:
    """Nested in time by chance now and then, but not always."""
    wire = Wire()
    for i in range(8):
        for k in range(2):
            talk = wire.talk((f"198.51.100.{k + 1}", 40000 + i), (f"192.0.2.{k + 1}", 80), (CLIENT, ROUTER)).open(
                i * 20 + k
            )
            talk.send(i * 20 + 3 + (i + k) % 3, get("/index.html"))
            talk.reply(i * 20 + 9 - k - (i * k) % 5, ok("hello" * 30))
            talk.close(i * 20 + 12)
    report = wire.report(tmp_path)
    assert (report.mode, report.sessions) == (None, ())


def test_a_forward_proxy_balances_nothing(tmp_path: Path) -> None:
    wire = Wire()
    for i in range(4):
        a = wire.talk(("198.51.100.10", 40000 + i), ("203.0.113.10", 3128), (ROUTER, LB)).open(i * 10)
        b = wire.talk(("203.0.113.10", 50000 + i), (f"192.0.2.{i + 1}", 80), (LB, ROUTER)).open(i * 10 + 1)
        exchange(a, b, i * 10 + 2, get(f"http://www.example.com/{i}"), get(f"/{i}"), ok(f"{i}" * 80))
    report = wire.report(tmp_path)
    assert (report.mode, report.sessions) == (None, ())


def test_a_mail_relay_speaks_for_itself(tmp_path: Path) -> None:
    wire = Wire()
    for i in range(4):
        a = wire.talk(("198.51.100.10", 40000 + i), ("203.0.113.10", 25), (ROUTER, LB)).open(i * 10)
        b = wire.talk(("203.0.113.10", 50000 + i), ("192.0.2.1", 25), (LB, ROUTER)).open(i * 10 + 3)
        for talk, at, name in ((a, i * 10 + 1, "client"), (b, i * 10 + 4, "relay")):
            talk.reply(at, f"220 {talk.server[0]} ESMTP\r\n".encode())
            talk.send(at + 0.1, f"EHLO {name}.example.com\r\n".encode())
            talk.reply(at + 0.2, b"250 OK\r\n")
            talk.send(at + 0.3, b"MAIL FROM:<a@example.com>\r\n")
            talk.reply(at + 0.4, b"250 OK\r\n")
    report = wire.report(tmp_path)
    assert (report.mode, report.sessions) == (None, ())
