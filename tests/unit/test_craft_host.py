"""Two machines on a cable: what their IP stacks say, read by scapy."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from dsrkit.craft.machines.conversations import ask, ping, serve_udp
from dsrkit.craft.machines.host import UNREACHABLE_PORT, Host, Interface
from dsrkit.craft.machines.name_server import send_udp
from dsrkit.craft.machines.network import Label, Lan, Network, Tap, Wire
from dsrkit.craft.machines.tcp import TcpStack
from dsrkit.craft.packets.octets import packed

OWN, PEER = "192.0.2.1", "192.0.2.2"
OWN6, PEER6 = "2001:db8::1", "2001:db8::2"


def pair() -> tuple[Network, Host, Host]:
    """Two hosts that know each other's MACs, with a tap between them."""
    network = Network([Tap("A")])
    segment = Lan("lan", [Wire("lan", "own", "peer")])
    hosts = []
    for number, name in ((1, "own"), (2, "peer")):
        host = Host(name, network)
        addresses = [bytes([192, 0, 2, number]), bytes.fromhex(f"20010db8{number:024x}")]
        interface = Interface(
            host, "lan", bytes([2, 0, 0, 0, 0, number]), [(addresses[0], 24), (addresses[1], 64)], segment, name
        )
        segment.interfaces[name] = interface
        host.interfaces.append(interface)
        host.local.update(addresses)
        hosts.append(host)
    for host, other in (hosts, hosts[::-1]):
        host.neighbours.update((address, other.interfaces[0].mac) for address, _ in other.interfaces[0].addresses)
    return network, hosts[0], hosts[1]


def said(network: Network) -> list[Packet]:
    network.run()
    return [Ether(frame.data).payload for frame in network.frames]


V4 = IP(src=PEER, dst=OWN, options=[IPOption_NOP()] * 4)
V6 = IPv6(src=PEER6, dst=OWN6)


@pytest.mark.parametrize(
    ("about", "count"),
    [
        (IP(src=PEER, dst=OWN) / UDP(), 1),
        (IP(src=PEER, dst=OWN, flags="MF") / UDP() / Raw(bytes(8)), 1),
        (IP(src=PEER, dst=OWN, frag=1, proto=17) / Raw(bytes(8)), 0),
        (V4 / ICMP(type=8), 1),
        (V4 / ICMP(type=13), 1),
        (V4 / ICMP(type=3), 0),
        (V4 / ICMP(type=5), 0),
        (V6 / UDP(), 1),
        (V6 / ICMPv6EchoRequest(), 1),
        (V6 / ICMPv6DestUnreach(), 0),
        (V6 / ICMPv6TimeExceeded(), 0),
    ],
)
def test_no_errors_about_errors_and_later_fragments(about: Packet, count: int) -> None:
    network, own, _ = pair()
    own.complain(UNREACHABLE_PORT, bytes(about), Label())
    errors = said(network)
    assert [(error.src, error.dst) for error in errors] == [(about.dst, about.src)] * count


def test_a_reset_of_its_own_accord_is_an_ordinary_segment() -> None:
    network, own, peer = pair()
    stacks = TcpStack(own), TcpStack(peer)
    stacks[1].listen(80, lambda connection: None)
    connection = stacks[0].connect((packed(OWN), 40000), (packed(PEER), 80))
    connection.on_open = lambda one: one.abort()
    connection.open()
    acknowledged, reset = said(network)[2:]
    assert (acknowledged[TCP].flags, reset[TCP].flags) == ("A", "RA")
    assert reset[TCP].window == acknowledged[TCP].window > 0
    assert reset[TCP].options == acknowledged[TCP].options
    assert reset.id == acknowledged.id + 1


def test_a_reset_of_what_is_unknown_has_nothing_to_say() -> None:
    network, own, peer = pair()
    TcpStack(peer)
    TcpStack(own).connect((packed(OWN), 40000), (packed(PEER), 80)).open()
    reset = said(network)[1]
    assert (reset[TCP].flags, reset[TCP].window, reset[TCP].options, reset.id) == ("RA", 0, [], 0)


def test_identifications_count_per_peer() -> None:
    network, own, peer = pair()
    serve_udp(peer, 9, 10)
    for number in range(3):
        ask(own, (packed(OWN), 40000 + number), (packed(PEER), 9), b"x", flow=number, tos=0)
        network.run()
        ping(own, packed(OWN), packed(PEER), 1, number, flow=number)
        send_udp(own, packed(OWN), (53, 40000), packed(PEER), b"x", number, "")
    packets = said(network)
    answers = [packet.id for packet in packets if packet.src == PEER]
    others = [packet.id for packet in packets if packet.src == OWN and (UDP not in packet or packet[UDP].dport != 9)]
    for mine, count in ((answers, 9), (others, 6)):  # with the errors about port 40000, which nobody listens to
        assert sorted(mine) == list(range(min(mine), min(mine) + count))


def test_what_happens_later_gets_the_arguments_of_its_own_turn() -> None:
    network, happened = Network(), list[int]()
    for number in range(3):
        network.after(3 - number, happened.append, number)
    network.run()
    assert happened == [2, 1, 0]
