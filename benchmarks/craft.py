"""How fast `dsrkit craft --flows N` writes every frame at every tap, against scapy building each frame.

    python benchmarks/craft.py [connections] [rounds]

All in one process and in interleaved rounds: each rewriting mode in turn, then scapy building the frames of some
connections from their fields. Prints medians, their spread, and the ratio.
"""

from __future__ import annotations

import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import scapy
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import dsrkit

MODES = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
CLIENT, VIP, DIRECTOR, SERVER = "198.51.100.10", "203.0.113.10", "203.0.113.2", "10.0.0.11"
SEGMENTS = (  # from the client?, flags, octets of payload
    (True, "S", 0),
    (False, "SA", 0),
    (True, "A", 0),
    (True, "PA", 120),
    (False, "A", 0),
    (False, "PA", 600),
    (True, "FA", 0),
    (False, "FA", 0),
    (True, "A", 0),
)


def by_scapy(connections: int) -> Iterator[bytes]:
    """The frames of connections through an IPIP load balancer at taps A to D, each built from its fields."""
    for port in range(1024, 1024 + connections):
        sent = {True: 1000, False: 2000}
        for number, (request, flags, size) in enumerate(SEGMENTS):
            source, target = (CLIENT, VIP) if request else (VIP, CLIENT)
            tcp = TCP(
                sport=port if request else 80,
                dport=80 if request else port,
                flags=flags,
                seq=sent[request],
                ack=sent[not request] if "A" in flags else 0,
                options=[("NOP", None), ("NOP", None), ("Timestamp", (77, 88 if "A" in flags else 0))],
            )
            sent[request] += size + bool({"S", "F"} & set(flags))
            for hop in range(5 if request else 3):
                packet = IP(src=source, dst=target, id=100 + number, flags="DF", ttl=64 - hop) / tcp / Raw(b"x" * size)
                if request and hop >= 2:
                    packet = IP(src=DIRECTOR, dst=SERVER, flags="DF", ttl=64 - hop) / packet
                yield bytes(Ether(src=f"02:00:00:00:00:0{hop}", dst=f"02:00:00:00:00:1{hop}") / packet)


def crafted(mode: str, connections: int, folder: str) -> tuple[int, float]:
    """Frames written, and seconds from the call to the closed file."""
    begin = time.perf_counter()
    scenario = dsrkit.craft(mode, flows=connections, rate=10_000, seed=1)
    frames = scenario.write(Path(folder, f"{mode}.pcapng"))
    return frames, time.perf_counter() - begin


def main(connections: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {mode: [] for mode in (*MODES, "scapy")}
    frames: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for mode in MODES:
                frames[mode], seconds = crafted(mode, connections, folder)
                rates[mode].append(frames[mode] / seconds)
                Path(folder, f"{mode}.pcapng").unlink()
            begin = time.perf_counter()
            frames["scapy"] = sum(1 for _ in by_scapy(20))
            rates["scapy"].append(frames["scapy"] / (time.perf_counter() - begin))
    scapy_rate = statistics.median(rates["scapy"])
    print(f"Python {platform.python_version()}, scapy {scapy.__version__}, {platform.machine()}, {rounds} rounds")
    print(f"{'':14}{'frames':>12}{'frames/s':>12}{'spread':>9}{'× scapy':>9}")
    for name, found in rates.items():
        middle = statistics.median(found)
        spread = (max(found) - min(found)) / middle
        print(f"{name:14}{frames[name]:>12,}{middle:>12,.0f}{spread:>8.0%}{middle / scapy_rate:>9,.0f}")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
