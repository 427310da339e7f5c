"""katran: outer headers made from the flow alone, the client's packet untouched."""

from __future__ import annotations

from typing import Final

import numpy as np

from dsrkit.craft.packets import bare_icmp
from dsrkit.craft.packets.headers import internet_checksum, ipv4_header, ipv6_header, pseudo_header, udp_header
from dsrkit.craft.packets.octets import IPIP, IPV6_IN_IP, UDP, Octets
from dsrkit.craft.profiles.base import (
    IPIP_PAIRS,
    Addresses,
    Encapsulation,
    Flows,
    Ports,
    Profile,
    Tunnel,
    always,
    node_address,
)
from dsrkit.craft.profiles.hashes import big_endian, rows

MTU: Final = 1500
"""Longer packets get an ICMP error: MAX_PCKT_SIZE of balancer_consts.h, without Ethernet."""

GUE_PORT: Final = 9886
"""In older releases 6080."""

_HEALTH_PORT: Final = 63265

_QUOTED: Final = {4: 84, 6: 248}
"""Octets of the IP packet that an ICMP error quotes: ICMP_TOOBIG_SIZE and ICMP6_TOOBIG_SIZE without Ethernet."""


def outer_source(flows: Flows) -> Addresses:
    """The source of an IPIP header: 172.16/16 or 0100::/64 with client port and address folded into the rest.

    Source: katran pckt_encap.h encap_v4 and encap_v6.

    Shape: (flows, 4 or 16).
    """
    port = big_endian(flows.client_port)
    if flows.outer == 4:
        return rows(len(port), [b"\xac\x10", port[:, ::-1] ^ flows.client[:, 2:4]])
    last = flows.client[:, -4:]
    return rows(len(port), [b"\x01" + bytes(11), last[:, :2] ^ port, last[:, 2:]])


def gue_source_port(flows: Flows) -> Ports:
    """The UDP source port of GUE: client port and address, in the byte order that the code happens to leave.

    Source: katran pckt_encap.h gue_encap_v4 and gue_encap_v6.

    Shape: (flows,).
    """
    port = big_endian(flows.client_port)
    if flows.client.shape[1] == 16:
        folded = port ^ flows.client[:, 12:14]
    elif flows.outer == 6:
        folded = port ^ flows.client[:, 2:4]
    else:
        folded = port[:, ::-1] ^ flows.client[:, 2:4]
    return np.ascontiguousarray(folded).view(">u2").reshape(-1).astype(np.uint16)


def gue_checksum(pseudo: bytes, datagram: bytes) -> int:
    """The UDP checksum of GUE, from headers only.

    The sum over the inner transport is taken for granted, as what its own checksum makes it, so a wrong one inside (or
    an ICMPv4 message, which has no pseudo header) makes a wrong one outside.

    Source: katran csum_helpers.h gue_csum_v4, gue_csum_v6, gue_csum_v4_in_v6.
    """
    inner = datagram[8:]
    if inner[0] >> 4 == 4:
        header = inner[:20]
        within = pseudo_header(header[12:16], header[16:20], int.from_bytes(header[2:4], "big") - 20, header[9])
    else:
        header = inner[:40]
        within = pseudo_header(header[8:24], header[24:40], int.from_bytes(header[4:6], "big"), header[6])
    without = bytes(octet ^ 0xFF for octet in within)  # the complement takes the words out of a sum again
    return internet_checksum(pseudo + datagram[:8] + header + without)


def too_big(frame: Octets, *, mtu: int = MTU) -> bytes:
    """The ICMP error with which it answers a packet above `MTU`, as the whole frame to the sender.

    Source: katran handle_icmp.h send_icmp4_too_big, send_icmp6_too_big.
    """
    return bare_icmp.too_big(frame, mtu, quoted=_QUOTED[frame.networks[0].version])


def health_check(packet: bytes, source: bytes, destination: bytes, *, gue: bool = False) -> bytes:
    """A health check's IP packet inside a tunnel to the server it is meant for: fixed source, TTL 64, no checksum.

    Source: KatranHCTestFixtures hcTestFixtures, hcGueTestFixtures.
    """
    proto, content = IPIP if packet[0] >> 4 == 4 else IPV6_IN_IP, packet
    if gue:
        proto, content = UDP, udp_header(_HEALTH_PORT, GUE_PORT, len(packet)) + packet
    if len(source) == 4:
        return ipv4_header(source, destination, proto, len(content), ttl=64) + content
    return ipv6_header(source, destination, proto, len(content), ttl=64) + content


_IPIP_HABITS: Final = {"outer.id": always(0)}

KATRAN: Final = Profile(
    name="katran",
    title="katran",
    modes=frozenset({"l3dsr-tunnel"}),
    too_big=lambda frame, mtu: too_big(frame, mtu=mtu),
    echo=bare_icmp.echo_reply,
    check=lambda packet, source, server, tunnel: health_check(packet, source, server, gue=tunnel.type == "gue"),
    tunnels={
        **{
            kind: Tunnel(
                Encapsulation(kind),
                pairs=frozenset({IPIP_PAIRS[kind]}),
                habits=_IPIP_HABITS,
                derived={"outer.src": outer_source},
            )
            for kind in ("ipip", "6in6", "4in6")
        },
        "gue": Tunnel(
            Encapsulation("gue", variant=1, port=GUE_PORT, checksum=True),
            pairs=frozenset({(4, 4), (4, 6), (6, 6)}),
            variants=frozenset({1}),
            habits={**_IPIP_HABITS, "outer.src": node_address},
            derived={"tunnel.srcport": gue_source_port},
            checksum=gue_checksum,
        ),
    },
)
