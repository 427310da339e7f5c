"""Other projects' captures, ordinary traffic of every kind: nobody is accused of what only load balancers do.

The vectors lie in the folder that DSRKIT_VECTORS names.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scenarios import loud

import dsrkit
from dsrkit.errors import CaptureError

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
SOURCES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir()) if VECTORS.is_dir() else []
BALANCED = {"katran", "yahoo-l3dsr"}
"""Packets of load balancers: made for tests one by one, they need not make sense as traffic."""

pytestmark = pytest.mark.skipif(not SOURCES, reason=f"no third-party vectors: {VECTORS} is not there")


@pytest.mark.parametrize("source", SOURCES)
def test_nobody_is_accused(source: str) -> None:
    read, wrong = 0, []
    for path in sorted((VECTORS / source).rglob("*")):
        if path.suffix not in (".pcap", ".pcapng", ".cap"):
            continue
        try:
            report = dsrkit.verify(path)
        except CaptureError:
            continue
        read += 1
        if report.mode is None or source not in BALANCED:
            wrong += [f"{path.name}: {finding.code}: {finding.message}" for finding in loud(report)]
    assert read
    assert wrong == []
