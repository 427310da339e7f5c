"""What is done with one file or one slice, wherever that is; only counters and reports come back."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, TypeVar

from dsrkit.classes import dataclass
from dsrkit.cluster.files import FILE_SHIFT
from dsrkit.cluster.slices import Slice, SliceInput, TapFiles
from dsrkit.model.frame import FrameRef
from dsrkit.model.names import FAIL_ON, MODES, PROFILES
from dsrkit.model.report import Report
from dsrkit.model.same_machines import changed
from dsrkit.model.spec import Spec
from dsrkit.verify import fastpath
from dsrkit.verify.conclude import Diagnose, conclude
from dsrkit.verify.fastpath import FastPath
from dsrkit.verify.frames import AddressBook
from dsrkit.verify.judge import Judge
from dsrkit.verify.observer import Observer
from dsrkit.verify.pipeline import Gathered, gather, known
from dsrkit.verify.roles import Evidence
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.stated import scene_of
from dsrkit.verify.steps import Sight

_OWN_NUMBER: Final = 1 << 32
"""From here on an address is its own number, the same in every book."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user says of the set-up and wants of the report."""

    spec: Spec | None = None
    mode: str | None = None
    profile: str | None = None
    vip: tuple[str, ...] = ()
    fail_on: str = "warning"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        spec: Spec | None,
        mode: str | None,
        profile: str | None,
        vip: Collection[str],
        fail_on: str,
        select: Collection[str],
        ignore: Collection[str],
    ) -> Stated:
        """Raises: UsageError for words that mean nothing."""
        known("mode", mode, MODES)
        known("profile", profile, PROFILES)
        known("fail_on", fail_on, FAIL_ON)
        return cls(spec, mode, profile, tuple(vip), fail_on, tuple(select), tuple(ignore))

    def scene(self, book: AddressBook) -> Scene:
        return scene_of(book, self.spec, self.mode, self.profile, self.vip)


# --- evidence for roles -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EvidenceTask:
    taps: tuple[TapFiles, ...]
    slice: Slice
    stated: Stated


@dataclass(frozen=True, slots=True)
class Shown:
    """What a slice shows of the roles; `addresses` are those of numbers that another book may have given otherwise."""

    gathered: Gathered
    addresses: Mapping[int, str]

    def to(self, book: AddressBook) -> Gathered:
        """The same by the numbers of another book."""
        number = {old: book.number(text) for old, text in self.addresses.items()}
        out = Gathered(_renumbered(self.gathered.all, lambda old: number.get(old, old)))
        out.without_clients = _renumbered(self.gathered.without_clients, lambda old: number.get(old, old))
        return out


def show(task: EvidenceTask) -> Shown:
    """Count what the beginning of a slice shows of the roles."""
    book = AddressBook()
    data = SliceInput(book, task.taps, task.slice, task.stated.spec)
    head = next(data.portions())
    return _shown(book, gather(task.stated.scene(book), [data.frames(head.pieces)]))


def _shown(book: AddressBook, gathered: Gathered) -> Shown:
    used: set[int] = set()

    def note(number: int) -> int:
        used.add(number)
        return number

    for evidence in (gathered.all, gathered.without_clients):
        _renumbered(evidence, note)
    return Shown(gathered, {number: book.text(number) for number in used if 0 < number < _OWN_NUMBER})


def _renumbered(e: Evidence, new: Callable[[int], int]) -> Evidence:
    def sight(s: Sight) -> Sight:
        return replace(
            s, outer_dst=new(s.outer_dst), server=new(s.server), outer_src=new(s.outer_src), client=new(s.client)
        )

    return replace(
        e,
        steps=_rekeyed(e.steps, lambda step: replace(step, a=sight(step.a), b=sight(step.b))),
        places=_rekeyed(e.places, lambda place: (sight(place[0]), place[1])),
        claims={(new(address), mac): how for (address, mac), how in e.claims.items()},
        answers=_rekeyed(e.answers, lambda x: replace(x, asked=new(x.asked), answered=new(x.answered))),
        clients=_rekeyed(e.clients, lambda key: (new(key[0]), key[1], new(key[2]))),
        outer_sources=_rekeyed(e.outer_sources, new),
        refused=_rekeyed(e.refused, lambda key: (new(key[0]), key[1], key[2])),
    )


def _rekeyed(counts: Counter[K], new: Callable[[K], K]) -> Counter[K]:
    out: Counter[K] = Counter()
    for key, count in counts.items():
        out[new(key)] += count
    return out


# --- judging ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckTask:
    """`scene` and `nodes` (of taps) are what was decided for all slices."""

    taps: tuple[TapFiles, ...]
    slice: Slice
    stated: Stated
    scene: Scene
    nodes: tuple[str | None, ...]
    observers: Sequence[type[Observer]]
    diagnose: Diagnose | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a slice, and all that it shows of the roles."""

    report: Report
    shown: Shown


def check(task: CheckTask) -> Checked:
    """Judge the packets of a slice by the roles that the beginnings of all slices show."""
    judge, data, found = _fast(task) or _slow(task)
    shown = _shown(judge.scene.book, found)
    said = task.stated
    report = conclude(
        judge,
        data.notes,
        fail_on=said.fail_on,
        select=said.select,
        ignore=said.ignore,
        spec=said.spec,
        diagnose=task.diagnose,
    )
    return Checked(_in_files(report, {tap.label: [index.path for index in tap.indexes] for tap in task.taps}), shown)


def _start(task: CheckTask) -> tuple[Judge, SliceInput]:
    scene: Scene = pickle.loads(pickle.dumps(task.scene))  # judging adds to it, and may have to start again
    data = SliceInput(scene.book, task.taps, task.slice, task.stated.spec)
    for tap, node in zip(data.taps, task.nodes, strict=True):
        tap.node = node
    taps: list[TapInfo] = data.taps
    return Judge(scene, taps, [observer(scene, taps, task.stated.spec) for observer in task.observers]), data


def _fast(task: CheckTask) -> tuple[Judge, SliceInput, Gathered] | None:
    """On the fast path; None where there is none for this set-up or slice."""
    modules = fastpath.compiled()
    if modules is None or not fastpath.possible(task.scene):
        return None
    judge, data = _start(task)
    if next(data.portions()).until is None:  # one batch holds all
        return None
    portions = data.portions(fastpath.HEAD_ROWS, fastpath.PORTION_ROWS, passing=True)
    head = next(portions)
    judge.rehearse(data.frames(head.pieces))
    everything = chain([head], portions)
    del head
    path = FastPath(judge, data, modules)
    if not path.run(everything):
        return None
    return judge, data, Gathered(path.evidence)


def _slow(task: CheckTask) -> tuple[Judge, SliceInput, Gathered]:
    judge, data = _start(task)
    found = Gathered()
    for batch in data.batches():
        found.add(gather(judge.scene, [batch.frames]))
        judge.see_traffic(batch.frames)
        judge.feed(batch.frames, batch.until)
        del batch  # its columns make room for those of the next
    return judge, data, found


def _in_files(report: Report, files: Mapping[str, Collection[str]]) -> Report:
    """Frames by the files that they are in, for numbers that carry the number of the file."""
    names = {label: list(paths) for label, paths in files.items()}

    def change(item: Any) -> dict[str, Any]:
        if isinstance(item, FrameRef) and item.file in names:
            number, frame = item.frame >> FILE_SHIFT, item.frame & ((1 << FILE_SHIFT) - 1)
            return {"file": names[item.file][number], "frame": frame}
        return {}

    report = changed(report, change)
    return replace(report, findings=tuple(finding.with_frames(finding.frames) for finding in report.findings))
