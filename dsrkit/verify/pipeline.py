"""From capture files to a report: reading, roles, judging, in batches.

Roles are decided once for the whole input, then everything is judged by them: small inputs are one batch that serves
both; larger ones are read twice, or, from a pipe, decided on the first batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from dsrkit.errors import UsageError
from dsrkit.model.names import FAIL_ON, MODES, PROFILES
from dsrkit.model.report import Report
from dsrkit.model.spec import Spec
from dsrkit.verify import roles
from dsrkit.verify.batches import Batch, Input, PathLike, named_sources
from dsrkit.verify.conclude import Diagnose, conclude
from dsrkit.verify.flows import oriented
from dsrkit.verify.frames import AddressBook, Frames
from dsrkit.verify.judge import Judge, without_clients
from dsrkit.verify.observer import Observer
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.stated import scene_of


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
) -> Report:
    """Judge captures by the tables of their mode, let `observers` look on and `diagnose` name causes."""
    _known("mode", mode, MODES)
    _known("profile", profile, PROFILES)
    _known("fail_on", fail_on, FAIL_ON)
    loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
    book = AddressBook()
    data = Input(book, named_sources(source, loaded), loaded)
    scene = scene_of(book, loaded, mode, profile, vip)
    judge = Judge(scene, data.taps, [observer(scene, data.taps, loaded) for observer in observers])
    for batch in _batches_with_roles(data, scene):
        judge.feed(batch.frames, batch.until)
        del batch  # its columns make room for those of the next
    return conclude(judge, data.notes, fail_on=fail_on, select=select, ignore=ignore, spec=loaded, diagnose=diagnose)


def _known(what: str, value: str | None, words: Collection[str]) -> None:
    if value is not None and value not in words:
        raise UsageError(f"unknown {what} {value!r}; one of: {', '.join(words)}")


def _batches_with_roles(data: Input, scene: Scene) -> Iterator[Batch]:
    """All batches; the scene is filled in before the first one is handed out."""
    batches = data.batches()
    head = next(batches)
    if head.until is None:
        decide(data.taps, scene, [head.frames])
        return iter([head])
    if not data.rewindable:
        decide(data.taps, scene, [head.frames])
        scene.notes.append(f"the input cannot be read twice: roles were decided on its first {head.frames.n} packets")
        return chain([head], batches)
    del batches
    data.align()
    decide(data.taps, scene, (b.frames for b in data.batches()))
    return data.batches()


def decide(taps: list[TapInfo], scene: Scene, parts: Iterable[Frames]) -> None:
    """Infer what nothing states, from counts over all packets given."""
    total = roles.Evidence()
    again = roles.Evidence()
    for frames in parts:
        flows = oriented(frames)
        evidence = roles.gather(frames, flows)
        total.merge(evidence)
        if roles.shows_full_nat(evidence) or scene.mode == "fullnat":
            # Full NAT hides UDP from a join by addresses; what a join without them shows is used for full NAT alone.
            everything = Scene(scene.book, mode="fullnat", vips=set(np.unique(flows.server >> 16).tolist()))
            again.merge(roles.gather(frames, without_clients(frames, flows, everything)))
    stated = set(scene.services)
    roles.infer(total, scene)
    if scene.mode == "fullnat":
        scene.services.update({k: ports for k, ports in roles.ports_of(again, scene).items() if k not in stated})
    for tap, owner in zip(taps, roles.owners(total, len(taps), scene), strict=True):
        party = scene.party(owner) if owner is not None else None
        elsewhere = party is not None and party.links and tap.link is not None and tap.link not in party.links
        tap.node = tap.node or (None if elsewhere else owner)
