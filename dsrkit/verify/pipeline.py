"""`verify`: from capture files to a report."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from dsrkit.errors import CaptureError, UsageError
from dsrkit.model.names import FAIL_ON, MODES, PROFILES
from dsrkit.model.report import Report
from dsrkit.model.spec import Spec
from dsrkit.verify import roles
from dsrkit.verify.cells import fitting_profiles, judge_hops
from dsrkit.verify.conclude import conclude
from dsrkit.verify.flows import Flows, identities, oriented
from dsrkit.verify.frames import AddressBook, Frames, mix
from dsrkit.verify.journeys import join
from dsrkit.verify.presence import judge_presence
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.stated import scene_of
from dsrkit.wire.capture import Capture, read

PathLike = str | os.PathLike[str]


def verify(
    source: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None = None,
    *,
    spec: Spec | PathLike | None = None,
    mode: str | None = None,
    profile: str | None = None,
    vip: Collection[str] = (),
    fail_on: str = "warning",
    select: Collection[str] = (),
    ignore: Collection[str] = (),
) -> Report:
    """Check captures against the header rewrites that their mode promises at each hop.

    `source` is one file, several, or names of taps with their files; ``-`` is standard input. Without it the spec's taps
    are read. What neither `spec` nor the options state is inferred, and the report says from what.

    Raises: DsrkitError for what the caller can mend: files, spec, options.
    """
    _known("mode", mode, MODES)
    _known("profile", profile, PROFILES)
    _known("fail_on", fail_on, FAIL_ON)
    loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
    taps, files = _sources(source, loaded)
    book = AddressBook()
    captures = [read(file, tap=tap.name) for tap, file in zip(taps, files, strict=True)]
    taps, frames, notes = load(book, taps, captures, loaded)
    scene = scene_of(book, loaded, mode, profile, vip)
    flows = oriented(frames)
    evidence = roles.gather(frames, flows)
    roles.infer(evidence, scene, roles.Namer(frames), len(taps))
    if scene.mode == "fullnat":
        flows = _without_clients(frames, flows, scene)
        scene.services.update(roles.ports_of(roles.gather(frames, flows), scene))
    for i, tap in enumerate(taps):
        tap.node = tap.node or roles.owner(evidence, i, scene)
    journeys = join(frames, flows, scene, taps)
    verdicts = judge_hops(frames, scene, taps, journeys, scene.profile)
    verdicts += judge_presence(frames, flows, scene, taps, journeys)
    fits = fitting_profiles(frames, scene, taps, journeys)
    return conclude(
        frames, flows, scene, taps, journeys, verdicts, fits, notes, fail_on=fail_on, select=select, ignore=ignore, spec=loaded
    )


def _known(what: str, value: str | None, words: Collection[str]) -> None:
    if value is not None and value not in words:
        raise UsageError(f"unknown {what} {value!r}; one of: {', '.join(words)}")


def _sources(
    source: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None, spec: Spec | None
) -> tuple[list[TapInfo], list[PathLike]]:
    """Taps and their files, from what the caller gave or from the spec."""
    if source is None:
        stated = [t for t in spec.taps if t.file is not None] if spec is not None else []
        if not stated:
            raise UsageError("no capture given: name files, or a spec with [[tap]] tables that have a file")
        return _unique_files([(t.name, str(t.file)) for t in stated])
    if isinstance(source, Mapping):
        return _unique_files([(name, file) for name, file in source.items()])
    files: list[PathLike] = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    if not files:
        raise UsageError("no capture given")
    return _unique_files(list(zip(_names(files, spec), files, strict=True)))


def _unique_files(pairs: list[tuple[str, PathLike]]) -> tuple[list[TapInfo], list[PathLike]]:
    seen: dict[str, str] = {}
    for name, file in pairs:
        key = os.fspath(file) if os.fspath(file) == "-" else os.path.realpath(file)
        if key in seen:
            raise UsageError(f"{os.fspath(file)} is given twice, as {seen[key]} and {name}")
        seen[key] = name
    return [TapInfo(name, os.fspath(file)) for name, file in pairs], [file for _, file in pairs]


def _names(files: Sequence[PathLike], spec: Spec | None) -> list[str]:
    """Names of taps: as the spec calls a file, else the file's name without its ending, made unique."""
    names: list[str] = []
    for file in files:
        path = Path(os.fspath(file))
        stated = _stated_name(path, spec)
        stem = "stdin" if os.fspath(file) == "-" else path.name.split(".")[0] or path.name
        name, i = stated or stem, 2
        while name in names:
            name, i = f"{stated or stem}-{i}", i + 1
        names.append(name)
    return names


def _stated_name(path: Path, spec: Spec | None) -> str | None:
    for tap in spec.taps if spec is not None else ():
        if tap.file is not None and os.path.realpath(tap.file) == os.path.realpath(path):
            return tap.name
    return None


def load(
    book: AddressBook, taps: list[TapInfo], captures: list[Capture], spec: Spec | None
) -> tuple[list[TapInfo], Frames, list[str]]:
    """Read all captures; a file with several interfaces becomes several taps."""
    out: list[TapInfo] = []
    records, index, numbers, notes = [], [], [], []
    for tap, capture in zip(taps, captures, strict=True):
        interfaces: dict[int, int] = {}
        for window in capture.windows():
            rec = window.rec.copy()
            used = np.unique(rec["iface"])
            for i in used:
                if int(i) not in interfaces:
                    interfaces[int(i)] = len(out)
                    out.append(_interface_tap(tap, capture, int(i)))
            place = np.asarray([interfaces[int(i)] for i in used], np.int64)[np.searchsorted(used, rec["iface"])]
            for i in np.unique(place):
                out[i].packets += int((place == i).sum())
                out[i].octets += int(rec["wirelen"][place == i].sum())
            records.append(rec)
            index.append(place)
            numbers.append(np.arange(len(rec), dtype=np.int64) + window.first_row + 1)
        if not interfaces:
            out.append(tap)
        elif len(interfaces) == 1:
            out[-1].name, out[-1].interface = tap.name, None
        notes += [f"{tap.name}: {note}" for note in capture.notes]
    if not any(len(r) for r in records):
        raise CaptureError(f"{', '.join(t.file for t in taps)}: no packets")
    _state_taps(out, spec)
    return out, Frames(book, np.concatenate(records), np.concatenate(index), np.concatenate(numbers)), notes


def _interface_tap(tap: TapInfo, capture: Capture, number: int) -> TapInfo:
    known = capture.interfaces[number] if number < len(capture.interfaces) else None
    name = known.name if known is not None and known.name else str(number)
    return TapInfo(name if name else tap.name, tap.file, interface=name)


def _state_taps(taps: list[TapInfo], spec: Spec | None) -> None:
    """What the spec says about taps: their node and link."""
    for tap in taps:
        for stated in spec.taps if spec is not None else ():
            by_name = stated.name == tap.name
            by_file = stated.file is not None and os.path.realpath(stated.file) == os.path.realpath(tap.file)
            by_interface = stated.interface is not None and stated.interface == tap.interface
            if by_interface or (stated.interface is None and (by_file or (by_name and stated.file is None))):
                tap.name, tap.node, tap.link = stated.name, stated.node, stated.link


def _without_clients(f: Frames, flows: Flows, scene: Scene) -> Flows:
    """Full NAT replaces the client's address, so nothing but TCP's numbers, ids and payload identify a packet."""
    own = np.isin(flows.server >> 16, list(scene.vips | scene.ips("real-server")))
    bare = identities(f, flows.direction, flows.client, addressless=True)
    return Flows(flows.direction, flows.client, flows.server, np.where(own, bare, flows.identity))


__all__ = ["load", "mix", "verify"]
