"""PROXY headers against those that other projects publish, and one that HAProxy sent."""

from __future__ import annotations

import doctest
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsrkit.craft.packets import proxy
from dsrkit.errors import UsageError

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
INDEX = VECTORS / "proxy-protocol" / "index.json"
needs_vectors = pytest.mark.skipif(not INDEX.exists(), reason=f"no third-party vectors: {INDEX} is not there")

V4 = ("127.0.0.1", 65533, "127.0.0.1", 65533)
V6 = ("::1", 65533, "::1", 65533)
LONGEST = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

# every valid vector but for UNIX sockets; some have octets after the header
BUILT: dict[str, Callable[[], bytes]] = {
    "proxy/01": lambda: proxy.v2("127.0.0.1", 42, "127.0.0.1", 1337, tlvs=[proxy.authority("12345")]),
    "proxy/02": lambda: (
        proxy.v2("127.0.0.1", 42, "127.0.0.1", 1337, tlvs=[proxy.authority("12345")]) + proxy.authority("54321")
    ),
    "proxy/07": lambda: proxy.v2_unspecified("proxy"),
    "proxy/08": lambda: proxy.v2_unspecified(tlvs=[proxy.CRC32C]),
    "proxy/12": lambda: proxy.v2("0.0.0.0", 0, "127.0.0.1", 25, tlvs=[proxy.CRC32C]),
    "proxy/13": lambda: proxy.v2("::1", 0, "::1", 25, tlvs=[proxy.CRC32C]),
    "proxy/15": lambda: proxy.v2_unspecified("proxy", tlvs=[proxy.CRC32C]),
    "proxy/16": lambda: proxy.v2("0.0.0.0", 0, "0.0.0.0", 0, tlvs=[proxy.authority("test")]),
    "proxy/18": lambda: proxy.v1_unknown(" ..."),
    "proxy/19": lambda: proxy.v1("1.2.3.4", 10, "5.6.7.8", 20),
    "proxy/20": lambda: proxy.v1("::1", 10, "::2", 20),
    "proxy/31": lambda: proxy.v1_unknown("    "),
    "proxy/32": lambda: (
        proxy.v1("192.168.0.1", 56324, "192.168.0.11", 443) + b"GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n"
    ),
    "proxy/33": lambda: proxy.v1("255.255.255.255", 65535, "255.255.255.255", 65535),
    "proxy/34": lambda: proxy.v1(LONGEST, 65535, LONGEST, 65535),
    "proxy/35": lambda: proxy.v1_unknown(),
    "proxy/36": lambda: proxy.v1_unknown(f" {LONGEST} {LONGEST} 65535 65535"),
    "proxy/57": lambda: proxy.v2(*V4, tlvs=[proxy.tlv(0, b"")] * 24),
    "proxy/58": lambda: proxy.v2(*V4, command="local"),
    "proxy/59": lambda: proxy.v2(*V4, transport="udp"),
    "proxy/60": lambda: proxy.v2(*V6, transport="udp"),
}


def published() -> dict[str, dict[str, Any]]:
    return {v["id"]: v for v in json.loads(INDEX.read_text(encoding="utf-8"))["vectors"]}


@needs_vectors
@pytest.mark.parametrize("vector", BUILT)
def test_published_header(vector: str) -> None:
    assert BUILT[vector]().hex() == published()[vector]["hex"]


@needs_vectors
def test_every_valid_vector_is_built_but_for_unix_sockets() -> None:
    valid = {key for key, vector in published().items() if vector["valid"]}
    unix = {key for key in valid if published()[key]["name"].startswith(("pack UNIX", "UNIX"))}
    assert valid - unix == BUILT.keys()


def test_recorded_header() -> None:
    # l7-haproxy-tcp-proxyv2, tap C_lb: `send-proxy-v2` of HAProxy
    made = proxy.v2("198.51.100.11", 40037, "192.0.2.100", 80)
    assert made.hex() == "0d0a0d0a000d0a515549540a2111000cc633640bc00002649c650050"


@pytest.mark.parametrize(
    ("octets", "crc"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (
            bytes.fromhex(
                "01c000000000000000000000000000001400000000000400"
                + "0000001400000018280000000000000002"
                + "00000000000000"
            ),
            0xD9963A56,
        ),
    ],
    ids=["zeros", "ones", "rising", "falling", "scsi-read"],
)
def test_crc32c_of_the_standard(octets: bytes, crc: int) -> None:
    """RFC 3720 app. B.4, whose octets are in the order of transmission."""
    assert proxy.crc32c(octets) == crc


@pytest.mark.parametrize("place", [0, 1, 2])
def test_checksum_may_stand_anywhere(place: int) -> None:
    tlvs = [proxy.alpn("h2"), proxy.noop(3)]
    tlvs.insert(place, proxy.CRC32C)
    made = proxy.v2(*V4, tlvs=tlvs)
    at = 28 + sum(map(len, tlvs[:place])) + 3
    zeroed = made[:at] + bytes(4) + made[at + 4 :]
    assert zeroed[28:] == b"".join(tlvs)
    assert int.from_bytes(made[at : at + 4]) == proxy.crc32c(zeroed) != 0


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (proxy.alpn("h2"), "010002" + "6832"),
        (proxy.authority("a.b"), "020003" + "612e62"),
        (proxy.noop(2), "040002" + "0000"),
        (proxy.netns("blue"), "300004" + "626c7565"),
        (proxy.ssl(), "200005" + "01" + "00000000"),
        (proxy.ssl(verified=False), "200005" + "01" + "00000001"),
        (
            proxy.ssl(proxy.CLIENT_SSL | proxy.CLIENT_CERT_CONN, version="TLSv1.3", common_name="me", key="RSA"),
            "20001a" + "03" + "00000000" + "210007" + "544c5376312e33" + "220002" + "6d65" + "250003" + "525341",
        ),
        (proxy.ssl(cipher="c", signature="s"), "20000d" + "01" + "00000000" + "230001" + "63" + "240001" + "73"),
    ],
)
def test_tlvs(made: bytes, expected: str) -> None:
    assert made.hex() == expected


def test_v1_writes_mapped_addresses_like_inet_ntop() -> None:
    assert proxy.v1("::ffff:192.0.2.1", 1, "2001:DB8:0:0::1", 2) == b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n"


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: proxy.v1("192.0.2.1", 1, "2001:db8::1", 2), "2001:db8::1 is an IPv6 address, and IPv4 is needed here"),
        (lambda: proxy.v1("192.0.2.1", 65536, "192.0.2.2", 2), "source port is 65536, not within 0 to 65535"),
        (lambda: proxy.v1("host", 1, "192.0.2.2", 2), "'host' is not an IP address"),
        (lambda: proxy.v1_unknown("x" * 93), "a PROXY line has at most 107 octets"),
        (lambda: proxy.v1_unknown("\r\nGET /"), "a PROXY line has at most 107 octets and no line break within"),
        (lambda: proxy.v2(*V4, transport="sctp"), "PROXY header: transport 'sctp' is neither tcp nor udp"),  # type: ignore[arg-type]
        (lambda: proxy.v2(*V4, command="x"), "PROXY header: command 'x' is neither proxy nor local"),  # type: ignore[arg-type]
        (lambda: proxy.v2(*V4, tlvs=[proxy.CRC32C] * 2), "PROXY header: one checksum at most"),
        (lambda: proxy.v2(*V4, tlvs=[proxy.noop(65535)]), "length of a PROXY header is 65550"),
        (lambda: proxy.unique_id(bytes(129)), "length of a unique id is 129, not within 0 to 128"),
        (lambda: proxy.tlv(256, b""), "type of a TLV is 256, not within 0 to 255"),
    ],
)
def test_mistakes(mistake: Callable[[], bytes], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        mistake()
    assert str(caught.value).startswith(message)


def test_examples() -> None:
    outcome = doctest.testmod(proxy)
    assert outcome.attempted
    assert not outcome.failed
