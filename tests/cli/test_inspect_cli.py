"""`dsrkit inspect` on real files: what it prints, where, in which format, and with which exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result
from scenarios import PCAPS
from typer.testing import CliRunner

from dsrkit.cli import inspect as cli
from dsrkit.cli import progress
from dsrkit.cli.main import app
from dsrkit.inspect.fields import every_name
from dsrkit.inspect.parquet import every_column
from dsrkit.oracle import opinion
from dsrkit.wire.columns import FIELDS
from dsrkit.wire.dissect.frame import dissect

COMMAND: Final = Path(sys.executable).parent / "dsrkit"
TUNNEL: Final = PCAPS / "l3dsr-tunnel" / "ipvs-tun-gue" / "B_lb.pcap"
EVIL: Final = b"\x1b[2J\x1b]0;t\x07\nframe 9 \xc2\x9b"
CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def inspect(*arguments: str | Path, code: int = 0) -> Result:
    """Run the command in this process."""
    done = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    assert done.exit_code == code, done.output
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def lines(*arguments: str | Path) -> list[str]:
    return inspect(*arguments).stdout.splitlines()


def pcapng(comment: bytes = b"", name: bytes = b"eth0") -> bytes:
    """One TCP segment in a capture file whose texts are these."""

    def block(kind: int, body: bytes) -> bytes:
        size = 12 + len(body)
        return struct.pack("<II", kind, size) + body + struct.pack("<I", size)

    def option(code: int, text: bytes) -> bytes:
        return struct.pack("<HH", code, len(text)) + text + bytes(-len(text) % 4)

    packet = bytes.fromhex(
        "02000000000102000000000208004500002800010000400666cd0a0000010a000002"
        "303900500000000100000000500220000000" + "0000"
    )
    return (
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack("<HHI", 1, 0, 0) + option(2, name) + bytes(4))
        + block(1, struct.pack("<HHI", 1, 0, 0) + option(2, b"eth1") + bytes(4))
        + block(
            6,
            struct.pack("<IIIII", 0, 0, 0, len(packet), len(packet))
            + packet
            + bytes(-len(packet) % 4)
            + option(1, comment)
            + bytes(4),
        )
    )


# --- the list of frames -----------------------------------------------------------------------------------------------


def test_frames_are_listed_with_their_roles_below_what_is_known() -> None:
    text = lines(TUNNEL, "-c", "8")
    assert text[0].startswith("mode l3dsr-tunnel")
    assert "VIP 192.0.2.100" in text[1]
    head = next(n for n, line in enumerate(text) if line.startswith("frame"))
    assert text[head - 1] == ""
    assert text[head].split() == ["frame", "time", "role", "packet"]
    rows = text[head + 1 :]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 9))
    assert "request after LB, GUE outer 192.0.2.10→10.2.2.13" in rows[3]
    assert "TCP 198.51.100.10:40000 → 192.0.2.100:80 SYN" in rows[3]


def test_quiet_leaves_out_what_stands_above() -> None:
    assert lines(TUNNEL, "-c", "1", "-q")[0].startswith("frame")


def test_frames_are_chosen_by_number_and_by_count() -> None:
    def numbers(*options: str) -> list[int]:
        return [int(line) for line in lines(TUNNEL, "-e", "frame.number", *options)[1:]]

    assert numbers("--frames", "4,9-12") == [4, 9, 10, 11, 12]
    assert numbers("--frames", "-3") == [1, 2, 3]
    assert numbers("--frames", "9,4") == [4, 9]
    assert numbers("--frames", "670-") == list(range(670, 675))
    assert numbers("-c", "2", "-Y", "gue") == [4, 6]
    assert numbers("--frames", "5-", "-c", "2", "--where", "gue") == [6, 8]


def test_no_frame_is_said_and_no_failure() -> None:
    done = inspect(TUNNEL, "-Y", "vrrp", "-e", "ip.src")
    assert done.stdout == ""
    assert done.stderr == "no frame matches\n"


# --- fields and formats -----------------------------------------------------------------------------------------------


def test_fields_in_every_format() -> None:
    chosen = (
        "--frames",
        "3-4",
        "-e",
        "frame.number,ip.src,ip.src#2",
        "-e",
        "tcp.flags,ip.checksum.state",
        "-e",
        "ip.dsfield.dscp",
    )
    names = ["frame.number", "ip.src", "ip.src#2", "tcp.flags", "ip.checksum.state", "ip.dsfield.dscp"]
    values = [
        [3, "198.51.100.10", None, 2, "good", 0],
        [4, "192.0.2.10", "198.51.100.10", 2, "good", 0],
    ]
    objects = [dict(zip(names, row, strict=True)) for row in values]
    assert json.loads(inspect(TUNNEL, *chosen, "--format", "json").stdout) == objects
    assert [json.loads(line) for line in lines(TUNNEL, *chosen, "-T", "jsonl")] == objects
    rows = list(csv.reader(io.StringIO(inspect(TUNNEL, *chosen, "-T", "csv").stdout)))
    assert rows == [
        names,
        ["3", "198.51.100.10", "", "0x0002", "good", "0"],
        ["4", "192.0.2.10", "198.51.100.10", "0x0002", "good", "0"],
    ]
    table = lines(TUNNEL, *chosen)
    assert table[0].split() == names
    assert table[2].split() == ["4", "192.0.2.10", "198.51.100.10", "0x0002", "good", "0", "(tos", "0x00)"]


def test_fields_of_frames_taken_apart() -> None:
    (found,) = json.loads(
        inspect(
            TUNNEL, "--frames", "4", "-e", "tcp.options.wscale.shift,tcp.option_kind,gue,dns,gue.hlen", "-T", "json"
        ).stdout
    )
    assert found["tcp.options.wscale.shift"] == 7
    assert found["tcp.option_kind"] == [2, 4, 8, 1, 3]
    assert (found["gue"], found["gue.hlen"]) == (True, 0)
    assert not found["dns"]


def test_times_are_exact() -> None:
    (row,) = lines(TUNNEL, "--frames", "4", "-e", "frame.time,frame.time_epoch,frame.time_relative")[1:]
    assert row.split() == ["2026-11-22", "08:38:47.395515000", "1795336727.395515000", "0.005760000"]


def test_frames_as_json_have_one_shape() -> None:
    plain = json.loads(inspect(TUNNEL, "--frames", "4", "-T", "json").stdout)
    (full,) = [json.loads(line) for line in lines(TUNNEL, "--frames", "4", "-T", "jsonl", "-V", "-x")]
    assert [*full] == [*plain[0], "layers", "octets"]
    assert {k: full[k] for k in plain[0]} == plain[0]
    assert full["time"] == "2026-11-22T08:38:47.395515000Z"
    assert len(full["octets"]) == 2 * full["captured"]
    headers = [layer for layer in full["layers"] if layer["name"] == "ip"]
    assert [layer["number"] for layer in headers] == [1, 2]
    assert {"name": "ip.src", "value": "192.0.2.10", "start": 26, "stop": 30} in headers[0]["fields"]


def test_nothing_is_an_empty_array() -> None:
    assert json.loads(inspect(TUNNEL, "-Y", "vrrp", "-T", "json").stdout) == []


def test_connections_are_shown() -> None:
    text = lines(TUNNEL, "--flows", "-c", "3")
    head = next(line for line in text if line.startswith("client"))
    flows = json.loads(inspect(TUNNEL, "--flows", "-T", "json").stdout)
    assert head.split() == [*flows[0]]
    assert len(text) - text.index(head) - 1 == 3
    assert flows[0]["service"] == "192.0.2.100:80"


def test_a_parquet_file_has_what_the_fields_have(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "out.parquet"
    names = "frame.number,ip.src,ip.src#2,tcp.dstport,ip.checksum.state,tcp.flags.syn,gue"
    done = inspect(TUNNEL, "--parquet", file, "-e", names)
    assert done.stdout == ""
    assert done.stderr == f"674 frames written to {file}\n"
    expected = json.loads(inspect(TUNNEL, "-e", names, "-T", "json").stdout)
    found = parquet.read_table(file)
    assert found.to_pylist() == expected
    inspect(TUNNEL, "--parquet", file, "-Y", "gue")
    everything = parquet.ParquetFile(file)
    assert everything.schema_arrow.names == list(every_column())
    assert set(FIELDS) < set(everything.schema_arrow.names)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_without_its_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = inspect(TUNNEL, "--parquet", tmp_path / "x", code=2)
    assert done.stderr == "error: --parquet needs pyarrow: pip install 'dsrkit[parquet]'\n"


def test_output_goes_into_a_file(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    assert inspect(TUNNEL, "-c", "3", "-o", file).stdout == ""
    assert file.read_text(encoding="utf-8") == inspect(TUNNEL, "-c", "3").stdout


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pcap"], "none.pcap: no such file"),
        ([TUNNEL, "-Y", "ip.dts == 1"], "no field 'ip.dts' (near: ip.dst"),
        ([TUNNEL, "-Y", ""], "the expression is empty"),
        ([TUNNEL, "-e", "ip.dts"], "--fields: no field 'ip.dts'"),
        ([TUNNEL, "-e", "tcp.port"], "name tcp.srcport or tcp.dstport"),
        ([TUNNEL, "--frames", "9-4"], "ends before it begins"),
        ([TUNNEL, "--frames", "0"], "counted from 1"),
        ([TUNNEL, "--frames", "x"], "'x' is no frame number"),
        ([TUNNEL, "-V", "-e", "ip.src"], "one or the other"),
        ([TUNNEL, "-x", "-T", "csv"], "use --format table"),
        ([TUNNEL, "--flows", "-V"], "--flows shows whole connections"),
        ([TUNNEL, "--parquet", "x", "-T", "json"], "leave out"),
        ([TUNNEL, "-o", TUNNEL], "would overwrite an input"),
        ([TUNNEL, "--parquet", TUNNEL], "error: --parquet"),
        ([TUNNEL, "--vip", "x"], "--vip"),
        ([Path(__file__)], "is not a capture"),
    ],
)
def test_mistakes_are_one_line_and_2(arguments: list[str | Path], message: str) -> None:
    done = inspect(*arguments, code=2)
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


# --- pipes and terminals ----------------------------------------------------------------------------------------------


def run(command: str, *, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("dsrkit", str(COMMAND))],
        input=stdin,
        capture_output=True,
        env=plain | environment,
        check=False,
    )


def test_a_pipe_shows_what_its_file_shows() -> None:
    piped = run("dsrkit inspect - --frames 1-20", stdin=TUNNEL.read_bytes())
    assert piped.returncode == 0
    rows = piped.stdout.decode().splitlines()
    assert rows[-20:] == lines(TUNNEL, "--frames", "1-20")[-20:]


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    done = run(f"dsrkit inspect {TUNNEL} -V | head -3")
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) == 3


def test_colours_only_where_they_are_asked_for() -> None:
    assert b"\x1b" not in run(f"dsrkit inspect {TUNNEL} -x -c 1").stdout
    assert b"\x1b" in run(f"dsrkit inspect {TUNNEL} -x -c 1", CLICOLOR_FORCE="1").stdout
    assert b"\x1b" not in run(f"dsrkit inspect {TUNNEL} -x -c 1 --no-color", FORCE_COLOR="1").stdout


@pytest.mark.parametrize(
    "options", [[], ["-V"], ["-x"], ["-T", "csv"], ["-T", "json"], ["-T", "json", "-V"], ["--flows"]]
)
def test_texts_of_a_file_neither_move_the_cursor_nor_forge_a_line(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "evil.pcapng"
    file.write_bytes(pcapng(comment=EVIL, name=EVIL))
    done = inspect(file, *options)
    assert not CONTROL.search(done.stdout + done.stderr)
    assert not any(line.startswith("frame 9") for line in done.stdout.splitlines())


def test_interfaces_and_comments_are_named(tmp_path: Path) -> None:
    file = tmp_path / "two.pcapng"
    file.write_bytes(pcapng(comment=b"look here"))
    assert lines(file)[-1].split()[:3] == ["1", "0.000000000", "eth0"]
    assert lines(file)[-1].endswith("# look here")
    assert lines(file, "-Y", 'frame.comment contains "look"', "-e", "frame.comment")[1:] == ["look here"]


def test_a_cut_file_is_shown_as_far_as_it_goes_and_noted(tmp_path: Path) -> None:
    file = tmp_path / "cut.pcap"
    file.write_bytes(TUNNEL.read_bytes()[:1000])
    done = inspect(file, "-e", "frame.number")
    assert len(done.stdout.splitlines()) > 3
    assert "note: the file is cut at offset 1000" in done.stderr


def test_progress_waits_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.watching(str(TUNNEL), wanted=True) as watch:
        watch.step(100, 1)
        assert screen.getvalue() == ""
        monkeypatch.setattr(progress, "PATIENCE", 0.0)
        watch.step(200, 2)
        watch.hide()
        assert "2 frames" in screen.getvalue()
    with progress.watching(str(TUNNEL), wanted=False) as watch:
        before = screen.getvalue()
        watch.step(300, 3)
        assert screen.getvalue() == before


def test_the_shell_is_offered_names_of_fields() -> None:
    assert "ip.src,ip.dst" in cli._fields("ip.src,ip.d")
    assert "tcp and ip.dst" in cli._expression("tcp and ip.ds")
    assert set(every_name()) == set(cli._fields(""))


def test_help_says_what_there_is() -> None:
    text: Any = inspect("--help").stdout
    for option in ("--where", "--frames", "--fields", "--format", "--parquet", "--flows", "-V", "-x", "-c", "-Y"):
        assert option in text


# --- a second opinion -------------------------------------------------------------------------------------------------


def test_another_decoder_reads_the_chosen_frames(tmp_path: Path) -> None:
    text = inspect(TUNNEL, "--oracle", "dpkt", "-c", "40").stdout
    assert re.match(r"dpkt [\d.]+: 40 frames, \d+ values compared\n1,?\d+ values read by dsrkit alone: ", text)
    assert text.endswith("\n\nAGREE: nothing differs\n")
    found = json.loads(inspect(TUNNEL, "--oracle", "dpkt", "--frames", "4-6", "-Y", "gue", "-T", "json").stdout)
    assert (found["schema"], found["exit_code"], found["frames"]) == ("dsrkit.opinion/1", 0, 2)
    assert found["fields"] > 30
    assert found["disagreements"] == []
    out = tmp_path / "opinion"
    assert inspect(TUNNEL, "--oracle", "dpkt", "-c", "4", "-o", out).stdout == ""
    assert "dpkt" in out.read_text()


def test_what_both_read_differently_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any, **named: Any) -> Any:
        d = dissect(*arguments, **named)
        for layer in d.layers:
            layer.fields = [replace(f, value=7) if f.name == "ip.ttl" else f for f in layer.fields]
        return d

    monkeypatch.setattr(opinion, "dissect", wrong)
    text = inspect(TUNNEL, "--oracle", "dpkt", "--frames", "3-4", code=1).stdout
    assert re.search(
        r"^disagreements\nframe  field   dsrkit  dpkt\n    3  ip.ttl  7       \d+\n    4  ip.ttl", text, re.M
    )
    assert "\nip.ttl: 2\n\nDISAGREE: 2 values of 1 field\n" in text
    found = json.loads(inspect(TUNNEL, "--oracle", "dpkt", "-c", "3", "-T", "json", code=1).stdout)
    assert found["disagreeing"] == {"ip.ttl": 1}
    assert found["disagreements"][0] == {"frame": 3, "field": "ip.ttl", "ours": "7", "theirs": "63", "why": ""}


def test_an_oracle_that_is_not_there_or_has_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    done = inspect(TUNNEL, "--oracle", "dpkt", "-Y", "vrrp", code=2)
    assert done.stdout.endswith("NOTHING COMPARED: no frame that both read\n")
    assert done.stderr == "no frame matches\n"
    for more in (["-V"], ["-x"], ["--flows"], ["-e", "ip.ttl"], ["-T", "csv"]):
        assert "--oracle compares all fields" in inspect(TUNNEL, "--oracle", "dpkt", *more, code=2).stderr
    monkeypatch.setenv("PATH", "")
    assert "needs tshark: install it" in inspect(TUNNEL, "--oracle", "tshark", code=2).stderr
    monkeypatch.setitem(sys.modules, "dpkt", None)
    assert "pip install 'dsrkit[oracle]'" in inspect(TUNNEL, "--oracle", "dpkt", code=2).stderr
