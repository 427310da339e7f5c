"""Cables and taps of a set-up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.lab.job import Cable, End, Tap
from dsrkit.setup.site import Site, slug

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
LISTENERS: Final = ("lb", "real-server", "client", "resolver", "router", "bridge")
"""Which end of a cable is tapped: the machine whose view says most."""
LOCAL: Final = tuple(f"{first:02x}" for first in range(2, 256, 4))
"""First octets of locally administered addresses. Source: IEEE 802 s8.4.4"""


def machines(site: Site) -> tuple[str, ...]:
    """The names of the machines, which become names of namespaces.

    Raises: UsageError for one that cannot.
    """
    names = tuple(node.name for node in site.spec.nodes)
    for name in names:
        if NAME.fullmatch(name) is None or name.startswith("hub-"):
            raise UsageError(f"node {name!r}: a lab needs names of letters, digits, '.', '_' and '-'")
    return names


def cables(site: Site) -> tuple[Cable, ...]:
    """Every cable of the spec, with the MAC addresses that the spec says, and others where it says none."""
    return tuple(
        Cable(wire.link, _end(site, wire.near), _end(site, wire.far) if wire.far else None)
        for wire in site.network.wires()
    )


def taps(site: Site) -> tuple[Tap, ...]:
    """One tap per cable, in the order of the links."""
    return tuple(_named(sorted(_listeners(site), key=lambda found: found[0])))


def _listeners(site: Site) -> Iterator[tuple[str, End]]:
    for cable in cables(site):
        ends = [cable.near] + ([cable.far] if cable.far is not None else [])
        yield cable.link, min(ends, key=lambda end: LISTENERS.index(_role(site, end.node)))


def _named(found: list[tuple[str, End]]) -> Iterator[Tap]:
    names = [f"{link}_{slug(end.node)}" for link, end in found]
    for name, (link, end) in zip(names, found, strict=True):
        unique = name if names.count(name) == 1 else f"{name}_{slug(end.port)}"
        yield Tap(f"{unique}.pcap", end.node, end.port, link)


def _role(site: Site, name: str) -> str:
    return next(node.role for node in site.spec.nodes if node.name == name)


def _end(site: Site, end: tuple[str, str]) -> End:
    name, port = end
    interfaces = site.network.interfaces(name)
    number, interface = next((number, one) for number, one in enumerate(interfaces) if port in one.ports)
    if interface.mac is not None or _role(site, name) == "bridge":
        return End(name, port, interface.mac)
    return End(name, port, _unstated(site, [node.name for node in site.spec.nodes].index(name), number))


def _unstated(site: Site, node: int, interface: int) -> str:
    """A locally administered address that the spec gives to nobody, the same in every lab."""
    stated = {mac for one in site.spec.nodes for mac in one.macs}
    tail = ":".join(f"{octet:02x}" for number in (node, interface) for octet in number.to_bytes(2, "big"))
    return next(mac for first in LOCAL if (mac := f"{first}:1a:{tail}") not in stated)
