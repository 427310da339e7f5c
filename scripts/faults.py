"""Build every fault of the lab in every mode that has it, and print what clients and verify saw, as a table.

Usage: ``python scripts/faults.py [--engine auto|host|uml] [--ip 4|6] [--into DIR] [CODE ...]`` as root. The table for
IPv4 and the count below it are those of docs/lab.md. Exit code 1 if the misconfiguration showed nowhere, or a lab could
not be built.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dsrkit.errors import DsrkitError, MissingDependency, UsageError
from dsrkit.lab.faults import FAULTS
from dsrkit.lab.plan import Wishes, lab
from dsrkit.lab.run import Outcome, run
from dsrkit.model.report import Finding

FLOWS = 6
HEAD = "| code | mode | engine | requests served | verify, by the spec |\n|---|---|---|---|---|"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--ip", default="4", choices=("4", "6"))
    parser.add_argument("--into", type=Path, metavar="DIR", help="keep the recordings there")
    parser.add_argument("codes", nargs="*", metavar="CODE")
    chosen = parser.parse_args()
    if unknown := set(chosen.codes) - set(FAULTS):
        parser.error(f"no fault {', '.join(sorted(unknown))}")
    if chosen.into is not None:
        chosen.into.mkdir(parents=True, exist_ok=True)
    print(HEAD)
    failed = False
    counts: Counter[str] = Counter()
    for code, mode in pairs(chosen.codes):
        wishes = Wishes(engine=chosen.engine, flows=FLOWS, fault=code)
        try:
            planned = lab(mode, None, wishes, ip=chosen.ip)
            outcome = run(planned, wishes, chosen.into and chosen.into / f"{code}-{mode}")
        except (UsageError, MissingDependency) as error:
            print(f"{code} {mode}: {error}", file=sys.stderr, flush=True)
            continue
        except DsrkitError as error:
            print(f"{code} {mode}: {error}", file=sys.stderr, flush=True)
            failed = True
            continue
        failed |= outcome.exit_code == 0
        cells = (f"`{code}`", f"`{mode}`", planned.engine.name, f"{outcome.served} of {outcome.asked}", said(outcome))
        print(f"| {' | '.join(cells)} |", flush=True)
        counts[sign(code, outcome)] += 1
    print("\n" + ", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return int(failed)


def pairs(codes: list[str]) -> Iterator[tuple[str, str]]:
    for code, fault in FAULTS.items():
        if not codes or code in codes:
            yield from ((code, mode) for mode in fault.modes)


def said(outcome: Outcome) -> str:
    return ", ".join(dict.fromkeys(map(named, alarms(outcome)))) or "nothing"


def alarms(outcome: Outcome) -> list[Finding]:
    """What is wrong; what is only worth knowing says nothing about a fault."""
    return [one for one in outcome.report.findings if one.severity != "info"]


def named(finding: Finding) -> str:
    """The finding's code, and those that the same packets could mean."""
    others = [f"`{code}`" for code in finding.candidates if code != finding.code]
    return f"`{finding.code}`" + (f" (or {', '.join(others)})" if others else "")


def sign(code: str, outcome: Outcome) -> str:
    found = alarms(outcome)
    if any(one.code == code for one in found):
        return "first"
    if any(code in one.candidates for one in found):
        return "among the candidates"
    return "something else" if found else "nothing"


if __name__ == "__main__":
    sys.exit(main())
