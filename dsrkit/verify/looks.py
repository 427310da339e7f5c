"""What the fast path reads of a row, and what it keeps: a packet's *key* and its *place* (`dsrkit.verify.sightings`).

Every field that a rule reads must be in one of the two, or be told by what is: otherwise two journeys that look the
same could be judged differently. Lengths and identifications of outer headers, fingerprints and checksums that cannot
be verified are added by the sighter itself, which compares them with what is inside.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any, Final, cast

import numpy as np

from dsrkit.verify.frames import Records, Words
from dsrkit.wire.layout import RECORD
from dsrkit.wire.rows import octets

SIGHTING: Final = np.dtype(
    [
        ("key", np.uint64),
        ("place", np.uint64),
        ("flow", np.int64),  # hash of the client's endpoint, 0 for no conversation with a service; in the join a number
        ("ts", np.int64),  # ns
        ("numbers", np.uint64),  # TCP sequence number, and acknowledgement number in the low half
        ("outer", np.int64),  # what all outer headers of a packet have in common, -1 without one
        ("what", np.uint64),  # TCP flags, OFF, ALARM, direction << 16, protocol << 20, octets of the packet << 32
        ("ref", np.int64),  # octets of the frame; in the join where its row is: piece << 40 | tap << 32 | row
    ]
)
"""What the join has to know of a row."""
OFF: Final = 1 << 12
"""Of `what`: the packet's flow is for the judge."""
ALARM: Final = 1 << 13
"""Of `what`: the packet speaks of others (an ICMP error, a reset)."""
JOURNEY: Final = np.dtype(
    [
        ("key", np.uint64),
        ("chain", np.uint64),  # the sum of the places of its sightings
        ("outer", np.int64),
        ("last", np.int64),  # time of the last sighting, ns
        ("entry", np.int64),  # the first one
        ("class", np.int64),
        ("fate", np.int64),
        ("pad_", np.int64),  # keeps it a cache line
    ]
)
"""What the join knows of a journey, within one settlement."""
FLOW: Final = np.dtype(
    [
        ("key", np.uint64),
        ("last", np.int64),  # time of the last packet, ns
        ("acked", np.int64),  # the number behind the SYN that an answer has acknowledged, -1 without one
        ("begin", np.int64),  # sequence number of the SYN, -1 without one
        ("hits", np.int64),  # journeys that were counted
        ("bits", np.int32),
        ("server", np.int32),
        ("syn", np.int32),  # in this round: the journey of its SYN, of the answer to it; -1 without one
        ("answer", np.int32),
        ("held", np.int32),  # the round in which something of it waits
        ("round", np.int32),
    ]
)
"""What the join remembers of a flow."""

_ANYWHERE: Final = ("eth_src", "eth_dst", "iface", "ifindex", "linktype", "eth_type", "ethertype", "vlan0", "vlan1")
_ANYWHERE_TOO: Final = ("l3_at", "in_at", "tcp_flags", "has", "pkttype", "nvlan", "nstag", "depth", "proto")
_STATES: Final = ("l4_state", "tun_state", "tun_hlen")
_OF_A_LEVEL: Final = ("tos", "ttl", "ver", "nxt", "nh", "sum_state", "encap", "hdr_len", "frag")
_OF_A_TUNNEL: Final = ("tun_word", "tun_key", "tun_dport")
_LEAST_SLOTS: Final = 1 << 8
"""Of the table of endpoints that serve, which is a quarter full at most."""


class Looks:
    """Boils rows down to sightings, in any thread; knows which endpoints serve."""

    def __init__(self, module: Any, serving: Collection[tuple[int, int, int, int]]) -> None:
        """`module`: `dsrkit.verify.sightings`; `serving`: two halves of an address, port, protocol of each endpoint."""
        self._module = module
        slots = max(_LEAST_SLOTS, 1 << (4 * len(serving)).bit_length())
        self._memory: dict[str, Any] = {"serving": np.zeros(slots, np.uint64)}
        variants = places()
        flat = [word for words in variants for word in words]
        self._memory["place_from"] = np.asarray(np.cumsum([0, *map(len, variants)]), np.int64)
        self._memory["place_word"] = np.asarray([at for at, _ in flat], np.int64)
        self._memory["place_mask"] = np.asarray([mask for _, mask in flat], np.uint64)
        self._own = threading.local()
        for endpoint in serving:
            self._sighter().serve(*endpoint)

    def see(self, rec: Records, file: int) -> Words:
        """The sightings (`SIGHTING`) of a file's rows as words; `file` is its number. Shape: (n, 8)."""
        out = np.empty((len(rec), SIGHTING.itemsize // 8), np.uint64)
        self._sighter().see(octets(rec), len(rec), file, memoryview(cast(Any, out)))
        return out

    def _sighter(self) -> Any:
        """This thread's."""
        found = getattr(self._own, "sighter", None)
        if found is None:
            found = self._own.sighter = self._module.Sighter()
            found.attach({name: memoryview(column) for name, column in self._memory.items()})
        return found


def _span(name: str, level: int | None) -> tuple[int, int]:
    """(first octet, octets) of a record field, or of one level of it."""
    dtype, at = cast(Any, RECORD.fields)[name][:2]
    size = dtype.base.itemsize
    return at + size * (level or 0), size


def places() -> list[list[tuple[int, int]]]:
    """For each variant (depth 1 or 2, then request or reply): the fields that say where a packet was seen and in which
    form, as an even number of whole words and masks over them."""
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
            found = [(i, int(words[i])) for i in np.flatnonzero(words).tolist()]
            out.append(found + [(0, 0)] * (len(found) % 2))
    return out
