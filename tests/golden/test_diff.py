"""`compare` on recordings of healthy set-ups: two places on a path differ in nothing but what the nodes are for."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import scenarios

from dsrkit.compare.compare import compare

HEALTHY = [
    folder
    for mode in ("nat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
    for folder in sorted((scenarios.PCAPS / mode).iterdir())
    if folder.name.startswith(("ipvs-", "l3dsr-"))
]


def places(folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of taps that packets pass one after the other: not two servers."""
    files = sorted(folder.glob("*.pcap"))
    return [(a, b) for a, b in combinations(files, 2) if not ("_rs" in a.name and "_rs" in b.name)]


@pytest.mark.parametrize("folder", HEALTHY, ids=lambda folder: folder.name)
def test_nothing_unexpected_between_two_places(folder: Path) -> None:
    looked = 0
    for a, b in places(folder):
        found = compare(a, b)
        if found.how != "path":
            continue
        looked += found.pairs
        assert not found.unexpected, (a.name, b.name, [(d.field, d.values[0]) for d in found.unexpected])
    assert looked > 300
