"""From capture files to a report: reading, roles, judging, in batches.

Roles are decided once for the whole input, then everything is judged by them. Small inputs are one batch that serves
both. A larger one is judged by the roles that its beginning shows, most of it on the fast path, while the evidence is
counted on; where the whole shows other roles than the beginning, it is judged once more by those. Where there is no
fast path, evidence is gathered in a pass of its own. From a pipe, which cannot be read again, the first batch decides.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final

from dsrkit.errors import UsageError
from dsrkit.model.names import FAIL_ON, MODES, PROFILES
from dsrkit.model.report import Report
from dsrkit.model.spec import Spec
from dsrkit.verify import fastpath, roles
from dsrkit.verify.arrays import distinct
from dsrkit.verify.batches import Input, PathLike, named_sources
from dsrkit.verify.conclude import Diagnose, conclude
from dsrkit.verify.fastpath import FastPath
from dsrkit.verify.flows import oriented
from dsrkit.verify.frames import AddressBook, Frames
from dsrkit.verify.judge import Judge, without_clients
from dsrkit.verify.observer import Observer
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.stated import scene_of

_SWITCH_S: Final = 0.0002
ATTEMPTS: Final = 3
"""Roles that keep changing with what is looked at are decided in a pass of their own."""


def examine(
    source: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None = None,
    *,
    spec: Spec | PathLike | None = None,
    mode: str | None = None,
    profile: str | None = None,
    vip: Collection[str] = (),
    fail_on: str = "warning",
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    observers: Sequence[type[Observer]] = (),
    diagnose: Diagnose | None = None,
    jobs: int = 1,
) -> Report:
    """Judge captures by the tables of their mode, let `observers` look on and `diagnose` name causes.

    `jobs`: so many threads work at once: they read and decode files, and one of them joins what was read.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs: at least 1")
    known("mode", mode, MODES)
    known("profile", profile, PROFILES)
    known("fail_on", fail_on, FAIL_ON)
    loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
    book = AddressBook()
    data = Input(book, named_sources(source, loaded), loaded, jobs)

    def scene() -> Scene:
        return scene_of(book, loaded, mode, profile, vip)

    def judge(scene: Scene) -> Judge:
        data.start_over()
        return Judge(scene, data.taps, [observer(scene, data.taps, loaded) for observer in observers])

    with _handing_over(jobs):
        judged = _judged(data, scene, judge)
    data.vouch()
    return conclude(judged, data.notes, fail_on=fail_on, select=select, ignore=ignore, spec=loaded, diagnose=diagnose)


@contextmanager
def _handing_over(jobs: int) -> Iterator[None]:
    """Let threads that scan for a fraction of a millisecond have the interpreter soon when they need it."""
    before = sys.getswitchinterval()
    if jobs > 1:
        sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def known(what: str, value: str | None, words: Collection[str]) -> None:
    """Raises: UsageError for a word that is none of those."""
    if value is not None and value not in words:
        raise UsageError(f"unknown {what} {value!r}; one of: {', '.join(words)}")


def _judged(data: Input, scene_of: Callable[[], Scene], judge_of: Callable[[Scene], Judge]) -> Judge:
    """A judge that has seen everything."""
    modules = fastpath.compiled()
    if data.rewindable and not data.is_small():
        data.align()
        fast = _fast(data, scene_of, judge_of, modules) if modules is not None else None
        return fast or _in_two_passes(data, scene_of(), judge_of)
    judge = judge_of(scene_of())
    portions = data.portions()
    head = next(portions)
    frames = data.frames(head.pieces)
    decide(data.taps, judge.scene, [frames])
    if head.until is not None:
        judge.scene.notes.append(f"the input cannot be read twice: roles were decided on its first {frames.n} packets")
        if modules is not None and fastpath.possible(judge.scene):
            judge.rehearse(frames)
            everything = chain([head], portions)
            del frames, head
            FastPath(judge, data, modules).run(everything)
            return judge
    _see(judge, frames, head.until)
    del frames, head
    for portion in portions:
        _see(judge, data.frames(portion.pieces), portion.until)
    return judge


def _fast(
    data: Input, scene_of: Callable[[], Scene], judge_of: Callable[[Scene], Judge], modules: tuple[Any, Any]
) -> Judge | None:
    """As `_judged`, on the fast path; None where there is none for this set-up, or where roles do not settle."""
    evidence: Gathered | None = None
    for _ in range(ATTEMPTS):
        portions = data.portions(fastpath.HEAD_ROWS, fastpath.PORTION_ROWS, passing=True)
        head = next(portions)
        frames = data.frames(head.pieces)
        judge = judge_of(scene_of())
        evidence = evidence or gather(judge.scene, [frames])
        settle(data.taps, judge.scene, evidence)
        said = len(judge.scene.notes)
        if not fastpath.possible(judge.scene):
            return None
        judge.rehearse(frames)
        everything = chain([head], portions)
        del frames, head
        path = FastPath(judge, data, modules)
        if not path.run(everything):
            return None
        evidence = Gathered(path.evidence)
        again = scene_of()
        settle(data.taps, again, evidence)
        if roles.alike(again, judge.scene):
            judge.scene.notes[:said] = again.notes
            roles.adopt(again, judge.scene)
            return judge
    return None


def _in_two_passes(data: Input, scene: Scene, judge_of: Callable[[Scene], Judge]) -> Judge:
    judge = judge_of(scene)
    settle(data.taps, scene, gather(scene, (batch.frames for batch in data.batches())))
    for batch in data.batches():
        _see(judge, batch.frames, batch.until)
        del batch  # its columns make room for those of the next
    return judge


def _see(judge: Judge, frames: Frames, until: int | None) -> None:
    judge.see_traffic(frames)
    judge.feed(frames, until)


class Gathered:
    """Evidence for roles: of `all` packets, and, for full NAT alone, what a join without addresses shows."""

    def __init__(self, every: roles.Evidence | None = None) -> None:
        self.all = every or roles.Evidence()
        self.without_clients = roles.Evidence()

    def add(self, other: Gathered) -> None:
        """Add what other packets showed."""
        self.all.merge(other.all)
        self.without_clients.merge(other.without_clients)


def gather(scene: Scene, parts: Iterable[Frames]) -> Gathered:
    """Count all packets given."""
    out = Gathered()
    for frames in parts:
        flows = oriented(frames)
        evidence = roles.gather(frames, flows)
        out.all.merge(evidence)
        if roles.shows_full_nat(evidence) or scene.mode == "fullnat":
            # Full NAT hides UDP from a join by addresses; what a join without them shows is used for full NAT alone.
            everything = Scene(scene.book, mode="fullnat", vips=set(distinct(flows.server >> 16).tolist()))
            out.without_clients.merge(roles.gather(frames, without_clients(frames, flows, everything)))
    return out


def decide(taps: list[TapInfo], scene: Scene, parts: Iterable[Frames]) -> None:
    """Infer what nothing states, from counts over all packets given."""
    settle(taps, scene, gather(scene, parts))


def settle(taps: list[TapInfo], scene: Scene, gathered: Gathered) -> None:
    """Infer what nothing states."""
    stated = set(scene.services)
    roles.infer(gathered.all, scene)
    if scene.mode == "fullnat":
        shown = roles.ports_of(gathered.without_clients, scene)
        scene.services.update({k: ports for k, ports in shown.items() if k not in stated})
    for tap, owner in zip(taps, roles.owners(gathered.all, len(taps), scene), strict=True):
        party = scene.party(owner) if owner is not None else None
        elsewhere = party is not None and party.links and tap.link is not None and tap.link not in party.links
        tap.node = tap.stated_node or (None if elsewhere else owner)
