"""Health checks: which way a probe goes, what it says, and what the load balancer makes of the answer."""

from __future__ import annotations

from typing import Any

import pytest
from dpkt.ethernet import Ethernet
from dpkt.ip import IP

from dsrkit.craft.api import craft
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.machines.health_checker import Checker, page_request
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

LB, VIP, RIP, WEB1_MAC = "203.0.113.2", "203.0.113.10", "203.0.113.21", "02:55:00:00:00:01"
DSCP_RIP = "10.0.0.11"
PATHS = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
DSR = PATHS[2:]


def text(address: bytes) -> str:
    return ".".join(map(str, address))


def packets(scenario: Scenario, tap: str) -> list[tuple[float, str, IP]]:
    """Time in seconds, destination MAC and IPv4 packet of a tap's frames, read by dpkt."""
    start = min(frame.ts_ns for frame in scenario.frames())
    found = []
    for frame in scenario.frames(tap):
        link = Ethernet(frame.data)
        if isinstance(link.data, IP):
            found.append(((frame.ts_ns - start) / 1e9, link.dst.hex(":"), link.data))
    return found


def flags(packet: Any) -> str:
    """TCP flags as letters, "" for another protocol."""
    bits = packet.data.flags if packet.p == 6 else 0
    return "".join(letter for bit, letter in ((2, "S"), (16, "A"), (1, "F"), (4, "R")) if bits & bit)


def probes(scenario: Scenario, tap: str = "B") -> list[tuple[float, str, IP]]:
    """What the load balancer itself sends."""
    return [one for one in packets(scenario, tap) if text(one[2].src) in (LB, "10.0.0.1")]


def test_request_is_keepalived_s() -> None:
    """The octets that strace showed of keepalived 1.3 (its own request_template)."""
    seen = b"GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 10.0.9.213:50080\r\n\r\n"
    made = page_request(bytes([10, 0, 9, 213]), 50080, "/")
    assert made == seen
    assert len(made) == 71
    assert b"Host: [2001:db8::1]:80\r\n" in page_request(bytes.fromhex("20010db8" + "00" * 11 + "01"), 80, "/")


def test_http_check_by_l2dsr_path() -> None:
    """From the load balancer's address to the VIP at the server's MAC; the server answers the load balancer itself."""
    scenario = craft("health", checks=1, real_servers=1)
    talk = [
        (text(p.src), text(p.dst), flags(p)) for _, _, p in packets(scenario, "B") if LB in (text(p.src), text(p.dst))
    ]
    out, back = (LB, VIP), (VIP, LB)
    assert talk == [
        (*out, "S"), (*back, "SA"), (*out, "A"), (*out, "A"), (*back, "A"), (*back, "A"), (*back, "AF"),
        (*out, "A"), (*out, "AF"), (*back, "A"),
    ]  # fmt: skip
    assert {mac for _, mac, p in probes(scenario)} == {WEB1_MAC}
    assert {p.ttl for _, _, p in probes(scenario)} == {63}
    loads = [bytes(p.data.data) for _, _, p in packets(scenario, "B") if p.p == 6 and len(p.data.data)]
    assert loads[0].startswith(b"GET /health HTTP/1.0\r\n")
    assert loads[1].startswith(b"HTTP/1.1 200 OK\r\n")


def test_tcp_check_closes_by_fin() -> None:
    scenario = craft("health", check="tcp", checks=1, real_servers=1)
    talk = [flags(p) for _, _, p in packets(scenario, "B") if LB in (text(p.src), text(p.dst))]
    assert talk == ["S", "SA", "A", "AF", "AF", "A"]


def test_check_by_dscp_path_is_tagged_and_answered_by_the_vip() -> None:
    scenario = craft("health", data_path="l3dsr-dscp", check="ping", checks=1, real_servers=1, dscp=46)
    (_, _, request), (_, _, reply) = [one for one in packets(scenario, "B") if one[2].p == 1]
    assert (text(request.src), text(request.dst), request.tos >> 2) == (LB, DSCP_RIP, 46)
    assert (text(reply.src), text(reply.dst)) == (VIP, LB)
    assert request.data.data.id == reply.data.data.id


def test_check_by_tunnel_is_wrapped() -> None:
    scenario = craft("health", data_path="l3dsr-tunnel", check="tcp", checks=1, real_servers=1)
    outer = probes(scenario)[0][2]
    assert (text(outer.dst), outer.p) == (DSCP_RIP, 4)
    assert (text(outer.data.src), text(outer.data.dst)) == (LB, VIP)


def test_katran_wraps_checks_from_its_own_address() -> None:
    scenario = craft("health", profile="katran", data_path="l3dsr-tunnel", check="tcp", checks=1, real_servers=1)
    wrapped = [p for _, _, p in packets(scenario, "B") if p.p == 4]
    assert {text(p.src) for p in wrapped if text(p.data.src) == LB} == {LB}
    assert {text(p.src).split(".")[0] for p in wrapped if text(p.data.src) != LB} == {"172"}


@pytest.mark.parametrize("path", ["nat", "fullnat"])
def test_check_by_nat_goes_to_the_server_s_port(path: str) -> None:
    scenario = craft("health", data_path=path, check="tcp", checks=1, real_servers=1, server_port=8080)
    first = probes(scenario, "C")[0][2]
    assert (text(first.src), text(first.dst), first.data.dport) == ("10.0.0.1", DSCP_RIP, 8080)


@pytest.mark.parametrize("path", DSR)
def test_check_past_the_path_has_nothing_of_it(path: str) -> None:
    scenario = craft("health", data_path=path, through="rip", checks=1, real_servers=1)
    rip = RIP if path == "l2dsr" else DSCP_RIP
    mine = [p for _, _, p in probes(scenario) if p.p != 4]  # the tunnels of clients start at the load balancer, too
    assert {(text(p.dst), p.p, p.tos) for p in mine} == {(rip, 6, 0)}


def test_checks_keep_their_interval() -> None:
    scenario = craft("health", interval="0.5s", checks=4, real_servers=1)
    times = [round(time, 2) for time, _, p in probes(scenario) if flags(p) == "S"]
    assert times == [0, 0.5, 1, 1.5]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("check", ["ping", "tcp", "http"])
def test_a_server_that_fails_is_taken_out_and_comes_back(path: str, check: str) -> None:
    scenario = craft("health", data_path=path, check=check, outage=True, flows=12, rate=1, checks=6)
    served = {}
    for frame in scenario.frames("C" if path in ("nat", "fullnat") else "D"):
        if "SYN " in frame.comment and frame.flow < 12:
            served.setdefault(frame.flow, frame.receiver)
    out = [flow for flow in range(5, 8) if served[flow] == "web1"]  # the failed check is done with by 6 s
    assert not out
    assert {served[flow] for flow in range(9, 12)} == {"web1", "web2"}


@pytest.mark.parametrize("check", ["ping", "tcp", "http"])
def test_ports_and_echo_numbers_start_again(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 65,534 checks there is no higher number of an echo, and no higher port."""
    usual = Checker.__post_init__

    def late(checker: Checker) -> None:
        usual(checker)
        checker._made = 0xFFFE

    monkeypatch.setattr(Checker, "__post_init__", late)
    asked = [p for _, _, p in probes(craft("health", check=check, checks=2)) if p.p == 1 or flags(p) == "S"]
    assert len(asked) == 4
    if check == "ping":
        assert [p.data.data.seq for p in asked] == [0xFFFF, 0, 1, 2]
    else:
        assert len({p.data.sport for p in asked}) == 4
        assert all(33000 <= p.data.sport <= 60999 for p in asked)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tunnel": "gre"}, "--tunnel needs --data-path l3dsr-tunnel, not l2dsr"),
        ({"server_port": 81}, "--server-port needs --data-path nat or fullnat"),
        ({"profile": "katran"}, "profile katran does not do l2dsr"),
        ({"fault": "HCK702", "data_path": "l2dsr"}, "HCK702 needs --data-path l3dsr-dscp"),
        ({"fault": "HCK701", "data_path": "nat"}, r"HCK701 \(.*\): --through needs --data-path"),
        ({"fault": "HCK701", "data_path": "nat", "through": "vip"}, "HCK701 needs --data-path l2dsr or"),
        ({"data_path": "nat", "through": "rip"}, "--through needs --data-path l2dsr or .*, not nat"),
        ({"check": "tcp", "path": "/x"}, "--path needs --check http, not tcp"),
        ({"fault": "HCK705", "check": "tcp"}, "HCK705 is about --check ping"),
        ({"fault": "HCK704", "check": "tcp"}, "HCK704 is about --check ping"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        craft("health", **options)


# --- faults ---------------------------------------------------------------------------------------------------------


def test_hck701_checks_pass_while_clients_hear_nothing() -> None:
    scenario = craft("health", fault="HCK701")
    at_web1 = [p for _, mac, p in packets(scenario, "D") if mac == WEB1_MAC and flags(p) == "S"]
    assert {text(p.dst) for p in at_web1 if text(p.src) == LB} == {RIP}
    asked = {p.data.sport for p in at_web1 if text(p.dst) == VIP}
    from_vip = {p.data.dport for _, _, p in packets(scenario, "D") if flags(p) == "SA" and text(p.src) == VIP}
    assert len(asked) == 4  # still chosen every other time
    assert not asked & from_vip
    answers = [p for _, _, p in packets(scenario, "D") if flags(p) == "SA" and text(p.src) == RIP]
    assert len(answers) == 5


@pytest.mark.parametrize("code", ["HCK702", "HCK703"])
def test_answers_from_the_vip_are_lost_on_the_checker(code: str) -> None:
    """Answered, repeated after a second, given up at the interval; then nobody is left for the clients."""
    scenario = craft("health", fault=code, checks=2, real_servers=1)
    mine = [(round(time), flags(p)) for time, _, p in packets(scenario, "B") if p.p == 6 and p.data.sport == 33002]
    assert mine == [(0, "S"), (1, "S")]
    replies = [(text(p.src), flags(p)) for _, _, p in packets(scenario, "B") if p.p == 6 and p.data.dport == 33002]
    assert set(replies) == {(VIP, "SA")}
    refusals = [time for time, _, p in packets(scenario, "A") if p.p == 1]
    assert len(refusals) == 6
    assert min(refusals) > 2
    if code == "HCK702":
        assert {(text(p.dst), p.tos) for _, _, p in probes(scenario) if flags(p) == "S"} == {(DSCP_RIP, 7 << 2)}
    else:
        assert {text(p.dst) for _, _, p in probes(scenario) if flags(p) == "S"} == {VIP}


def test_hck704_pings_carry_no_tag() -> None:
    scenario = craft("health", fault="HCK704")
    pings = [p for _, _, p in packets(scenario, "D") if p.p == 1]
    assert {(text(p.src), text(p.dst), p.tos) for p in pings if p.data.type == 8} == {
        (LB, "10.0.0.11", 0),
        (LB, "10.0.0.12", 0),
    }
    assert {text(p.src) for p in pings if p.data.type == 0} == {"10.0.0.11", "10.0.0.12"}
    assert {p.tos for _, mac, p in packets(scenario, "D") if flags(p) == "S"} == {7 << 2}


def test_hck705_pings_pass_and_connections_are_refused() -> None:
    scenario = craft("health", fault="HCK705")
    pings = [p.data.type for _, _, p in packets(scenario, "D") if p.p == 1]
    assert pings.count(8) == pings.count(0) == 10
    refused = [(text(p.src), time > 5) for time, _, p in packets(scenario, "A") if "R" in flags(p)]
    assert len(refused) == 4
    assert (VIP, True) in refused  # web1 is never taken out


@pytest.mark.parametrize("mode", FAULTS["HCK706"].modes)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_hck706_is_refused_by_icmp_from_the_vip(mode: str, protocol: str) -> None:
    if mode == "health":
        scenario = craft(mode, fault="HCK706")
        times = [time for time, _, p in packets(scenario, "A") if p.p == 1]
        assert len(times) == 2
        assert min(times) > 2  # after the first checks that failed
        return
    scenario = craft(mode, fault="HCK706", protocol=protocol)
    errors = [p for _, _, p in packets(scenario, "A") if p.p == 1]
    assert [(text(p.src), p.data.type, p.data.code, p.ttl, p.tos) for p in errors] == [(VIP, 3, 3, 63, 0xC0)] * 4
    inside = packets(scenario, "C" if mode in ("nat", "fullnat") else "D")
    ports = {40000, 40001, 40002, 40003}
    assert not [p for _, _, p in inside if p.p in (6, 17) and {p.data.sport, p.data.dport} & ports]
    assert [p for _, _, p in inside if p.p in (4, 6, 17)]  # the other VIP is served
