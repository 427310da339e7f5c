"""The text forms of frames, each read back by the tool that it is for."""

from __future__ import annotations

import dataclasses
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from craft_scenarios import TAPS, l2dsr, tunnel, volume

from dsrkit.craft.frame import Frame
from dsrkit.craft.output.formats import KINDS, render
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec

# what follows the end of the TCP options is lost on scapy
BROKEN = l2dsr()["A"][0][:54] + bytes.fromhex("00000001")


def everything() -> Scenario:
    """Whole frames, a cut one, padding, a name that no identifier may have."""
    whole = [*l2dsr().kept, *tunnel().kept]
    odd = [
        dataclasses.replace(whole[0], data=b"\x02" * 12 + b"\x08\x00\x4f\x00\xff"),
        dataclasses.replace(whole[0], data=whole[0].data[:40], comment='cut /* "here" */ \\'),
        dataclasses.replace(whole[1], data=whole[1].data + bytes(6)),
        dataclasses.replace(whole[2], data=BROKEN, tap="web-1.eth0"),
        dataclasses.replace(whole[2], tap="web 1 eth0", comment="\x1b[31mred\u2028line"),
    ]
    return Scenario("l2dsr", "ipvs", (*TAPS, "web-1.eth0", "web 1 eth0"), Spec(), kept=(*whole, *odd))


def text(kind: str, scenario: Scenario, tap: str | None = None) -> str:
    return "".join(render(scenario, kind, tap))


def test_an_unknown_kind() -> None:
    with pytest.raises(UsageError, match="one of: hex, scapy, c, json"):
        render(l2dsr(), "xml")


@pytest.mark.parametrize("kind", KINDS)
def test_one_tap(kind: str) -> None:
    assert "who has the VIP?" in text(kind, l2dsr(), "B")
    assert "who has the VIP?" not in text(kind, l2dsr(), "A")


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_in_batches_is_the_same(kind: str) -> None:
    kept = Scenario("l2dsr", "ipvs", TAPS, Spec(), kept=tuple(volume(copies=1).frames()))
    assert text(kind, kept) == text(kind, volume(copies=1))


@pytest.mark.parametrize("kind", KINDS)
def test_comments_stay_on_their_line(kind: str) -> None:
    assert "\x1b" not in text(kind, everything())
    assert not [line for line in text(kind, everything()).split("\n") if line.startswith(("line", "at the server"))]


def test_hex_octets() -> None:
    frame = Frame("B", 0, bytes(range(18)), 18, "", "", "a\nb")
    assert text("hex", Scenario("nat", "ipvs", ("B",), Spec(), kept=(frame,))) == (
        "# B 1: a b\n000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n000010  10 11\n\n"
    )


@pytest.mark.skipif(shutil.which("text2pcap") is None, reason="text2pcap is not installed")
def test_text2pcap_makes_the_same_frames(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(text("hex", everything()), encoding="utf-8")
    argv = ["text2pcap", "-F", "pcap", str(tmp_path / "x.txt"), str(tmp_path / "x.pcap")]
    subprocess.run(argv, check=True, capture_output=True)
    data, at, found = (tmp_path / "x.pcap").read_bytes(), 24, []
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    assert found == [frame.data for frame in everything().frames()]


def test_the_scapy_program_makes_the_same_frames(tmp_path: Path) -> None:
    scenario = everything()
    check = "import json\nprint(json.dumps({tap: [bytes(p).hex() for p in ps] for tap, ps in frames.items()}))\n"
    (tmp_path / "x.py").write_text(text("scapy", scenario) + check, encoding="utf-8")
    run = subprocess.run([sys.executable, str(tmp_path / "x.py")], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {tap: [data.hex() for data in scenario[tap]] for tap in scenario.taps}


def test_scapy_commands_are_words_where_they_can_be() -> None:
    written = text("scapy", everything())
    assert "IP(" in written
    assert "TCP(" in written
    assert f"Ether(bytes.fromhex({BROKEN.hex()!r}))" in written
    assert "bytes.fromhex" not in text("scapy", l2dsr())
    assert "bytes.fromhex" not in text("scapy", tunnel())


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_c_compiles_and_holds_the_octets(tmp_path: Path) -> None:
    scenario = everything()
    program = "#include <stdio.h>\n" + text("c", scenario)
    program += "int main(void) { fwrite(frame_B_0002, 1, sizeof frame_B_0002, stdout); return 0; }\n"
    (tmp_path / "x.c").write_text(program, encoding="utf-8")
    argv = ["gcc", "-Wall", "-Wno-unused-const-variable", "-Werror", "-pedantic", "x.c", "-o", "x"]
    subprocess.run(argv, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "x"], capture_output=True, check=True).stdout == scenario["B"][1]
    assert "frame_web_1_eth0_0001[" in program
    assert "frame_web_1_eth0_2_0001[" in program


def test_json_rows() -> None:
    scenario = everything()
    rows = json.loads(text("json", scenario))
    assert rows[1] == {
        "tap": "B",
        "ts_ns": 1_700_000_000_000_050_000,
        "octets": scenario["B"][0].hex(),
        "wire_octets": len(scenario["B"][0]),
        "sender": "r1",
        "receiver": "lb1",
        "comment": "SYN, routed",
        "packet": 0,
        "flow": 0,
        "changes": [{"field": "ip.ttl", "before": "64", "after": "63"}],
    }
    assert [bytes.fromhex(row["octets"]) for row in rows] == [frame.data for frame in scenario.frames()]
    assert len(text("json", scenario).splitlines()) == len(rows) + 2
    assert json.loads(text("json", Scenario("nat", "ipvs", TAPS, Spec()))) == []
