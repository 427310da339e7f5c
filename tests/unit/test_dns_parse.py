"""DNS messages are read to the last octet or not at all, whatever somebody sends."""

from __future__ import annotations

import struct
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.craft.packets import dns
from dsrkit.mechanisms.dns.parse import Message, NotDns, parse
from dsrkit.mechanisms.dns.streams import Streams

FOUR = ["203.0.113.21", "203.0.113.22", "203.0.113.23"]
SIX = ["2001:db8::21", "2001:db8::22"]


def header(ident: int = 7, flags: int = 0x8180, counts: tuple[int, int, int, int] = (1, 1, 0, 0)) -> bytes:
    return struct.pack("!6H", ident, flags, *counts)


def name(*labels: bytes) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(owner: bytes, kind: int, data: bytes, ttl: int = 60) -> bytes:
    return owner + struct.pack("!2HIH", kind, 1, ttl, len(data)) + data


WWW = name(b"www", b"example", b"com")
ASKED = WWW + struct.pack("!2H", 1, 1)
POINTER = b"\xc0\x0c"


@pytest.mark.parametrize("edns", [None, 1232])
@pytest.mark.parametrize(("kind", "addresses"), [("A", FOUR), ("AAAA", SIX)])
def test_what_craft_makes(kind: str, addresses: list[str], edns: int | None) -> None:
    asked = dns.query("www.example.com", kind, ident=9, edns=edns)
    assert parse(asked) == Message(9, False, "www.example.com", kind)
    records = dns.addresses("www.example.com", addresses, ttl=42)
    answer = dns.response("www.example.com", kind, records, ident=9, edns=edns)
    assert parse(answer) == Message(9, True, "www.example.com", kind, addresses=tuple(addresses), ttl=42)


def test_names_are_compared_in_lower_case() -> None:
    mixed = (
        header() + name(b"wWw", b"EXAMPLE", b"com") + struct.pack("!2H", 1, 1) + record(POINTER, 1, b"\x01\x02\x03\x04")
    )
    message = parse(mixed)
    assert message is not None
    assert (message.name, message.addresses) == ("www.example.com", ("1.2.3.4",))


def test_addresses_at_the_end_of_a_chain_with_the_least_ttl() -> None:
    edge = name(b"edge", b"example", b"net")
    parts = (
        record(POINTER, 5, edge, 20) + record(edge, 1, b"\x01\x02\x03\x04", 300) + record(edge, 1, b"\x01\x02\x03\x05")
    )
    parts += record(name(b"other"), 1, b"\x09\x09\x09\x09", 1)
    message = parse(header(counts=(1, 4, 0, 0)) + ASKED + parts)
    assert message is not None
    assert (message.addresses, message.ttl) == (("1.2.3.4", "1.2.3.5"), 20)
    assert message.chain == ("edge.example.net",)


def test_an_alias_of_itself_leads_nowhere() -> None:
    message = parse(
        header(counts=(1, 2, 0, 0)) + ASKED + record(POINTER, 5, POINTER) + record(POINTER, 1, b"\x01\x02\x03\x04")
    )
    assert message is not None
    assert (message.addresses, message.ttl) == ((), None)


def test_negative_answers() -> None:
    message = parse(header(flags=0x8183, counts=(1, 0, 0, 0)) + ASKED)
    assert message is not None
    assert (message.rcode, message.addresses, message.ttl) == (3, (), None)


def test_a_cut_answer_keeps_whole_records() -> None:
    whole = header(flags=0x8380, counts=(1, 3, 0, 0)) + ASKED + record(POINTER, 1, b"\x01\x02\x03\x04")
    for cut in (whole, whole + record(POINTER, 1, b"\x01\x02\x03\x05")[:-2]):
        message = parse(cut)
        assert message is not None
        assert (message.cut, message.addresses) == (True, ("1.2.3.4",))


def test_hostile_labels_stay_one_line_of_ascii() -> None:
    message = parse(header(counts=(1, 0, 0, 0)) + name(b"a\x1b[2J\n", b"b.c\\", b"\xff") + struct.pack("!2H", 1, 1))
    assert message is not None
    assert message.name == r"a\027[2j\010.b\.c\\.\255"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header()[:11],
        header() + POINTER + struct.pack("!2H", 1, 1),  # a pointer to itself
        header() + b"\xc0\x0e" + b"\xc0\x0c" + struct.pack("!2H", 1, 1),  # two that point at each other
        header() + b"\xc0\x00" + struct.pack("!2H", 1, 1),  # into the header
        header() + b"\x40abc" + struct.pack("!2H", 1, 1),
        header() + name(*[b"x" * 63] * 4) + struct.pack("!2H", 1, 1),  # longer than 255
        header() + WWW,
        header() + ASKED,  # the record is missing
        header() + ASKED + record(POINTER, 1, b"\x01\x02\x03"),
        header() + ASKED + record(POINTER, 1, b"\x01\x02\x03\x04")[:-1],
        header() + ASKED + record(POINTER, 1, b"\x01\x02\x03\x04") + b"\0",
        header() + ASKED + record(POINTER, 5, WWW + b"\0"),
        header(flags=0x81C0, counts=(1, 0, 0, 0)) + ASKED,  # reserved bit
        header(flags=0x0100) + ASKED + record(POINTER, 1, b"\x01\x02\x03\x04"),  # a question with answers
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(NotDns):
        parse(data)


def test_other_messages_are_left_alone() -> None:
    assert parse(header(flags=0x2800, counts=(1, 0, 0, 0)) + ASKED) is None  # UPDATE
    assert parse(header(counts=(0, 0, 0, 0))) is None
    assert parse(header(counts=(1, 0, 0, 0)) + WWW + struct.pack("!2H", 15, 1)) is None  # MX


@given(st.binary(max_size=80), st.integers(0, 80), st.booleans())
def test_nothing_but_not_dns_is_raised(noise: bytes, at: int, behind: bool) -> None:
    good = (
        header(counts=(1, 2, 0, 0))
        + ASKED
        + record(POINTER, 5, b"\x04edge\xc0\x10")
        + record(b"\xc0\x2d", 1, b"\1\2\3\4")
    )
    data = good[:at] + noise + (good[at + len(noise) :] if behind else b"")
    try:
        message = parse(data)
    except NotDns:
        return
    assert message is None or message.name.isascii()


# --- over TCP ---------------------------------------------------------------------------------------------------------

MESSAGES = [b"first message", b"", b"x" * 400]
STREAM = b"".join(struct.pack("!H", len(one)) + one for one in MESSAGES)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, len(STREAM) - 1), max_size=12), st.randoms())
def test_segments_in_any_order_and_twice(start: int, cuts: list[int], random: Random) -> None:
    edges = sorted({0, *cuts, len(STREAM)})
    parts = [((start + 1 + a) % 2**32, STREAM[a:b]) for a, b in pairwise(edges)]
    parts += parts[:3]
    random.shuffle(parts)
    streams, key = Streams(), (0, 1, 2)
    streams.start(key, start)
    assert [one for seq, octets in parts for one in streams.add(key, seq, octets)] == MESSAGES


def test_the_oldest_streams_are_forgotten() -> None:
    streams = Streams()
    for number in range(2_005):
        streams.start((0, number, 1), 0)
    assert streams.forgotten == 5
