"""What a crafted frame is, in a few words, for comments and ladders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dsrkit.craft.packets import dns
from dsrkit.craft.packets.octets import (
    ARP,
    GRE,
    ICMP,
    ICMPV6,
    IPIP,
    IPV6_IN_IP,
    TCP,
    UDP,
    IpHeader,
    Octets,
    address_text,
    mac_text,
)
from dsrkit.errors import UsageError

_FLAGS: Final = ((0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x10, "ACK"), (0x20, "URG"))
_DNS_PORT: Final = 53
_TUNNELS: Final = (IPIP, IPV6_IN_IP, GRE)
_VRRP: Final = 112
_SOLICITATION: Final = 135
_ADVERTISEMENT: Final = 136
_SOLICITED: Final = 0x40
_TARGET_LINK_ADDRESS: Final = b"\x02\x01"
_PROTOCOLS: Final = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMPV6: "ICMPv6", GRE: "GRE", _VRRP: "VRRP advertisement"}
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
    (1, 0): "no route to destination",
    (1, 1): "communication administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (2, 0): "packet too big",
    (3, 0): "time exceeded",
    (3, 1): "fragment reassembly time exceeded",
    (4, 1): "unrecognized next header",
    (128, 0): "echo request",
    (129, 0): "echo reply",
    (133, 0): "router solicitation",
    (134, 0): "router advertisement",
    (137, 0): "redirect",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a packet is, between whom, and how much it carries.

    Units: `octets` of the payload of TCP or UDP, or of the frame where nothing else is known of it.
    """

    kind: str
    endpoints: str = ""
    octets: int = 0

    def sized(self, words: str) -> str:
        """The words with the octets behind them, if there are any."""
        return f"{words}, {self.octets} octet{'s' * (self.octets > 1)}" if self.octets > 0 else words


def parsed(frame: bytes) -> Octets | None:
    """The headers of a frame, None if they make no sense."""
    try:
        return Octets(frame)
    except UsageError:
        return None


def summary(packet: Octets | None, size: int) -> Summary:
    """What a frame of so many octets is, by the innermost packet."""
    if packet is None:
        return Summary("broken frame", octets=size)
    if packet.ether_type == ARP:
        return Summary(_arp(packet))
    ip = packet.inner
    if ip is None:
        return Summary(f"EtherType 0x{packet.ether_type:04x}", octets=size)
    at = ip.payload
    ends, room = _ends(packet, ip, packet.ports), ip.end - at
    if not ip.first or (not ip.whole and ip.proto in _TUNNELS):
        return Summary("fragment", ends)
    if ip.proto == TCP and room >= 20:
        flags = packet.word(at + 12)
        words = "-".join(word for bit, word in _FLAGS if flags & bit) or "no flags"
        return Summary(words, ends, room - 4 * (flags >> 12))
    if ip.proto == UDP and room >= 8:
        message = bytes(packet.data[at + 8 : ip.end]) if _DNS_PORT in (packet.ports or ()) else b""
        return Summary(_dns(message) or "UDP", ends, room - 8)
    if ip.proto == ICMPV6 and packet.data[at] in (_SOLICITATION, _ADVERTISEMENT) and room >= 24:
        return Summary(_neighbour(packet, ip))
    if ip.proto in (ICMP, ICMPV6) and room >= 4:
        names = _ICMP if ip.proto == ICMP else _ICMPV6
        kind, code = packet.data[at : at + 2]
        return Summary(f"{_PROTOCOLS[ip.proto]} {names.get((kind, code), f'type {kind} code {code}')}", ends)
    return Summary(_PROTOCOLS.get(ip.proto, f"IP protocol {ip.proto}"), ends)


def describe(frame: bytes) -> str:
    """The summary of a frame on one line, and the addresses of the header around the packet, if there is one."""
    packet = parsed(frame)
    found = summary(packet, len(frame))
    words = found.sized(f"{found.kind} {found.endpoints}".rstrip())
    if packet is not None and len(packet.networks) > 1:
        outer = packet.networks[0]
        kind = {GRE: "GRE ", UDP: "UDP tunnel "}.get(outer.proto, "")
        words += f" in {kind}{_ends(packet, outer)}"
    return words


def _ends(packet: Octets, ip: IpHeader, ports: tuple[int, int] | None = None) -> str:
    width, start = (4, ip.at + 12) if ip.version == 4 else (16, ip.at + 8)
    ends = [address_text(bytes(packet.data[at : at + width])) for at in (start, start + width)]
    if ports is not None:
        shown = ends if ip.version == 4 else [f"[{end}]" for end in ends]
        ends = [f"{end}:{port}" for end, port in zip(shown, ports, strict=True)]
    return " > ".join(ends)


def _dns(message: bytes) -> str:
    """Question or answer, empty if the octets are no DNS message."""
    try:
        said = dns.parse(message)
    except UsageError:
        return ""
    if not message[2] & 0x80:
        return f"DNS query {said.name} {said.type}"
    count = len(said.answers)
    return f"DNS response {said.name} {said.type}, {count} answer{'s' * (count != 1)}"


def _arp(packet: Octets) -> str:
    """Question, answer or announcement (RFC 826; sender and target address equal: RFC 5227 s1.1)."""
    at = packet.link_end
    if len(packet.data) < at + 28:
        return "broken ARP"
    sender, spa, tpa = (bytes(packet.data[at + a : at + b]) for a, b in ((8, 14), (14, 18), (24, 28)))
    own, mac = address_text(spa), mac_text(sender)
    reply = packet.word(at + 6) == 2
    if spa == tpa:
        return f"gratuitous ARP {'reply' if reply else 'request'}: {own} is at {mac}"
    return f"ARP reply: {own} is at {mac}" if reply else f"ARP: who has {address_text(tpa)}? tell {own}"


def _neighbour(packet: Octets, ip: IpHeader) -> str:
    """Question or answer of neighbour discovery, in the words of ARP (RFC 4861 s4.3, s4.4)."""
    at = ip.payload
    source = bytes(packet.data[ip.at + 8 : ip.at + 24])
    target = address_text(bytes(packet.data[at + 8 : at + 24]))
    if packet.data[at] == _SOLICITATION:
        return f"neighbour solicitation: who has {target}?" + (f" tell {address_text(source)}" if any(source) else "")
    option = bytes(packet.data[at + 24 : min(at + 32, ip.end)])
    place = f" is at {mac_text(option[2:])}" if option[:2] == _TARGET_LINK_ADDRESS and len(option) == 8 else ""
    kind = "neighbour" if packet.data[at + 4] & _SOLICITED else "unsolicited neighbour"
    return f"{kind} advertisement: {target}{place}"
