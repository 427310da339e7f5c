"""ICMP as programs below the IP stack build it: turned round from the frame itself, MACs and addresses."""

from __future__ import annotations

from dsrkit.craft.packets.headers import internet_checksum, ipv4_header, ipv6_header, pseudo_header
from dsrkit.craft.packets.octets import ICMP, ICMPV6, Octets


def too_big(
    frame: Octets, mtu: int, *, quoted: int, tos: int = 0, flow: int = 0, identification: int = 0, df: int = 0
) -> bytes:
    """The ICMP error about a frame, turned round from its own addresses, as katran and Cilium send it.

    Units: `quoted` in octets of the IP packet.

    Source: RFC 1191 s4; RFC 4443 s3.2.
    """
    link, packet = bytes(frame.data[: frame.link_end]), frame.ip_packet
    four = packet[0] >> 4 == 4
    width, start = (4, 12) if four else (16, 8)
    destination, source = (packet[at : at + width] for at in (start, start + width))
    kind = b"\x03\x04" if four else b"\x02\x00"
    rest = mtu.to_bytes(4, "big") + packet[:quoted]
    size = 4 + len(rest)
    if four:
        header = ipv4_header(source, destination, ICMP, size, ttl=64, tos=tos, identification=identification, df=df)
        pseudo = b""
    else:
        header = ipv6_header(source, destination, ICMPV6, size, ttl=64, tos=tos, flow=flow)
        pseudo = pseudo_header(source, destination, size, ICMPV6)
    total = internet_checksum(pseudo + kind + b"\0\0" + rest)
    return link[6:12] + link[:6] + link[12:] + header + kind + total.to_bytes(2, "big") + rest


def echo_reply(frame: Octets) -> bytes:
    """The answer to a ping, made of the request: what is not turned round stays, but for a TTL of 64.

    Source: katran handle_icmp.h send_icmp_reply, send_icmp6_reply.
    """
    answer = frame.copy()
    data, at = answer.data, answer.ip.payload
    data[0:6], data[6:12] = data[6:12], data[0:6]
    source, destination = frame.address("ip.src"), frame.address("ip.dst")
    for field, value in (("ip.src", destination), ("ip.dst", source), ("ip.ttl", 64)):
        answer.set(field, value)
    if answer.ip.version == 4:
        answer.put(answer.ip.at + 10, 0)
        answer.put(answer.ip.at + 10, internet_checksum(bytes(data[answer.ip.at : at])))
    data[at] = 0 if answer.ip.version == 4 else 129
    pseudo = b"" if answer.ip.version == 4 else pseudo_header(destination, source, answer.ip.end - at, ICMPV6)
    answer.put(at + 2, 0)
    answer.put(at + 2, internet_checksum(pseudo + bytes(data[at : answer.ip.end])))
    return bytes(answer)
