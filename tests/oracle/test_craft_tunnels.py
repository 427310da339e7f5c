"""What tshark reads in every tunnel of every profile; of GUE, which tshark 4.0 has no dissector for, both halves."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from dsrkit.craft.encapsulate import fragments, overhead, push
from dsrkit.craft.packets.octets import Octets, packed
from dsrkit.craft.profiles import PROFILES, Encapsulation
from dsrkit.craft.profiles.katran import too_big
from dsrkit.craft.rewrite import Bindings, rewritten
from dsrkit.tables import tables

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

TABLE = tables("l3dsr-tunnel").table("lb", "request")
LB = {4: packed("192.0.2.10"), 6: packed("2001:db8:b::10")}
SERVER = {4: packed("10.1.1.12"), 6: packed("2001:db8:c::12")}
CLIENT, VIP = {4: "198.51.100.10", 6: "2001:db8:a::10"}, {4: "192.0.2.100", 6: "2001:db8:b::100"}
LINK = bytes.fromhex("02aa0000000b021b0000010b")
LAYERS = {"ipip": "ip:ip", "6in6": "ipv6:ipv6", "4in6": "ipv6:ip", "6in4": "ip:ipv6"}


def framed(packet: bytes) -> bytes:
    return LINK + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def segments(version: int) -> list[Octets]:
    """A SYN, a segment of odd length and a datagram as they reach the load balancer."""
    network = (IP if version == 4 else IPv6)(src=CLIENT[version], dst=VIP[version])
    contents = (
        TCP(sport=40000, dport=80, flags="S"),
        TCP(sport=40000, dport=80, flags="PA") / Raw(b"odd"),
        UDP(sport=40001, dport=5300) / Raw(b"question"),
    )
    return [Octets(framed(bytes(network / content)), depth=1) for content in contents]


def pushed(before: Octets, encapsulation: Encapsulation, pair: tuple[int, int], profile: str) -> bytes:
    inner, outer = pair
    bindings = Bindings({("lb", "ip"): LB[outer], ("real-server", "ip"): SERVER[outer]}, next_id=lambda: 1)
    bindings = bindings.bound(backend_ip=SERVER[inner])
    habits = PROFILES[profile].habits_in(encapsulation.type)
    after = rewritten(before, TABLE, bindings, profile=profile, habits=habits)
    return push(before, after, TABLE, bindings, encapsulation, profile=profile)


def read(folder: Path, frames: Sequence[bytes]) -> list[dict[str, Any]]:
    """tshark's layers of each frame, after a check that it complains about none."""
    pcap = folder / "tunnels.pcap"
    records = (struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame for n, frame in enumerate(frames))
    pcap.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    command = ["tshark", "-n", "-r", str(pcap), "-T", "json", "-d", "udp.port==6080,data", "-d", "udp.port==19523,data"]
    command += [part for layer in ("ip", "tcp", "udp") for part in ("-o", f"{layer}.check_checksum:TRUE")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    layers = [packet["_source"]["layers"] for packet in json.loads(shown)]
    assert len(layers) == len(frames)
    for words in map(json.dumps, layers):
        assert "_ws.malformed" not in words
        assert "_ws.short" not in words
        assert '.checksum.status": "0"' not in words  # bad
        assert ".checksum.bad" not in words
    return layers


def tunnels(profile: str) -> Iterator[tuple[Encapsulation, tuple[int, int]]]:
    """Every tunnel of a profile, over every pair of IP versions, with and without a checksum."""
    for tunnel in PROFILES[profile].tunnels.values():
        sums = (False, True) if tunnel.default.type in ("gre", "gue") else (False,)
        for variant, checksum, pair in product(sorted(tunnel.variants), sums, sorted(tunnel.pairs)):
            yield replace(tunnel.default, variant=variant, checksum=checksum), pair


def layers_of(encapsulation: Encapsulation, pair: tuple[int, int]) -> str:
    inner, outer = ("ip" if version == 4 else "ipv6" for version in pair)
    named = {
        "gre": f"{outer}:gre:{inner}",
        "geneve": f"{outer}:udp:geneve:eth:ethertype:{inner}",
        "option": inner,
        "gue": f"{outer}:udp:data",
    }
    return named.get(encapsulation.type) or LAYERS[encapsulation.type]


@pytest.mark.parametrize("profile", PROFILES)
def test_tshark_finds_every_tunnel_well_formed(tmp_path: Path, profile: str) -> None:
    frames, expected = [], []
    for encapsulation, pair in tunnels(profile):
        within = "ip" if pair[0] == 4 else "ipv6"
        for before, transport in zip(segments(pair[0]), ("tcp", "tcp", "udp"), strict=True):
            packet = pushed(before, encapsulation, pair, profile)
            frames.append(framed(packet))
            hidden = encapsulation.type == "gue"
            expected.append((layers_of(encapsulation, pair), "" if hidden else f":{transport}"))
            if hidden:
                frames.append(framed(packet[overhead(encapsulation, outer_version=pair[1], profile=profile) :]))
                expected.append((within, f":{transport}"))
    for layers, (start, transport) in zip(read(tmp_path, frames), expected, strict=True):
        seen = layers["frame"]["frame.protocols"]
        assert seen.startswith(f"eth:ethertype:{start}")
        assert transport in seen


def test_tshark_puts_fragments_together_again(tmp_path: Path) -> None:
    before = Octets(framed(bytes(IP(src=CLIENT[4], dst=VIP[4]) / UDP() / Raw(bytes(4000)))), depth=1)
    packet = pushed(before, Encapsulation("ipip"), (4, 4), "ipvs")
    pieces = fragments(packet, 1500)
    assert len(pieces) == 3
    whole = read(tmp_path, [framed(piece) for piece in pieces])[-1]
    assert whole["frame"]["frame.protocols"].startswith("eth:ethertype:ip:ip:udp")


@pytest.mark.parametrize("version", [4, 6])
def test_tshark_accepts_the_icmp_error_of_katran(tmp_path: Path, version: int) -> None:
    network = (IP if version == 4 else IPv6)(src=CLIENT[version], dst=VIP[version])
    long = Octets(framed(bytes(network / UDP(sport=1, dport=80) / Raw(bytes(1600)))), depth=1)
    (layers,) = read(tmp_path, [too_big(long)])
    layer = "icmp" if version == 4 else "icmpv6"
    assert layers[layer]["icmp.mtu" if version == 4 else "icmpv6.mtu"] == "1500"
    assert layers[layer][f"{layer}.checksum.status"] == "1"
