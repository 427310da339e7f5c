"""Every recording in pcaps/ says where it came from, and its folder is complete."""

from __future__ import annotations

import json
import struct
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dsrkit.model.names import MODES, REWRITES

PCAPS = Path(__file__).parents[2] / "pcaps"
CASES = sorted(path.parent for path in PCAPS.glob("*/*/case.toml"))
KEYS = {"title", "mode", "made", "healthy", "expected", "provenance", "tap"}


def case_of(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))


def packets(path: Path) -> int:
    """Records of a little-endian pcap file, counted without dsrkit."""
    data = path.read_bytes()
    assert data[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"}, "not a little-endian pcap file"
    at, count = 24, 0
    while at < len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        count += 1
    assert at == len(data), "the last record is cut"
    return count


def test_every_mode_has_a_healthy_case() -> None:
    healthy = {case_of(folder)["mode"] for folder in CASES if case_of(folder)["healthy"]}
    assert healthy >= set(REWRITES)
    assert healthy == {folder.parent.name for folder in CASES} <= set(MODES)


def test_every_folder_is_a_case() -> None:
    folders = {path.parent for path in PCAPS.rglob("*.pcap")}
    assert folders == set(CASES)


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_case(folder: Path) -> None:
    case = case_of(folder)
    assert case.keys() - {"wrong", "fault"} == KEYS
    assert case["made"] == "recorded"
    assert case["title"].endswith(".")
    assert case["mode"] == folder.parent.name
    assert case["mode"] in case["expected"]["modes"]
    assert case["healthy"] == ("wrong" not in case) == (case["expected"]["exit_code"] == 0)
    for key in ("origin", "scenario", "kernel", "tcpdump", "load_balancer", "topology"):
        assert case["provenance"][key]
    for key in ("made_by", "truth"):
        assert (folder / case["provenance"][key]).is_file()
    assert [tap["file"] for tap in case["tap"]] == sorted(
        {path.name for path in folder.glob("*.pcap")}, key=order(case)
    )


def order(case: dict[str, Any]) -> Any:
    listed = [tap["file"] for tap in case["tap"]]
    return lambda name: listed.index(name) if name in listed else len(listed)


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_case_agrees_with_the_recording(folder: Path) -> None:
    case = case_of(folder)
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert truth["scenario"] == case["provenance"]["scenario"] == folder.name
    assert truth["healthy"] == case["healthy"]
    assert {c["file"]: c["packets"] for c in truth["captures"]} == {t["file"]: t["packets"] for t in case["tap"]}
    assert {t["file"]: packets(folder / t["file"]) for t in case["tap"]} == {
        t["file"]: t["packets"] for t in case["tap"]
    }
