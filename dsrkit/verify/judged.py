"""The judged fields of `dsrkit.tables.fields` as columns: a value and whether it could be observed, per packet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsrkit.verify.arrays import among
from dsrkit.verify.frames import ICMP, ICMPV6, TCP, UDP, Frames, Ints, Mask
from dsrkit.wire import layout

_DF = 0x4000
_OFFSET_AND_MORE = 0x3FFF

Column = tuple[Ints, Mask]
"""Values and where they mean something, both of shape (rows,)."""

CHECKSUM_FIELDS = {
    "ip.checksum": "sum_state",
    "l4.checksum": "l4_state",
    "outer.checksum": "sum_state",
    "tunnel.checksum": "tun_state",
}


def column(f: Frames, field: str, rows: Ints) -> Column:
    """A judged field of some packets. Shape: (len(rows),) twice."""
    values, seen = _COLUMNS[field](f, rows)
    return np.asarray(values).astype(np.int64), np.asarray(seen, bool)


def checksum_state(f: Frames, field: str, rows: Ints) -> Column:
    """The scan's verdict on a checksum (`layout.SUM_*`); observable where there is one that could be verified."""
    name = CHECKSUM_FIELDS[field]
    if field == "ip.checksum":
        state = f.inner(name)[rows]
    elif field == "outer.checksum":
        state = f.outer(name)[rows]
    else:
        state = f.field(name)[rows]
    seen = (state != layout.SUM_NONE) & (state != layout.SUM_UNVERIFIABLE)
    if field.startswith(("outer", "tunnel")):
        seen &= f.tunnel[rows] > 0
    return state, seen


def _always(f: Frames, rows: Ints) -> Mask:
    return f.has_ip[rows]


def _v4(f: Frames, rows: Ints) -> Mask:
    return np.asarray(f.has_ip[rows] & (f.ver[rows] == 4), bool)


def _tcp(f: Frames, rows: Ints) -> Mask:
    return np.asarray(f.has_l4[rows] & (f.proto[rows] == TCP) & ~f.fragment[rows], bool)


def _ports(f: Frames, rows: Ints) -> Mask:
    return np.asarray(f.has_l4[rows] & among(f.proto[rows], (TCP, UDP)) & ~f.fragment[rows], bool)


def _tunnelled(f: Frames, rows: Ints) -> Mask:
    return np.asarray(f.tunnel[rows] > 0, bool)


def _outer_v4(f: Frames, rows: Ints) -> Mask:
    return np.asarray((f.tunnel[rows] > 0) & (f.outer("ver")[rows] == 4), bool)


def _record(name: str, seen: Callable[[Frames, Ints], Mask]) -> Callable[[Frames, Ints], Column]:
    return lambda f, rows: (f.field(name)[rows], seen(f, rows))


def _inner(name: str, seen: Callable[[Frames, Ints], Mask]) -> Callable[[Frames, Ints], Column]:
    return lambda f, rows: (f.inner(name)[rows], seen(f, rows))


def _outer(name: str, seen: Callable[[Frames, Ints], Mask]) -> Callable[[Frames, Ints], Column]:
    return lambda f, rows: (f.outer(name)[rows], seen(f, rows))


def _outer_content(f: Frames, rows: Ints) -> Column:
    """Octets behind the outer IP, UDP and tunnel headers. A fragment of the outer packet holds only some of them."""
    total = f.outer("ip_len")[rows] + np.where(f.outer("ver")[rows] == 6, 40, 0)
    header = f.outer("hdr_len")[rows]
    udp = np.where(f.tunnel[rows] >= 6, 8, 0)
    value = total - header - udp - f.field("tun_hlen")[rows]
    return value, (f.tunnel[rows] > 0) & ~f.outer_fragment[rows]


def _payload(f: Frames, rows: Ints) -> Column:
    whole = f.has_all_payload[rows]
    return f.rec["fp"][rows].view(np.int64), whole & f.has_ip[rows] & ~f.outer_fragment[rows]


_COLUMNS: dict[str, Callable[[Frames, Ints], Column]] = {
    "eth.src": lambda f, r: (f.eth_src[r], f.has(layout.HAS_ETH_SRC)[r]),
    "eth.dst": lambda f, r: (f.eth_dst[r], f.has_eth_dst[r]),
    "vlan.id": lambda f, r: (f.field("vlan0")[r] & 0xFFF, f.rec["nvlan"][r] > 0),
    "ip.src": lambda f, r: (f.src[r], _always(f, r)),
    "ip.dst": lambda f, r: (f.dst[r], _always(f, r)),
    "ip.ttl": _inner("ttl", _always),
    "ip.dsfield.dscp": lambda f, r: (f.tos[r] >> 2, _always(f, r)),
    "ip.dsfield.ecn": lambda f, r: (f.tos[r] & 3, _always(f, r)),
    "ip.id": _inner("ip_id", _v4),
    "ip.flags.df": lambda f, r: ((f.inner("frag")[r] & _DF) >> 14, _v4(f, r)),
    "ip.frag_offset": lambda f, r: (f.inner("frag")[r] & _OFFSET_AND_MORE, _always(f, r)),
    "ip.len": lambda f, r: (f.ip_len[r], _always(f, r)),
    "ip.hdr_len": _inner("hdr_len", _always),
    "ip.proto": _record("proto", _always),
    "ip.checksum": _inner("ip_sum", _v4),
    "ipv6.flow": lambda f, r: (f.inner("flow")[r], f.has_ip[r] & (f.ver[r] == 6)),
    "l4.srcport": _record("sport", _ports),
    "l4.dstport": _record("dport", _ports),
    "l4.checksum": _record("l4_sum", lambda f, r: f.has_l4[r]),
    "tcp.seq": _record("seq", _tcp),
    "tcp.ack": _record("ack", _tcp),
    "tcp.flags": _record("tcp_flags", _tcp),
    "tcp.window_size_value": _record("window", _tcp),
    "tcp.urgent_pointer": _record("urgent", _tcp),
    "tcp.options": lambda f, r: (f.rec["opt_fp"][r].view(np.int64), _tcp(f, r) & f.whole_header[r]),
    "icmp.type": lambda f, r: (
        f.icmp_type[r] << 8 | f.field("icmp_code")[r],
        f.has_l4[r] & among(f.proto[r], (ICMP, ICMPV6)),
    ),
    "l4.payload": _payload,
    "outer.src": lambda f, r: (f.outer_src[r], _tunnelled(f, r)),
    "outer.dst": lambda f, r: (f.outer_dst[r], _tunnelled(f, r)),
    "outer.ttl": _outer("ttl", _tunnelled),
    "outer.dsfield.dscp": lambda f, r: (f.outer("tos")[r] >> 2, _tunnelled(f, r)),
    "outer.dsfield.ecn": lambda f, r: (f.outer("tos")[r] & 3, _tunnelled(f, r)),
    "outer.id": _outer("ip_id", _outer_v4),
    "outer.flags.df": lambda f, r: ((f.outer("frag")[r] & _DF) >> 14, _outer_v4(f, r)),
    "outer.len": _outer_content,
    "outer.checksum": _outer("ip_sum", _outer_v4),
    "tunnel.type": lambda f, r: (f.tunnel[r], _tunnelled(f, r)),
    "tunnel.srcport": _record("tun_sport", lambda f, r: f.tunnel[r] >= 6),
    "tunnel.dstport": _record("tun_dport", lambda f, r: f.tunnel[r] >= 6),
    "tunnel.header": _record("tun_word", lambda f, r: (f.tunnel[r] == 5) | (f.tunnel[r] == 6)),
    "tunnel.checksum": _record("tun_sum", lambda f, r: f.tunnel[r] >= 5),
}
