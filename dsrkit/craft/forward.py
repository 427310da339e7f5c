"""What one node makes of a given frame, on the bench: the node is real, its neighbours are only known by address."""

from __future__ import annotations

from zlib import crc32

from dsrkit.craft.machines.balancer import Balancer, Key, Server
from dsrkit.craft.machines.host import Host, Interface
from dsrkit.craft.machines.network import Label, Network
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes import machines_of
from dsrkit.craft.options import DEFAULTS
from dsrkit.craft.packets.octets import address_text
from dsrkit.craft.preset import encapsulation_of
from dsrkit.craft.profiles import profile_of
from dsrkit.errors import SpecError, UsageError
from dsrkit.model.spec import Spec


class _Bench(Network):
    """A network without wires: what a machine sends lies on the bench, nobody else hears it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.sent: list[tuple[Host, bytes]] = []

    def transmit(self, sender: Interface, frame: bytes, label: Label) -> None:
        self.sent.append((sender.host, frame))


class Workbench:
    """The nodes of a spec, to be given one frame after the other; load balancers remember their connections.

    Raises: SpecError for a spec without a mode, or not complete enough to build.
    """

    def __init__(self, spec: Spec, *, profile: str = "ipvs") -> None:
        mode = spec.mode
        if mode is None:
            raise SpecError("the spec names no mode: say which one its [[service]] is")
        profile_of(profile)
        self.bench = _Bench()
        tunnel, outer = encapsulation_of(spec, profile)
        self.world = World(
            spec,
            self.bench,
            mode=machines_of(mode, DEFAULTS),
            profile=profile,
            encapsulation=tunnel,
            outer=outer,
            mtu=(spec.tunnel.mtu if spec.tunnel else None) or 1500,
            neighbours=True,
        )
        for host in self.world.hosts.values():
            if isinstance(host, Balancer):
                host.choose = lambda key, host=host: _by_hash(host, key)  # type: ignore[misc]
                host.stateless = True

    def forward(self, frame: bytes, node: str) -> list[bytes]:
        """The frames that a node sends because of one that it gets, in order.

        A bridge passes the frame on. A VLAN tag is taken for that of the link, and put on what goes back to it. A load
        balancer that has to pick among several servers does so by a hash of the connection.

        Raises: UsageError for a node that the spec does not have, or octets that are no frame; SpecError where the
        spec does not tell the MAC address of the next hop.
        """
        role = next((one.role for one in self.world.spec.nodes if one.name == node), None)
        if role is None:
            names = ", ".join(one.name for one in self.world.spec.nodes)
            raise UsageError(f"the spec has no node {node!r} (it has: {names})")
        frame = bytes(frame)  # a scapy packet will do
        if len(frame) < 14:
            raise UsageError(f"a frame of {len(frame)} octets is shorter than an Ethernet header")
        if role == "bridge":
            return [frame]
        host = self.world.hosts[node]
        self.bench.sent.clear()
        arrives = _arrives_at(host, frame)
        arrives.vlan = _tag(frame)  # a spec does not know of tags: a link has the one that its frames have
        host.receive(arrives, frame, self.bench.label())
        self.bench.run()
        waiting = [hop for hop in host.waiting if hop not in host.neighbours]
        if waiting:
            hop = address_text(waiting[0])
            raise SpecError(f"{node}: the spec does not tell the MAC address of its next hop {hop}")
        return [sent for sender, sent in self.bench.sent if sender is host]


def forward(frame: bytes, node: str, spec: Spec, *, profile: str = "ipvs") -> list[bytes]:
    """What a node makes of a given frame: the frames that it sends because of it, in order.

    Nothing is remembered between two calls, so that a reply through full NAT, whose client only the load balancer's
    own table knows, gives nothing; `Workbench` remembers.

    Raises: UsageError for a node that the spec does not have, or octets that are no frame; SpecError for a spec that is
    not complete enough.
    """
    return Workbench(spec, profile=profile).forward(frame, node)


def _arrives_at(host: Host, frame: bytes) -> Interface:
    """The interface a frame must have come in by: whose MAC it names, else one where its sender is at home."""
    target, source = bytes(frame[:6]), bytes(frame[6:12])
    for interface in host.interfaces:
        if target in interface.macs:
            return interface
    for interface in host.interfaces:
        if any(source in other.macs for other in interface.segment.interfaces.values()):
            return interface
    return host.interfaces[0]


def _tag(frame: bytes) -> int | None:
    return int.from_bytes(frame[14:16], "big") & 0xFFF if frame[12:14] in (b"\x81\x00", b"\x88\xa8") else None


def _by_hash(host: Balancer, key: Key) -> Server | None:
    alive = [server for server in host.servers if server.alive]
    return alive[crc32(repr(key).encode()) % len(alive)] if alive else None
