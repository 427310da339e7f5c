"""`dsrkit merge`: reports back from JSON, exit codes, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import scenarios
from hypothesis import given, settings
from hypothesis import strategies as st
from random_reports import REPORTS
from report_example import clean_report, faulty_report
from typer.testing import CliRunner, Result

import dsrkit
from dsrkit.cli.main import app
from dsrkit.errors import UsageError
from dsrkit.model.json_schema import fault
from dsrkit.model.report import Report, Tap
from dsrkit.model.schema import REPORT_SCHEMA

DR = scenarios.PCAPS / "l2dsr" / "ipvs-dr"


def run(*words: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["merge", *map(str, words)], input=stdin)


def written(folder: Path, name: str, report: Report) -> Path:
    path = folder / name
    path.write_text(report.to_json(), encoding="utf-8")
    return path


@settings(deadline=None, max_examples=40)
@given(REPORTS)
def test_a_report_comes_back_from_json(report: Report) -> None:
    assert Report.from_dict(json.loads(report.to_json()), fail_on=report.fail_on) == report


def test_a_report_of_one_is_itself(tmp_path: Path) -> None:
    report = dsrkit.verify([DR / "A_client.pcap", DR / "B_lb.pcap"])
    path = written(tmp_path, "a.json", report)
    result = run(path, "--format", "json")
    assert (result.exit_code, result.stdout) == (0, report.to_json() + "\n")
    assert Report.load(path) == report


def test_two_hosts_are_one_report(tmp_path: Path) -> None:
    whole = [dsrkit.verify([DR / name]) for name in ("B_lb.pcap", "B_rs1.pcap")]
    paths = [written(tmp_path, f"{i}.json", report) for i, report in enumerate(whole)]
    result = run(*paths, "--format", "json")
    merged = json.loads(result.stdout)
    jsonschema.validate(merged, REPORT_SCHEMA)
    assert merged["mode"] == "l2dsr"
    assert [tap["packets"] for tap in merged["taps"]] == [tap.packets for report in whole for tap in report.taps]
    assert f"{DR / 'B_rs1.pcap'}: the packets of this part alone do not tell the mode" in merged["notes"]
    assert result.exit_code == 0
    assert run(*reversed(paths), "--quiet").stdout.startswith("PASS")


def test_exit_code_is_that_of_all_findings(tmp_path: Path) -> None:
    clean, faulty = (
        written(tmp_path, "a.json", clean_report()),
        written(tmp_path, "b.json", _elsewhere(faulty_report())),
    )
    assert run(clean).exit_code == 0
    result = run(clean, faulty, "--quiet")
    assert result.exit_code == 1
    assert "DSR301" in result.stdout
    assert run(clean, faulty, "--fail-on", "never").exit_code == 0
    empty = written(tmp_path, "c.json", Report())
    nothing = run(empty)
    assert nothing.exit_code == 2
    assert "nothing to verify" in nothing.stderr


def _elsewhere(report: Report) -> Report:
    taps = [Tap(tap.name, f"other/{tap.file}", packets=tap.packets + 1) for tap in report.taps]
    return Report(mode=report.mode, findings=report.findings, cells=report.cells, taps=tuple(taps), nodes=report.nodes)


def test_one_name_of_two_captures_is_told_apart(tmp_path: Path) -> None:
    one = Report(mode="nat", taps=(Tap("B", "lb.pcap", packets=1), Tap("A", "a.pcap", packets=2)))
    other = Report(mode="nat", taps=(Tap("B", "lb.pcap", packets=3),))
    paths = [written(tmp_path, "a.json", one), written(tmp_path, "b.json", other)]
    merged = json.loads(run(*paths, "--format", "json").stdout)
    assert [tap["file"] for tap in merged["taps"]] == [f"{paths[0]}:lb.pcap", "a.pcap", f"{paths[1]}:lb.pcap"]


def test_standard_input_and_output_file(tmp_path: Path) -> None:
    out = tmp_path / "all.json"
    result = run("-", "--format", "json", "-o", out, stdin=clean_report().to_json())
    assert (result.exit_code, result.stdout) == (0, "")
    assert Report.load(out) == clean_report()


def document(**changes: Any) -> str:
    return json.dumps({**clean_report().to_dict(), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (clean_report().to_json()[:900], "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ("[]", "it names no schema"),
        (document(schema="dsrkit.report/2"), "its schema is 'dsrkit.report/2'"),
        (document(notes=[1]), "notes[0]: 1 is no string"),
        (document(mode="l4dsr"), "mode: 'l4dsr' is none of dns-rr, garp"),
        (document(extra=1), "unknown key 'extra'"),
        (document(traffic={}), "traffic: 'request_octets' is missing"),
        (document(taps=[{**Tap("A", "a").to_dict(), "packets": -1}]), "taps[0].packets: -1 is less than 0"),
        (document(taps=[{**Tap("A", "a").to_dict(), "packets": True}]), "taps[0].packets: True is no integer"),
    ],
)
def test_what_is_no_report_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    result = run(path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {str(path)!r}: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a.json", "a.json"), "'a.json' is given twice"),
        (("a.json", "./a.json"), "'./a.json' is given twice"),
        (("a.json", "nowhere.json"), "'nowhere.json': No such file or directory"),
        (("a.json", "copy.json"), "'a.json' and 'copy.json' hold the same capture, 'A.pcap': it would count twice"),
        (("a.json", "nat.json"), "reports of different modes cannot be merged: l2dsr and nat"),
        (("a.json", "-o", "a.json"), "-o 'a.json' would overwrite an input"),
        (("a.json", "-q", "-v"), "--quiet and --verbose contradict each other"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "copy.json"):
        written(tmp_path, name, clean_report())
    written(tmp_path, "nat.json", Report(mode="nat"))
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {message}\n"


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in items for place in places(item, (*at, key)))]


WHOLE = faulty_report().to_dict()
WRONG = st.sampled_from([None, True, -1, 0, 7, 2.5, "", "nat", [], {}, [1], {"x": 1}])


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(places(WHOLE)[1:]), WRONG, st.booleans())
def test_reading_agrees_with_the_schema(place: tuple[Any, ...], value: Any, drop: bool) -> None:
    """An outside validator is the judge of what is a report; what is one can be read, and else it is refused."""
    data = json.loads(json.dumps(WHOLE))
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    if drop and isinstance(parent, dict):
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    valid = jsonschema.Draft202012Validator(REPORT_SCHEMA).is_valid(data)
    assert (fault(data, REPORT_SCHEMA) is None) == valid
    if valid:
        jsonschema.validate(Report.from_dict(data).to_dict(), REPORT_SCHEMA)
    else:
        with pytest.raises(UsageError, match="not a report: "):
            Report.from_dict(data)
