"""A ladder for the terminal, and in plain text for everywhere else: changed fields carry a colour or a star."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import zip_longest
from typing import Final

from rich.text import Text

from dsrkit.model.ladder import Ladder, LadderCell, LadderField, LadderRow
from dsrkit.report.console import console
from dsrkit.report.escape import escape

WIDTH: Final = 100
"""Where there is no terminal to fit."""
_NARROWEST: Final = 20  # cells of a column: an IPv4 address, a star and an arrow
_CHANGED: Final = "bold yellow"
_RUNG: Final = ("│ ", "dim")


def render(ladder: Ladder, *, color: bool = False, width: int | None = None) -> str:
    """The ladder as text, taps as columns; without `color`, changed fields are marked with a star.

    A width that is too small for the taps is exceeded, since a cell cut short would tell nothing.
    """
    page = _Page(len(ladder.taps), color, WIDTH if width is None else width)
    page.add(Text(escape(ladder.title), "bold"))
    page.add()
    page.columns([[Text(escape(tap.name), "bold")] for tap in ladder.taps])
    page.columns([[Text(escape(", ".join(tap.nodes)), "dim")] for tap in ladder.taps])
    for row in ladder.rows:
        page.add(Text("─" * page.width, "dim"))
        page.add(_heading(row))
        page.columns([page.stack(cells) for cells in row.cells], rungs=True)
    page.add(Text("─" * page.width, "dim"))
    for line in _legend(ladder, color):
        page.add(Text(line, "dim"))
    return page.text()


class _Page:
    """Lines for a number of equal columns, printed to memory without any markup."""

    def __init__(self, columns: int, color: bool, width: int) -> None:
        self.color = color
        self.column = max(width // max(columns, 1), _NARROWEST)
        self.width = max(width, self.column * columns)
        self._out = StringIO()
        self._console = console(self._out, color=color, width=self.width)

    @property
    def room(self) -> int:
        """What a cell's line may take: a rung before it, a gap behind."""
        return self.column - len(_RUNG[0]) - 1

    def add(self, line: Text | str = "") -> None:
        self._console.print(line, overflow="fold")

    def columns(self, columns: Sequence[Sequence[Text]], *, rungs: bool = False) -> None:
        """Stacks of lines side by side."""
        folded = [[part for line in lines for part in line.wrap(self._console, self.room)] for lines in columns]
        for parts in zip_longest(*folded):
            line = Text()
            for part in parts:
                cell = Text.assemble(_RUNG if rungs else "", part or "")
                cell.truncate(self.column, pad=True)
                line.append_text(cell)
            self._console.print(line, no_wrap=True, overflow="ignore", crop=False)

    def stack(self, cells: Sequence[LadderCell]) -> list[Text]:
        """The cells of one tap below each other."""
        lines: list[Text] = []
        for cell in cells:
            lines += [Text(), *self._lines(cell)] if lines else self._lines(cell)
        return lines

    def _lines(self, cell: LadderCell) -> Iterator[Text]:
        fields = {field.name: field for field in cell.fields}
        if cell.sender or cell.receiver:
            yield Text(escape(f"{cell.sender or '?'} > {cell.receiver or 'all'}"), "italic")
        yield from self._pair(fields, "eth")
        yield from self._named(fields, {"vlan.id": "vlan"})
        if (tunnel := fields.pop("tunnel.type", None)) is not None:
            yield self._value(tunnel)
            yield from self._header(fields, "outer")
            yield Text("inside", "dim")
        yield from self._header(fields, "ip")
        if (ports := [fields.pop(name, None) for name in ("l4.srcport", "l4.dstport")]) and all(ports):
            yield Text.assemble("port ", _joined([self._value(port) for port in ports if port], " > "))
        for field in fields.values():
            yield Text.assemble(escape(field.name), " ", self._value(field))

    def _header(self, fields: dict[str, LadderField], layer: str) -> Iterator[Text]:
        """An IP header: IPv6 has a hop limit where IPv4 has a TTL (RFC 8200 s3)."""
        source = fields.get(f"{layer}.src")
        hops = "hlim" if source is not None and ":" in source.text else "ttl"
        yield from self._pair(fields, layer)
        yield from self._named(fields, {f"{layer}.ttl": hops, f"{layer}.dsfield.dscp": "dscp"})

    def _pair(self, fields: dict[str, LadderField], layer: str) -> Iterator[Text]:
        """Source and destination, on one line where there is room for it."""
        ends = [fields.pop(f"{layer}.{name}", None) for name in ("src", "dst")]
        values = [self._value(end) for end in ends if end is not None]
        line = _joined(values, " > ")
        if len(values) == 2 and line.cell_len > self.room:
            yield Text.assemble(values[0], " >")
            yield values[1]
        elif values:
            yield line

    def _named(self, fields: dict[str, LadderField], labels: dict[str, str]) -> Iterator[Text]:
        """Small values after their labels, on one line where there is room for it."""
        parts = [
            Text.assemble(label, " ", self._value(field))
            for name, label in labels.items()
            if (field := fields.pop(name, None)) is not None
        ]
        line = _joined(parts, "  ")
        yield from [line] if parts and line.cell_len <= self.room else parts

    def _value(self, field: LadderField) -> Text:
        text = escape(field.text)
        if field.changed:
            return Text(text, _CHANGED) if self.color else Text(f"{text}*")
        return Text(text)

    def text(self) -> str:
        return "".join(line.rstrip(" ") + "\n" for line in self._out.getvalue().splitlines())


def _joined(parts: Sequence[Text], by: str) -> Text:
    return Text(by).join(parts)


def _heading(row: LadderRow) -> Text:
    seconds = f"{row.offset_ns // 10**9}.{row.offset_ns % 10**9 // 1000:06d}"
    return Text.assemble(
        (seconds, "dim"), f" {row.direction or ' '} ", (escape(row.summary), "bold"), f"  {escape(row.endpoints)}"
    )


def _legend(ladder: Ladder, color: bool) -> Iterator[str]:
    if ladder.left_out is None:
        yield "more packets follow"
    elif ladder.left_out:
        yield f"{ladder.left_out} more packets follow"
    mark = "Highlighted" if color else "*"
    *others, last = map(str, ladder.mac_octets)
    macs = f"; MACs: octets {', '.join(others)} and {last}" if len(others) < 5 else ""
    yield "→ ←: passes taps to the right, to the left; no arrow: one tap, or to a group"
    yield "rows are in order of first sightings: a later cell may be after the rows below"
    yield f"{mark}: changed since the packet was last seen{macs}"
