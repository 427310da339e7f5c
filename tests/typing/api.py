"""Every public name as a user writes it, for the type checker alone: nothing here runs.

`make lint` checks this file with mypy --strict against the installed package.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt

import dsrkit
from dsrkit import (
    Capture,
    CaptureError,
    Columns,
    DsrkitError,
    Finding,
    MissingDependency,
    Report,
    Scenario,
    Spec,
    SpecError,
    UsageError,
    craft,
    decode,
    explain,
    forward,
    pcaps,
    read,
    verify,
)
from dsrkit.testing import Bench, Goldens, assert_forwarded, assert_frames, assert_golden, assert_verified, scenario


def version() -> str:
    return dsrkit.__version__


def verify_one(path: Path) -> Report:
    return verify(path)


def verify_many() -> Report:
    return verify(["A_client.pcap", Path("B_lb.pcap")], mode="l2dsr", profile="ipvs", vip=["203.0.113.10"])


def verify_taps() -> Report:
    return verify({"A": "a.pcap", "B": Path("b.pcapng")}, fail_on="error", select=["l2dsr"], ignore={"l2dsr.lb.ip.ttl"})


def verify_by_spec_file() -> Report:
    return verify(spec="dsr.toml")


def verify_by_spec(spec: Spec) -> Report:
    return verify("a.pcap", spec=spec)


def summary(report: Report) -> tuple[int, str]:
    for finding in report.findings:
        assert_type(finding, Finding)
        print(finding.code, finding.message)
    assert_type(report.to_json(), str)
    return report.exit_code, report.to_json()


def merged(first: Report, second: Report) -> Report:
    return first.merge(second, Report.load("third.json", fail_on="error"))


def crafted(spec: Spec) -> Scenario:
    scenario = craft("l3dsr-tunnel", spec, profile="ipvs", fault="TUN401", flows=4, seed=7, tunnel="ipip", request=3000)
    for frame in scenario.frames("B"):
        print(frame.ts_ns, frame.data.hex(), frame.comment)
    assert_type(scenario["B"], list[bytes])
    assert_type(scenario.write("l3dsr-tunnel.pcapng"), int)
    assert_type(scenario.write_split("captures"), list[Path])
    return scenario


def forwarded(frame: bytes, spec: Spec) -> list[bytes]:
    return forward(frame, "lb1", spec, profile="ipvs")


def columns(path: str) -> Columns:
    capture = read(path)
    assert_type(capture, Capture)
    return decode(capture, fields=["ip.dst#2"])


def present(c: Columns) -> npt.NDArray[np.bool_]:
    return c.present("ip#2")


def page() -> str:
    assert_type(explain("DSR301", width=72), str)
    return explain("l2dsr.lb.ip.ttl")


def library(name: str) -> tuple[str, list[Path]]:
    assert_type(pcaps(), tuple[str, ...])
    case = pcaps(name)
    assert_type(case.spec, Spec)
    return case.expected.codes[0], list(case.paths)


def mistake(error: DsrkitError) -> str:
    match error:
        case CaptureError():
            return "capture"
        case SpecError():
            return "spec"
        case UsageError():
            return "usage"
        case MissingDependency():
            return "dependency"
        case _:
            return str(error)


def tested(goldens: Goldens, frames: list[bytes], spec: Spec) -> Report:
    bench = scenario("l2dsr", profile="ipvs", fault=None, flows=2)
    assert_type(bench, Bench)
    assert_type(bench.frames("B.in", node="lb1", arp=True), list[bytes])
    bench.expect("B.out").matches(frames, ignore=["ip.id"])
    goldens.check(bench.crafted, "l2dsr/all", mode="l2dsr", how="rerun", only=["ip.*"])
    assert_golden({"B": frames}, "l2dsr/b", folder="pcaps", update=False)
    assert_frames(frames, iter(frames), what="what came out")
    assert_forwarded(frames[0], frames[1:], "lb1", spec, profile="katran")
    allow = [{"code": "ARP107", "node": "web1", "reason": "arp_accept is off on purpose"}]
    return assert_verified({"B": "b.pcap"}, mode="l2dsr", spec=spec, allow=["DSC513", *allow])
