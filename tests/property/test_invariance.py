"""A verdict is about what happens to packets: names, addresses, the order of files and clocks do not matter."""

from __future__ import annotations

import ipaddress
import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rewriting import Names, records, rewrite
from scenarios import PCAPS, Scenario

import dsrkit
from dsrkit.model.report import Report

SCENARIOS = [
    "nat/b06-nat-reply-bypass",
    "fullnat/ipvs-fullnat",
    "nat/ipvs-nat",
    "l2dsr/b17-dr-rs-firewall-reject",
    "l2dsr/b10-dr-arp-announce-wrong",
    "l2dsr/b02-dr-arp-flux",
    "l3dsr-dscp/b05-dscp-mismatch",
    "l3dsr-tunnel/b07-tun-mtu-frag-needed",
    "l3dsr-tunnel/ipvs-tun-gue",
    "l3dsr-tunnel/ipvs-tun-6in6",
]
TAPS = 6
KINDS = ("macs", "addresses", "ports", "clocks", "order")
EACH = pytest.mark.parametrize("name", SCENARIOS, ids=lambda name: name.rpartition("/")[2])
shifts = st.lists(st.integers(-3_600_000_000, 3_600_000_000), min_size=TAPS, max_size=TAPS)
"""Microseconds by which each tap's clock goes wrong."""


@cache
def scenario(name: str) -> Scenario:
    return Scenario(PCAPS / name)


@cache
def before(name: str) -> Report:
    return dsrkit.verify({path.stem: path for path in scenario(name).files})


def packed(text: str) -> bytes:
    is_mac = len(text) == 17 and all(len(part) == 2 for part in text.split(":"))
    return bytes.fromhex(text.replace(":", "")) if is_mac else ipaddress.ip_address(text).packed


def picture(report: Report, taps: dict[str, str], old: dict[bytes, bytes]) -> dict[str, Any]:
    """What a report says, in the names of the original capture."""
    files = {tap.file: taps[tap.name] for tap in report.taps}

    def hop(text: str) -> str:
        if text in {node.name for node in report.nodes}:
            return str(sorted(machine(text)))
        return "→".join(point(p) for p in text.split("→")) if text else ""

    def point(name: str) -> str:
        tap, dot, end = name.partition(".")
        return taps.get(tap, tap) + dot + end  # a hop may also be called "all taps"

    def machine(name: str) -> frozenset[bytes]:
        return next((frozenset(keys(n)) for n in report.nodes if n.name == name), frozenset())

    def keys(node: dsrkit.model.report.Node) -> set[bytes]:
        return {old.get(packed(text), packed(text)) for text in (*node.ip, *node.mac)}

    return {
        "mode": (report.mode, report.mode_from, report.profile, report.mechanisms),
        "exit": report.exit_code,
        "vip": {old.get(packed(vip), packed(vip)) for vip in report.service.vip},
        "service": (set(report.service.ports), report.service.tunnel),
        "nodes": sorted((node.role, sorted(keys(node))) for node in report.nodes),
        "taps": sorted((taps[t.name], machine(t.node or ""), t.link, t.packets, t.octets) for t in report.taps),
        "journeys": sorted(
            (point(j.source), point(j.target), j.direction, j.protocol, j.paired, j.unpaired) for j in report.journeys
        ),
        "cells": sorted(
            (c.cell, hop(c.hop), c.direction, c.verdict, c.checked, c.failed, c.reason or "") for c in report.cells
        ),
        "findings": sorted(
            (f.code, f.severity, f.count, sorted(f.symptoms), sorted(sorted(machine(n)) for n in f.nodes))
            for f in report.findings
        ),
        "frames": sorted((f.code, sorted((files[x.file], x.frame) for x in f.frames)) for f in report.findings),
        "traffic": report.traffic,
    }


def after(name: str, kinds: set[str], seed: int, order: list[int], by_us: list[int]) -> dict[str, Any]:
    """The picture of the same packets under other names."""
    rng = random.Random(seed)
    names = Names(rng, macs="macs" in kinds, addresses="addresses" in kinds, ports="ports" in kinds)
    files = scenario(name).files
    with tempfile.TemporaryDirectory() as folder:
        taps: dict[str, Path] = {}
        original: dict[str, str] = {}
        for i in order if "order" in kinds else range(len(files)):
            tap = f"t{rng.randrange(10**9)}-{i}" if "order" in kinds else files[i].stem
            taps[tap] = Path(folder, f"{tap}.pcap")
            original[tap] = files[i].stem
            rewrite(files[i], taps[tap], names, by_us[i] if "clocks" in kinds else 0)
        return picture(dsrkit.verify(taps), original, names.old())


@EACH
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@example(kinds=set(KINDS), seed=1, order=[5, 3, 0, 2, 4, 1], by_us=[0, 1, -7, 123_456_789, -2_000_000_000, 600_001])
@given(
    kinds=st.sets(st.sampled_from(KINDS), min_size=1),
    seed=st.integers(0, 2**32),
    order=st.permutations(range(TAPS)),
    by_us=shifts,
)
def test_names_order_and_clocks_do_not_matter(
    name: str, kinds: set[str], seed: int, order: list[int], by_us: list[int]
) -> None:
    report = before(name)
    expected = picture(report, {tap.name: tap.name for tap in report.taps}, {})
    found = after(name, kinds, seed, order, by_us)
    if "order" in kinds:
        # Of what several taps show, the first tap is named and the first frames are shown, first in the order given.
        del expected["frames"]
        for one in (expected, found):
            one["cells"] = sorted((c, hop if "→" in hop else "", *rest) for c, hop, *rest in one["cells"])
    for part, value in expected.items():
        assert found[part] == value, part


@EACH
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(by_us=shifts)
def test_clock_offsets_take_wrong_clocks_back(name: str, by_us: list[int]) -> None:
    files = scenario(name).files
    names = Names(random.Random(0), macs=False, addresses=False, ports=False)
    with tempfile.TemporaryDirectory() as folder:
        for path, shift in zip(files, by_us, strict=True):
            rewrite(path, Path(folder, path.name), names, shift)
        moved = dsrkit.verify({path.stem: Path(folder, path.name) for path in files})
    joined = {point.partition(".")[0] for j in moved.journeys if j.paired for point in (j.source, j.target)}
    for old, new, shift in zip(before(name).taps, moved.taps, by_us, strict=True):
        if new.name in joined:
            taken_back = new.clock_offset_ns - old.clock_offset_ns
            assert taken_back == pytest.approx((by_us[0] - shift) * 1000, abs=2), new.name


@pytest.mark.parametrize("path", sorted(PCAPS.glob("*/*/A_client.pcap")), ids=lambda path: path.parent.name)
def test_rewriting_there_and_back(path: Path, tmp_path: Path) -> None:
    """The rewriter itself: nothing of the old names is left, and the way back gives every octet again."""
    names = Names(random.Random(7))
    rewrite(path, tmp_path / "there.pcap", names, 5)
    back = Names(random.Random(8))
    back.known = names.old()
    back.factor = pow(names.factor, -1, 32768)
    back.offset = -names.offset * back.factor % 32768
    rewrite(tmp_path / "there.pcap", tmp_path / "back.pcap", back, -5)
    there, here = ((tmp_path / f"{end}.pcap").read_bytes() for end in ("there", "back"))
    assert here == path.read_bytes()
    assert len(there) == len(here)
    assert len(names.known) >= 4
    for old in names.known:
        if len(old) == 6:
            assert not any(old in frame[:14] for *_, frame in records(there))
