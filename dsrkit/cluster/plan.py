"""The plan of a verification in slices, the same one wherever the tasks are done.

Files are indexed, clocks compared, slices cut; each slice shows what it can of the roles, which are decided once from
all; then each slice is judged by them, and the reports are merged. What fails is tried again, elsewhere if there is an
elsewhere; what is lost after that is said, and the report is none of the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from typing import Any, Final, TypeVar

import numpy as np

from dsrkit.cluster.executors import Executor, Lost
from dsrkit.cluster.files import Index, Parts, index_of
from dsrkit.cluster.slices import EARLY, LATE, SLICE_PACKETS, Slice, TapFiles, cut
from dsrkit.cluster.work import CheckTask, EvidenceTask, Stated, check, show
from dsrkit.errors import CaptureError, UsageError
from dsrkit.model.report import Report
from dsrkit.model.same_machines import with_files
from dsrkit.verify.batches import Input, PathLike
from dsrkit.verify.conclude import Diagnose
from dsrkit.verify.frames import AddressBook, Ints, Words
from dsrkit.verify.observer import Observer
from dsrkit.verify.pipeline import Gathered, settle
from dsrkit.verify.scene import Scene
from dsrkit.wire.capture import Capture

TRIES: Final = 3

T = TypeVar("T")
R = TypeVar("R")
Files = Mapping[str, Sequence[PathLike]]
"""The files of each tap, by its name, in any order."""


def examine(
    files: Files,
    executor: Executor,
    stated: Stated,
    *,
    observers: Sequence[type[Observer]] = (),
    diagnose: Diagnose | None = None,
    packets: int = SLICE_PACKETS,
) -> Report:
    """The report of all slices of about so many packets.

    Raises: DsrkitError for what the caller can mend: files that no worker can read, no slice that could be judged.
    """
    if any(os.fspath(path) == "-" for paths in files.values() for path in paths):
        raise UsageError("standard input cannot be judged in slices: give regular files")
    shown = {os.path.abspath(path): os.fspath(path) for paths in files.values() for path in paths}
    taps = _aligned(_indexed(executor, files))
    slices = cut(taps, packets)
    evidence = _tried(executor, show, [EvidenceTask(taps, one, stated) for one in slices])
    book = AddressBook()
    scene, nodes = _decided(book, taps, stated, [found for found in evidence if not isinstance(found, Lost)])
    notes, scene.notes = scene.notes, []
    reports = _tried(
        executor, check, [CheckTask(taps, one, stated, scene, nodes, observers, diagnose) for one in slices]
    )
    judged = [report for report in reports if not isinstance(report, Lost)]
    lost = {one: found.why for one, found in zip(slices, reports, strict=True) if isinstance(found, Lost)}
    if not judged:
        raise UsageError(f"no slice could be verified: {next(iter(lost.values()))}")
    labels = {tap.label: shown[tap.indexes[0].path] + _more(tap.indexes) for tap in taps}
    report = with_files(reduce(Report.merge, judged), {**shown, **labels})
    blind = [one for one, found in zip(slices, evidence, strict=True) if isinstance(found, Lost)]
    notes += [f"roles were decided without {_named(one, slices)}" for one in blind]
    notes += [note for tap in taps for note in _said(tap, shown)]
    if len(slices) > 1:
        notes.append(
            f"judged in {len(slices)} slices of time; a connection that a cut goes through counts on both sides"
        )
    missing = tuple(f"{_named(one, slices)} could not be judged: {why}" for one, why in lost.items())
    return replace(report, notes=(*notes, *report.notes), incomplete=(*report.incomplete, *missing))


def _tried(executor: Executor, task: Callable[[T], R], items: Sequence[T]) -> list[R | Lost]:
    """Results in the order of the items; what fails is tried again, by other workers where there are some."""
    results: list[R | Lost] = executor.run(task, items, {})
    for _ in range(TRIES - 1):
        failed = {i: found.where for i, found in enumerate(results) if isinstance(found, Lost)}
        if not failed:
            break
        again = executor.run(task, [items[i] for i in failed], dict(enumerate(failed.values())))
        for i, found in zip(failed, again, strict=True):
            results[i] = found
    return results


def _indexed(executor: Executor, files: Files) -> tuple[TapFiles, ...]:
    """Every tap's files in the order of their packets."""
    paths = [os.path.abspath(path) for several in files.values() for path in several]
    indexes: dict[str, Index] = {}
    for path, found in zip(paths, _tried(executor, index_of, paths), strict=True):
        if isinstance(found, Lost):
            raise CaptureError(found.why)
        indexes[path] = found
    out = []
    for name, several in files.items():
        mine = [indexes[os.path.abspath(path)] for path in several]
        mine.sort(key=lambda index: int(index.marks[0, 3]) if index.packets else LATE)
        for index in mine[1:]:
            if [x.name for x in index.interfaces] != [x.name for x in mine[0].interfaces]:
                raise UsageError(f"{index.path}: other interfaces than those of {mine[0].path}, of the same tap {name}")
        out.append(TapFiles(name, mine[0].path + _more(mine), tuple(mine)))
    return tuple(out)


def _more(files: Sequence[Index]) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""


class _Clocks(Input):
    """All files, of which only samples are looked at."""

    def __init__(self, taps: Sequence[TapFiles]) -> None:
        self._samples = {tap.label: tap.indexes for tap in taps}

        def opened(label: PathLike, name: str) -> Capture:
            return Parts(self._samples[str(label)])

        super().__init__(AddressBook(), [(tap.name, tap.label) for tap in taps], None, opened)

    def offsets(self) -> list[int]:
        self.align()
        return [file.offset for file in self._files]

    def _sampled(self, f: Any, most: int | None) -> tuple[Words, Ints]:
        mine = self._samples[f.info.file]
        unique, first = np.unique(np.concatenate([index.keys for index in mine]), return_index=True)
        return unique, np.concatenate([index.times for index in mine])[first]


def _aligned(taps: tuple[TapFiles, ...]) -> tuple[TapFiles, ...]:
    offsets = _Clocks(taps).offsets()
    return tuple(replace(tap, shift_ns=offset) for tap, offset in zip(taps, offsets, strict=True))


def _decided(
    book: AddressBook, taps: tuple[TapFiles, ...], stated: Stated, evidence: Collection[Any]
) -> tuple[Scene, tuple[str | None, ...]]:
    """The roles that all slices show together, and the nodes of the taps."""
    total = Gathered()
    for found in evidence:
        one = found.to(book)
        total.all.merge(one.all)
        total.without_clients.merge(one.without_clients)
    scene = stated.scene(book)
    data = _WithSpec(taps, stated)
    settle(data.taps, scene, total)
    return scene, tuple(tap.node for tap in data.taps)


class _WithSpec(Input):
    """The taps, with what a spec says of them."""

    def __init__(self, taps: Sequence[TapFiles], stated: Stated) -> None:
        indexes = {tap.label: tap.indexes for tap in taps}
        super().__init__(
            AddressBook(),
            [(tap.name, tap.label) for tap in taps],
            stated.spec,
            lambda label, name: Parts(indexes[str(label)]),
        )


def _named(one: Slice, slices: Sequence[Slice]) -> str:
    """A slice in words."""
    begin = "the start" if one.begin == EARLY else _time(one.begin)
    end = "the end" if one.end == LATE else _time(one.end)
    return f"slice {one.number + 1} of {len(slices)} (from {begin} to {end})"


def _time(ns: int) -> str:
    return (
        datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{ns % 10**9 // 10**6:03}Z"
    )


def _said(tap: TapFiles, shown: Mapping[str, str]) -> list[str]:
    """What the readers of a tap's files have to say."""
    several = len(tap.indexes) > 1
    return [f"{shown[index.path] if several else tap.name}: {note}" for index in tap.indexes for note in index.notes]
