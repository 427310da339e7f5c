"""tshark reads every fault of health checks and DNS round robin, in every mode and IP version, and finds it sound."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsrkit.craft.api import craft
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.frame import Frame
from dsrkit.craft.scenario import Scenario
from dsrkit.model.spec import Spec

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

PATHS = {
    "HCK701": ("l2dsr", "l3dsr-tunnel", "l3dsr-dscp"),
    "HCK702": ("l3dsr-dscp",),
    "HCK703": ("l2dsr", "l3dsr-tunnel", "l3dsr-dscp"),
    "HCK704": ("l3dsr-dscp",),
}
ALL_PATHS = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
LAYERS = ("ip", "tcp", "udp", "icmp", "icmpv6")
APART = 10**12  # nanoseconds between two scenarios of one file


def cases() -> list[tuple[str, str, dict[str, Any]]]:
    found: list[tuple[str, str, dict[str, Any]]] = []
    for fault in FAULTS.values():
        if not fault.code.startswith(("HCK", "DNS")):
            continue
        for mode in fault.modes:
            paths = PATHS.get(fault.code, ALL_PATHS) if mode == "health" else (None,)
            found += [(mode, fault.code, {"data_path": path, "ip": ip}) for path in paths for ip in ("4", "6")]
    return found


def test_tshark_finds_nothing_wrong(tmp_path: Path) -> None:
    frames: list[Frame] = []
    for number, (mode, code, options) in enumerate(cases()):
        scenario = craft(mode, fault=code, **options)
        assert scenario.kept
        frames += [replace(one, ts_ns=one.ts_ns + number * APART, comment=code) for one in scenario.kept]
    file = tmp_path / "all.pcapng"
    assert Scenario("health", "ipvs", tuple("ABCD"), Spec(), kept=tuple(frames)).write(file) == len(frames) > 3000
    wrong = " || ".join(("_ws.malformed", *(f"{layer}.checksum.status==0" for layer in LAYERS)))
    # segments of many scenarios with the same ports, seen at several taps, are no stream that could be put together
    options = [
        f"-o{name}:{value}"
        for name, value in (
            ("ip.check_checksum", "TRUE"), ("tcp.check_checksum", "TRUE"), ("udp.check_checksum", "TRUE"),
            ("tcp.desegment_tcp_streams", "FALSE"), ("tcp.analyze_sequence_numbers", "FALSE"),
        )
    ]  # fmt: skip
    assert read(file, *options, "-Y", wrong) == ""
    fields = ["-Tfields", "-edns.qry.name", "-ehttp.request.uri", "-eicmp.type"]
    seen = {word for line in read(file, *options, *fields).splitlines() for word in line.split("\t")}
    assert {"www.example.com", "/health", "3", "8", "0"} <= seen


def read(file: Path, *options: str) -> str:
    """What tshark prints about a file."""
    return subprocess.run(["tshark", "-n", "-r", file, *options], capture_output=True, text=True, check=True).stdout


def test_the_same_seed_gives_the_same_octets() -> None:
    for code in ("HCK706", "HCK702", "DNS601"):
        mode = FAULTS[code].modes[-1]
        assert craft(mode, fault=code, seed=5).kept == craft(mode, fault=code, seed=5).kept
        assert craft(mode, fault=code, seed=5).kept != craft(mode, fault=code, seed=6).kept
