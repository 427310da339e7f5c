"""Names of fields, as filters and ``--fields`` take them: where their values are found, and what they look like.

A name is looked up in three places, the cheapest first: what there is to say of a row itself (`ROW`), the columns of
the scan (`dsrkit.wire.columns.FIELDS`), and the dissector's fields, which are read frame by frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, Literal

from dsrkit.classes import dataclass
from dsrkit.model.dscp import NAMES as DSCP_NAMES
from dsrkit.wire import layout
from dsrkit.wire.columns import FIELDS, LAYERS
from dsrkit.wire.dissect.frame import NAMES

Kind = Literal["int", "flag", "state", "dscp", "tos", "mac", "ip", "text", "bytes", "time", "span"]
"""What a value is: a number, one bit, a checksum's state, a code point, a DS octet, an address, text, octets, a point
in time (nanoseconds since the epoch), a time since the first frame (nanoseconds)."""

ROW: Final[dict[str, tuple[Kind, str]]] = {
    "frame.number": ("int", "its number in the file, from 1"),
    "frame.time": ("time", "when it was captured, in UTC"),
    "frame.time_epoch": ("time", "the same, in seconds since 1970"),
    "frame.time_relative": ("span", "seconds since the first frame"),
    "frame.interface_name": ("text", "the interface that it was captured on"),
    "frame.comment": ("text", "comments on it in the capture file"),
    "role": ("text", "what it is in terms of load balancing"),
    "summary": ("text", "its addresses, ports and flags in a few words"),
    "node": ("text", "who sent it, where that is known"),
    "defect": ("text", "why it could not be read to its end"),
}
"""What there is to say of a frame that is no field of a header: its kind, and what it is."""

DESCRIBED: Final = frozenset({"role", "summary", "node", "defect"})
"""Those that need the roles of the capture."""

ANY_OF: Final[dict[str, tuple[str, ...]]] = {
    "eth.addr": ("eth.src", "eth.dst"),
    "ip.addr": ("ip.src", "ip.dst"),
    "ipv6.addr": ("ipv6.src", "ipv6.dst"),
    "tcp.port": ("tcp.srcport", "tcp.dstport"),
    "udp.port": ("udp.srcport", "udp.dstport"),
    "outer.addr": ("outer.src", "outer.dst"),
    "inner.addr": ("inner.src", "inner.dst"),
    "inner.port": ("inner.srcport", "inner.dstport"),
    "quoted.addr": ("quoted.src", "quoted.dst"),
    "quoted.port": ("quoted.srcport", "quoted.dstport"),
}
"""Names that stand for either of two fields."""

STATES: Final[dict[str, int]] = {
    "none": layout.SUM_NONE,
    "good": layout.SUM_VALID,
    "partial": layout.SUM_PARTIAL,
    "zero": layout.SUM_ZERO,
    "absent": layout.SUM_ABSENT,
    "bad": layout.SUM_INVALID,
    "unverifiable": layout.SUM_UNVERIFIABLE,
}
"""Words for what a checksum turned out to be."""

_PROTOCOLS: Final = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "vrrp": 112,
    "sctp": 132,
}
_WORDS: Final[dict[str, Mapping[str, int]]] = {
    "eth.type": {"ip": 0x0800, "arp": 0x0806, "ipv6": 0x86DD},
    "arp.opcode": {"request": 1, "reply": 2},
    "ip.proto": _PROTOCOLS,
    "ipv6.nxt": _PROTOCOLS,
    "inner.proto": _PROTOCOLS,
    "quoted.proto": _PROTOCOLS,
    "quoted.inner.proto": _PROTOCOLS,
    "tunnel.encap": {
        "ipip": layout.ENCAP_IPIP,
        "gre": layout.ENCAP_GRE,
        "gue": layout.ENCAP_GUE,
        "gue1": layout.ENCAP_GUE1,
        "vxlan": layout.ENCAP_VXLAN,
        "geneve": layout.ENCAP_GENEVE,
    },
}
"""Words for numbers."""

_REPEATED: Final = {"vlan": 2, "ieee8021ad": 2} | dict.fromkeys(
    ("ip", "ipv6", "ipv6.fraghdr", "udp", "udp.last", "gre", "gre.key", "gre.checksum", "gue", "vxlan", "geneve"),
    layout.LEVELS,
)
"""Layers of which there may be several in a frame, and the highest number that the scan gives them."""
_PARTS: Final = frozenset({"eth.src", "eth.dst", "eth.type", "sll2", "tcp.mss", "tcp.timestamps", "udp.last"}) | {
    *("icmp.echo", "icmp.mtu", "icmpv6.echo", "icmpv6.mtu", "nd.linkaddr", "gre.key", "gre.checksum"),
    *("ip.any", "ports", "tunnel.udp"),
}
"""Layers of columns that are no header of their own."""
_CODE_POINTS: Final = frozenset({"ip.dsfield.dscp", "ipv6.tclass.dscp"})
_OCTETS: Final = frozenset({"ip.dsfield", "ipv6.tclass", "outer.tos", "inner.tos", "quoted.tos", "quoted.inner.tos"})
_NAME: Final = re.compile(r"(?P<base>[^#]+)(?:#(?P<number>[0-9]{1,3})|#\[(?P<bracketed>[0-9]{1,3})\])?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name, looked up.

    `columns` are the names of the columns that hold it: one for each layer of its protocol, where no number says which.
    `deep` is what the dissector calls it, where it knows it. `row` says that it is one of `ROW`; `is_layer` that it
    names a header, which is there or not; `version` which IP addresses it holds, if only those of one version.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...] = ()
    deep: tuple[str, ...] = ()
    number: int | None = None
    row: bool = False
    is_layer: bool = False
    version: int | None = None

    @property
    def words(self) -> Mapping[str, int]:
        """Words that may be written for its numbers."""
        if self.kind == "state":
            return STATES
        return DSCP_NAMES if self.kind == "dscp" else _WORDS.get(self.name.partition("#")[0], {})

    @property
    def base(self) -> str:
        """Its name without a layer number."""
        return self.name.partition("#")[0]

    @property
    def layer(self) -> str:
        """The first word of its name: the protocol."""
        return self.base.partition(".")[0]


def reference(name: str) -> Reference:
    """Look up a name, with or without a layer number.

    Raises: KeyError with near matches for an unknown name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise KeyError(f"{name}: a layer number follows '#', counted from 1 (ip.dst#2)")
    base = match["base"].replace(".checksum.status", ".checksum.state")
    digits = match["number"] or match["bracketed"]
    number = int(digits) if digits else None
    if number == 0:
        raise KeyError(f"{name}: layers are counted from 1")
    if base in ROW:
        if number is not None:
            raise KeyError(f"{name}: {base} belongs to the frame, not to one of its layers")
        return Reference(base, ROW[base][0], row=True)
    if base in ANY_OF:
        sides = [_known(side, number) for side in ANY_OF[base]]
        return Reference(
            name,
            sides[0].kind,
            tuple(column for side in sides for column in side.columns),
            tuple(deep for side in sides for deep in side.deep),
            number,
            version=sides[0].version,
        )
    if base in FIELDS or base in NAMES:
        return _known(base, number)
    if base in layers():
        columns = _numbered(base, base, number) if base in LAYERS and base not in _PARTS else ()
        return Reference(name, "flag", columns, (base,), number, is_layer=True)
    raise KeyError(_unknown(base))


def _known(base: str, number: int | None) -> Reference:
    """A field of the columns or of the dissector."""
    name = base if number is None else f"{base}#{number}"
    deep = (base,) if base in NAMES else ()
    if base not in FIELDS:
        return Reference(name, NAMES[base].kind, (), deep, number)
    field = FIELDS[base]
    kind: Kind = "int"
    version = None
    if field.kind == "mac":
        kind = "mac"
    elif field.kind in ("ipv4", "address"):
        kind = "ip"
        version = 4 if field.kind == "ipv4" else 6 if base.startswith(("ipv6.", "icmpv6.")) else None
    elif base.endswith(".checksum.state"):
        kind = "state"
    elif base in _CODE_POINTS:
        kind = "dscp"
    elif base in _OCTETS:
        kind = "tos"
    elif field.mask == 1:
        kind = "flag"
    return Reference(name, kind, _numbered(base, field.layer, number), deep, number, version=version)


def _numbered(base: str, layer: str, number: int | None) -> tuple[str, ...]:
    """The columns of a name: of one layer, or of all there may be."""
    if number is not None:
        return (f"{base}#{number}",)
    return tuple(f"{base}#{n}" for n in range(1, _REPEATED.get(layer, 1) + 1))


def layers() -> frozenset[str]:
    """Names of headers: those of the columns, and the first words of the dissector's fields."""
    return frozenset({*LAYERS, *(name.partition(".")[0] for name in NAMES)} - _PARTS)


def every_name() -> list[str]:
    """Every name there is, without layer numbers: for completion and for hints."""
    return sorted({*ROW, *ANY_OF, *FIELDS, *NAMES, *layers()})


def _unknown(base: str) -> str:
    near = get_close_matches(base, every_name(), n=3)
    return f"no field {base!r}" + (f" (near: {', '.join(near)})" if near else "")
