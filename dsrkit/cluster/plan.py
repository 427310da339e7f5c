"""The plan of a verification in slices, the same one wherever the tasks are done.

Files are indexed, clocks compared, slices cut. The beginnings of all slices show the roles, by which each slice is
judged while evidence is counted on; where all of it shows other roles, slices are judged once more by those. The
reports are merged. What fails is tried again, elsewhere if there is an elsewhere; what is lost after that is said.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeVar

import numpy as np

from dsrkit.cluster.executors import Executor, Lost
from dsrkit.cluster.files import Index, Parts, index_of
from dsrkit.cluster.slices import EARLY, LATE, SLICE_PACKETS, Slice, TapFiles, cut
from dsrkit.cluster.work import Checked, CheckTask, EvidenceTask, Shown, Stated, check, show
from dsrkit.errors import CaptureError, UsageError
from dsrkit.model.merging import together
from dsrkit.model.report import Report
from dsrkit.model.same_machines import with_files
from dsrkit.model.spec import Spec
from dsrkit.verify import roles
from dsrkit.verify.batches import File, Input, PathLike
from dsrkit.verify.conclude import Diagnose
from dsrkit.verify.frames import AddressBook, Ints, Words
from dsrkit.verify.observer import Observer
from dsrkit.verify.pipeline import ATTEMPTS, Gathered, settle
from dsrkit.verify.scene import Scene
from dsrkit.wire.capture import Capture

TRIES: Final = 3
"""Of a task."""

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
    book = AddressBook()
    heads = _tried(executor, show, [EvidenceTask(taps, one, stated) for one in slices])
    scene, nodes = _decided(book, taps, stated, [found for found in heads if not isinstance(found, Lost)])
    for left in reversed(range(ATTEMPTS)):
        tasks = [CheckTask(taps, one, stated, _mute(scene), nodes, observers, diagnose) for one in slices]
        found = _tried(executor, check, tasks)
        judged = [one for one in found if not isinstance(one, Lost)]
        if not judged:
            lost = [one.why for one in found if isinstance(one, Lost)]
            raise UsageError(f"no slice could be verified: {lost[0]}")
        again, nodes = _decided(book, taps, stated, [one.shown for one in judged])
        if not left or roles.alike(again, scene):
            break
        scene = again
    return _report(found, slices, taps, again.notes, nodes, shown)


def _mute(scene: Scene) -> Scene:
    """A scene without its notes, which are those of the whole and not of each slice."""
    return replace(scene, notes=[])


def _report(
    found: Sequence[Checked | Lost],
    slices: Sequence[Slice],
    taps: Sequence[TapFiles],
    notes: Sequence[str],
    nodes: Sequence[str | None],
    shown: Mapping[str, str],
) -> Report:
    """The slices' reports as one, with what is missing."""
    judged = [one.report for one in found if not isinstance(one, Lost)]
    lost = {one: what.why for one, what in zip(slices, found, strict=True) if isinstance(what, Lost)}
    labels = {tap.label: shown[tap.indexes[0].path] + _more(tap.indexes) for tap in taps}
    report = judged[0] if len(judged) == 1 else together(judged[0].merge(*judged[1:]))
    report = with_files(report, {**shown, **labels})
    said = [*notes, *(note for tap in taps for note in _said(tap, shown))]
    if len(slices) > 1:
        said.append(f"judged in {len(slices)} slices of time: connections that a cut goes through count in both")
    missing = tuple(f"{_named(one, slices)} could not be judged: {why}" for one, why in lost.items())
    return replace(
        report,
        taps=tuple(replace(tap, node=node) for tap, node in zip(report.taps, nodes, strict=True)),
        notes=(*said, *report.notes),
        incomplete=(*report.incomplete, *missing),
    )


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


class _Indexed(Input):
    """All files, of which only what their indexes hold is looked at, with what a spec says of the taps."""

    def __init__(self, taps: Sequence[TapFiles], spec: Spec | None = None) -> None:
        self._indexes = {tap.label: tap.indexes for tap in taps}

        def opened(label: PathLike, name: str) -> Capture:
            return Parts(self._indexes[str(label)])

        super().__init__(AddressBook(), [(tap.name, tap.label) for tap in taps], spec, opened=opened)

    def offsets(self) -> list[int]:
        self.align()
        return [file.offset for file in self._files]

    def _sampled(self, f: File, most: int | None) -> tuple[Words, Ints]:
        mine = self._indexes[f.info.file]
        unique, first = np.unique(np.concatenate([index.keys for index in mine]), return_index=True)
        return unique, np.concatenate([index.times for index in mine])[first]


def _aligned(taps: tuple[TapFiles, ...]) -> tuple[TapFiles, ...]:
    offsets = _Indexed(taps).offsets()
    return tuple(replace(tap, shift_ns=offset) for tap, offset in zip(taps, offsets, strict=True))


def _decided(
    book: AddressBook, taps: tuple[TapFiles, ...], stated: Stated, evidence: Sequence[Shown]
) -> tuple[Scene, tuple[str | None, ...]]:
    """The roles that all slices show together, and the nodes of the taps."""
    total = Gathered()
    for found in evidence:
        total.add(found.to(book))
    scene = stated.scene(book)
    data = _Indexed(taps, stated.spec)
    settle(data.taps, scene, total)
    return scene, tuple(tap.node for tap in data.taps)


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
