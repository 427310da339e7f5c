"""What holds for every test, and counts that tests make for people to read at the end of the run."""

from __future__ import annotations

import os
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, settings

# Output to a pipe is as wide as its lines, unless the environment says otherwise, as that of a parallel run does.
os.environ.pop("COLUMNS", None)

# How long an example takes is the machine's affair: no test is about time.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often the cause of a recorded misconfiguration is named although taps are missing."""
    from missing_taps import PROPERTY  # only where there is something to say

    rows: dict[str, dict[str, str]] = defaultdict(dict)
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    scenario, size, right, unnamed, subsets = value
                    rows[scenario][size] = f"{right} of {subsets}"
                    total[size] = [a + b for a, b in zip(total[size], (right, unnamed, subsets), strict=True)]
    if not rows:
        return
    sizes = sorted(total, reverse=True)
    terminalreporter.section("causes named with one or two taps")
    terminalreporter.write_line(f"{'':32s}" + "".join(f"{size:>14s}" for size in sizes))
    for scenario, counted in sorted(rows.items()):
        terminalreporter.write_line(f"{scenario:32s}" + "".join(f"{counted.get(size, ''):>14s}" for size in sizes))
    for size in sizes:
        right, unnamed, subsets = total[size]
        terminalreporter.write_line(
            f"{size}: {right} of {subsets} name the cause, {unnamed} more show that one is there"
        )
