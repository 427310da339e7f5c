"""What a table is made of: cells, presence cells, the table of one node, the tables of one mode.

A field without a cell must come out as it went in. Ids are derived, never written down: ``l2dsr.lb.ip.ttl`` for the
field cell of a request, ``nat.lb.reply.ip.src`` for one of a reply, ``l2dsr.real-server.answered`` for a presence cell.
"""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.classes import dataclass
from dsrkit.tables.rules import Affine, Field, Rule, Union, union


@dataclass(frozen=True, slots=True)
class Cell:
    """One field's rule at one node, with where the fact comes from."""

    field: str
    rule: Rule
    source: str


@dataclass(frozen=True, slots=True)
class Presence:
    """A cell about packets being there at all, not about a field of them."""

    name: str
    promise: str
    source: str


@dataclass(frozen=True, slots=True)
class NodeTable:
    """What one kind of node does to the packets of one direction.

    `pushes` names the header that the node puts around a packet; a pushed header's cells speak of ``outer.*`` and
    ``tunnel.*`` in terms of the packet before. Nodes behind it act on the outermost header (see `lifted`).
    """

    node: str
    direction: str  # "request" or "reply"
    cells: tuple[Cell, ...] = ()
    presence: tuple[Presence, ...] = ()
    pushes: bool = False

    def rules(self) -> dict[str, Rule]:
        return {cell.field: cell.rule for cell in self.cells}


@dataclass(frozen=True, slots=True)
class ModeTables:
    """All node tables of one mode."""

    mode: str
    title: str
    nodes: tuple[NodeTable, ...]

    def table(self, node: str, direction: str) -> NodeTable:
        for table in self.nodes:
            if table.node == node and table.direction == direction:
                return table
        return NodeTable(node, direction)

    def cells(self) -> Iterator[tuple[str, NodeTable, Cell]]:
        """Every field cell with its id."""
        for table in self.nodes:
            for cell in table.cells:
                yield cell_id(self.mode, table.node, table.direction, cell.field), table, cell

    def presence(self) -> Iterator[tuple[str, NodeTable, Presence]]:
        """Every presence cell with its id."""
        for table in self.nodes:
            for cell in table.presence:
                yield cell_id(self.mode, table.node, table.direction, cell.name), table, cell


def cell_id(mode: str, node: str, direction: str, field: str) -> str:
    """``mode.node.field``, with ``reply`` in front of the field for the way back."""
    return ".".join([mode, node, *(["reply"] if direction == "reply" else []), field])


_NETWORK_TO_OUTER = {
    "ip.src": "outer.src",
    "ip.dst": "outer.dst",
    "ip.ttl": "outer.ttl",
    "ip.dsfield.dscp": "outer.dsfield.dscp",
    "ip.dsfield.ecn": "outer.dsfield.ecn",
    "ip.id": "outer.id",
    "ip.flags.df": "outer.flags.df",
    "ip.checksum": "outer.checksum",
}


def lifted(rules: dict[str, Rule]) -> dict[str, Rule]:
    """A plain node's rules for packets that travel inside a tunnel: they act on the outermost IP header instead."""

    def lift(rule: Rule) -> Rule:
        if isinstance(rule, Affine) and isinstance(rule.base, Field):
            return Affine(Field(_NETWORK_TO_OUTER.get(rule.base.name, rule.base.name)), rule.low, rule.high)
        if isinstance(rule, Union):
            return union(*(lift(r) for r in rule.rules))
        return rule

    return {_NETWORK_TO_OUTER.get(field, field): lift(rule) for field, rule in rules.items()}
