"""What a LAN shows of a VIP's ownership, as steps with roles instead of addresses; decoded with dpkt, not by dsrkit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import dpkt
from scenarios import Scenario

from dsrkit.craft.scenario import Scenario as Crafted

BROADCAST = b"\xff" * 6
VRRP = 112


class Step(NamedTuple):
    """One frame: its time in seconds, what it is, who sends it to whom, and what it says."""

    time: float
    kind: str
    sender: str
    receiver: str
    says: tuple[object, ...]

    @property
    def bare(self) -> tuple[object, ...]:
        return self[1:]


@dataclass(frozen=True)
class Names:
    """Names of MAC and IP addresses; numbered names keep machines of one role apart."""

    macs: dict[bytes, str]
    ips: dict[bytes, str]

    def mac(self, mac: bytes) -> str:
        if mac == BROADCAST:
            return "all"
        return "nobody" if mac == bytes(6) else self.macs.get(mac, "group" if mac[0] & 1 else "stranger")

    def ip(self, ip: bytes) -> str:
        return self.ips.get(ip, "other")


def _packed(address: str) -> bytes:
    return ip_address(address).packed


def names_recorded(scenario: Scenario) -> Names:
    """From truth.json."""
    macs, ips = {}, {}
    for node in scenario.truth["nodes"]:
        role = scenario.role(node)
        name = node if role == "lb" else role
        macs.update({bytes.fromhex(mac.replace(":", "")): name for mac in scenario.macs(node)})
        ips.update({_packed(ip): name for ip in scenario.addresses(node)})
    ips.update({_packed(vip): "vip" for vip in scenario.vips})
    return Names(macs, ips)


def names_crafted(scenario: Crafted) -> Names:
    """From the spec."""
    macs, ips = {}, {}
    for node in scenario.spec.nodes:
        name = node.name if node.role == "lb" else node.role
        macs.update({bytes.fromhex(mac.replace(":", "")): name for mac in node.macs})
        ips.update({_packed(ip): name for ip in node.ips})
    ips.update({_packed(vip): "vip" for vip in scenario.spec.vips})
    return Names(macs, ips)


def steps_recorded(scenario: Scenario, file: str) -> list[Step]:
    names = names_recorded(scenario)
    with Path(scenario.folder / file).open("rb") as stream:
        return list(_steps(list(dpkt.pcap.Reader(stream)), names))


def steps_crafted(scenario: Crafted, tap: str) -> list[Step]:
    frames = [(frame.ts_ns / 1e9, frame.data) for frame in scenario.frames(tap)]
    return list(_steps(frames, names_crafted(scenario)))


def _steps(frames: list[tuple[float, bytes]], names: Names) -> Iterator[Step]:
    """Everything about who owns what; of IP traffic only what goes to the VIP."""
    for time, data in frames:
        ethernet: Any = dpkt.ethernet.Ethernet(data)
        sender, receiver = names.mac(ethernet.src), names.mac(ethernet.dst)
        packet = ethernet.data
        if isinstance(packet, dpkt.arp.ARP):
            says = (packet.op, names.mac(packet.sha), names.ip(packet.spa), names.mac(packet.tha), names.ip(packet.tpa))
            yield Step(time, "arp", sender, receiver, says)
        elif isinstance(packet, dpkt.ip.IP) and packet.p == VRRP:
            body = bytes(packet.data)
            known = (packet.ttl, packet.tos, packet.id, body[0], body[1], body[2], names.ip(body[8:12]))
            yield Step(time, "vrrp", sender, ethernet.dst.hex(":"), known)
        elif isinstance(packet, dpkt.ip.IP) and names.ip(packet.dst) == "vip":
            flags = packet.data.flags if isinstance(packet.data, dpkt.tcp.TCP) else None
            yield Step(time, "to-vip", sender, receiver, (flags, packet.ttl))
