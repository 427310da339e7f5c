"""The real server: takes packets for the VIP out of whatever they came in, and answers from the VIP itself."""

from __future__ import annotations

from dsrkit.craft.host import UNREACHABLE_PORT, Host, Interface
from dsrkit.craft.network import Label, Network
from dsrkit.craft.octets import ETHERNET, GRE, IPIP, IPV6_IN_IP, Octets
from dsrkit.craft.profiles import Encapsulation


class RealServer(Host):
    """A server with the VIP on its loopback, a decapsulating device or a DSCP rule, as its mode needs."""

    role = "real-server"

    def __init__(self, name: str, network: Network) -> None:
        super().__init__(name, network)
        self.tags: dict[int, bytes] = {}  # DSCP → the VIP that it stands for
        self.device_up = True
        self.reads_option = False

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
        elif tunnel.type == "gre":
            self.ip_protocols[GRE] = self._from_gre
        elif tunnel.type == "option":
            self.reads_option = True
        else:
            self.ip_protocols[IPV6_IN_IP if tunnel.type.startswith("6in") else IPIP] = self._from_ip

    def intercept(self, interface: Interface, packet: Octets, label: Label) -> bool:
        """The stateless rule of DSCP mode: destination back to the VIP before the stack looks (raw prerouting)."""
        dscp, dst = packet.number("ip.dsfield.dscp"), packet.address("ip.dst")
        if not isinstance(dscp, int) or dscp not in self.tags or dst not in self.local or dst in self.tags.values():
            return False
        restored = packet.copy()
        restored.set("ip.dst", self.tags[dscp])
        restored.mend("ip.checksum", packet)
        restored.mend("l4.checksum", packet)
        if self.tags[dscp] in self.local:
            self.network.after(self.think(), lambda: self.deliver(restored, label))
        elif self.forwards:
            self.network.after(self.think(), lambda: self.forward(restored, label))
        return True

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
        if packet.data[at] >> 6 == 0:  # variant 0 has a header, variant 1 is the IP packet itself
            at += 4 + 4 * (packet.data[at] & 0x1F)
        self._inside(packet, at, label)

    def _from_geneve(self, packet: Octets, label: Label) -> None:
        inner = packet.ip
        at = inner.payload + 8
        self._inside(packet, at + 8 + 4 * (packet.data[at] & 0x3F) + ETHERNET, label)

    def _inside(self, packet: Octets, at: int, label: Label) -> None:
        """The packet inside a tunnel comes in once more, through the tunnel device."""
        if not self.device_up:
            self.complain(UNREACHABLE_PORT, packet.ip_packet, label)
            return
        inner = packet.ip
        kind = b"\x08\x00" if packet.data[at] >> 4 == 4 else b"\x86\xdd"
        # a packet that this machine should have sent itself is martian (ip_route_input: own source address)
        unwrapped = Octets(bytes(packet.data[:12]) + kind + bytes(packet.data[at : inner.end]), depth=1)
        if packet.address("ip.src") in self.local:
            return
        self.ip_input(self.interfaces[0], unwrapped, label)
