"""What verify makes of crafted faults: the confusion matrix.

    python benchmarks/confusion.py [--quick] [--only GLOB] [--jobs N] [--each N] [-v] [--write]

Each case is crafted, verified blind, and judged by the codes of `alike.py`. ``--only`` takes a pattern of the case as
``-v`` prints it ("DSR3* l2dsr*"); ``--write`` puts the table into docs/confusion.md and the counts into ratchet.toml,
unless a number got worse: then the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import dsrkit
from confusion.alike import NAMED_BY_MODE, goes_with, right_for
from confusion.cases import Case, faulty, healthy, representative
from dsrkit.craft.faults import FAULTS
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.names import MODES
from dsrkit.model.report import Finding, Report

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PAGE: Final = ROOT / "docs" / "confusion.md"
RATCHET: Final = HERE / "ratchet.toml"

SIGNS: Final = {
    "first": "✓",
    "listed": "≈",
    "unnamed": "·",
    "silent": "–",
    "wrong": "✗",
    "quiet": "○",
    "alarm": "✗",
}
MEANING: Final = {
    "first": "the fault's own code comes first; for information only, where nothing breaks or is proven to",
    "listed": "it is among the candidates, or the first code has the same packet picture",
    "unnamed": "what is broken is reported, without a cause",
    "silent": "nothing is reported",
    "wrong": "something else is accused",
    "quiet": "nobody is accused, as it must be where only the capture is odd",
}
RIGHT: Final = ("first", "listed", "quiet")
GROWS: Final = ("right", "first")
SHRINKS: Final = ("wrong", "untidy")


@dataclass(frozen=True)
class Result:
    """What became of one case; `untidy` if something is reported beside what names the fault."""

    case: Case
    outcome: str
    untidy: bool = False
    codes: tuple[str, ...] = ()


def run(case: Case) -> Result | None:
    """Craft, verify, judge; None for a case that cannot be crafted. Verify is told the mode only where the fault is
    that the set-up is called what it is not."""
    scenario = case.craft()
    if scenario is None:
        return None
    said = case.mode if case.fault is not None and FAULTS[case.fault].acts_as is not None else None
    taps = case.taps(scenario.taps)
    with tempfile.TemporaryDirectory() as folder:
        if taps == scenario.taps:
            path = Path(folder, "all.pcapng")
            scenario.write(path)
            report = dsrkit.verify(path, mode=said)
        else:
            scenario.write_split(folder)
            report = dsrkit.verify({tap: Path(folder, f"{tap}.pcap") for tap in taps}, mode=said)
    return judge(case, report, every_tap=taps == scenario.taps and not case.row["weather"].get("loss"))


def judge(case: Case, report: Report, *, every_tap: bool) -> Result:
    """What a report says of the fault that its packets have."""
    loud = [finding for finding in report.findings if finding.severity != "info"]
    if case.fault is None:
        return Result(case, "alarm" if loud else "quiet", codes=tuple(finding.code for finding in loud))
    right = right_for(case.fault, every_tap=every_tap)
    hints = [f for f in report.findings if f.severity == "info" and case.fault in f.candidates]
    named = [f for f in loud if f.code in ENTRIES and means(f, right, case.fault)]
    beside = goes_with(case.fault)
    wrong = [f for f in loud if f.code in ENTRIES and f not in named and not beside & {f.code, *f.candidates}]
    bare = [finding for finding in loud if finding.code not in ENTRIES]
    codes = tuple(dict.fromkeys(finding.code for finding in (*named, *hints, *loud)))
    if wrong:
        return Result(case, "wrong", codes=codes)
    if named or hints:
        first = any(finding.code == case.fault for finding in (*named, *hints))
        return Result(case, "first" if first else "listed", bool(bare) or len(named) > 1, codes)
    if bare or loud:
        return Result(case, "unnamed", codes=codes)
    return Result(case, "quiet" if case.fault.startswith("CAP") else "silent", codes=codes)


def means(finding: Finding, right: frozenset[str], fault: str) -> bool:
    """Whether a finding names a fault: by a right code in front, or by its own among the candidates."""
    return finding.code in right or not {fault, *NAMED_BY_MODE.get(fault, ())}.isdisjoint(finding.candidates)


def run_all(cases: Iterable[Case], jobs: int) -> Iterator[Result]:
    """Results in the order of the cases."""
    if jobs == 1:
        yield from (result for case in cases if (result := run(case)) is not None)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from (result for result in pool.map(run, cases, chunksize=8) if result is not None)


Counts = dict[str, int]


def counts(results: Iterable[Result]) -> Counts:
    """How often each outcome was, and the numbers that may never get worse: those of `GROWS` and of `SHRINKS`."""
    count = Counter(dict.fromkeys(("cases", *GROWS, *SHRINKS), 0))
    for result in results:
        count["cases"] += 1
        count[result.outcome] += 1
        count["right"] += result.outcome in RIGHT
        count["wrong"] += result.outcome == "alarm"
        count["untidy"] += result.untidy
    return dict(count)


def groups(results: Iterable[Result]) -> dict[str, Counts]:
    """Counts of the cases as they are, of the varied ones, and of healthy set-ups."""
    held: dict[str, list[Result]] = {"plain": [], "varied": [], "healthy": []}
    for result in results:
        held["healthy" if result.case.fault is None else "plain" if result.case.plain else "varied"].append(result)
    return {name: counts(members) for name, members in held.items()}


def areas(results: Iterable[Result]) -> dict[str, Counts]:
    """Counts by the area of the fault."""
    held: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        held[area_of(result.case)].append(result)
    return {name: counts(members) for name, members in sorted(held.items())}


def area_of(case: Case) -> str:
    return case.fault[:3] if case.fault is not None else "healthy"


def worse(now: Counts, before: Counts) -> list[str]:
    """What got worse, in words."""
    return [
        f"{name}: {now[name]}, and was {before[name]}"
        for names, sign in ((GROWS, 1), (SHRINKS, -1))
        for name in names
        if name in before and (now[name] - before[name]) * sign < 0
    ]


def summary(by_group: Mapping[str, Counts]) -> list[str]:
    """The counts in sentences."""
    lines = []
    for kind, words in (("plain", "with every tap"), ("varied", "varied, many with taps missing")):
        count = by_group[kind]
        if count["cases"]:
            parts = ", ".join(f"{count.get(outcome, 0)} {outcome}" for outcome in MEANING)
            share = count["right"] / count["cases"]
            lines.append(
                f"{count['cases']:,} faulty set-ups {words}: {parts}. Right: {count['right']:,} ({share:.0%});"
                f" with more beside it: {count['untidy']}."
            )
    lines.append(f"{by_group['healthy']['cases']} healthy set-ups: {by_group['healthy']['wrong']} false alarms.")
    return lines


def ratchet() -> dict[str, dict[str, Counts]]:
    """The numbers as they were: of the whole matrix by group, of the tests' share by area."""
    return tomllib.loads(RATCHET.read_text(encoding="utf-8")) if RATCHET.is_file() else {}


def write_ratchet(held: Mapping[str, Mapping[str, Counts]]) -> None:
    lines = ["# Written by benchmarks/confusion.py --write: right may only grow, wrong and untidy only shrink."]
    for share, members in sorted(held.items()):
        for name, count in members.items():
            lines += ["", f"[{share}.{name}]", *(f"{key} = {number}" for key, number in count.items())]
    RATCHET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(results: Iterable[Result]) -> list[str]:
    """Faults by modes, of the cases with every tap: a sign for IPv4, one for IPv6."""
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for result in results:
        case = result.case
        if case.fault is not None and case.plain:
            sign = SIGNS[result.outcome] + ("+" if result.untidy else "")
            cells[case.fault, case.mode][case.ip] = sign
    modes = [mode for mode in MODES if any(mode == held for _, held in cells)]
    lines = [f"| fault | {' | '.join(modes)} |", f"| --- |{' --- |' * len(modes)}"]
    for code in FAULTS:
        row = [" ".join(cells[code, mode].get(ip, " ") for ip in "46").strip() for mode in modes]
        if any(row):
            lines.append(f"| {code} `{FAULTS[code].name}` | {' | '.join(row)} |")
    return lines


def page(results: list[Result]) -> str:
    """The page of the documentation."""
    meaning = [f"| {SIGNS[outcome]} | {outcome} | {words} |" for outcome, words in MEANING.items()]
    return "\n".join(
        [
            "# The confusion matrix",
            "",
            "What `dsrkit verify` makes of every fault that `dsrkit craft` can build, in every mode that can have it,",
            "with IPv4 and IPv6 (the two signs of a cell). Nothing is told to verify but the packets, and for PRX804,",
            "NAT that is called a proxy, what it is called: by itself it is in order. Written by",
            "`python benchmarks/confusion.py --write`; tests hold that the numbers never get worse.",
            "",
            "Crafted faults show what a fault is said to look like. Whether it does is shown by recordings of real",
            "ones, which are judged apart, in [Method](method.md).",
            "",
            *(f"- {line}" for line in summary(groups(results))),
            "",
            "| sign | word | meaning |",
            "| --- | --- | --- |",
            *meaning,
            "",
            "A `+` stands where something else is reported beside the fault, which the same cause should explain. The",
            "varied set-ups change profile, seed, size, clients, links, clocks and loss, and leave out taps, so that",
            "any two such values meet; a missing tap may leave a fault unseen, but must not make another one of it.",
            "",
            *table(results),
            "",
        ]
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the share that the tests run")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="cases that match")
    parser.add_argument("--plain", action="store_true", help="no variations")
    parser.add_argument("--each", type=int, default=4, metavar="N", help="variations of each case")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--write", action="store_true", help="write docs/confusion.md and the ratchet")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each case")
    chosen = parser.parse_args(arguments)
    each = 0 if chosen.plain else chosen.each
    cases = [*representative()] if chosen.quick else [*healthy(each=each), *faulty(each=each)]
    if chosen.only:
        cases = [case for case in cases if any(fnmatchcase(f"{case} ", f"{glob}*") for glob in chosen.only)]
    start = time.monotonic()
    results = []
    for result in run_all(cases, chosen.jobs):
        results.append(result)
        if chosen.verbose or result.outcome in ("wrong", "alarm"):
            print(f"{result.outcome + ('+' if result.untidy else ''):9s} {result.case}: {', '.join(result.codes)}")
            sys.stdout.flush()
    now = areas(results) if chosen.quick else groups(results)
    print("", *table(results), "", *summary(groups(results)), sep="\n")
    print(f"{len(results)} cases in {time.monotonic() - start:.0f} s")
    share, whole = "quick" if chosen.quick else "full", not (chosen.only or chosen.plain)
    held = ratchet()
    fallen = [f"{name}: {words}" for name, before in held.get(share, {}).items() for words in worse(now[name], before)]
    if whole and fallen:
        print("worse than before:", *fallen, sep="\n  ")
        return 1
    if chosen.write and whole:
        write_ratchet({**held, share: now})
        if share == "full":
            PAGE.write_text(page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
