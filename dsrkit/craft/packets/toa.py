"""TOA: the client's address as a TCP option, for servers behind full NAT.

Source: dpvs, src/ipvs/ip_vs_proto_tcp.c (tcp_in_add_toa, tcp_fnat_in_handler): option 254, 8 octets for IPv4 (port,
address), 20 for IPv6, right behind the fixed header; on the SYN (up to dpvs 1.9.6) and on what the client sends before
it has data of the server.
"""

from __future__ import annotations

from dsrkit.craft.packets.octets import TCP, Octets, adjusted

KIND = 254
SYN, RST, ACK = 0x02, 0x04, 0x10


def belongs(packet: Octets, first_ack: int) -> bool:
    """Whether a client's packet is one that carries the option: `first_ack` acknowledges the server's SYN alone."""
    inner = packet.inner
    if inner is None or inner.proto != TCP or not inner.first:
        return False
    flags = packet.number("tcp.flags")
    return bool(flags & SYN) or (not flags & RST and packet.number("tcp.ack") == first_ack)


def after_syn(packet: Octets) -> int:
    """What acknowledges a server's SYN; -1 for any other packet."""
    inner = packet.inner
    if inner is None or inner.proto != TCP or packet.number("tcp.flags") & (SYN | ACK) != SYN | ACK:
        return -1
    return (packet.number("tcp.seq") + 1) & 0xFFFFFFFF


def added(packet: Octets, client: bytes, port: int, *, mtu: int) -> Octets:
    """The packet with the option before its others; unchanged where the header or the link has no room for it."""
    inner = packet.ip
    option = bytes([KIND, 4 + len(client)]) + port.to_bytes(2, "big") + client
    at = inner.payload
    header = 4 * (packet.data[at + 12] >> 4)
    if header + len(option) > 60 or inner.end - inner.at + len(option) > mtu:
        return packet
    data = bytearray(packet.data)
    before = bytes(data[at : inner.end])
    data[at + 20 : at + 20] = option
    data[at + 12] = (header + len(option)) // 4 << 4 | data[at + 12] & 0x0F
    end = inner.end + len(option)
    pseudo_before, pseudo_after = len(before).to_bytes(2, "big"), (len(before) + len(option)).to_bytes(2, "big")
    old = int.from_bytes(before[16:18], "big")
    new = adjusted(
        old,
        pseudo_before + before[:16] + before[18:],
        pseudo_after + bytes(data[at : at + 16]) + bytes(data[at + 18 : end]),
    )
    data[at + 16 : at + 18] = new.to_bytes(2, "big")
    if inner.version == 4:
        length = (end - inner.at).to_bytes(2, "big")
        total = int.from_bytes(data[inner.at + 10 : inner.at + 12], "big")
        total = adjusted(total, bytes(data[inner.at + 2 : inner.at + 4]), length)
        data[inner.at + 2 : inner.at + 4] = length
        data[inner.at + 10 : inner.at + 12] = total.to_bytes(2, "big")
    else:
        data[inner.at + 4 : inner.at + 6] = (end - inner.at - 40).to_bytes(2, "big")
    return Octets(data, tunnel_ports=packet.tunnel_ports, depth=packet.depth)
