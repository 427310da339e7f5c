"""A load balancer in eighty lines: L2DSR, or IPIP tunnels, over IPv4, on a raw socket.

    python balancer.py INTERFACE VIP NEXT-HOP-MAC OWN-MAC [--from OWN-IP] SERVER...

A SERVER is a MAC address (L2DSR: the packet keeps its addresses and goes to that MAC) or, with --from, an IP address
(the packet goes to it inside another one from OWN-IP, by the next hop).
"""

from __future__ import annotations

import argparse
import itertools
import socket
import struct

ETH_P_ALL = 3


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def checksum(header: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Balancer:
    """Takes frames for the VIP, gives each connection a server in turn."""

    def __init__(self, vip: str, own_mac: str, next_hop: str, servers: list[str], own_ip: str | None = None) -> None:
        self.vip = socket.inet_aton(vip)
        self.own_mac, self.next_hop = octets(own_mac), octets(next_hop)
        self.own_ip = socket.inet_aton(own_ip) if own_ip else None
        self.turns = itertools.cycle([socket.inet_aton(one) if own_ip else octets(one) for one in servers])
        self.chosen: dict[bytes, bytes] = {}

    def forward(self, frame: bytes) -> bytes | None:
        """What goes out because of a frame, if anything."""
        if frame[:6] != self.own_mac or frame[12:14] != b"\x08\x00" or frame[30:34] != self.vip:
            return None
        packet = bytearray(frame[14 : 14 + int.from_bytes(frame[16:18], "big")])  # without padding
        if packet[0] != 0x45 or packet[8] <= 1 or packet[9] not in (6, 17):
            return None
        packet[8] -= 1  # it forwards, so it takes one from the TTL
        packet[10:12] = bytes(2)
        packet[10:12] = checksum(packet[:20]).to_bytes(2, "big")
        flow = bytes(packet[9:10] + packet[12:24])
        if flow not in self.chosen:
            self.chosen[flow] = next(self.turns)
        server = self.chosen[flow]
        if self.own_ip is None:
            return server + self.own_mac + b"\x08\x00" + packet
        return self.next_hop + self.own_mac + b"\x08\x00" + self.outer(packet, server) + packet

    def outer(self, packet: bytearray, server: bytes) -> bytes:
        """RFC 2003 s3.1: the TOS octet of the inner header, a TTL of its own, DF as inside."""
        fields = [0x45, packet[1], 20 + len(packet), 0, packet[6] << 8 & 0x4000, 64, 4, 0, self.own_ip, server]
        header = struct.pack("!BBHHHBBH4s4s", *fields)
        return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]

    def serve(self, interface: str) -> None:
        """Forward what comes in by an interface, for ever."""
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        wire.bind((interface, 0))
        while True:
            if (frame := self.forward(wire.recv(65535))) is not None:
                wire.send(frame)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("interface", "vip", "next_hop", "own_mac"):
        parser.add_argument(name)
    parser.add_argument("servers", nargs="+", metavar="server")
    parser.add_argument("--from", dest="own_ip")
    given = parser.parse_args()
    Balancer(given.vip, given.own_mac, given.next_hop, given.servers, given.own_ip).serve(given.interface)
