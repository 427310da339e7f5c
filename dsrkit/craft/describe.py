"""One line about a crafted frame, for comments and ladders."""

from __future__ import annotations

from typing import Final

from dsrkit.craft.octets import ARP, GRE, ICMP, ICMPV6, TCP, UDP, Network, Octets, address_text, mac_text
from dsrkit.errors import UsageError

_FLAGS: Final = ((0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x10, "ACK"))
_ICMP: Final = {
    (0, 0): "echo reply",
    (8, 0): "echo request",
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "communication administratively prohibited",
    (5, 1): "redirect",
    (11, 0): "time exceeded",
    (11, 1): "fragment reassembly time exceeded",
}
_ICMPV6: Final = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    4: "parameter problem",
    128: "echo request",
    129: "echo reply",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    137: "redirect",
}


def describe(frame: bytes) -> str:
    """What a frame is, in a few words: addresses of the innermost packet, and the header around it."""
    try:
        packet = Octets(frame)
    except UsageError:
        return f"{len(frame)} octets"
    if packet.ether_type == ARP:
        return _arp(packet)
    inner = packet.inner
    if inner is None:
        return f"EtherType 0x{packet.ether_type:04x}, {len(frame)} octets"
    words = _transport(packet, inner)
    if len(packet.networks) > 1:
        outer = packet.networks[0]
        kind = {GRE: "GRE ", UDP: "UDP tunnel "}.get(outer.proto, "")
        words += f" in {kind}{_ends(packet, outer)}"
    return words


def _ends(packet: Octets, ip: Network) -> str:
    width, start = (4, ip.at + 12) if ip.version == 4 else (16, ip.at + 8)
    source, target = (address_text(bytes(packet.data[at : at + width])) for at in (start, start + width))
    return f"{source} > {target}"


def _transport(packet: Octets, ip: Network) -> str:
    data, at = packet.data, ip.payload
    if not ip.first:
        return f"fragment {_ends(packet, ip)}"
    ports = packet.ports
    if ports is not None:
        source, target = _ends(packet, ip).split(" > ")
        shown = [f"[{one}]" if ":" in one else one for one in (source, target)]
        ends = f"{shown[0]}:{ports[0]} > {shown[1]}:{ports[1]}"
        if ip.proto == UDP or at + 20 > ip.end:
            return f"UDP {ends}, {ip.end - at - 8} octets"
        flags = packet.word(at + 12)
        octets = ip.end - at - 4 * (flags >> 12)
        names = "-".join(name for bit, name in _FLAGS if flags & bit and (bit != 0x10 or flags & 0x17 == 0x12)) or "ACK"
        return f"{names} {ends}" + (f", {octets} octets" if octets else "")
    if ip.proto == ICMP and at + 8 <= ip.end:
        name = _ICMP.get((data[at], data[at + 1]), f"type {data[at]} code {data[at + 1]}")
        return f"ICMP {name} {_ends(packet, ip)}"
    if ip.proto == ICMPV6 and at + 4 <= ip.end:
        return f"ICMPv6 {_ICMPV6.get(data[at], f'type {data[at]}')} {_ends(packet, ip)}"
    name = {TCP: "TCP", UDP: "UDP", GRE: "GRE", 112: "VRRP advertisement"}.get(ip.proto, f"protocol {ip.proto}")
    return f"{name} {_ends(packet, ip)}"


def _arp(packet: Octets) -> str:
    at = packet.link_end
    if len(packet.data) < at + 28:
        return "ARP, cut short"
    sender, spa, tpa = (bytes(packet.data[at + a : at + b]) for a, b in ((8, 14), (14, 18), (24, 28)))
    request = packet.word(at + 6) == 1
    if spa == tpa:
        return f"gratuitous ARP {'request' if request else 'reply'}: {address_text(spa)} is at {mac_text(sender)}"
    if request:
        return f"ARP who has {address_text(tpa)}? tell {address_text(spa)}"
    return f"ARP {address_text(spa)} is at {mac_text(sender)}"
