"""Reports of parts of one capture set (rotated files, hosts, slices of time) as one report.

Counts add up, first examples stay, machines are known by their addresses. What the parts say differently where only one
of them can be right is the caller's mistake; what one part alone cannot tell is noted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations
from typing import Any, Final, TypeVar

from dsrkit.errors import UsageError
from dsrkit.model.names import MODE_FROM, REWRITES, ROLES
from dsrkit.model.report import (
    LEADING,
    MAX_EXAMPLES,
    MOST_CLIENTS,
    SEVERITY_RANK,
    THRESHOLD,
    CellVerdict,
    Finding,
    Journey,
    Node,
    Path,
    Report,
    Service,
    Tap,
    out_of_the_way,
)
from dsrkit.model.same_machines import names_of_second, renamed
from dsrkit.model.sections import SECTIONS

PART: Final = " (as one part of the captures shows it)"
"""Behind the message of a merged finding, whose numbers are those of one part; its `count` is that of all."""

_VERDICT_RANK: Final[dict[str, int]] = {"not_observable": 0, "pass": 1, "fail": 2}
_OVERLAYS: Final = ("garp", "health")
"""Modes of a part that shows no data path; another part may."""
_MODE_UNTOLD: Final = "the packets of this part alone do not tell the mode"
_UNCHECKED: Final = "nothing could be checked in this part alone"
_COUNTED: Final = re.compile(r" \((\d+) packets?\)$")

T = TypeVar("T")


def merged(first: Report, *others: Report) -> Report:
    """All of them, from left to right.

    Raises: UsageError where they contradict each other.
    """
    for one, other in combinations((first, *others), 2):
        _same_service(one, other)
    for other in others:
        first = _two(first, other)
    return first


def _two(first: Report, second: Report) -> Report:
    mode = _mode(first.mode, second.mode)
    first, second = _without_refuted(first, second), _without_refuted(second, first)
    second = renamed(second, names_of_second(first.nodes, second.nodes))
    nodes = _grouped(first.nodes + second.nodes, lambda n: n.name, _node)
    said = [note for one, other in ((first, second), (second, first)) for note in _untold(one, other)]
    return Report(
        mode=mode,
        mode_from=min(first.mode_from, second.mode_from, key=MODE_FROM.index),
        profile=_profile(first.profile, second.profile),
        mechanisms=_union(first.mechanisms, second.mechanisms),
        service=_service(first.service, second.service),
        nodes=tuple(sorted(nodes, key=lambda n: ROLES.index(n.role))),
        path=_path(first.path, second.path, nodes),
        taps=_grouped(first.taps + second.taps, lambda t: (t.name, t.file, t.interface), _tap),
        journeys=_grouped(
            first.journeys + second.journeys, lambda j: (j.source, j.target, j.direction, j.protocol), _journey
        ),
        findings=_grouped(first.findings + second.findings, lambda f: (f.code, f.node, f.tap), _finding),
        cells=_grouped(first.cells + second.cells, lambda c: (c.cell, c.hop, c.direction), _cell),
        traffic=first.traffic.merge(second.traffic),
        notes=_notes((*first.notes, *second.notes, *said)),
        incomplete=_union(first.incomplete, second.incomplete),
        **{name: _section(getattr(first, name) + getattr(second, name)) for name in SECTIONS},
        fail_on=min(first.fail_on, second.fail_on, key=THRESHOLD.__getitem__),
    )


def _without_refuted(part: Report, other: Report) -> Report:
    """A part without notes on taps that do not show the service, where the other part has the tap and does not say so:
    it shows the service there, or has nothing to compare the tap with."""
    refuted = {out_of_the_way(tap.name) for tap in other.taps}.difference(other.notes)
    return replace(part, notes=tuple(note for note in part.notes if note not in refuted))


def together(report: Report) -> Report:
    """A merged report whose findings on fields are those of one verification: one for a node, direction and severity.

    The field that failed most often leads; each part may have had another one. For the end, when all parts are merged.
    """
    failed = Counter[str]()
    for cell in report.cells:
        failed[cell.cell] += cell.failed
    groups: dict[object, list[Finding]] = {}
    for finding in report.findings:
        mode, _, _ = finding.code.partition(".")
        node, direction, field = _parts(finding.code)
        own = "." not in field or mode not in (*REWRITES, "path")
        groups.setdefault(id(finding) if own else (node, direction, finding.severity), []).append(finding)
    kept = [_led(group, failed) for group in groups.values()]
    return replace(report, findings=tuple(sorted(kept, key=lambda f: -SEVERITY_RANK[f.severity])))


def _parts(cell: str) -> tuple[str, str, str]:
    """``mode.node``, direction and field of a cell's id; of a code, no field."""
    mode, _, rest = cell.partition(".")
    node, _, field = rest.partition(".")
    direction, _, of_reply = field.partition(".")
    return (f"{mode}.{node}", "reply", of_reply) if direction == "reply" else (f"{mode}.{node}", "request", field)


def _led(group: Sequence[Finding], failed: Mapping[str, int]) -> Finding:
    """Findings of one group as one; its count is that of the field that leads, also where another one led a part."""
    lead = max(group, key=lambda f: (failed[f.code], _parts(f.code)[2] in LEADING))
    others = [finding for finding in group if finding is not lead]
    field = "." in _parts(lead.code)[2]
    return replace(reduce(_finding, others, lead), count=(failed[lead.code] if field else 0) or lead.count)


# --- what may contradict ---------------------------------------------------------------------------------------------


def _mode(first: str | None, second: str | None) -> str | None:
    """The mode of the data path, which a part may not show."""
    low, high = sorted((first, second), key=_mode_rank)
    if low != high and _mode_rank(low) == _mode_rank("nat"):
        raise UsageError(f"reports of different modes cannot be merged: {first} and {second}")
    return high


def _mode_rank(mode: str | None) -> int:
    return 0 if mode is None else 1 + _OVERLAYS.index(mode) if mode in _OVERLAYS else 1 + len(_OVERLAYS)


def _same_service(first: Report, second: Report) -> None:
    """What specs state of a service must have something in common."""
    stated = first.mode_from == second.mode_from == "spec"
    one, other = first.service.vip, second.service.vip
    if stated and one and other and not set(one) & set(other):
        raise UsageError(
            f"reports by different specs cannot be merged: VIP {', '.join(one)} in one, {', '.join(other)} in another"
        )


def _service(first: Service, second: Service) -> Service:
    return Service(
        _union(first.vip, second.vip),
        _union(first.ports, second.ports),
        _tunnel(first.tunnel, second.tunnel),
        _tags(first.dscp, second.dscp, ""),
    )


def _tunnel(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What both say, and what one of them says alone; a port or size that differs is none that can be named."""
    if first is None or second is None:
        return second if first is None else first
    for key in ("type", "variant"):
        one, other = first.get(key), second.get(key)
        if one is not None and other is not None and one != other:
            raise UsageError(f"reports of different tunnels cannot be merged: {key} {one} and {key} {other}")
    keys = dict.fromkeys((*first, *second))
    return {key: first.get(key, second.get(key)) if _agree(first, second, key) else None for key in keys}


def _agree(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> bool:
    return key not in first or key not in second or first[key] == second[key]


def _tags(first: Mapping[Any, Any], second: Mapping[Any, Any], where: str) -> dict[Any, Any]:
    out = dict(first)
    for key, value in second.items():
        known = out.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            out[key] = _tags(known, value, f" at {key}")
        elif known is not None and known != value:
            raise UsageError(
                f"reports of different tags cannot be merged: DSCP {key}{where} stands for {known} and {value}"
            )
        else:
            out[key] = value
    return out


def _untold(part: Report, other: Report) -> list[str]:
    """What a part alone does not tell, where the other one does."""
    why = []
    if _mode_rank(part.mode) < _mode_rank(other.mode) == _mode_rank("nat"):
        why.append(_MODE_UNTOLD)
    if not _judged(part) and _judged(other):
        why.append(_UNCHECKED)
    return [f"{file}: {note}" for note in why for file in dict.fromkeys(tap.file for tap in part.taps)]


def _judged(report: Report) -> bool:
    return any(cell.verdict != "not_observable" for cell in report.cells)


# --- what adds up ----------------------------------------------------------------------------------------------------


def _union(first: Sequence[T], second: Sequence[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _grouped(items: Iterable[T], key: Callable[[T], Hashable], merge: Callable[[T, T], T]) -> tuple[T, ...]:
    groups: dict[Hashable, T] = {}
    for item in items:
        at = key(item)
        groups[at] = merge(groups[at], item) if at in groups else item
    return tuple(groups.values())


def _section(items: tuple[Any, ...]) -> Any:
    return _grouped(items, lambda item: item.key, lambda first, second: first.merge(second))


def _profile(first: str | None, second: str | None) -> str | None:
    if first is None or second is None or first == second:
        return first or second
    return "any"


def _node(first: Node, second: Node) -> Node:
    """A part that sees less of a machine takes it for a router, or for a client's."""
    role = max(first.role, second.role, key=("client", "router", "bridge", "resolver", "real-server", "lb").index)
    ips = _union(first.ip, second.ip)
    return Node(first.name, role, ips[:MOST_CLIENTS] if role == "client" else ips, _union(first.mac, second.mac))


def _path(first: Path, second: Path, nodes: Iterable[Node]) -> Path:
    return Path(_row(first.request, second.request, nodes), _row(first.reply, second.reply, nodes))


def _row(first: tuple[str, ...], second: tuple[str, ...], nodes: Iterable[Node]) -> tuple[str, ...]:
    """The row of more nodes; where rows of one length differ, a role stands for the machines that have it."""
    if len(first) != len(second):
        return max(first, second, key=len)
    roles = {node.name: "..." if node.role == "router" else node.role for node in nodes}
    return tuple(one if one == other else roles.get(one, one) for one, other in zip(first, second, strict=True))


def _tap(first: Tap, second: Tap) -> Tap:
    return replace(
        first,
        node=first.node if first.node is not None else second.node,
        link=first.link if first.link is not None else second.link,
        packets=first.packets + second.packets,
        octets=first.octets + second.octets,
    )


def _journey(first: Journey, second: Journey) -> Journey:
    return replace(first, paired=first.paired + second.paired, unpaired=first.unpaired + second.unpaired)


def _finding(first: Finding, second: Finding) -> Finding:
    return replace(
        first.with_frames(_union(first.frames, second.frames)[:MAX_EXAMPLES]),
        message=_message(first.message, second.message),
        severity=max(first.severity, second.severity, key=SEVERITY_RANK.__getitem__),
        nodes=_union(first.nodes, second.nodes),
        count=first.count + second.count,
        candidates=_union(first.candidates, second.candidates),
        symptoms=_union(first.symptoms, second.symptoms),
        ruled_out={**second.ruled_out, **first.ruled_out},
        known=first.known and second.known,
    )


def _message(first: str, second: str) -> str:
    """The first one's words; their numbers are no longer those of the whole."""
    text = first.removesuffix(PART)
    exact = text == second == first and not any(char.isdigit() for char in text)
    return text if exact else text + PART


def _cell(first: CellVerdict, second: CellVerdict) -> CellVerdict:
    worst = max(first.verdict, second.verdict, key=_VERDICT_RANK.__getitem__)
    reasons = (c.reason for c in (first, second) if c.verdict == worst and c.reason is not None)
    return CellVerdict(
        first.cell,
        first.hop,
        first.direction,
        worst,
        first.checked + second.checked,
        first.failed + second.failed,
        next(reasons, None),
    )


def _notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Each once; those that end with a number of packets add up."""
    counts: dict[str, int | None] = {}
    for note in notes:
        found = _COUNTED.search(note)
        text = note[: found.start()] if found else note
        if found:
            counts[text] = (counts.get(text) or 0) + int(found[1])
        else:
            counts.setdefault(text, None)
    return tuple(text if n is None else f"{text} ({n} packet{'' if n == 1 else 's'})" for text, n in counts.items())
