"""DNS messages against what a client and dnsmasq sent, and the standard's own example of compression."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dsrkit.craft.packets import dns
from dsrkit.errors import UsageError

NAME = "www.lab.example"

# dns-rr, tap B_dns: the first query and the answers of dnsmasq that rotate
QUERY = "10000100000100000000000003777777036c6162076578616d706c650000010001"
ANSWERS = {
    0x1000: (["192.0.2.22", "192.0.2.21", "192.0.2.23"], "c0000216", "c0000215", "c0000217"),
    0x1001: (["192.0.2.21", "192.0.2.23", "192.0.2.22"], "c0000215", "c0000217", "c0000216"),
}


def test_query_is_the_recorded_message() -> None:
    assert dns.query(NAME, ident=0x1000).hex() == QUERY


@pytest.mark.parametrize("ident", ANSWERS)
def test_response_is_the_recorded_message(ident: int) -> None:
    ips, *octets = ANSWERS[ident]
    recorded = f"{ident:04x}8580000100030000000003777777036c6162076578616d706c650000010001" + "".join(
        "c00c000100010000001e0004" + address for address in octets
    )
    made = dns.response(NAME, answers=dns.addresses(NAME, list(ips), ttl=30), ident=ident, authoritative=True)
    assert made.hex() == recorded


def test_names_of_an_alias_point_to_what_stands_before() -> None:
    answers = (
        dns.Record(NAME, "CNAME", "web.lab.example", 60),
        dns.Record("web.lab.example", "AAAA", "2001:db8::1", 30),
        dns.Record("web.lab.example.", "AAAA", "2001:db8::2", 30),
    )
    made = dns.response(NAME, "AAAA", answers)
    assert made[12 + 17 + 4 :].hex() == (
        # www.lab.example at 12, lab.example at 16; web stands at 45 = 0x2d
        "c00c" + "0005" + "0001" + "0000003c" + "0006" + "03776562c010"
        "c02d" + "001c" + "0001" + "0000001e" + "0010" + "20010db8000000000000000000000001"
        "c02d" + "001c" + "0001" + "0000001e" + "0010" + "20010db8000000000000000000000002"
    )


def test_compression_of_the_standard() -> None:
    """RFC 1035 s4.1.4: F.ISI.ARPA, FOO.F.ISI.ARPA, ARPA and the root; there the first stands at 20, here at 12."""
    answers = (
        dns.Record("FOO.F.ISI.ARPA", "NS", "ARPA", 0),
        dns.Record(".", "NS", ".", 0),
    )
    made = dns.response("F.ISI.ARPA", "NS", answers)
    assert made[12:24].hex() == "0146" + "03495349" + "0441525041" + "00"
    assert made[28:34].hex() == "03464f4f" + "c00c"
    assert made[34 + 10 : 46].hex() == "c012"  # ARPA follows F and ISI
    assert made[46:].hex() == "00" + "0002" + "0001" + "00000000" + "0001" + "00"


def test_names_beyond_the_reach_of_a_pointer_are_written_out() -> None:
    answers = dns.addresses(NAME, ["192.0.2.1"] * 1100)
    late = (dns.Record("late.test", "A", "192.0.2.2"), dns.Record("late.test", "A", "192.0.2.3"))
    assert dns.response(NAME, answers=(*answers, *late)).count(b"\4late\4test\0") == 2


@pytest.mark.parametrize(
    ("made", "flags"),
    [
        (dns.query(NAME), "0100"),
        (dns.query(NAME, recursion_desired=False), "0000"),
        (dns.response(NAME), "8180"),
        (dns.response(NAME, authoritative=True, recursion_available=False), "8500"),
        (dns.response(NAME, truncated=True), "8380"),
        (dns.response(NAME, rcode="NXDOMAIN"), "8183"),
        (dns.response(NAME, rcode="SERVFAIL", recursion_desired=False, recursion_available=False), "8002"),
    ],
)
def test_flags(made: bytes, flags: str) -> None:
    assert made[2:4].hex() == flags
    assert made[4:12].hex() == "0001000000000000"


def test_edns_is_an_additional_record() -> None:
    plain, made = dns.query(NAME), dns.query(NAME, edns=1232)
    assert made[:10] == plain[:10]
    assert made[10:12].hex() == "0001"
    assert made[12:] == plain[12:] + bytes.fromhex("00002904d0000000000000")
    assert dns.response(NAME, edns=4096, dnssec_ok=True).endswith(bytes.fromhex("0000291000000080000000"))


def test_addresses_keep_their_order_and_kind() -> None:
    made = dns.addresses(NAME, ["2001:db8::1", "192.0.2.1"], ttl=5)
    assert made == (dns.Record(NAME, "AAAA", "2001:db8::1", 5), dns.Record(NAME, "A", "192.0.2.1", 5))


def test_length_stands_before_a_message_over_tcp() -> None:
    assert dns.over_tcp(dns.query(NAME, ident=0x1000)).hex() == "0021" + QUERY


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: dns.query("a..b"), "name 'a..b': every label has 1 to 63 octets"),
        (lambda: dns.query("x" * 64 + ".test"), f"name '{'x' * 64}.test': every label has 1 to 63 octets"),
        (lambda: dns.query(".".join(["x" * 63] * 4)), f"name '{'x' * 40}'... takes 257 octets, and 255 is the most"),
        (lambda: dns.query("bücher.test"), "name 'bücher.test': write names outside ASCII in their xn-- form"),
        (lambda: dns.query(NAME, "TXT"), "unknown type of record 'TXT' (there are A, NS, CNAME, AAAA)"),
        (lambda: dns.query(NAME, ident=65536), "DNS id is 65536, not within 0 to 65535"),
        (lambda: dns.query(NAME, edns=65536), "EDNS payload size is 65536"),
        (lambda: dns.response(NAME, rcode="NO"), "unknown response code 'NO' (there are NOERROR,"),
        (
            lambda: dns.response(NAME, answers=[dns.Record(NAME, "A", "2001:db8::1")]),
            "2001:db8::1 is an IPv6 address, and IPv4 is needed here",
        ),
        (lambda: dns.response(NAME, answers=[dns.Record(NAME, "A", "192.0.2.1", -1)]), "TTL of a record is -1"),
        (lambda: dns.over_tcp(bytes(65536)), "length of a DNS message is 65536"),
    ],
)
def test_mistakes(mistake: Callable[[], bytes], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        mistake()
    assert str(caught.value).startswith(message)
