"""What a table says, done to a packet: the interpreter of `dsrkit.tables` for writing.

A cell that leaves something open (a free field, an interval, a union) is decided by the profile's habits; everything
else follows from the table alone. A field without a cell is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from dsrkit.craft.frame import Change
from dsrkit.craft.packets.octets import Octets, Value, address_text, mac_text
from dsrkit.model.dscp import dscp_text
from dsrkit.tables.fields import LINK
from dsrkit.tables.nodes import Cell, NodeTable
from dsrkit.tables.rules import Affine, Const, Field, Recomputed, Role, Rule, narrow
from dsrkit.tables.rules import Union as AnyOf


@dataclass(frozen=True)
class Bindings:
    """What the roles of a table stand for, for one packet: ``("real-server", "ip")`` → its address.

    `flow` identifies the connection as the client sees it, for habits that derive a value from it.
    """

    roles: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    client: bytes = b""
    client_port: int = 0
    service: bytes = b""
    service_port: int = 0
    proto: int = 6
    next_id: Callable[[], int] = lambda: 0  # the node's counter of IPv4 identifications

    def bound(self, **roles: Value) -> Bindings:
        """With more roles, written ``real_server_ip=...``."""
        more = {
            (name.rpartition("_")[0].replace("_", "-"), name.rpartition("_")[2]): value for name, value in roles.items()
        }
        return replace(self, roles={**self.roles, **more})


Habit: TypeAlias = Callable[[Octets, Bindings], Value]
"""How an implementation chooses a value that the table leaves open."""


def value(
    rule: Rule, name: str, before: Octets, bindings: Bindings, profile: str, habits: Mapping[str, Habit]
) -> Value | None:
    """The value a rule gives a field, in terms of the packet before the node; None: the field stays as it is.

    A habit goes first where the rule leaves a choice. Without one, a union takes its first member that can be had, an
    interval its lower end: what Linux does.
    """
    rule = narrow(rule, profile)
    habit = habits.get(name)
    match rule:
        case Affine(base, low, high):
            if low != high and habit is not None:
                return habit(before, bindings)
            start = _base(base, before, bindings)
            if isinstance(start, int):
                return start + low
            return start
        case AnyOf(rules):
            if habit is not None:
                return habit(before, bindings)
            for one in rules:
                found = value(one, name, before, bindings, profile, habits)
                if found is not None:
                    return found
            return None
        case Recomputed():
            return None
        case _:
            return habit(before, bindings) if habit is not None else None


def _base(base: Field | Const | Role, before: Octets, bindings: Bindings) -> Value | None:
    match base:
        case Field(name):
            return before.get(name)
        case Const(number):
            return number
        case Role(role, what):
            return bindings.roles.get((role, what))


def rewritten(
    packet: Octets,
    table: NodeTable,
    bindings: Bindings,
    *,
    profile: str,
    habits: Mapping[str, Habit] | None = None,
) -> Octets:
    """The packet after the network and transport cells of a table; the link layer is written where the frame leaves.

    Outer cells act on the outermost header only where there is one already (a router on a tunnel's path); pushing a
    header is `encapsulate`'s.
    """
    after = packet.copy()
    sums = []
    for cell in table.cells:
        if cell.field in LINK or cell.field.startswith(("outer.", "tunnel.")):
            continue
        if isinstance(narrow(cell.rule, profile), Recomputed):
            sums.append(cell.field)
            continue
        new = value(cell.rule, cell.field, packet, bindings, profile, habits or {})
        if new is not None and after.get(cell.field) not in (None, new):
            after.set(cell.field, new)
    for checksum in sums:
        after.mend(checksum, packet)
    return after


def without(table: NodeTable, *fields: str) -> NodeTable:
    """The table of a node that forgets some of its rewrites."""
    return replace(table, cells=tuple(cell for cell in table.cells if cell.field not in fields))


def with_rule(table: NodeTable, name: str, rule: Rule, source: str = "a fault made on purpose") -> NodeTable:
    """The table of a node that does something else to one field."""
    return replace(table, cells=(*(cell for cell in table.cells if cell.field != name), Cell(name, rule, source)))


_SHOWN = (
    "eth.src",
    "eth.dst",
    "vlan.id",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.dsfield.dscp",
    "ip.dsfield.ecn",
    "ip.id",
    "ip.flags.df",
    "l4.srcport",
    "l4.dstport",
    "outer.src",
    "outer.dst",
    "outer.ttl",
    "outer.dsfield.dscp",
    "outer.flags.df",
)


def changes(before: Octets, after: Octets, fields: Iterable[str] = _SHOWN) -> tuple[Change, ...]:
    """The fields that differ, in words; a router's work on a tunnel shows at the outer header, where it happened."""
    found = []
    for name in fields:
        old, new = before.get(name), after.get(name)
        if old != new and new is not None:
            found.append(Change(name, None if old is None else text(name, old), text(name, new)))
    return tuple(found)


def text(name: str, content: Value) -> str:
    """A field's value as Wireshark would print it."""
    if isinstance(content, bytes):
        return mac_text(content) if len(content) == 6 else address_text(content)
    if name.endswith("dscp"):
        return dscp_text(content)
    return f"0x{content:04x}" if name.endswith((".id", "checksum")) and name != "vlan.id" else str(content)
