"""Frames as trees, hex dumps and JSON: every octet once, inner and outer side by side, nothing that moves a cursor."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenarios import PCAPS

from dsrkit.inspect.view import View
from dsrkit.report import hexdump, tree
from dsrkit.report.frames import Frame, lines, to_dict
from dsrkit.report.paint import painter
from dsrkit.wire.capture import read
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Dissection

PLAIN: Final = painter(color=False)
TUNNELS: Final = ("ipvs-tun-gue", "ipvs-tun-ipip", "lab-tun-4in6", "lab-tun-6in4", "lab-tun-gre-csum", "ipvs-tun-6in6")


def frame(case: str, number: int) -> Dissection:
    """A recorded frame, taken apart."""
    file = sorted((PCAPS / "l3dsr-tunnel" / case).glob("B_*.pcap*"))[0]
    for batch in View(file, roles=False).batches():
        for i in range(len(batch)):
            if batch.number(i) == number:
                return batch.dissection(i)
    raise AssertionError(number)


def tunnel_packet(case: str) -> Dissection:
    """The first tunnel packet of a recorded case."""
    file = sorted((PCAPS / "l3dsr-tunnel" / case).glob("B_*.pcap*"))[0]
    for batch in View(file, roles=False).batches():
        for i in range(len(batch)):
            if batch.window.rec["depth"][i] > 1:
                return batch.dissection(i)
    raise AssertionError(case)


@pytest.mark.parametrize("case", TUNNELS)
def test_inner_and_outer_header_stand_side_by_side(case: str) -> None:
    taken = tunnel_packet(case)
    text = list(tree.lines(taken.layers, PLAIN))
    head = next(line for line in text if line.startswith("  IP headers"))
    outer, inner = (layer for layer in taken.layers if layer.name in ("ip", "ipv6"))
    assert head.split()[2:4] == ["outer", tree.title(outer)]
    assert f"inner {tree.title(inner)}" in head
    at = head.index("inner ")
    rows = {line[4:26].strip(): (line[27:at].split(), line[at:].split()) for line in text if line[:4] == "    "}
    for end in ("src", "dst"):
        addresses = tuple(
            str(next(f.value for f in layer.fields if f.name.endswith(f".{end}"))) for layer in (outer, inner)
        )
        assert tuple(cell[0] for cell in rows[end]) == addresses
    names = [line.split()[0] for line in text]
    assert names.count("ttl") + names.count("hlim") == 1


def test_a_frame_reads_as_written_here() -> None:
    text = "\n".join(tree.lines(frame("ipvs-tun-gue", 6).layers, PLAIN))
    for line in (
        "  IP headers               outer ip (14–33)  inner ip#2 (46–65)",
        "    proto                  17 (UDP)          6 (TCP)",
        "    checksum               0x6e80  [good]    0x0151  [good]",
        "    flags                  0x02 (df)         0x02 (df)",
        "  gue (42–45)",
        "    flags                  0x0010 (ACK)",
    ):
        assert line in text.split("\n")


def test_octets_stand_beside_their_fields() -> None:
    taken = frame("ipvs-tun-gue", 6)
    text = list(hexdump.lines(taken.octets, taken.layers, PLAIN))
    assert text[0] == "  eth"
    assert text[1].startswith("    0000  02 aa 00 00 00 0b 02 1b  ........  0–5 dst 02:aa:00:00:00:0b, 6–11 src 02:1b")
    assert any("58–61 src 198.51.100.10" in line for line in text)


def test_octets_that_no_header_claims_are_padding() -> None:
    octets = frame("ipvs-tun-gue", 6).octets[:14] + bytes.fromhex(
        "4500001c 00000000 40010000 0a000001 0a000002 0800f7ff 00000000"
    )
    taken = dissect(octets + bytes(18), 1)
    assert taken.trailer
    text = list(hexdump.lines(taken.octets, taken.layers, PLAIN, padding=taken.trailer[0]))
    assert [line for line in text if not line.startswith("    ")] == ["  eth", "  ip", "  icmp", "  padding"]


def test_a_wrong_checksum_is_told_with_the_right_one() -> None:
    octets = bytearray(frame("ipvs-tun-gue", 6).octets)
    octets[14 + 8] -= 1  # the outer TTL
    text = "\n".join(tree.lines(dissect(bytes(octets), 1).layers, PLAIN))
    assert "0x6e80  [bad, right: 0x6f80]" in text


@given(st.binary(max_size=200), st.sampled_from([1, 101, 113, 276, 0, 105]))
def test_arbitrary_octets_are_shown_once_each(octets: bytes, linktype: int) -> None:
    shown = 0
    for line in hexdump.lines(octets, dissect(octets, linktype).layers, PLAIN):
        if match := re.match(r"    ([0-9a-f]{4,})  ((?:[0-9a-f]{2} )*[0-9a-f]{2}) {2}", line):
            assert int(match[1], 16) == shown
            row = bytes.fromhex(match[2])
            assert row == octets[shown : shown + len(row)]
            shown += len(row)
    assert shown == len(octets)
    text = "\n".join(tree.lines(dissect(octets, linktype).layers, PLAIN))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_text_of_packets_and_files_forges_nothing() -> None:
    evil = "\x1b[2J\x1b]0;title\x07\nFrame 9  forged\u202e"
    said = Frame(1, "2026-01-01 00:00:00.000000000", 4, b"\x1b[2J", evil, evil, evil, evil, evil, [evil])
    text = list(lines(said, PLAIN, headers=True, octets=True))
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", line) for line in text)
    assert sum(line.startswith("Frame ") for line in text) == 1
    assert json.dumps(to_dict(said, headers=True, octets=True)).isascii()


def test_colours_only_add_to_the_text() -> None:
    taken = frame("ipvs-tun-gue", 6)
    for render in (
        lambda paint: tree.lines(taken.layers, paint),
        lambda p: hexdump.lines(taken.octets, taken.layers, p),
    ):
        colored = "\n".join(render(painter(color=True)))
        assert "\x1b[" in colored
        assert re.sub(r"\x1b\[[0-9]+m", "", colored) == "\n".join(render(PLAIN))


def test_comments_of_packets_are_shown(tmp_path: Path) -> None:
    def block(kind: int, body: bytes) -> bytes:
        size = 12 + len(body)
        return struct.pack("<II", kind, size) + body + struct.pack("<I", size)

    def option(code: int, text: bytes) -> bytes:
        return struct.pack("<HH", code, len(text)) + text + bytes(-len(text) % 4)

    packet = frame("ipvs-tun-gue", 6).octets
    head = struct.pack("<IIIII", 0, 0, 0, len(packet), len(packet)) + packet + bytes(-len(packet) % 4)
    file = tmp_path / "commented.pcapng"
    file.write_bytes(
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack("<HHI", 1, 0, 0))
        + block(6, head + option(1, b"ein Wort\x1b[2J") + bytes(4))
        + block(6, head)
    )
    assert len(read(file).interfaces) == 1
    (batch,) = View(file, roles=False).batches()
    assert batch.texts("frame.comment", 0) == ["ein Wort\x1b[2J"]
    assert batch.texts("frame.comment", 1) == []
