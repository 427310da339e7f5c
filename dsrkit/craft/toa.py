"""TOA: the client's address as a TCP option, for servers behind full NAT.

Source: net/toa (kernel module of LVS full NAT): option 254, 8 octets for IPv4 (port, address), 20 for IPv6, on the SYN.
"""

from __future__ import annotations

from dsrkit.craft.octets import TCP, Octets, adjusted

KIND = 254
SYN = 0x02


def added(packet: Octets, client: bytes, port: int) -> Octets:
    """The packet with the option at the end of a SYN's options; unchanged where it is no SYN or has no room.

    Raises: nothing; a header without 8 (20) free octets of option space goes out without the option, as dpvs does.
    """
    inner = packet.inner
    if inner is None or inner.proto != TCP or not inner.first or not packet.data[inner.payload + 13] & SYN:
        return packet
    option = bytes([KIND, 4 + len(client)]) + port.to_bytes(2, "big") + client
    at = inner.payload
    header = 4 * (packet.data[at + 12] >> 4)
    if header + len(option) > 60:
        return packet
    data = bytearray(packet.data)
    before = bytes(data[at : inner.end])
    data[at + header : at + header] = option
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
