"""The real server: takes packets for the VIP out of whatever they came in, and answers from the VIP itself."""

from __future__ import annotations

from collections.abc import Callable

from dsrkit.craft.machines.host import UNREACHABLE_PORT, Host, Interface
from dsrkit.craft.machines.network import Label, Network
from dsrkit.craft.packets.octets import ETHERNET, GRE, IPIP, IPV6_IN_IP, TCP, UDP, Octets
from dsrkit.craft.profiles import Encapsulation
from dsrkit.craft.profiles.cilium import service_in, service_in_geneve
from dsrkit.errors import UsageError


class RealServer(Host):
    """A server with the VIP on its loopback, a decapsulating device or a DSCP rule, as its mode needs."""

    role = "real-server"

    def __init__(self, name: str, network: Network) -> None:
        super().__init__(name, network)
        self.tags: dict[int, bytes] = {}  # DSCP → the VIP that it stands for
        self.device_up = True
        self.learns_vip = False  # from the first packet of a connection, as Cilium tells it
        self.meant: Callable[[Octets], bytes | None] = self._vip_meant
        self._told: dict[tuple[int, bytes, int, int], bytes] = {}  # protocol, client, both ports → the VIP

    def own_vip(self, vip: bytes) -> None:
        """Hold a VIP as DSR wants it: accepted, and kept quiet about."""
        self.local.add(vip)
        self.silent.add(vip)

    def decapsulate(self, tunnel: Encapsulation) -> None:
        """Have the device for a tunnel."""
        if tunnel.type == "gue":
            self.udp_ports[tunnel.port] = self._from_gue
        elif tunnel.type == "geneve":
            self.udp_ports[tunnel.port] = self._from_geneve
            self.learns_vip = True
        elif tunnel.type == "gre":
            self.ip_protocols[GRE] = self._from_gre
        elif tunnel.type == "option":
            self.learns_vip = True
        else:
            self.ip_protocols[IPV6_IN_IP if tunnel.type.startswith("6in") else IPIP] = self._from_ip

    def intercept(self, interface: Interface, packet: Octets, label: Label) -> bool:
        """Destination back to the VIP before the stack looks: by the tag in DSCP mode, by the option of Cilium."""
        vip = self.meant(packet)
        if vip is None:
            return False
        restored = packet.copy()
        restored.set("ip.dst", vip)
        restored.mend("ip.checksum", packet)
        restored.mend("l4.checksum", packet)
        if vip in self.local:
            self.network.after(self.think(), lambda: self.deliver(restored, label))
        elif self.forwards:
            self.network.after(self.think(), lambda: self.forward(restored, label))
        return True

    def _vip_meant(self, packet: Octets) -> bytes | None:
        """The VIP that stands behind a packet for one of this machine's own addresses."""
        dscp, dst = packet.number("ip.dsfield.dscp"), packet.address("ip.dst")
        if dst not in self.local or dst in self.tags.values():
            return None
        if self.learns_vip and packet.ip.proto in (TCP, UDP):
            return self._remembered(packet, service_in(packet))
        return self.tags.get(dscp)

    def _remembered(self, packet: Octets, told: tuple[bytes, int] | None) -> bytes | None:
        """The VIP that the first packet of a connection told, or this one tells."""
        key = (packet.ip.proto, packet.address("ip.src"), *(packet.ports or (0, 0)))
        if told is not None:
            self._told[key] = told[0]
        return self._told.get(key)

    def _from_ip(self, packet: Octets, label: Label) -> None:
        inner = packet.ip
        self._inside(packet, inner.payload, label)

    def _from_gre(self, packet: Octets, label: Label) -> None:
        inner = packet.ip
        flags = packet.word(inner.payload)
        self._inside(packet, inner.payload + 4 + 4 * sum(bool(flags & b) for b in (0x8000, 0x2000, 0x1000)), label)

    def _from_gue(self, packet: Octets, label: Label) -> None:
        inner = packet.ip
        at = inner.payload + 8
        if at < inner.end and packet.data[at] >> 6 == 0:  # variant 0 has a header, variant 1 is the IP packet itself
            at += 4 + 4 * (packet.data[at] & 0x1F)
        self._inside(packet, at, label)

    def _from_geneve(self, packet: Octets, label: Label) -> None:
        inner = packet.ip
        at = inner.payload + 8
        if at + 8 > inner.end:
            return
        start = at + 8 + 4 * (packet.data[at] & 0x3F)
        frame = _whole(bytes(packet.data[start : inner.end]))
        if frame is None:
            return
        self._remembered(frame, service_in_geneve(bytes(packet.data[at + 8 : start])))
        self._inside(packet, start + ETHERNET, label)

    def _inside(self, packet: Octets, at: int, label: Label) -> None:
        """The packet inside a tunnel comes in once more, through the tunnel device."""
        if packet.address("ip.src") in self.local:
            return  # a packet that this machine should have sent itself (ip_route_input: martian source)
        inner = packet.ip
        if at >= inner.end:
            return
        if not self.device_up:
            quoted = bytearray(packet.ip_packet)
            if inner.proto == UDP:
                # net/ipv4/fou.c fou_recv_pull takes the UDP tunnel off the length, and leaves the header checksum
                length = slice(2, 4) if inner.version == 4 else slice(4, 6)
                left = int.from_bytes(quoted[length], "big") - (at - inner.payload)
                quoted[length] = left.to_bytes(2, "big")
            self.complain(UNREACHABLE_PORT, bytes(quoted), label)
            return
        kind = b"\x08\x00" if packet.data[at] >> 4 == 4 else b"\x86\xdd"
        unwrapped = _whole(bytes(packet.data[:12]) + kind + bytes(packet.data[at : inner.end]))
        if unwrapped is not None:
            self.ip_input(self.interfaces[0], unwrapped, label)


def _whole(frame: bytes) -> Octets | None:
    """What a tunnel carried, None for what `Host.receive` would drop as well."""
    try:
        packet = Octets(frame, depth=1)
    except UsageError:
        return None
    return packet if packet.networks and packet.transport_is_whole else None
