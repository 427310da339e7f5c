"""`verify`: captures in, a report out. Rewrites are judged by `dsrkit.verify`, everything else by the mechanisms,
and `dsrkit.diagnose` names the causes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dsrkit.diagnose.chosen import check_spec, check_words
from dsrkit.diagnose.evidence import Evidence
from dsrkit.diagnose.reason import diagnose
from dsrkit.mechanisms import MECHANISMS
from dsrkit.model.baseline import Baseline
from dsrkit.model.report import Report
from dsrkit.model.spec import Spec
from dsrkit.verify.batches import PathLike
from dsrkit.verify.pipeline import examine


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
    baseline: PathLike | None = None,
    jobs: int = 1,
) -> Report:
    """Check captures against what their mode promises at each hop.

    `source` is one file, several, or names of taps with their files; ``-`` is standard input. Without it the spec's
    taps are read. What neither `spec` nor the options state is inferred, and the report says from what.

    `select` and `ignore` are codes, names, or beginnings of codes and of ids of cells. What `baseline`, an earlier
    report as JSON, holds already is marked as known and does not count for the exit code. `jobs` threads decode files
    at once; the report is the same.

    Raises: DsrkitError for what the caller can mend: files, spec, options.
    """
    check_words("select", select)
    check_words("ignore", ignore)
    loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
    if loaded is not None:
        check_spec(loaded)
    before = Baseline.load(baseline) if baseline is not None else None
    report = examine(
        source,
        spec=loaded,
        mode=mode,
        profile=profile,
        vip=vip,
        fail_on=fail_on,
        select=select,
        ignore=ignore,
        observers=(*MECHANISMS, Evidence),
        diagnose=diagnose,
        jobs=jobs,
    )
    return before.mark(report) if before is not None else report
