"""Announcements by their form, and VRRP adverts, from literal octets."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import dsrkit
from dsrkit.craft.packets.vrrp import advertisement
from dsrkit.mechanisms.takeover.forms import FORMS, forms, likely_sender
from dsrkit.mechanisms.takeover.vrrp import Advert, is_virtual, parse, vrid_of
from dsrkit.verify.batches import Input, named_sources
from dsrkit.verify.frames import AddressBook

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors")) / "garp-senders"
OWN, ALL, ZERO, OTHER = "020000000001", "ff" * 6, "00" * 6, "020000000002"
VIP, ROUTER, ANY, NOBODY = "c000020a", "c0000201", "00000000", "ffffffff"
ALL_NODES, LLADDR = "ff020000000000000000000000000001", "fe800000000000000000000000000001"
VIP6 = "20010db8000000000000000000000010"


def arp(op: int, spa: str, tha: str, tpa: str, dst: str = ALL) -> str:
    return f"{dst}{OWN}0806000108000604{op:04x}{OWN}{spa}{tha}{tpa}"


def advert(flags: int, dst: str, mac: str) -> str:
    body = f"8800{0:04x}{flags << 24:08x}{VIP6}0201{OWN}"
    return f"{mac}{OWN}86dd60000000{len(body) // 2:04x}3aff{LLADDR}{dst}{body}"


def solicitation(src: str) -> str:
    body = f"8700{0:04x}00000000{VIP6}"
    return f"3333ff000010{OWN}86dd60000000{len(body) // 2:04x}3aff{src}ff0200000000000000000001ff000010{body}"


CASES = {
    "question": arp(1, ROUTER, ZERO, VIP),
    "question with target MAC broadcast": arp(1, ROUTER, ALL, VIP),
    "unicast question": arp(1, ROUTER, OTHER, VIP, OTHER),
    "probe": arp(1, ANY, ZERO, VIP),
    "answer": arp(2, VIP, OTHER, ROUTER, OTHER),
    "answer to everybody": arp(2, VIP, OTHER, ROUTER),
    "defence": arp(2, VIP, OTHER, VIP, OTHER),
    "request-tha-zero": arp(1, VIP, ZERO, VIP),
    "request-tha-broadcast": arp(1, VIP, ALL, VIP),
    "request-tha-own": arp(1, VIP, OWN, VIP),
    "request-tha-other": arp(1, VIP, OTHER, VIP),
    "reply-tha-own": arp(2, VIP, OWN, VIP),
    "reply-tha-broadcast": arp(2, VIP, ALL, VIP),
    "reply-tha-zero": arp(2, VIP, ZERO, VIP),
    "reply-to-nobody": arp(2, VIP, ALL, NOBODY),
    "reply-to-nobody at address 0": arp(2, VIP, ALL, ANY),
    "na-override": advert(0x20, ALL_NODES, "333300000001"),
    "na-without-override": advert(0x00, ALL_NODES, "333300000001"),
    "na-answer": advert(0x60, LLADDR, OTHER),
    "ns-question": solicitation(LLADDR),
    "ns-probe": solicitation("00" * 16),
}
NAMES = {
    "question with target MAC broadcast": "question",
    "unicast question": "question",
    "answer to everybody": "answer",
    "reply-to-nobody at address 0": "reply-to-nobody",
}


def pcap(path: Path, frames: Iterable[bytes]) -> Path:
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for i, frame in enumerate(frames):
        data += struct.pack("<IIII", 1_700_000_000 + i, 0, len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


def named(path: Path) -> list[str]:
    book = AddressBook()
    frames = next(Input(book, named_sources(path, None), None).batches()).frames
    return [FORMS[number].name for number in forms(frames, np.arange(frames.n)).tolist()]


@pytest.mark.parametrize("case", CASES)
def test_a_form_is_named(case: str, tmp_path: Path) -> None:
    assert named(pcap(tmp_path / "x.pcap", [bytes.fromhex(CASES[case])])) == [NAMES.get(case, case)]


def test_every_form_has_a_case() -> None:
    assert {NAMES.get(case, case) for case in CASES} == {form.name for form in FORMS} - {"other"}


@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"the vectors are not in {VECTORS}")
def test_forms_of_real_senders() -> None:
    """Frames as sources of VIP managers build them; what their authors call gratuitous announces here."""
    vectors = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))["vectors"]
    names = dict(zip((v["id"].split(" ", 1)[1] for v in vectors), named(VECTORS / "garp-senders.pcap"), strict=True))
    assert names == {
        "keepalived": "request-tha-broadcast",
        "metallb request": "request-tha-broadcast",
        "metallb reply": "reply-tha-broadcast",
        "kube-vip reply": "reply-tha-own",
        "kube-vip request": "request-tha-broadcast",
        "seesaw": "reply-to-nobody",
        "linux kernel arp_notify": "request-tha-zero",
        "RFC 5227 probe (contrast)": "probe",
        "ordinary request (contrast)": "question",
    }
    by_name = {form.name: form for form in FORMS}
    for vector in vectors:
        form = by_name[names[vector["id"].split(" ", 1)[1]]]
        assert form.announces == vector["sender_intends_gratuitous"]
        tshark = next(layer for layer in vector["tshark"] if layer["proto"] == "arp")
        assert form.gratuitous == ("arp.isgratuitous" in tshark)


@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"the vectors are not in {VECTORS}")
def test_announcements_alone_are_a_capture_of_mode_garp() -> None:
    report = dsrkit.verify(VECTORS / "garp-senders.pcap")
    assert report.mode == "garp"
    assert [finding for finding in report.findings if finding.severity != "info"] == []
    (takeover,) = report.takeovers
    assert takeover.vips == ("192.0.2.10",)
    assert takeover.moves == ()


def test_likely_senders() -> None:
    assert "keepalived" in likely_sender({"request-tha-broadcast"})
    assert likely_sender({"request-tha-broadcast", "reply-tha-own"}) == "kube-vip"
    assert likely_sender({"request-tha-own"}) == ""
    assert likely_sender(set()) == ""


# --- adverts ----------------------------------------------------------------------------------------------------------

# keepalived 2.2.7, as recorded: version 2, router 51, priority 150, 192.0.2.100, one per second
RECORDED = "213396010001" + "8665" + "c0000264" + "00" * 8


def test_an_advert_as_recorded() -> None:
    assert parse(bytes.fromhex(RECORDED), 4) == Advert(2, 51, 150, 1_000_000_000, ("192.0.2.100",))


@pytest.mark.parametrize(
    ("version", "src", "addresses", "interval"),
    [
        (2, "192.0.2.1", ("192.0.2.10", "192.0.2.11"), 3),
        (3, "192.0.2.1", ("192.0.2.10",), 0.5),
        (3, "fe80::1", ("fe80::10", "2001:db8::10"), 1),
    ],
)
def test_adverts_of_every_version(version: int, src: str, addresses: tuple[str, ...], interval: float) -> None:
    frame = advertisement(7, 0, addresses, src, version=version, interval=interval)
    family = 6 if ":" in src else 4
    octets = frame[14 + (40 if family == 6 else 20) :]
    assert parse(octets, family) == Advert(version, 7, 0, round(interval * 1e9), addresses)
    needed = 8 + len(addresses) * (16 if family == 6 else 4)
    for size in range(len(octets)):
        assert (parse(octets[:size], family) is None) == (size < needed)


@pytest.mark.parametrize("octets", ["", "21", "2233960100010000c0000264", "4133960100010000c0000264"])
def test_what_is_no_advert(octets: str) -> None:
    assert parse(bytes.fromhex(octets), 4) is None


def test_virtual_macs() -> None:
    assert is_virtual(0x00005E000133)
    assert is_virtual(0x00005E000207)
    assert vrid_of(0x00005E000207) == 7
    assert not is_virtual(0x00005E000033)
    assert not is_virtual(0x02005E000133)
