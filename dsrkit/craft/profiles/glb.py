"""GLB director: GUE whose private data name the servers that get a second chance."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from dsrkit.craft.profiles.base import Encapsulation, Flows, Ports, Profile, Tunnel, always
from dsrkit.craft.profiles.hashes import siphash24
from dsrkit.craft.rewrite import Bindings

TABLE_KEY: Final = bytes.fromhex("12345678901234561234567890123456")
"""The hash key of a forwarding table is the operator's; this is that of the director's own test suite."""


def source_port(flows: Flows) -> Ports:
    """The UDP source port: the upper bit set, the rest from the client's address, by SipHash, and port.

    Source: glb-director glb_encap.c glb_encapsulate_packet, packet_parsing.h glb_compute_hash with its default of
    hashing the source address only.

    Shape: (flows,).
    """
    hashed = siphash24(TABLE_KEY, np.ascontiguousarray(flows.client)).astype(np.uint16)
    return np.uint16(0x8000) | (hashed ^ flows.client_port) & np.uint16(0x7FFF)


def private_data(bindings: Bindings) -> bytes:
    """The list of alternates behind the GUE header: type 0, next hop 0, hop count, hops.

    The role ``("alternate", "ip")`` holds their IPv4 addresses one behind another; without it there are none.

    Source: glb-director docs/development/gue-header.md.
    """
    hops = bindings.roles.get(("alternate", "ip"), b"")
    octets = hops if isinstance(hops, bytes) else b""
    return struct.pack("!HBB", 0, 0, len(octets) // 4) + octets


GLB: Final = Profile(
    name="glb",
    title="GitHub's GLB director",
    modes=frozenset({"l3dsr-tunnel"}),
    tunnels={
        "gue": Tunnel(
            Encapsulation("gue", port=19523),
            pairs=frozenset({(4, 4), (6, 4)}),
            habits={"outer.id": always(0)},
            derived={"tunnel.srcport": source_port},
            private=private_data,
        )
    },
)
