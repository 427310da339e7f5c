"""Artefacts of captures: nothing is wrong with the service, and what the file shows is not what was on the wire.

Left out, since every healthy capture shows them: CAP903, the request twice on link B, is the picture of direct server
return; CAP912, the server's own rewrite in DSCP mode, is never on a wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from dsrkit.craft.faults.base import Fault, unchanged
from dsrkit.craft.frame import Frame
from dsrkit.craft.machines.balancer import Balancer
from dsrkit.craft.machines.network import MICROSECOND
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.packets.cooked import cooked, kind_of
from dsrkit.craft.packets.headers import pseudo_header
from dsrkit.craft.packets.octets import GRE, IPIP, IPV6_IN_IP, PORTS_AT, VLAN_TYPES, Octets, sum16
from dsrkit.craft.packets.supersegment import follows, joined
from dsrkit.craft.scenario import LINKTYPE_LINUX_SLL2
from dsrkit.errors import UsageError
from dsrkit.model.names import REWRITES

_RST: Final = 0x04
MIRROR_DELAY: Final = 2 * MICROSECOND


def _fresh(frames: list[Frame], world: World) -> Iterator[tuple[Frame, bool]]:
    """Frames, and whether each is one that a client or server sends, seen at its first tap."""
    ends = {host.name for host in world.hosts.values() if host.role in ("client", "real-server")}
    seen: set[int] = set()
    for frame in frames:
        yield frame, frame.sender in ends and frame.packet not in seen
        seen.add(frame.packet)


def _packet(frame: Frame, depth: int = 3) -> Octets:
    """The headers of a frame, which a snaplen may have cut."""
    return Octets(frame.data.ljust(frame.wire_octets, b"\0"), depth=depth)


# --- offloads -----------------------------------------------------------------------------------------------------


def _partial_checksums(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """What the NIC still has to finish: include/net/ip.h, CHECKSUM_PARTIAL. RSTs are made with a whole sum."""
    return [_unfinished(frame) if fresh else frame for frame, fresh in _fresh(frames, world)]


def _unfinished(frame: Frame) -> Frame:
    """The frame with the bare sum of the pseudo header where the transport checksum belongs."""
    packet = _packet(frame, 1)
    if not packet.networks or packet.ports is None:
        return frame
    flags = packet.get("tcp.flags")
    ip = packet.ip
    if (
        (isinstance(flags, int) and flags & _RST)
        or ip.fragment
        or (ip.version == 4 and packet.word(ip.at + 6) & 0x3FFF)
    ):
        return frame
    start, width = (ip.at + 12, 4) if ip.version == 4 else (ip.at + 8, 16)
    src, dst = (bytes(packet.data[at : at + width]) for at in (start, start + width))
    packet.put(ip.payload + PORTS_AT[ip.proto], sum16(pseudo_header(src, dst, ip.end - ip.payload, ip.proto)))
    return replace(frame, data=bytes(packet)[: len(frame.data)])


def _super_packets(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """Segments that a host leaves to its NIC to cut are still one at the host's tap, with an unfinished checksum."""
    out: list[Frame] = []
    open_at: dict[tuple[str, str], tuple[int, list[Frame]]] = {}  # tap and sender → place of the first, and the parts
    for frame, fresh in _fresh(frames, world):
        where = frame.tap, frame.sender
        place, parts = open_at.get(where, (0, []))
        if len(frame.data) < frame.wire_octets:
            raise UsageError("CAP902 joins whole segments: leave out --snaplen")
        if fresh and parts and follows(parts[-1].data, frame.data) and _fits(parts, frame):
            parts.append(frame)
            whole = joined([part.data for part in parts])
            out[place] = _unfinished(replace(out[place], data=whole, wire_octets=len(whole)))
            continue
        if fresh:
            open_at[where] = len(out), [frame]
        out.append(_unfinished(frame) if fresh else frame)
    return out


def _fits(parts: list[Frame], frame: Frame) -> bool:
    return sum(len(part.data) for part in (*parts, frame)) <= 0xFFFF and frame.ts_ns - parts[0].ts_ns < MICROSECOND


# --- what is missing ----------------------------------------------------------------------------------------------


def _is_encapsulated(frame: Frame) -> bool:
    packet = _packet(frame)
    if not packet.networks:
        return False
    outer = packet.networks[0]
    return len(packet.networks) > 1 or outer.proto in (IPIP, IPV6_IN_IP, GRE)


def _encapsulated_filtered(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """tcpdump 'tcp port 80' matches no outer header."""
    return [frame for frame in frames if not _is_encapsulated(frame)]


def _hidden_by_xdp(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """What XDP takes from the driver and gives back to it never reaches the stack, where tcpdump listens."""
    lbs = {host.name for host in world.of(Balancer)}
    service = {port for _, port in world.balancer.services}

    def taken(frame: Frame) -> bool:
        packet = _packet(frame)
        ports = packet.ports if packet.networks else None
        return bool(lbs & {frame.sender, frame.receiver}) and ports is not None and ports[1] in service

    return [frame for frame in frames if not taken(frame)]


def _without_replies(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """Every tap heard one direction only: the other fibre, or the other member of a link aggregate."""
    clients = {own for interface in world.client.interfaces for own, _ in interface.addresses}

    def reply(frame: Frame) -> bool:
        packet = _packet(frame, 1)
        return frame.flow >= 0 and bool(packet.networks) and packet.get("ip.dst") in clients

    return [frame for frame in frames if not reply(frame)]


def _tags_stripped(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """The mirror port of the load balancer's link takes the tags off."""
    taps = {frame.tap for frame in frames if "lb" in _roles(frame, world) and _is_tagged(frame)}
    first = min(taps, default="")
    return [
        replace(frame, data=frame.data[:12] + frame.data[16:], wire_octets=frame.wire_octets - 4)
        if frame.tap == first and _is_tagged(frame)
        else frame
        for frame in frames
    ]


def _roles(frame: Frame, world: World) -> set[str]:
    return {world.hosts[name].role for name in (frame.sender, frame.receiver) if name in world.hosts}


def _is_tagged(frame: Frame) -> bool:
    return int.from_bytes(frame.data[12:14], "big") in VLAN_TYPES


def _cooked(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """tcpdump -i any on the machine whose link a tap is on: the client, the load balancer, else the first server."""
    owners = {tap: _owner(tap, frames, world) for tap in dict.fromkeys(frame.tap for frame in frames)}
    out = []
    for frame in frames:
        bare = frame.data[:12] + frame.data[16:] if _is_tagged(frame) else frame.data
        data = cooked(bare, kind_of(bare, sent=frame.sender == owners[frame.tap]))
        out.append(replace(frame, data=data, wire_octets=frame.wire_octets + len(data) - len(frame.data)))
    return out


def _owner(tap: str, frames: list[Frame], world: World) -> str:
    order = ("client", "lb", "real-server", "router")
    names = dict.fromkeys(
        name for frame in frames if frame.tap == tap for name in (frame.sender, frame.receiver) if name in world.hosts
    )
    return min(names, key=lambda name: order.index(world.hosts[name].role) if world.hosts[name].role in order else 9)


# --- what is too much ---------------------------------------------------------------------------------------------


def _mirrored_twice(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """The load balancer's link is mirrored at both of its ends."""
    taps = {frame.tap for frame in frames if "lb" in _roles(frame, world)}
    again = [replace(frame, ts_ns=frame.ts_ns + MIRROR_DELAY) for frame in frames if frame.tap in taps]
    return sorted([*frames, *again], key=lambda frame: frame.ts_ns)


FAULTS: Final = (
    Fault(
        "CAP901",
        "checksums-left-to-the-nic",
        REWRITES,
        "clients and servers send TCP and UDP with a checksum that is the pseudo header's alone, at their own taps",
        capture=_partial_checksums,
    ),
    Fault(
        "CAP902",
        "segments-joined-by-offload",
        REWRITES,
        "frames far above the MTU at the taps of the machines that send them, single segments behind",
        options={"request": 20000, "reply": 20000},
        capture=_super_packets,
        flows=2,
    ),
    Fault(
        "CAP904",
        "filter-misses-outer-headers",
        ("l3dsr-tunnel",),
        "requests come in at the load balancer and replies go back, and nothing encapsulated is in the files",
        capture=_encapsulated_filtered,
    ),
    Fault(
        "CAP905",
        "vlan-tag-stripped-by-mirror",
        REWRITES,
        "tagged frames everywhere but at the load balancer's tap",
        options={"vlan": 100},
        capture=_tags_stripped,
    ),
    Fault(
        "CAP906",
        "packets-hidden-by-xdp",
        ("l3dsr-tunnel",),
        "the load balancer's tap shows ARP and none of the connections, which work",
        capture=_hidden_by_xdp,
        profile="katran",
    ),
    Fault(
        "CAP907",
        "cooked-without-destination-mac",
        REWRITES,
        "the files are Linux cooked captures (-i any): no frame has a destination MAC address",
        capture=_cooked,
        link_type=LINKTYPE_LINUX_SLL2,
    ),
    Fault(
        "CAP908",
        "cut-by-snaplen",
        REWRITES,
        "96 octets of each frame, so that most payloads and their checksums cannot be judged",
        unchanged,
        {"snaplen": 96},
        alone=True,
    ),
    Fault(
        "CAP909",
        "mirrored-twice",
        REWRITES,
        "every frame of the load balancer's link twice, with the same MAC addresses and TTL, microseconds apart",
        capture=_mirrored_twice,
    ),
    Fault(
        "CAP910",
        "clocks-apart",
        REWRITES,
        "taps whose clocks differ by up to 40 ms: replies before their requests",
        unchanged,
        {"skew": "40ms"},
        alone=True,
    ),
    Fault(
        "CAP911",
        "replies-not-captured",
        REWRITES,
        "requests at every tap and no reply to a client at any, although connections go on",
        capture=_without_replies,
    ),
)
