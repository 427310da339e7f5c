"""DNS round robin: what is answered, remembered and asked again, and where the connections go."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from dpkt.dns import DNS
from dpkt.ethernet import Ethernet
from dpkt.ip import IP
from dpkt.ip6 import IP6
from dpkt.udp import UDP

from dsrkit.craft.api import craft
from dsrkit.craft.packets import dns
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import SpecError, UsageError
from dsrkit.model.spec import Spec

RESOLVER, NAME_SERVER = bytes([192, 0, 2, 53]), bytes([203, 0, 113, 2])
WEB = [bytes([203, 0, 113, 21 + n]) for n in range(40)]


def seen(scenario: Scenario, tap: str) -> list[tuple[float, Any]]:
    """Time in seconds and IP packet of a tap's frames, read by dpkt."""
    start = min(frame.ts_ns for frame in scenario.frames())
    found = [((frame.ts_ns - start) / 1e9, Ethernet(frame.data).data) for frame in scenario.frames(tap)]
    return [one for one in found if isinstance(one[1], (IP, IP6))]


def messages(scenario: Scenario, tap: str) -> list[tuple[float, Any, DNS]]:
    """The DNS messages by UDP at a tap."""
    return [
        (time, packet, DNS(packet.data.data))
        for time, packet in seen(scenario, tap)
        if isinstance(packet.data, UDP) and 53 in (packet.data.sport, packet.data.dport)
    ]


def answers(scenario: Scenario, tap: str, source: bytes | None = None) -> list[tuple[float, list[bytes], int]]:
    """Time, addresses in order and TTL of each response."""
    return [
        (time, [one.rdata for one in message.an], message.an[0].ttl if message.an else 0)
        for time, packet, message in messages(scenario, tap)
        if message.qr and source in (None, packet.src)
    ]


def syns(scenario: Scenario, tap: str = "A") -> list[tuple[float, bytes]]:
    """Time and destination of each first SYN."""
    found: dict[tuple[bytes, int], tuple[float, bytes]] = {}
    for time, packet in seen(scenario, tap):
        if getattr(packet.data, "flags", 0) == 2:
            found.setdefault((packet.src, packet.data.sport), (time, packet.dst))
    return list(found.values())


def test_first_address_is_the_one_that_is_used() -> None:
    scenario = craft("dns-rr", flows=6, real_servers=3)
    given = [addresses for _, addresses, _ in answers(scenario, "A")]
    assert given[:4] == [WEB[:3], WEB[1:3] + WEB[:1], WEB[2:3] + WEB[:2], WEB[:3]]
    assert [address for _, address in syns(scenario)] == [addresses[0] for addresses in given]


def test_what_is_remembered_grows_old_and_is_asked_again() -> None:
    scenario = craft("dns-rr", flows=8, rate=2, ttl=3)
    assert [ttl for _, _, ttl in answers(scenario, "A")] == [3, 3, 3, 2, 2, 1, 1, 3]
    upstream = [(round(time, 1), len(m.an)) for time, packet, m in messages(scenario, "C") if packet.src == NAME_SERVER]
    assert upstream == [(0, 2), (3.5, 2)]


def test_ttl_of_0_is_not_remembered() -> None:
    scenario = craft("dns-rr", flows=4, ttl=0)
    assert len(answers(scenario, "C", NAME_SERVER)) == 4


def test_flags_of_both_servers() -> None:
    """The resolver offers recursion and is no authority; the zone's server the other way round, asked without RD."""
    scenario = craft("dns-rr")
    by_source = {(packet.src, message.qr): message for _, packet, message in messages(scenario, "B")}
    own, zone = by_source[RESOLVER, 1], by_source[NAME_SERVER, 1]
    assert (own.aa, own.ra, own.rd) == (0, 1, 1)
    assert (zone.aa, zone.ra, zone.rd) == (1, 0, 0)
    assert by_source[RESOLVER, 0].rd == 0
    assert by_source[RESOLVER, 0].ar[0].type == 41  # EDNS, from resolvers only
    assert not own.ar


def test_clients_that_ask_while_the_resolver_does_wait_for_one_answer() -> None:
    scenario = craft("dns-rr", flows=20, clients=20, rate=100000)
    assert len(answers(scenario, "C", NAME_SERVER)) == 1
    assert len(answers(scenario, "A")) == 20


def test_each_resolver_asks_for_itself() -> None:
    scenario = craft("dns-rr", flows=6, clients=6, resolvers=3, real_servers=3)
    assert len(answers(scenario, "C", NAME_SERVER)) == 3
    assert Counter(packet.src for _, packet, m in messages(scenario, "A") if m.qr) == {
        bytes([192, 0, 2, 53 + n]): 2 for n in range(3)
    }


def test_too_many_records_come_by_tcp() -> None:
    scenario = craft("dns-rr", real_servers=40)
    (_, _, short), *others = [one for one in messages(scenario, "A") if one[2].qr]
    assert not others
    assert short.op & 0x0200
    assert len(short.an) == 29
    stream = b"".join(p.data.data for _, p in seen(scenario, "A") if p.src == RESOLVER and p.p == 6)
    whole = dns.parse(stream[2:])
    assert int.from_bytes(stream[:2], "big") == len(stream) - 2
    assert len(whole.answers) == 40
    edns = craft("dns-rr", real_servers=40, edns=True)
    assert [len(addresses) for _, addresses, _ in answers(edns, "A")] == [40]


def test_ipv6_has_aaaa_records_over_ipv6() -> None:
    scenario = craft("dns-rr", ip="6", real_servers=3, flows=3)
    found = [message for _, packet, message in messages(scenario, "A") if message.qr and isinstance(packet, IP6)]
    assert [one.type for one in found[0].an] == [28] * 3
    assert [address for _, address in syns(scenario)] == [one.an[0].rdata for one in found]


def test_lost_questions_are_asked_again() -> None:
    """Over a bad network every client still gets through in the end, with the question repeated after 5 s."""
    scenario = craft("dns-rr", flows=10, loss=0.05, seed=3)
    assert len({packet.data.sport for _, packet, m in messages(scenario, "A") if not m.qr}) == 10
    asked = Counter(packet.data.sport for _, packet, m in messages(scenario, "A") if not m.qr)
    assert max(asked.values()) > 1
    assert len(syns(scenario)) >= 10


def test_a_spec_with_one_server_for_names_is_the_recorded_kind() -> None:
    """dnsmasq has the records and is asked by the clients: authoritative, and offering recursion (0x8580)."""
    spec = Spec.parse(SINGLE)
    scenario = craft("dns-rr", spec, flows=3)
    found = [message for _, packet, message in messages(scenario, "A") if message.qr]
    assert [one.op | 0 for one in found] == [0x8580] * 3
    assert [one.an[0].ttl for one in found] == [30] * 3
    assert {packet.src for _, packet, m in messages(scenario, "A") if m.qr} == {bytes([192, 0, 2, 10])}
    assert scenario.taps == ("A", "B")


SINGLE = """
service = {mode = "dns-rr", ports = ["tcp/80"]}
dns = {name = "www.lab.example", records = ["192.0.2.21", "192.0.2.22", "192.0.2.23"], ttl = 30}
[[node]]
name = "cli"
role = "client"
[[node.link]]
link = "A"
mac = "02:c1:00:00:00:0a"
ip = ["198.51.100.10/24", "198.51.100.11/24"]
gateway = "198.51.100.1"
[[node]]
name = "rtr"
role = "router"
[[node.link]]
link = "A"
mac = "02:aa:00:00:00:0a"
ip = "198.51.100.1/24"
[[node.link]]
link = "B"
mac = "02:aa:00:00:00:0b"
ip = "192.0.2.1/24"
[[node]]
name = "dns"
role = "resolver"
[[node.link]]
link = "B"
mac = "02:1b:00:00:01:0b"
ip = "192.0.2.10/24"
gateway = "192.0.2.1"
""" + "".join(
    f"""
[[node]]
name = "rs{n}"
role = "real-server"
[[node.link]]
link = "B"
mac = "02:55:00:00:00:0{n}"
ip = "192.0.2.2{n}/24"
gateway = "192.0.2.1"
"""
    for n in (1, 2, 3)
) + """
[[tap]]
name = "A"
link = "A"
[[tap]]
name = "B"
link = "B"
"""  # fmt: skip


def test_names_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="every label has 1 to 63 octets"):
        craft("dns-rr", name="www..example")
    with pytest.raises(SpecError, match="no IPv6 record"):
        craft("dns-rr", Spec.parse(SINGLE), ip="6")


@pytest.mark.parametrize(
    "message", [b"", bytes(11), bytes(12), b"\0" * 4 + b"\0\1" + bytes(6) + b"\xc0\x0c" + bytes(4)]
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(UsageError):
        dns.parse(message)


@pytest.mark.parametrize("edns", [None, 1232])
def test_parse_reads_what_is_built(edns: int | None) -> None:
    records = (dns.Record("www.example.com", "CNAME", "a.example.com", 7), *dns.addresses("a.example.com", ["::1"]))
    made = dns.response("www.example.com", "AAAA", records, ident=9, truncated=True, edns=edns, dnssec_ok=True)
    known = edns is not None
    assert dns.parse(made) == dns.Message(9, "www.example.com", "AAAA", records, True, True, edns, known)


# --- faults ---------------------------------------------------------------------------------------------------------


def test_dns601_most_connections_go_to_one_server_though_the_answers_of_the_zone_rotate() -> None:
    scenario = craft("dns-rr", fault="DNS601")
    first = [addresses[0] for _, addresses, _ in answers(scenario, "C", NAME_SERVER)]
    assert sorted(first) == WEB[:3]
    spread = Counter(address for _, address in syns(scenario)).most_common()
    assert spread[0][1] >= 18
    assert len(spread) > 1


def test_dns602_connections_long_after_the_only_answer() -> None:
    scenario = craft("dns-rr", fault="DNS602")
    ((answered, addresses, ttl),) = answers(scenario, "A")
    late = [address for time, address in syns(scenario) if time > answered + ttl]
    assert late == [addresses[0]] * 5


def test_dns603_a_dead_server_stays_in_the_answers() -> None:
    scenario = craft("dns-rr", fault="DNS603")
    assert all(WEB[0] in addresses for _, addresses, _ in answers(scenario, "A"))
    opened = {packet.src for _, packet in seen(scenario, "A") if getattr(packet.data, "flags", 0) == 18}
    assert opened == {WEB[1], WEB[2]}
    assert WEB[0] in {address for _, address in syns(scenario)}
    unreachable = [p for _, p in seen(scenario, "A") if p.p == 1 and (p.data.type, p.data.code) == (3, 1)]
    assert {p.data.data.data.dst for p in unreachable} == {WEB[0]}


def test_dns604_syns_do_not_follow_the_order() -> None:
    scenario = craft("dns-rr", fault="DNS604")
    assert {addresses[0] for _, addresses, _ in answers(scenario, "A")} == set(WEB[:3])
    assert {address for _, address in syns(scenario)} == {WEB[0]}


def test_dns605_the_order_stays() -> None:
    scenario = craft("dns-rr", fault="DNS605")
    assert {tuple(addresses) for _, addresses, _ in answers(scenario, "A")} == {tuple(WEB[:3])}
    assert {address for _, address in syns(scenario)} == {WEB[0]}


def test_dns606_the_part_that_fits_is_all_that_is_used() -> None:
    scenario = craft("dns-rr", fault="DNS606")
    found = [message for _, _, message in messages(scenario, "A") if message.qr]
    assert {(bool(one.op & 0x0200), len(one.an)) for one in found} == {(True, 29)}
    assert not [p for _, p in seen(scenario, "A") if p.p == 6 and 53 in (p.data.sport, p.data.dport)]
    assert len(syns(scenario)) == 6
    with pytest.raises(UsageError, match="more records"):
        craft("dns-rr", fault="DNS606", real_servers=3)
