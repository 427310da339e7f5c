"""The balancer as a real program behind a real cable, against what each mode promises."""

import sys
from pathlib import Path

import pytest
from balancer import Balancer


def set_up(scenario, *, tunnel=False):
    """The balancer that the scenario has in the place of its lb1."""
    spec = scenario.spec
    lb, router = spec.node("lb1"), spec.node("r1")
    next_hop = next(link.mac[0] for link in router.links if link.link == "B")
    servers = [server.ips[0] if tunnel else server.macs[0] for server in spec.role("real-server")]
    return Balancer(spec.vips[0], lb.macs[0], next_hop, servers, lb.ips[0] if tunnel else None)


@pytest.mark.dsr(mode="l2dsr", profile="generic", flows=4)
def test_l2dsr(dsr_link, dsr_scenario):
    balancer = set_up(dsr_scenario)
    requests = dsr_scenario.frames("B.in")
    with dsr_link(balancer.serve) as device:
        out = device.exchange(requests, expect=len(requests))
    dsr_scenario.expect("B.out").matches(out)


@pytest.mark.dsr(mode="l3dsr-tunnel", profile="generic", tunnel="ipip", flows=4)
def test_tunnels(dsr_link, dsr_scenario):
    balancer = set_up(dsr_scenario, tunnel=True)
    requests = dsr_scenario.frames("B.in")
    with dsr_link(balancer.serve) as device:
        out = device.exchange(requests, expect=len(requests))
    dsr_scenario.expect("B.out").matches(out)


@pytest.mark.dsr(mode="l2dsr", profile="generic")
def test_as_a_command(dsr_link, dsr_scenario):
    """The same by its command line, as it is started in production."""
    spec = dsr_scenario.spec
    server = spec.node("web1").macs[0]
    program = [sys.executable, Path(__file__).with_name("balancer.py"), "eth0", spec.vips[0]]
    with dsr_link([*program, "02:aa:00:00:00:0b", spec.node("lb1").macs[0], server]) as device:
        out = device.exchange(dsr_scenario.frames("B.in"), expect=5)
    dsr_scenario.expect("B.out").matches(out)


@pytest.mark.dsr(mode="l2dsr", profile="generic")
def test_what_is_not_for_the_vip_is_left_alone(dsr_link, dsr_scenario):
    replies = dsr_scenario.frames("D")
    with dsr_link(set_up(dsr_scenario).serve) as device:
        assert device.exchange(replies, expect=0) == []


@pytest.mark.dsr(mode="l2dsr", profile="generic")
def test_a_mistake_is_named(dsr_link, dsr_scenario):
    """A balancer that forgets the TTL: the failure says so."""

    class Forgetful(Balancer):
        def forward(self, frame):
            made = super().forward(frame)
            return made and made[:22] + frame[22:26] + made[26:]  # TTL, protocol and checksum as they came

    balancer = set_up(dsr_scenario)
    balancer.__class__ = Forgetful
    with dsr_link(balancer.serve) as device:
        out = device.exchange(dsr_scenario.frames("B.in"), expect=5)
    with pytest.raises(AssertionError, match=r"ip\.ttl"):
        dsr_scenario.expect("B.out").matches(out)
