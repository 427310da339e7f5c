"""Disagreements that are known: where another decoder reads something else, and why ours is right.

Each is told by the field and by what is in the frame, never by the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.tree import Dissection, Scalar

When = Callable[[Scalar | None, Scalar, Dissection], bool]


@dataclass(frozen=True, slots=True)
class Known:
    """One explanation: whose, of which fields (beginnings of names), under which condition; and its source."""

    oracle: str
    fields: tuple[str, ...]
    when: When
    why: str
    source: str


def _has(name: str) -> When:
    return lambda ours, theirs, d: d.layer(name) is not None


def _state(*states: int) -> When:
    return lambda ours, theirs, d: ours in states


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        "tshark",
        ("tcp.checksum.state", "udp.checksum.state", "icmpv6.checksum.state"),
        _state(layout.SUM_PARTIAL, layout.SUM_ZERO),
        "the sum is left to the network card (checksum offload): for tshark it is bad",
        "Linux Documentation/networking/checksum-offloads.rst",
    ),
    Known(
        "tshark",
        ("udp.checksum.state",),
        lambda ours, theirs, d: ours == layout.SUM_ABSENT and d.layer("gue") is not None,
        "zero means no checksum in the outer header of a UDP tunnel over IPv6; tshark has no dissector of GUE",
        "RFC 6935 s5",
    ),
    Known(
        "tshark",
        ("tcp.checksum.state", "udp.checksum.state", "icmp.checksum.state", "icmpv6.checksum.state"),
        lambda ours, theirs, d: ours == layout.SUM_UNVERIFIABLE or theirs == layout.SUM_UNVERIFIABLE,
        "one of both does not judge a sum of which not all is there, or is quoted",
        "RFC 9293 s3.1; RFC 4443 s2.3, 3.2",
    ),
)


def why(oracle: str, name: str, ours: Scalar | None, theirs: Scalar, d: Dissection) -> str | None:
    """The explanation of a disagreement, "" where there is none; None where a field that only the oracle has says
    nothing against ours."""
    for known in KNOWN:
        if known.oracle == oracle and name.startswith(known.fields) and known.when(ours, theirs, d):
            return f"{known.why} ({known.source})"
    return "" if ours is not None else None
