"""craft and forward as a user calls them: specs that leave things open, mistakes, many connections."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

import dsrkit
from dsrkit import Scenario, Spec, SpecError, UsageError, craft, forward
from dsrkit.craft.packets.octets import Octets
from dsrkit.model.toml import dump

REWRITING = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")

FROM_THE_MANUAL = """
spec = 1
[[service]]
mode = "l3dsr-dscp"
vip = "203.0.113.10"
ports = ["tcp/80", "udp/53"]
[dscp]
7 = "203.0.113.10"
[[node]]
name = "lb1"
role = "lb"
[[node.link]]
link = "B"
mac = "02:00:00:00:00:02"
ip = "10.0.0.2/24"
gateway = "10.0.0.1"
[[node]]
name = "web1"
role = "real-server"
ip = "10.0.0.11"
mac = "02:00:00:00:00:11"
"""


def answered(scenario: Scenario) -> set[int]:
    """The connections whose client got octets of a reply."""
    first = scenario.taps[0]
    client = {ip for node in scenario.spec.nodes if node.role == "client" for ip in node.ips}
    found = set()
    for frame in scenario.frames(first):
        packet = Octets(frame.data)
        target = packet.get("ip.dst")
        if isinstance(target, bytes) and str(ip_address(target)) in client and len(frame.data) > 300:
            found.add(frame.flow)
    return found


@pytest.mark.parametrize("mode", REWRITING)
@pytest.mark.parametrize("ip", ["4", "6"])
def test_every_connection_is_answered(mode: str, ip: str) -> None:
    assert answered(craft(mode, flows=4, ip=ip)) == {0, 1, 2, 3}


def test_the_same_call_gives_the_same_octets() -> None:
    first, second, other = (list(craft("l3dsr-tunnel", flows=3, seed=seed).frames()) for seed in (5, 5, 6))
    assert first == second
    assert [f.data for f in first] != [f.data for f in other]


def test_the_manuals_spec_is_completed_in_its_own_subnet() -> None:
    scenario = craft("l3dsr-dscp", Spec.parse(FROM_THE_MANUAL), flows=2)
    assert answered(scenario) == {0, 1}
    nodes = {node.name: node for node in scenario.spec.nodes}
    assert nodes["lb1"].ips == ("10.0.0.2",)
    assert nodes["web1"].macs == ("02:00:00:00:00:11",)
    assert "10.0.0.1" in nodes["r1"].ips
    tagged = [p for p in map(Octets, scenario["D"]) if p.get("ip.dsfield.dscp") == 7]
    assert {p.get("ip.dst") for p in tagged} == {ip_address("10.0.0.11").packed}


@pytest.mark.parametrize("mode", REWRITING)
def test_servers_alone_are_enough_of_a_spec(mode: str) -> None:
    text = f"""
    [service]
    mode = "{mode}"
    vip = "192.0.2.80"
    ports = ["tcp/443"]
    [[node]]
    name = "app1"
    role = "real-server"
    ip = "172.16.5.7/22"
    [[node]]
    name = "app2"
    role = "real-server"
    ip = "172.16.5.8/22"
    """
    scenario = craft(mode, Spec.parse(text), flows=4)
    assert answered(scenario) == {0, 1, 2, 3}
    inside = ip_network("172.16.4.0/22")
    servers = [node for node in scenario.spec.nodes if node.role == "real-server"]
    assert [node.name for node in servers] == ["app1", "app2"]
    routers = [ip for node in scenario.spec.nodes if node.role in ("router", "lb") for ip in node.ips]
    assert any(ip_address(ip) in inside for ip in routers)


def test_an_ipv6_spec_with_its_own_clients() -> None:
    text = """
    [service]
    mode = "l3dsr-tunnel"
    vip = "2001:db8:9::80"
    ports = ["tcp/80"]
    [tunnel]
    type = "gue"
    variant = 0
    port = 6081
    checksum = true
    [[node]]
    name = "alice"
    role = "client"
    ip = "2001:db8:7::5/64"
    [[node]]
    name = "director"
    role = "lb"
    ip = "2001:db8:9::2/64"
    mac = "02:00:00:00:09:02"
    """
    scenario = craft("l3dsr-tunnel", Spec.parse(text), flows=2)
    assert answered(scenario) == {0, 1}
    wrapped = [p for p in (Octets(d, tunnel_ports=(6081,)) for d in scenario["D"]) if len(p.networks) == 2]
    assert wrapped
    assert {p.get("outer.src") for p in wrapped} == {ip_address("2001:db8:9::2").packed}


def test_taps_of_the_spec_listen_where_they_say() -> None:
    text = FROM_THE_MANUAL + '[[tap]]\nname = "director"\nnode = "lb1"\n[[tap]]\nname = "A"\n'
    scenario = craft("l3dsr-dscp", Spec.parse(text))
    assert scenario.taps == ("director", "A")
    assert len(scenario["director"]) > len(scenario["A"]) > 5


def test_the_crafted_spec_says_everything_again() -> None:
    """A scenario's own spec, read back, gives the same octets."""
    for mode in REWRITING:
        first = craft(mode, flows=2, ip="6")
        again = craft(mode, Spec.parse(dump(first.spec)), flows=2)
        assert [f.data for f in again.frames()] == [f.data for f in first.frames()], mode


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: craft("l2dssr"), "did you mean 'l2dsr'"),
        (lambda: craft("l2dsr", profile="any"), "profile 'any'"),
        (lambda: craft("l2dsr", profile="katran"), "katran"),
        (lambda: craft("l2dsr", flows=0), "--flows"),
        (lambda: craft("l2dsr", dscp="EF"), "--dscp is not an option of mode l2dsr"),
        (lambda: craft("l2dsr", vlann=3), "did you mean --vlan"),
        (lambda: craft("l2dsr", vlan=4095), "--vlan"),
        (lambda: craft("l2dsr", fault="DSC502"), "DSC502"),
        (lambda: craft("l2dsr", fault="vip-mising-on-real-server"), "DSR301"),
        (lambda: craft("l3dsr-dscp", dscp="tos=0x1d"), "--dscp"),
        (lambda: craft("l3dsr-tunnel", tunnel="ipip", gue_variant=1), "gue"),
        (lambda: craft("l3dsr-tunnel", tunnel="ipip", tunnel_checksum=True), "checksum"),
        (lambda: craft("l3dsr-tunnel", profile="katran", tunnel="gre"), "katran"),
        (lambda: craft("nat", Spec.parse(FROM_THE_MANUAL)), "l3dsr-dscp"),
        (lambda: craft("nat", jitter="5 parsecs"), "--jitter"),
        (lambda: craft("nat", loss="100%"), "--loss"),
        (lambda: craft("nat", vip="2001:db8::1", ip="4"), "--vip"),
    ],
)
def test_mistakes_are_named(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(UsageError, match=words):
        call()


def test_a_spec_file_that_is_not_there() -> None:
    with pytest.raises(SpecError, match="missing"):
        craft("nat", "/nowhere/missing.toml")


def test_links_of_a_strange_name_need_all_the_others() -> None:
    text = FROM_THE_MANUAL.replace('link = "B"', 'link = "backbone"')
    with pytest.raises(SpecError, match="backbone"):
        craft("l3dsr-dscp", Spec.parse(text))


# --- one node, one frame ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", REWRITING)
def test_a_node_forwards_what_it_forwarded_in_the_scenario(mode: str) -> None:
    scenario = craft(mode, flows=1, real_servers=1, protocol="udp")
    frames = list(scenario.frames())
    compared = 0
    for at, sent in enumerate(frames):
        if sent.flow < 0 or sent.sender not in ("r1", "lb1") or sent.data in (f.data for f in frames[:at]):
            continue
        came = next(f for f in reversed(frames[:at]) if f.packet == sent.packet and f.receiver == sent.sender)
        if mode == "fullnat" and sent.sender == "lb1" and came.sender != "r1":
            continue  # only the load balancer's own table knows whose reply this is
        assert forward(came.data, sent.sender, scenario.spec) == [sent.data]
        compared += 1
    assert compared >= 3


@pytest.mark.parametrize("options", [{}, {"ip": 6}, {"form": "arping-A"}])
def test_the_owner_of_a_takeovers_vip_forwards(options: dict[str, Any]) -> None:
    scenario = craft("garp", real_servers=1, **options)
    frames = [frame for frame in scenario.frames() if frame.flow == 0]
    came = next(frame for frame in frames if frame.receiver == "lb1")
    left = next(frame for frame in frames if frame.sender == "lb1" and frame.packet == came.packet)
    assert forward(came.data, "lb1", scenario.spec) == [left.data]


def test_a_bridge_passes_a_frame_on() -> None:
    scenario = craft("l2dsr")
    assert forward(scenario["D"][0], "sw1", scenario.spec) == [scenario["D"][0]]


def test_a_frame_for_somebody_else_gives_nothing() -> None:
    scenario = craft("l2dsr")
    frame = b"\x02\x00\x00\x00\x00\x99" + scenario["A"][2][6:]
    assert forward(frame, "r1", scenario.spec) == []


def test_forward_names_mistakes() -> None:
    spec = craft("l2dsr").spec
    with pytest.raises(UsageError, match="no node 'lb9'"):
        forward(bytes(60), "lb9", spec)
    with pytest.raises(UsageError, match="shorter than an Ethernet header"):
        forward(b"123", "lb1", spec)
    with pytest.raises(SpecError, match="mode"):
        forward(bytes(60), "lb1", Spec())


def test_forward_takes_broken_packets() -> None:
    """A cut or lying frame is dropped as a machine drops it."""
    scenario = craft("l3dsr-tunnel")
    whole = next(f.data for f in scenario.frames("B") if f.receiver == "lb1" and f.flow == 0)
    for length in range(14, len(whole)):
        forward(whole[:length], "lb1", scenario.spec)
    assert len(forward(whole, "lb1", scenario.spec)) == 1


# --- many connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", REWRITING)
def test_copies_are_as_complete_as_what_they_are_copied_from(mode: str, tmp_path: Path) -> None:
    few, many = craft(mode, flows=8), craft(mode, flows=600, rate=2000)
    per_flow = Counter(f.tap for f in few.frames() if f.flow == 0)
    counted = Counter(many.taps[tap] for batch in many.batches() for tap in batch.tap)
    for tap, count in per_flow.items():
        assert 600 * count <= counted[tap] <= 600 * count + 60
    file = tmp_path / "many.pcapng"
    assert many.write(file) == sum(counted.values())
    report = dsrkit.verify(file)
    assert report.mode == mode
    # full NAT hides the client: a fact that is worth a word, and no fault
    assert [f.code for f in report.findings] == (["NAT210"] if mode == "fullnat" else [])


def test_many_connections_are_the_same_each_time() -> None:
    scenario = craft("nat", flows=300, seed=3)
    first, second = (b"".join(b.buffer.tobytes() for b in scenario.batches()) for _ in range(2))
    assert first == second
    again = craft("nat", flows=300, seed=3)
    assert b"".join(b.buffer.tobytes() for b in again.batches()) == first


def test_loss_at_volume_makes_retransmissions() -> None:
    scenario = craft("l2dsr", flows=400, loss="2%", rate=2000)
    healthy = craft("l2dsr", flows=400, rate=2000)
    lossy, clean = (Counter(s.taps[t] for b in s.batches() for t in b.tap) for s in (scenario, healthy))
    assert lossy["A"] != clean["A"]


def test_time_runs_forward_at_every_tap() -> None:
    for scenario in (craft("l2dsr", flows=500, rate=5000, jitter="2ms"), craft("l2dsr", flows=20, jitter="2ms")):
        last = 0
        for batch in scenario.batches():
            assert int(batch.ts_ns[0]) >= last
            assert (batch.ts_ns[1:] >= batch.ts_ns[:-1]).all()
            last = int(batch.ts_ns[-1])


# --- a spec, and options beside it ------------------------------------------------------------------------------------

TWO_SERVERS = """
[[service]]
mode = "l3dsr-dscp"
vip = "203.0.113.10"
ports = ["tcp/80", "udp/53"]
[dscp]
7 = "203.0.113.10"
[[node]]
name = "web1"
role = "real-server"
ip = "10.0.0.11/24"
[[node]]
name = "web2"
role = "real-server"
ip = "10.0.0.12/24"
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vip": "203.0.113.77"}, "--vip 203.0.113.77: the spec says 203.0.113.10"),
        ({"ip": 6}, "--ip 6: the spec says 4"),
        ({"dscp": "EF"}, "--dscp EF: the spec says 7"),
        ({"port": 8080}, "--port 8080: the spec says 80"),
        ({"port": 80, "protocol": "udp"}, "the spec says"),
        ({"real_servers": 4, "flows": 300}, "--real-servers 4: the spec says 2"),
        ({"fault": "DSC505"}, r"DSC505 \(.*\) needs --real-servers 3: the spec says 2"),
    ],
)
def test_an_option_may_not_say_something_else_than_the_spec(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        craft("l3dsr-dscp", Spec.parse(TWO_SERVERS), **options)


@pytest.mark.parametrize(
    ("mode", "section", "options"),
    [
        ("dns-rr", '[dns]\nname = "www.example.com"\nrecords = ["192.0.2.1"]\nttl = 60\n', {"ttl": 5}),
        ("health", '[[health]]\ntype = "tcp"\ninterval = 1\n', {"interval": "2s"}),
        ("garp", "[takeover]\nvrid = 9\n", {"vrid": 8}),
        ("l7", "[proxy]\nversion = 1\n", {"proxy": 2}),
        ("nat", '[[service]]\nmode = "nat"\nvip = "203.0.113.10"\nports = ["tcp/80"]\n', {"server_port": 8080}),
    ],
)
def test_every_section_of_a_spec_binds(mode: str, section: str, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} .*: the spec says"):
        craft(mode, Spec.parse("spec = 1\n" + section), **options)


def test_an_option_may_repeat_the_spec_or_choose_from_it() -> None:
    spec = Spec.parse(TWO_SERVERS)
    usual = [frame.data for frame in craft("l3dsr-dscp", spec).frames()]
    same = craft("l3dsr-dscp", spec, vip="203.0.113.10", dscp="tos=0x1c", port=80, real_servers="2", protocol="tcp")
    assert [frame.data for frame in same.frames()] == usual
    for options in ({"protocol": "udp"}, {"port": 53}):
        asked = Octets(next(f.data for f in craft("l3dsr-dscp", spec, **options).frames("A") if f.flow == 0))
        assert (asked.get("ip.proto"), asked.ports and asked.ports[1]) == (17, 53)
    assert len(craft("l3dsr-dscp", spec, protocol="icmp")["A"]) > 0


# --- options that need another one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        *(
            ("fullnat", {"protocol": "icmp", **one}, "needs --protocol tcp or udp, not icmp")
            for one in ({"request": 9}, {"reply": 9}, {"port": 81}, {"server_port": 81})
        ),
        *(
            ("fullnat", {"protocol": "udp", one: True}, f"--{one} needs --protocol tcp, not udp")
            for one in ("ecn", "toa")
        ),
        ("l3dsr-tunnel", {"protocol": "icmp", "pmtud": True}, "--pmtud needs --protocol tcp, not icmp"),
        ("l3dsr-tunnel", {"protocol": "udp", "fault": "TUN404"}, r"TUN404 \(.*\): --pmtud needs --protocol tcp"),
        ("garp", {"ip": 6, "vrrp": 2}, "--vrrp needs --ip 4, not 6"),
        ("garp", {"form": "arping-A", "vrrp": 3}, "--vrrp needs no --form beside it$"),
        ("garp", {"form": "arping-A", "graceful": True}, "--graceful needs no --form beside it$"),
        ("garp", {"form": "arping-A", "vrid": 7}, "--vrid needs --vmac or no --form beside it$"),
        ("garp", {"flows": 6, "rate": 5}, "--rate changes nothing: so few connections are spread over 12 s"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(mode: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        craft(mode, **options)


@pytest.mark.parametrize(
    ("mode", "beside", "option"),
    [
        ("garp", {"form": "arping-A", "vmac": True}, {"vrid": 7}),
        ("garp", {"flows": 6}, {"rate": 0.2}),
        ("health", {"data_path": "l3dsr-dscp"}, {"through": "rip"}),
        ("nat", {"protocol": "udp"}, {"reply": 9}),
    ],
)
def test_an_option_that_is_taken_does_something(mode: str, beside: dict[str, Any], option: dict[str, Any]) -> None:
    without, given = ([f.data for f in craft(mode, **one).frames()] for one in (beside, {**beside, **option}))
    if "rate" in option:
        assert craft(mode, **beside, **option).kept[-1].ts_ns > craft(mode, **beside).kept[-1].ts_ns
    else:
        assert without != given


def test_a_ping_needs_no_port_of_the_spec() -> None:
    spec = Spec.parse(TWO_SERVERS.replace("tcp/80", "tcp/8080"))
    assert len(craft("l3dsr-dscp", spec, protocol="icmp")["A"]) > 0
