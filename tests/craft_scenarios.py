"""Scenarios made by hand for the tests of everything that turns one into output."""

from __future__ import annotations

from collections.abc import Iterator

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from dsrkit.craft.frame import Batch, Change, Frame, batch_of
from dsrkit.craft.scenario import Scenario
from dsrkit.model.spec import Spec

TAPS = ("A", "B", "C", "D")
START_NS = 1_700_000_000_000_000_000
CLIENT, ROUTER_A, ROUTER_B, LB, ROUTER_C, SERVER = (f"02:00:00:00:00:{n:02x}" for n in (1, 0xA, 0xB, 2, 0xC, 0x11))
CIP, VIP = "198.51.100.10", "203.0.113.10"
SPEC_TEXT = """
[[service]]
mode = "l2dsr"
vip = "203.0.113.10"
ports = ["tcp/80"]

[[node]]
name = "lb1"
role = "lb"
ip = "10.0.0.2/24"
mac = "02:00:00:00:00:02"

[[tap]]
name = "B"
node = "lb1"
interface = "eth0"
"""


def spec() -> Spec:
    return Spec.parse(SPEC_TEXT)


def frame(
    tap: str,
    us: int,
    packet: Packet,
    number: int,
    sender: str = "",
    receiver: str = "",
    comment: str = "",
    changes: tuple[Change, ...] = (),
) -> Frame:
    data = bytes(packet)
    return Frame(tap, START_NS + us * 1000, data, len(data), sender, receiver, comment, number, 0, changes)


def l2dsr() -> Scenario:
    """A SYN through a load balancer, the answer that goes past it, a request, and an ARP question."""
    syn = {"sport": 40000, "dport": 80, "seq": 1000, "flags": "S", "options": [("MSS", 1460)]}
    answer = {"sport": 80, "dport": 40000, "seq": 5000, "ack": 1001, "flags": "SA"}
    data = {"sport": 40000, "dport": 80, "seq": 1001, "ack": 5001, "flags": "PA"}

    def request(source: str, target: str, ttl: int, tcp: dict[str, object], load: bytes = b"") -> Packet:
        return Ether(src=source, dst=target) / IP(src=CIP, dst=VIP, ttl=ttl, id=7) / TCP(**tcp) / Raw(load)

    def reply(source: str, target: str, ttl: int) -> Packet:
        return Ether(src=source, dst=target) / IP(src=VIP, dst=CIP, ttl=ttl, id=9) / TCP(**answer)

    ask = Ether(src=ROUTER_B, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=ROUTER_B, psrc="203.0.113.1", pdst=VIP)
    get = b"GET / HTTP/1.1\r\n\r\n"
    ttl = Change("ip.ttl", "64", "63")
    return Scenario(
        mode="l2dsr",
        profile="ipvs",
        taps=TAPS,
        spec=spec(),
        kept=(
            frame("A", 0, request(CLIENT, ROUTER_A, 64, syn), 0, "client", "r1", "SYN, client → VIP"),
            frame("B", 50, request(ROUTER_B, LB, 63, syn), 0, "r1", "lb1", "SYN, routed", (ttl,)),
            frame("B", 90, request(LB, SERVER, 62, syn), 0, "lb1", "web1", "SYN, new MAC */ only"),
            frame("D", 120, request(LB, SERVER, 62, syn), 0, "lb1", "web1", "SYN\nat the server"),
            frame("D", 150, reply(SERVER, ROUTER_C, 64), 1, "web1", "r1", "SYN-ACK, past the load balancer"),
            frame("C", 160, reply(SERVER, ROUTER_C, 64), 1, "web1", "r1"),
            frame("A", 210, reply(ROUTER_A, CLIENT, 63), 1, "r1", "client"),
            frame("B", 300, ask, 2, "r1", "", "who has the VIP?"),
            frame("A", 400, request(CLIENT, ROUTER_A, 64, data, get), 3, "client", "r1", "GET"),
        ),
    )


def tunnel() -> Scenario:
    """One SYN that a load balancer wraps in IPIP, with a tag, and a datagram whose port and address change."""
    inner = IP(src=CIP, dst=VIP, ttl=62, id=7) / TCP(sport=40000, dport=80, flags="S")
    before = Ether(src=ROUTER_B, dst=LB) / IP(src=CIP, dst=VIP, ttl=63, id=7) / inner.payload
    wrapped = Ether(src=LB, dst=ROUTER_B) / IP(src="10.0.0.2", dst="10.0.9.11", ttl=64, tos=0x1C, id=99) / inner
    asked = Ether(src=ROUTER_B, dst=LB) / IP(src=CIP, dst=VIP, ttl=63) / UDP(sport=40001, dport=53) / Raw(b"q")
    mapped = Ether(src=LB, dst=SERVER) / IP(src=CIP, dst="10.0.0.11", ttl=62) / UDP(sport=40001, dport=5353) / Raw(b"q")
    return Scenario(
        mode="l3dsr-tunnel",
        profile="ipvs",
        taps=TAPS,
        spec=spec(),
        kept=(
            frame("B", 0, before, 0, "r1", "lb1", "SYN"),
            frame("B", 40, wrapped, 0, "lb1", "r1", "SYN in IPIP"),
            frame("B", 80, asked, 1, "r1", "lb1", "query"),
            frame("D", 120, mapped, 1, "lb1", "web1", "query, port changed"),
        ),
    )


def volume(batches: int = 3, copies: int = 50) -> Scenario:
    """The same frames again and again, made batch by batch."""
    small = l2dsr()

    def source() -> Iterator[Batch]:
        for _ in range(batches):
            yield batch_of(small.kept * copies, TAPS)

    return Scenario(small.mode, small.profile, TAPS, small.spec, source=source)


def failing(error: BaseException, scenario: Scenario | None = None) -> Scenario:
    """A scenario that ends in an error after its first batch."""
    small = scenario or l2dsr()

    def source() -> Iterator[Batch]:
        yield batch_of(small.kept, TAPS)
        raise error

    return Scenario(small.mode, small.profile, TAPS, small.spec, source=source)
