"""DSCP values: what is accepted, what is refused, and how they are printed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.model.dscp import dscp_text, parse_dscp


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (7, 7),
        (0, 0),
        (63, 63),
        ("7", 7),
        (" 07 ", 7),
        ("tos=0x1c", 7),
        ("tos=28", 7),
        ("TOS = 0xFC", 63),
        ("EF", 46),  # RFC 3246: 101110
        ("ef", 46),
        ("AF11", 10),  # RFC 2597: 001010
        ("AF41", 34),  # RFC 2597: 100010
        ("AF43", 38),  # RFC 2597: 100110
        ("CS6", 48),  # RFC 2474: 110000
        ("CS0", 0),
        ("LE", 1),  # RFC 8622: 000001
        ("VOICE-ADMIT", 44),  # RFC 5865: 101100
    ],
)
def test_accepted(written: object, value: int) -> None:
    assert parse_dscp(written) == value


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (64, "not within 0 to 63 (the octet is written 'tos=0x40')"),
        (-1, "DSCP -1 is not within 0 to 63"),
        (10**4000, "DSCP (a huge number) is not within 0 to 63"),
        ("9" * 5000, "is not a DSCP value"),
        ("0x1c", "could be a DSCP or the whole TOS octet"),
        ("tos=0x1d", "the two low bits are ECN"),
        ("tos=0x1cc", "within 0 and 0xff"),
        ("tos=", "is not a DSCP value"),
        ("tos", "is not a DSCP value"),
        ("AF44", "did you mean AF43?"),
        ("", "is not a DSCP value"),
        ("٧", "is not a DSCP value"),
        (True, "is not a DSCP value"),
        (7.0, "is not a DSCP value"),
        (None, "is not a DSCP value"),
        ([7], "is not a DSCP value"),
    ],
)
def test_refused(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_dscp(written)


def test_printed_with_its_octet() -> None:
    assert dscp_text(7) == "7 (tos 0x1c)"
    assert dscp_text(0) == "0 (tos 0x00)"
    assert dscp_text(63) == "63 (tos 0xfc)"


@given(st.integers(0, 63))
def test_every_spelling_of_a_code_point_agrees(value: int) -> None:
    assert parse_dscp(value) == parse_dscp(str(value)) == parse_dscp(f"tos={value << 2:#x}") == value


@given(st.text() | st.integers() | st.none() | st.booleans() | st.floats())
def test_anything_else_is_a_value_error(written: object) -> None:
    try:
        value = parse_dscp(written)
    except ValueError:
        return
    assert 0 <= value <= 63
