"""The fast path counts what the judge would have counted, and leaves to it whatever is not plainly right."""

from __future__ import annotations

import gzip
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsrkit
from dsrkit.verify import batches, fastpath
from dsrkit.verify.ahead import Crew, ahead
from dsrkit.verify.batches import Piece
from dsrkit.verify.fastpath import FastPath
from dsrkit.verify.frames import AddressBook
from dsrkit.verify.judge import Judge
from dsrkit.verify.looks import SIGHTING, Looks
from dsrkit.verify.scene import Scene
from dsrkit.wire import _cython
from dsrkit.wire.capture import read
from dsrkit.wire.layout import HAS_IP, HAS_L4, RECORD

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import generate
from generate import Plan

CASES = [case for name in dsrkit.pcaps() if (case := dsrkit.pcaps(name)).taps]
IN_TEN = 10
"""Portions that a capture of the library is cut into: it is far too short for a fast path otherwise."""


class Sizes:
    """Makes short captures take the way of long ones, and knows how many journeys were counted in bulk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self.counted: list[int] = []
        finish = FastPath.finish

        def finished(path: FastPath) -> None:
            self.counted.append(int(path._memory["c_count"].sum()))
            finish(path)

        monkeypatch.setattr(FastPath, "finish", finished)

    def portions(self, rows: int) -> None:
        self._patch.setattr(batches, "BATCH_ROWS", rows)
        self._patch.setattr(fastpath, "HEAD_ROWS", rows)
        self._patch.setattr(fastpath, "PORTION_ROWS", rows)

    def whole(self) -> None:
        self.portions(1 << 30)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Sizes:
    if fastpath.compiled() is None:
        pytest.skip("the compiled join was not built")
    return Sizes(monkeypatch)


def packets(files: list[str]) -> int:
    return sum(len(window.rec) for file in files for window in read(file).windows())


def told(report: dsrkit.Report) -> dict[str, Any]:
    """What a report says, but for what is an estimate or an example: clocks, frames, counts in the words of notes."""
    said = json.loads(report.to_json())
    for tap in said["taps"]:
        del tap["clock_offset_ns"]
    for finding in said["findings"]:
        for key in ("frames", "filter", "actual", "expected", "tap", "message", "evidence"):
            finding.pop(key, None)
    for key in ("notes", "takeovers", "health_checks"):
        del said[key]
    return said


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    if type(a) is type(b) is dict:
        return [d for key in sorted(a.keys() | b.keys()) for d in differences(a.get(key), b.get(key), f"{path}.{key}")]
    if type(a) is type(b) is list and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}[{i}]")]
    return [] if a == b else [f"{path}: {a!r} is {b!r}"]


def findings(report: dsrkit.Report) -> list[tuple[str, tuple[str, ...], str]]:
    return sorted((finding.code, finding.nodes, finding.severity) for finding in report.findings)


@pytest.mark.parametrize("case", CASES[::4], ids=lambda case: case.name)
def test_findings_are_those_of_the_judge_alone(case: Any, sizes: Sizes, monkeypatch: pytest.MonkeyPatch) -> None:
    files = list(dict.fromkeys(str(tap.file) for tap in case.taps))
    sizes.portions(max(24, packets(files) // IN_TEN))
    fast = dsrkit.verify(files)
    monkeypatch.setattr(fastpath, "compiled", lambda: None)
    slow = dsrkit.verify(files)
    sizes.whole()
    whole = dsrkit.verify(files)  # a fragment or a few packets at a cut may matter, to either
    assert (fast.mode, findings(fast)) in [(one.mode, findings(one)) for one in (slow, whole)]


@pytest.mark.parametrize(
    ("mode", "tunnel", "ip"),
    [
        ("nat", None, 4),
        ("nat", None, 6),
        ("l2dsr", None, 4),
        ("l3dsr-dscp", None, 6),
        ("l3dsr-tunnel", "ipip", 4),
        ("l3dsr-tunnel", "gre", 4),
        ("l3dsr-tunnel", "gue", 6),
    ],
)
def test_healthy_traffic_is_counted_to_the_packet(
    mode: str, tunnel: str | None, ip: int, sizes: Sizes, tmp_path: Path
) -> None:
    truth = generate.generate(Plan(mode=mode, tunnel=tunnel, ip=ip, packets=4000, connection=40), tmp_path)
    files = [str(path) for path in truth.files.values()]
    sizes.whole()
    whole = dsrkit.verify(files)
    sizes.portions(1000)
    parts = dsrkit.verify(files)
    assert differences(told(whole), told(parts)) == []
    assert sum(sizes.counted) > 2000  # most of the 4000 journeys


@pytest.mark.parametrize(
    ("mode", "tunnel"), [("nat", None), ("l2dsr", None), ("l3dsr-dscp", None), ("l3dsr-tunnel", "ipip")]
)
def test_faults_among_healthy_traffic_are_found(mode: str, tunnel: str | None, sizes: Sizes, tmp_path: Path) -> None:
    truth = generate.generate(Plan(mode=mode, tunnel=tunnel, packets=6000, connection=60, faults=1), tmp_path)
    files = [str(path) for path in truth.files.values()]
    sizes.whole()
    whole = dsrkit.verify(files)
    assert whole.findings
    for jobs in (1, 2):
        sizes.portions(1500)
        parts = dsrkit.verify(files, jobs=jobs)
        assert findings(parts) == findings(whole)
        assert [(cell.cell, cell.failed) for cell in parts.cells if cell.failed] == [
            (cell.cell, cell.failed) for cell in whole.cells if cell.failed
        ]
    assert min(sizes.counted) > 2000


@pytest.mark.parametrize(("mode", "loss"), [("nat", 0.0), ("nat", 0.03), ("l3dsr-tunnel", 0.0), ("l3dsr-tunnel", 0.03)])
def test_conversations_over_udp_are_counted_as_answered(mode: str, loss: float, sizes: Sizes, tmp_path: Path) -> None:
    """What is lost of many conversations is measured by all of them, and they are no TCP connections."""
    file = tmp_path / "udp.pcapng"
    dsrkit.craft(mode, flows=2000, clients=50, rate=2000, protocol="udp", loss=loss).write(file)
    sizes.whole()
    whole = dsrkit.verify(file)
    sizes.portions(1500)
    parts = dsrkit.verify(file)
    assert sum(sizes.counted) > 2000
    assert findings(parts) == findings(whole) == []
    assert presence(parts) == presence(whole)


def test_a_syn_that_is_sent_again_later_begins_no_second_connection(sizes: Sizes, tmp_path: Path) -> None:
    file = tmp_path / "lossy.pcapng"
    dsrkit.craft("l2dsr", flows=300, clients=20, rate=2000, loss=0.02).write(file)
    sizes.whole()
    whole = dsrkit.verify(file)
    sizes.portions(1500)
    parts = dsrkit.verify(file)
    assert sum(sizes.counted) > 1000
    assert (
        [service.connections for service in parts.spread] == [service.connections for service in whole.spread] == [300]
    )
    assert presence(parts) == presence(whole)


def test_a_few_examples_do_not_teach_who_serves(tmp_path: Path) -> None:
    """One answer from a server's own address looks like a request: that is not remembered."""
    file = tmp_path / "own.pcapng"
    dsrkit.craft("l3dsr-tunnel", flows=2, protocol="udp", fault="DSR321").write(file)
    data = batches.Input(AddressBook(), [("all", str(file))], None)
    frames = data.frames(next(data.portions()).pieces)
    judge = Judge(Scene(data.book), data.taps)
    judge.orient(frames, learn=False)
    assert not len(judge._services)
    judge.orient(frames)
    assert len(judge._services)


def presence(report: dsrkit.Report) -> list[tuple[str, str, str, int, int]]:
    names = ("answered", "answered-by-vip", "flow-kept")
    return sorted(
        (cell.cell, cell.hop, cell.verdict, cell.checked, cell.failed)
        for cell in report.cells
        if cell.cell.rpartition(".")[2] in names
    )


def test_jobs_change_nothing(sizes: Sizes, tmp_path: Path) -> None:
    truth = generate.generate(Plan(mode="nat", packets=3000, connection=30, faults=1), tmp_path)
    files = [str(path) for path in truth.files.values()]
    sizes.portions(800)
    assert dsrkit.verify(files, jobs=3).to_json() == dsrkit.verify(files).to_json()


def test_less_than_one_job_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(dsrkit.UsageError, match="at least 1"):
        dsrkit.verify(tmp_path / "no.pcap", jobs=0)


def test_a_pipe_is_counted_as_a_file_is(sizes: Sizes, tmp_path: Path) -> None:
    truth = generate.generate(Plan(mode="l3dsr-tunnel", tunnel="ipip", packets=3000, connection=30), tmp_path)
    files = [str(path) for path in truth.files.values()]
    sizes.portions(800)
    from_files = dsrkit.verify(files)
    with piped(files, tmp_path) as pipes:
        from_pipes = dsrkit.verify(pipes)
    assert [(j.paired, j.unpaired) for j in from_pipes.journeys] == [
        (j.paired, j.unpaired) for j in from_files.journeys
    ]
    assert findings(from_pipes) == [] == findings(from_files)
    assert len(sizes.counted) == 2
    assert min(sizes.counted) > 1500


class piped:
    """Named pipes that a thread each writes files into."""

    def __init__(self, files: list[str], folder: Path) -> None:
        self._files, self._folder = files, folder
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> list[str]:
        pipes = []
        for i, file in enumerate(self._files):
            pipe = self._folder / f"pipe{i}"
            os.mkfifo(pipe)
            thread = threading.Thread(target=lambda a, b: b.write_bytes(a.read_bytes()), args=(Path(file), pipe))
            thread.start()
            self._threads.append(thread)
            pipes.append(str(pipe))
        return pipes

    def __exit__(self, *error: object) -> None:
        for thread in self._threads:
            thread.join()


def test_a_server_that_comes_late_is_known(sizes: Sizes, tmp_path: Path) -> None:
    """The beginning shows two servers; a third one gets connections later."""
    scenario = dsrkit.craft("nat", flows=120, real_servers=3, rate=2000, seed=3)
    file = tmp_path / "all.pcapng"
    scenario.write(file)
    sizes.whole()
    whole = dsrkit.verify(file)
    sizes.portions(60)
    parts = dsrkit.verify(file)
    assert {node.name for node in parts.nodes} == {node.name for node in whole.nodes}
    assert findings(parts) == findings(whole) == []


def test_a_takeover_is_looked_at_packet_by_packet(sizes: Sizes, monkeypatch: pytest.MonkeyPatch) -> None:
    case = dsrkit.pcaps("garp/garp-arping-U")
    files = [str(tap.file) for tap in case.taps]
    sizes.portions(packets(files) // IN_TEN)
    fast = dsrkit.verify(files)
    monkeypatch.setattr(fastpath, "compiled", lambda: None)
    assert fast.to_json() == dsrkit.verify(files).to_json()
    assert fast.takeovers
    assert sizes.counted == []


def test_flows_that_rest_are_forgotten_and_that_is_said(
    sizes: Sizes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    truth = generate.generate(Plan(mode="nat", packets=6000, connection=200), tmp_path)
    sizes.portions(300)
    monkeypatch.setattr(fastpath, "_MOST_FLOWS", 512)
    report = dsrkit.verify([str(path) for path in truth.files.values()])
    assert report.exit_code == 0
    assert sum(journey.paired for journey in report.journeys) == 6000
    assert any("rested too long to be remembered" in note for note in report.notes)


def test_more_flows_than_are_remembered_are_judged_one_by_one(
    sizes: Sizes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    truth = generate.generate(Plan(mode="nat", packets=2000, connection=10), tmp_path)
    sizes.portions(1500)
    monkeypatch.setattr(fastpath, "_MOST_FLOWS", 16)
    report = dsrkit.verify([str(path) for path in truth.files.values()])
    assert report.exit_code == 0
    assert sum(journey.paired for journey in report.journeys) == 2000


def test_nothing_is_held_of_a_stream_when_it_is_read_again(tmp_path: Path) -> None:
    case = dsrkit.pcaps("nat/ipvs-nat")
    packed = tmp_path / "packed.pcap.gz"
    packed.write_bytes(gzip.compress(Path(str(case.taps[0].file)).read_bytes()))
    data = batches.Input(AddressBook(), [("packed", packed)], None)
    first = next(data.portions(passing=True))
    data.awaited = first.pieces
    data.keep(first.pieces)
    for portion in data.portions(passing=True):
        assert data.awaited == []
        assert not any(f.kept for f in data._files)
        del portion


def interpreted() -> tuple[Any, Any]:
    return tuple(_cython.load(f"dsrkit.verify.{name}", interpreted=True)[0] for name in ("sightings", "join"))  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["l2dsr/ipvs-dr", "nat/ipvs-nat", "l3dsr-tunnel/ipvs-tun-6in6"])
def test_interpreted_join_says_the_same(name: str, sizes: Sizes, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(tap.file) for tap in dsrkit.pcaps(name).taps]
    sizes.portions(max(24, packets(files) // IN_TEN))
    compiled = dsrkit.verify(files).to_json()
    monkeypatch.setattr(fastpath, "compiled", interpreted)
    assert dsrkit.verify(files).to_json() == compiled


@settings(deadline=None, max_examples=30)
@given(data=st.binary(min_size=16, max_size=64), repeats=st.integers(1, 40), taps=st.integers(1, 256))
def test_any_row_is_entered_within_bounds(data: bytes, repeats: int, taps: int) -> None:
    """Rows of arbitrary octets: interpreted, where every index is checked, and compiled give the same entries."""
    size = RECORD.itemsize
    rows = np.frombuffer((data * (repeats * size // len(data) + 1))[: repeats * size], np.uint8).copy().view(RECORD)
    compiled = fastpath.compiled()
    assert compiled is not None
    results = [entered(modules, rows, taps) for modules in (interpreted(), compiled)]
    assert results[0] == results[1]


def entered(modules: tuple[Any, Any], rows: Any, taps: int) -> list[Any]:
    path: Any = FastPath.__new__(FastPath)
    path._looks, path._module, path._memory = Looks(modules[0], [(0, 0, 0, 6)]), modules[1], {}
    path._join = modules[1].Join()
    path._join.begin(0)
    path._allocate()
    tap = (np.arange(len(rows)) % taps).astype(np.int64)
    path._enter(Piece(rows, tap, np.arange(len(rows)), 0), 0, fresh=True)
    path._join.group()
    path._join.classify()
    path._join.settle(0, 0, 0)
    return [path._entries[: len(rows)].tolist(), path._journeys[: len(rows)]["chain"].tolist()]


def test_nothing_is_lost_when_reading_ahead_fails() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    seen: list[int] = []

    def go() -> None:
        seen.extend(ahead(broken(), Crew(1)))

    with pytest.raises(OSError, match="gone"):
        go()
    assert seen == [1, 2]


def test_reading_ahead_stops_when_nobody_asks() -> None:
    closed: list[bool] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    items = ahead(endless(), Crew(1))
    assert next(items) == 1
    items.close()
    assert closed == [True]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    workers=st.integers(1, 4),
    fails=st.integers(0, 5),
    stops=st.none() | st.integers(0, 100),
)
def test_what_is_read_ahead_comes_once_and_in_order(
    sizes: list[int], workers: int, fails: int, stops: int | None
) -> None:
    """Several iterators that are asked in turn, whoever makes their items; one may fail; asking may end early."""

    def counted(number: int, size: int) -> Iterator[int]:
        yield from range(size)
        if number == fails:
            raise OSError("gone")

    before = threading.active_count()
    crew = Crew(workers)
    sources = [ahead(counted(number, size), crew) for number, size in enumerate(sizes)]
    seen: list[list[int]] = [[] for _ in sizes]
    live = set(range(len(sizes)))
    asked = 0
    while live and (stops is None or asked < stops):
        number = min(live, key=lambda n: len(seen[n]))
        asked += 1
        try:
            seen[number].append(next(sources[number]))
        except StopIteration:
            assert number != fails
            live.remove(number)
        except OSError:
            assert number == fails
            live.remove(number)
    for source in sources:
        source.close()
    assert all(got == list(range(len(got))) for got in seen)
    if stops is None:
        assert [len(got) for got in seen] == sizes
    assert threading.active_count() == before


def test_a_packet_said_to_be_longer_than_its_tunnel_is_the_same_compiled_and_interpreted() -> None:
    """Lengths of 32 bits, as rows have them: their difference may be below what is added to keep it positive."""
    row = np.zeros(1, RECORD)
    row["has"], row["depth"], row["proto"], row["sport"] = HAS_IP | HAS_L4, 2, 17, 80
    row["src_lo"], row["dst_lo"], row["ip_len"][0, 1] = 1, 2, 1 << 20
    compiled = fastpath.compiled()
    assert compiled is not None
    seen = [Looks(module, [(0, 1, 80, 17)]).see(row, 0) for module in (interpreted()[0], compiled[0])]
    assert seen[0].view(SIGHTING)["flow"].all()
    assert (seen[0] == seen[1]).all()
