"""IP packets quoted in ICMP errors: cut short, so only their first octets can be read or translated."""

from __future__ import annotations

from dsrkit.craft.packets.octets import TCP, UDP, adjusted

FRAGMENT = 44


def addresses_at(packet: bytes) -> tuple[int, int]:
    """Where the source address starts, and how wide addresses are."""
    return (12, 4) if packet[0] >> 4 == 4 else (8, 16)


def transport_of(packet: bytes) -> tuple[int, int]:
    """Protocol of the transport header, and where it starts; of extension headers only a fragment's is skipped."""
    if packet[0] >> 4 == 4:
        return packet[9], 4 * (packet[0] & 15)
    return (packet[40], 48) if packet[6] == FRAGMENT and len(packet) > 48 else (packet[6], 40)


def translated(packet: bytes, src: bytes, sport: int, dst: bytes, dport: int) -> bytes:
    """A quoted packet with other addresses and ports, its checksums adjusted as far as they are in what is quoted.

    Source: net/netfilter/ipvs/ip_vs_core.c ip_vs_nat_icmp; RFC 3022 s4.3.
    """
    data = bytearray(packet)
    start, width = addresses_at(packet)
    proto, at = transport_of(packet)
    before = bytes(data[start : start + 2 * width])
    data[start : start + 2 * width] = src + dst
    ports = bytes(data[at : at + 4])
    data[at : at + 4] = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    if width == 4:
        _adjust(data, 10, before, src + dst)
    sums = {TCP: at + 16, UDP: at + 6}
    if proto in sums and sums[proto] + 2 <= len(data) and any(data[sums[proto] : sums[proto] + 2]):
        _adjust(data, sums[proto], before + ports, src + dst + bytes(data[at : at + 4]))
    return bytes(data)


def _adjust(data: bytearray, at: int, before: bytes, after: bytes) -> None:
    data[at : at + 2] = adjusted(int.from_bytes(data[at : at + 2], "big"), before, after).to_bytes(2, "big")
