"""The PROXY parser: every verdict that third parties state, headers at every cut, and any octets at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.mechanisms.sessions.proxy_protocol import SIGNATURE, BadHeader, ProxyHeader, crc32c, parse

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
INDEX = VECTORS / "proxy-protocol" / "index.json"


def vectors() -> list[Any]:
    return list(json.loads(INDEX.read_text(encoding="utf-8"))["vectors"]) if INDEX.is_file() else []


@pytest.mark.skipif(not vectors(), reason="the third-party vectors are not at hand")
@pytest.mark.parametrize("vector", vectors(), ids=lambda v: v["id"])
def test_every_stated_verdict_is_reproduced(vector: Any) -> None:
    octets = bytes.fromhex(vector["hex"])
    found = parse(octets)
    assert isinstance(found, ProxyHeader) == bool(vector["valid"])
    if isinstance(found, BadHeader):
        assert not vector.get("incomplete") or found.incomplete
        assert vector.get("error") != "checksum" or "CRC32C" in found.problem
        return
    expect = vector["expect"] if isinstance(vector["expect"], dict) else {}
    said = {
        "command": found.command,
        "family": found.family,
        "src": found.source,
        "sport": found.source_port,
        "dst": found.target,
        "dport": found.target_port,
        "crc_ok": found.checked,
        "length": found.length,
        "authority": dict(found.tlvs).get(2, b"").decode(),
        "crc32c": int.from_bytes(dict(found.tlvs).get(3, b""), "big"),
    }
    for key, value in expect.items():
        assert said[key] == (value.split()[0] if key == "family" else value)
    if isinstance(vector["valid"], str):  # octets behind the header are not its own
        assert found.length == len(octets) - 8


@pytest.mark.skipif(not vectors(), reason="the third-party vectors are not at hand")
def test_a_header_refused_by_others_is_refused_also_before_a_request() -> None:
    for vector in vectors():
        if vector["valid"] is False and "followed_by" in vector:
            assert isinstance(parse(bytes.fromhex(vector["hex"]) + b"GET / HTTP/1.1\r\n\r\n"), BadHeader), vector[
                "name"
            ]


V2 = SIGNATURE + bytes.fromhex("2111000cc6336401cb007107a0280050")


@pytest.mark.parametrize("whole", [V2, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n", b"PROXY UNKNOWN\r\n"])
def test_every_cut_is_incomplete(whole: bytes) -> None:
    assert isinstance(parse(whole), ProxyHeader)
    for cut in range(1, len(whole)):
        found = parse(whole[:cut])
        assert isinstance(found, BadHeader)
        assert found.incomplete
    found = parse(whole + b"GET /")
    assert isinstance(found, ProxyHeader)
    assert found.length == len(whole)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "no IPv4 address"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "no port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "no port"),
        (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "no IPv4 address"),
        (b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n", "no IPv6 address"),
        (b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "none of"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "without CR"),
        (b"PROXY UNKNOWN " + b"x" * 110 + b"\r\n", "107"),
        (V2[:12] + b"\x22" + V2[13:], "neither LOCAL nor PROXY"),
        (V2[:14] + b"\x00\x0e" + V2[16:] + b"ab", "left over"),
        (V2[:14] + b"\x00\x11" + V2[16:] + b"\x20\x00\x02ab", "SSL"),
        (V2[:14] + b"\x00\x11" + V2[16:] + b"\x03\x00\x02ab", "CRC32C"),
    ],
)
def test_what_is_wrong_is_named(line: bytes, why: str) -> None:
    found = parse(line)
    assert isinstance(found, BadHeader)
    assert why in found.problem
    assert not found.incomplete


def test_the_checksum_covers_every_octet() -> None:
    body = bytes.fromhex("c6336401cb007107a0280050")
    head = SIGNATURE + b"\x21\x11\x00\x13" + body + b"\x03\x00\x04"
    whole = head + crc32c(head + bytes(4)).to_bytes(4, "big")
    found = parse(whole)
    assert isinstance(found, ProxyHeader)
    assert found.checked
    for at in (at for at in range(16, len(whole)) if at != 28):  # there it would be another TLV
        assert isinstance(parse(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]), BadHeader)


@given(st.binary(max_size=64), st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21\x11", b"PROXY ", b"PROXY TCP6 "]))
def test_any_octets_are_judged(octets: bytes, start: bytes) -> None:
    found = parse(start + octets)
    assert isinstance(found, BadHeader) or found.length <= len(start + octets)
