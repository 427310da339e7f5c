"""Every fault of tunnels and artefact of captures, in each mode and IP version: what the catalogue says is seen."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.faults import FAULTS, cap, tun
from dsrkit.craft.frame import Frame
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import IPIP, IPV6_IN_IP, UDP, Octets
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

CASES = [
    (fault.code, mode, ip)
    for area in (tun, cap)
    for fault in area.FAULTS
    for mode in fault.modes
    for ip in ("4", "6")
    if (fault.code, ip) not in {("TUN407", "6"), ("TUN421", "4")}  # DF is IPv4's, and 6in6 IPv6's
]
UNFINISHED = {"CAP901", "CAP902"}
COOKED = {"CAP907"}
CUT = {"CAP908"}
IP = pytest.mark.parametrize("ip", ["4", "6"])
VIP = {"4": "203.0.113.10", "6": "2001:db8:b::a"}


@cache
def broken(code: str, mode: str = "l3dsr-tunnel", ip: str = "4", **options: object) -> Scenario:
    return craft(mode, fault=code, ip=ip, **options)  # type: ignore[arg-type]


def at(scenario: Scenario, tap: str, *, sender: str | None = None) -> list[Octets]:
    """The IP packets at a tap, all headers of them."""
    frames = [f for f in scenario.kept if f.tap == tap and sender in (None, f.sender)]
    packets = [Octets(f.data.ljust(f.wire_octets, b"\0")) for f in frames]
    return [packet for packet in packets if packet.networks]


def kinds(packets: Iterable[Octets]) -> set[tuple[int, int]]:
    """Type and code of the ICMP errors among them."""
    found = set()
    for packet in packets:
        ip = packet.networks[0]
        if (ip.version, ip.proto) in ((4, 1), (6, 58)) and packet.data[ip.payload] in (1, 2, 3, 4, 11):
            found.add((packet.data[ip.payload], packet.data[ip.payload + 1]))
    return found


def flags(packets: Iterable[Octets]) -> set[int]:
    return {number & 0x17 for packet in packets if isinstance(number := packet.get("tcp.flags"), int)}


@pytest.mark.parametrize(("code", "mode", "ip"), CASES)
def test_every_fault_is_made_and_again_the_same(code: str, mode: str, ip: str) -> None:
    scenario = broken(code, mode, ip)
    assert scenario.fault == code
    assert {"A", "B"} <= {frame.tap for frame in scenario.kept} <= set(scenario.taps)
    if ip == "4":
        assert craft(mode, fault=code, ip=ip).kept == scenario.kept


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_nothing_malformed(tmp_path: Path) -> None:
    """ICMP errors that quote a segment in part are left aside: tshark finds the recorded ones wrong as well."""
    clean = [case for case in CASES if case[0] not in UNFINISHED | COOKED | CUT]
    frames = [frame.data for case in clean for frame in broken(*case).kept]
    assert tshark(tmp_path, frames) == []


def tshark(folder: Path, frames: list[bytes]) -> list[str]:
    records = (struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame for n, frame in enumerate(frames))
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    (folder / "all.pcap").write_bytes(header + b"".join(records))
    wrong = " || ".join(f"{name}.checksum.status == 0" for name in ("ip", "tcp", "udp", "icmp", "icmpv6"))
    command = ["tshark", "-n", "-r", str(folder / "all.pcap")]
    command += ["-Y", f"(_ws.malformed || {wrong}) && !(icmp.type == 3) && !(icmpv6.type in {{1, 2}})"]
    for option in ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"):
        command += ["-o", f"{option}:TRUE"]
    for option in ("tcp.desegment_tcp_streams", "tcp.analyze_sequence_numbers"):
        command += ["-o", f"{option}:FALSE"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    "code", ["CAP901", "CAP902", "CAP904", "CAP905", "CAP907", "CAP908", "CAP909", "CAP910", "CAP911"]
)
def test_artefacts_accuse_nobody(code: str, tmp_path: Path) -> None:
    for mode in FAULTS[code].modes:
        broken(code, mode).write(tmp_path / f"{mode}.pcapng")
        assert dsrkit.verify(str(tmp_path / f"{mode}.pcapng")).exit_code == 0


# --- tunnels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "ip", "seen"),
    [
        ("TUN401", "4", {(3, 2)}),
        ("TUN401", "6", {(4, 1)}),
        ("TUN413", "4", {(3, 3)}),
        ("TUN413", "6", {(1, 4)}),
        ("TUN422", "4", {(3, 3)}),
        ("TUN422", "6", {(1, 4)}),
    ],
)
def test_servers_that_refuse_outer_packets(code: str, ip: str, seen: set[tuple[int, int]]) -> None:
    scenario = broken(code, ip=ip)
    assert kinds(at(scenario, "D")) == seen
    assert kinds(at(scenario, "A")) == (seen if ip == "4" else set())  # IPVS looks into no IPv6 tunnel


@IP
@pytest.mark.parametrize("code", ["TUN402", "TUN403", "TUN420"])
def test_silence_behind_outer_packets(code: str, ip: str) -> None:
    scenario = broken(code, ip=ip)
    assert not kinds(at(scenario, "D"))
    assert 0x12 not in flags(at(scenario, "D", sender="web1"))
    assert len([p for p in at(scenario, "D") if len(p.networks) == 2]) > 4


@IP
def test_too_big_is_dropped_by_the_router(ip: str) -> None:
    scenario = broken("TUN423", ip=ip)
    seen = {(3, 4)} if ip == "4" else {(2, 0)}
    assert kinds(at(scenario, "B")) == seen
    assert kinds(at(scenario, "A")) == set()


@IP
def test_too_big_about_a_reply_goes_to_the_wrong_server(ip: str) -> None:
    healthy = craft("l3dsr-tunnel", ip=ip, reply=3000, flows=1)
    assert flags(at(healthy, "A", sender="r1")) & {1, 0x11}
    scenario = broken("TUN406", ip=ip)
    assert 0x11 not in flags(at(scenario, "A", sender="r1"))
    told = {
        p.get("outer.dst") for p in at(scenario, "B", sender="lb1") if len(p.networks) == 2 and p.ip.proto in (1, 58)
    }
    assert len(told) == 2


@IP
def test_offload_makes_frames_above_the_mtu(ip: str) -> None:
    frames = broken("TUN408", ip=ip).kept
    assert max(len(f.data) for f in frames if f.tap == "A") <= 1514
    assert max(len(f.data) for f in frames if f.tap == "B" and f.sender == "r1") > 2800


def test_marks_and_ttl_of_the_outer_header() -> None:
    lost = [p for p in at(broken("TUN411"), "B", sender="lb1") if len(p.networks) == 2]
    assert {p.get("outer.dsfield.dscp") for p in lost} == {0}
    assert {p.get("ip.dsfield.dscp") for p in lost} == {10}
    low = broken("TUN412")
    assert {p.get("outer.ttl") for p in at(low, "B", sender="lb1") if len(p.networks) == 2} == {1}
    assert not [p for p in at(low, "D") if len(p.networks) == 2]
    assert kinds(at(low, "A")) == {(11, 0)}


@IP
@pytest.mark.parametrize("code", ["TUN409", "TUN418"])
def test_outer_packets_that_arrive_nowhere(code: str, ip: str) -> None:
    scenario = broken(code, ip=ip)
    assert [p for p in at(scenario, "B") if len(p.networks) == 2]
    assert not [p for p in at(scenario, "D") if len(p.networks) == 2]


@IP
def test_a_reply_in_the_tunnel(ip: str) -> None:
    inside = [p for p in at(broken("TUN410", ip=ip), "D", sender="web1") if len(p.networks) == 2]
    assert {p.networks[0].proto for p in inside} == {IPIP if ip == "4" else IPV6_IN_IP}


@IP
def test_cilium_tells_the_vip_in_the_first_packet_only(ip: str) -> None:
    healthy = craft("l3dsr-tunnel", profile="cilium", tunnel="option", ip=ip, flows=2)
    assert 0x11 in flags(at(healthy, "A", sender="r1"))
    moved = broken("TUN414", ip=ip)
    assert 0x04 in flags(at(moved, "D", sender="web2"))
    dropped = broken("TUN415", ip=ip)
    assert flags(at(dropped, "D")) == set()
    long = [p for p in at(broken("TUN416", ip=ip), "B", sender="lb1") if p.ip.proto == UDP]
    assert {len(p.ip_packet) for p in long} >= {1508 if ip == "4" else 1524}
    sources = {p.get("ip.src") for p in at(broken("TUN417", ip=ip), "A", sender="r1") if p.get("tcp.flags") == 0x12}
    assert len(sources) == 2


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("TUN401", {"profile": "cilium", "tunnel": "option"}),
        ("TUN406", {"real_servers": 1}),
        ("TUN407", {"ip": "6"}),
        ("TUN414", {"profile": "ipvs"}),
        ("TUN420", {"tunnel": "ipip", "tunnel_checksum": False}),
        ("TUN421", {"tunnel": "4in6"}),
        ("CAP902", {"snaplen": 96}),
    ],
)
def test_faults_that_the_options_leave_no_room_for(code: str, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        craft("l3dsr-tunnel", fault=code, **options)  # type: ignore[arg-type]


# --- captures ---------------------------------------------------------------------------------------------------------


def taps_of(scenario: Scenario, tap: str) -> list[Frame]:
    return [frame for frame in scenario.kept if frame.tap == tap]


@IP
def test_frames_joined_by_offload(ip: str) -> None:
    frames = broken("CAP902", "nat", ip).kept
    assert max(f.wire_octets for f in frames if f.tap == "A" and f.sender == "client") > 10_000
    assert max(f.wire_octets for f in frames if f.tap == "B") <= 1514


def test_what_a_capture_leaves_out() -> None:
    assert not [p for tap in "ABCD" for p in at(broken("CAP904"), tap) if len(p.networks) > 1]
    hidden = at(broken("CAP906"), "B")
    assert not flags(hidden)
    assert 0x12 not in flags(p for tap in "ABC" for p in at(broken("CAP911", "nat"), tap) if tap == "A")
    assert {len(f.data) for f in broken("CAP908", "nat").kept} <= set(range(97))


def test_tags_at_all_taps_but_one() -> None:
    scenario = broken("CAP905", "l2dsr")
    tagged = {f.tap for f in scenario.kept if f.data[12:14] == b"\x81\x00"}
    assert tagged == {"C", "D"}


def test_every_frame_of_a_link_twice() -> None:
    data = [f.data for f in taps_of(broken("CAP909", "nat"), "B")]
    assert all(data.count(one) % 2 == 0 for one in set(data))


def test_cooked_files_say_so(tmp_path: Path) -> None:
    scenario = broken("CAP907", "l2dsr")
    files = scenario.write_split(tmp_path)
    assert files[0].read_bytes()[20:24] == (276).to_bytes(4, "little")
    assert {f.data[10] for f in taps_of(scenario, "A")} >= {0, 4}  # to the client, and from it
    assert scenario.packets("A")[0].name == "cooked linux v2"
    scenario.write(tmp_path / "all.pcapng")
    assert (276).to_bytes(2, "little") in (tmp_path / "all.pcapng").read_bytes()[:200]


@pytest.mark.parametrize("code", ["TUN404", "TUN405", "TUN407", "TUN408", "TUN409", "TUN411", "TUN412", "TUN423"])
def test_an_option_has_no_outer_header_that_could_be_wrong(code: str) -> None:
    with pytest.raises(UsageError, match="outer header"):
        craft("l3dsr-tunnel", profile="cilium", tunnel="option", fault=code)
    assert craft("l3dsr-tunnel", profile="cilium", tunnel="ipip", fault=code).taps


def test_the_other_vip_of_tun417_is_nobody_elses_address() -> None:
    spec = craft("l3dsr-tunnel", profile="cilium", tunnel="option").spec
    service = spec.services[0]
    near = str(ip_address(spec.nodes[0].ips[0]) - 1)
    fault = next(fault for fault in tun.FAULTS if fault.code == "TUN417")
    assert fault.spec is not None
    changed = fault.spec(replace(spec, services=(replace(service, vip=(near,)), *spec.services[1:])), Options())
    assert changed.services[0].vip[0] == near
    assert changed.services[0].vip[1] not in {ip for node in spec.nodes for ip in node.ips}
