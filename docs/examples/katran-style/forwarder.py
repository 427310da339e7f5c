"""A data plane in miniature, after katran: what comes in by the router's port goes to a server inside IPIP."""

import socket
import struct

ROUTER = bytes.fromhex("020000000001")
SERVICES = {  # (VIP, protocol, port) -> server
    ("203.0.113.10", 17, 53): "10.1.0.11",
    ("203.0.113.10", 6, 443): "10.1.0.11",
    ("2001:db8:113::10", 6, 443): "fd01::11",
}


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def process(frame):
    """Verdict and frame, as an XDP program has them."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        client, vip, protocol = packet[12:16], packet[16:20], packet[9]
        start, size = 20, int.from_bytes(packet[2:4], "big")
        if vip not in {socket.inet_aton(one) for one, _, _ in SERVICES if "." in one}:
            return "PASS", frame
        if packet[0] != 0x45 or int.from_bytes(packet[6:8], "big") & 0x3FFF:
            return "DROP", b""  # IP options, and fragments: no ports to go by
    elif kind == b"\x86\xdd":
        client, vip, protocol = packet[8:24], packet[24:40], packet[6]
        start, size = 40, 40 + int.from_bytes(packet[4:6], "big")
    else:
        return "PASS", frame
    port, to_port = packet[start : start + 2], int.from_bytes(packet[start + 2 : start + 4], "big")
    family = socket.AF_INET if len(vip) == 4 else socket.AF_INET6
    server = SERVICES.get((socket.inet_ntop(family, vip), protocol, to_port))
    if server is None:
        return "PASS", frame
    outer = encapsulated(packet[:size], client, port, socket.inet_pton(family, server))
    return "TX", ROUTER + frame[:6] + kind + outer


def encapsulated(packet, client, port, server):
    """The outer source tells flows apart, so that a server's queues are used alike."""
    if len(server) == 4:
        folded = bytes(a ^ b for a, b in zip(port[::-1], client[2:4], strict=True))
        fields = [0x45, packet[1], 20 + len(packet), 0, 0, 64, 4, 0, b"\xac\x10" + folded, server]
        header = struct.pack("!BBHHHBBH4s4s", *fields)
        return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + packet
    folded = bytes(a ^ b for a, b in zip(client[12:14], port, strict=True)) + client[14:]
    traffic_class = struct.unpack("!I", packet[:4])[0] & 0x0FF00000
    header = struct.pack("!IHBB", 0x60000000 | traffic_class, len(packet), 41, 64)
    return header + b"\x01" + bytes(11) + folded + server + packet
