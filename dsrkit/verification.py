"""`verify`: captures in, a report out. Rewrites are judged by `dsrkit.verify`, everything else by the mechanisms,
and `dsrkit.diagnose` names the causes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias, TypedDict, TypeGuard, cast

from dsrkit.diagnose.evidence import Evidence
from dsrkit.diagnose.reason import diagnose
from dsrkit.mechanisms import MECHANISMS
from dsrkit.model.baseline import Baseline
from dsrkit.model.report import Report
from dsrkit.model.spec import Spec
from dsrkit.verify.batches import PathLike, named_sources
from dsrkit.verify.pipeline import examine

Source: TypeAlias = PathLike | Sequence[PathLike] | Mapping[str, PathLike | Sequence[PathLike]] | None


class _Said(TypedDict):
    spec: Spec | None
    mode: str | None
    profile: str | None
    vip: Collection[str]
    fail_on: str
    select: Collection[str]
    ignore: Collection[str]


def verify(
    source: Source = None,
    *,
    spec: Spec | PathLike | None = None,
    mode: str | None = None,
    profile: str | None = None,
    vip: Collection[str] = (),
    fail_on: str = "warning",
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    baseline: PathLike | None = None,
    jobs: int = 1,
    cluster: str | None = None,
) -> Report:
    """Check captures against what their mode promises at each hop.

    `source` is one file, several, or names of taps with their files; ``-`` is standard input. Without it the spec's
    taps are read. Several files of one tap, as captures are rotated, are judged in slices of time; with `cluster`, the
    address of a dask scheduler, its workers judge them. What neither `spec` nor the options state is inferred, and the
    report says from what.

    `select` and `ignore` are codes, names, or beginnings of codes and of ids of cells. What `baseline`, an earlier
    report as JSON, holds already is marked as known and does not count for the exit code. `jobs` threads work at once,
    or so many processes judge slices; the report is the same.

    Raises: DsrkitError for what the caller can mend: files, spec, options.
    """
    loaded = _loaded(spec, select, ignore)
    before = Baseline.load(baseline) if baseline is not None else None
    said: _Said = {
        "spec": loaded,
        "mode": mode,
        "profile": profile,
        "vip": vip,
        "fail_on": fail_on,
        "select": select,
        "ignore": ignore,
    }
    if cluster is None and not _rotated(source):
        whole = cast("PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None", source)
        report = examine(whole, observers=(*MECHANISMS, Evidence), diagnose=diagnose, jobs=jobs, **said)
    else:
        report = _in_slices(source, cluster, jobs, said)
    return before.mark(report) if before is not None else report


def _loaded(spec: Spec | PathLike | None, select: Collection[str], ignore: Collection[str]) -> Spec | None:
    """The spec. Raises: DsrkitError where it, or an option, chooses findings by a word that none has."""
    if spec is None and not select and not ignore:
        return None
    from dsrkit.diagnose.chosen import check_spec, check_words  # loads the catalogue

    check_words("select", select)
    check_words("ignore", ignore)
    if spec is None:
        return None
    loaded = spec if isinstance(spec, Spec) else Spec.load(spec)
    check_spec(loaded)
    return loaded


def _rotated(source: Source) -> TypeGuard[Mapping[str, PathLike | Sequence[PathLike]]]:
    """Whether a tap has several files."""
    return isinstance(source, Mapping) and not all(isinstance(file, (str, os.PathLike)) for file in source.values())


def _in_slices(source: Source, cluster: str | None, jobs: int, said: _Said) -> Report:
    from dsrkit.cluster import executors, plan
    from dsrkit.cluster.work import Stated

    if isinstance(source, Mapping):
        files = {name: [file] if isinstance(file, (str, os.PathLike)) else list(file) for name, file in source.items()}
    else:
        files = {name: [file] for name, file in named_sources(source, said["spec"])}
    stated = Stated.of(**said)
    observers = (*MECHANISMS, Evidence)
    if cluster is None:
        here = executors.Processes(jobs) if jobs > 1 else executors.Here()
        return plan.examine(files, here, stated, observers=observers, diagnose=diagnose)
    with executors.Cluster(cluster) as workers:
        return plan.examine(files, workers, stated, observers=observers, diagnose=diagnose)
