"""Every fault of NAT and proxies, in every mode and both IP versions: what the catalogue says is there to be seen."""

from __future__ import annotations

import itertools
import shutil
import struct
import subprocess
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import dpkt
import pytest
from pictures import Seen, crafted

from dsrkit.craft.api import craft
from dsrkit.craft.faults import nat, prx
from dsrkit.craft.packets import proxy
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

CASES = [
    (fault.code, mode, ip) for area in (nat, prx) for fault in area.FAULTS for mode in fault.modes for ip in ("4", "6")
]
BOTH = pytest.mark.parametrize("ip", ["4", "6"])
NATS = pytest.mark.parametrize("mode", ["nat", "fullnat"])
SECOND = 10**9


@cache
def broken(code: str, mode: str, ip: str = "4") -> Scenario:
    return craft(mode, fault=code, ip=ip)


def sessions(scenario: Scenario, tap: str) -> list[list[Seen]]:
    return list(crafted(scenario, tap).values())


def seconds(scenario: Scenario, tap: str, words: str, flow: int) -> list[int]:
    """When packets that are described so passed a tap, in whole seconds since the first."""
    times = [f.ts_ns for f in scenario.kept if f.tap == tap and f.flow == flow and words in f.comment]
    return [round((time - times[0]) / SECOND) for time in times]


def said(scenario: Scenario, tap: str, flow: int) -> list[str]:
    """Sender and first word of the packets of one connection."""
    out = []
    for frame in scenario.kept:
        if frame.tap == tap and frame.flow == flow:
            who, _, what = frame.comment.partition(": ")
            out.append(f"{who.partition(' ')[0]} {what.split(' ')[0]}")
    return out


# --- all of them ------------------------------------------------------------------------------------------------------


def test_all_faults_of_the_areas_are_there() -> None:
    assert [fault.code for fault in nat.FAULTS] == [f"NAT{number}" for number in range(201, 215)]
    assert [fault.code for fault in prx.FAULTS] == [f"PRX{number}" for number in range(801, 806)]


@pytest.mark.parametrize(("code", "mode", "ip"), CASES)
def test_the_same_seed_gives_the_same_octets(code: str, mode: str, ip: str) -> None:
    first, second = broken(code, mode, ip), craft(mode, fault=code, ip=ip)
    assert first.kept
    assert [(f.tap, f.ts_ns, f.data) for f in first.kept] == [(f.tap, f.ts_ns, f.data) for f in second.kept]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_complains_about_the_broken_checksum_alone(tmp_path: Path) -> None:
    bad = [case for case in CASES if case[0] == "NAT204"]
    assert complaints(tmp_path, [case for case in CASES if case not in bad]) == []
    assert len(complaints(tmp_path, bad)) == sum(
        f.flow >= 0 and f.tap == "C" for case in bad for f in broken(*case).kept
    )


def complaints(folder: Path, cases: list[tuple[str, str, str]]) -> list[str]:
    """What tshark calls malformed, or finds a wrong checksum in."""
    pcap = folder / "all.pcap"
    frames = [f.data for case in cases for f in broken(*case).kept]
    records = (struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame for n, frame in enumerate(frames))
    pcap.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records))
    command = ["tshark", "-n", "-r", str(pcap), "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info"]
    for preference in ("ip.defragment", "tcp.desegment_tcp_streams", "tcp.analyze_sequence_numbers"):
        command += ["-o", f"{preference}:FALSE"]
    for layer in ("ip", "tcp", "udp"):
        command += ["-o", f"{layer}.check_checksum:TRUE"]
    bad = " || ".join(f"{layer}.checksum.status == 0" for layer in ("ip", "tcp", "udp", "icmp", "icmpv6"))
    command += ["-Y", f"_ws.malformed || {bad}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("code", ["NAT206", "NAT207", "NAT208"])
def test_faults_of_connections_refuse_other_traffic(code: str) -> None:
    with pytest.raises(UsageError, match=f"{code} shows in connections only"):
        craft("nat", fault=code, protocol="udp")


# --- NAT --------------------------------------------------------------------------------------------------------------


@BOTH
def test_nat201_replies_of_one_server_reach_the_client_from_itself(ip: str) -> None:
    scenario = broken("NAT201", "nat", ip)
    answered = [seen for seen in sessions(scenario, "A") if seen[0].sender == "real-server"]
    assert len(answered) == 2
    for seen in answered:
        assert [one.flags for one in seen[:4]] == ["SA", "R", "SA", "R"]
    past = [one for seen in sessions(scenario, "C") for one in seen if one.link == ("real-server", "router")]
    assert {one.flags for one in past} == {"SA"}
    assert sum(seen[-1].flags == "A" for seen in sessions(scenario, "A")) == 2  # the other server's work


@BOTH
def test_nat202_servers_answer_a_neighbour_directly(ip: str) -> None:
    near = sessions(broken("NAT202", "nat", ip), "near")
    answered = [seen for seen in near if seen[0].sender == "real-server"]
    assert len(answered) == 2
    for seen in answered:
        assert [(*one.bare, one.link) for one in seen[:2]] == [
            ("real-server", "client", "SA", 64, ("real-server", "client")),
            ("client", "real-server", "R", 64, ("client", "real-server")),
        ]


@BOTH
@NATS
def test_nat203_the_source_is_the_servers_and_the_destination_the_vip(mode: str, ip: str) -> None:
    inside = [one for seen in sessions(broken("NAT203", mode, ip), "C") for one in seen]
    assert inside
    assert {one.bare[:3] for one in inside} == {("real-server", "vip", "S")}


@BOTH
@NATS
def test_nat204_the_checksum_fits_the_addresses_before_the_balancer(mode: str, ip: str) -> None:
    scenario = broken("NAT204", mode, ip)
    changed = 0
    for frame in scenario.kept:
        if frame.tap != "C" or frame.flow < 0:
            continue
        before = next(f for f in scenario.kept if f.tap == "B" and f.packet == frame.packet)
        packets = [dpkt.ethernet.Ethernet(one.data).data for one in (before, frame)]
        sums = [packet.data.sum for packet in packets]
        assert sums[0] == sums[1]
        for packet in packets:
            packet.data.sum = 0
        right = [_recomputed(packet) for packet in packets]
        assert right[0] == sums[0]
        assert right[1] != sums[1]
        changed += 1
    assert changed == len(seconds(scenario, "C", "SYN", 0)) + len(seconds(scenario, "C", "SYN", 1))
    assert {frame.sender for frame in scenario.kept if frame.tap == "C" and frame.flow >= 0} == {"lb1"}


def _recomputed(packet: dpkt.ip.IP | dpkt.ip6.IP6) -> int:
    """The TCP checksum as dpkt makes it, when it is asked for a packet without one."""
    if isinstance(packet, dpkt.ip.IP):
        packet.sum = 0
        return int(dpkt.ip.IP(bytes(packet)).data.sum)
    pseudo = packet.src + packet.dst + struct.pack("!IxxxB", len(packet.data), 6)
    return int(dpkt.in_cksum(pseudo + bytes(packet.data)))


@BOTH
def test_nat205_later_connections_end_before_the_balancer(ip: str) -> None:
    scenario = broken("NAT205", "fullnat", ip)
    assert {frame.flow for frame in scenario.kept if frame.tap == "C" and frame.flow >= 0} == {0, 1, 2, 3}
    for flow in (4, 5):
        assert seconds(scenario, "B", "SYN", flow) == [0, 1, 3, 7, 15]
    own = {port for ends in crafted(scenario, "C") for _, port in ends} - {80}
    assert own == set(nat.POOL)


@BOTH
@NATS
def test_nat206_a_syn_of_a_used_port_passes_when_repeated(mode: str, ip: str) -> None:
    scenario = broken("NAT206", mode, ip)
    again = nat.LATER
    assert seconds(scenario, "B", " SYN ", again) == [0, 1]
    assert seconds(scenario, "C", " SYN ", again) == [0]
    assert said(scenario, "A", again)[-1] == "client ACK"
    first, second = (
        next(f.data for f in scenario.kept if f.tap == "A" and f.flow == flow and " SYN " in f.comment)
        for flow in (0, again)
    )
    ends = [(packet.src, packet.dst, packet.data.sport) for packet in map(_ip, (first, second))]
    assert ends[0] == ends[1]


def _ip(data: bytes) -> dpkt.ip.IP | dpkt.ip6.IP6:
    return dpkt.ethernet.Ethernet(data).data


@BOTH
@NATS
def test_nat207_a_request_after_a_long_silence_is_reset_from_the_vip(mode: str, ip: str) -> None:
    scenario = broken("NAT207", mode, ip)
    for flow in (nat.LATER, nat.LATER + 1):
        mine = [f for f in scenario.kept if f.tap == "B" and f.flow == flow]
        gaps = [later.ts_ns - earlier.ts_ns for earlier, later in itertools.pairwise(mine)]
        assert max(gaps) >= 900 * SECOND
        assert said(scenario, "B", flow)[-2:] == ["r1 PSH-ACK", "lb1 RST"]
        assert said(scenario, "C", flow)[-1] != "web1 RST"
        last = [seen for seen in sessions(scenario, "A") if seen[-1].flags == "R"]
        assert {seen[-1].sender for seen in last} == {"vip"}


@BOTH
@NATS
def test_nat208_a_removed_servers_connections_go_nowhere(mode: str, ip: str) -> None:
    scenario = broken("NAT208", mode, ip)
    dead = said(scenario, "B", nat.LATER)
    assert dead[-6:] == ["r1 PSH-ACK"] * 6
    assert said(scenario, "C", nat.LATER).count("lb1 PSH-ACK") == 1
    for flow in (nat.LATER + 1, nat.LATER + 100, nat.LATER + 101):
        assert said(scenario, "A", flow)[-1] == "client ACK"


@BOTH
def test_nat209_an_error_reaches_the_client_from_the_server(ip: str) -> None:
    scenario = broken("NAT209", "nat", ip)
    errors = [_ip(f.data) for f in scenario.kept if f.tap == "A" and "unreachable" in f.comment]
    assert errors
    server = ip_address("10.0.0.11" if ip == "4" else "2001:db8:c::b").packed
    for packet in errors:
        assert packet.src == server
        quoted = bytes(packet.data)[8:]
        assert (quoted[16:20] if ip == "4" else quoted[24:40]) == server


@BOTH
def test_nat209_an_error_ends_at_a_full_nat(ip: str) -> None:
    scenario = broken("NAT209", "fullnat", ip)
    assert {f.tap for f in scenario.kept if "unreachable" in f.comment} == {"C"}


@BOTH
def test_nat210_no_packet_tells_the_client(ip: str) -> None:
    healthy = craft("fullnat", ip=ip, toa=True, flows=2)
    for scenario, expected in ((healthy, True), (broken("NAT210", "fullnat", ip), False)):
        options = [one.options for seen in sessions(scenario, "C") for one in seen if one.sender == "lb"]
        assert any(254 in kinds for kinds in options) is expected


@BOTH
@NATS
def test_nat211_only_first_fragments_pass(mode: str, ip: str) -> None:
    scenario = broken("NAT211", mode, ip)
    assert said(scenario, "B", 0)[:3] == ["r1 UDP", "r1 fragment", "r1 fragment"]
    assert said(scenario, "C", 0)[0] == "lb1 UDP"
    assert not any("fragment " in f.comment and f.sender == "lb1" for f in scenario.kept if f.tap == "C")
    errors = [f for f in scenario.kept if f.tap == "A" and "time exceeded" in f.comment]
    waited = {round((f.ts_ns - scenario.kept[0].ts_ns) / SECOND) for f in errors}
    assert waited == {30 if ip == "4" else 60}
    kind = {(packet.data.type, packet.data.code) for packet in (_ip(f.data) for f in errors)}
    assert kind == {(11, 1) if ip == "4" else (3, 1)}
    assert said(scenario, "A", nat.LATER) == ["client UDP", "r1 UDP"]  # a small one


@BOTH
@NATS
def test_nat212_one_server_refuses_a_port_that_is_not_its_own(mode: str, ip: str) -> None:
    scenario = broken("NAT212", mode, ip)
    wrong = [ends for ends in crafted(scenario, "C") if 81 in {port for _, port in ends}]
    assert len(wrong) == 2
    for ends in wrong:
        assert [one.flags for one in crafted(scenario, "C")[ends]] == ["S", "RA"]
    refused = [seen for seen in sessions(scenario, "A") if seen[-1].flags == "RA"]
    assert len(refused) == 2
    assert {seen[-1].sender for seen in refused} == {"vip"}


@BOTH
@pytest.mark.parametrize("mode", ["nat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
def test_nat213_nothing_leaves_one_server(mode: str, ip: str) -> None:
    scenario = broken("NAT213", mode, ip)
    tap = "C" if mode == "nat" else "D"
    assert {f.flow for f in scenario.kept if f.tap == tap and f.sender == "web1" and f.flow >= 0} == set()
    assert {f.flow for f in scenario.kept if f.tap == tap and f.sender == "web2" and f.flow >= 0} == {1, 3}
    assert seconds(scenario, tap, "> web1: SYN", 0) == [0, 1, 3, 7, 15]


@BOTH
@NATS
def test_nat214_replies_stop_at_the_balancers_inside(mode: str, ip: str) -> None:
    scenario = broken("NAT214", mode, ip)
    inside = [one for seen in sessions(scenario, "C") for one in seen]
    assert {one.flags for one in inside} == {"S", "SA"}
    assert {one.link for one in inside if one.flags == "SA"} == {("real-server", "lb")}
    assert {one.flags for seen in sessions(scenario, "B") for one in seen} == {"S"}


# --- PRX --------------------------------------------------------------------------------------------------------------


@BOTH
def test_prx801_an_unexpected_header_ends_the_session(ip: str) -> None:
    scenario = broken("PRX801", "l7", ip)
    told = [seen for seen in sessions(scenario, "C") if any(one.payload.startswith(proxy.SIGNATURE) for one in seen)]
    assert len(told) == 2
    for seen in told:
        assert [one.flags for one in seen if one.sender == "real-server"][-2:] == ["FA", "R"]
    assert sum(any(one.octets for one in seen if one.sender == "vip") for seen in sessions(scenario, "A")) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_prx801_a_missing_header_is_answered_by_a_400(version: int) -> None:
    scenario = craft("l7", fault="PRX801", proxy=version)
    bad = [seen for seen in sessions(scenario, "A") if any(one.payload.startswith(b"HTTP/1.1 400") for one in seen)]
    assert len(bad) == 2
    inside = [next(one.payload for one in seen if one.octets) for seen in sessions(scenario, "C")]
    assert sum(payload.startswith(b"GET ") for payload in inside) == 2
    assert sum(payload.startswith((proxy.SIGNATURE, b"PROXY ")) for payload in inside) == 2


@BOTH
def test_prx802_a_server_answers_the_client_past_the_proxy(ip: str) -> None:
    scenario = broken("PRX802", "l7", ip)
    past = [seen for seen in sessions(scenario, "A") if seen[0].sender == "real-server"]
    assert len(past) == 2
    for seen in past:
        assert [one.flags for one in seen[:2]] == ["SA", "R"]
    opened = [one for seen in sessions(scenario, "C") for one in seen if one.flags == "S" and one.sender == "client"]
    assert {one.link for one in opened} == {("lb", "real-server")}
    assert {one.ttl for one in opened} == {64}  # no router was in between: it is the proxy's own


@BOTH
def test_prx803_a_request_on_a_session_that_the_server_has_ended_is_reset(ip: str) -> None:
    scenario = broken("PRX803", "l7", ip)
    for flow in (nat.LATER, nat.LATER + 1):
        inside = [word.partition(" ")[2] for word in said(scenario, "C", flow)]
        assert inside[-4:] == ["FIN-ACK", "ACK", "PSH-ACK", "RST"]
        assert said(scenario, "B", flow)[-3:] == ["r1 PSH-ACK", "lb1 ACK", "lb1 RST-ACK"]


@BOTH
def test_prx804_one_session_spans_both_sides(ip: str) -> None:
    scenario = broken("PRX804", "l7", ip)
    assert scenario.spec.mode == scenario.mode == "l7"
    outside, inside = ({seen[0].seq for seen in sessions(scenario, tap)} for tap in "BC")
    assert outside == inside
    assert len(inside) == 4


@BOTH
def test_prx805_a_server_that_refuses_is_tried_each_second(ip: str) -> None:
    scenario = broken("PRX805", "l7", ip)
    assert seconds(scenario, "C", " SYN ", 0) == [0, 1, 2, 3]
    assert said(scenario, "C", 0) == ["lb1 SYN", "web1 RST-ACK"] * 4
    assert said(scenario, "B", 0)[:2] == ["r1 SYN", "lb1 SYN-ACK"]
    assert "lb1 FIN-ACK" in said(scenario, "B", 0)
    assert "lb1 PSH-ACK" not in said(scenario, "B", 0)


def test_prx805_a_proxy_that_speaks_http_says_503() -> None:
    scenario = craft("l7", fault="PRX805", xff=True)
    told = [seen for seen in sessions(scenario, "A") if any(one.payload.startswith(b"HTTP/1.1 503") for one in seen)]
    assert len(told) == 2
