"""Values, frames and outputs that nobody sane would try: refused in words or taken for what they are."""

from __future__ import annotations

from typing import Any

import pytest

from dsrkit import Spec, SpecError, UsageError, craft
from dsrkit.craft.forward import Workbench
from dsrkit.craft.packets.octets import Octets

# --- frames for one node ----------------------------------------------------------------------------------------------


def test_a_reply_without_ttl_is_answered_with_time_exceeded() -> None:
    scenario = craft("nat", real_servers=1)
    bench = Workbench(scenario.spec)
    request, reply = (
        next(f.data for f in scenario.frames(tap) if f.sender == sender and f.flow >= 0)
        for tap, sender in (("B", "r1"), ("C", "web1"))
    )
    assert bench.forward(request, "lb1")
    for ttl in (0, 1):
        old = Octets(reply)
        old.set("ip.ttl", ttl)
        [answer] = map(Octets, bench.forward(bytes(old.data), "lb1"))
        assert answer.ip.proto == 1
        assert answer.data[answer.ip.payload] == 11
        assert answer.address("ip.dst") == old.address("ip.src")


@pytest.mark.parametrize(("profile", "passes"), [("katran", True), ("cilium", False)])
def test_who_takes_from_the_ttl_drops_what_has_none_left(profile: str, passes: bool) -> None:
    scenario = craft("l3dsr-tunnel", profile=profile, real_servers=1)
    bench = Workbench(scenario.spec, profile=profile)
    request = Octets(next(f.data for f in scenario.frames("B") if f.sender == "r1" and f.flow >= 0))
    request.set("ip.ttl", 1)
    assert bool(bench.forward(bytes(request.data), "lb1")) is passes


@pytest.mark.parametrize("tunnel", ["ipip", "gre", "gue"])
def test_tunnels_that_hold_less_than_they_say_are_dropped(tunnel: str) -> None:
    scenario = craft("l3dsr-tunnel", tunnel=tunnel, real_servers=1)
    whole = next(f.data for f in scenario.frames("D") if f.receiver == "web1" and len(Octets(f.data).networks) == 2)
    packet = Octets(whole)
    bench = Workbench(scenario.spec)
    assert packet.outer is not None
    assert bench.forward(whole, "web1")
    for size in range(packet.outer.payload, len(whole)):
        cut = Octets(whole)
        cut.put(packet.outer.at + 2, size - packet.outer.at)
        cut.mend("outer.checksum", packet)
        if tunnel == "gue":
            cut.put(packet.outer.payload + 6, 0)
        assert bench.forward(bytes(cut.data[:size]), "web1") == []


# --- values of options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        ("nat", {"flows": "many"}, "--flows: 'many' must be a whole number"),
        ("nat", {"flows": 10**12}, "--flows: 1000000000000 must be a whole number within 1 and 10000000"),
        ("nat", {"flows": 1.5}, "--flows"),
        ("nat", {"flows": True}, "--flows"),
        ("nat", {"seed": "x"}, "--seed"),
        ("health", {"path": "/a\r\nHost: b"}, "--path.*control characters"),
        ("health", {"path": "/\udcff"}, "--path.*UTF-8"),
        ("health", {"path": "index.html"}, "--path.*must start with /"),
        ("health", {"path": "/a b"}, "--path.*blanks"),
        ("dns-rr", {"name": "a\nb"}, "--name.*control characters"),
        ("l7", {"proxy": 2, "proxy_tlv": 5}, "--proxy-tlv"),
        ("l7", {"proxy": 2, "proxy_tlv": "authority=\udcff"}, "--proxy-tlv.*UTF-8"),
        ("nat", {"vip": "224.0.0.1"}, "--vip"),
        ("nat", {"vip": "255.255.255.255"}, "--vip"),
        ("l2dsr", {"vip": "0.0.0.0"}, "--vip"),
        ("l2dsr", {"vip": "fe80::1%eth0", "ip": 6}, "--vip"),
        ("l2dsr", {"vip": "127.0.0.1"}, "--vip"),
        ("nat", {"vip": "198.51.100.10"}, "the VIP is also an address of client"),
        ("nat", {"vip": "10.0.0.12"}, "the VIP is also an address of web2"),
        ("l7", {"vip": "10.0.0.11"}, "the VIP is also an address of web1"),
        ("l2dsr", {"vip": "203.0.113.1"}, "the VIP is also an address of r1"),
    ],
)
def test_nonsense_is_refused_in_words(mode: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        craft(mode, **options)


def test_a_number_is_as_good_as_its_digits() -> None:
    assert craft("nat", ip=6, flows="2", seed="3")["A"] == craft("nat", ip="6", flows=2, seed=3)["A"]  # type: ignore[arg-type]


def test_copies_take_a_negative_seed() -> None:
    batches = craft("nat", flows=300, seed=-1).batches()
    assert sum(len(batch) for batch in batches) > 300


# --- specs ------------------------------------------------------------------------------------------------------------


def test_a_name_of_the_usual_set_up_may_be_given_to_another_machine() -> None:
    text = '[service]\nmode = "nat"\nvip = "203.0.113.10"\n[[node]]\nname = "client"\nrole = "lb"\n'
    scenario = craft("nat", Spec.parse(text))
    assert [(n.name, n.role) for n in scenario.spec.nodes][:2] == [("client", "lb"), ("client-2", "client")]
    assert len(scenario["A"]) == len(craft("nat")["A"])


def test_what_a_world_lacks_is_named() -> None:
    world = Workbench(craft("nat").spec).world
    with pytest.raises(SpecError, match="lb1 has no IPv6 address"):
        world.balancer.address(6)
    del world.hosts["r1"]
    with pytest.raises(SpecError, match="the spec has no router"):
        assert world.router


def test_taps_that_hear_nothing_are_named() -> None:
    text = """
    [service]
    mode = "l2dsr"
    vip = "203.0.113.10"
    ports = ["tcp/80"]
    [[node]]
    name = "lb1"
    role = "lb"
    [[tap]]
    name = "A"
    [[tap]]
    name = "deaf"
    link = "A"
    node = "lb1"
    """
    assert craft("l2dsr", Spec.parse(text)).silent == ("deaf",)
    assert craft("l2dsr", Spec.parse(text), flows=300).silent == ("deaf",)


def test_health_needs_a_tcp_port() -> None:
    spec = Spec.parse('[service]\nmode="l3dsr-dscp"\nvip="203.0.113.10"\nports=["udp/6081"]')
    with pytest.raises(SpecError, match="no port tcp/"):
        craft("health", spec)


def test_a_spec_without_end() -> None:
    with pytest.raises(SpecError, match="16 MiB"):
        Spec.load("/dev/zero")


@pytest.mark.parametrize(
    ("mode", "nodes", "words"),
    [
        ("nat", (("web1", "172.16.5.9/24"), ("web2", "172.20.5.9/24")), "web2"),
        ("nat", (("web1", "10.9.9.9/24"), ("web2", "10.9.9.9/24")), "10.9.9.9 is an address of web1 and of web2"),
        ("nat", (("web1", "2001:db8::1/64"),), "web1 has no IPv4 address"),
        ("l2dsr", (("web1", "10.0.1.9/24"), ("web2", "10.0.2.9/24")), "web2"),
    ],
)
def test_what_cannot_be_built_is_refused(mode: str, nodes: tuple[tuple[str, str], ...], words: str) -> None:
    text = f'[service]\nmode = "{mode}"\nvip = "203.0.113.10"\nports = ["tcp/80"]\n'
    for name, ip in nodes:
        text += f'[[node]]\nname = "{name}"\nrole = "real-server"\nip = "{ip}"\n'
    with pytest.raises(SpecError, match=words):
        craft(mode, Spec.parse(text))


def test_the_crafted_path_names_the_machines_of_the_spec() -> None:
    text = """
    [service]
    mode = "l2dsr"
    vip = "203.0.113.10"
    ports = ["tcp/80"]
    [[node]]
    name = "edge"
    role = "router"
    [[node]]
    name = "director"
    role = "lb"
    """
    path = craft("l2dsr", Spec.parse(text)).spec.path
    assert path.request == ("client", "edge", "director", "sw1", "real-server")
    assert path.reply == ("real-server", "sw1", "edge", "client")
