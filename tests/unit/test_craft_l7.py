"""The proxy: two sessions with nothing in common but what is carried over, and what it tells the servers."""

from __future__ import annotations

from typing import Any

import dpkt
import pytest
from pictures import Seen, crafted

from dsrkit.craft.api import craft
from dsrkit.craft.packets import proxy
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

CLIENT = {"4": "198.51.100.10", "6": "2001:db8:a::a"}
VIP = {"4": "203.0.113.10", "6": "2001:db8:b::a"}


def one(scenario: Scenario, tap: str) -> list[Seen]:
    """The only session at a tap."""
    (seen,) = crafted(scenario, tap).values()
    return seen


def stream(seen: list[Seen], sender: str) -> bytes:
    """What one side sent, put together by sequence numbers."""
    parts = {one.seq: one.payload for one in seen if one.sender == sender and one.octets}
    return b"".join(parts[seq] for seq in sorted(parts))


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("reply", [600, 200_000])
def test_octets_are_carried_over_unchanged(ip: str, reply: int) -> None:
    scenario = craft("l7", ip=ip, reply=reply, request=3000)
    outside, inside = one(scenario, "B"), one(scenario, "C")
    assert stream(outside, "client") == stream(inside, "lb")
    assert stream(outside, "vip") == stream(inside, "real-server")
    assert len(stream(outside, "vip")) == reply
    assert [seen.flags for seen in inside][-3:] == ["FA", "FA", "A"]


@pytest.mark.parametrize("ip", ["4", "6"])
def test_the_second_session_is_the_proxys_own(ip: str) -> None:
    scenario = craft("l7", ip=ip, server_port=8080)
    outside, inside = one(scenario, "B"), one(scenario, "C")
    assert {seen.ttl for seen in inside} == {64}
    assert {seen.ttl for seen in outside if seen.sender == "vip"} == {64}
    assert not {seen.seq for seen in outside} & {seen.seq for seen in inside}
    (ends,) = crafted(scenario, "C")
    (own,) = {port for _, port in ends} - {8080}
    assert 32768 <= own <= 60999
    assert own % 2 == 0


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_proxy_header_comes_first_and_alone(ip: str, version: int) -> None:
    first, second, *_ = [seen for seen in one(craft("l7", ip=ip, proxy=version), "C") if seen.octets]
    build = proxy.v1 if version == 1 else proxy.v2
    assert first.payload == build(CLIENT[ip], 40000, VIP[ip], 80)
    assert second.payload.startswith(b"GET / HTTP/1.1\r\n")


def test_tlvs_come_in_the_order_given_behind_the_checksum() -> None:
    given = ("authority=www.example.com", "alpn=h2", "unique-id=abc", "netns=blue", "ssl=TLSv1.3", "noop=3")
    (head, *_) = [seen.payload for seen in one(craft("l7", proxy=2, crc32c=True, proxy_tlv=given), "C") if seen.octets]
    assert int.from_bytes(head[14:16], "big") == len(head) - 16
    kinds, at = [], 28
    while at < len(head):
        kinds.append(head[at])
        at += 3 + int.from_bytes(head[at + 1 : at + 3], "big")
    assert (kinds, at) == ([0x03, 0x02, 0x01, 0x05, 0x30, 0x20, 0x04], len(head))
    told = int.from_bytes(head[31:35], "big")
    assert proxy.crc32c(head[:31] + bytes(4) + head[35:]) == told


def test_a_forwarded_client_is_the_last_field_of_the_request() -> None:
    scenario = craft("l7", xff=True)
    head = stream(one(scenario, "C"), "lb")
    assert head.startswith(b"GET / HTTP/1.1\r\nhost: 203.0.113.10\r\n")
    assert head.endswith(b"\r\nx-forwarded-for: 198.51.100.10\r\n\r\n")
    assert b"forwarded" not in stream(one(scenario, "B"), "client")


def test_a_proxy_that_reads_requests_connects_after_them() -> None:
    def opened_and_asked(scenario: Scenario) -> tuple[int, int]:
        """When the second session starts, and when the last of the request has come."""
        opened = [f.ts_ns for f in scenario.kept if f.tap == "C" and ": SYN " in f.comment]
        asked = [f.ts_ns for f in scenario.kept if f.tap == "B" and f.sender == "r1" and f.wire_octets > 100]
        return opened[0], asked[-1]

    opened, asked = opened_and_asked(craft("l7", request=30_000))  # more than a first window
    assert opened < asked
    opened, asked = opened_and_asked(craft("l7", request=30_000, xff=True))
    assert opened > asked


def test_servers_take_turns_and_each_client_gets_its_reply() -> None:
    scenario = craft("l7", flows=6, real_servers=3, clients=2, proxy=2)
    assert len(crafted(scenario, "C")) == 6
    servers = [address for ends in crafted(scenario, "C") for address, _ in ends if address != "10.0.0.1"]
    assert sorted(servers) == sorted(["10.0.0.11", "10.0.0.12", "10.0.0.13"] * 2)
    for seen in crafted(scenario, "A").values():
        assert len(stream(seen, "vip")) == 600


def test_copies_at_volume_keep_their_headers_apart() -> None:
    scenario = craft("l7", flows=400, proxy=2, crc32c=True)
    heads = []
    for frame in scenario.frames():
        if frame.tap == "C":
            tcp = dpkt.ethernet.Ethernet(frame.data).data.data
            if isinstance(tcp, dpkt.tcp.TCP) and tcp.data.startswith(proxy.SIGNATURE):
                head = bytes(tcp.data)
                told = int.from_bytes(head[31:35], "big")
                assert proxy.crc32c(head[:31] + bytes(4) + head[35:]) == told
                heads.append(head[16:26])
    assert len(heads) == len(set(heads)) == 400


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crc32c": True}, "--crc32c needs --proxy 2"),
        ({"crc32c": True, "proxy": 1}, "--crc32c needs --proxy 2"),
        ({"proxy_tlv": ("alpn=h2",)}, "--proxy-tlv needs --proxy 2"),
        ({"proxy": 2, "proxy_tlv": ("colour=red",)}, "'colour=red' is not NAME=VALUE"),
        ({"proxy": 2, "proxy_tlv": ("alpn",)}, "'alpn' is not NAME=VALUE"),
        ({"proxy": 2, "proxy_tlv": ("noop=x",)}, "must be a number of octets"),
        ({"proxy": 2, "proxy_tlv": ("noop=99999",)}, "length"),
        ({"toa": True}, "--toa is not an option of mode l7"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        craft("l7", **options)
