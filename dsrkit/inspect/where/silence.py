"""Where columns are silent: the rows of which only a frame taken apart, or a text, can tell whether a test holds.

The scan stops where the headers of load balancing end: at link types, tunnels and protocols that it does not open. The
dissector goes on there, so columns have the last word only on frames that the scan has read to their end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from dsrkit.inspect.batch import Batch
from dsrkit.inspect.fields import Reference
from dsrkit.verify.arrays import among
from dsrkit.wire import layout
from dsrkit.wire.columns import Array, Mask
from dsrkit.wire.scanner import GUE_PORTS

COUNTED: Final = {"defect": "defect", "frame.comment": "commented"}
"""Texts → what the rows hold of them: whether there are any."""

_TUNNELS_IN_UDP: Final = (*sorted(GUE_PORTS), 4754, 4789, 4790, 6081, 6635)
"""Ports of tunnels: a datagram to one that the scan has not opened may be one that the dissector opens.

Source: RFC 8086 s8, RFC 7348 s5, draft-ietf-nvo3-vxlan-gpe s3, RFC 8926 s3.3, RFC 7510 s6.
"""
_FRAMES_IN_GRE: Final = (0x6558, 0x88BE, 0x22EB)
"""Protocols in a GRE header behind which comes an Ethernet frame: transparent bridging, ERSPAN."""
_UDP_TUNNELS: Final = (layout.ENCAP_GUE, layout.ENCAP_GUE1, layout.ENCAP_VXLAN, layout.ENCAP_GENEVE)
_OF_FRAMES: Final = frozenset({"eth", "vlan", "ieee8021ad", "arp"})
"""Headers that a frame in a tunnel has, too; columns keep those of the outermost frame."""
_OF_TUNNELS: Final = frozenset({"udp", "gre", "gue", "vxlan", "geneve"})
"""Headers of which columns keep those next to the innermost packet."""
_ABOVE: Final = {"dns": ("udp", "tcp"), "http": ("tcp",), "tcp": ("tcp",), "udp": ("udp",)}
"""Fields that no column has → the headers without which they are not there."""


def silent(batch: Batch, fields: Iterable[Reference]) -> Mask:
    """Rows of which columns cannot tell."""
    rows = np.zeros(len(batch), bool)
    for field in fields:
        if field.name in COUNTED:
            rows |= np.not_equal(batch.window.rec[COUNTED[field.name]], 0)
        elif field.row:
            rows |= field.kind == "text"
        elif not field.columns:
            rows |= _possible(batch, field)
        elif field.deep:
            rows |= _unread(batch)
            if field.layer in _OF_FRAMES:
                rows |= _inner_frames(batch)
            elif field.base == "udp.length":
                rows |= _carried_by(batch, *_UDP_TUNNELS)
            elif field.base == "gue":  # variant 1 has no header that a column could hold
                rows |= _carried_by(batch, layout.ENCAP_GUE1)
            elif field.layer in _OF_TUNNELS:
                rows |= _tunnels_in_tunnels(batch)
    return rows


def _possible(batch: Batch, field: Reference) -> Mask:
    """Rows that may hold a field which no column has."""
    layers = _ABOVE.get(field.layer)
    if layers is None:
        return np.ones(len(batch), bool)
    carrying: Mask = np.logical_or.reduce([batch.columns.present(layer) for layer in layers])
    return _unread(batch) | carrying


def _unread(batch: Batch) -> Mask:
    """Frames that the scan has not read to their end: cut, malformed, or of something that it does not open."""
    rec = batch.window.rec
    has_ip = np.not_equal(rec["has"] & layout.HAS_IP, 0)
    at_end = np.not_equal(rec["has"] & layout.HAS_L4, 0) | _later_fragments(rec)
    stopped = np.where(has_ip, ~at_end, np.equal(rec["has"] & layout.HAS_RES, 0))
    mask: Mask = (batch.defective | stopped) & np.not_equal(rec["defect"], layout.DEFECT_LINKTYPE)
    return mask | among(rec["dport"], _TUNNELS_IN_UDP)


def _later_fragments(rec: Array) -> Mask:
    """Fragments behind the first, in which no header follows the IP header. Source: RFC 791 s3.2, RFC 8200 s4.5."""
    innermost = np.maximum(rec["depth"].astype(np.intp), 1) - 1
    mask: Mask = np.not_equal(rec["frag"][np.arange(len(rec)), innermost] & 0x1FFF, 0)
    return mask


def _inner_frames(batch: Batch) -> Mask:
    """Tunnel packets that may carry a frame with a link-layer header of its own."""
    rec = batch.window.rec
    bridged = among(rec["tun_word"] & 0xFFFF, _FRAMES_IN_GRE)
    return _carried_by(batch, layout.ENCAP_VXLAN, layout.ENCAP_GENEVE) | (
        bridged & _carried_by(batch, layout.ENCAP_GRE)
    )


def _tunnels_in_tunnels(batch: Batch) -> Mask:
    """Packets in more than one tunnel with a header: columns keep that of the innermost."""
    headers: Array = (batch.window.rec["encap"] > layout.ENCAP_IPIP).sum(axis=1)
    return headers > 1


def _carried_by(batch: Batch, *tunnels: int) -> Mask:
    """Packets in a tunnel of one of these kinds."""
    mask: Mask = np.logical_or.reduce(among(batch.window.rec["encap"], tunnels), axis=1)
    return mask
