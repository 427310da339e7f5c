"""dsrkit beside the tools that a user would take instead, in one run of interleaved rounds.

    python benchmarks/compare.py [--packets N] [--rounds N] [--full] [--json FILE] [--write]

Every run is a process of its own. CPU is the user and system time of it and of all its children, memory the largest
resident set among them. The slow tools get the beginning of the traffic only, and are compared by CPU per packet, their
start (measured on a capture of 100 packets) taken off; dsrkit's start is never taken off. Values are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from peers import tshark

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
PYTHON: Final = (sys.executable, "-P")  # never the package of the folder that this is started in
DSRKIT: Final = (*PYTHON, "-m", "dsrkit")
INTERPRETED: Final = (
    "import sys; from dsrkit.wire import _cython; load = _cython.load; "
    "_cython.load = lambda name, interpreted=False: load(name, interpreted=True); "
    "from dsrkit.cli.entry import main; main()"
)
WAITS: Final = (  # runs a program from a process that is small, since a child's peak begins with its parent's memory
    "import os, sys; process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ); "
    "_, status, used = os.wait4(process, 0); code = os.waitstatus_to_exitcode(status); "
    "sys.stderr.write(f'\\n{used.ru_utime + used.ru_stime} {used.ru_maxrss}\\n'); sys.exit(code)"
)
SCAN: Final = (
    "import sys; from dsrkit.wire import capture; "
    "print(sum(len(window.rec) for file in sys.argv[1:] for window in capture.read(file).windows()))"
)
PLANS: Final = {  # what is generated, by the name it has in the tables
    "L3DSR, IPIP": ["--mode", "l3dsr-tunnel", "--tunnel", "ipip"],
    "L3DSR, IPIP, IPv6": ["--mode", "l3dsr-tunnel", "--tunnel", "ipip", "--ip", "6"],
    "L3DSR, GRE": ["--mode", "l3dsr-tunnel", "--tunnel", "gre"],
    "L3DSR, GUE": ["--mode", "l3dsr-tunnel", "--tunnel", "gue"],
    "L3DSR, DSCP": ["--mode", "l3dsr-dscp"],
    "L2DSR": ["--mode", "l2dsr"],
    "NAT": ["--mode", "nat"],
    "NAT, IPv6": ["--mode", "nat", "--ip", "6"],
    "full NAT": ["--mode", "fullnat"],
}
MAIN: Final = "L3DSR, IPIP"
TINY: Final = 100
SHARE: Final = {"tshark": 50_000, "dpkt": 50_000, "scapy": 10_000}


@dataclass(slots=True)
class Runs:
    """One thing that is measured: what is run, on how many packets, and what each round took."""

    name: str
    argv: Sequence[str]
    packets: int
    idle: Runs | None = None  # the same on TINY packets, whose CPU is taken off
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def run(self) -> None:
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", WAITS, *self.argv],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: exit {done.returncode}: {' '.join(self.argv)}\n{done.stderr}")
        self.wall.append(time.perf_counter() - begin)
        cpu, memory = map(float, done.stderr.splitlines()[-1].split())
        self.cpu.append(cpu)
        self.memory.append(memory / 1024)

    @property
    def each_ns(self) -> float:
        """CPU per packet, by the median of the rounds."""
        start = statistics.median(self.idle.cpu) if self.idle is not None else 0.0
        count = self.packets - (self.idle.packets if self.idle is not None else 0)
        return (statistics.median(self.cpu) - start) / max(1, count) * 1e9

    @property
    def spread(self) -> float:
        """Between the least and the most CPU, of the median."""
        return (max(self.cpu) - min(self.cpu)) / statistics.median(self.cpu)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "packets": self.packets,
            "cpu_s": self.cpu,
            "wall_s": self.wall,
            "peak_rss_mb": max(self.memory),
            "cpu_ns_per_packet": self.each_ns,
            "start_s_taken_off": statistics.median(self.idle.cpu) if self.idle is not None else 0.0,
        }


def interleaved(runs: Sequence[Runs], rounds: int) -> None:
    """Every run once per round, the idle ones among them."""
    idle = [one.idle for one in runs if one.idle is not None]
    for number in range(rounds):
        for one in (*idle, *runs):
            print(f"\rround {number + 1} of {rounds}: {one.name:40}", end="", file=sys.stderr, flush=True)
            one.run()
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)


class Captures:
    """Generated captures, kept while a table is measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, plan: str, packets: int, *more: str) -> tuple[str, str]:
        """The captures before and behind the load balancer."""
        name = "-".join([plan.replace(", ", "-").replace(" ", "-").lower(), str(packets), *more])
        folder = self.folder / name
        if not folder.exists():
            print(f"\rgenerating {name:40}", end="", file=sys.stderr, flush=True)
            command = [sys.executable, str(HERE / "generate.py"), str(folder), *PLANS[plan], "--packets", str(packets)]
            subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before, behind = (str(next(folder.glob(f"{tap}.*"))) for tap in ("before", "behind"))
        for file in (before, behind):  # into the page cache, for every tool
            with open(file, "rb") as stream:
                while stream.read(1 << 22):
                    pass
        return before, behind

    def drop(self) -> None:
        """Forget all: a table with many packets needs the room."""
        for folder in self.folder.iterdir():
            shutil.rmtree(folder, ignore_errors=True)


def verify(*files: str) -> list[str]:
    return [*DSRKIT, "verify", "--quiet", *files]


def interpreted(*files: str) -> list[str]:
    return [*PYTHON, "-c", INTERPRETED, "verify", "--quiet", *files]


# --- what is measured ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Table:
    """One table of the results."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    runs: list[Runs] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "note": self.note,
            "head": self.head,
            "rows": self.rows,
            "runs": [one.to_dict() for one in self.runs],
        }


def against_peers(captures: Captures, packets: int, rounds: int) -> Table:
    """dsrkit and the others on the same traffic."""
    pair = captures.of(MAIN, packets)
    tiny = captures.of(MAIN, TINY)
    part = {tool: captures.of(MAIN, min(packets, share)) for tool, share in SHARE.items()}
    count = {tool: 2 * min(packets, share) for tool, share in SHARE.items()}

    def slow(name: str, tool: str, argv: Callable[[tuple[str, str]], Sequence[str]], files: int = 2) -> Runs:
        idle = Runs(f"{name}, start", argv(tiny), TINY * files)
        return Runs(name, argv(part[tool]), count[tool] // 2 * files, idle)

    def script(what: str) -> Callable[[tuple[str, str]], list[str]]:
        return lambda pair: [sys.executable, str(HERE / "peers.py"), what, *pair]

    runs = [
        Runs("dsrkit verify", verify(*pair), 2 * packets),
        Runs("dsrkit inspect --flows", [*DSRKIT, "inspect", "--flows", "-q", pair[1]], packets),
        Runs("dsrkit's scan alone", [*PYTHON, "-c", SCAN, *pair], 2 * packets),
        Runs("tcpdump, BPF count", ["tcpdump", "-r", pair[1], "--count", "ip proto 4"], packets),
        slow("tshark -T fields", "tshark", lambda pair: tshark(pair[1]), 1),
        slow("tshark + script, the job", "tshark", script("tshark-job")),
        slow("dpkt, decode", "dpkt", script("dpkt")),
        slow("dpkt + script, the job", "dpkt", script("dpkt-job")),
        slow("scapy, decode", "scapy", script("scapy")),
        slow("scapy + script, the job", "scapy", script("scapy-job")),
    ]
    interleaved(runs, rounds)
    table = Table(
        "Side by side",
        f"{MAIN}, {packets:,} packets per tap, {rounds} rounds. `×`: CPU per packet of the tool by that of "
        "`dsrkit verify`.",
        ("tool", "packets", "CPU per packet", "packets per CPU second", "spread", "peak memory", "×"),
        runs=runs,
    )
    for one in runs:
        ratio = one.each_ns / runs[0].each_ns
        table.rows.append((*_row(one), f"{ratio:,.2f}" if ratio < 10 else f"{ratio:,.0f}"))
    return table


def _row(one: Runs) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.packets:,}",
        f"{one.each_ns:,.0f} ns",
        f"{1e9 / one.each_ns:,.0f}",
        f"{one.spread:.0%}",
        f"{max(one.memory):.0f} MB",
    )


def over_modes(captures: Captures, packets: int, rounds: int) -> Table:
    """`dsrkit verify` on every mode."""
    runs = [Runs(plan, verify(*captures.of(plan, packets)), 2 * packets) for plan in PLANS]
    interleaved(runs, rounds)
    table = Table(
        "Every mode",
        f"`dsrkit verify`, {packets:,} packets per tap, {rounds} rounds. `×`: by {MAIN}.",
        ("mode", "packets", "CPU per packet", "packets per CPU second", "spread", "peak memory", "×"),
        runs=runs,
    )
    table.rows = [(*_row(one), f"{one.each_ns / runs[0].each_ns:.2f}") for one in runs]
    return table


def over_sizes(captures: Captures, packets: int, rounds: int) -> Table:
    """Ten times as many packets; and both jobs at once, where there are any."""
    many = captures.of(MAIN, 10 * packets)
    some = captures.of(MAIN, packets)
    runs = [Runs(f"verify, {packets:,} per tap", verify(*some), 2 * packets)]
    runs += [Runs(f"verify, {10 * packets:,} per tap", verify(*many), 20 * packets)]
    runs += [Runs("inspect --flows", [*DSRKIT, "inspect", "--flows", "-q", many[1]], 10 * packets)]
    runs += [Runs("the scan alone", [*PYTHON, "-c", SCAN, many[1]], 10 * packets)]
    if _has_jobs():
        for count, files in ((packets, some), (10 * packets, many)):
            runs += [Runs(f"verify --jobs 2, {count:,} per tap", [*verify(*files), "--jobs", "2"], 2 * count)]
    interleaved(runs, rounds)
    table = Table(
        "Scale",
        f"{MAIN}, {rounds} rounds. `×`: CPU per packet by the first row.",
        ("what", "packets", "CPU per packet", "packets per CPU second", "spread", "peak memory", "seconds", "×"),
        runs=runs,
    )
    for one in runs:
        table.rows.append((*_row(one), f"{statistics.median(one.wall):.2f}", f"{one.each_ns / runs[0].each_ns:.2f}"))
    return table


def compressed(captures: Captures, packets: int, rounds: int) -> Table:
    """Compressed input, against the decompressor alone."""
    plain = captures.of(MAIN, packets)
    runs = [Runs("plain", verify(*plain), 2 * packets)]
    for kind, ending, command in (("gz", "gz", "gzip"), ("zst", "zst", "zstd")):
        if shutil.which(command) is None:
            continue
        files = captures.of(MAIN, packets, "--compress", ending)
        runs += [Runs(f"{kind}: verify", verify(*files), 2 * packets)]
        runs += [Runs(f"{kind}: {command} -dc alone", [command, "-dc", *files], 2 * packets)]
    interleaved(runs, rounds)
    table = Table(
        "Compressed input",
        f"{MAIN}, {packets:,} packets per tap, {rounds} rounds; memory is not compared.",
        ("what", "packets", "CPU per packet", "packets per CPU second", "spread", "peak memory", "seconds"),
        runs=runs,
    )
    table.rows = [(*_row(one), f"{statistics.median(one.wall):.2f}") for one in runs]
    return table


def starting(captures: Captures, rounds: int) -> Table:
    """What a run costs before its first packet, and what the scan costs that was not compiled."""
    thousand = captures.of(MAIN, 1000)
    two = captures.of(MAIN, 2000)
    ten = captures.of(MAIN, 10_000)
    runs = [
        Runs("dsrkit --help", [*DSRKIT, "--help"], 1),
        Runs("dsrkit verify, 1,000 packets per tap", verify(*thousand), 2000),
        Runs("dsrkit verify, 10,000 packets per tap", verify(*ten), 20_000),
        Runs("the same, 2,000, scan interpreted", interpreted(*two), 4000),
        Runs("the same, 10,000, scan interpreted", interpreted(*ten), 20_000),
        Runs("tshark -T fields, 10,000 packets", tshark(ten[1]), 10_000),
    ]
    interleaved(runs, rounds)
    table = Table(
        "Start, and without the compiled module", f"{rounds} rounds.", ("what", "CPU", "spread", "peak memory")
    )
    table.runs = runs
    for one in runs:
        row = (one.name, f"{statistics.median(one.cpu):.2f} s", f"{one.spread:.0%}", f"{max(one.memory):.0f} MB")
        table.rows.append(row)
    return table


def _has_jobs() -> bool:
    said = subprocess.run([*DSRKIT, "verify", "--help"], capture_output=True, text=True, check=True).stdout
    return "--jobs" in said


# --- what is printed -------------------------------------------------------------------------------------------------


def machine() -> list[str]:
    """The machine, the versions, the day."""
    cpu = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    parts = [f"Python {platform.python_version()}"]
    for package in ("dsrkit", "numpy", "dpkt", "scapy"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} (not installed)")
    for tool in ("tshark", "tcpdump"):
        done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
        lines = [line for line in (done.stdout or done.stderr).splitlines() if tool in line.lower()]
        words = lines[0].split() if lines else [tool]
        number = next((word.strip("().,") for word in words if word[0].isdigit()), "")
        parts.append(f"{tool} {number}")
    form = subprocess.run(
        [*PYTHON, "-c", "from dsrkit.wire import scanner; print(scanner.backend())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return [
        f"- {time.strftime('%Y-%m-%d')}, {cpu}, {os.cpu_count()} CPUs, Linux {platform.release()}",
        f"- {', '.join(parts)}; dsrkit's scan is {form}",
    ]


def as_text(table: Table) -> Iterator[str]:
    widths = [max(len(row[n]) for row in (table.head, *table.rows)) for n in range(len(table.head))]
    yield f"{table.title}: {table.note}"
    for row in (table.head, *table.rows):
        yield "  " + "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
    yield ""


def as_markdown(table: Table) -> Iterator[str]:
    yield f"### {table.title}"
    yield ""
    yield table.note
    yield ""
    for row in (table.head, ("---", *["---:"] * (len(table.head) - 1)), *table.rows):
        yield "| " + " | ".join(row) + " |"
    yield ""


def write_page(tables: list[Table], notes: list[str]) -> None:
    """The tables between the comments of the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, opening, rest = text.partition("<!-- results -->\n")
    _, closing, tail = rest.partition("<!-- end of results -->")
    if not (opening and closing):
        raise SystemExit(f"{PAGE}: no place for the results")
    lines = [*notes, "", *(line for table in tables for line in as_markdown(table))]
    PAGE.write_text(head + opening + "\n" + "\n".join(lines) + "\n" + closing + tail, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=300_000, help="per tap (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="also ten times as many packets")
    parser.add_argument("--only", nargs="*", choices=("peers", "modes", "scale", "compressed", "start"))
    parser.add_argument("--folder", type=Path, help="where captures are kept (a new one, deleted at the end)")
    parser.add_argument("--json", type=Path, help="write all that was measured there")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    given = parser.parse_args()
    chosen = given.only or ["peers", "modes", *(["scale"] if given.full else []), "compressed", "start"]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        captures = Captures(Path(folder))
        tables = []
        for name in chosen:
            match name:
                case "peers":
                    table = against_peers(captures, given.packets, given.rounds)
                case "modes":
                    table = over_modes(captures, min(given.packets, 300_000), given.rounds)
                case "scale":
                    table = over_sizes(captures, given.packets, given.rounds)
                case "compressed":
                    table = compressed(captures, min(given.packets, 300_000), given.rounds)
                case _:
                    table = starting(captures, given.rounds)
            captures.drop()
            tables.append(table)
            print("\n".join(as_text(table)), flush=True)
    notes = machine()
    print("\n".join(notes))
    if given.json:
        found = {"machine": notes, "tables": [table.to_dict() for table in tables]}
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.write:
        write_page(tables, notes)


if __name__ == "__main__":
    main()
