"""Verification in slices: the same packets counted once, wherever the slices are judged and whatever is lost."""

from __future__ import annotations

import dataclasses
import gzip
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import needs
import numpy as np
import pytest

import dsrkit
from dsrkit.cluster import executors, plan
from dsrkit.cluster.executors import Cluster, Executor, Here, Lost, Processes
from dsrkit.cluster.files import FILE_SHIFT, Parts, index_of
from dsrkit.cluster.slices import EARLY, LATE, MARGIN_NS, Slice, SliceInput, TapFiles, cut
from dsrkit.cluster.work import EvidenceTask, Shown, Stated, check
from dsrkit.diagnose.evidence import Evidence
from dsrkit.diagnose.reason import diagnose
from dsrkit.errors import CaptureError, UsageError
from dsrkit.mechanisms import MECHANISMS
from dsrkit.model.report import Report
from dsrkit.model.schema import REPORT_SCHEMA
from dsrkit.report.text import nothing_checked_reason, render
from dsrkit.verify.frames import AddressBook
from dsrkit.verify.pipeline import Gathered

Captures = dict[str, list[Path]]
SLICE = 4_000
"""Packets of a slice here."""
HAS_DASK = needs.present(None if find_spec("distributed") else "dask.distributed is not installed")


def records(path: Path) -> tuple[bytes, list[bytes]]:
    octets = path.read_bytes()
    found, at = [], 24
    while at < len(octets):
        size = 16 + struct.unpack_from("<I", octets, at + 8)[0]
        found.append(octets[at : at + size])
        at += size
    return octets[:24], found


def rotated(captures: Captures, folder: Path, count: int) -> Captures:
    """Every capture as several files, as tcpdump -C writes them."""
    out: Captures = {}
    for name, (path,) in captures.items():
        head, found = records(path)
        size = -(-len(found) // count)
        out[name] = [folder / f"{name}-{i}.pcap" for i in range(count)]
        for i, part in enumerate(out[name]):
            part.write_bytes(head + b"".join(found[i * size : (i + 1) * size]))
    return out


def crafted(folder: Path, mode: str, **options: Any) -> Captures:
    dsrkit.craft(mode, flows=600, seed=3, **options).write_split(folder)
    return {path.stem: [path] for path in sorted(folder.glob("*.pcap"))}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Captures:
    return crafted(tmp_path_factory.mktemp("healthy"), "l2dsr")


def examined(files: Mapping[str, Sequence[Path]], executor: Executor | None = None, packets: int = SLICE) -> Report:
    observers = (*MECHANISMS, Evidence)
    stated = Stated.of(None, None, None, (), "warning", (), ())
    return plan.examine(files, executor or Here(), stated, observers=observers, diagnose=diagnose, packets=packets)


def packets_of(report: Report) -> dict[str, Any]:
    """What counts packets, and not connections, which a cut may go through."""
    connections = ("answered", "flow-kept", "arp-silent")
    return {
        "mode": report.mode,
        "nodes": {(node.name, node.role, node.ip, node.mac) for node in report.nodes},
        "taps": [(tap.name, tap.node, tap.packets, tap.octets) for tap in report.taps],
        "journeys": {(j.hop, j.direction, j.protocol): (j.paired, j.unpaired) for j in report.journeys},
        "cells": {
            (c.cell, c.hop, c.direction): (c.verdict, c.checked, c.failed)
            for c in report.cells
            if not c.cell.endswith(connections)
        },
        "traffic": report.traffic,
        "findings": {(f.code, f.nodes) for f in report.findings},
    }


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("l2dsr", {}),
        ("nat", {}),
        ("fullnat", {}),
        ("l3dsr-tunnel", {"tunnel": "gue"}),
        ("l3dsr-tunnel", {"ip": 6, "tunnel": "6in6"}),
        ("l3dsr-dscp", {}),
    ],
)
def test_slices_count_each_packet_once(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    captures = crafted(tmp_path, mode, **options)
    whole = dsrkit.verify({name: path for name, (path,) in captures.items()})
    sliced = examined(captures)
    assert any("slices of time" in note for note in sliced.notes)
    assert packets_of(sliced) == packets_of(whole)
    jsonschema.validate(sliced.to_dict(), REPORT_SCHEMA)


def test_one_slice_is_as_no_slices(healthy: Captures, tmp_path: Path) -> None:
    whole = dsrkit.verify({name: path for name, (path,) in healthy.items()})
    one = dsrkit.verify(rotated(healthy, tmp_path, 3))  # type: ignore[arg-type]  # lists of paths are sequences of them
    assert dataclasses.replace(one, taps=whole.taps) == whole
    assert [(tap.name, tap.packets) for tap in one.taps] == [(tap.name, tap.packets) for tap in whole.taps]
    assert one.taps[0].file == f"{tmp_path / 'A-0.pcap'} and 2 more"


@pytest.mark.parametrize(("mode", "fault"), [("l2dsr", "DSR301"), ("nat", "NAT213"), ("l3dsr-dscp", "dscp-bleached")])
def test_a_fault_is_the_same_finding_in_slices(tmp_path: Path, mode: str, fault: str) -> None:
    captures = crafted(tmp_path, mode, fault=fault)
    whole = dsrkit.verify({name: path for name, (path,) in captures.items()})
    sliced = examined(captures)
    assert {(f.code, f.nodes) for f in sliced.findings} == {(f.code, f.nodes) for f in whole.findings}
    assert sliced.exit_code == 1


def test_frames_are_named_by_the_file_that_they_are_in(tmp_path: Path) -> None:
    captures = crafted(tmp_path, "l2dsr", fault="DSR301")
    folder = tmp_path / "rotated"
    folder.mkdir()
    parts = rotated(captures, folder, 4)
    for packets in (SLICE, 1 << 40):
        (finding,) = examined(parts, packets=packets).findings
        assert finding.frames
        for frame in finding.frames:
            name = Path(frame.file).stem.partition("-")[0]
            at = frame.frame + sum(len(records(part)[1]) for part in parts[name] if str(part) < frame.file)
            (whole,) = captures[name]
            assert records(Path(frame.file))[1][frame.frame - 1] == records(whole)[1][at - 1]
        first = [frame.frame for frame in finding.frames if frame.file == finding.frames[0].file]
        assert finding.filter == f"frame.number in {{{','.join(map(str, sorted(first)))}}}"


def test_compressed_files_are_read_from_their_start(healthy: Captures, tmp_path: Path) -> None:
    packed: Captures = {}
    for name, (path,) in healthy.items():
        packed[name] = [tmp_path / f"{name}.pcap.gz"]
        packed[name][0].write_bytes(gzip.compress(path.read_bytes(), 1))
    assert packets_of(examined(packed)) == packets_of(examined(healthy))


# --- executors --------------------------------------------------------------------------------------------------------


def test_processes_say_the_same(healthy: Captures) -> None:
    assert examined(healthy, Processes(2)) == examined(healthy)


@HAS_DASK
def test_a_cluster_says_the_same(healthy: Captures) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        with Cluster(cluster.scheduler_address) as workers:
            assert examined(healthy, workers) == examined(healthy)
        named = dsrkit.verify({name: path for name, (path,) in healthy.items()}, cluster=cluster.scheduler_address)
        assert named.exit_code == 0
        with Cluster(cluster.scheduler_address) as workers:
            failed = workers.run(_fails, ["x"], {})
            assert isinstance(failed[0], Lost)
            assert (failed[0].why, failed[0].where.startswith("inproc://")) == ("ValueError: x", True)
            (again,) = workers.run(_where, [0], {0: failed[0].where})
            assert again != failed[0].where


def _fails(text: str) -> None:
    raise ValueError(text)


def _where(_: int) -> str:
    from distributed import get_worker

    return str(get_worker().address)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(dsrkit.MissingDependency, match=r"dsrkit\[cluster\]"):
        Cluster("tcp://127.0.0.1:1")


@HAS_DASK
def test_an_absent_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "WAIT", "0.2s")
    with pytest.raises(UsageError, match=r"--cluster 'tcp://127\.0\.0\.1:9': no scheduler answers there"):
        Cluster("tcp://127.0.0.1:9")


class Failing(Here):
    """Fails with a task a number of times."""

    def __init__(self, task: Callable[..., Any], number: int, times: int) -> None:
        self._task, self._number, self._left = task, number, times
        self.avoided: list[str] = []

    def run(self, task: Any, items: Sequence[Any], avoid: Mapping[int, str]) -> list[Any]:
        results: list[Any] = super().run(task, items, avoid)
        for i, item in enumerate(items):
            if task is self._task and self._left and getattr(item, "slice", Slice(0)).number == self._number:
                self._left -= 1
                self.avoided += filter(None, [avoid.get(i)])
                results[i] = Lost("the machine is gone", f"worker {self._left}")
        return results


def test_what_fails_is_tried_again_elsewhere(healthy: Captures) -> None:
    flaky = Failing(check, 1, plan.TRIES - 1)
    assert examined(healthy, flaky) == examined(healthy)
    assert flaky.avoided == ["worker 1"]


def test_a_lost_slice_is_said_and_is_no_success(healthy: Captures) -> None:
    whole, part = examined(healthy), examined(healthy, Failing(check, 1, plan.TRIES))
    assert part.taps[0].packets < whole.taps[0].packets
    (missing,) = part.incomplete
    assert missing.startswith("slice 2 of ")
    assert missing.endswith(" could not be judged: the machine is gone")
    assert (whole.exit_code, part.exit_code) == (0, 2)
    assert dataclasses.replace(part, fail_on="never").exit_code == 2
    assert render(part).startswith("INCOMPLETE")
    assert missing in render(part, quiet=True)
    assert nothing_checked_reason(part) == missing
    jsonschema.validate(part.to_dict(), REPORT_SCHEMA)
    assert Report.from_dict(part.to_dict()) == part
    assert whole.merge(part).incomplete == part.incomplete


def test_a_lost_beginning_costs_nothing(healthy: Captures) -> None:
    assert examined(healthy, Failing(plan.show, 0, plan.TRIES)) == examined(healthy)


def test_roles_that_only_the_whole_shows_are_judged_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captures = crafted(tmp_path, "nat")
    expected = examined(captures)
    monkeypatch.setattr(plan, "show", _nothing)
    executor = Counting()
    assert packets_of(examined(captures, executor)) == packets_of(expected)
    assert executor.tasks.count(check) == 2


def _nothing(task: EvidenceTask) -> Shown:
    return Shown(Gathered(), {})


class Counting(Here):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.tasks: list[object] = []

    def run(self, task: Any, items: Sequence[Any], avoid: Mapping[int, str]) -> list[Any]:
        self.tasks.append(task)
        return super().run(task, items, avoid)


def test_nothing_at_all_is_an_error(healthy: Captures) -> None:
    with pytest.raises(UsageError, match="no slice could be verified: the machine is gone"):
        examined(healthy, Failing(check, 0, plan.TRIES), packets=1 << 40)


def test_files_that_cannot_be_read_are_the_users_to_mend(healthy: Captures, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"nowhere\.pcap: no such file"):
        examined({"A": [*healthy["A"], tmp_path / "nowhere.pcap"]})
    with pytest.raises(UsageError, match="standard input cannot be judged in slices"):
        examined({"A": [Path("-")]})
    with pytest.raises(UsageError, match="unknown mode 'l4dsr'"):
        Stated.of(None, "l4dsr", None, (), "warning", (), ())


# --- files and slices -------------------------------------------------------------------------------------------------


def rows(capture: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([np.zeros(0, np.int64), *(w.rec["ts_ns"].copy() for w in capture.windows())])


def test_a_file_is_entered_in_the_middle(healthy: Captures) -> None:
    (path,) = healthy["B"]
    index = index_of(str(path))
    assert len(index.marks) > 1
    every = rows(Parts([index]))
    for since in np.quantile(every, [0, 0.3, 0.7, 1]).astype(np.int64).tolist():
        part = Parts([index], since)
        for window in part.windows():
            for i in (0, len(window.rec) - 1):
                assert window.rec["ts_ns"][i] == every[window.first_row + i]
                offset, size = int(window.rec["offset"][i]), int(window.rec["caplen"][i])
                assert part.octets(offset, size) == bytes(window.packet(i))
        assert (rows(part) >= since).sum() == (every >= since).sum()
        assert (rows(Parts([index], EARLY, since)) <= since).sum() == (every <= since).sum()
    assert len(rows(Parts([index], int(every.max()) - 1))) < len(every)


def test_several_files_are_one_capture(healthy: Captures, tmp_path: Path) -> None:
    parts = rotated({"B": healthy["B"]}, tmp_path, 3)["B"]
    capture = Parts([index_of(str(part)) for part in parts])
    assert rows(capture).tolist() == rows(Parts([index_of(str(healthy["B"][0]))])).tolist()
    numbers = [window.first_row >> FILE_SHIFT for window in capture.windows()]
    assert sorted(set(numbers)) == [0, 1, 2]


def test_a_pipe_has_no_middle(tmp_path: Path) -> None:
    with pytest.raises((CaptureError, UsageError)):
        index_of("/dev/null")


def test_slices_hold_every_packet_once(healthy: Captures) -> None:
    taps = [TapFiles(name, str(path), (index_of(str(path)),)) for name, (path,) in healthy.items()]
    slices = cut(taps, SLICE)
    assert len(slices) > 2
    assert (slices[0].begin, slices[-1].end) == (EARLY, LATE)
    assert all(one.end == other.begin for one, other in pairwise(slices))
    assert all(one.end - one.begin >= 2 * MARGIN_NS for one in slices)
    seen: list[tuple[int, int]] = []
    for one in slices:
        for batch in SliceInput(AddressBook(), taps, one, None).batches():
            seen += zip(batch.frames.tap.tolist(), batch.frames.number.tolist(), strict=True)
    assert len(seen) == len(set(seen)) == sum(index.packets for tap in taps for index in tap.indexes)


def test_few_packets_are_one_slice(healthy: Captures) -> None:
    taps = [TapFiles("A", "a", (index_of(str(healthy["A"][0])),))]
    assert cut(taps) == [Slice(0)]
