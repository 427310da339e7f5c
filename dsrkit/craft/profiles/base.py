"""What a profile is made of: tunnels, the habits that the tables leave open, values derived from a flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from dsrkit.craft.packets.headers import udp_checksum
from dsrkit.craft.packets.octets import Octets, Value
from dsrkit.craft.rewrite import Bindings, Habit
from dsrkit.errors import UsageError

Addresses: TypeAlias = npt.NDArray[np.uint8]
Ports: TypeAlias = npt.NDArray[np.uint16]

Pair: TypeAlias = tuple[int, int]
"""IP versions: of the client's packet, of the header around it."""

IPIP_PAIRS: Final[Mapping[str, Pair]] = {"ipip": (4, 4), "6in6": (6, 6), "4in6": (4, 6), "6in4": (6, 4)}
ALL_PAIRS: Final = frozenset(IPIP_PAIRS.values())


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """What goes around a packet: a spec's tunnel with nothing left open.

    `type` is ``ipip``, ``6in6``, ``4in6``, ``6in4``, ``gre``, ``gue``, ``geneve`` or ``option``.
    """

    type: str
    variant: int = 0
    port: int = 6080
    checksum: bool = False


@dataclass(frozen=True, slots=True)
class Flows:
    """Connections as columns, as their clients see them, to derive header values of all of them at once.

    `outer` is the IP version of the header around the packets, `backend_port` where the real servers listen.

    Shape: client (n, 4 or 16), client_port (n,).
    """

    client: Addresses
    client_port: Ports
    service: bytes
    service_port: int
    proto: int = 6
    outer: int = 4
    backend_port: int = 0

    @classmethod
    def one(cls, before: Octets, bindings: Bindings) -> Flows:
        """The flow of the bindings; that of the packet where the bindings name no client."""
        client, port = bindings.client, bindings.client_port
        if not client:
            source, ports = before.get("ip.src"), before.ports
            client, port = source if isinstance(source, bytes) else b"", ports[0] if ports else 0
        backend = bindings.roles.get(("backend", "port"), bindings.service_port)
        return cls(
            np.frombuffer(client, np.uint8)[None],
            np.array([port], np.uint16),
            bindings.service,
            bindings.service_port,
            bindings.proto,
            outer_version(bindings),
            backend if isinstance(backend, int) else bindings.service_port,
        )


def outer_version(bindings: Bindings) -> int:
    """The IP version between the load balancer and the bound real server."""
    server = bindings.roles.get(("real-server", "ip"))
    return 6 if isinstance(server, bytes) and len(server) == 16 else 4


Derived: TypeAlias = Callable[[Flows], npt.NDArray[np.uint8] | npt.NDArray[np.uint16]]
"""A header value made from each flow: addresses (n, 4 or 16) or ports (n,)."""


def _single(derive: Derived) -> Habit:
    def habit(before: Octets, bindings: Bindings) -> Value:
        values = derive(Flows.one(before, bindings))
        return values[0].tobytes() if values.ndim == 2 else int(values[0])

    return habit


def always(content: Value) -> Habit:
    """The habit of a fixed value."""
    return lambda before, bindings: content


def same(name: str) -> Habit:
    """The habit of copying a field of the packet; 0 where it has no such field."""

    def habit(before: Octets, bindings: Bindings) -> Value:
        content = before.get(name)
        return 0 if content is None else content

    return habit


def node_address(before: Octets, bindings: Bindings) -> Value:
    """The habit of the load balancer's own address.

    Raises: UsageError where the bindings do not hold it.
    """
    address = bindings.roles.get(("lb", "ip"))
    if address is None:
        raise UsageError("the load balancer needs an address of its own, as the source of the outer header")
    return address


def no_private_data(bindings: Bindings) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How an implementation does one kind of tunnel.

    `habits` and `derived` decide by table field what the tables leave open. `checksum` makes the sum of a UDP tunnel
    from pseudo header and datagram, `private` the data behind the GUE header.
    """

    default: Encapsulation
    pairs: frozenset[Pair] = ALL_PAIRS
    variants: frozenset[int] = frozenset({0})
    habits: Mapping[str, Habit] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    checksum: Callable[[bytes, bytes], int] = udp_checksum
    private: Callable[[Bindings], bytes] = no_private_data

    def all_habits(self) -> dict[str, Habit]:
        """The habits with the derived values among them, for one packet at a time."""
        return {**self.habits, **{name: _single(derive) for name, derive in self.derived.items()}}


@dataclass(frozen=True, slots=True)
class Profile:
    """The habits of one implementation; `tunnels` stand in the order in which it prefers them.

    `modes` are the rewriting modes that it can do, `habits` what it writes in any of them where the tables leave a
    choice.

    `stack`: it works inside an IP stack, which counts outer IPv4 identifications, puts fragments together and cuts what
    became too long. The others work frame by frame: the identification follows the habit for ``outer.id``, or is 0,
    fragments and packets with IP options are none of theirs, and `too_big` makes the frame that answers a packet which
    does not fit (None: there is no answer) from that packet as a frame and the MTU that is left.

    `echo` makes the frame that answers a ping to the VIP from that ping (None: an IP stack answers).

    `check` wraps a health check, given as an IP packet with the addresses of the load balancer and the server, where
    that is not done as for the packets of clients.
    """

    name: str
    title: str
    modes: frozenset[str]
    tunnels: Mapping[str, Tunnel]
    habits: Mapping[str, Habit] = field(default_factory=dict)
    stack: bool = False
    too_big: Callable[[Octets, int], bytes] | None = None
    echo: Callable[[Octets], bytes] | None = None
    check: Callable[[bytes, bytes, bytes, Encapsulation], bytes] | None = None

    def tunnel(self, encapsulation: Encapsulation, pair: Pair) -> Tunnel:
        """How it does a tunnel.

        Raises: UsageError for a tunnel, a GUE variant or IP versions that this implementation does not do.
        """
        found = self.tunnels.get(encapsulation.type)
        if found is None:
            known = ", ".join(self.tunnels)
            raise UsageError(f"profile {self.name} has no tunnel of type {encapsulation.type} (it does: {known})")
        if pair not in found.pairs:
            raise UsageError(
                f"profile {self.name} does not put an IPv{pair[0]} packet into an IPv{pair[1]} tunnel of type"
                f" {encapsulation.type}"
            )
        if encapsulation.type == "gue" and encapsulation.variant not in found.variants:
            known = " and ".join(map(str, sorted(found.variants)))
            raise UsageError(f"profile {self.name} does GUE variant {known} only, not {encapsulation.variant}")
        return found

    def default(self, pair: Pair) -> Encapsulation:
        """The tunnel that it uses when nothing is asked for.

        Raises: UsageError where it has none for these IP versions.
        """
        for tunnel in self.tunnels.values():
            if pair in tunnel.pairs:
                return tunnel.default
        raise UsageError(f"profile {self.name} has no tunnel for IPv{pair[0]} packets over IPv{pair[1]}")

    def habits_in(self, type: str) -> dict[str, Habit]:
        """The habits that belong to a tunnel type, besides those that it always has."""
        tunnel = self.tunnels.get(type)
        return {**self.habits, **(tunnel.all_habits() if tunnel else {})}
