"""What a capture shows of each TCP session, read with dpkt: who sends what to whom, and with which TTL.

The same picture can be taken of a recording and of crafted frames, whatever addresses they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dpkt
from scenarios import Scenario as Recorded

from dsrkit.craft.scenario import Scenario

FLAGS = ((dpkt.tcp.TH_SYN, "S"), (dpkt.tcp.TH_FIN, "F"), (dpkt.tcp.TH_RST, "R"), (dpkt.tcp.TH_ACK, "A"))


@dataclass(frozen=True)
class Seen:
    """One segment as people tell them apart; the option kinds and `ident` (0 or not) are the sender's habits."""

    sender: str
    receiver: str
    link: tuple[str, str]  # whose MACs
    flags: str
    ttl: int
    octets: int
    options: tuple[int, ...] = field(compare=False, default=())
    habits: tuple[int, ...] = field(compare=False, default=())  # TOS, DF, id is 0, window of a SYN
    payload: bytes = field(compare=False, default=b"", repr=False)
    seq: int = field(compare=False, default=0)

    @property
    def bare(self) -> tuple[str, str, str, int]:
        """Who, to whom, which flags and TTL."""
        return self.sender, self.receiver, self.flags, self.ttl

    @property
    def acknowledges_only(self) -> bool:
        return self.flags == "A" and not self.octets


Sessions = dict[frozenset[tuple[str, int]], list[Seen]]


def sessions(frames: Iterable[bytes], roles: Mapping[str, str], macs: Mapping[str, str]) -> Sessions:
    """The TCP segments of each pair of ends, in the order of the capture."""
    found: Sessions = {}
    for frame in frames:
        ether = dpkt.ethernet.Ethernet(frame)
        packet = ether.data
        if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(packet.data, dpkt.tcp.TCP):
            continue
        tcp = packet.data
        four = isinstance(packet, dpkt.ip.IP)
        source, target = (dpkt.utils.inet_to_str(one) for one in (packet.src, packet.dst))
        opening = bool(tcp.flags & dpkt.tcp.TH_SYN)
        seen = Seen(
            roles.get(source, "client"),
            roles.get(target, "client"),
            (macs[_mac(ether.src)], macs[_mac(ether.dst)]),
            "".join(letter for bit, letter in FLAGS if tcp.flags & bit),
            packet.ttl if four else packet.hlim,
            len(tcp.data),
            tuple(kind for kind, _ in dpkt.tcp.parse_opts(tcp.opts)),
            (packet.tos, packet.df, packet.id == 0, tcp.win if opening else 0) if four else (),
            bytes(tcp.data),
            tcp.seq,
        )
        found.setdefault(frozenset({(source, tcp.sport), (target, tcp.dport)}), []).append(seen)
    return found


def _mac(octets: bytes) -> str:
    return ":".join(f"{octet:02x}" for octet in octets)


def frames_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            yield data


def recorded(scenario: Recorded, file: str) -> Sessions:
    """The sessions in one file of a recording; its addresses are known from truth.json."""
    roles, macs = {}, {}
    for node in scenario.truth["nodes"]:
        roles |= dict.fromkeys(scenario.addresses(node), scenario.role(node))
        macs |= dict.fromkeys(scenario.macs(node), scenario.role(node))
    return sessions(frames_of(scenario.folder / file), roles | dict.fromkeys(scenario.vips, "vip"), macs)


def crafted(scenario: Scenario, tap: str) -> Sessions:
    """The sessions that one tap of a crafted scenario saw."""
    nodes = scenario.spec.nodes
    roles = {ip: node.role for node in nodes for ip in node.ips} | dict.fromkeys(scenario.spec.vips, "vip")
    macs = {mac: node.role for node in nodes for mac in node.macs}
    return sessions((frame.data for frame in scenario.kept if frame.tap == tap), roles, macs)
