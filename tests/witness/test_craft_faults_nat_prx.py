"""Crafted NAT, proxies and their faults beside recordings of the real ones: the same packets at the same places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pictures import Seen, Sessions, crafted, recorded
from scenarios import CAPTURES, PCAPS, Scenario, failing

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.craft.packets import proxy

B06 = Scenario(PCAPS / "nat" / "b06-nat-reply-bypass")
B14 = Scenario(CAPTURES / "b14-proxyv2-unexpected")
L7 = Scenario(CAPTURES / "l7-haproxy-tcp-proxyv2")
shared = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not at hand (DSRKIT_CAPTURES)")


def pictures(found: Sessions) -> Counter[tuple[tuple[str, str, str, int], ...]]:
    """How often each sequence of segments occurs, acknowledgements aside but for the handshake's."""
    return Counter(tuple(one.bare for one in telling(seen)) for seen in found.values())


def telling(seen: list[Seen]) -> list[Seen]:
    """A session without the acknowledgements that a timer or the size of a window decides about."""
    return [one for number, one in enumerate(seen) if number < 3 or not one.acknowledges_only]


def beginning(seen: list[Seen], count: int) -> list[tuple[object, ...]]:
    return [(*one.bare, one.link) for one in seen[:count]]


# --- NAT201 -----------------------------------------------------------------------------------------------------------


def test_a_reply_past_the_balancer_looks_the_same_to_the_client() -> None:
    # the unknown SYN-ACK of a server is another session at A than the SYN for the VIP
    real = recorded(B06, "A_client.pcap")
    made = crafted(craft("nat", fault="NAT201", flows=4, server_port=8080), "A")
    for picture in (real, made):
        asked = [seen for seen in picture.values() if {one.sender for one in seen} == {"client"}]
        answered = [seen for seen in picture.values() if seen[0].sender == "real-server"]
        assert asked
        assert answered
        assert all(one.bare[:3] == ("client", "vip", "S") for seen in asked for one in seen)
        for seen in answered:
            assert [one.bare for one in seen[:4]] == [
                ("real-server", "client", "SA", 63),
                ("client", "real-server", "R", 64),
            ] * 2


def test_a_reply_past_the_balancer_looks_the_same_at_the_server() -> None:
    real = recorded(B06, "B_rs1.pcap")
    made = crafted(craft("nat", fault="NAT201", flows=4, server_port=8080), "C")
    broken = [seen for seen in made.values() if "R" in {one.flags for one in seen}]
    assert real
    assert broken
    for seen in (*real.values(), *broken):
        assert beginning(seen, 3) == [
            ("client", "real-server", "S", 62, ("lb", "real-server")),
            ("real-server", "client", "SA", 64, ("real-server", "router")),
            ("client", "real-server", "R", 63, ("router", "real-server")),
        ]


def test_a_reply_past_the_balancer_fails_the_same_cells(tmp_path: Path) -> None:
    made = tmp_path / "nat201.pcapng"
    craft("nat", fault="NAT201", flows=4, server_port=8080, real_servers=1).write(made)
    theirs, ours = dsrkit.verify(B06.files), dsrkit.verify(made)
    assert failing(ours) == failing(theirs) == {"nat.real-server.answered-by-vip", "nat.lb.reply.appears"}
    assert {f.code for f in ours.findings} == {f.code for f in theirs.findings}


# --- l7 ---------------------------------------------------------------------------------------------------------------


@shared
@pytest.mark.parametrize(("file", "tap"), [("A_client.pcap", "A"), ("B_lb.pcap", "B"), ("C_lb.pcap", "C")])
def test_sessions_of_a_proxy_are_recorded_ones(file: str, tap: str) -> None:
    real = pictures(recorded(L7, file))
    made = pictures(crafted(craft("l7", proxy=2, server_port=8080, flows=4, real_servers=3), tap))
    assert set(made) <= set(real)
    assert len(made) == 1


@shared
@pytest.mark.parametrize(("file", "tap"), [("A_client.pcap", "A"), ("B_lb.pcap", "B"), ("C_lb.pcap", "C")])
def test_segments_of_a_proxy_are_made_like_recorded_ones(file: str, tap: str) -> None:
    """TTL, MACs, TOS, DF, whether the id is 0, windows of SYNs, kinds of TCP options: by sender and flags."""

    def habits(found: Sessions) -> dict[tuple[object, ...], set[tuple[object, ...]]]:
        out: dict[tuple[object, ...], set[tuple[object, ...]]] = {}
        for seen in found.values():
            for one in seen:
                out.setdefault((*one.bare, one.link), set()).add((one.options, one.habits))
        return out

    real = habits(recorded(L7, file))
    made = habits(crafted(craft("l7", proxy=2, server_port=8080, flows=4, real_servers=3), tap))
    assert made.keys() <= real.keys()
    for key, ways in made.items():
        assert ways <= real[key]


@shared
def test_a_proxy_header_stands_alone_in_the_first_segment_with_data() -> None:
    real = recorded(L7, "C_lb.pcap")
    made = crafted(craft("l7", proxy=2, flows=2), "C")
    for found in (real, made):
        for seen in found.values():
            first, second, *_ = [one for one in seen if one.octets]
            assert (first.sender, first.octets) == ("lb", 28)
            assert second.payload.startswith((b"GET ", b"POST "))
    heads = {next(one.payload for one in seen if one.octets) for seen in real.values()}
    assert proxy.v2("198.51.100.10", 40000, "192.0.2.100", 80) in heads


@shared
def test_both_sessions_of_a_proxy_have_their_own_numbers() -> None:
    for found in (
        (recorded(L7, "B_lb.pcap"), recorded(L7, "C_lb.pcap")),
        tuple(crafted(craft("l7", flows=4), tap) for tap in "BC"),
    ):
        outside, inside = ({seen[0].seq for seen in one.values()} for one in found)
        assert outside
        assert inside
        assert not outside & inside


# --- PRX801 -----------------------------------------------------------------------------------------------------------


@shared
def test_an_unexpected_proxy_header_ends_the_session_as_recorded() -> None:
    made = craft("l7", fault="PRX801", server_port=8080, real_servers=1, flows=3)
    for file, tap in (("B_lb.pcap", "B"), ("C_lb.pcap", "C")):
        ours, theirs = pictures(crafted(made, tap)), pictures(recorded(B14, file))
        assert len(ours) == 1
        assert set(ours) <= set(theirs)
        assert next(iter(ours)) == theirs.most_common(1)[0][0]
