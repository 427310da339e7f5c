"""What the compiled join reads of a row: the fields that are a packet's *key*, and its *place* (`dsrkit.verify.join`).

Every field that a rule reads must be in one of the two, or be told by what is: otherwise two journeys that look the
same could be judged differently. Lengths and identifications of outer headers, fingerprints and checksums that cannot
be verified are added by the join itself, which compares them with what is inside.
"""

from __future__ import annotations

import sys
from typing import Any, Final, cast

import numpy as np

from dsrkit.verify.frames import Words
from dsrkit.wire.layout import RECORD

_ANYWHERE: Final = ("eth_src", "eth_dst", "iface", "ifindex", "linktype", "eth_type", "ethertype", "vlan0", "vlan1")
_ANYWHERE_TOO: Final = ("l3_at", "in_at", "tcp_flags", "has", "pkttype", "nvlan", "nstag", "depth", "proto")
_STATES: Final = ("l4_state", "tun_state", "tun_hlen")
_OF_A_LEVEL: Final = ("tos", "ttl", "ver", "nxt", "nh", "sum_state", "encap", "hdr_len", "frag")
_OF_A_TUNNEL: Final = ("tun_word", "tun_key", "tun_dport")


def _span(name: str, level: int | None) -> tuple[int, int]:
    """(first octet, octets) of a record field, or of one level of it."""
    dtype, at = cast(Any, RECORD.fields)[name][:2]
    size = dtype.base.itemsize
    return at + size * (level or 0), size


def _word(name: str, level: int | None = None) -> tuple[int, int, int]:
    """A field as (word, shift, mask)."""
    at, size = _span(name, level)
    within = at % 8 if sys.byteorder == "little" else 8 - at % 8 - size
    return at // 8, 8 * within, (1 << 8 * size) - 1


def keys() -> list[list[tuple[int, int, int]]]:
    """For each variant (depth 1 or 2, then request or reply): the fields that no node on the way changes."""
    out = []
    for level in (0, 1):
        for side, port in (("src", "sport"), ("dst", "dport")):
            fields = [_word(name, level) for name in (f"{side}_hi", f"{side}_lo", "ip_id", "ip_len", "flow")]
            fields += [_word(name) for name in (port, "seq", "ack", "payload_len", "window", "urgent")]
            out.append(fields)
    return out


def places() -> list[list[tuple[int, int, int]]]:
    """For each variant: the fields that say where a packet was seen and in which form, as masks over whole words."""
    out = []
    for level in (0, 1):
        for side, port in (("dst", "dport"), ("src", "sport")):
            spans = [_span(name, None) for name in (*_ANYWHERE, *_ANYWHERE_TOO, *_STATES, port)]
            spans += [_span(name, i) for name in _OF_A_LEVEL for i in range(level + 1)]
            spans += [_span(f"{side}_{half}", level) for half in ("hi", "lo")]
            if level:
                spans += [_span(name, None) for name in _OF_A_TUNNEL]
                spans += [_span(f"{end}_{half}", 0) for end in ("src", "dst") for half in ("hi", "lo")]
            octets = np.zeros(RECORD.itemsize, np.uint8)
            for at, size in spans:
                octets[at : at + size] = 0xFF
            words = octets.view(np.uint64)
            out.append([(i, 0, int(words[i])) for i in np.flatnonzero(words).tolist()])
    return out


def factors(count: int) -> Words:
    """Odd numbers without pattern: steps of a Weyl sequence, stirred (splitmix64)."""
    step = np.uint64(0x9E37_79B9_7F4A_7C15)
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * step
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)
