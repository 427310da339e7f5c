"""What probes ask and servers answer, from their first octets."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.mechanisms.health.parse import answer_of, request_of
from dsrkit.mechanisms.health.series import UP, Ask, Base, Series

V2 = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize(
    ("data", "kind", "text", "typical", "passed_on"),
    [
        (b"GET /health HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\n\r\n", "http", "GET /health", True, False),
        (b"OPTIONS / HTTP/1.0\r\n\r\n", "http", "OPTIONS /", True, False),
        (b"GET / HTTP/1.1\r\nUser-Agent: kube-probe/1.29\r\n\r\n", "http", "GET /", True, False),
        (b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n", "http", "GET /", False, False),
        (b"GET / HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n", "http", "GET /", False, True),
        (b"PROXY TCP4 198.51.100.1 192.0.2.1 1 2\r\nGET / HTTP/1.0\r\n\r\n", "tcp-data", None, False, True),
        (b"PROXY UNKNOWN\r\nGET /ping HTTP/1.1\r\n\r\n", "http", "GET /ping", True, False),
        (V2 + b"\x20\x00\x00\x00GET /ping HTTP/1.1\r\n\r\n", "http", "GET /ping", True, False),
        (V2 + b"\x21\x11\x00\x0c" + bytes(12) + b"GET / HTTP/1.1\r\n\r\n", "tcp-data", None, False, True),
        (b"\x16\x03\x01\x00\xc8\x01\x00", "tls", "ClientHello", False, False),
        (b"\x00\x01\x02", "tcp-data", None, False, False),
        (b"", "tcp", None, False, False),
    ],
)
def test_request(data: bytes, kind: str, text: str | None, typical: bool, passed_on: bool) -> None:
    found = request_of(data)
    assert (found.kind, found.text, found.typical, found.passed_on) == (kind, text, typical, passed_on)


@pytest.mark.parametrize(
    ("kind", "data", "passed", "words"),
    [
        ("http", b"HTTP/1.1 200 OK\r\n", True, "HTTP 200"),
        ("http", b"HTTP/1.0 302 Found\r\n", True, "HTTP 302"),
        ("http", b"HTTP/1.1 503 Service Unavailable\r\n", False, "HTTP 503"),
        ("http", b"SSH-2.0-x\r\n", False, "an answer that is not HTTP"),
        ("tls", b"\x16\x03\x03", True, "ServerHello"),
        ("tls", b"\x15\x03\x03", False, "TLS alert"),
        ("tcp", b"220 mail\r\n", True, "answered"),
    ],
)
def test_answer(kind: str, data: bytes, passed: bool, words: str) -> None:
    assert answer_of(kind, data) == (passed, words)


@given(st.binary(max_size=80), st.sampled_from([b"", V2, b"PROXY ", b"GET "]))
def test_no_octets_are_too_bad(data: bytes, head: bytes) -> None:
    assert request_of(head + data).kind in {"http", "tls", "tcp", "tcp-data"}


def series(times: list[float]) -> Series:
    made = Series(Base(0, 1, 2, 6, 80, 0, 0, 0, 0), Ask("tcp", None))
    for at in times:
        made.add(round(at * 1e9), 1, UP, "handshake")
    return made


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([0, 2, 4.01, 6.0], 2000),
        ([0, 2, 4, 8, 10, 12], 2000),  # one was missed
        ([0, 2, 4, 6, 6.5, 7, 9, 11, 13], 2000),  # faster after a failure
        ([0, 2], None),
        ([0, 0.01, 0.02, 0.03], None),  # nobody checks so often
        ([0, 1, 1.1, 5, 5.2, 9, 20], None),
    ],
)
def test_interval(times: list[float], median: float | None) -> None:
    found = series(times).interval()
    assert (None if found is None else round(found.median_ms, -2)) == median


def test_a_probe_that_ends_late_stands_where_it_began() -> None:
    late = series([0, 4, 6])
    late.absorb(series([2]))
    assert late.at == array("q", [0, 2_000_000_000, 4_000_000_000, 6_000_000_000])
