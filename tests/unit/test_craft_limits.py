"""Values, frames and outputs that nobody sane would try: refused in words or taken for what they are."""

from __future__ import annotations

import pytest

from dsrkit import craft
from dsrkit.craft.forward import Workbench
from dsrkit.craft.octets import Octets

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
