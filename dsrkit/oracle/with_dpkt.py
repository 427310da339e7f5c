"""dpkt as an oracle. It knows no offsets, so layers are counted per protocol from the outside, as ours are.

Traps of dpkt's that are kept out: a header that it could not unpack comes back as octets, which ends the reading; it
computes sums anew when it packs, so nothing is ever packed; what it sees in quoted packets is not asked for.
"""

from __future__ import annotations

import socket
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from dsrkit.errors import MissingDependency
from dsrkit.oracle.told import Frame, Seen, Told
from dsrkit.wire.dissect.tree import Scalar

Reader = Callable[[Any], Scalar | None]


def _number(name: str) -> Reader:
    def read(packet: Any) -> Scalar | None:
        value = getattr(packet, name, None)
        return int(value) if isinstance(value, int) else None

    return read


def _mac(name: str) -> Reader:
    return lambda packet: bytes(getattr(packet, name)).hex(":")


def _ip(name: str) -> Reader:
    def read(packet: Any) -> Scalar | None:
        octets = bytes(getattr(packet, name))
        families = {4: socket.AF_INET, 16: socket.AF_INET6}
        return socket.inet_ntop(families[len(octets)], octets) if len(octets) in families else None

    return read


_FIELDS: Final[Mapping[str, tuple[str, Mapping[str, Reader]]]] = {
    "Ethernet": ("eth", {"eth.dst": _mac("dst"), "eth.src": _mac("src")}),
    "ARP": (
        "arp",
        {
            "arp.opcode": _number("op"),
            "arp.hw.type": _number("hrd"),
            "arp.proto.type": _number("pro"),
            "arp.hw.size": _number("hln"),
            "arp.proto.size": _number("pln"),
            "arp.src.hw_mac": _mac("sha"),
            "arp.src.proto_ipv4": _ip("spa"),
            "arp.dst.hw_mac": _mac("tha"),
            "arp.dst.proto_ipv4": _ip("tpa"),
        },
    ),
    "IP": (
        "ip",
        {
            "ip.version": _number("v"),
            "ip.hdr_len": lambda p: p.hl * 4,
            "ip.dsfield": _number("tos"),
            "ip.len": _number("len"),
            "ip.id": _number("id"),
            "ip.flags.df": _number("df"),
            "ip.flags.mf": _number("mf"),
            "ip.frag_offset": _number("offset"),
            "ip.ttl": _number("ttl"),
            "ip.proto": _number("p"),
            "ip.checksum": _number("sum"),
            "ip.src": _ip("src"),
            "ip.dst": _ip("dst"),
        },
    ),
    "IP6": (
        "ipv6",
        {
            "ipv6.version": _number("v"),
            "ipv6.tclass": _number("fc"),
            "ipv6.flow": _number("flow"),
            "ipv6.plen": _number("plen"),
            "ipv6.nxt": _number("nxt"),
            "ipv6.hlim": _number("hlim"),
            "ipv6.src": _ip("src"),
            "ipv6.dst": _ip("dst"),
        },
    ),
    "TCP": (
        "tcp",
        {
            "tcp.srcport": _number("sport"),
            "tcp.dstport": _number("dport"),
            "tcp.seq": _number("seq"),
            "tcp.ack": _number("ack"),
            "tcp.hdr_len": lambda p: p.off * 4,
            "tcp.flags.fin": lambda p: p.flags & 1,
            "tcp.flags.syn": lambda p: p.flags >> 1 & 1,
            "tcp.flags.reset": lambda p: p.flags >> 2 & 1,
            "tcp.flags.push": lambda p: p.flags >> 3 & 1,
            "tcp.flags.ack": lambda p: p.flags >> 4 & 1,
            "tcp.flags.urg": lambda p: p.flags >> 5 & 1,
            "tcp.flags.ece": lambda p: p.flags >> 6 & 1,
            "tcp.flags.cwr": lambda p: p.flags >> 7 & 1,
            "tcp.window_size_value": _number("win"),
            "tcp.checksum": _number("sum"),
            "tcp.urgent_pointer": _number("urp"),
        },
    ),
    "UDP": (
        "udp",
        {
            "udp.srcport": _number("sport"),
            "udp.dstport": _number("dport"),
            "udp.length": _number("ulen"),
            "udp.checksum": _number("sum"),
        },
    ),
    "ICMP": (
        "icmp",
        {"icmp.type": _number("type"), "icmp.code": _number("code"), "icmp.checksum": _number("sum")},
    ),
    "ICMP6": (
        "icmpv6",
        {"icmpv6.type": _number("type"), "icmpv6.code": _number("code"), "icmpv6.checksum": _number("sum")},
    ),
}
"""dpkt's class -> our layer, and our fields with how each is read from it."""

_LAST: Final = frozenset({"ICMP", "ICMP6"})
"""Behind these come quoted packets, which are not counted as layers."""


class Dpkt:
    """Needs dpkt (extra `oracle`)."""

    name = "dpkt"
    by_offset = False

    def __init__(self) -> None:
        try:
            import dpkt
        except ImportError:
            raise MissingDependency("--oracle dpkt needs dpkt: pip install 'dsrkit[oracle]'") from None
        self._dpkt = dpkt
        self.version = str(dpkt.__version__)

    def tell(self, frames: Iterable[Frame]) -> Iterator[Told]:
        """What dpkt says of each frame."""
        for frame in frames:
            yield self._told(frame)

    def _told(self, frame: Frame) -> Told:
        fields: list[Seen] = []
        counts: Counter[str] = Counter()
        layers: list[str] = []
        packet = self._unpacked(frame)
        while packet is not None and not isinstance(packet, bytes):
            kind = type(packet).__name__
            known = _FIELDS.get(kind)
            if known is not None:
                layer, readers = known
                counts[layer] += 1
                layers.append(layer)
                for name, read in readers.items():
                    value = read(packet)
                    if value is not None:
                        fields.append(Seen(name, value, counts[layer], counts[layer]))
            packet = None if kind in _LAST else getattr(packet, "data", None)
        return Told(fields, tuple(layers))

    def _unpacked(self, frame: Frame) -> Any:
        """The outermost packet; None where dpkt cannot read it."""
        dpkt = self._dpkt
        first = frame.octets[0] >> 4 if frame.octets else 0
        raw = {4: dpkt.ip.IP, 6: dpkt.ip6.IP6}.get(first)
        by_linktype = {
            1: dpkt.ethernet.Ethernet,
            12: raw,
            14: raw,
            101: raw,
            113: dpkt.sll.SLL,
            228: raw,
            229: raw,
            276: dpkt.sll2.SLL2,
        }
        unpack = by_linktype.get(frame.linktype)
        if unpack is None:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its own deprecations
                return unpack(frame.octets)
        except (dpkt.UnpackError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError):
            return None
