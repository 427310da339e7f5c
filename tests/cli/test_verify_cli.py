"""The installed command on real files: what it prints, where, and with which exit code."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from scenarios import PCAPS, Scenario, cases
from typer.testing import CliRunner

from dsrkit.cli.main import app

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make

COMMAND = Path(sys.executable).parent / "dsrkit"
DOCS = Path(__file__).parents[2] / "docs"
HEALTHY = Scenario(PCAPS / "l2dsr" / "ipvs-dr")
BROKEN = Scenario(PCAPS / "l3dsr-dscp" / "b05-dscp-mismatch")
CELL = "l3dsr-dscp.real-server.answered-by-vip"


def dsrkit(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the console script; wherever it fails, it must not show a traceback."""
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], input=stdin, capture_output=True, env=environment, check=False
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def report(*arguments: str | Path, stdin: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON; in this process where standard input plays no part, since starting one takes longer."""
    words = ["verify", "--format", "json", *map(str, arguments)]
    if stdin is not None:
        done = dsrkit(*words, stdin=stdin)
        return done.returncode, json.loads(done.stdout)
    outcome = CliRunner().invoke(app, words)
    return outcome.exit_code, json.loads(outcome.stdout)


def without_files(found: dict[str, Any]) -> dict[str, Any]:
    """A report but for the names of files, which say only how the packets came in."""
    text = json.dumps({**found, "taps": [{**tap, "file": "", "interface": None} for tap in found["taps"]]})
    return dict(json.loads(re.sub(r'"file": "[^"]*"', '"file": ""', text)))


@pytest.fixture(scope="module")
def blueprint() -> dict[str, Any]:
    return dict(json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8")))


# --- files that are no captures ---------------------------------------------------------------------------------------


def first(octets: int) -> bytes:
    return (HEALTHY.folder / "B_lb.pcap").read_bytes()[:octets]


@pytest.mark.parametrize(("octets", "words"), [(24, "no packets"), (30, "no packets")])
def test_captures_without_a_packet_have_nothing_to_verify(tmp_path: Path, octets: int, words: str) -> None:
    """They could be read, so there is a report; it proves nothing."""
    path = tmp_path / "none.pcap"
    path.write_bytes(first(octets))
    done = dsrkit("verify", "--format", "json", path)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    report = json.loads(done.stdout)
    assert report["mode"] is None
    assert report["rules"]["pass"] == 0
    assert [t["packets"] for t in report["taps"]] == [0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.pcap", None, "no such file"),
        ("empty.pcap", b"", "is empty"),
        ("notes.txt", b"hello world, this is no capture\n" * 9, "not a capture"),
        ("random.bin", bytes(range(7, 250)), "not a capture"),
        ("header.pcap", first(20), "cut inside the file header"),
        ("magic.pcap", first(3), "header.pcap|cut|not a capture"),
        ("broken.pcap.gz", gzip.compress(first(4000))[:60], "broken.pcap.gz"),
        ("text.gz", gzip.compress(b"hello world, this is no capture\n"), "not a capture"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_files_that_cannot_be_verified(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = dsrkit("verify", path)
    assert done.returncode == 2
    assert done.stdout == b""
    line = done.stderr.decode()
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert name in line
    assert re.search(words, line.replace(str(tmp_path), "")), line


def test_a_directory(tmp_path: Path) -> None:
    done = dsrkit("verify", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(rb"error: .*is a directory.*\n", done.stderr)


def test_one_bad_file_among_good_ones_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"")
    done = dsrkit("verify", *HEALTHY.files, bad)
    assert done.returncode == 2
    assert b"bad.pcap" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_an_empty_tap_beside_full_ones(tmp_path: Path) -> None:
    """A tap that saw nothing is evidence too (or none), not a mistake."""
    quiet = tmp_path / "quiet.pcap"
    quiet.write_bytes(first(24))
    code, found = report(*HEALTHY.files, quiet)
    assert code == 0
    assert found["mode"] == "l2dsr"
    assert [tap["packets"] for tap in found["taps"] if tap["name"] == "quiet"] == [0]


# --- captures that end early ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 7, 15, 16, 20, 60])
def test_a_capture_cut_inside_a_record(tmp_path: Path, cut: int) -> None:
    """What is there counts, and the report says where the rest is missing."""
    whole = (HEALTHY.folder / "B_lb.pcap").read_bytes()
    path = tmp_path / "cut.pcap"
    path.write_bytes(whole[:-cut])
    code, found = report(path)
    assert code == 0
    assert found["mode"] == "l2dsr"
    (tap,) = found["taps"]
    assert tap["packets"] == HEALTHY.truth_packets("B_lb.pcap") - 1
    assert any("cut" in note for note in found["notes"])


# --- nothing to verify ------------------------------------------------------------------------------------------------


def arp(n: int) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes([2, 0, 0, 0, 0, n, 192, 0, 2, n]) + bytes(6)
    return make.ethernet(body + bytes([192, 0, 2, 99]), 0x0806)


def test_only_arp(tmp_path: Path) -> None:
    path = tmp_path / "arp.pcap"
    path.write_bytes(make.pcap([arp(n) for n in range(1, 9)]))
    nothing_to_verify(path, 8)


def test_ordinary_traffic_at_a_lone_tap() -> None:
    nothing_to_verify(HEALTHY.folder / "A_client.pcap", HEALTHY.truth_packets("A_client.pcap"))


def nothing_to_verify(path: Path, packets: int) -> None:
    done = dsrkit("verify", path)
    assert done.returncode == 2
    assert done.stdout.startswith(b"NOTHING CHECKED")
    assert done.stderr.startswith(b"nothing to verify: ")
    assert done.stderr.count(b"\n") == 1
    code, found = report(path)
    assert code == 2
    assert (found["mode"], found["mode_from"]) == (None, "undetermined")
    assert found["rules"]["pass"] == found["rules"]["fail"] == 0
    assert found["findings"] == []
    assert found["taps"][0]["packets"] == packets


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases(), ids=str)
def test_json_of_every_case(case: Scenario, blueprint: dict[str, Any]) -> None:
    """In one process: the command's start-up is measured elsewhere."""
    jsonschema.Draft202012Validator.check_schema(blueprint)
    done = CliRunner().invoke(app, ["verify", "--format", "json", *map(str, case.files)])
    assert done.stderr == ""
    found = json.loads(done.stdout)
    jsonschema.validate(found, blueprint)
    assert done.exit_code == case.case["expected"]["exit_code"]
    assert found["mode"] in case.modes
    verdicts = [cell["verdict"] for cell in found["rules"]["detail"]]
    assert [found["rules"][k] for k in ("pass", "fail", "not_observable")] == [
        verdicts.count(k) for k in ("pass", "fail", "not_observable")
    ]
    assert [tap["packets"] for tap in found["taps"]] == [c["packets"] for c in case.truth["captures"]]


def test_text_names_what_is_wrong() -> None:
    done = dsrkit("verify", *BROKEN.files)
    assert done.returncode == 1
    text = done.stdout.decode()
    assert text.startswith("FAIL")
    assert CELL in text
    assert "10.1.1.12" in text  # the answer's address, rs2's own
    assert done.stderr == b""


# --- ways to give captures --------------------------------------------------------------------------------------------


def test_at_names_taps(tmp_path: Path) -> None:
    names = {f"point {i}": path for i, path in enumerate(HEALTHY.files)}
    code, found = report(*(word for name, path in names.items() for word in ("--at", f"{name}={path}")))
    assert code == 0
    assert {tap["name"]: tap["file"] for tap in found["taps"]} == {name: str(p) for name, p in names.items()}
    points = {j[end].partition(".")[0] for j in found["journeys"] for end in ("from", "to")}
    assert points == set(names)


def test_a_spec_names_everything(tmp_path: Path) -> None:
    code, found = report("--spec", BROKEN.spec(tmp_path))
    assert code == 1
    assert found["mode_from"] == "spec"
    assert found["findings"][0]["code"] == "DSC505"
    assert found["findings"][0]["nodes"] == ["rs2"]
    assert {node["name"] for node in found["nodes"]} >= {"cli", "rtr", "lb", "rs1", "rs2", "rs3"}
    assert {tap["name"]: tap["node"] for tap in found["taps"]} == {
        Path(c["file"]).stem: c["node"] for c in BROKEN.truth["captures"]
    }


def test_a_spec_with_a_misspelt_key_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "dsr.toml"
    path.write_text(BROKEN.spec_text().replace("ports =", "prots ="), encoding="utf-8")
    done = dsrkit("verify", "--spec", path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"prots" in done.stderr
    assert b"ports" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_standard_input() -> None:
    path = HEALTHY.folder / "B_lb.pcap"
    code, found = report("-", stdin=path.read_bytes())
    assert code == 0
    assert (found["taps"][0]["name"], found["taps"][0]["file"]) == ("stdin", "-")
    _, plain = report("--at", f"stdin={path}")
    assert without_files(found) == without_files(plain)


def test_standard_input_as_one_tap_of_several() -> None:
    others = [word for path in HEALTHY.files[1:] for word in ("--at", f"{path.stem}={path}")]
    first_file = HEALTHY.files[0]
    _, piped = report("--at", f"{first_file.stem}=-", *others, stdin=first_file.read_bytes())
    _, plain = report("--at", f"{first_file.stem}={first_file}", *others)
    assert without_files(piped) == without_files(plain)


def test_gzip(tmp_path: Path) -> None:
    packed = []
    for path in BROKEN.files:
        packed.append(tmp_path / f"{path.name}.gz")
        packed[-1].write_bytes(gzip.compress(path.read_bytes(), 1))
    code, found = report(*packed)
    assert code == 1
    assert without_files(found) == without_files(report(*BROKEN.files)[1])


def pcapng(files: list[Path]) -> bytes:
    """All files in one section, one named interface each, blocks in the order of time."""
    out = make.section()
    records = []
    for number, path in enumerate(files):
        name = path.stem.encode()
        data = path.read_bytes()
        (linktype,) = struct.unpack_from("<I", data, 20)
        out += make.interface(linktype, options=make.option(2, name) + make.option(0, b""))
        at = 24
        while at < len(data):
            seconds, micros, caplen, wirelen = struct.unpack_from("<IIII", data, at)
            frame = data[at + 16 : at + 16 + caplen]
            records.append((seconds * 1_000_000 + micros, number, frame, wirelen))
            at += 16 + caplen
    records.sort(key=lambda record: record[0])
    return out + b"".join(make.enhanced(frame, n, ticks, wirelen=wire) for ticks, n, frame, wire in records)


@pytest.mark.parametrize("scenario", [HEALTHY, BROKEN], ids=str)
def test_interfaces_of_a_pcapng_are_taps(scenario: Scenario, tmp_path: Path) -> None:
    path = tmp_path / "all.pcapng"
    path.write_bytes(pcapng(scenario.files))
    code, found = report(path)
    _, apart = report(*scenario.files)
    assert code == scenario.case["expected"]["exit_code"]
    assert {tap["name"] for tap in found["taps"]} == {p.stem for p in scenario.files}
    assert {tap["interface"] for tap in found["taps"]} == {p.stem for p in scenario.files}
    for part in ("mode", "profile", "service", "traffic"):
        assert found[part] == apart[part], part

    def packets(r: dict[str, Any]) -> dict[str, tuple[int, int]]:
        return {tap["name"]: (tap["packets"], tap["octets"]) for tap in r["taps"]}

    assert packets(found) == packets(apart)
    key = sorted((j["from"], j["to"], j["direction"], j["protocol"], j["paired"]) for j in found["journeys"])
    assert key == sorted((j["from"], j["to"], j["direction"], j["protocol"], j["paired"]) for j in apart["journeys"])
    assert [f["code"] for f in found["findings"]] == [f["code"] for f in apart["findings"]]
    total = sum(tap["packets"] for tap in found["taps"])
    for finding in found["findings"]:
        assert all(1 <= ref["frame"] <= total for ref in finding["frames"])


def test_a_pcapng_with_one_interface_is_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lb.pcapng"
    path.write_bytes(pcapng([HEALTHY.folder / "B_lb.pcap"]))
    code, found = report(path)
    assert code == 0
    assert [tap["name"] for tap in found["taps"]] == ["lb"]


# --- options ----------------------------------------------------------------------------------------------------------


def test_output_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = dsrkit("verify", "--format", "json", "-o", path, *BROKEN.files)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert json.loads(path.read_text(encoding="utf-8")) == report(*BROKEN.files)[1]


def test_output_never_replaces_a_capture(tmp_path: Path) -> None:
    copy = tmp_path / "b.pcap"
    shutil.copy(HEALTHY.folder / "B_lb.pcap", copy)
    done = dsrkit("verify", copy, "-o", copy)
    assert done.returncode == 2
    assert copy.read_bytes() == (HEALTHY.folder / "B_lb.pcap").read_bytes()


def test_fail_on() -> None:
    assert report(*BROKEN.files, "--fail-on", "error")[0] == 1
    code, found = report(*BROKEN.files, "--fail-on", "never")
    assert code == 0
    assert [finding["code"] for finding in found["findings"]] == ["DSC505"]
    warned = Scenario(PCAPS / "l3dsr-tunnel" / "b07-tun-mtu-frag-needed")
    assert report(*warned.files, "--fail-on", "warning")[0] == 1
    assert report(*warned.files, "--fail-on", "error")[0] == 0


@pytest.mark.parametrize("prefix", [CELL, "l3dsr-dscp.real-server.", "l3dsr-dscp.real"])
def test_ignore_by_prefix(prefix: str) -> None:
    code, found = report(*BROKEN.files, "--ignore", prefix)
    assert code == 0, "nothing else is wrong"
    assert found["findings"] == []
    cells = {cell["cell"] for cell in found["rules"]["detail"]}
    assert cells
    assert not any(cell.startswith(prefix) for cell in cells)
    _, whole = report(*BROKEN.files)
    assert cells == {c["cell"] for c in whole["rules"]["detail"] if not c["cell"].startswith(prefix)}


def test_select_by_prefix() -> None:
    code, found = report(*BROKEN.files, "--select", "l3dsr-dscp.lb.")
    assert code == 0
    cells = {cell["cell"] for cell in found["rules"]["detail"]}
    assert cells
    assert all(cell.startswith("l3dsr-dscp.lb.") for cell in cells)
    assert report(*BROKEN.files, "--select", f"l3dsr-dscp.lb.,{CELL}")[0] == 1
    done = dsrkit("verify", *BROKEN.files, "--select", "l2dsr.")
    assert done.returncode == 2, "nothing was looked at"
    assert done.stderr.startswith(b"nothing to verify: ")


def test_a_profile_that_does_not_fit() -> None:
    """IPVS takes one off the TTL; katran's tunnel leaves the packet alone."""
    tunnel = Scenario(PCAPS / "l3dsr-tunnel" / "ipvs-tun-ipip")
    assert report(*tunnel.files, "--profile", "ipvs")[0] == 0
    code, found = report(*tunnel.files, "--profile", "katran")
    assert code == 1
    failed = {cell["cell"] for cell in found["rules"]["detail"] if cell["verdict"] == "fail"}
    assert any(cell.endswith("lb.ip.ttl") for cell in failed)
    assert all(".lb." in cell or "+lb" in cell for cell in failed), failed


@pytest.mark.parametrize("mode", ["nat", "fullnat", "l3dsr-tunnel", "l3dsr-dscp"])
def test_a_stated_mode_that_is_not_the_packets(mode: str) -> None:
    """The user's word counts, but a mode of which no packet shows a rewrite is not proven by the routers' cells."""
    code, found = report("--mode", mode, "--vip", "192.0.2.100", *HEALTHY.files)
    assert (found["mode"], found["mode_from"]) == (mode, "option")
    assert code in (1, 2)
