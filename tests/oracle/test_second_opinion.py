"""Every recorded scenario read by tshark and by dpkt as well: no difference that is not explained."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scenarios import CAPTURES, PCAPS

from dsrkit.errors import CaptureError, MissingDependency
from dsrkit.model.opinion import MOST_LISTED, Disagreement, Opinion
from dsrkit.oracle import ORACLES, opinion, tshark
from dsrkit.oracle.known import KNOWN
from dsrkit.oracle.opinion import oracle_of, second_opinion
from dsrkit.oracle.told import Frame, Oracle, Seen, paired
from dsrkit.wire.capture import read
from dsrkit.wire.dissect import frame as dissector
from dsrkit.wire.dissect.tree import Dissection, Field
from dsrkit.wire.dissect.walk import ones_fold, ones_sum

HEAD, STEP = 3, {"tshark": 500, "dpkt": 50}
"""The first frames of each file are read, and each so-manieth."""


@pytest.fixture(scope="module", params=[pytest.param("tshark", marks=needs.program("tshark")), "dpkt"])
def oracle(request: pytest.FixtureRequest) -> Oracle:
    return oracle_of(request.param)


def recorded(folder: Path) -> list[Path]:
    """The capture files of a folder, but for those that craft made."""
    files = (path for path in folder.rglob("*") if path.name.endswith((".pcap", ".pcapng")))
    return sorted(path for path in files if PCAPS / "crafted" not in path.parents)


def frames_of(path: Path, step: int = 1, most: int = 10_000) -> Iterator[Frame]:
    for window in read(path).windows():
        for i, record in enumerate(window.rec[: most - window.first_row]):
            number = window.first_row + i + 1
            if number <= HEAD or number % step == 0:
                octets = bytes(window.packet(i))
                yield Frame(number, int(record["linktype"]), octets, int(record["wirelen"]), int(record["ts_ns"]))


@pytest.mark.parametrize("folder", [PCAPS, CAPTURES], ids=["pcaps", "captures"])
def test_no_field_of_the_recorded_scenarios_differs(oracle: Oracle, folder: Path) -> None:
    files = recorded(folder)
    if not files:
        pytest.skip(f"no captures: {folder} is not there")
    found = second_opinion((frame for path in files for frame in frames_of(path, STEP[oracle.name])), oracle)
    assert not found.by_field, found.listed[:20]
    assert found.frames >= len(files)
    assert found.unread == 0
    assert found.fields > 15 * found.frames
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ip.ttl", lambda value: value ^ 1),
        ("tcp.flags.syn", lambda value: value ^ 1),
        ("tcp.seq", lambda value: value + 1),
        ("ip.dst", lambda value: "192.0.2.77"),
        ("eth.src", lambda value: "02:00:00:00:00:77"),
        ("tcp.dstport", None),
    ],
)
def test_a_wrong_decoder_is_found(oracle: Oracle, monkeypatch: pytest.MonkeyPatch, name: str, change: Any) -> None:
    def wrong(*arguments: Any, **named: Any) -> Dissection:
        d = dissector.dissect(*arguments, **named)
        for layer in d.layers:
            layer.fields = [
                Field(f.name, change(f.value) if change and f.name == name else f.value, f.start, f.stop, f.mask)
                for f in layer.fields
                if change or f.name != name
            ]
        return d

    frames = list(frames_of(PCAPS / "l3dsr-tunnel" / "ipvs-tun-ipip" / "B_lb.pcap", most=12))
    assert second_opinion(frames, oracle).exit_code == 0
    monkeypatch.setattr(opinion, "dissect", wrong)
    found = second_opinion(frames, oracle)
    assert {one.partition("#")[0] for one in found.by_field} == {name}
    assert found.exit_code == 1
    assert found.by_field.total() >= 8
    assert all(bool(one.ours) == bool(change) for one in found.listed)


ETH = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
V4 = IP(src="192.0.2.1", dst="192.0.2.2")
REQUEST = TCP(sport=40000, dport=80, flags="PA") / Raw(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")


def offloaded() -> bytes:
    """A segment whose checksum is the folded sum of its pseudo-header."""
    packet = bytearray(bytes(ETH / V4 / TCP(sport=40000, dport=80, chksum=0) / Raw(b"hello")))
    pseudo = packet[26:34] + bytes([0, 6]) + (len(packet) - 34).to_bytes(2, "big")
    packet[50:52] = ones_fold(ones_sum(bytes(pseudo))).to_bytes(2, "big")
    return bytes(packet)


def replaced(packet: Packet, at: int, octets: bytes) -> bytes:
    out = bytearray(bytes(packet))
    out[at : at + len(octets)] = octets
    return bytes(out)


INNER = bytes(V4 / REQUEST)
CASES = {
    ("tshark", "the sum is left"): offloaded(),
    ("tshark", "zero means"): bytes(
        ETH / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=5, dport=6080, chksum=0) / Raw(b"\0\4\0\0" + INNER)
    ),
    ("tshark", "one of both"): bytes(ETH / IP(src="192.0.2.1", dst="192.0.2.2", len=400) / ICMP() / Raw(b"cut")),
    ("tshark", "tshark shows the reserved"): bytes(ETH / V4 / TCP(sport=1, dport=2, reserved=6)),
    ("tshark", "of a packet inside"): bytes(ETH / V4 / ICMP(type=3, code=1) / Raw(INNER)),
    ("tshark", "16 bits that are 0"): bytes(ETH / IP(src="192.0.2.1", dst="192.0.2.2", len=0) / REQUEST),
    ("tshark", "on a source route"): bytes(
        ETH / IP(src="192.0.2.1", dst="192.0.2.2", options=IPOption_LSRR(routers=["192.0.2.9"])) / REQUEST
    ),
    ("tshark", "behind the end"): bytes(ETH / V4 / TCP(sport=1, dport=2, options=[("EOL", None), ("EOL", None)])),
    ("tshark", "tshark calls the length"): bytes(
        ETH / V4 / UDP(sport=5, dport=6081) / GENEVE(vni=7, proto=0x0800, options=[GeneveOptions()]) / Raw(INNER)
    ),
    ("tshark", "tshark reads 8 bits"): bytes(
        ETH / V4 / UDP(sport=5, dport=4790) / Raw(bytes.fromhex("0c00000100000700") + INNER)
    ),
    ("tshark", "of several messages"): bytes(ETH / V4 / REQUEST / Raw(bytes(REQUEST.payload) * 2)),
    ("tshark", "what follows stands behind"): replaced(ETH / V4 / REQUEST, 14, b"\x65"),
    ("dpkt", "what follows stands behind"): replaced(ETH / V4 / REQUEST, 14, b"\x65"),
    ("dpkt", "dpkt takes every address"): bytes(ETH / ARP(hwlen=8, hwsrc=b"12345678", hwdst=b"12345678")),
    ("dpkt", "labels do not say"): bytes(ETH / MPLS(label=7, s=1) / Raw(b"\x35" + bytes(60))),
}
"""For each explanation by its oracle and first words: a frame that needs it."""


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.oracle}-{known.why[:20]}")
def test_every_explanation_is_needed(known: Any) -> None:
    if known.oracle == "tshark":
        pytest.importorskip("pyshark")
    octets = next(
        octets for (name, words), octets in CASES.items() if name == known.oracle and known.why.startswith(words)
    )
    found = second_opinion([Frame(1, 1, octets, len(octets))], oracle_of(known.oracle))
    assert f"{known.why} ({known.source})" in {one.why for one in found.listed_explained}, found
    assert not found.by_field, found.listed
    assert len(CASES) == len(KNOWN)


def test_link_types_that_one_does_not_read_are_counted(oracle: Oracle) -> None:
    frames = [Frame(n, linktype, bytes(60), 60) for n, linktype in enumerate((147, 9, 4000, 65535), 1)]
    found = second_opinion(frames, oracle)
    assert (found.frames, found.unread, found.fields, found.exit_code) == (4, 4, 0, 2)


def test_oracles_work_in_threads(oracle: Oracle) -> None:
    frames = list(frames_of(PCAPS / "l3dsr-tunnel" / "ipvs-tun-gue" / "B_lb.pcap", most=5))
    found: list[Opinion] = []
    threads = [threading.Thread(target=lambda: found.append(second_opinion(frames, oracle))) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [(one.frames, one.exit_code) for one in found] == [(5, 0)] * 3


def test_an_empty_capture_is_no_agreement(oracle: Oracle) -> None:
    assert second_opinion([], oracle).exit_code == 2


@needs.program("tshark")
def test_tshark_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = oracle_of("tshark")
    monkeypatch.setattr(tshark, "TIME_LIMIT", 0.001)
    with pytest.raises(CaptureError, match=r"took more than 0\.001 s"):
        second_opinion([Frame(1, 1, bytes(60), 60)], found)


@pytest.mark.parametrize("name", ORACLES)
def test_what_is_absent_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(__import__("sys").modules, "dpkt", None)
    with pytest.raises(MissingDependency, match=r"apt install tshark|pip install 'dsrkit\[oracle\]'"):
        oracle_of(name)


def test_fields_pair_by_where_they_stand() -> None:
    mine = [Seen("f", 1, 10, 12), Seen("f", 2, 20, 22), Seen("len", 0, 30, 30, (10, 30)), Seen("g", 1, 0, 1)]
    theirs = [Seen("f", 2, 21, 22), Seen("len", 0, 10, 10), Seen("f", 3, 40, 41)]
    pairs = [(a and (a.name, a.start), b and (b.name, b.start)) for a, b in paired(mine, theirs)]
    assert sorted(pairs, key=str) == sorted(
        [
            (("f", 20), ("f", 21)),
            (None, ("f", 40)),
            (("f", 10), None),
            (("len", 30), ("len", 10)),
            (("g", 0), None),
        ],
        key=str,
    )


def test_what_is_listed_is_bounded() -> None:
    found = Opinion("tshark", "4")
    for n in range(MOST_LISTED + 5):
        found.add(Disagreement(n, "ip.ttl", "1", "2"))
    assert len(found.listed) == MOST_LISTED
    assert found.by_field.total() == MOST_LISTED + 5
