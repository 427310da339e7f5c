"""The same work with other tools, as a user would write it: `python benchmarks/peers.py WHAT FILE [FILE]`.

`dpkt`, `scapy`: decode every packet and look at its innermost addresses, TTL and flags. `dpkt-job`, `scapy-job`,
`tshark-job`: decode two taps, check the checksums of each packet, pair the packets of both taps, compare every pair
field by field, and count what has no partner.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

Packet = tuple[tuple[Any, ...], tuple[Any, ...], bool]
"""What identifies a packet at both taps; what must be the same or fall by one; whether its checksums are right."""

FIELDS = (
    "frame.number",
    "eth.src",
    "eth.dst",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.id",
    "ip.dsfield",
    "ip.flags",
    "ip.proto",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.len",
    "tcp.window_size_value",
    "tcp.checksum",
)
STATUS = ("ip.checksum.status", "tcp.checksum.status")


def tshark(file: str, fields: tuple[str, ...] = (), *, check: bool = False) -> list[str]:
    """A command that prints the fields of every packet; `check`: validates checksums, which it does not by default."""
    command = ["tshark", "-n", "-r", file, "-T", "fields"]
    if check:
        command += ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    for name in (*FIELDS, *fields):
        command += ["-e", name]
    return command


def by_tshark(file: str) -> Iterator[Packet]:
    with subprocess.Popen(tshark(file, STATUS, check=True), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            f = dict(zip((*FIELDS, *STATUS), line.rstrip("\n").split("\t"), strict=False))
            inner = {name: value.rpartition(",")[2] for name, value in f.items()}
            key = tuple(
                inner[n]
                for n in ("tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len", "ip.id")
            )
            same = (int(inner["ip.ttl"] or inner["ipv6.hlim"]), inner["tcp.window_size_value"])
            yield key, same, all(s == "1" for s in (f[STATUS[0]] + "," + f[STATUS[1]]).split(",") if s)


def _sum_is_zero(octets: bytes) -> bool:
    import dpkt

    return bool(dpkt.in_cksum(octets) == 0)


def by_dpkt(file: str, *, check: bool = True) -> Iterator[Packet]:
    import dpkt

    with open(file, "rb") as stream:
        for _, octets in dpkt.pcap.Reader(stream):
            ip, right, at = dpkt.ethernet.Ethernet(octets).data, True, 14
            while True:
                if check and isinstance(ip, dpkt.ip.IP):
                    right = right and _sum_is_zero(octets[at : at + 4 * ip.hl])
                inner = ip.data
                if isinstance(inner, dpkt.gre.GRE):
                    inner = inner.data
                    at += 4
                elif isinstance(inner, dpkt.udp.UDP) and inner.dport == 6080:
                    kind = dpkt.ip.IP if inner.data[1] == 4 else dpkt.ip6.IP6
                    inner = kind(inner.data[4:])
                    at += 12
                at += 4 * ip.hl if isinstance(ip, dpkt.ip.IP) else 40
                if isinstance(inner, dpkt.tcp.TCP):
                    break
                ip = inner
            payload = inner.data
            segment = octets[at:]
            if check:
                pseudo = ip.src + ip.dst + len(segment).to_bytes(4, "big") + b"\0\0\0\x06"
                right = right and _sum_is_zero(pseudo + segment)
            ttl = ip.ttl if isinstance(ip, dpkt.ip.IP) else ip.hlim
            ident = ip.id if isinstance(ip, dpkt.ip.IP) else 0
            key = (inner.sport, inner.dport, inner.seq, inner.ack, inner.flags, len(payload), ident)
            yield key, (ttl, inner.win, zlib.crc32(payload) if check else 0), right


def by_scapy(file: str, *, check: bool = True) -> Iterator[Packet]:
    from scapy.layers.inet import IP, TCP, UDP, in4_chksum
    from scapy.layers.inet6 import IPv6, in6_chksum
    from scapy.layers.l2 import GRE, Ether  # noqa: F401 (Ether: what the reader decodes with)
    from scapy.utils import RawPcapReader, checksum

    for octets, _ in RawPcapReader(file):
        packet: Any = Ether(octets)
        right = True
        if UDP in packet and packet[UDP].dport == 6080:
            inner = bytes(packet[UDP].payload)
            packet = IP(inner[4:]) if inner[1] == 4 else IPv6(inner[4:])
        tcp = packet[TCP]
        ip = tcp.underlayer
        if check:
            layer: Any = packet
            while layer is not None and layer is not tcp:
                if isinstance(layer, IP):
                    right = right and checksum(bytes(layer.original)[: 4 * layer.ihl]) == 0
                layer = layer.payload
            segment = tcp.original
            total = (in4_chksum if isinstance(ip, IP) else in6_chksum)(6, ip, segment)
            right = right and total == 0
        ttl, ident = (ip.ttl, ip.id) if isinstance(ip, IP) else (ip.hlim, 0)
        payload = bytes(tcp.payload)
        key = (tcp.sport, tcp.dport, tcp.seq, tcp.ack, int(tcp.flags), len(payload), ident)
        yield key, (ttl, tcp.window, zlib.crc32(payload) if check else 0), right


def job(read: Callable[[str], Iterator[Packet]], before: str, behind: str) -> str:
    waiting = {}
    bad = paired = different = 0
    for key, same, right in read(before):
        waiting[key] = same
        bad += not right
    late: dict[tuple[Any, ...], int] = {}
    for key, same, right in read(behind):
        bad += not right
        partner = waiting.pop(key, None)
        if partner is None:
            late[key] = 1
            continue
        paired += 1
        different += abs(partner[0] - same[0]) != 1 or partner[1:] != same[1:]
    return f"{paired} paired, {different} different, {len(waiting) + len(late)} alone, {bad} with a wrong checksum"


def main() -> None:
    what, *files = sys.argv[1:]
    match what:
        case "dpkt":
            print(sum(1 for file in files for _ in by_dpkt(file, check=False)))
        case "scapy":
            print(sum(1 for file in files for _ in by_scapy(file, check=False)))
        case "dpkt-job":
            print(job(by_dpkt, *files))
        case "scapy-job":
            print(job(by_scapy, *files))
        case "tshark-job":
            print(job(by_tshark, *files))
        case _:
            sys.exit(f"no such work: {what}")


if __name__ == "__main__":
    main()
