"""Linux IPVS, kernel 6.1: everything is a copy of the client's packet, after its TTL was counted down."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np

from dsrkit.craft.packets.octets import Octets, Value
from dsrkit.craft.profiles.base import IPIP_PAIRS, Encapsulation, Flows, Ports, Profile, Tunnel
from dsrkit.craft.profiles.hashes import big_endian, rows, siphash24
from dsrkit.craft.rewrite import Bindings, Habit
from dsrkit.model.names import REWRITES

_ECT_0, _CE = 2, 3
_PORT_RANGE: Final = (32768, 60999)  # net.ipv4.ip_local_port_range
_BOOT_KEY: Final = bytes(16)  # the kernel draws its own when it starts; any will do here


def gue_source_port(flows: Flows) -> Ports:
    """The UDP source port, a hash of the flow scaled to the range of local ports.

    Source: include/net/udp.h udp_flow_src_port, Linux 6.1; the hash below it has a random key in every kernel, so the
    port is one of those it could be, not the one that a given machine wrote.

    Shape: (flows,).
    """
    count = len(flows.client_port)
    ends = flows.service + flows.service_port.to_bytes(2, "big") + bytes([flows.proto])
    hashed = siphash24(_BOOT_KEY, rows(count, [flows.client, big_endian(flows.client_port), ends])) & np.uint64(
        0xFFFFFFFF
    )
    hashed = (hashed ^ hashed << np.uint64(16)) & np.uint64(0xFFFFFFFF)
    low, high = _PORT_RANGE
    return ((hashed * np.uint64(high - low) >> np.uint64(32)) + np.uint64(low)).astype(np.uint16)


def outer_ecn(before: Octets, bindings: Bindings) -> Value:
    """The ECN bits of the outer header: a copy, but CE becomes ECT(0).

    Source: include/net/inet_ecn.h INET_ECN_encapsulate, Linux 6.1.
    """
    ecn = before.get("ip.dsfield.ecn")
    return _ECT_0 if ecn == _CE else ecn or 0


def linux_tunnels(habits: Mapping[str, Habit], variants: Collection[int] = (0,)) -> dict[str, Tunnel]:
    """The tunnels that Linux has, with the habits of whoever fills their headers, and variants of GUE."""
    return {
        **{
            kind: Tunnel(Encapsulation(kind), pairs=frozenset({pair}), habits=habits)
            for kind, pair in IPIP_PAIRS.items()
        },
        "gre": Tunnel(Encapsulation("gre"), habits=habits),
        "gue": Tunnel(
            Encapsulation("gue"),
            variants=frozenset(variants),
            habits=habits,
            derived={"tunnel.srcport": gue_source_port},
        ),
    }


IPVS: Final = Profile(
    name="ipvs",
    title="Linux IPVS",
    modes=frozenset(REWRITES),
    tunnels=linux_tunnels({"outer.dsfield.ecn": outer_ecn}),
    stack=True,
)
