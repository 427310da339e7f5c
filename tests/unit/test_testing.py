"""`dsrkit.testing` without pytest's help: goldens by meaning, frames, points of a scenario, and users' mistakes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import Ether

import dsrkit
from dsrkit.errors import SpecError, UsageError
from dsrkit.testing import Goldens, assert_frames, assert_golden, assert_verified, scenario

Frames = list[bytes]
TUNNEL = scenario("l3dsr-tunnel", flows=2, seed=5)
NAT = scenario("nat", flows=3, seed=5)


@pytest.fixture(autouse=True)
def _at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "BUILD_NUMBER", "DSRKIT_UPDATE"):
        monkeypatch.delenv(name, raising=False)


def patched(frame: bytes, at: int, octets: bytes) -> bytes:
    return frame[:at] + octets + frame[at + len(octets) :]


def mended(frame: bytes, at: int = 14) -> bytes:
    """The frame with the right checksum of the IPv4 header there."""
    total = sum(struct.unpack(">10H", patched(frame, at + 10, b"\0\0")[at : at + 20]))
    total = (total & 0xFFFF) + (total >> 16)
    return patched(frame, at + 10, struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF))


def refused(call: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        call(*args, **options)
    return str(caught.value)


def kept(folder: Path, frames: Any, name: str = "it") -> Goldens:
    assert_golden(frames, name, folder=folder, update=True)
    return Goldens(folder)


def test_what_varies_by_itself_does_not_count(tmp_path: Path) -> None:
    frames = NAT.frames("B.out")
    goldens = kept(tmp_path, frames)
    goldens.check(frames, "it")
    by_port: dict[bytes, Frames] = {}
    for frame in frames:
        by_port.setdefault(frame[36:38], []).append(frame)
    assert len(by_port) == 3
    goldens.check([f for flow in reversed(by_port.values()) for f in flow], "it")  # other order across flows
    anew = random.Random(1)
    goldens.check([mended(patched(f, 18, anew.randbytes(2))) for f in frames], "it")  # other ids
    goldens.check([Ether(f) for f in frames], "it")


@pytest.mark.parametrize("flavour", ["micro", "big-endian", "nano"])
def test_times_and_flavour_of_a_file_do_not_count(tmp_path: Path, flavour: str) -> None:
    order, magic = {"micro": ("<", 0xA1B2C3D4), "big-endian": (">", 0xA1B2C3D4), "nano": ("<", 0xA1B23C4D)}[flavour]
    frames = NAT.frames("B.in")
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 0x40000, 1)]
    for i, frame in enumerate(frames):
        parts += [struct.pack(f"{order}IIII", 1_700_000_000 + 7 * i, 5, len(frame), len(frame)), frame]
    file = tmp_path / "seen.pcap"
    file.write_bytes(b"".join(parts))
    kept(tmp_path, frames).check(file, "it")
    kept(tmp_path, dsrkit.read(file), "that").check(frames, "that")


def test_a_checksum_left_to_the_network_card_is_as_good_as_a_right_one(tmp_path: Path) -> None:
    frames = NAT.frames("B.in")
    syn = frames[0]
    pseudo = struct.unpack(">4H", syn[26:34])
    total = sum(pseudo) + 6 + len(syn) - 34
    total = (total & 0xFFFF) + (total >> 16)
    kept(tmp_path, frames).check([patched(syn, 50, struct.pack(">H", total)), *frames[1:]], "it")
    said = refused(Goldens(tmp_path).check, [patched(syn, 50, b"\x12\x34"), *frames[1:]], "it")
    assert "\n    tcp.checksum: good → bad, right: " in said


@pytest.mark.parametrize(
    ("field", "at", "value"),
    [
        ("eth.dst", 5, b"\x99"),
        ("ip.ttl", 22, b"\x07"),
        ("ip.dst", 33, b"\x99"),
        ("tcp.dstport", 36, b"\x12\x34"),
        ("tcp.seq", 38, b"\x12\x34\x56\x78"),
        ("tcp.window_size_value", 48, b"\x12\x34"),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among others"])
def test_a_damaged_field_is_named(tmp_path: Path, field: str, at: int, value: bytes, alone: bool) -> None:
    """Also where the packet is the only one: it must not be taken for that of another run."""
    frames = NAT.frames("B.in")[: 1 if alone else None]
    goldens = kept(tmp_path, frames)
    said = refused(goldens.check, [mended(patched(frames[0], at, value)), *frames[1:]], "it")
    assert f"\n    {field}: " in said
    assert "\nframe 1: TCP " in said or "\nframe 1 (seen as frame " in said
    assert "missing" not in said
    goldens.check([mended(patched(frames[0], at, value)), *frames[1:]], "it", ignore=[field, "*.checksum"])
    goldens.check([mended(patched(frames[0], at, value)), *frames[1:]], "it", only=["ip.src"])


def test_fields_that_usually_do_not_count_can_be_asked_for(tmp_path: Path) -> None:
    frames = TUNNEL.frames("B.out")
    goldens = kept(tmp_path, frames)
    other = [mended(patched(f, 18, b"\x77\x77")) for f in frames]
    goldens.check(other, "it")
    assert "\n    ip.id: " in refused(goldens.check, other, "it", only=["*"])
    assert "\n    ip.id: " in refused(goldens.check, other, "it", only=["outer.ip.id"])


def test_another_run_is_compared_when_asked_for(tmp_path: Path) -> None:
    goldens = kept(tmp_path, scenario("nat", seed=1).frames("B.in"))
    other = scenario("nat", seed=2).frames("B.in")
    said = refused(goldens.check, other, "it")
    assert 'how="rerun" leaves it out' in said
    assert "tcp.seq: " in said
    goldens.check(other, "it", how="rerun")
    said = refused(goldens.check, [mended(patched(f, 22, b"\x09")) for f in other], "it", how="rerun")
    assert "ip.ttl: 63 → 9" in said
    assert "tcp.seq: " not in said


def test_lost_and_added_frames_are_shown(tmp_path: Path) -> None:
    frames = NAT.frames("B.out")
    goldens = kept(tmp_path, frames)
    assert "1 frame missing" in refused(goldens.check, frames[1:], "it")
    assert "\nmissing: 1 frame\n    1: TCP " in refused(goldens.check, frames[1:], "it")
    assert "1 frame too many" in refused(goldens.check, [*frames, frames[2]], "it")


def test_many_differences_are_counted(tmp_path: Path) -> None:
    frames = [f for f in scenario("nat", flows=30).frames("B.in") if f[47] == 0x02]
    said = refused(kept(tmp_path, frames).check, [mended(patched(f, 22, b"\x09")) for f in frames], "it")
    assert "… ip.ttl differs in 25 frames more" in said


def test_taps_are_compared_by_name(tmp_path: Path) -> None:
    taps = {tap: TUNNEL.frames(tap) for tap in TUNNEL.taps}
    goldens = kept(tmp_path, taps)
    goldens.check(TUNNEL.crafted, "it")
    TUNNEL.crafted.write(tmp_path / "seen.pcapng")
    goldens.check(tmp_path / "seen.pcapng", "it")
    taps["C"] = taps["C"][:-1]
    said = refused(goldens.check, taps, "it")
    assert "\n\ntap C\nmissing: 1 frame\n    " in said
    last = len(taps.pop("C")) + 1
    taps["X"] = NAT.frames("B")
    said = refused(goldens.check, taps, "it")
    assert f"\ntap C: {last} frames missing" in said
    assert f"\ntap X: {len(taps['X'])} frames too many" in said


def test_nothing_seen_is_never_right(tmp_path: Path) -> None:
    assert "there is nothing to compare" in refused(assert_golden, [], "it", folder=tmp_path, update=True)
    assert not list(tmp_path.iterdir())


def test_the_environment_can_ask_for_goldens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frames = NAT.frames("B.out")
    assert "(pcaps/nat/out.pcapng): write it with DSRKIT_UPDATE=1," in refused(assert_golden, frames, "nat/out")
    monkeypatch.setenv("DSRKIT_UPDATE", "1")
    assert_golden(frames, "nat/out")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UsageError, match="no golden is written in CI"):
        assert_golden(frames, "nat/out")
    monkeypatch.delenv("DSRKIT_UPDATE")
    assert_golden(frames, "nat/out")


def test_a_capture_from_elsewhere_can_be_a_golden_until_it_is_updated(tmp_path: Path) -> None:
    NAT.crafted.write_split(tmp_path)
    frames = NAT.frames("B")
    assert_golden(frames, "B", folder=tmp_path)
    assert_golden(frames[1:], "B", folder=tmp_path, update=True)
    assert not (tmp_path / "B.pcap").exists()
    assert_golden(frames[1:], "B", folder=tmp_path)


@pytest.mark.parametrize("name", ["", "..", "../it", "/it", "a/../../it", "it.pcap", "it.pcapng", "i\0t", "."])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="golden"):
        assert_golden(NAT.frames("B"), name, folder=tmp_path, update=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [["text"], [5], 5, None, [None]])
def test_what_is_no_frame_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="frame"):
        assert_frames(wrong, NAT.frames("B.in"))


@pytest.mark.parametrize(
    "options",
    [
        *({"how": "auto"}, {"mode": "l4"}, {"ignore": "ip.ttl"}, {"only": "ip.ttl"}, {"ignore": None}, {"only": [5]}),
        *({"ignore": ["ip.tll"]}, {"only": ["ip.tll"]}, {"only": ["ip.ttl#1"]}),  # names that no field has
        *({"only": ["frame.len"]}, {"only": ["ip.checksum.state"]}),  # what is never compared
        *({"only": ["ipv6.hlim"]}, {"ignore": ["*"]}),  # nothing of these frames counts
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    frames = NAT.frames("B")
    kept(tmp_path, frames)
    with pytest.raises(UsageError):
        assert_golden(frames[1:], "it", folder=tmp_path, **options)


def test_a_name_stands_for_all_below_it() -> None:
    frame = TUNNEL.frames("B.out")[0]
    finned = patched(frame, 14 + 20 + 20 + 13, b"\x03")  # SYN, and FIN
    assert "\n    tcp.flags.fin" in refused(assert_frames, finned, frame, only=["tcp.flags"])
    assert_frames(finned, frame, ignore=["tcp"])
    assert_frames(finned, frame, only=["ip", "outer.ip.ttl", "eth.src"])


def test_a_checksum_of_a_fragment_counts_as_it_stands() -> None:
    frame = next(f for f in scenario("l2dsr", protocol="udp").frames("B.out"))
    first = mended(patched(frame, 20, b"\x20\x00"))  # more fragments
    damaged = patched(first, 40, bytes([first[40] ^ 0x24]))
    assert "\n    udp.checksum: " in refused(assert_frames, damaged, first)


def test_no_frame_against_none_is_no_success() -> None:
    assert "nothing to compare" in refused(assert_frames, [], [])


def test_one_frame_needs_no_list() -> None:
    (first, *_) = NAT.frames("B.in")
    assert_frames(first, [first])
    assert_frames([bytearray(first)], Ether(first).build())


def test_a_device_may_choose_what_is_its_own_and_nothing_else() -> None:
    frames = TUNNEL.frames("B.out")
    assert_frames([mended(patched(f, 18, b"\x77\x77")) for f in frames], frames)
    inner = [mended(patched(f, 38, b"\x77\x77"), 34) for f in frames]
    assert "\n    ip.id#2: " in refused(assert_frames, inner, frames, what="tunnel")
    assert refused(assert_frames, inner, frames, what="tunnel").startswith("tunnel: 1 field differs (expected → seen)")


@pytest.mark.parametrize(
    ("mode", "options", "point"),
    [("l3dsr-tunnel", {"tunnel": "gue"}, "B.out"), ("dns-rr", {}, "B"), ("l2dsr", {}, "A")],
    ids=["gue", "dns", "arp"],
)
def test_no_damaged_octet_passes(mode: str, options: dict[str, Any], point: str) -> None:
    frame = next(f for f in scenario(mode, **options).frames(point) if f[12:14] == b"\x08\x06" or mode != "l2dsr")
    for at, octet in enumerate(frame):
        said = refused(assert_frames, patched(frame, at, bytes([octet ^ 0x40])), frame, only=["*"])
        assert "differ" in said or said.startswith("1 frame missing, 1 frame too many"), f"octet {at}"


def test_points_of_a_scenario() -> None:
    bench = scenario("l2dsr", flows=2)
    everything, given, made = (bench.frames(point) for point in ("B", "B.in", "B.out"))
    assert len(given) == len(made) == 10
    arp = [f for f in everything if f[12:14] == b"\x08\x06"]
    assert sorted(everything) == sorted([*given, *made, *arp])
    assert set(bench.frames("B.in", arp=True)) - set(given) <= set(arp)
    lb = bench.spec.node("lb1")
    assert lb is not None
    assert {f[6:12].hex(":") for f in made} <= set(lb.macs)
    answers = bench.frames("D.out", node="web1") + bench.frames("D.out", node="web2")
    assert len(answers) == len(bench.frames("A.in", node="client"))


@pytest.mark.parametrize(
    ("point", "options", "says"),
    [
        ("E", {}, "no point 'E': "),
        ("B.inn", {}, "did you mean 'B.in'?"),
        ("D.in", {}, "tap D: say with node= which of "),
        ("B.in", {"node": "web9"}, "no node 'web9' at tap B "),
        ("B", {"node": "lb1"}, "goes with B.in and B.out"),
    ],
)
def test_points_that_are_none(point: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        scenario("l2dsr").expect(point, **options)


def test_a_frame_too_many_is_not_what_is_expected() -> None:
    expectation = scenario("nat").expect("C.out")
    assert "too many" in refused(expectation.matches, [*expectation.frames, expectation.frames[0]])


@pytest.mark.parametrize(
    ("allow", "error"),
    [
        (["NOPE1"], UsageError),
        ([{"code": "DSR301"}], UsageError),
        ([{"code": "DSR301", "reason": "x", "nodes": "rs1"}], UsageError),
        ([{"code": "DSR301", "reason": "x", "node": 5}], UsageError),
        ([""], UsageError),  # every code begins with it
        ([5], UsageError),
        (None, UsageError),
    ],
)
def test_what_is_allowed_has_a_code_and_a_reason(tmp_path: Path, allow: Any, error: type[Exception]) -> None:
    NAT.crafted.write(tmp_path / "it.pcapng")
    with pytest.raises(error, match="allow"):
        assert_verified(tmp_path / "it.pcapng", allow=allow)


@pytest.mark.parametrize("source", [5, [b"octets"], {"B": [b"octets"]}])
def test_what_is_verified_are_files(source: Any) -> None:
    with pytest.raises(UsageError, match="by their paths"):
        assert_verified(source)


def test_a_missing_spec_is_a_mistake_and_no_failure(tmp_path: Path) -> None:
    NAT.crafted.write(tmp_path / "it.pcapng")
    with pytest.raises(SpecError):
        assert_verified(tmp_path / "it.pcapng", spec=tmp_path / "dsr.toml")
