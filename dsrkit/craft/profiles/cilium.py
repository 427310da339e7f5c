"""Cilium's DSR, as its XDP program does it: an IP option, Geneve, or IPIP."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from dsrkit.craft.packets import bare_icmp
from dsrkit.craft.packets.headers import ether_type_of
from dsrkit.craft.packets.octets import DSTOPTS, ETHERNET, IPV4, TCP, Octets, Value, adjusted
from dsrkit.craft.profiles.base import (
    IPIP_PAIRS,
    Encapsulation,
    Flows,
    Ports,
    Profile,
    Tunnel,
    always,
    node_address,
    same,
)
from dsrkit.craft.profiles.hashes import U32, Words, big_endian, jhash_3words, jhash_final, jhash_mix
from dsrkit.craft.rewrite import Bindings
from dsrkit.errors import UsageError

SEEDS: Final = {4: 0xCAFE, 6: 0xEB9F}
"""Hash seeds; an agent may set its own, these are those of Cilium's tests."""
WORLD: Final = 2
"""The identity of everything outside the cluster: the VNI of packets from clients."""
_OPTION_CLASS, _OPTION_TYPE = 0x014B, 0x81
_SYN: Final = 0x02


def geneve_source_port(flows: Flows) -> Ports:
    """The UDP source port of Geneve: a hash of the client's address and port and the server's port, folded.

    Source: cilium bpf/lib/hash.h hash_from_tuple_v4 and _v6, bpf/lib/encap.h tunnel_gen_src_port_v4; checked against
    the ports in bpf/tests/scapy/kpr_dsr_pkt_defs.py.

    Shape: (flows,).
    """
    count = len(flows.client_port)
    ends = np.empty((count, 4), np.uint8)  # words of the machine, little-endian, over octets in network order
    ends[:, :2] = list(flows.backend_port.to_bytes(2, "big"))
    ends[:, 2:] = big_endian(flows.client_port)
    ports = ends.view("<u4")[:, 0].astype(U32)
    proto = np.full(count, flows.proto, U32)
    address: list[Words] = [word.astype(U32) for word in np.ascontiguousarray(flows.client).view("<u4").T]
    if len(address) == 1:
        hashed = jhash_3words(address[0], ports, proto, SEEDS[4])
    else:
        a, b, c = jhash_mix(*address[:3])
        a, b, c = jhash_mix(a + address[3], b + ports, c + proto)
        hashed = jhash_final(a + U32(SEEDS[6]), b, c)
    return (hashed >> U32(16) ^ hashed).astype(np.uint16).byteswap()


def to_backend(packet: Octets, bindings: Bindings) -> Octets:
    """The packet with the backend's address and port for the service's: what the option and Geneve carry.

    The roles ``("backend", "ip")`` and ``("backend", "port")`` hold them; without, the real server's address and the
    port that the client asked for.

    Raises: UsageError where no backend address of the packet's IP version is known.
    """
    address = bindings.roles.get(("backend", "ip"), bindings.roles.get(("real-server", "ip")))
    was = packet.get("ip.dst")
    if not isinstance(address, bytes) or not isinstance(was, bytes) or len(address) != len(was):
        raise UsageError("no backend of the packet's IP version: Cilium writes its address into the client's packet")
    after = packet.copy()
    after.set("ip.dst", address)
    port = bindings.roles.get(("backend", "port"))
    if port is not None:
        after.set("l4.dstport", port)
    after.mend("l4.checksum", packet)
    after.mend("ip.checksum", packet)
    return after


def told(packet: Octets) -> bool:
    """Whether a packet tells its server about the service: every UDP packet, of TCP the SYN alone.

    Source: cilium bpf/lib/nodeport.h dsr_set_opt4, dsr_set_ext6, encap_geneve_dsr_opt4.
    """
    if packet.inner is None or packet.inner.proto != TCP:
        return True
    flags = packet.get("tcp.flags")
    return isinstance(flags, int) and bool(flags & _SYN)


def with_option(packet: Octets, service: bytes, port: int) -> bytes:
    """The packet with address and port of the service in an IPv4 option or an IPv6 destination option.

    Source: cilium bpf/lib/dsr.h dsr_opt_v4, dsr_opt_v6; bpf/lib/nodeport.h dsr_set_opt4, dsr_set_ext6.

    Raises: UsageError where the IPv4 header has no room for 8 more octets.
    """
    data = packet.ip_packet
    if data[0] >> 4 == 4:
        if (words := data[0] & 15) > 13:
            raise UsageError("the IPv4 header has no room for the 8 octets of the DSR option")
        option = struct.pack("!BBH4s", 0x9A, 8, port, service)
        start = struct.pack("!BBH", 0x40 | words + 2, data[1], int.from_bytes(data[2:4], "big") + 8)
        total = adjusted(int.from_bytes(data[10:12], "big"), data[:4], start + option)
        return start + data[4:10] + total.to_bytes(2, "big") + data[12:20] + option + data[20:]
    option = struct.pack("!BBBB16sHH", data[6], 2, 0x1B, 20, service, port, 0)
    length = int.from_bytes(data[4:6], "big") + len(option)
    return data[:4] + struct.pack("!HB", length, DSTOPTS) + data[7:40] + option + data[40:]


def service_in(packet: Octets) -> tuple[bytes, int] | None:
    """Address and port of the service that the option of a packet tells, None without one.

    Source: cilium bpf/lib/nodeport.h nodeport_extract_dsr_v4, nodeport_extract_dsr_v6.
    """
    ip, data = packet.ip, packet.data
    if ip.version == 4:
        option = data[ip.at + 20 : ip.payload]
        return (bytes(option[4:8]), packet.word(ip.at + 22)) if option[:2] == b"\x9a\x08" else None
    option = data[ip.at + 40 : ip.payload]
    if data[ip.at + 6] == DSTOPTS and option[2:4] == b"\x1b\x14":
        return bytes(option[4:20]), int.from_bytes(option[20:22], "big")
    return None


def geneve_option(service: bytes, port: int) -> bytes:
    """Address and port of the service as an option of Geneve.

    Source: cilium bpf/tests/scapy/kpr_dsr_pkt_defs.py Geneve_DSR_Opt4, Geneve_DSR_Opt6; RFC 8926 s3.5.
    """
    content = service + struct.pack("!HH", port, 0)
    return struct.pack("!HBB", _OPTION_CLASS, _OPTION_TYPE, len(content) // 4) + content


def service_in_geneve(options: bytes) -> tuple[bytes, int] | None:
    """Address and port of the service that the options of Geneve tell, None without them."""
    if options[:3] != struct.pack("!HB", _OPTION_CLASS, _OPTION_TYPE):
        return None
    width = 4 * (options[3] & 0x1F) - 4
    return options[4 : 4 + width], int.from_bytes(options[4 + width : 6 + width], "big")


def too_big(frame: Octets, mtu: int) -> bytes:
    """The ICMP error about a packet that option or Geneve header make too long, as the whole frame to the sender.

    Only programs built with ENABLE_DSR_ICMP_ERRORS send it.

    Source: cilium bpf/lib/nodeport.h dsr_reply_icmp4, dsr_reply_icmp6.
    """
    packet = frame.ip_packet
    if packet[0] >> 4 == 4:
        identification, quoted = int.from_bytes(packet[4:6], "big"), 4 * (packet[0] & 15) + 8
        return bare_icmp.too_big(frame, mtu, quoted=quoted, tos=packet[1], identification=identification, df=1)
    word = int.from_bytes(packet[:4], "big")
    return bare_icmp.too_big(frame, mtu, quoted=40 + 64, tos=word >> 20 & 0xFF, flow=word & 0xFFFFF)


def inner_frame(before: Octets, after: Octets) -> bytes:
    """The Ethernet frame inside Geneve: as it came in, tags left out, its packet bound for the backend."""
    packet = after.ip_packet
    return bytes(before.data[: ETHERNET - 2]) + ether_type_of(packet).to_bytes(2, "big") + packet


def _outer_ttl(before: Octets, bindings: Bindings) -> Value:
    """64, less one where the client's packet was IPv4: the redirect that follows counts down by its Ethernet type."""
    return 63 if before.ether_type == IPV4 else 64


def _option_ttl(before: Octets, bindings: Bindings) -> Value:
    """One less in IPv4, untouched in IPv6.

    Source: cilium bpf/tests/scapy/kpr_dsr_pkt_defs.py, ``*_post_option_xdp``.
    """
    ttl = before.get("ip.ttl")
    assert isinstance(ttl, int)
    return ttl - (before.ether_type == IPV4)


# IPIP keeps TOS, id and fragment word of the client's header, which becomes the outer one: nodeport.h dsr_set_ipip4.
# Its source address is IPV4_RSS_PREFIX, by default a /32 of the node's own address.
_IPIP_HABITS: Final = {
    "ip.ttl": same("ip.ttl"),
    "outer.src": node_address,
    "outer.ttl": _outer_ttl,
    "outer.dsfield.dscp": same("ip.dsfield.dscp"),
    "outer.dsfield.ecn": same("ip.dsfield.ecn"),
    "outer.flags.df": same("ip.flags.df"),
    "outer.id": same("ip.id"),
}

CILIUM: Final = Profile(
    name="cilium",
    title="Cilium",
    modes=frozenset({"fullnat", "l3dsr-tunnel"}),
    too_big=too_big,
    tunnels={
        "option": Tunnel(
            Encapsulation("option"),
            pairs=frozenset({(4, 4), (6, 6)}),
            habits={"ip.ttl": _option_ttl},
        ),
        "geneve": Tunnel(
            Encapsulation("geneve", port=6081),
            habits={
                "ip.ttl": same("ip.ttl"),
                "outer.src": node_address,
                "outer.ttl": _outer_ttl,
                "outer.dsfield.dscp": always(0),
                "outer.dsfield.ecn": always(0),
                "outer.flags.df": always(0),
                "outer.id": always(0),
            },
            derived={"tunnel.srcport": geneve_source_port},
        ),
        **{
            kind: Tunnel(Encapsulation(kind), pairs=frozenset({IPIP_PAIRS[kind]}), habits=_IPIP_HABITS)
            for kind in ("ipip", "6in6")
        },
    },
)
