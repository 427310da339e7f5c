"""A machine's part in a virtual router: who owns the VIP, adverts, and what is announced when the owner changes.

Only what a LAN sees: the states BACKUP and MASTER, their two timers, and a machine that stops.

Source: RFC 3768 s6; RFC 5798 s6; keepalived vrrp.c; recorded garp-keepalived-crash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dsrkit.craft.machines.balancer import Balancer
from dsrkit.craft.machines.host import Host, Interface
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Label
from dsrkit.craft.packets import nd, vrrp
from dsrkit.craft.packets.arp import announcements
from dsrkit.craft.packets.octets import Octets, address_text, mac_octets, mac_text, packed, version_of

PROTOCOL: Final = 112
INTERVAL: Final = SECOND
AFTER_ADVERT: Final = 15 * MILLISECOND
"""keepalived sets the addresses between its first advert and the first announcement."""

Announcement = Callable[[str, str], Sequence[tuple[int, bytes]]]
"""From VIP and MAC to frames, each with its delay in nanoseconds."""


def keepalived(vip: str, mac: str) -> Sequence[tuple[int, bytes]]:
    """What keepalived sends: five at once and five after 5 s."""
    return announcements("keepalived", vip, mac)


def nothing(vip: str, mac: str) -> Sequence[tuple[int, bytes]]:
    """A takeover that is told to nobody."""
    return ()


@dataclass(eq=False)
class VirtualRouter:
    """A virtual router on one machine: `addresses` belong to it while it is master.

    `announce` makes the frames that tell the neighbours of a new master; `leave` is what befalls a master that is to
    stop. With `virtual_mac` the addresses live on that MAC, otherwise on the interface's own.
    """

    host: Host
    vrid: int
    priority: int
    addresses: tuple[bytes, ...]
    version: int = 2
    virtual_mac: bytes | None = None
    announce: Announcement = keepalived
    speaks: bool = True  # adverts leave this machine on this link
    until_ns: int = 60 * SECOND  # adverts end with the capture
    leaves_ns: int = 0  # when `leave` is due
    master: bool = False
    _timer: int = 0
    _ident: int = 0

    def __post_init__(self) -> None:
        self.leave: Callable[[], None] = self.crash
        self.host.virtual_router = self
        self.host.local.add(packed(vrrp.GROUPS[self.family][0]))
        self.host.ip_protocols[PROTOCOL] = self._hear
        self.let_go()

    # --- identity -------------------------------------------------------------------------------------------------

    @property
    def family(self) -> int:
        return version_of(self.addresses[0])

    @property
    def interface(self) -> Interface:
        """The port whose subnet the addresses are in."""
        return next(i for i in self.host.interfaces if i.holds(self.addresses[0]))

    @property
    def mac(self) -> bytes:
        """The MAC that the addresses live on."""
        return self.virtual_mac or self.interface.mac

    @property
    def source(self) -> bytes:
        """The address that adverts come from; of IPv6 the link-local one (RFC 5798 s5.1.2.1)."""
        own = self.interface.source(self.family) if self.family == 4 else None
        return own or packed(nd.link_local(mac_text(self.interface.mac)))

    @property
    def skew_ns(self) -> int:
        """Source: RFC 5798 s6.1; version 2 counts in seconds, which is the same here."""
        return (256 - self.priority) * INTERVAL // 256

    # --- states ---------------------------------------------------------------------------------------------------

    def start(self, *, master: bool) -> None:
        """Join as the master that has been one for long, or as its backup."""
        if master:
            self.hold()
            self._advertise()
        else:
            self._wait(3 * INTERVAL + self.skew_ns)

    def crash(self) -> None:
        """The machine stops in the middle of everything, its link stays up."""
        self.host.up = False

    def resign(self) -> None:
        """Stop in good order: one advert with priority 0, and the addresses are gone (RFC 5798 s6.4.3)."""
        self._send(vrrp.RELEASE)
        self.let_go()

    def take_over(self) -> None:
        """Become master: advert, addresses, announcements."""
        if not self.host.up or self.host.network.now >= self.until_ns:
            return
        self.hold()
        self._advertise()
        self.tell(AFTER_ADVERT)

    def tell(self, delay_ns: int = 0) -> None:
        """Announce every address to the neighbours, for as long as this machine is master."""
        for address in self.addresses:
            for after, frame in self.announce(address_text(address), mac_text(self.mac)):
                self.host.network.after(delay_ns + after, self._announce, frame)

    def _announce(self, frame: bytes) -> None:
        if self.master:
            self.host.send_frame(self.interface, frame, self.host.network.label())

    def hold(self) -> None:
        """Own the addresses, without a word to anybody."""
        self.master = True
        self.host.local.update(self.addresses)
        if isinstance(self.host, Balancer):
            self.host.vips = list(self.addresses)
        if self.virtual_mac is not None:
            self.interface.macs.append(self.virtual_mac)
            self.host.virtual_macs.update(dict.fromkeys(self.addresses, self.virtual_mac))

    def let_go(self) -> None:
        """Own the addresses no more, without a word to anybody."""
        self._timer += 1
        self.master = False
        self.host.local.difference_update(self.addresses)
        if isinstance(self.host, Balancer):
            self.host.vips = []
        if self.virtual_mac is not None and self.virtual_mac in self.interface.macs:
            self.interface.macs.remove(self.virtual_mac)

    # --- adverts --------------------------------------------------------------------------------------------------

    def _advertise(self) -> None:
        if self.host.network.now >= self.until_ns:
            return
        self._send(self.priority)
        self._timer += 1
        mine = self._timer
        self.host.network.after(INTERVAL, lambda: self._advertise() if mine == self._timer else None)

    def _wait(self, delay_ns: int) -> None:
        """As backup: become master unless an advert comes first."""
        self._timer += 1
        mine = self._timer
        self.host.network.after(delay_ns, lambda: self.take_over() if mine == self._timer else None)

    def _send(self, priority: int) -> None:
        self._ident += 1
        if not self.speaks:
            return
        frame = vrrp.advertisement(
            self.vrid,
            priority,
            [address_text(address) for address in self.addresses],
            address_text(self.source),
            version=self.version,
            src_mac=mac_text(self.mac),
            ident=self._ident & 0xFFFF,
        )
        self.host.send_frame(self.interface, frame, self.host.network.label())

    def _hear(self, packet: Octets, label: Label) -> None:
        """Another machine's advert."""
        inner = packet.ip
        at = inner.payload
        vrid, priority, count = packet.data[at + 1 : at + 4]
        width = 4 if self.family == 4 else 16
        told = {bytes(packet.data[at + 8 + i * width : at + 8 + (i + 1) * width]) for i in range(count)}
        if vrid != self.vrid or told != set(self.addresses):
            return  # keepalived drops an advert about other addresses
        if not self.master:
            if priority == vrrp.RELEASE:
                self._wait(self.skew_ns)
            elif priority >= self.priority:
                self._wait(3 * INTERVAL + self.skew_ns)
        elif priority > self.priority:
            self.let_go()
            self._wait(3 * INTERVAL + self.skew_ns)
        else:
            self._advertise()  # keepalived forces an election at once


def virtual_mac(vrid: int, family: int) -> bytes:
    """The MAC of a virtual router. Source: RFC 5798 s7.3."""
    return mac_octets(vrrp.virtual_mac(vrid, family))
