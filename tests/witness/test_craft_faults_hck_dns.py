"""Crafted health checks, DNS round robin and their faults beside recordings: the same packets at the same places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from dpkt.ethernet import Ethernet
from dpkt.ip import IP
from dpkt.udp import UDP
from pictures import Seen, Sessions, crafted, frames_of, recorded
from scenarios import CAPTURES, PCAPS, Scenario, failing

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.model.spec import Spec

B01 = Scenario(PCAPS / "l2dsr" / "b01-dr-no-vip-on-rs")
DNS_RR = Scenario(CAPTURES / "dns-rr")
shared = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not at hand (DSRKIT_CAPTURES)")


# --- HCK701: the clients' side of it is DSR301


def of_clients(found: Sessions) -> list[list[Seen]]:
    return [seen for seen in found.values() if {"client"} & {seen[0].sender, seen[0].receiver}]


def test_clients_of_a_server_without_the_vip_hear_the_recorded_silence(tmp_path: Path) -> None:
    scenario = craft("health", fault="HCK701")
    file = tmp_path / "hck701.pcapng"
    scenario.write(file)
    made, real = dsrkit.verify(file), dsrkit.verify(list(B01.files))
    assert failing(made) == {*failing(real), "health.lb.through-vip"}
    assert failing(real) == {"l2dsr.real-server.answered"}
    silent = [
        [seen for seen in of_clients(picture) if {one.sender for one in seen} == {"client"}]
        for picture in (crafted(scenario, "D"), recorded(B01, "B_rs2.pcap"))
    ]
    for sessions in silent:
        assert sessions
        usual = [one for seen in sessions for one in seen if one.ttl > 32]  # one recorded client starts at TTL 10
        assert {(one.bare, one.link) for one in usual} == {(("client", "vip", "S", 62), ("lb", "real-server"))}
        assert max(map(len, sessions)) > 1  # repeated


# --- HCK706: the recorded b22 shows at the client what stands here

B22 = [
    # source, TTL, TOS octet, DF, length, type, code, then TTL, TOS octet, DF and length of the quoted header
    ("vip", 63, 0xC0, 0, 88, 3, 3, 63, 0x00, 1, 60),
]


@pytest.mark.parametrize("mode", ["nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp"])
def test_a_vip_without_servers_answers_as_recorded(mode: str) -> None:
    scenario = craft(mode, fault="HCK706", flows=4)
    vip = bytes(map(int, scenario.spec.vips[0].split(".")))
    found = []
    asked = {}
    for data in scenario["A"]:
        packet = Ethernet(data).data
        if not isinstance(packet, IP):
            continue
        if packet.p == 6 and packet.data.flags == 2:
            asked[packet.data.sport] = packet
        if packet.p == 1:
            quoted = packet.data.data.data
            assert quoted.id == asked[quoted.data.sport].id
            source = "vip" if packet.src == vip else "another"
            own, inside = ((one.ttl, one.tos, one.df, one.len) for one in (packet, quoted))
            found.append((source, *own, packet.data.type, packet.data.code, *inside))
            assert packet.id != 0
    assert found == B22 * 4


# --- dns-rr


@shared
def test_queries_and_answers_are_the_recorded_ones() -> None:
    """Octet by octet, ids apart; the recorded rotation goes on from the order that dnsmasq happened to start with."""
    real = _datagrams(frames_of(DNS_RR.folder / "A_client.pcap"))
    made = _datagrams(craft("dns-rr", Spec.parse(SPEC), flows=6)["A"])
    (query,) = {data for to, data in real if to == 53}
    assert {data for to, data in made if to == 53} == {query}
    rotation = list(dict.fromkeys(data for to, data in real if to != 53))
    answers = [data for to, data in made if to != 53]
    assert len(rotation) == 3
    assert [data for to, data in real if to != 53] == rotation * 6
    assert answers == [*rotation, *rotation]


def _datagrams(frames: object) -> list[tuple[int, bytes]]:
    """Destination port and message without its id, of every datagram."""
    found = []
    for frame in frames:  # type: ignore[attr-defined]
        packet = Ethernet(frame).data
        if isinstance(packet, IP) and isinstance(packet.data, UDP):
            assert (packet.ttl, packet.df, packet.tos) in ((64, 1, 0), (63, 1, 0))
            assert packet.id
            found.append((53 if packet.data.dport == 53 else 0, bytes(packet.data.data)[2:]))
    return found


@shared
def test_connections_are_the_recorded_ones() -> None:
    scenario = craft("dns-rr", Spec.parse(SPEC), flows=6)
    opened: Counter[str] = Counter()
    for made_tap, file in (("A", "A_client.pcap"), ("B", "B_router.pcap"), ("B", "B_rs1.pcap")):
        real, made = recorded(DNS_RR, file), crafted(scenario, made_tap)
        starts = [{tuple((*one.bare, one.link, one.options) for one in seen[:4]) for seen in picture.values()}
                  for picture in (real, made)]  # fmt: skip
        assert starts[0] == starts[1]
        assert len(starts[0]) == 1
        opened[file] += len(real)
    assert opened == {"A_client.pcap": 18, "B_router.pcap": 18, "B_rs1.pcap": 6}


def _node(name: str, role: str, *links: str) -> str:
    return f'[[node]]\nname = "{name}"\nrole = "{role}"\n' + "".join(f"[[node.link]]\n{link}\n" for link in links)


SPEC = """
service = {mode = "dns-rr", ports = ["tcp/80"]}
dns = {name = "www.lab.example", records = ["192.0.2.22", "192.0.2.21", "192.0.2.23"], ttl = 30}
tap = [{name = "A", link = "A"}, {name = "B", link = "B"}]
""" + "".join(
    (
        _node(
            "cli",
            "client",
            'link = "A"\nmac = "02:c1:00:00:00:0a"\nip = "198.51.100.10/24"\ngateway = "198.51.100.1"',
        ),
        _node(
            "rtr",
            "router",
            'link = "A"\nmac = "02:aa:00:00:00:0a"\nip = "198.51.100.1/24"',
            'link = "B"\nmac = "02:aa:00:00:00:0b"\nip = "192.0.2.1/24"',
        ),
        _node(
            "dns",
            "resolver",
            'link = "B"\nmac = "02:1b:00:00:01:0b"\nip = "192.0.2.10/24"\ngateway = "192.0.2.1"',
        ),
        *(
            _node(
                f"rs{n}",
                "real-server",
                f'link = "B"\nmac = "02:55:00:00:00:0{n}"\nip = "192.0.2.2{n}/24"\ngateway = "192.0.2.1"',
            )
            for n in (1, 2, 3)
        ),
    )
)
