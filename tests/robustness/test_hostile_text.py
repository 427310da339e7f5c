"""Text from packets and files cannot move the cursor, change the title, or forge a line of a report."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

import dsrkit
from robustness import forks

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make

EVIL: Final = (
    "\x1b]0;owned\x07\x1b[2J\x1b[7;5m\rERROR forged\nverdict: pass\x9b31m\u202etxt\x7f"
    '\u200b\ufeff\u2028\x85PASS forged\t[bold red]",=1+1'
)
FORGED: Final = ("ERROR forged", "verdict: pass", "PASS forged", "txt", '",=1+1')
UNSEEN: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)
"""Controls, marks of direction, marks without width, lone surrogates (octets that are no UTF-8), tags."""
COLOR: Final = re.compile(r"\x1b\[(?:0|[1-9]?[0-9](?:;[1-9]?[0-9]){0,2})m")
WITH_TSHARK: Final = [["inspect", "--oracle", "tshark"]] * (shutil.which("tshark") is not None)


def harmless(run: forks.Run, *, colored: bool = False) -> None:
    """A run whose every octet on stdout and stderr is ours, or printable within a line of ours."""
    assert run.complaints == [] or colored
    for text in (run.out, run.err):
        if colored:
            assert "\x1b[7;5m" not in text
            text = COLOR.sub("", text)
        assert UNSEEN.findall(text) == [], run.args
        assert not [line for line in text.split("\n") if line.strip(" │|").startswith(FORGED)], run.args
    assert run.code in (0, 1, 2)
    assert run.out or run.err


def _name(label: bytes) -> bytes:
    return bytes([len(label)]) + label + b"\7example\0"


def hostile() -> bytes:
    """A capture whose every text is hostile: names, comments, filters, DNS names and payloads."""
    evil = EVIL.encode()
    question = b"\0\7\1\0\0\1\0\0\0\0\0\0" + _name(evil[:60]) + b"\0\1\0\1"
    answer = b"\0\7\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7"
    ends = ("192.0.2.1", "198.51.100.1")
    told = b"".join(bytes([kind]) + len(evil).to_bytes(2, "big") + evil for kind in (1, 2, 5, 0x30, 0xEA))
    body = bytes([192, 0, 2, 1, 198, 51, 100, 1, 0, 9, 0, 80]) + told
    proxied = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(body).to_bytes(2, "big") + body
    frames = [
        make.ethernet(make.ipv4(make.udp(question, *ends), 17, *ends)),
        make.ethernet(make.ipv4(make.udp(answer, *ends[::-1], sport=53, dport=40000), 17, *ends[::-1])),
        make.ethernet(make.ipv4(make.tcp(b"GET /" + evil + b" HTTP/1.1\r\nHost: " + evil + b"\r\n\r\n"), 6)),
        make.ethernet(make.ipv4(make.tcp(b"PROXY TCP4 " + evil + b" 1.2.3.4 5 6\r\n"), 6)),
        make.ethernet(make.ipv4(make.tcp(proxied), 6)),
        make.ethernet(make.ipv4(make.tcp(b"HTTP/1.1 500 " + evil + b"\r\n\r\n", sport=80, dport=40000), 6)),
    ]
    said = make.option(1, evil)
    section = make.block(0x0A0D0D0A, b"\x4d\x3c\x2b\x1a\1\0\0\0" + b"\xff" * 8 + said + make.option(4, evil))
    described = make.interface(1, 0, make.option(2, evil) + make.option(3, evil) + make.option(11, b"\0" + evil) + said)
    octets = section + described + make.interface(1, 0, make.option(2, b"eth0"))
    for i, frame in enumerate(frames * 3):
        head = (i % 2, 0, i * 1000, len(frame), len(frame))
        body = b"".join(n.to_bytes(4, "little") for n in head) + frame + b"\0" * (-len(frame) % 4) + said
        octets += make.block(6, body)
    return octets


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.pcapng"
    path.write_bytes(hostile())
    return path


def test_no_text_of_a_capture_reaches_the_terminal_as_it_is(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = "frame.number,dns.qry.name,dns.resp.name,frame.interface_name,frame.comment,http.host,http.request.uri"
    commands = [
        ["verify"],
        ["verify", "--verbose"],
        ["inspect"],
        ["inspect", "-V"],
        ["inspect", "-x"],
        ["inspect", "-V", "-x"],
        ["inspect", "--flows"],
        *(["inspect", "--flows", "-T", kind] for kind in ("json", "jsonl", "csv")),
        *(["inspect", "-T", kind] for kind in ("json", "jsonl", "csv")),
        *(["inspect", "-V", "-x", "-T", kind] for kind in ("json", "jsonl")),
        *(["inspect", "-e", fields, "-T", kind] for kind in ("table", "json", "jsonl", "csv")),
        ["inspect", "-Y", 'dns.qry.name contains "owned"'],
        ["inspect", "--where", EVIL],
        ["inspect", "-e", EVIL],
        ["inspect", "--frames", EVIL],
        ["inspect", "--oracle", EVIL],
        ["inspect", "--oracle", "dpkt"],
        *WITH_TSHARK,
        ["verify", "--select", EVIL],
        ["verify", "--vip", EVIL],
    ]
    runs = list(forks.runs([[*args, str(capture)] for args in commands]))
    assert len(runs) == len(commands)
    for run in runs:
        harmless(run)
    assert any("owned" in run.out for run in runs)
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = list(forks.runs([[*args, str(capture)] for args in commands if "-T" not in args]))
    for run in colored:
        harmless(run, colored=True)
    assert any(COLOR.search(run.out) for run in colored)


def test_formats_for_programs_stay_what_they_are(capture: Path) -> None:
    fields = ("-e", "frame.number,frame.comment,dns.qry.name,http.request.uri")
    asked = [["verify", "--format", "json"]]
    asked += [["inspect", "-T", "json", *more] for more in ((), ("-V", "-x"), fields, ("--flows",))]
    asked += [["inspect", "--oracle", "dpkt", "-T", "json"]]
    for run in forks.runs([[*args, str(capture)] for args in asked]):
        harmless(run)
        assert json.loads(run.out)
    for run in forks.runs([["inspect", "-T", "jsonl", *more, str(capture)] for more in ((), ("-V",), fields)]):
        harmless(run)
        assert [isinstance(json.loads(line), dict) for line in run.out.splitlines()] == [True] * 18
    (run,) = forks.runs([["inspect", "-T", "csv", *fields, str(capture)]])
    rows = list(csv.reader(io.StringIO(run.out, newline="")))
    assert {len(row) for row in rows} == {4}
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(1, 19)]
    assert all('[bold red]",=1+1' in row[1] for row in rows[1:])


def test_a_file_holds_no_more_than_a_terminal(capture: Path, tmp_path: Path) -> None:
    out = [str(tmp_path / f"out{n}") for n in range(4)]
    commands = [
        ["inspect", str(capture), "-o", out[0]],
        ["inspect", str(capture), "-V", "-x", "-o", out[1]],
        ["inspect", str(capture), "-T", "csv", "-o", out[2]],
        ["verify", str(capture), "-o", out[3]],
    ]
    assert all(run.complaints == [] for run in forks.runs(commands))
    for path in out:
        text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
        assert text
        assert UNSEEN.findall(text) == []


def test_two_hostile_captures_are_compared(capture: Path, tmp_path: Path) -> None:
    other = tmp_path / f"other{EVIL.replace('/', '')[:60]}.pcapng"
    octets = bytearray(hostile())
    at = octets.rindex(b"HTTP/1.1 500")
    octets[at + 9] = ord("4")
    other.write_bytes(octets)
    commands = [
        ["diff", str(capture), str(other), *more]
        for more in ((), ("--all",), ("--format", "json"), ("--as", "copy"), ("--as", "rerun"), ("--only", EVIL))
    ]
    for run in forks.runs(commands):
        harmless(run)
        if "json" in run.args:
            assert json.loads(run.out)


def test_the_name_of_a_file_is_text_as_well(tmp_path: Path) -> None:
    absent = "absent" + EVIL.replace("/", "")[:80]
    broken = tmp_path / "there\x1b[2Jx\u202e\nverdict: pass\udcff"
    broken.write_bytes(hostile())
    hostile_words = [["explain", EVIL], ["rules", "--area", EVIL], ["setup", EVIL], ["craft", EVIL], [EVIL]]
    files = [tmp_path / absent, broken]
    commands = [[*args, str(path)] for path in files for args in (["verify"], ["inspect"], ["inspect", "--flows"])]
    commands += [["verify", "--at", f"{EVIL}={broken}"], ["verify", "--spec", str(broken), str(broken)]]
    commands += [["verify", str(broken), "--baseline", str(path)] for path in files]
    commands += [["inspect", str(broken), "-o", str(tmp_path / "no" / absent)]]
    for run in forks.runs([*commands, *hostile_words]):
        harmless(run)


def test_words_of_a_spec_are_text_as_well(tmp_path: Path) -> None:
    dsrkit.craft("l2dsr", flows=3).write_split(tmp_path)
    spec = (tmp_path / "dsr.toml").read_text()
    quoted = json.dumps(EVIL, ensure_ascii=True)
    quoted = quoted.replace("\\u007f", "\\u007F")
    for what in (
        "client",
        "r1",
        "lb1",
        "sw1",
        "web1",
        "A",
        "B",
        "tcp/80",
        "l2dsr",
        "02:c1:00:00:00:0a",
        "203.0.113.10",
    ):
        (tmp_path / f"{len(what)}{what[:2]}.toml").write_text(spec.replace(json.dumps(what), quoted))
    (tmp_path / "key.toml").write_text(spec.replace("profile =", f"{quoted} ="))
    (tmp_path / "bad.toml").write_text(spec + EVIL)
    (tmp_path / "file.toml").write_text(spec.replace('"A.pcap"', quoted))
    specs = sorted(tmp_path.glob("*.toml"))
    commands = [["verify", "--spec", str(path)] for path in specs]
    commands += [["verify", "--verbose", "--spec", str(path)] for path in specs]
    commands += [["verify", "--format", "json", "--spec", str(path)] for path in specs]
    commands += [["inspect", "--spec", str(path), str(tmp_path / "B.pcap")] for path in specs]
    commands += [["inspect", "--flows", "--spec", str(path), str(tmp_path / "B.pcap")] for path in specs]
    named = 0
    for run in forks.runs(commands):
        harmless(run)
        named += "owned" in run.out
    assert named > 8


def test_an_earlier_report_is_text_as_well(capture: Path, tmp_path: Path) -> None:
    (run,) = forks.runs([["verify", "--format", "json", str(capture)]])
    report = json.loads(run.out)

    def spoiled(value: object) -> object:
        if isinstance(value, dict):
            return {key: spoiled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoiled(one) for one in value]
        return EVIL if isinstance(value, str) else value

    texts = {
        "all": json.dumps(spoiled(report)),
        "kept": json.dumps({**spoiled(report), "schema": report["schema"]}),  # type: ignore[dict-item]
        "key": json.dumps({**report, EVIL: EVIL}),
        "no": EVIL,
        "list": json.dumps([EVIL]),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for run in forks.runs([["verify", str(capture), "--baseline", str(tmp_path / name)] for name in texts]):
        harmless(run)
