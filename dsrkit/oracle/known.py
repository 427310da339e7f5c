"""Disagreements that are known: where another decoder reads something else, and why ours is right.

Each is told by the field and by what is in the frame, never by the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dsrkit.wire import layout
from dsrkit.wire.dissect.frame import NAMES
from dsrkit.wire.dissect.tree import Dissection, Scalar


@dataclass(frozen=True, slots=True)
class Case:
    """A disagreement: whose, of which field, and over which frame. `ours` is None where only the oracle reads the
    field; `layers` are those that the oracle sees.
    """

    oracle: str
    field: str
    ours: Scalar | None
    theirs: Scalar
    frame: Dissection
    layers: tuple[str, ...]

    def value(self, name: str) -> Scalar | None:
        """What we read elsewhere in the frame."""
        found = self.frame.get(name)
        return found.value if found else None


@dataclass(frozen=True, slots=True)
class Known:
    """One explanation: whose disagreement, of which fields (beginnings of names), under which condition; its source."""

    oracle: str
    fields: tuple[str, ...]
    when: Callable[[Case], bool]
    why: str
    source: str


_SUMS: Final = (
    "ip.checksum.state",
    "tcp.checksum.state",
    "udp.checksum.state",
    "icmp.checksum.state",
    "icmpv6.checksum.state",
)
_OURS: Final = frozenset(name.partition(".")[0] for name in NAMES)
_NO_PROTOCOL: Final = ("_ws", "_undissected", "data", "DATA")
_NOT_TAKEN_APART: Final = "of what {} carries, dsrkit reads nothing"


def _quoting(case: Case) -> bool:
    return case.ours is None and any(layer.quoted for layer in case.frame.layers)


def _defective(case: Case) -> bool:
    return case.ours is None and case.frame.defect is not None


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        "tshark",
        _SUMS,
        lambda case: case.ours in (layout.SUM_PARTIAL, layout.SUM_ZERO),
        "the sum is left to the network card (checksum offload): for tshark it is bad",
        "Linux Documentation/networking/checksum-offloads.rst",
    ),
    Known(
        "tshark",
        ("udp.checksum.state",),
        lambda case: case.ours == layout.SUM_ABSENT and case.frame.layer("gue") is not None,
        "zero means no checksum in the outer header of a UDP tunnel over IPv6; tshark has no dissector of GUE",
        "RFC 6935 s5",
    ),
    Known(
        "tshark",
        _SUMS,
        lambda case: case.ours is not None and layout.SUM_UNVERIFIABLE in (case.ours, case.theirs),
        "one of both does not judge a sum of which not all is there, or is quoted",
        "RFC 9293 s3.1; RFC 4443 s2.3, 3.2",
    ),
    Known(
        "tshark",
        ("tcp.flags.res",),
        lambda case: bool(case.ours) and case.theirs == 1,
        "tshark shows the reserved bits as one flag",
        "RFC 9293 s3.1",
    ),
    Known(
        "tshark",
        ("http.", "dns.", "proxy.", "tcp.checksum_calculated", "udp.checksum_calculated"),
        _quoting,
        "of a packet inside an ICMP error, of which seldom all is there, only headers are read",
        "RFC 792; RFC 4443 s3",
    ),
    Known(
        "tshark",
        ("ip.len",),
        lambda case: case.ours == 0,
        "16 bits that are 0 on the wire (a frame before segmentation): tshark shows the frame's length",
        "RFC 791 s3.1",
    ),
    Known(
        "tshark",
        ("ip.dst",),
        lambda case: case.value("ip.opt.type") in (131, 137),
        "on a source route the header names the next stop; tshark shows the last one, out of the option",
        "RFC 791 s3.1",
    ),
    Known(
        "tshark",
        ("tcp.option_kind",),
        lambda case: case.ours is None and case.theirs == 0,
        "behind the end of the option list there is no option",
        "RFC 9293 s3.2",
    ),
    Known(
        "tshark",
        ("geneve.option.length",),
        lambda case: case.ours is None,
        "tshark calls the length of all options by the name of the length of each",
        "RFC 8926 s3.4, 3.5",
    ),
    Known(
        "tshark",
        ("vxlan.flags",),
        lambda case: isinstance(case.ours, int) and case.ours >> 8 == case.theirs,
        "tshark reads 8 bits of flags in VXLAN-GPE and 16 in VXLAN; dsrkit 16 in both",
        "RFC 7348 s5",
    ),
    Known(
        "tshark",
        ("http.",),
        lambda case: case.ours is None and case.frame.layer("http") is not None,
        "of several messages in one segment dsrkit reads the first",
        "RFC 9112 s9.3.2",
    ),
    *(
        Known(
            oracle,
            ("",),
            _defective,
            "what follows stands behind a defect of the frame, which dsrkit states and where it stops",
            "RFC 9293 s3.1; RFC 791 s3.1; RFC 8200 s3",
        )
        for oracle in ("tshark", "dpkt")
    ),
    Known(
        "dpkt",
        ("arp.",),
        lambda case: (case.value("arp.hw.size"), case.value("arp.proto.size")) != (6, 4),
        "dpkt takes every address for one of Ethernet and IPv4, whatever lengths the header states",
        "RFC 826 (Packet format)",
    ),
    Known(
        "dpkt",
        ("eth.",),
        lambda case: case.ours is None and case.frame.layer("mpls") is not None,
        "labels do not say what they carry; dpkt takes it for Ethernet wherever it begins as no IP header",
        "RFC 3032 s2.2",
    ),
)


def why(case: Case) -> str:
    """The explanation of a disagreement, "" where there is none."""
    for known in KNOWN:
        if known.oracle == case.oracle and case.field.startswith(known.fields) and known.when(case):
            return f"{known.why} ({known.source})"
    if case.ours is None:
        beyond = next((name for name in case.layers if name not in _OURS and not name.startswith(_NO_PROTOCOL)), "")
        return _NOT_TAKEN_APART.format(beyond) if beyond else ""
    return ""
