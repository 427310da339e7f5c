"""The generator of benchmarks/: what it calls healthy is, and verify finds what it breaks. Never a time."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import dsrkit
from dsrkit.wire import capture, scanner

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import compare
import generate
import peers
from damage import Damage, kinds_of
from generate import MODES, TUNNELS, Plan, Truth

SETUPS = [
    pytest.param(mode, tunnel, ip, id=f"{tunnel or mode}-ipv{ip}")
    for mode in MODES
    for tunnel in (TUNNELS if mode == "l3dsr-tunnel" else (None,))
    for ip in (4, 6)
]
BY_DESIGN = {"fullnat": {"NAT210"}}  # an info: servers do not see the client's address
KEPT = "flow-kept"
FAILS = {  # fault: the cells that fail, by their ends
    "ttl": ("ip.ttl",),
    "ip-checksum": ("ip.checksum", "outer.checksum"),
    "tcp-checksum": ("l4.checksum",),
    "address": (KEPT,),
    "mac": (KEPT, "lb.eth.dst"),
    "server": (KEPT,),
    "mark": ("ip.dsfield.dscp",),
    "outer-ds": ("outer.dsfield.dscp",),
    "payload": ("l4.payload",),
    "source": ("lb.reply.ip.src",),
}
COUNTED = {"lost": 1, "duplicated": 1, "reply-lost": 1}
"""Faults that are no finding but so many packets without a partner."""


def verified(truth: Truth) -> dsrkit.Report:
    return dsrkit.verify([str(path) for path in truth.files.values()])


def findings(report: dsrkit.Report) -> list[Any]:
    return [finding for finding in report.findings if finding.code not in BY_DESIGN.get(str(report.mode), ())]


def unpaired(report: dsrkit.Report) -> int:
    return sum(journey.unpaired for journey in report.journeys)


@pytest.mark.parametrize(("mode", "tunnel", "ip"), SETUPS)
def test_what_is_called_healthy_is(mode: str, tunnel: str | None, ip: int, tmp_path: Path) -> None:
    truth = generate.generate(Plan(mode=mode, tunnel=tunnel, ip=ip, packets=5000), tmp_path)
    assert truth.packets == {"before": 5000, "behind": 5000}
    report = verified(truth)
    assert report.exit_code == 0
    assert report.mode == mode
    assert findings(report) == []
    assert unpaired(report) == 0
    assert sum(journey.paired for journey in report.journeys) == 5000


@pytest.mark.parametrize(("mode", "tunnel", "ip"), SETUPS)
def test_another_decoder_agrees(mode: str, tunnel: str | None, ip: int, tmp_path: Path) -> None:
    pytest.importorskip("dpkt")
    truth = generate.generate(Plan(mode=mode, tunnel=tunnel, ip=ip, packets=300, connection=30), tmp_path)
    said = peers.job(peers.by_dpkt, *map(str, truth.files.values()))
    assert said == "300 paired, 0 different, 0 alone, 0 with a wrong checksum"


@pytest.mark.parametrize(("mode", "tunnel", "ip"), SETUPS)
def test_every_fault_is_found_and_nothing_else(mode: str, tunnel: str | None, ip: int, tmp_path: Path) -> None:
    kinds = kinds_of(mode, ip)
    plan = Plan(mode=mode, tunnel=tunnel, ip=ip, packets=5000, connection=40, faults=1, kinds=kinds)
    truth = generate.generate(plan, tmp_path)
    assert [damage.fault for damage in truth.faults] == list(kinds)
    report = verified(truth)
    found = findings(report)
    assert {damage.fault for damage in truth.faults if not is_found(damage, found)} <= set(COUNTED)
    assert unpaired(report) == sum(COUNTED.get(damage.fault, 0) for damage in truth.faults)
    for (
        cell
    ) in report.rules.detail:  # each cell fails as often as it was broken; a payload is summed in l4.checksum too
        of = [damage for damage in truth.faults if cell.cell.endswith(cells_of(damage))]
        alike = [d for d in truth.faults if "payload" in d.fault and cell.cell.endswith("l4.checksum") and cell.failed]
        assert cell.failed <= len(of) + len(alike), cell
    known = {frame for damage in truth.faults for frame in broken(damage)}
    for finding in found:
        if not any(symptom.endswith(KEPT) for symptom in finding.symptoms):  # that shows the packets around it too
            assert frames_of([finding]) <= known, finding


def cells_of(damage: Damage) -> tuple[str, ...]:
    return FAILS.get(damage.fault.removeprefix("reply-"), ())


def is_found(damage: Damage, found: Iterable[Any]) -> bool:
    """Whether a finding about such a cell names the packet at the tap where it is broken."""
    ends = cells_of(damage)
    mine = [finding for finding in found if ends and any(cell.endswith(ends) for cell in finding.symptoms)]
    return {(damage.tap, frame) for frame in damage.frames.get(damage.tap, [])} <= frames_of(mine) and bool(mine)


def frames_of(found: Iterable[Any]) -> set[tuple[str, int]]:
    return {(Path(ref.file).name.partition(".")[0], ref.frame) for finding in found for ref in finding.frames}


def broken(damage: Damage) -> set[tuple[str, int]]:
    return {(tap, frame) for tap, frames in damage.frames.items() for frame in frames}


@pytest.mark.parametrize("mode", ["nat", "l3dsr-tunnel"])
def test_the_interpreted_scan_says_the_same(mode: str, tmp_path: Path) -> None:
    truth = generate.generate(Plan(mode=mode, packets=1000, connection=20, faults=1), tmp_path)
    files = [str(path) for path in truth.files.values()]
    arguments = ["verify", "--format", "json", *files]
    runs = [
        subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        for command in ([*compare.DSRKIT], [*compare.PYTHON, "-c", compare.INTERPRETED])
    ]
    assert [run.returncode for run in runs] == [1, 1]
    assert "interpreted" in runs[1].stderr
    compiled, interpreted = (json.loads(run.stdout) for run in runs)
    assert interpreted.pop("notes") == [*compiled.pop("notes"), scanner.INTERPRETED_NOTE]
    assert compiled == interpreted


@pytest.mark.parametrize("compress", [None, "gz", "zst"])
def test_formats_hold_the_same_packets(compress: str | None, tmp_path: Path) -> None:
    if compress == "zst":
        pytest.importorskip("zstandard")
    plain = generate.generate(Plan(packets=200, connection=20), tmp_path / "plain")
    other = generate.generate(Plan(packets=200, connection=20, pcapng=True, compress=compress), tmp_path / "other")
    assert [frames(path) for path in plain.files.values()] == [frames(path) for path in other.files.values()]
    if compress == "gz":
        with gzip.open(other.files["before"]) as stream:
            assert stream.read(4) == b"\x0a\x0d\x0d\x0a"


def frames(path: Path) -> list[tuple[int, bytes]]:
    return [
        (int(row["ts_ns"]), window.buf[int(row["offset"]) : int(row["offset"]) + int(row["caplen"])].tobytes())
        for window in capture.read(str(path)).windows()
        for row in window.rec
    ]


@pytest.mark.parametrize(("sizes", "least", "most"), [("small", 62, 65), ("mixed", 395, 450), ("full", 1300, 1515)])
def test_sizes_of_packets(sizes: str, least: int, most: int, tmp_path: Path) -> None:
    truth = generate.generate(Plan(sizes=sizes, packets=10_000), tmp_path)
    assert least <= truth.octets["before"] / 10_000 - 16 <= most


def test_all_taps_and_the_shortest_connections(tmp_path: Path) -> None:
    truth = generate.generate(Plan(packets=1000, connection=9, taps="all", faults=1, kinds=("ttl",)), tmp_path)
    assert list(truth.files) == ["A", "B", "C", "D"]
    assert truth.connections == pytest.approx(1000 / 9, abs=2)
    (finding,) = findings(verified(truth))
    assert [cell.rpartition("lb.")[2] for cell in finding.symptoms] == ["ip.ttl"]
    assert frames_of([finding]) & broken(truth.faults[0])
    told = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert told["faults"][0]["frames"] == truth.faults[0].frames


def test_more_faults_than_connections_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need more connections"):
        generate.generate(Plan(packets=500, faults=20), tmp_path)


def test_the_results_are_put_between_the_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(compare, "PAGE", page)
    run = compare.Runs("nothing", [sys.executable, "-S", "-c", ""], 10)
    run.run()
    table = compare.Table("Title", "Note.", ("tool", "packets"), [("nothing", "10")], [run])
    compare.write_page([table], ["- machine"])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- results -->\n\n- machine\n\n### Title\n")
    assert "| nothing | 10 |" in text
    assert "old" not in text
    assert text.endswith("<!-- end of results -->\nafter\n")
    assert run.each_ns > 0
    assert run.memory[0] > 1


def test_a_run_that_fails_ends_the_comparison() -> None:
    with pytest.raises(SystemExit, match="exit 3"):
        compare.Runs("broken", [sys.executable, "-S", "-c", "raise SystemExit(3)"], 1).run()
