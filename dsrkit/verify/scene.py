"""The scene: who is who in a capture set, from a spec, from inference, or from both."""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from dsrkit.classes import dataclass
from dsrkit.model.names import ModeFrom
from dsrkit.verify.frames import AddressBook


@dataclass(slots=True)
class Party:
    """A machine: its role, its addresses (numbers of the address book) and its MACs."""

    name: str
    role: str
    ips: set[int] = field(default_factory=set)
    macs: set[int] = field(default_factory=set)
    stated: bool = False  # named by a spec
    links: frozenset[str] = frozenset()  # that a spec says it is on; empty where it says nothing


@dataclass(slots=True)
class TapInfo:
    """One capture point: a file, or one interface of it."""

    name: str
    file: str
    interface: str | None = None
    node: str | None = None
    link: str | None = None
    packets: int = 0
    octets: int = 0
    offset_ns: int = 0
    stated_node: str | None = None  # what a spec says
    shift_ns: int = 0  # what brings its time stamps near to those of the others, so that batches line up


@dataclass(slots=True)
class Scene:
    """Everything the judge needs to know about the set-up.

    Addresses are numbers of the address book, MACs integers, `services` pairs of protocol number and the VIP's port.
    """

    book: AddressBook = field(default_factory=AddressBook)
    mode: str | None = None
    mode_from: ModeFrom = "undetermined"
    contradiction: str | None = None  # the mode that the packets show, where another one is stated
    profile: str = "any"
    vips: set[int] = field(default_factory=set)
    services: dict[tuple[int, int], set[int]] = field(default_factory=dict)  # (protocol, port) -> server ports
    odd_ports: set[tuple[int, int]] = field(default_factory=set)  # (protocol, server port) seen, others being stated
    parties: list[Party] = field(default_factory=list)
    tunnel: int = 0
    tunnel_ports: set[int] = field(default_factory=set)
    tags: dict[tuple[int, int], Counter[int]] = field(default_factory=dict)  # (VIP, RIP) -> DSCP seen or stated
    tag_of_vip: dict[int, int] = field(default_factory=dict)  # DSCP -> VIP, as stated by a spec
    claims: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)  # (address, MAC) -> how it was claimed
    answers_leave: set[tuple[int, int, int]] = field(default_factory=set)
    """(tap, MAC of a load balancer, next MAC) of frames that take replies in a VIP's name to clients."""
    frames_to: dict[tuple[int, int], Counter[int]] = field(default_factory=dict)
    """(tap, real server's address) -> the MACs that load balancers send requests for it to."""
    beside: set[tuple[int, int, int]] = field(default_factory=set)
    """(tap, real server's address, MAC) of replies that no router has passed on."""
    path_request: tuple[str, ...] = ()
    path_reply: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def address(self, number: int) -> str:
        """An address as text."""
        return self.book.text(number)

    def port_codes(self) -> list[int]:
        """Ports of the services on both sides of the load balancer, as ``protocol << 16 | port``."""
        both = {(proto, p) for (proto, vport), ports in self.services.items() for p in {vport, *ports}} | self.odd_ports
        return sorted(proto << 16 | port for proto, port in both)

    def role(self, role: str) -> list[Party]:
        return [p for p in self.parties if p.role == role]

    def ips(self, role: str) -> set[int]:
        return set().union(*(p.ips for p in self.role(role)))

    def macs(self, role: str) -> set[int]:
        return set().union(*(p.macs for p in self.role(role)))

    def party_of_mac(self, mac: int) -> Party | None:
        return next((p for p in self.parties if mac in p.macs), None) if mac else None

    def party_of_ip(self, ip: int) -> Party | None:
        return next((p for p in self.parties if ip in p.ips), None) if ip else None

    def party(self, name: str) -> Party | None:
        return next((p for p in self.parties if p.name == name), None)

    def free_name(self, stem: str, *, numbered: bool = False) -> str:
        """A name that no machine has: the stem, then with numbers from 2; from 1 if `numbered`."""
        name, count = f"{stem}1" if numbered else stem, 1
        while self.party(name) is not None:
            count += 1
            name = f"{stem}{count}"
        return name
