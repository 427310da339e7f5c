"""Large captures of a load balancer at work, before and behind it, with faults at known frames.

    python benchmarks/generate.py OUT_DIRECTORY --mode l3dsr-tunnel --tunnel ipip --packets 1000000 --faults 3

Writes one file per tap and `truth.json`: what was generated, and for every fault what was changed at which tap, and
the frames of that packet at all taps. `generate()` does the same from Python. Every header and every checksum of a
frame without fault is what the mode's rewrite table promises; addresses, lengths of connections and payloads are drawn
from a seed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from damage import Damage, damages_for
from hops import Framing, Octets, Packets, Passage, passages_of
from traffic import Connections, Ints, Payloads, Scripts, connections_for, lengths_of, scripts_of

EPOCH_NS: Final = 1_700_000_000 * 10**9
JITTER_NS: Final = 25_000  # less than a step of the path and than the least gap in a connection: nothing is reordered
BLOCK: Final = 60_000
MODES: Final = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
TUNNELS: Final = ("ipip", "gre", "gue")
ENDINGS: Final = {"gz": ".gz", "zst": ".zst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to generate.  Units: `rate` packets per second and tap, `connection` packets on the mean, both ways."""

    mode: str = "l3dsr-tunnel"
    ip: int = 4
    tunnel: str | None = None
    packets: int = 100_000
    connection: int = 100
    sizes: str = "mixed"
    rate: int = 30_000
    servers: int = 8
    taps: str = "pair"
    pcapng: bool = False
    compress: str | None = None
    faults: int = 0
    kinds: tuple[str, ...] = ()
    seed: int = 1


@dataclass(slots=True)
class Truth:
    """What was generated: files, packets and octets per tap, and the faults."""

    plan: Plan
    files: dict[str, Path]
    packets: dict[str, int] = field(default_factory=dict)
    octets: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    faults: list[Damage] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        plan = {name: getattr(self.plan, name) for name in self.plan.__slots__}
        return {
            **plan,
            "connections": self.connections,
            "taps": {
                tap: {"file": path.name, "packets": self.packets[tap], "octets": self.octets[tap]}
                for tap, path in self.files.items()
            },
            "faults": [damage.to_dict() for damage in self.faults],
        }


def generate(plan: Plan, folder: Path) -> Truth:
    """Write the captures of a plan and their `truth.json` into a folder."""
    random = np.random.default_rng(plan.seed)
    tunnel = (plan.tunnel or "ipip") if plan.mode == "l3dsr-tunnel" else None
    passages = passages_of(plan.mode, ip=plan.ip, tunnel=tunnel, servers=plan.servers, taps=plan.taps)
    requests = not any(passage.request is False for passage in passages)
    stamps = plan.sizes != "small"
    deepest = max(passage.headers.tcp for passage in passages) - 14
    plain = 20 if plan.ip == 4 else 40
    mss = (1500 - plain - 20, 1500 - deepest - 20)
    full = mss[1] - (12 if stamps else 0)
    payloads = Payloads.of(plan.sizes, full, 14 + plain + 20 + (12 if stamps else 0))
    lengths = lengths_of(plan.connection, random, requests=requests)
    scripts = scripts_of(lengths, payloads, random, requests=requests)
    connections, rest = connections_for(
        plan.packets,
        scripts,
        rate=plan.rate,
        servers=plan.servers,
        version=plan.ip,
        epoch_ns=EPOCH_NS,
        random=random,
    )
    scripts = scripts_of([*lengths, rest], payloads, np.random.default_rng(plan.seed + 1), requests=requests)
    folder.mkdir(parents=True, exist_ok=True)
    ending = (".pcapng" if plan.pcapng else ".pcap") + ENDINGS.get(plan.compress or "", "")
    taps = list(dict.fromkeys(passage.tap for passage in passages))
    truth = Truth(plan, {tap: folder / f"{tap}{ending}" for tap in taps}, connections=len(connections))
    truth.faults = damages_for(plan, passages, scripts, connections, random)
    packets = Packets(connections, scripts, mss, stamps)
    with ExitStack() as stack:
        writers = {
            tap: Tap(tap, [p for p in passages if p.tap == tap], packets, Framing(plan.pcapng), truth.faults)
            for tap in taps
        }
        files = {tap: stack.enter_context(_opened(path, plan.compress)) for tap, path in truth.files.items()}
        for tap, writer in writers.items():
            files[tap].write(writer.framing.head())
        for flow, row, until in _blocks(connections, scripts):
            for tap, writer in writers.items():
                files[tap].write(writer.block(flow, row, until).data)
    for tap, writer in writers.items():
        truth.packets[tap], truth.octets[tap] = writer.packets, writer.octets
    (folder / "truth.json").write_text(json.dumps(truth.to_dict(), indent=1, default=str) + "\n", encoding="utf-8")
    return truth


def _opened(path: Path, compress: str | None) -> IO[bytes]:
    if compress == "gz":
        return gzip.open(path, "wb", compresslevel=1)  # type: ignore[return-value]
    if compress == "zst":
        import zstandard

        return zstandard.open(path, "wb")  # type: ignore[no-any-return]
    return path.open("wb")


def _blocks(connections: Connections, scripts: Scripts) -> Iterator[tuple[Ints, Ints, int]]:
    """Packets of some connections at a time: connection, row of its script, and when the next connections begin."""
    count = scripts.length[connections.script]
    ends = count.cumsum()
    begin = 0
    while begin < len(connections):
        end = max(begin + 1, int(np.searchsorted(ends, (ends[begin - 1] if begin else 0) + BLOCK)))
        these = slice(begin, end)
        flow = np.repeat(np.arange(begin, min(end, len(connections))), count[these])
        first = ends[these] - count[these]
        row = np.arange(int(ends[begin] - count[begin]), int(first[-1] + count[these][-1])) - np.repeat(
            first - scripts.start[connections.script[these]], count[these]
        )
        until = int(connections.start_ns[end]) if end < len(connections) else np.iinfo(np.int64).max
        yield flow, row, until
        begin = end


class Tap:
    """One file in the making: packets that have passed are written, those that are yet to pass wait."""

    def __init__(
        self, name: str, passages: list[Passage], packets: Packets, framing: Framing, damages: list[Damage]
    ) -> None:
        self.name, self.passages, self.of, self.framing = name, passages, packets, framing
        self.damages = {(damage.flow, damage.row): damage for damage in damages}
        self.packets = self.octets = 0
        self.waiting = [np.zeros(0, np.int64) for _ in range(4)]

    def block(self, flow: Ints, row: Ints, until: int) -> Octets:
        """The records that come before a time, of those that waited and of new packets."""
        parts = [self.waiting]
        scripts, connections = self.of.scripts, self.of.of
        sent = connections.start_ns[flow] + scripts.at_ns[row]
        for number, passage in enumerate(self.passages):
            mine = np.flatnonzero(scripts.request[row] == passage.request)
            when = sent[mine] + passage.late_ns + _jitter(flow[mine], row[mine], passage)
            parts.append([flow[mine], row[mine], np.full(len(mine), number), when])
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.argsort(columns[3], kind="stable")
        now = int(np.searchsorted(columns[3][order], until))
        self.waiting = [column[order[now:]] for column in columns]
        return self.records(*self.marked([column[order[:now]] for column in columns]))

    def marked(self, columns: list[Ints]) -> tuple[Ints, Ints, Ints, Ints, list[tuple[int, Damage]]]:
        """The packets without those that are lost here and with those that come twice; and which ones are damaged."""
        flow, row, passage, when = columns
        suspects = np.flatnonzero(np.isin(flow, [key[0] for key in self.damages]))
        times = np.ones(len(flow), np.int64)
        damaged: list[tuple[int, Damage]] = []
        for place in suspects.tolist():
            damage = self.damages.get((int(flow[place]), int(row[place])))
            if damage is not None:
                damaged.append((place, damage))
                if damage.hits(self.passages[int(passage[place])]):
                    times[place] = damage.kind.copies
        if (times != 1).any():
            new = times.cumsum() - times
            flow, row, passage, when = (np.repeat(column, times) for column in (flow, row, passage, when))
            damaged = [(int(new[place]) + n, damage) for place, damage in damaged for n in range(int(times[place]))]
        return flow, row, passage, when, damaged

    def records(self, flow: Ints, row: Ints, passage: Ints, when: Ints, damaged: list[tuple[int, Damage]]) -> Octets:
        """Records in this order, packets of one shape built together."""
        scripts = self.of.scripts
        shape = passage << 40 | scripts.flags[row] << 20 | scripts.size[row]
        lengths = np.zeros(len(flow), np.int64)
        groups = []
        order = np.argsort(shape, kind="stable")
        edges = np.flatnonzero(np.diff(shape[order], prepend=-1, append=-1))
        for begin, end in pairwise(edges):
            rows = np.sort(order[begin:end])
            one = self.passages[int(passage[rows[0]])]
            built, before = one.rows(self.of.some(flow[rows], row[rows], when[rows]), framing=self.framing)
            lengths[rows] = built.shape[1]
            groups.append((rows, built, one))
        offsets = lengths.cumsum() - lengths
        out = np.empty(int(lengths.sum()), np.uint8)
        for rows, built, _ in groups:
            windows = np.lib.stride_tricks.sliding_window_view(out, built.shape[1], writeable=True)
            windows[offsets[rows]] = built
        before = self.framing.before
        for place, damage in damaged:
            damage.frames.setdefault(self.name, []).append(self.packets + place + 1)
            at = int(offsets[place]) + before
            octets = int.from_bytes(out[at - 4 : at].tobytes(), "little")
            frame = out[at : at + octets]
            frame[:] = np.frombuffer(damage.applied(frame.tobytes(), self.passages[int(passage[place])]), np.uint8)
        self.packets += len(flow)
        self.octets += len(out)
        return out


def _jitter(flow: Ints, row: Ints, passage: Passage) -> Ints:
    return (flow * 2654435761 + row * 40503 + passage.late_ns * 7919 >> 7) % JITTER_NS


def main() -> None:
    usual = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mode", choices=MODES, default=usual.mode)
    parser.add_argument("--ip", type=int, choices=(4, 6), default=usual.ip)
    parser.add_argument("--tunnel", choices=TUNNELS, help="of l3dsr-tunnel (ipip)")
    parser.add_argument("--packets", type=int, default=usual.packets, help="per tap (%(default)s)")
    parser.add_argument("--connection", type=int, default=usual.connection, help="packets of one (%(default)s; from 9)")
    parser.add_argument(
        "--sizes", choices=("mixed", "small", "full"), default=usual.sizes, help="421, 64 or 1500 octets"
    )
    parser.add_argument("--rate", type=int, default=usual.rate, help="packets per second and tap (%(default)s)")
    parser.add_argument("--servers", type=int, default=usual.servers)
    parser.add_argument("--taps", choices=("pair", "all"), default=usual.taps)
    parser.add_argument("--pcapng", action="store_true")
    parser.add_argument("--compress", choices=tuple(ENDINGS))
    parser.add_argument("--faults", type=int, default=0, metavar="N", help="so many of every kind")
    parser.add_argument("--kinds", nargs="*", default=(), help="only these kinds of faults")
    parser.add_argument("--seed", type=int, default=usual.seed)
    given = vars(parser.parse_args())
    folder = given.pop("folder")
    begin = time.process_time()
    truth = generate(Plan(**{**given, "kinds": tuple(given["kinds"])}), folder)
    seconds = time.process_time() - begin
    for tap, path in truth.files.items():
        mean = truth.octets[tap] / max(1, truth.packets[tap]) - Framing(truth.plan.pcapng).before
        print(f"{path}: {truth.packets[tap]:,} packets of {mean:.0f} octets on the mean")
    print(f"{truth.connections:,} connections, {len(truth.faults)} faults, {seconds:.1f} s CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
