"""The same machine in two reports: inferred names may change hands between parts of a capture set, addresses do not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from dsrkit.model.frame import FrameRef
from dsrkit.model.names import ROLES
from dsrkit.model.report import CellVerdict, Finding, Node, Path, Report, Service, Tap
from dsrkit.model.sections.dns import DnsParty, DnsRecord
from dsrkit.model.sections.health_check import HealthCheck
from dsrkit.model.sections.session import Endpoint
from dsrkit.model.sections.spread import Load
from dsrkit.model.sections.takeover import Event, Neighbour, Owner

R = TypeVar("R")

_NAMES: Final[dict[type, tuple[str, ...]]] = {
    Node: ("name",),
    Tap: ("node",),
    Path: ("request", "reply"),
    Finding: ("node", "nodes"),
    Owner: ("name",),
    Neighbour: ("name",),
    HealthCheck: ("checker", "server"),
    Endpoint: ("node",),
    DnsParty: ("node",),
    DnsRecord: ("node",),
    Load: ("name",),
}
"""Where reports hold names of machines."""
_TEXTS: Final[dict[type, tuple[str, ...]]] = {
    Report: ("notes",),
    CellVerdict: ("reason",),
    Finding: ("message", "expected", "actual", "fix", "settle", "ruled_out"),
    Event: ("text",),
}
"""Where they hold texts that may mention one."""
_ORDINARY: Final = frozenset((*ROLES, "clients"))
"""Names that are words of any text as well, which must not be replaced there."""


def names_of_second(first: Sequence[Node], second: Sequence[Node]) -> dict[str, str]:
    """What machines of the second report have to be called beside those of the first: old name to new, changes only."""
    known = {node.name: node for node in first}
    out = {node.name: node.name for node in second if node.name in known and _alike(known[node.name], node)}
    left = [node for node in first if node.name not in out]
    shared = _shared(first) | _shared(second)
    for node in second:
        if node.name in out:
            continue
        best = max(left, key=lambda other: len(_own(other, shared) & _own(node, shared)), default=None)
        if best is not None and _own(best, shared) & _own(node, shared):
            out[node.name] = best.name
            left.remove(best)
    taken = {*known, *(node.name for node in second)}
    for node in second:
        if node.name not in out and node.name in known:
            out[node.name] = _free(node.name, taken)
            taken.add(out[node.name])
        out.setdefault(node.name, node.name)
    return {old: new for old, new in out.items() if old != new}


def _alike(one: Node, other: Node) -> bool:
    """Two of one name: with an address in common, or with nothing that tells them apart."""
    mine, theirs = {*one.ip, *one.mac}, {*other.ip, *other.mac}
    far = one.role == other.role == "client" and not one.mac and not other.mac  # stands for all clients behind routers
    return far or not mine or not theirs or bool(mine & theirs)


def _shared(nodes: Sequence[Node]) -> set[str]:
    """Addresses of several machines of one report: a virtual router's MAC, for one."""
    count = Counter(address for node in nodes for address in {*node.ip, *node.mac})
    return {address for address, n in count.items() if n > 1}


def _own(node: Node, shared: Collection[str]) -> set[str]:
    return {*node.ip, *node.mac}.difference(shared)


def _free(name: str, taken: Collection[str]) -> str:
    stem = name.rstrip("0123456789")
    number = 2
    while f"{stem}{number}" in taken:
        number += 1
    return f"{stem}{number}"


def renamed(report: Report, names: Mapping[str, str]) -> Report:
    """The report with other names for machines, also in its texts.

    A name that is an ordinary word, or a tap's as well, stays as it is in texts; a finding's message says who is meant.
    """
    if not names:
        return report
    taps = {tap.name for tap in report.taps}
    clear = {old: new for old, new in names.items() if old not in _ORDINARY | taps}
    words, vague = _words(clear), _words(names.keys() - clear)

    def name(value: Any) -> Any:
        return tuple(name(one) for one in value) if isinstance(value, tuple) else names.get(value, value)

    def text(value: Any) -> Any:
        if isinstance(value, str):
            return words.sub(lambda found: clear[found[0]], value) if clear else value
        if isinstance(value, Mapping):
            return {key: text(one) for key, one in value.items()}
        return tuple(text(one) for one in value) if isinstance(value, tuple) else value

    def change(item: Any) -> dict[str, Any]:
        new = {field: name(getattr(item, field)) for field in _NAMES.get(type(item), ())}
        new |= {field: text(getattr(item, field)) for field in _TEXTS.get(type(item), ())}
        if isinstance(item, CellVerdict):  # places of presence cells may be machines
            places = item.hop.split(", ")
            new["hop"] = ", ".join(place if place in taps else names.get(place, place) for place in places)
        if isinstance(item, Service):
            new["dscp"] = {names.get(key, key) if isinstance(value, Mapping) else key: value
                           for key, value in item.dscp.items()}  # fmt: skip
        if isinstance(item, Finding):
            told = "; ".join(f"{old} is {names[old]} here" for old in dict.fromkeys(vague.findall(item.message)))
            new["message"] = f"{new['message']} ({told})" if told else new["message"]
        return new

    return changed(report, change)


def with_files(report: Report, files: Mapping[str, str]) -> Report:
    """The report with other names for capture files."""

    def change(item: Any) -> dict[str, Any]:
        if isinstance(item, (Tap, FrameRef)) and item.file in files:
            return {"file": files[item.file]}
        return {}

    return changed(report, change)


def _words(names: Collection[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names)) or '(?!)'})(?![\w-])")


def changed(value: R, change: Callable[[Any], dict[str, Any]]) -> R:
    """The same data with what `change` says of each object in it: new values of some of its fields."""
    out: Any = value
    if isinstance(value, tuple):
        out = tuple(changed(one, change) for one in value)
    elif is_dataclass(value) and not isinstance(value, type):
        new = change(value)
        inner = {f.name: changed(getattr(value, f.name), change) for f in fields(value) if f.name not in new}
        out = replace(value, **new, **inner)
    return out  # type: ignore[no-any-return]  # of the type that it had
