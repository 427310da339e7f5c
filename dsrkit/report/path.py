"""The path as text: the nodes in a row, and the taps on the edges where they see the packets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from dsrkit.model.report import Report, Tap
from dsrkit.report.blocks import Text
from dsrkit.report.escape import escape
from dsrkit.report.page import Page, grid


def show_path(page: Page, report: Report) -> None:
    """The nodes of both directions in a row each, taps between them."""
    rows = [(word, row) for word, row in (("request", report.path.request), ("reply", report.path.reply)) if row]
    if not rows:
        return
    page.heading("Path")
    ways = grid(gap=2)
    for direction, row in rows:
        labels = _edge_labels(report, direction, row)
        line = Text()
        for index, name in enumerate(row):
            line.append(escape(name), "bold")
            if index < len(labels):
                label = ",".join(escape(tap) for tap in labels[index])
                line.append(f" ─{label}→ " if label else " → ", "cyan" if label else "")
        ways.add_row(Text(direction), line)
    page.add(ways, indent=2)


def _edge_labels(report: Report, direction: str, row: Sequence[str]) -> list[list[str]]:
    """The taps of each edge of a path: points in the order of the journeys, each at its node's next free edge.

    A tap whose link has taps at both ends of one edge is at that one. Absent: a tap inside the path that no journey of
    this direction meets is left out, since its side is unknown.
    """
    labels: list[list[str]] = [[] for _ in range(max(0, len(row) - 1))]
    taps = {tap.name: tap for tap in report.taps}
    roles = {node.name: node.role for node in report.nodes}
    links = _edge_links(report, roles, row)
    last, last_link = 0, None
    points = _points(report, direction)
    met = {name for point in points for name in (point, point.removesuffix(".in"), point.removesuffix(".out"))}
    ends = {
        end: [tap.name for tap in report.taps if tap.node == end and tap.name not in met] for end in (row[0], row[-1])
    }
    for point in (*ends[row[0]], *points, *ends[row[-1]]):
        base, dot, side = point.rpartition(".")
        name, side = (base, side) if dot and base in taps and side in ("in", "out") else (point, "")
        tap = taps.get(name)
        if tap is None or tap.node is None:
            continue
        at = [i for i, node in enumerate(row) if _stands_at(tap, node, roles)]
        edges = sorted(
            {i - 1 for i in at if side != "out" and i > 0} | {i for i in at if side != "in" and i < len(labels)}
        )
        own = [edge for edge in edges if tap.link in links[edge]]
        if len(own) == 1:
            if name not in labels[own[0]]:
                labels[own[0]].append(name)
            continue
        other_link = last_link is not None and tap.link is not None and tap.link != last_link
        free = [edge for edge in own or edges if edge >= last and (own or tap.link is None or not links[edge])]
        # Another link is another edge, unless the path leaves out what lies between the two.
        free = [edge for edge in free if edge > last and other_link] or free
        if free:
            if name not in labels[free[0]]:
                labels[free[0]].append(name)
            last, last_link = free[0], tap.link
    if report.mode == "l7":
        _behind_proxy(labels, taps, roles, row)
    for edge, names in enumerate(labels):  # the sender's end of a link is first
        names.sort(
            key=lambda name: _stands_at(taps[name], row[edge + 1], roles) - _stands_at(taps[name], row[edge], roles)
        )
    return labels


def _behind_proxy(
    labels: list[list[str]], taps: Mapping[str, Tap], roles: Mapping[str, str], row: Sequence[str]
) -> None:
    """Taps of a proxy's one side that no packet of theirs was seen beside: the other side's are of another link."""
    for tap in taps.values():
        at = [i for i, node in enumerate(row) if 0 < i < len(labels) and _stands_at(tap, node, roles)]
        if tap.link is None or len(at) != 1 or any(tap.name in names for names in labels):
            continue
        free = [edge for edge in (at[0] - 1, at[0]) if not labels[edge]]
        beside = [name for edge in (at[0] - 1, at[0]) for name in labels[edge]]
        if len(free) == 1 and all(taps[name].link != tap.link for name in beside):
            labels[free[0]].append(tap.name)


def _edge_links(report: Report, roles: Mapping[str, str], row: Sequence[str]) -> list[set[str]]:
    """The links that have taps at both ends of an edge."""
    touched = [
        {tap.link for tap in report.taps if tap.link is not None and _stands_at(tap, node, roles)} for node in row
    ]
    return [one & other for one, other in pairwise(touched)]


def _stands_at(tap: Tap, node: str, roles: Mapping[str, str]) -> bool:
    """Whether a tap is at a node of a path, which may be named by its role."""
    return tap.node is not None and node in (tap.node, roles.get(tap.node))


def _points(report: Report, direction: str) -> list[str]:
    """The observation points of a direction, each after those that a packet meets before it."""
    journeys = [journey for journey in report.journeys if journey.direction == direction]
    before: dict[str, set[str]] = {}
    for journey in journeys:
        before.setdefault(journey.source, set())
        before.setdefault(journey.target, set()).add(journey.source)
    order: list[str] = []
    while before:
        ready = [point for point, earlier in before.items() if earlier <= set(order)] or list(before)[:1]
        for point in ready:
            del before[point]
            order.append(point)
    return order
