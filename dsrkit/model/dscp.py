"""DSCP values as people write them, and as dsrkit prints them.

Six bits of DSCP sit above two of ECN in one octet, so `28` may mean the code point 28 or the octet 0x1c (code point 7).
A bare number is therefore always the code point, and an octet has to say `tos=`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

NAMES: Final[dict[str, int]] = {
    **{f"CS{n}": n << 3 for n in range(8)},  # RFC 2474 s4.2.2
    **{f"AF{c}{p}": c << 3 | p << 1 for c in (1, 2, 3, 4) for p in (1, 2, 3)},  # RFC 2597 s6
    "DF": 0,  # RFC 2474 s4.1, named in RFC 4594
    "BE": 0,
    "EF": 46,  # RFC 3246 s2.7
    "VA": 44,  # RFC 5865 s4, VOICE-ADMIT
    "VOICE-ADMIT": 44,
    "LE": 1,  # RFC 8622 s5
}


def parse_dscp(value: object) -> int:
    """The code point that a person wrote: `7`, `"7"`, `"tos=0x1c"` or a name such as `EF`.

    Raises: ValueError with a message that says what to write instead.

    >>> parse_dscp("7"), parse_dscp("tos=0x1c"), parse_dscp("af41")
    (7, 7, 34)
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a DSCP value (write 7, 'tos=0x1c' or a name such as EF)")
    if isinstance(value, int):
        return _code_point(value)
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return _code_point(_integer(text, 10, value))
    head, equals, octet = text.partition("=")
    if equals and head.strip().lower() == "tos":
        return _from_octet(octet.strip(), value)
    if text.upper() in NAMES:
        return NAMES[text.upper()]
    if text.lower().startswith("0x"):
        raise ValueError(
            f"{value!r} could be a DSCP or the whole TOS octet (write the DSCP in decimal, or 'tos={text}')"
        )
    near = get_close_matches(text.upper(), NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else "write 7, 'tos=0x1c' or a name such as EF, AF41, CS6"
    raise ValueError(f"{value!r} is not a DSCP value ({hint})")


def dscp_text(value: int) -> str:
    """A code point with the octet that other tools show.

    >>> dscp_text(7)
    '7 (tos 0x1c)'
    """
    return f"{value} (tos 0x{value << 2:02x})"


def _code_point(number: int) -> int:
    if not 0 <= number <= 63:
        octet = f" (the octet is written 'tos=0x{number:02x}')" if 63 < number <= 255 and number % 4 == 0 else ""
        raise ValueError(f"DSCP {_short(number)} is not within 0 to 63{octet}")
    return number


def _from_octet(text: str, written: object) -> int:
    octet = _integer(text, 0, written)
    if not 0 <= octet <= 255:
        raise ValueError(f"{written!r}: a TOS octet is within 0 and 0xff")
    if octet & 3:
        raise ValueError(
            f"{written!r}: the two low bits are ECN and must be 0 (tos=0x{octet & 0xFC:02x} is DSCP {octet >> 2})"
        )
    return octet >> 2


def _integer(text: str, base: int, written: object) -> int:
    try:
        return int(text, base)
    except ValueError:  # also: more digits than Python converts
        raise ValueError(
            f"{str(written)[:40]!r} is not a DSCP value (write 7, 'tos=0x1c' or a name such as EF)"
        ) from None


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**9 else "(a huge number)"
