"""Text from packets and files cannot move the cursor, change the title, or forge a line of a report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from robustness import forks

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make

EVIL = "\x1b]0;owned\x07\x1b[2K\rERROR forged\nverdict: pass\x9b31m\u202etxt\x7f"
FORGED = ("ERROR forged", "verdict: pass")


def _name(label: bytes) -> bytes:
    return bytes([len(label)]) + label + b"\7example\0"


def hostile() -> bytes:
    """A capture whose every text is hostile: names, comments, filters, DNS names and payloads."""
    evil = EVIL.encode()
    question = b"\0\7\1\0\0\1\0\0\0\0\0\0" + _name(evil[:60]) + b"\0\1\0\1"
    answer = b"\0\7\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7"
    ends = ("192.0.2.1", "198.51.100.1")
    frames = [
        make.ethernet(make.ipv4(make.udp(question, *ends), 17, *ends)),
        make.ethernet(make.ipv4(make.udp(answer, *ends[::-1], sport=53, dport=40000), 17, *ends[::-1])),
        make.ethernet(make.ipv4(make.tcp(b"GET /" + evil + b" HTTP/1.1\r\nHost: " + evil + b"\r\n\r\n"), 6)),
        make.ethernet(make.ipv4(make.tcp(b"PROXY TCP4 " + evil + b" 1.2.3.4 5 6\r\n"), 6)),
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


@pytest.mark.parametrize(
    "args",
    [
        ["verify"],
        ["verify", "--format", "json"],
        ["inspect"],
        ["inspect", "-V"],
        ["inspect", "-x"],
        ["inspect", "--flows"],
        ["inspect", "--format", "json"],
        ["inspect", "--fields", "frame.number,dns.qry.name,frame.interface_name"],
        ["inspect", "--where", EVIL],
    ],
    ids=" ".join,
)
def test_no_text_of_a_capture_reaches_the_terminal_as_it_is(args: list[str], tmp_path: Path) -> None:
    path = tmp_path / "hostile.pcapng"
    path.write_bytes(hostile())
    (run,) = forks.runs([[*args, str(path)]])
    assert run.complaints == []
    assert not any(line.strip().startswith(FORGED) for line in (run.out + run.err).splitlines())
    assert run.out or run.err
    if "json" in args:
        json.loads(run.out)


def test_the_name_of_a_file_is_text_as_well(tmp_path: Path) -> None:
    for name in ("absent" + EVIL.replace("/", "")[:80], "there\x1b[2Jx"):
        path = tmp_path / name
        if name.startswith("there"):
            path.write_bytes(hostile())
        for run in forks.runs([["verify", str(path)], ["inspect", str(path)]]):
            assert [what for what in run.complaints if "control" in what or "traceback" in what] == []
