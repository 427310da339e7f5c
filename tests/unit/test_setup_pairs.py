"""Setup where there is more than one of something: checks of servers, load balancers, addresses of a load balancer."""

from __future__ import annotations

import json
from typing import Final

import pytest

from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec
from dsrkit.setup.api import setup
from dsrkit.setup.plan import Plan
from dsrkit.setup.words import Config

KEEP: Final[Config] = "keepalived"


def named(plans: tuple[Plan, ...], node: str) -> Plan:
    return next(plan for plan in plans if plan.node == node)


def commands(plan: Plan) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps]


CHECKED = """
service = {mode = "MODE", vip = "203.0.113.10", ports = "PORT"}
[[health]]
type = "tcp"
interval = 0.5
[[health]]
type = "ping"
interval = 5.0
"""


def test_every_check_of_a_spec_is_made() -> None:
    text = str(
        named(setup(spec=Spec.parse(CHECKED.replace("MODE", "nat").replace("PORT", "tcp/80"))), "lb1").config(KEEP)
    )
    assert text.count("TCP_CHECK") == text.count("PING_CHECK") == text.count("real_server ") == 2
    assert "delay_loop 0.5\n    lvs_sched" in text
    assert "connect_timeout 5\n            delay_loop 5\n" in text
    assert "has lost the VIP" not in text  # no server of NAT has it
    with pytest.raises(UsageError, match="one way"):
        setup(spec=Spec.parse(CHECKED.replace("MODE", "l7").replace("PORT", "tcp/80")))


def test_checks_of_udp_services_say_where_they_go() -> None:
    plan = named(setup(spec=Spec.parse(CHECKED.replace("MODE", "nat").replace("PORT", "udp/53"))), "lb1")
    assert any("UDP ports are checked by TCP" in note for note in plan.notes)


PAIR = """
service = {mode = "MODE", vip = "203.0.113.10", ports = "tcp/80"}
takeover = {protocol = "PROTOCOL"}
snat = {source = SOURCES}
[[node]]
name = "a"
role = "lb"
link = [{link = "B", ip = "203.0.113.2/24"}, {link = "C", ip = "10.0.0.2/24"}]
[[node]]
name = "b"
role = "lb"
link = [{link = "B", ip = "203.0.113.3/24"}, {link = "C", ip = "10.0.0.3/24"}]
[[node]]
name = "s"
role = "real-server"
link = {link = "C", ip = "10.0.0.11/24", gateway = "GATEWAY"}
"""


def pair(mode: str, *sources: str, gateway: str = "10.0.0.1", protocol: str = "vrrp") -> Spec:
    words = {"MODE": mode, "PROTOCOL": protocol, "SOURCES": json.dumps(sources), "GATEWAY": gateway}
    text = PAIR if sources else PAIR.replace("snat = {source = SOURCES}\n", "")
    for name, word in words.items():
        text = text.replace(name, word)
    return Spec.parse(text)


def test_the_gateway_of_nat_moves_with_the_vip() -> None:
    for name in "ab":
        plan = named(setup(spec=pair("nat")), name)
        assert "10.0.0.1/32 dev eth1" in str(plan.config(KEEP))
        assert not any("gateway" in note for note in plan.notes)
    stuck = named(setup(spec=pair("nat", gateway="10.0.0.2")), "b")
    assert "10.0.0.2" not in str(stuck.config(KEEP))
    assert any("gateway 10.0.0.2 is a's own" in note for note in stuck.notes)


def test_each_of_a_pair_has_sources_of_its_own() -> None:
    plans = setup(spec=pair("fullnat", "10.0.0.2", "10.0.0.3"))
    for name, source in (("a", "10.0.0.2"), ("b", "10.0.0.3")):
        assert f"snat to {source}\n" in str(named(plans, name).config("nft"))
    moving = named(setup(spec=pair("fullnat", "10.0.0.9")), "b")
    assert "10.0.0.9/32 dev eth1" in str(moving.config(KEEP))
    assert not any("10.0.0.9" in line for line in commands(moving) if line.startswith("ip address"))
    with pytest.raises(UsageError, match="that 'b' can have"):
        setup(spec=pair("fullnat", "10.0.0.2"))
    with pytest.raises(UsageError, match=r"nothing moves 10\.0\.0\.9"):
        setup(spec=pair("fullnat", "10.0.0.9", protocol="garp"))


def test_tunnels_do_not_come_from_the_vip() -> None:
    service = 'service = {mode = "l3dsr-tunnel", vip = "203.0.113.10", ports = "tcp/80"}'
    lb = '[[node]]\nname = "lb"\nrole = "lb"\nip = '
    both = Spec.parse(f'{service}\n{lb}["203.0.113.10", "203.0.113.5"]')
    found = commands(named(setup(spec=both), "web1"))
    assert any(line.endswith("remote 203.0.113.5") for line in found)
    with pytest.raises(UsageError, match="no IPv4 address of its own"):
        setup(spec=Spec.parse(f'{service}\n{lb}"203.0.113.10"'))
