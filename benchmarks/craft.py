"""How fast copies of a connection are made and written, against scapy building every frame.

    python benchmarks/craft.py [connections]

The template is a TCP connection through an IPIP load balancer, at four taps: SYN to FIN, one request, a reply of three
segments. Both ways run in the same process, one after the other; the frames are the same.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from dsrkit.craft.files import write_pcapng
from dsrkit.craft.frame import Batch, Frame
from dsrkit.craft.scenario import Scenario
from dsrkit.craft.volume import Endpoints, FlowArrays, Template, stream
from dsrkit.model.spec import Spec

TAPS = ("A", "B", "C", "D")
CLIENT, VIP, DIRECTOR, SERVER = "198.51.100.10", "192.0.2.100", "192.0.2.10", "10.1.1.11"
SEGMENTS = (  # from the client?, flags, octets of payload
    (True, "S", 0),
    (False, "SA", 0),
    (True, "A", 0),
    (True, "PA", 90),
    (False, "A", 0),
    (False, "A", 1448),
    (False, "PA", 1000),
    (True, "A", 0),
    (False, "FA", 0),
    (True, "FA", 0),
    (False, "A", 0),
)


def connection(client: str = CLIENT, port: int = 40000) -> Iterator[Frame]:
    """Every frame at every tap, each built by scapy."""
    sent = {True: 1000, False: 2000}
    for number, (request, flags, size) in enumerate(SEGMENTS):
        source, target = (client, VIP) if request else (VIP, client)
        ports = {"sport": port, "dport": 80} if request else {"sport": 80, "dport": port}
        tcp = TCP(
            **ports,
            flags=flags,
            seq=sent[request],
            ack=sent[not request] if "A" in flags else 0,
            options=[("NOP", None), ("NOP", None), ("Timestamp", (77, 88 if "A" in flags else 0))],
        )
        sent[request] += size + bool({"S", "F"} & set(flags))
        for hop, tap in enumerate(("A", "B", "B", "C", "D") if request else ("D", "C", "A")):
            packet = IP(src=source, dst=target, id=100 + number, flags="DF", ttl=64 - hop) / tcp / Raw(b"x" * size)
            if request and hop >= 2:
                packet = IP(src=DIRECTOR, dst=SERVER, flags="DF", ttl=64 - hop) / packet
            data = bytes(Ether(src=f"02:00:00:00:00:0{hop}", dst=f"02:00:00:00:00:1{hop}") / packet)
            yield Frame(tap, number * 1_000_000 + hop * 100_000, data, len(data), "", "", "")


def flows(number: int) -> FlowArrays:
    rng = np.random.default_rng(7)
    return FlowArrays(
        start_ns=1_700_000_000_000_000_000 + np.arange(number) * 200_000,
        client_ip=rng.integers(0, 256, (number, 4), np.uint8),
        client_port=rng.integers(1024, 65536, number),
        key=rng.integers(0, 2**64, number, np.uint64),
    )


def write(path: Path, batches: Iterator[Batch]) -> int:
    return write_pcapng(path, Scenario("l3dsr-tunnel", "generic", TAPS, Spec(), lambda: batches))


def main(number: int) -> None:
    session = Endpoints("tcp", ((CLIENT, 40000),), ((VIP, 80),))
    template = Template(tuple(connection()), CLIENT, 40000, (session,))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "copies.pcapng")
        begin = time.perf_counter()
        frames = write(file, stream([(template, flows(number))], TAPS))
        patched = frames / (time.perf_counter() - begin)
        size = file.stat().st_size
    begin = time.perf_counter()
    built = sum(sum(1 for _ in connection(port=port)) for port in range(1024, 1034))
    scapy = built / (time.perf_counter() - begin)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"patched copies, written: {frames:>10,} frames ({size / 1e6:,.0f} MB), {patched:>12,.0f} frames/s")
    print(f"scapy, each frame built: {built:>10,} frames, not written, {scapy:>12,.0f} frames/s")
    print(f"ratio: {patched / scapy:,.0f}; most memory: {memory:,.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
