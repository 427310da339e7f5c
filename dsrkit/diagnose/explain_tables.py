"""Pages about modes, fields, cells and checks, from the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.diagnose.causes import causes_of
from dsrkit.diagnose.entry import AREAS, Entry
from dsrkit.diagnose.page import Page
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.names import DIRECT_RETURN, Mode, Severity
from dsrkit.tables import MODES
from dsrkit.tables.checks import CHECKS
from dsrkit.tables.checks.check import Check
from dsrkit.tables.fields import FIELDS, WIRESHARK
from dsrkit.tables.nodes import Cell, NodeTable, Presence
from dsrkit.tables.words import words

NODES: Final = {
    "router": "each router",
    "bridge": "each switch",
    "lb": "the load balancer",
    "real-server": "the real server",
    "server": "whoever answers",
    "owner": "the owner of an address",
}
PURPOSE: Final[dict[Mode, str]] = {
    "dns-rr": "The name service is the load balancer: it hands out the addresses of all servers in changing order,"
    " and each client connects to one of them. No packet of a connection is rewritten; what counts is whether answers"
    " rotate, whether clients follow them, and for how long.",
    "garp": "A VIP moves from one load balancer to another, and gratuitous ARP (IPv6: unsolicited neighbour"
    " advertisements) tells the neighbours. It happens on top of every mode; what counts is who claims the VIP, who"
    " is told, and to which MAC the next packets go.",
    "health": "The load balancer asks each real server whether it serves, and stops sending to those that do not."
    " What counts is whether a check takes the way that clients' packets take, and whether its result is acted upon.",
    "nat": "The load balancer replaces the VIP by a server's address, and puts it back into the replies, which"
    " therefore must come back through it. Servers see the client's address. Ports may be changed.",
    "fullnat": "The load balancer replaces both addresses: the server sees the load balancer as its client, and"
    " answers it wherever its gateway is. The client's address is lost unless something carries it.",
    "l2dsr": "The load balancer changes only MAC addresses: the server must be on its link and must own the VIP,"
    " quietly. Replies go straight to the client, from the VIP.",
    "l3dsr-tunnel": "The load balancer puts each request into an outer packet for a server, which unpacks it and"
    " finds the VIP inside. Servers may be behind routers. Replies go straight to the client, from the VIP.",
    "l3dsr-dscp": "The load balancer replaces the VIP by a server's address and marks the packet with a DSCP tag that"
    " stands for the VIP; the server puts the VIP back by the tag. Replies go straight to the client, from the VIP.",
    "l7": "A proxy: the client's connection ends at the load balancer, which has another one with a server. No packet"
    " of the one is a packet of the other; what counts is that requests, answers and endings correspond.",
}
_BREAK: Final[dict[Severity, str]] = {
    "error": "A break that does harm is an error.",
    "warning": "A break that does harm is a warning.",
    "info": "A break is reported for information, unless it does harm.",
}
_DIRECTIONS: Final = {"request": "on the way in", "reply": "on the way back"}


@dataclass(frozen=True, slots=True)
class CellName:
    """A cell id in its parts: ``l2dsr.router+lb.reply.ip.ttl``."""

    mode: str
    nodes: tuple[str, ...]
    direction: str
    field: str

    @property
    def rest(self) -> str:
        return f"reply.{self.field}" if self.direction == "reply" else self.field


def cell_names() -> list[str]:
    """Every id that a table holds."""
    return [cell for table in MODES.values() for held in (table.cells(), table.presence()) for cell, _, _ in held]


def parsed(word: str) -> CellName | None:
    """The cell that a word is the id of, a field that must come out unchanged included."""
    mode, _, rest = word.partition(".")
    nodes, _, field = rest.partition(".")
    direction, field = ("reply", field[6:]) if field.startswith("reply.") else ("request", field)
    name = CellName(mode, tuple(nodes.split("+")), direction, field)
    if mode not in MODES or not all(node in {t.node for t in MODES[mode].nodes} for node in name.nodes):
        return None
    return name if field in (*FIELDS, "mode") or any(_held(name)) else None


def _held(name: CellName) -> Iterator[tuple[NodeTable, Cell | Presence]]:
    """What the tables of its nodes say about a field or presence."""
    for node in name.nodes:
        table = MODES[name.mode].table(node, name.direction)
        yield from ((table, cell) for cell in table.cells if cell.field == name.field)
        yield from ((table, presence) for presence in table.presence if presence.name == name.field)


def field_named(word: str) -> str | None:
    """Our name of a field, for our own name or one of Wireshark's, with or without its layer's number."""
    plain = word.partition("#")[0]
    ours = {theirs: field for field, names in WIRESHARK.items() for theirs in names}
    if plain in FIELDS:
        return plain
    if plain in ours:
        return ours[plain]
    version_free = plain.replace("ipv6.", "ip.").replace("ip.hlim", "ip.ttl").replace("ip.tclass", "ip.dsfield")
    return version_free if version_free in FIELDS else None


def cell_page(name: CellName, page: Page) -> None:
    """What a cell promises, where that is known from, what it means when it fails, and why it may."""
    subject = " and ".join(NODES[node] for node in name.nodes)
    held = list(_held(name))
    page.line(f"{name.mode}.{'+'.join(name.nodes)}.{name.rest}")
    page.paragraph(f"A rule of mode {name.mode}, for {subject} {_DIRECTIONS[name.direction]}.", indent=False)
    if name.field == "mode":
        page.heading("The rule")
        page.paragraph(
            "What leaves the load balancer has the form of the mode that was stated, by a spec or an option."
        )
        page.heading("When it fails")
        page.paragraph("Packets show another mode. Leave out --mode to see which one dsrkit infers.")
        return
    page.heading("The rule")
    presences = [one for _, one in held if isinstance(one, Presence)]
    for presence in presences:
        page.paragraph(f"{_sentence(presence.promise)} (Source: {presence.source})")
    for table, one in held:
        if isinstance(one, Cell):
            page.paragraph(f"{_sentence(_said(table.node, one))} (Source: {one.source})")
    if not held:
        page.paragraph(
            f"No node on this stretch may change {name.field}: what a table does not name comes out as it went in."
        )
    page.heading("When it fails")
    if presences:
        page.paragraph(
            "A tap that would have shown it kept shows that it is not. Where no such tap is, verify says that the rule"
            " is not observable, which is no failure."
        )
    else:
        page.paragraph(
            f"For the same packet before and behind {subject}, {name.field} is not what the rule allows. The finding"
            " shows what was expected, what was there, and in which frames."
        )
    _causes(causes_of(name.mode, name.nodes, name.rest), page)


def check_page(check: str, what: Check, page: Page) -> None:
    """What a mechanism's check holds machines to, where that is known from, and what its failure may be."""
    page.line(check)
    page.paragraph(f"A rule of mode {check.partition('.')[0]}, checked over many packets.", indent=False)
    page.heading("The rule")
    page.paragraph(f"{_sentence(what.meaning)} (Source: {what.source})")
    page.heading("When it fails")
    page.paragraph(_BREAK[what.severity])
    if what.codes:
        _causes([ENTRIES[code] for code in what.codes], page)
    if what.alone:
        page.paragraph(f"No fault of the catalogue is named for it. {what.alone}")


def _said(node: str, cell: Cell) -> str:
    return f"at {NODES[node]}, {cell.field} must be: {words(cell.field, cell.rule)}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _causes(entries: list[Entry], page: Page) -> None:
    page.heading("What can be behind it")
    if entries:
        page.items((f"{entry.code} ({entry.name})", entry.summary) for entry in entries)
        page.paragraph("dsrkit explain CODE says how to tell one from the others, and how to mend it.")
    else:
        page.paragraph(
            "No fault of the catalogue shows in just this. Look for a device on the path that nobody has mentioned, or"
            " an implementation with other habits (--profile)."
        )


def field_page(field: str, page: Page) -> None:
    """What every mode does to a field, and the codes that look at it."""
    theirs = WIRESHARK.get(field, ())
    page.line(field)
    if theirs and theirs != (field,):
        page.paragraph(f"In Wireshark: {' or '.join(theirs)}.", indent=False)
    page.heading("What the modes do to it")
    page.paragraph("Where nothing is said, it must come out of every node as it went in.")
    page.items(
        (f"{_sentence(node)[:-1]} {way}", f"{rule} ({', '.join(modes)})")
        for (node, way, rule), modes in _done_to(field).items()
    )
    named = [entry for entry in ENTRIES.values() if any(_mentions(entry, one) for one in (field, *theirs))]
    if named:
        page.heading("Faults that show in it")
        page.items((f"{entry.code} ({entry.name})", entry.summary) for entry in named)


def _done_to(field: str) -> dict[tuple[str, str, str], list[str]]:
    """(node, directions, rule) -> the modes in which that is done to a field."""
    done: dict[tuple[str, str, str], list[str]] = {}
    for mode, table in MODES.items():
        said: dict[tuple[str, str], list[str]] = {}
        for _, node, cell in table.cells():
            if cell.field == field:
                said.setdefault((NODES[node.node], words(field, cell.rule)), []).append(_DIRECTIONS[node.direction])
        for (name, rule), ways in said.items():
            done.setdefault((name, _ways(ways), rule), []).append("unknown mode" if mode == "path" else mode)
    return done


def _ways(directions: list[str]) -> str:
    return "both ways" if len(directions) == len(_DIRECTIONS) else " and ".join(directions)


def _mentions(entry: Entry, field: str) -> bool:
    at = entry.signature.find(field)
    behind = entry.signature[at + len(field) : at + len(field) + 2]
    return at >= 0 and not (behind[:1].isalnum() or behind[:1] == "_" or (behind[:1] == "." and behind[1:].isalnum()))


def mode_page(mode: Mode, page: Page) -> None:
    """What a mode promises at each hop."""
    page.line(MODES[mode].title if mode in MODES else mode)
    page.paragraph(PURPOSE[mode], indent=False)
    if mode in MODES:
        page.heading("What it does, node by node")
        page.paragraph("What is not named comes out of a node as it went in.")
        for node in MODES[mode].nodes:
            _node(node, page)
    checked = [what for check, what in CHECKS.items() if check.partition(".")[0] == mode]
    if checked:
        page.heading("What is checked over many packets")
        page.items((what.meaning, "") for what in checked)
    page.heading("Faults of this mode")
    own = [entry for entry in ENTRIES.values() if mode in entry.modes and entry.area != "CAP"]
    faults = [entry for entry in own if mode == "garp" or "garp" not in entry.modes]
    page.paragraph("dsrkit verify finds out which it is; dsrkit explain CODE says how to make sure and how to mend it.")
    for area, title in AREAS.items():
        named = [entry for entry in faults if entry.area == area]
        if named:
            page.paragraph(_sentence(title).replace(".", ":"))
            page.items((f"{entry.code} {entry.name}", "") for entry in named)
    if len(faults) < len(own):
        page.paragraph("Besides those of a takeover, which can happen on top of it: dsrkit explain garp.")
    page.heading("More")
    replies = " Replies do not pass the load balancer." if mode in DIRECT_RETURN else ""
    held = "has the whole table with its sources" if mode in MODES else "says what is checked"
    page.paragraph(f"docs/modes/{mode}.md {held}.{replies}")
    page.commands(
        [
            f"dsrkit craft {mode}  # what its packets look like at each hop",
            f"dsrkit craft {mode} -w - | dsrkit verify -  # what verify says of them",
            f"dsrkit setup {mode} --for lb  # the commands that set it up",
        ]
    )


def _node(node: NodeTable, page: Page) -> None:
    if not node.cells and not node.presence:
        return
    page.heading(f"{_sentence(NODES[node.node])[:-1]}, {_DIRECTIONS[node.direction]}")
    if node.pushes:
        page.paragraph("Puts an outer header around the packet.")
    said: dict[str, list[str]] = {}
    for cell in node.cells:
        said.setdefault(words(cell.field, cell.rule), []).append(cell.field)
    free = said.pop("not checked", [])
    page.items((", ".join(fields), rule) for rule, fields in said.items())
    if free:
        page.items([(", ".join(free), "anything")])
    page.items((presence.promise, "") for presence in node.presence)
