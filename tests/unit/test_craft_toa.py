"""The TOA option: octets as dpvs writes them, where there is room, on the packets that carry it."""

from __future__ import annotations

import dpkt
import pytest
from pictures import crafted
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from dsrkit.craft.api import craft
from dsrkit.craft.packets import toa
from dsrkit.craft.packets.octets import Octets, packed
from dsrkit.errors import UsageError

PORT = 40000
# struct tcpopt_addr of dpvs: opcode 254, opsize, port, address
OPTION = {"4": bytes.fromhex("fe08 9c40 c633640a"), "6": bytes.fromhex("fe14 9c40 20010db8000a0000000000000000000a")}
CLIENT = {"4": "198.51.100.10", "6": "2001:db8:a::a"}
USUAL = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]


def frame(ip: str, tcp: TCP, load: bytes = b"") -> Octets:
    network: Packet = IP(src="10.0.0.1", dst="10.0.0.11") if ip == "4" else IPv6(src="fd00::1", dst="fd00::b")
    ends = Ether(src="02:1b:00:00:00:0c", dst="02:55:00:00:00:01")
    return Octets(bytes(ends / network / tcp / Raw(load)))


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("load", [b"", b"odd"])
def test_the_option_stands_before_the_others_and_the_sums_are_right(ip: str, load: bytes) -> None:
    before = frame(ip, TCP(sport=PORT, dport=80, flags="S", options=USUAL), load)
    after = bytes(toa.added(before, packed(CLIENT[ip]), PORT, mtu=1500).data)
    again = Ether(after)
    tcp = again[TCP]
    assert bytes(tcp)[20 : 20 + len(OPTION[ip])] == OPTION[ip]
    assert tcp.dataofs * 4 == 40 + len(OPTION[ip])
    assert bytes(tcp.payload) == load
    for layer in (again[IP], tcp) if ip == "4" else (tcp,):
        del layer.chksum
    if ip == "4":
        del again[IP].len
    else:
        del again[IPv6].plen
    assert bytes(Ether(bytes(again))) == after


def test_a_full_header_goes_out_as_it_is() -> None:
    packet = frame("4", TCP(sport=PORT, flags="S", options=[*USUAL, (34, bytes(14))]))
    assert toa.added(packet, packed(CLIENT["4"]), PORT, mtu=1500) is packet


def test_a_packet_that_fills_the_link_goes_out_as_it_is() -> None:
    packet = frame("4", TCP(sport=PORT, flags="A"), bytes(1456))
    assert toa.added(packet, packed(CLIENT["4"]), PORT, mtu=1500) is packet
    assert toa.added(packet, packed(CLIENT["4"]), PORT, mtu=1504) is not packet


@pytest.mark.parametrize("ip", ["4", "6"])
def test_packets_before_the_servers_data_carry_it(ip: str) -> None:
    (seen,) = crafted(craft("fullnat", ip=ip, toa=True), "C").values()
    carriers = [(one.flags, one.octets > 0) for one in seen if 254 in one.options]
    assert carriers == [("S", False), ("A", False), ("A", True)]
    assert all(one.sender == "lb" for one in seen if 254 in one.options)


def test_each_client_is_told_apart_behind_one_address() -> None:
    scenario = craft("fullnat", toa=True, clients=4, real_servers=1, flows=4)
    told, own = set(), set()
    for packet in scenario.kept:
        if packet.tap == "C" and ": SYN " in packet.comment:
            tcp = dpkt.ethernet.Ethernet(packet.data).data.data
            own.add(tcp.sport)
            told |= {data for kind, data in dpkt.tcp.parse_opts(tcp.opts) if kind == toa.KIND}
    assert len(told) == 4
    assert len(own) == 4  # the port of all four clients is 40000: three of them had to get another
    assert 40000 in own
    assert all(data[:2] == PORT.to_bytes(2, "big") for data in told)


def test_ipvs_has_no_such_option() -> None:
    assert craft("fullnat", toa=True).profile == "generic"
    with pytest.raises(UsageError, match="profile ipvs adds no TCP option"):
        craft("fullnat", toa=True, profile="ipvs")
