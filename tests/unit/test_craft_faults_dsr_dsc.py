"""Every fault of direct server return, in every mode and both IP versions: what the catalogue says is to be seen."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import dpkt
import pytest

from dsrkit.craft.api import craft
from dsrkit.craft.faults import FAULTS, dsc, dsr
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

CASES = [
    (fault.code, mode, ip) for area in (dsr, dsc) for fault in area.FAULTS for mode in fault.modes for ip in ("4", "6")
]
WRONG_SUMS = {"DSC512", "DSC516"}
TAG = 7
VIP = {"4": "203.0.113.10", "6": "2001:db8:b::a"}
FLAGS = ((dpkt.tcp.TH_SYN, "S"), (dpkt.tcp.TH_FIN, "F"), (dpkt.tcp.TH_RST, "R"), (dpkt.tcp.TH_ACK, "A"))
UNREACHABLE_PORT, PROHIBITED, TIME_EXCEEDED = "3/3", "3/13", "11/0"
SIX = {"1/4": UNREACHABLE_PORT, "1/1": PROHIBITED, "3/0": TIME_EXCEEDED, "1/3": "3/1"}
"""ICMPv6's type and code of the same complaint."""
IP = pytest.mark.parametrize("ip", ["4", "6"])


@dataclass(frozen=True)
class Row:
    """The innermost packet of a frame, as dpkt reads it: addresses as names of nodes or ``vip``."""

    tap: str
    second: float
    link: tuple[str, str]
    src: str
    dst: str
    ttl: int
    dscp: int
    ecn: int
    what: str  # TCP flags, "udp", or ICMP type/code in IPv4's numbers
    port: int  # the client's
    ident: int
    outer: str = ""

    @property
    def ends(self) -> tuple[str, str]:
        return self.src, self.dst


@cache
def broken(code: str, mode: str, ip: str = "4", **options: object) -> Scenario:
    return craft(mode, fault=code, ip=ip, **options)  # type: ignore[arg-type]


READ: dict[int, tuple[Scenario, list[Row]]] = {}


def rows(scenario: Scenario) -> list[Row]:
    """The IP packets of all taps, in time order; a scenario is read once."""
    if id(scenario) not in READ:
        READ[id(scenario)] = scenario, list(_rows(scenario))
    return READ[id(scenario)][1]


def _rows(scenario: Scenario) -> Iterator[Row]:
    nodes = scenario.spec.nodes
    names = {ip: node.name for node in nodes for ip in node.ips}
    names |= {vip: "vip" if n == 0 else f"vip{n + 1}" for n, vip in enumerate(scenario.spec.vips)}
    macs = {mac: node.name for node in nodes for mac in node.macs}
    start = scenario.kept[0].ts_ns
    for frame in scenario.kept:
        ether = dpkt.ethernet.Ethernet(frame.data)
        packet, outer = ether.data, ""
        if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
            continue
        if isinstance(packet.data, dpkt.ip.IP | dpkt.ip6.IP6):
            packet, outer = packet.data, names[dpkt.utils.inet_to_str(packet.dst)]
        four = isinstance(packet, dpkt.ip.IP)
        octet = packet.tos if four else packet.fc
        src, dst = (dpkt.utils.inet_to_str(one) for one in (packet.src, packet.dst))
        what, port = _transport(packet, frame.data)
        link = tuple(macs.get(":".join(f"{octet:02x}" for octet in mac), "nobody") for mac in (ether.src, ether.dst))
        yield Row(
            frame.tap,
            (frame.ts_ns - start) / 1e9,
            (link[0], link[1]),
            names.get(src, src),
            names.get(dst, dst),
            packet.ttl if four else packet.hlim,
            octet >> 2,
            octet & 3,
            what,
            port,
            packet.id if four else 0,
            outer,
        )


def _transport(packet: dpkt.ip.IP | dpkt.ip6.IP6, frame: bytes) -> tuple[str, int]:
    inner = packet.data
    if isinstance(inner, dpkt.tcp.TCP):
        flags = "".join(letter for bit, letter in FLAGS if inner.flags & bit)
        return flags, inner.sport if inner.sport > 10000 else inner.dport
    if isinstance(inner, dpkt.udp.UDP):
        return "udp", inner.sport if inner.sport > 10000 else inner.dport
    if isinstance(inner, dpkt.icmp.ICMP):
        return f"{inner.type}/{inner.code}", 0
    if isinstance(inner, dpkt.icmp6.ICMP6):
        word = f"{inner.type}/{inner.code}"
        return SIX.get(word, word), 0
    return "fragment", 0


def at(scenario: Scenario, tap: str, **wanted: object) -> list[Row]:
    """The rows of a tap whose fields are as wanted."""
    return [
        row
        for row in rows(scenario)
        if row.tap == tap and all(getattr(row, name) == value for name, value in wanted.items())
    ]


def connection(scenario: Scenario, port: int, tap: str) -> list[Row]:
    return at(scenario, tap, port=port)


def served(scenario: Scenario, tap: str = "A") -> set[int]:
    """Client ports of the connections that the client closed after a whole answer."""
    return {
        row.port for row in at(scenario, tap, what="FA") if row.src == "client" or row.dst.startswith("198.51.100.")
    }


# --- all of them ------------------------------------------------------------------------------------------------------


def test_the_areas_hold_what_packets_can_show() -> None:
    codes = [fault.code for area in (dsr, dsc) for fault in area.FAULTS]
    hidden = {"DSR312", "DSR313", "DSC509"}
    assert codes == [
        code
        for code in [f"DSR{n}" for n in range(301, 324)] + [f"DSC{n}" for n in range(501, 518)]
        if code not in hidden
    ]
    for code in hidden:
        assert code in f"{dsr.__doc__}{dsc.__doc__}", "says why it is left out"
    assert set(codes) <= set(FAULTS)


@pytest.mark.parametrize("code", sorted({code for code, _, _ in CASES}))
def test_the_same_seed_gives_the_same_octets(code: str) -> None:
    mode = FAULTS[code].modes[-1]
    first, second = broken(code, mode), craft(mode, fault=code)
    assert first.kept
    assert [(f.tap, f.ts_ns, f.data, f.comment) for f in first.kept] == [
        (f.tap, f.ts_ns, f.data, f.comment) for f in second.kept
    ]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_nothing_malformed(tmp_path: Path) -> None:
    cases = [case for case in CASES if case[0] not in WRONG_SUMS]
    odd = {"jitter": "3ms", "loss": "2%", "skew": "9ms"}
    frames = [f.data for case in cases for f in broken(*case).kept]
    for number, code in enumerate(sorted({code for code, _, _ in cases})):
        mode, ip = FAULTS[code].modes[number % len(FAULTS[code].modes)], "46"[number % 2]
        frames += [f.data for f in craft(mode, fault=code, ip=ip, vlan=12, **odd).kept]
    assert tshark(tmp_path, frames) == []


def tshark(folder: Path, frames: list[bytes]) -> list[int]:
    """Numbers of the frames that tshark objects to, from 0."""
    pcap = folder / "all.pcap"
    records = (struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame for n, frame in enumerate(frames))
    pcap.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records))
    wrong = " || ".join(["_ws.malformed", *(f"{p}.checksum.status == 0" for p in ("ip", "tcp", "udp", "icmp"))])
    command = ["tshark", "-n", "-r", str(pcap), "-Y", f"{wrong} || icmpv6.checksum.status == 0"]
    command += ["-T", "fields", "-e", "frame.number"]
    for name in ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams", "tcp.analyze_sequence_numbers"):
        command += ["-o", f"{name}:FALSE"]
    for name in ("ip", "tcp", "udp"):
        command += ["-o", f"{name}.check_checksum:TRUE"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(number) - 1 for number in shown.stdout.split()]


# --- silence ----------------------------------------------------------------------------------------------------------

SILENT = [(code, mode) for code in ("DSR301", "DSR311", "DSR316", "DSR323", "DSC511") for mode in FAULTS[code].modes]


@IP
@pytest.mark.parametrize(("code", "mode"), SILENT)
def test_one_server_is_silent(code: str, mode: str, ip: str) -> None:
    scenario = broken(code, mode, ip)
    last = scenario.taps[-1]
    asked = connection(scenario, 40000, last)
    assert {row.what for row in asked} == {"S"}
    assert {row.link[1] for row in asked} == {"web1"}
    times = [round(row.second - asked[0].second) for row in asked]
    assert times == [0, 1, 3, 7, 15]
    assert served(scenario) == {40001, 40003}


@IP
def test_requests_are_lost_behind_the_balancer(ip: str) -> None:
    for mode in FAULTS["DSR322"].modes:
        scenario = broken("DSR322", mode, ip)
        assert [row for row in at(scenario, "B") if row.link[0] == "lb1" and row.what == "S"]
        assert not at(scenario, "C", what="S")
        assert not at(scenario, "A", what="SA")
        comments = [f.comment for f in scenario.kept]
        if mode != "l2dsr":
            rips = [ip for node in scenario.spec.nodes if node.role == "real-server" for ip in node.ips]
            assert not any(f"who has {rip}" in comment for comment in comments for rip in rips)
            assert not at(scenario, "C", src="r1", what="135/0")


# --- loops ------------------------------------------------------------------------------------------------------------


@IP
@pytest.mark.parametrize(("mode", "hops"), [("l2dsr", 2), ("l3dsr-tunnel", 3), ("l3dsr-dscp", 4)])
def test_a_server_that_forwards_makes_a_loop(mode: str, hops: int, ip: str) -> None:
    scenario = broken("DSR302", mode, ip)
    round_trip = [row for row in connection(scenario, 40000, "D") if row.link[0] == "web1"]
    assert {row.dst for row in round_trip} == {"vip"}
    falls = {a.ttl - b.ttl for a, b in pairwise(round_trip)}
    assert falls == {hops}
    assert len({row.ident for row in round_trip}) == 1
    assert [row.what for row in at(scenario, "A") if row.dst == "client" and row.port == 0 and "/" in row.what].count(
        TIME_EXCEEDED
    ) == 2
    assert served(scenario) == {40001, 40003}


@IP
def test_a_loop_between_balancer_and_server_ends_at_the_balancer(ip: str) -> None:
    scenario = broken("DSR302", "l2dsr", ip)
    assert [row.ttl for row in connection(scenario, 40000, "B")] == list(range(63, 0, -1))
    assert at(scenario, "B", what=TIME_EXCEEDED, src="vip")


@IP
def test_a_server_in_another_broadcast_domain(ip: str) -> None:
    scenario = broken("DSR306", "l2dsr", ip)
    loop = connection(scenario, 40000, "B")
    assert {row.link for row in loop} == {("r1", "lb1"), ("lb1", "r1")}
    assert [row.ttl for row in loop] == list(range(63, 0, -1))
    unreachable = at(scenario, "A", what="3/1")
    assert {row.src for row in unreachable} == ({"lb1"} if ip == "4" else {"vip"})
    assert served(scenario) == {40002, 40005}


@IP
def test_two_directors_play_ping_pong(ip: str) -> None:
    scenario = broken("DSR315", "l2dsr", ip)
    pong = connection(scenario, 40002, "B")
    assert {row.link for row in pong[1:]} == {("lb1", "lb2"), ("lb2", "lb1")}
    assert [row.ttl for row in pong] == list(range(63, 0, -1))
    assert at(scenario, "A", what=TIME_EXCEEDED, src="vip")
    twice = [row.link for row in connection(scenario, 40005, "B") if row.what == "S"]
    assert twice == [("r1", "lb1"), ("lb1", "lb2"), ("lb2", "web1")]
    assert 40005 in served(scenario)


# --- refused ----------------------------------------------------------------------------------------------------------


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR303"].modes)
@pytest.mark.parametrize("code", ["DSR303", "DSR307"])
def test_a_closed_port_answers_with_the_tos_of_the_syn(code: str, mode: str, ip: str) -> None:
    scenario = broken(code, mode, ip)
    resets = at(scenario, "D", what="RA")
    assert {row.ends for row in resets} == {("vip", "client")}
    assert {row.dscp for row in resets} == {TAG if mode == "l3dsr-dscp" else 10}
    assert {row.link[0] for row in resets} == ({"web1"} if code == "DSR303" else {"web1", "web2"})
    assert served(scenario) == ({40001, 40003} if code == "DSR303" else set())


@IP
@pytest.mark.parametrize("code", ["DSR303", "DSR307"])
def test_a_closed_port_of_datagrams_answers_icmp(code: str, ip: str) -> None:
    scenario = broken(code, "l2dsr", ip, protocol="udp")
    assert {row.ends for row in at(scenario, "D", what=UNREACHABLE_PORT)} == {("vip", "client")}


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR319"].modes)
def test_a_firewall_rejects(mode: str, ip: str) -> None:
    scenario = broken("DSR319", mode, ip)
    by_icmp, by_reset = at(scenario, "D", what=PROHIBITED), at(scenario, "D", what="RA")
    assert {(row.link, row.ends) for row in by_icmp} == {(("web1", "r1"), ("vip", "client"))}
    assert {(row.link, row.ends, row.dscp) for row in by_reset} == {(("web3", "r1"), ("vip", "client"), 0)}
    assert served(scenario) == {40001, 40004}
    assert not [row for row in at(scenario, "B") if row.what in (PROHIBITED, "RA")]  # past the load balancer


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR320"].modes)
def test_the_ttl_ends_at_the_balancer(mode: str, ip: str) -> None:
    scenario = broken("DSR320", mode, ip)
    old = [row for row in at(scenario, "B") if row.ttl == 1]
    assert {row.dst for row in old} == {"vip"}
    assert {row.what for row in old} == {"S", "udp"}
    refusals = at(scenario, "B", what=TIME_EXCEEDED)
    assert {row.src for row in refusals} == {"vip"}
    assert len(refusals) == len(old)
    assert served(scenario) == {40000, 40001}  # of the other client


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR321"].modes)
def test_datagrams_come_from_the_real_address(mode: str, ip: str) -> None:
    scenario = broken("DSR321", mode, ip)
    replies = [row for row in at(scenario, "A", what="udp") if row.dst == "client"]
    assert {row.src for row in replies} == {"web1", "web2"}
    assert {row.ends for row in at(scenario, "A", what=UNREACHABLE_PORT)} == {("client", "web1"), ("client", "web2")}
    assert len(served(scenario)) == 2, "TCP is fine"


# --- the load balancer's side -----------------------------------------------------------------------------------------


@IP
def test_frames_to_itself_arrive_nowhere(ip: str) -> None:
    scenario = broken("DSR304", "l2dsr", ip)
    own = [row for row in rows(scenario) if row.link == ("lb1", "lb1")]
    assert {row.tap for row in own} == {"B"}
    assert {row.port for row in own} == {40000, 40002}
    assert served(scenario) == {40001, 40003}


@IP
def test_a_stale_mac_is_flooded(ip: str) -> None:
    scenario = broken("DSR305", "l2dsr", ip)
    lost = [row for row in rows(scenario) if row.link == ("lb1", "nobody")]
    assert {row.tap for row in lost} >= {"B", "C", "D"}
    assert {row.what for row in lost if row.port} == {"S"}
    assert served(scenario) == {40001, 40003}


def test_replies_go_to_the_balancer_and_die() -> None:
    scenario = broken("DSR308", "l2dsr")
    for tap in "DCB":
        assert {row.link for row in at(scenario, tap, what="SA")} <= {("web1", "lb1"), ("web2", "lb1")}
    assert at(scenario, "B", what="SA")
    assert not [row for row in at(scenario, "A") if row.src == "vip"]


def test_in_ipv6_the_balancer_routes_the_replies_on() -> None:
    scenario = broken("DSR308", "l2dsr", "6")
    assert {row.link[1] for row in at(scenario, "D", what="SA")} == {"lb1"}
    assert {row.ttl for row in at(scenario, "A", what="SA")} == {62}
    assert len(served(scenario)) == 4


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR309"].modes)
@pytest.mark.parametrize("code", ["DSR309", "DSR310"])
def test_answers_do_not_reach_the_client(code: str, mode: str, ip: str) -> None:
    scenario = broken(code, mode, ip)
    for tap in "CD":
        assert {row.ends for row in at(scenario, tap, what="SA")} == {("vip", "client")}
    assert not [row for row in at(scenario, "A") if row.dst == "client" and row.port]


def test_made_up_outer_sources_are_filtered() -> None:
    scenario = broken("DSR310", "l3dsr-tunnel", profile="katran")
    assert [row for row in at(scenario, "B") if row.outer]
    assert not [row for row in at(scenario, "C") if row.outer]


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR314"].modes)
def test_one_connection_goes_to_two_servers(mode: str, ip: str) -> None:
    scenario = broken("DSR314", mode, ip)
    for port in range(40000, 40004):
        seen = connection(scenario, port, "D")
        assert {row.link[1] for row in seen if row.src == "client"} == {"web1", "web2"}
        answered = {row.link[0] for row in seen if row.what == "SA"}
        reset = {row.link[0] for row in seen if row.what == "R" and row.src == "vip"}
        assert answered | reset == {"web1", "web2"}
        assert len(answered) == len(reset) == 1
    assert not served(scenario)


@IP
@pytest.mark.parametrize("mode", FAULTS["DSR318"].modes)
def test_connections_change_sides_at_one_instant(mode: str, ip: str) -> None:
    scenario = broken("DSR318", mode, ip)
    sides: dict[int, list[tuple[float, str]]] = {}
    for row in at(scenario, "B"):
        if row.link[0] == "r1" and row.dst == "vip":
            sides.setdefault(row.port, []).append((row.second, row.link[1]))
    moved = {port for port, seen in sides.items() if len({name for _, name in seen}) == 2}
    assert 2 <= len(moved) < len(sides)
    for port in moved:
        assert {name for second, name in sides[port] if second < 1.5} != {n for s, n in sides[port] if s > 1.5}
        assert [row for row in connection(scenario, port, "A") if row.what == "R" and row.src == "vip"]


def test_a_redirect_teaches_a_way_past_the_router() -> None:
    scenario = broken("DSR317", "l2dsr")
    (redirect,) = at(scenario, "D", what="5/1")
    assert redirect.ends == ("r1", "near")
    near = [row for row in at(scenario, "D", src="near") if row.link[0] == "near"]
    before = [row for row in near if row.second < redirect.second]
    after = [row for row in near if row.second > redirect.second + 0.001]
    assert {row.link[1] for row in before} == {"r1"}
    assert {row.link[1] for row in after} == {"lb1"}
    assert not any("R" in row.what for row in near), "a redirect ends no handshake"
    frame = next(f.data for f in scenario.kept if "ICMP redirect" in f.comment)
    message = dpkt.ethernet.Ethernet(frame).data.data.data
    assert dpkt.utils.inet_to_str(message.gw.to_bytes(4, "big")) == "203.0.113.2", "the load balancer's own address"
    assert dpkt.utils.inet_to_str(message.data.dst) == scenario.spec.vips[0]
    (six,) = at(broken("DSR317", "l2dsr", "6"), "D", what="137/0")
    assert six.src.startswith("fe80:")
    assert six.ttl == 255


# --- DSCP -------------------------------------------------------------------------------------------------------------

FROM_RIP = {
    "DSC501": ({7}, {7}, {"web1", "web2"}),
    "DSC502": ({7}, {0}, {"web1", "web2"}),
    "DSC503": ({44}, {40}, {"web1", "web2"}),
    "DSC504": ({1}, {1}, {"web1", "web2"}),
    "DSC510": ({7}, {7}, {"web1"}),
    "DSC515": ({0}, {0}, {"web1", "web2"}),
    "DSC517": ({10}, {10}, {"web1", "web2"}),
}
"""DSCP of requests behind the load balancer and at the server, and who answers from its own address."""


@IP
@pytest.mark.parametrize("code", FROM_RIP)
def test_replies_from_the_real_address(code: str, ip: str) -> None:
    marked, arrived, servers = FROM_RIP[code]
    scenario = broken(code, "l3dsr-dscp", ip)
    requests = [row for row in at(scenario, "B", what="S") if row.link[0] == "lb1"]
    assert {row.dscp for row in requests} == marked
    assert {row.dscp for row in at(scenario, "D", what="S")} == arrived
    assert {row.src for row in at(scenario, "A", what="SA")} - {"vip"} == servers
    resets = at(scenario, "A", what="R")
    assert {row.ends for row in resets} == {("client", name) for name in servers}
    assert {row.dscp for row in at(scenario, "C", what="SA")} == {0}
    assert {row.ecn for row in requests} == ({3} if code == "DSC504" else {0})
    assert served(scenario) == ({40001, 40003} if servers == {"web1"} else set())


@IP
def test_maps_disagree(ip: str) -> None:
    scenario = broken("DSC505", "l3dsr-dscp", ip)
    answers = {(row.port, row.src) for row in at(scenario, "A", what="SA")}
    assert answers == {
        (40000, "vip2"), (40001, "web2"), (40002, "vip"), (40003, "vip2"), (40004, "web2"), (40005, "vip")
    }  # fmt: skip
    assert {row.dscp for row in at(scenario, "D", what="S")} == {TAG}
    assert served(scenario) == {40002, 40005}


@IP
def test_a_marking_that_is_also_a_tag(ip: str) -> None:
    scenario = broken("DSC506", "l3dsr-dscp", ip)
    direct = [row for row in at(scenario, "A", what="S") if row.dst.startswith("web")]
    assert {row.dscp for row in direct} == {46}
    assert not [row for row in at(scenario, "B", what="S") if row.port in {one.port for one in direct}]
    assert {row.src for row in at(scenario, "A", what="SA") if row.port in {one.port for one in direct}} == {"vip"}


@IP
def test_a_clients_own_dscp_survives(ip: str) -> None:
    scenario = broken("DSC507", "l3dsr-dscp", ip)
    asked = [row for row in at(scenario, "A", what="S") if row.dst == "vip2"]
    ports = {row.port for row in asked}
    assert {row.dscp for row in asked} == {TAG}
    assert {row.dscp for row in at(scenario, "D", what="S") if row.port in ports} == {TAG}
    assert {row.src for row in at(scenario, "A", what="SA") if row.port in ports} == {"vip"}
    assert served(scenario) == {40000, 40001}


@IP
def test_ecn_is_overwritten(ip: str) -> None:
    scenario = broken("DSC508", "l3dsr-dscp", ip)
    before = [row.ecn for row in at(scenario, "B") if row.link == ("r1", "lb1") and row.port]
    after = [row.ecn for row in at(scenario, "B") if row.link == ("lb1", "r1") and row.port]
    assert 2 in before
    assert set(after) == {0}
    assert len(served(scenario)) == 4


@IP
def test_a_capture_above_the_rewrite_shows_wrong_sums(ip: str, tmp_path: Path) -> None:
    scenario = broken("DSC512", "l3dsr-dscp", ip)
    frames = list(scenario.kept)
    wrong = tshark(tmp_path, [f.data for f in frames])
    restored = [n for n, f in enumerate(frames) if f.tap == "S" and f.sender == "r1" and f.flow >= 0]
    assert wrong == restored != []
    assert {row.dst for row in at(scenario, "S") if row.src == "client"} == {"vip"}
    assert len(served(scenario)) == 4


@IP
def test_replies_carry_the_tag(ip: str) -> None:
    scenario = broken("DSC513", "l3dsr-dscp", ip)
    assert {row.dscp for row in at(scenario, "A", src="vip") if row.port} == {TAG}
    assert len(served(scenario)) == 4


@IP
def test_only_fragmented_datagrams_are_lost(ip: str) -> None:
    scenario = broken("DSC514", "l3dsr-dscp", ip)
    answered = [row.port for row in at(scenario, "A", what="udp") if row.src == "vip"]
    assert len(answered) == 2
    assert all(port < 40000 for port in answered), "the small ones"
    assert not at(scenario, "A", what="11/1")


@IP
def test_the_checksum_is_still_the_one_for_the_vip(ip: str, tmp_path: Path) -> None:
    scenario = broken("DSC516", "l3dsr-dscp", ip)
    frames = list(scenario.kept)
    wrong = set(tshark(tmp_path, [f.data for f in frames]))
    behind = {n for n, f in enumerate(frames) if f.flow >= 0 and (f.sender == "lb1" or f.tap in "CD")}
    assert wrong == behind != set()
    assert not at(scenario, "D", what="SA")


def test_a_tag_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match=re.escape("--dscp: 0 is what packets without a tag carry")):
        craft("l3dsr-dscp", dscp=0)
    with pytest.raises(UsageError, match="not within 0 to 63"):
        craft("l3dsr-dscp", dscp=64)


# --- healthy modes ----------------------------------------------------------------------------------------------------


@IP
def test_the_path_of_l2dsr(ip: str) -> None:
    scenario = craft("l2dsr", ip=ip)
    where = [(row.tap, row.link, row.ttl) for row in rows(scenario) if row.what == "S"]
    assert where == [
        ("A", ("client", "r1"), 64),
        ("B", ("r1", "lb1"), 63),
        ("B", ("lb1", "web1"), 62),
        ("C", ("lb1", "web1"), 62),
        ("D", ("lb1", "web1"), 62),
    ]
    back = [(row.tap, row.link, row.ttl) for row in rows(scenario) if row.what == "SA"]
    assert back == [("D", ("web1", "r1"), 64), ("C", ("web1", "r1"), 64), ("A", ("r1", "client"), 63)]


@IP
def test_the_path_of_dscp(ip: str) -> None:
    scenario = craft("l3dsr-dscp", ip=ip, client_dscp=10, ecn=True)
    where = [(row.tap, row.link, row.dst, row.ttl, row.dscp) for row in rows(scenario) if row.what == "S"]
    assert where == [
        ("A", ("client", "r1"), "vip", 64, 10),
        ("B", ("r1", "lb1"), "vip", 63, 10),
        ("B", ("lb1", "r1"), "web1", 62, TAG),
        ("C", ("r1", "web1"), "web1", 61, TAG),
        ("D", ("r1", "web1"), "web1", 61, TAG),
    ]
    assert {row.src for row in at(scenario, "D") if row.link[0] == "web1" and row.port} == {"vip"}
    data = [row.ecn for row in rows(scenario) if row.dst == "web1" and row.what == "A" and row.ecn]
    assert set(data) == {2}, "ECN is kept"


@IP
@pytest.mark.parametrize("mode", ["l2dsr", "l3dsr-dscp"])
def test_a_ping_is_answered_by_the_balancer(mode: str, ip: str) -> None:
    scenario = craft(mode, ip=ip, protocol="icmp")
    asked, answered = ("8/0", "0/0") if ip == "4" else ("128/0", "129/0")
    assert [(row.tap, row.link) for row in rows(scenario) if row.what == asked] == [
        ("A", ("client", "r1")),
        ("B", ("r1", "lb1")),
    ]
    assert [(row.tap, row.link, row.src) for row in rows(scenario) if row.what == answered] == [
        ("B", ("lb1", "r1"), "vip"),
        ("A", ("r1", "client"), "vip"),
    ]
