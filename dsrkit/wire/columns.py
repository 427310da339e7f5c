"""Whole captures as columns under Wireshark's field names, with layer numbers: ``c["ip.dst#2"]``.

One table, `FIELDS`, says for every name which field of the record holds it, which layer must be there, and where
it is defined. Layers are numbered per protocol from the outside, as Wireshark does: in IPIP ``ip.dst#1`` is the outer
and ``ip.dst#2`` the inner destination, in 4in6 they are ``ipv6.dst#1`` and ``ip.dst#1``. A name without a number means
layer 1. ``outer.*`` and ``inner.*`` are the outermost and innermost IP header whatever their versions,
``inner.srcport`` and ``inner.dstport`` the innermost transport's ports; ``quoted.*`` is the packet inside an ICMP
error, which is never counted as a layer. Of tunnels in tunnels the header next to the innermost packet is kept, under
its own number (``udp.dstport#2``); where a column is absent though the header is there, the dissector knows it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dsrkit.wire import layout
from dsrkit.wire.address import ip_text, mac_text
from dsrkit.wire.capture import Capture, Rows
from dsrkit.wire.layout import RECORD
from dsrkit.wire.rows import copied, joined

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[Any]

ADDRESS: Final = np.dtype([("hi", np.uint64), ("lo", np.uint64)])
"""Dtype of an address column that may hold IPv6: IPv4 addresses are mapped (hi 0, lo 0xffff_0000_0000 | address)."""

DEFECT: Final = np.dtype(
    [
        ("frame_number", np.int64),
        ("kind", np.uint8),
        ("layer", np.uint8),
        ("need", np.uint32),
        ("have", np.uint32),
        ("by", np.uint8),
    ]
)
"""Dtype of `Columns.defects`; kinds, layers and claimants as in `layout`."""


@dataclasses.dataclass(frozen=True)
class Field:
    """A column: its record field, the layer that must be there, its source, and how its bits lie in the field.

    `kind` is ``"int"``, ``"mac"``, ``"ipv4"`` (32 bits) or ``"address"`` (`ADDRESS`; the record field's name lacks
    its ``_hi``/``_lo``).
    """

    record: str
    layer: str
    source: str
    kind: str = "int"
    shift: int = 0
    mask: int = 0


_RFC791, _RFC8200, _RFC9293 = "RFC 791 s3.1", "RFC 8200 s3", "RFC 9293 s3.1"
_ARP, _UDP, _ICMP = "RFC 826", "RFC 768", "RFC 792"

FIELDS: Final[dict[str, Field]] = {
    "frame.len": Field("wirelen", "frame", "draft-ietf-opsawg-pcap s5"),
    "frame.cap_len": Field("caplen", "frame", "draft-ietf-opsawg-pcap s5"),
    "frame.time_epoch_ns": Field("ts_ns", "frame", "draft-ietf-opsawg-pcap s5"),
    "frame.interface_id": Field("iface", "frame", "draft-ietf-opsawg-pcapng s4.3"),
    "eth.src": Field("eth_src", "eth.src", "IEEE 802.3", "mac"),
    "eth.dst": Field("eth_dst", "eth.dst", "IEEE 802.3", "mac"),
    "eth.type": Field("eth_type", "eth.type", "IEEE 802.3"),
    "sll.pkttype": Field("pkttype", "sll", "LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2"),
    "sll.ifindex": Field("ifindex", "sll2", "LINKTYPE_LINUX_SLL2"),
    "vlan.id": Field("vlan", "vlan", "IEEE 802.1Q s9.6", mask=0x0FFF),
    "vlan.priority": Field("vlan", "vlan", "IEEE 802.1Q s9.6", shift=13, mask=7),
    "ieee8021ad.id": Field("vlan", "ieee8021ad", "IEEE 802.1Q s9.6", mask=0x0FFF),
    "ieee8021ad.priority": Field("vlan", "ieee8021ad", "IEEE 802.1Q s9.6", shift=13, mask=7),
    "arp.opcode": Field("res_op", "arp", _ARP),
    "arp.src.hw_mac": Field("res_sha", "arp", _ARP, "mac"),
    "arp.dst.hw_mac": Field("res_tha", "arp", _ARP, "mac"),
    "arp.src.proto_ipv4": Field("res_spa", "arp", _ARP, "ipv4"),
    "arp.dst.proto_ipv4": Field("res_tpa", "arp", _ARP, "ipv4"),
    "ip.dsfield": Field("tos", "ip", "RFC 2474 s3"),
    "ip.dsfield.dscp": Field("tos", "ip", "RFC 2474 s3", shift=2, mask=0x3F),
    "ip.dsfield.ecn": Field("tos", "ip", "RFC 3168 s5", mask=3),
    "ip.hdr_len": Field("hdr_len", "ip", _RFC791),
    "ip.len": Field("ip_len", "ip", _RFC791),
    "ip.id": Field("ip_id", "ip", _RFC791),
    "ip.flags.df": Field("frag", "ip", _RFC791, shift=14, mask=1),
    "ip.flags.mf": Field("frag", "ip", _RFC791, shift=13, mask=1),
    "ip.frag_offset": Field("frag", "ip", _RFC791, mask=0x1FFF),
    "ip.ttl": Field("ttl", "ip", _RFC791),
    "ip.proto": Field("nxt", "ip", _RFC791),
    "ip.checksum": Field("ip_sum", "ip", _RFC791),
    "ip.checksum.state": Field("sum_state", "ip", _RFC791),
    "ip.src": Field("src", "ip", _RFC791, "ipv4"),
    "ip.dst": Field("dst", "ip", _RFC791, "ipv4"),
    "ipv6.tclass": Field("tos", "ipv6", "RFC 2474 s3"),
    "ipv6.tclass.dscp": Field("tos", "ipv6", "RFC 2474 s3", shift=2, mask=0x3F),
    "ipv6.tclass.ecn": Field("tos", "ipv6", "RFC 3168 s5", mask=3),
    "ipv6.flow": Field("flow", "ipv6", "RFC 6437 s2"),
    "ipv6.plen": Field("ip_len", "ipv6", _RFC8200),
    "ipv6.nxt": Field("nh", "ipv6", _RFC8200),
    "ipv6.hlim": Field("ttl", "ipv6", _RFC8200),
    "ipv6.fraghdr.offset": Field("frag", "ipv6.fraghdr", "RFC 8200 s4.5", mask=0x1FFF),
    "ipv6.fraghdr.more": Field("frag", "ipv6.fraghdr", "RFC 8200 s4.5", shift=13, mask=1),
    "ipv6.fraghdr.ident": Field("ip_id", "ipv6.fraghdr", "RFC 8200 s4.5"),
    "ipv6.src": Field("src", "ipv6", _RFC8200, "address"),
    "ipv6.dst": Field("dst", "ipv6", _RFC8200, "address"),
    "tcp.srcport": Field("sport", "tcp", _RFC9293),
    "tcp.dstport": Field("dport", "tcp", _RFC9293),
    "tcp.seq": Field("seq", "tcp", _RFC9293),
    "tcp.ack": Field("ack", "tcp", _RFC9293),
    "tcp.flags": Field("tcp_flags", "tcp", _RFC9293),
    "tcp.flags.fin": Field("tcp_flags", "tcp", _RFC9293, mask=1),
    "tcp.flags.syn": Field("tcp_flags", "tcp", _RFC9293, shift=1, mask=1),
    "tcp.flags.reset": Field("tcp_flags", "tcp", _RFC9293, shift=2, mask=1),
    "tcp.flags.ack": Field("tcp_flags", "tcp", _RFC9293, shift=4, mask=1),
    "tcp.window_size_value": Field("window", "tcp", _RFC9293),
    "tcp.checksum": Field("l4_sum", "tcp", _RFC9293),
    "tcp.checksum.state": Field("l4_state", "tcp", _RFC9293),
    "tcp.urgent_pointer": Field("urgent", "tcp", _RFC9293),
    "tcp.len": Field("payload_len", "tcp", _RFC9293),
    "tcp.options.mss_val": Field("mss", "tcp.mss", "RFC 9293 s3.7.1"),
    "tcp.options.timestamp.tsval": Field("tsval", "tcp.timestamps", "RFC 7323 s3.2"),
    "tcp.options.timestamp.tsecr": Field("tsecr", "tcp.timestamps", "RFC 7323 s3.2"),
    "udp.srcport": Field("sport", "udp", _UDP),
    "udp.dstport": Field("dport", "udp", _UDP),
    "udp.length": Field("udp_len", "udp.last", _UDP),
    "udp.checksum": Field("l4_sum", "udp", _UDP),
    "udp.checksum.state": Field("l4_state", "udp", _UDP),
    "icmp.type": Field("icmp_type", "icmp", _ICMP),
    "icmp.code": Field("icmp_code", "icmp", _ICMP),
    "icmp.checksum": Field("l4_sum", "icmp", _ICMP),
    "icmp.checksum.state": Field("l4_state", "icmp", _ICMP),
    "icmp.ident": Field("seq", "icmp.echo", _ICMP, shift=16, mask=0xFFFF),
    "icmp.seq": Field("seq", "icmp.echo", _ICMP, mask=0xFFFF),
    "icmp.mtu": Field("seq", "icmp.mtu", "RFC 1191 s4", mask=0xFFFF),
    "icmpv6.type": Field("icmp_type", "icmpv6", "RFC 4443 s2.1"),
    "icmpv6.code": Field("icmp_code", "icmpv6", "RFC 4443 s2.1"),
    "icmpv6.checksum": Field("l4_sum", "icmpv6", "RFC 4443 s2.1"),
    "icmpv6.checksum.state": Field("l4_state", "icmpv6", "RFC 4443 s2.1"),
    "icmpv6.echo.identifier": Field("seq", "icmpv6.echo", "RFC 4443 s4.1", shift=16, mask=0xFFFF),
    "icmpv6.echo.sequence_number": Field("seq", "icmpv6.echo", "RFC 4443 s4.1", mask=0xFFFF),
    "icmpv6.mtu": Field("seq", "icmpv6.mtu", "RFC 4443 s3.2"),
    "icmpv6.nd.type": Field("res_op", "nd", "RFC 4861 s4"),
    "icmpv6.nd.flags": Field("res_flags", "nd", "RFC 4861 s4.4"),
    "icmpv6.opt.linkaddr": Field("res_sha", "nd.linkaddr", "RFC 4861 s4.6.1", "mac"),
    "icmpv6.nd.source": Field("res_spa", "nd", "RFC 4861 s4", "address"),
    "icmpv6.nd.target": Field("res_tpa", "nd", "RFC 4861 s4", "address"),
    "gre.flags_and_version": Field("tun_word", "gre", "RFC 2784 s2", shift=16, mask=0xFFFF),
    "gre.proto": Field("tun_word", "gre", "RFC 2784 s2", mask=0xFFFF),
    "gre.key": Field("tun_key", "gre.key", "RFC 2890 s2"),
    "gre.checksum.state": Field("tun_state", "gre.checksum", "RFC 2784 s2.3"),
    "gue.word": Field("tun_word", "gue", "draft-ietf-intarea-gue s3"),
    "vxlan.vni": Field("tun_key", "vxlan", "RFC 7348 s5"),
    "geneve.vni": Field("tun_key", "geneve", "RFC 8926 s3.4"),
    "tunnel.srcport": Field("tun_sport", "tunnel.udp", _UDP),
    "tunnel.dstport": Field("tun_dport", "tunnel.udp", _UDP),
    "tunnel.checksum": Field("tun_sum", "tunnel", "RFC 768, RFC 2784 s2.3"),
    "tunnel.checksum.state": Field("tun_state", "tunnel", "RFC 768, RFC 2784 s2.3"),
    "tunnel.encap": Field("encap", "inner", "layout.ENCAP_*"),
    "inner.proto": Field("proto", "ip.any", "RFC 791 s3.1, RFC 8200 s3"),
    "inner.srcport": Field("sport", "ports", "RFC 9293 s3.1, RFC 768"),
    "inner.dstport": Field("dport", "ports", "RFC 9293 s3.1, RFC 768"),
    "payload.len": Field("payload_len", "ip.any", "RFC 9293 s3.1, RFC 768"),
    "payload.fingerprint": Field("fp", "ip.any", "scan.Scanner.digest"),
    "quoted.version": Field("q_ver", "quoted", _ICMP),
    "quoted.src": Field("q_src", "quoted", _ICMP, "address"),
    "quoted.dst": Field("q_dst", "quoted", _ICMP, "address"),
    "quoted.ttl": Field("q_ttl", "quoted", _ICMP),
    "quoted.tos": Field("q_tos", "quoted", _ICMP),
    "quoted.proto": Field("q_proto", "quoted", _ICMP),
    "quoted.id": Field("q_id", "quoted", _ICMP),
    "quoted.len": Field("q_len", "quoted", _ICMP),
    "quoted.srcport": Field("q_sport", "quoted", _ICMP),
    "quoted.dstport": Field("q_dport", "quoted", _ICMP),
    "quoted.seq": Field("q_seq", "quoted", _ICMP),
    "quoted.inner.version": Field("qi_ver", "quoted.inner", _ICMP),
    "quoted.inner.src": Field("qi_src", "quoted.inner", _ICMP, "address"),
    "quoted.inner.dst": Field("qi_dst", "quoted.inner", _ICMP, "address"),
    "quoted.inner.ttl": Field("qi_ttl", "quoted.inner", _ICMP),
    "quoted.inner.tos": Field("qi_tos", "quoted.inner", _ICMP),
    "quoted.inner.proto": Field("qi_proto", "quoted.inner", _ICMP),
    "quoted.inner.id": Field("qi_id", "quoted.inner", _ICMP),
    "quoted.inner.len": Field("qi_len", "quoted.inner", _ICMP),
}
"""Every column name (without layer number)."""

_ANY_VERSION: Final = {
    "src": ("src", "address"),
    "dst": ("dst", "address"),
    "version": ("ver", "int"),
    "ttl": ("ttl", "int"),
    "tos": ("tos", "int"),
    "id": ("ip_id", "int"),
    "len": ("ip_len", "int"),
    "hdr_len": ("hdr_len", "int"),
    "frag": ("frag", "int"),
    "nxt": ("nxt", "int"),
    "flow": ("flow", "int"),
    "checksum.state": ("sum_state", "int"),
}
for _side in ("outer", "inner"):
    for _name, (_record, _kind) in _ANY_VERSION.items():
        FIELDS[f"{_side}.{_name}"] = Field(_record, _side, "RFC 791 s3.1, RFC 8200 s3", _kind)

_PRESENCE: Final = ("has", "depth", "ver", "encap", "proto", "nvlan", "nstag", "res_op", "linktype", "mss")
"""Record fields that say what is there: always kept."""
_PRESENCE_OF: Final = {
    "sll": ("caplen",),
    "sll2": ("caplen",),
    "tcp.timestamps": ("tsval", "tsecr"),
    "ipv6.fraghdr": ("frag", "ip_id"),
    "icmp.echo": ("icmp_type",),
    "icmp.mtu": ("icmp_type", "icmp_code"),
    "icmpv6.echo": ("icmp_type",),
    "icmpv6.mtu": ("icmp_type",),
    "gre.key": ("tun_word",),
    "gre.checksum": ("tun_word",),
}
"""The same for one layer each: kept with its fields."""

_UDP_TUNNELS: Final = (layout.ENCAP_GUE, layout.ENCAP_GUE1, layout.ENCAP_VXLAN, layout.ENCAP_GENEVE)
_TUNNEL_OF_UDP: Final = {
    "udp.srcport": "tun_sport",
    "udp.dstport": "tun_dport",
    "udp.checksum": "tun_sum",
    "udp.checksum.state": "tun_state",
}
"""What is kept of the UDP header of the tunnel next to the innermost packet."""
_ECHOES: Final = (0, 8, 13, 14, 15, 16, 17, 18)
"""ICMP types with an identifier and a sequence number. Source: RFC 792."""
_HAS_CHECKSUM, _HAS_KEY = 0x8000_0000, 0x2000_0000
"""Bits of a GRE header's first word. Source: RFC 2784 s2.1, 2890 s2."""


class Columns:
    """Columns of a capture; absent values are 0, so ask `present` first."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._every = np.arange(len(rows))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def frame_number(self) -> npt.NDArray[np.int64]:
        """1-based numbers as Wireshark counts them. Shape: (n,)."""
        return np.arange(1, len(self._rows) + 1, dtype=np.int64)

    @property
    def defects(self) -> Array:
        """The malformed packets. Shape: (defective packets,). Dtype: `DEFECT`."""
        rows = np.flatnonzero(self._record("defect"))
        found = np.zeros(len(rows), dtype=DEFECT)
        found["frame_number"] = rows + 1
        found["kind"] = self._record("defect")[rows]
        for name in ("layer", "need", "have", "by"):
            found[name] = self._record(f"defect_{name}")[rows]
        return found

    def present(self, name: str) -> Mask:
        """Where a layer (``ip#2``, ``tcp``) or a field's layer (``ip.dst#2``) is there. Shape: (n,).

        Raises: KeyError with near matches for an unknown name.
        """
        base, number = _split(name)
        if base in FIELDS:
            base = FIELDS[base].layer
        if base not in LAYERS:
            raise KeyError(_unknown(name, [*LAYERS, *FIELDS]))
        return self._layer(base, number)[0]

    def __getitem__(self, name: str) -> Array:
        """A column. Shape: (n,). Dtype: unsigned integers, native; `ADDRESS` for addresses that may be IPv6.

        Absent: 0; ask `present`. Raises: KeyError with near matches for an unknown name, or for a field that was not
        asked for in `decode`.
        """
        base, number = _split(name)
        if base not in FIELDS:
            raise KeyError(_unknown(name, FIELDS))
        field = FIELDS[base]
        mask, level = self._layer(field.layer, number)
        if field.kind in ("ipv4", "address"):
            return self._address(field, mask, level)
        if field.layer in ("vlan", "ieee8021ad"):
            values = self._tag(number, service=field.layer != "vlan")
        elif field.layer == "udp":
            values = self._udp(base, field, number)
        else:
            values = self._at_level(field.record, level)
        if field.mask:
            values = values >> field.shift & field.mask
        return np.where(mask, values, 0).astype(values.dtype, copy=False)

    def text(self, name: str) -> list[str]:
        """A column's values as Wireshark prints them, ``""`` where absent."""
        base, _ = _split(name)
        values, mask = self[name], self.present(name)
        return [_printed(FIELDS[base].kind, value) if there else "" for value, there in zip(values, mask, strict=True)]

    def _record(self, name: str) -> Array:
        if name not in (self._rows.dtype.names or ()):
            raise KeyError(f"the column's record field {name} was not asked for in decode(fields=...)")
        column: Array = self._rows[name]
        return column

    def _at_level(self, record: str, level: Array) -> Array:
        """A record field, of the given level where it has levels."""
        values = self._record(record)
        return values if values.ndim == 1 else values[self._every, level]

    def _address(self, field: Field, mask: Mask, level: Array) -> Array:
        low = self._at_level(f"{field.record}_lo", level)
        if field.kind == "ipv4":
            return np.where(mask, low & np.uint64(0xFFFF_FFFF), 0).astype(np.uint32)
        halves = np.zeros(len(self), dtype=ADDRESS)
        halves["hi"] = np.where(mask, self._at_level(f"{field.record}_hi", level), 0)
        halves["lo"] = np.where(mask, low, 0)
        return halves

    def _udp(self, name: str, field: Field, number: int) -> Array:
        """UDP fields: in UDP tunnels the innermost tunnel's header counts before the packet's own."""
        return np.where(self._udp_tunnels() == number, self._record(_TUNNEL_OF_UDP[name]), self._record(field.record))

    def _tag(self, number: int, *, service: bool) -> Array:
        """A tag: service tags stand before the others, and two are kept in all."""
        place = np.full(len(self), number) if service else self._record("nstag") + np.intp(number)
        return np.where(place == 1, self._record("vlan0"), np.where(place == 2, self._record("vlan1"), 0))

    def _innermost(self) -> Array:
        """Level of the innermost IP header, 0 where there is none."""
        return np.maximum(self._record("depth").astype(np.intp), 1) - 1

    def _encap(self) -> Array:
        """How the innermost packet is carried."""
        return self._record("encap")[self._every, self._innermost()]

    def _udp_tunnel(self) -> Mask:
        return np.isin(self._encap(), _UDP_TUNNELS)

    def _udp_tunnels(self) -> Array:
        """How many UDP headers carry the innermost packet: its own UDP header is the next one."""
        count: Array = np.isin(self._record("encap"), _UDP_TUNNELS).sum(axis=1)
        return count

    def _tunnel(self, encap: int, number: int) -> Mask:
        """The tunnel next to the innermost packet, where it is the number-th of its kind: no other's header is kept."""
        kinds = self._record("encap") == encap
        mask: Mask = (self._encap() == encap) & (kinds.sum(axis=1) == number)
        return mask

    def _layer(self, layer: str, number: int) -> tuple[Mask, Array]:
        """Where a layer is there, and the level of the record that holds it."""
        return LAYERS[layer](self, number)

    def _has(self, bit: int) -> Mask:
        mask: Mask = np.not_equal(self._record("has") & bit, 0)
        return mask

    def _tagged(self, place: Array, counted: str) -> Mask:
        """A tag at a place from the outside: one of those counted, and of the two that are kept."""
        mask: Mask = (place <= self._record(counted)) & (place <= 2)
        return mask

    def _cooked(self, linktype: int, size: int) -> Mask:
        """A cooked header, of which that many octets are there."""
        mask: Mask = np.equal(self._record("linktype"), linktype) & (self._record("caplen") >= size)
        return mask

    def _transport(self, protocol: int) -> Mask:
        mask: Mask = self._has(layout.HAS_L4) & np.equal(self._record("proto"), protocol)
        return mask

    def _ip_layer(self, version: int, number: int) -> tuple[Mask, Array]:
        """The number-th header of a version, counted from the outside."""
        right = self._record("ver") == version
        wanted = right & (np.cumsum(right, axis=1) == number)
        return wanted.any(axis=1), wanted.argmax(axis=1)

    def _udp_layer(self, number: int) -> Mask:
        """The innermost tunnel's UDP header, and the packet's own behind it: those of other tunnels are not kept."""
        tunnels = self._udp_tunnels()
        mask: Mask = (self._udp_tunnel() & (tunnels == number)) | (self._transport(17) & (tunnels == number - 1))
        return mask

    def _icmp(self, protocol: int, types: Collection[int]) -> Mask:
        mask: Mask = self._transport(protocol) & np.isin(self._record("icmp_type"), tuple(types))
        return mask

    def _gre(self, number: int, bit: int) -> Mask:
        """A GRE header with a bit of its first word set."""
        mask: Mask = self._tunnel(layout.ENCAP_GRE, number) & ((self._record("tun_word") & np.uint32(bit)) != 0)
        return mask

    def _fragment_header(self, number: int) -> tuple[Mask, Array]:
        """An IPv6 fragment header, as far as it has anything in it."""
        mask, level = self._ip_layer(6, number)
        return mask & ((self._at_level("frag", level) | self._at_level("ip_id", level)) != 0), level


def decode(capture: Capture, *, fields: Collection[str] | None = None) -> Columns:
    """All packets of a capture as columns; `fields` limits what is kept, and so the memory, to these names.

    Raises: KeyError with near matches for an unknown name; CaptureError as `Capture.windows`.
    """
    if fields is None:
        return Columns(_joined((window.rec for window in capture.windows()), RECORD))
    wanted = set(_PRESENCE)
    for name in fields:
        wanted |= _needed(name)
    kept = np.dtype([(name, RECORD.fields[name][0]) for name in RECORD.names if name in wanted])  # type: ignore[index, union-attr]
    return Columns(_joined((_narrowed(window.rec, kept) for window in capture.windows()), kept))


def _joined(parts: Iterable[Rows], dtype: np.dtype[np.void]) -> Rows:
    copies = [copied(part) for part in parts]
    return joined(copies) if copies else np.zeros(0, dtype)


def _narrowed(rows: Rows, dtype: np.dtype[np.void]) -> Rows:
    narrow = np.zeros(len(rows), dtype)
    for name in dtype.names or ():
        narrow[name] = rows[name]
    return narrow


def _needed(name: str) -> set[str]:
    """Record fields behind a column name; ``defects`` is a name here, too."""
    base, _ = _split(name)
    if base == "defects":
        return {"defect", "defect_layer", "defect_need", "defect_have", "defect_by"}
    if base not in FIELDS:
        raise KeyError(_unknown(name, FIELDS))
    field = FIELDS[base]
    if field.kind in ("ipv4", "address"):
        return {f"{field.record}_hi", f"{field.record}_lo"}
    if field.layer in ("vlan", "ieee8021ad"):
        return {"vlan0", "vlan1"}
    return {field.record, *_PRESENCE_OF.get(field.layer, ()), *filter(None, [_TUNNEL_OF_UDP.get(base)])}


def _split(name: str) -> tuple[str, int]:
    """``ip.dst#2`` as (``ip.dst``, 2)."""
    base, mark, number = name.partition("#")
    if not mark:
        return base, 1
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 255:
        raise KeyError(f"{name}: a layer number follows '#', counted from 1")
    return base, int(number)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.partition("#")[0], list(known), n=3)
    return f"no column {name!r}" + (f"; near: {', '.join(near)}" if near else "")


def _printed(kind: str, value: Any) -> str:
    if kind == "mac":
        return mac_text(int(value))
    if kind == "ipv4":
        return ip_text(0, 0xFFFF_0000_0000 | int(value))
    if kind == "address":
        return ip_text(int(value["hi"]), int(value["lo"]))
    return str(int(value))


_Layer = Callable[[Columns, int], tuple[Mask, Array]]


def _single(test: Callable[[Columns], Mask]) -> _Layer:
    """A layer that is there once at most, and is about the innermost packet."""

    def layer(c: Columns, number: int) -> tuple[Mask, Array]:
        return (test(c) if number == 1 else np.zeros(len(c), bool)), c._innermost()

    return layer


LAYERS: Final[dict[str, _Layer]] = {
    "frame": _single(lambda c: np.ones(len(c), bool)),
    "eth": _single(lambda c: c._has(layout.HAS_ETH_DST)),
    "eth.src": _single(lambda c: c._has(layout.HAS_ETH_SRC)),
    "eth.dst": _single(lambda c: c._has(layout.HAS_ETH_DST)),
    "eth.type": _single(lambda c: c._has(layout.HAS_ETH_DST) & (c._record("eth_type") >= 0x0600)),
    "sll": _single(lambda c: c._cooked(113, 16) | c._cooked(276, 20)),
    "sll2": _single(lambda c: c._cooked(276, 20)),
    "vlan": lambda c, number: (c._tagged(c._record("nstag") + np.intp(number), "nvlan"), c._innermost()),
    "ieee8021ad": lambda c, number: (c._tagged(np.full(len(c), number), "nstag"), c._innermost()),
    "arp": _single(lambda c: c._has(layout.HAS_RES) & (c._record("depth") == 0)),
    "nd": _single(lambda c: c._has(layout.HAS_RES) & (c._record("depth") > 0)),
    "nd.linkaddr": _single(
        lambda c: c._has(layout.HAS_RES) & (c._record("depth") > 0) & np.not_equal(c._record("res_sha"), 0)
    ),
    "ip": lambda c, number: c._ip_layer(4, number),
    "ipv6": lambda c, number: c._ip_layer(6, number),
    "ipv6.fraghdr": lambda c, number: c._fragment_header(number),
    "ip.any": _single(lambda c: c._has(layout.HAS_IP)),
    "outer": lambda c, number: (c._has(layout.HAS_IP) & (number == 1), np.zeros(len(c), np.intp)),
    "inner": _single(lambda c: c._has(layout.HAS_IP)),
    "tcp": _single(lambda c: c._transport(6)),
    "tcp.mss": _single(lambda c: c._transport(6) & (c._record("mss") != 0)),
    "tcp.timestamps": _single(lambda c: c._transport(6) & ((c._record("tsval") | c._record("tsecr")) != 0)),
    "udp": lambda c, number: (c._udp_layer(number), c._innermost()),
    "udp.last": lambda c, number: (c._transport(17) & (c._udp_tunnels() == number - 1), c._innermost()),
    "ports": _single(lambda c: c._transport(6) | c._transport(17)),
    "icmp": _single(lambda c: c._transport(1)),
    "icmp.echo": _single(lambda c: c._icmp(1, _ECHOES)),
    "icmp.mtu": _single(lambda c: c._icmp(1, {3}) & (c._record("icmp_code") == 4)),
    "icmpv6": _single(lambda c: c._transport(58)),
    "icmpv6.echo": _single(lambda c: c._icmp(58, {128, 129})),
    "icmpv6.mtu": _single(lambda c: c._icmp(58, {2})),
    "gre": lambda c, number: (c._tunnel(layout.ENCAP_GRE, number), c._innermost()),
    "gre.key": lambda c, number: (c._gre(number, _HAS_KEY), c._innermost()),
    "gre.checksum": lambda c, number: (c._gre(number, _HAS_CHECKSUM), c._innermost()),
    "gue": lambda c, number: (c._tunnel(layout.ENCAP_GUE, number), c._innermost()),
    "vxlan": lambda c, number: (c._tunnel(layout.ENCAP_VXLAN, number), c._innermost()),
    "geneve": lambda c, number: (c._tunnel(layout.ENCAP_GENEVE, number), c._innermost()),
    "tunnel": _single(lambda c: (c._record("depth") > 1) & (c._encap() != layout.ENCAP_IPIP)),
    "tunnel.udp": _single(lambda c: c._udp_tunnel()),
    "quoted": _single(lambda c: c._has(layout.HAS_QUOTE)),
    "quoted.inner": _single(lambda c: c._has(layout.HAS_QUOTE_INNER)),
}
"""Every layer that `Columns.present` can be asked for: where it is there, and the level of the record that holds it."""
