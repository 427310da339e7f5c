"""`dsrkit diff`: text, JSON, exit codes, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import scenarios
from typer.testing import CliRunner, Result

from dsrkit.cli.main import app

DR = scenarios.PCAPS / "l2dsr" / "ipvs-dr"
BLEACHED = scenarios.PCAPS / "l3dsr-dscp" / "b04-dscp-bleached"


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["diff", *map(str, words)])


def test_two_places_of_a_healthy_path_are_equal() -> None:
    result = run(DR / "A_client.pcap", DR / "B_lb.pcap")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("EQUAL: nothing differs but what should\n")
    assert "changed as it should be (--all shows how): eth.dst, eth.src, ip.ttl" in result.stdout


def test_all_shows_what_is_meant_to_change() -> None:
    result = run(DR / "A_client.pcap", DR / "B_lb.pcap", "--all")
    assert "  ip.ttl: 64 → 63" in result.stdout


def test_a_difference_is_named_with_frames_and_exit_1() -> None:
    result = run(BLEACHED / "B_lb.pcap", BLEACHED / "C_rs1.pcap")
    assert result.exit_code == 1
    assert "ip.dsfield.dscp: 11 → 0 in 21 pairs" in result.stdout
    assert re.search(r"^  A \d+ ↔ B \d+  11 → 0  TCP ", result.stdout, re.MULTILINE)


def test_json_says_the_same(tmp_path: Path) -> None:
    out = tmp_path / "diff.json"
    result = run(BLEACHED / "B_lb.pcap", BLEACHED / "C_rs1.pcap", "--format", "json", "-o", out)
    assert (result.exit_code, result.stdout) == (1, "")
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["schema"] == "dsrkit.diff/1"
    assert [d["field"] for d in found["differences"]] == ["ip.dsfield.dscp"]
    assert found["differences"][0]["values"][0] == {"a": "11", "b": "0", "pairs": 21}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((DR / "A_client.pcap", DR / "A_client.pcap"), "is given twice"),
        ((DR / "A_client.pcap", "nowhere.pcap"), "no such file"),
        ((DR / "A_client.pcap", DR / "B_lb.pcap", "--as", "rerurn"), "rerun"),
        ((DR / "A_client.pcap", DR / "B_lb.pcap", "--mode", "l4dsr"), "l2dsr"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(words: tuple[str | Path, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_in_common_is_exit_2(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes((DR / "A_client.pcap").read_bytes()[:24])
    result = run(DR / "A_client.pcap", empty)
    assert result.exit_code == 2
    assert "nothing to compare" in result.stderr
