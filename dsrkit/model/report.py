"""The report of a verification: what was seen, what was judged, what is wrong, and how sure that is.

Every class mirrors one object of the published JSON (`docs/report.schema.json`). Reports of parts of one capture set
form a monoid under `Report.merge`, so that chunks can be verified in any grouping.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, TypeVar

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError
from dsrkit.model.frame import FrameRef
from dsrkit.model.names import MODE_FROM, Direction, FailOn, ModeFrom, Severity, Verdict
from dsrkit.model.printable import json_text
from dsrkit.model.sections import SECTIONS, Dns, HealthCheck, Section, Session, Spread, Takeover

SCHEMA: Final = "dsrkit.report/1"
MAX_EXAMPLES: Final = 10
"""Frames that a merged finding keeps as examples; `count` still counts them all."""

_RANK: Final[dict[str, int]] = {"info": 1, "warning": 2, "error": 3}
_THRESHOLD: Final[dict[str, int]] = {"info": 1, "warning": 2, "error": 3, "never": 4}
_VERDICT_RANK: Final[dict[str, int]] = {"not_observable": 0, "pass": 1, "fail": 2}

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine on the path, known by its addresses."""

    name: str
    role: str
    ip: tuple[str, ...] = ()
    mac: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        return {"name": self.name, "role": self.role, "ip": list(self.ip), "mac": list(self.mac)}


@dataclass(frozen=True, slots=True)
class Tap:
    """A capture point and what it recorded.

    Units: `clock_offset_ns` is added to this tap's time stamps to meet the first tap's clock.
    """

    name: str
    file: str
    interface: str | None = None
    node: str | None = None
    link: str | None = None
    packets: int = 0
    octets: int = 0
    clock_offset_ns: int = 0

    def to_dict(self) -> Json:
        return {
            "name": self.name,
            "file": self.file,
            "interface": self.interface,
            "node": self.node,
            "link": self.link,
            "packets": self.packets,
            "octets": self.octets,
            "clock_offset_ns": self.clock_offset_ns,
        }


@dataclass(frozen=True, slots=True)
class Journey:
    """How many packets were found at both of two observation points (`B`, or `B.in` and `B.out`)."""

    source: str
    target: str
    direction: Direction
    protocol: str
    paired: int = 0
    unpaired: int = 0

    @property
    def hop(self) -> str:
        return f"{self.source}→{self.target}"

    def to_dict(self) -> Json:
        return {
            "from": self.source,
            "to": self.target,
            "direction": self.direction,
            "protocol": self.protocol,
            "paired": self.paired,
            "unpaired": self.unpaired,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault with its evidence; `code` is the likeliest of `candidates`, `node` the first of `nodes`."""

    code: str
    name: str
    severity: Severity
    message: str
    node: str | None = None
    nodes: tuple[str, ...] = ()
    tap: str | None = None
    count: int = 1
    frames: tuple[FrameRef, ...] = ()
    field: str | None = None
    expected: str | None = None
    actual: str | None = None
    fix: str | None = None
    filter: str | None = None
    candidates: tuple[str, ...] = ()
    symptoms: tuple[str, ...] = ()
    ruled_out: Mapping[str, str] = dataclasses.field(default_factory=dict)  # code of a look-alike -> what excludes it
    settle: str | None = None  # the tap or command that decides between candidates
    known: bool = False  # an earlier report had it already (--baseline): shown, but no reason to fail

    def __post_init__(self) -> None:
        if not self.candidates:
            object.__setattr__(self, "candidates", (self.code,))
        if self.node is None and self.nodes:
            object.__setattr__(self, "node", self.nodes[0])
        elif self.node is not None and not self.nodes:
            object.__setattr__(self, "nodes", (self.node,))

    def to_dict(self) -> Json:
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "candidates": list(self.candidates),
            "node": self.node,
            "nodes": list(self.nodes),
            "tap": self.tap,
            "count": self.count,
            "frames": [frame.to_dict() for frame in self.frames],
            "field": self.field,
            "expected": self.expected,
            "actual": self.actual,
            "message": self.message,
            "fix": self.fix,
            "filter": self.filter,
            "symptoms": list(self.symptoms),
            "ruled_out": dict(self.ruled_out),
            "settle": self.settle,
            "known": self.known,
        }


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """What became of one cell of the rewrite table at one hop; `reason` says why it could not be observed."""

    cell: str
    hop: str
    direction: Direction
    verdict: Verdict
    checked: int = 0
    failed: int = 0
    reason: str | None = None

    def to_dict(self) -> Json:
        entry: Json = {
            "cell": self.cell,
            "hop": self.hop,
            "direction": self.direction,
            "verdict": self.verdict,
            "checked": self.checked,
            "failed": self.failed,
        }
        if self.reason is not None:
            entry["reason"] = self.reason
        return entry


@dataclass(frozen=True, slots=True)
class Rules:
    """The count of each verdict, and the cells behind it."""

    passed: int
    failed: int
    not_observable: int
    detail: tuple[CellVerdict, ...]

    def to_dict(self) -> Json:
        return {
            "pass": self.passed,
            "fail": self.failed,
            "not_observable": self.not_observable,
            "detail": [cell.to_dict() for cell in self.detail],
        }


@dataclass(frozen=True, slots=True)
class Service:
    """What is balanced: VIPs, ports (`tcp/80`, `tcp/80:8080`), and how the tunnel or the tags look.

    `tunnel` has the keys of the spec's `[tunnel]`; `dscp` maps a tag to its VIP, or a node's name to its own such map.
    """

    vip: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    tunnel: Mapping[str, Any] | None = None
    dscp: Mapping[Any, Any] = field(default_factory=dict)

    def to_dict(self) -> Json:
        return {
            "vip": list(self.vip),
            "ports": list(self.ports),
            "tunnel": None if self.tunnel is None else dict(self.tunnel),
            "dscp": _string_keys(self.dscp),
        }


@dataclass(frozen=True, slots=True)
class Path:
    """Node names in the order in which a packet meets them."""

    request: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        return {"request": list(self.request), "reply": list(self.reply)}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Octets of requests and replies, each packet counted once, and those of them that crossed the load balancer.

    Absent: `bypassed_lb` is None where the taps cannot tell which octets crossed the load balancer.
    """

    request_octets: int = 0
    reply_octets: int = 0
    lb_octets: int = 0
    bypassed_lb: float | None = None

    @classmethod
    def of(cls, request_octets: int, reply_octets: int, lb_octets: int) -> Traffic:
        """Totals whose bypassed share is known."""
        total = request_octets + reply_octets
        share = None if total <= 0 else round(min(1.0, max(0.0, 1 - lb_octets / total)), 4)
        return cls(request_octets, reply_octets, lb_octets, share)

    def merge(self, other: Traffic) -> Traffic:
        """Sums; one part with traffic of unknown way makes the whole share unknown."""
        unknown = any(t.bypassed_lb is None and t.request_octets + t.reply_octets > 0 for t in (self, other))
        total = Traffic.of(
            self.request_octets + other.request_octets,
            self.reply_octets + other.reply_octets,
            self.lb_octets + other.lb_octets,
        )
        return replace(total, bypassed_lb=None) if unknown else total

    def to_dict(self) -> Json:
        return {
            "request_octets": self.request_octets,
            "reply_octets": self.reply_octets,
            "lb_octets": self.lb_octets,
            "bypassed_lb": self.bypassed_lb,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that a verification has to say; renderers and exit codes read nothing else.

    Absent: `mode` is None where the packets cannot tell it, `profile` None where no profile was judged; the profile
    "any" says that no single one can be named. `notes` say what was inferred, and from what.
    """

    mode: str | None = None
    mode_from: ModeFrom = "undetermined"
    profile: str | None = None
    mechanisms: tuple[str, ...] = ()
    service: Service = field(default_factory=Service)
    nodes: tuple[Node, ...] = ()
    path: Path = field(default_factory=Path)
    taps: tuple[Tap, ...] = ()
    journeys: tuple[Journey, ...] = ()
    findings: tuple[Finding, ...] = ()
    cells: tuple[CellVerdict, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    takeovers: tuple[Takeover, ...] = ()
    health_checks: tuple[HealthCheck, ...] = ()
    sessions: tuple[Session, ...] = ()
    dns: tuple[Dns, ...] = ()
    spread: tuple[Spread, ...] = ()
    notes: tuple[str, ...] = ()
    fail_on: FailOn = "warning"

    @property
    def rules(self) -> Rules:
        """Verdicts counted per cell and hop."""
        count = dict.fromkeys(_VERDICT_RANK, 0)
        for cell in self.cells:
            count[cell.verdict] += 1
        return Rules(count["pass"], count["fail"], count["not_observable"], self.cells)

    @property
    def sections(self) -> dict[str, tuple[Section, ...]]:
        """What mechanisms found, by the names of `SECTIONS`."""
        return {name: getattr(self, name) for name in SECTIONS}

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings at or above `fail_on`, but for those that a baseline knows."""
        return tuple(f for f in self.findings if _RANK[f.severity] >= _THRESHOLD[self.fail_on] and not f.known)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 findings at or above `fail_on`, 2 nothing could be checked."""
        if self.failing:
            return 1
        # Vacuous success is the default of naive verifiers: no judged cell means that nothing was proven.
        return 0 if any(cell.verdict != "not_observable" for cell in self.cells) else 2

    def to_dict(self) -> Json:
        return {
            "schema": SCHEMA,
            "mode": self.mode,
            "mode_from": self.mode_from,
            "profile": self.profile,
            "mechanisms": list(self.mechanisms),
            "service": self.service.to_dict(),
            "nodes": [node.to_dict() for node in self.nodes],
            "path": self.path.to_dict(),
            "taps": [tap.to_dict() for tap in self.taps],
            "journeys": [journey.to_dict() for journey in self.journeys],
            "findings": [finding.to_dict() for finding in self.findings],
            "rules": self.rules.to_dict(),
            "traffic": self.traffic.to_dict(),
            **{name: [item.to_dict() for item in items] for name, items in self.sections.items()},
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """The report as JSON text, safe to print on a terminal whatever the packets said."""
        return json_text(self.to_dict())

    def merge(self, other: Report) -> Report:
        """The report of both parts of a capture set; associative, and an empty `Report()` changes nothing that counts.

        Raises: UsageError where the parts name different modes.
        """
        if self.mode and other.mode and self.mode != other.mode:
            raise UsageError(f"reports of different modes cannot be merged: {self.mode} and {other.mode}")
        return Report(
            mode=self.mode or other.mode,
            mode_from=min(self.mode_from, other.mode_from, key=MODE_FROM.index),
            profile=_join_profile(self.profile, other.profile),
            mechanisms=_union(self.mechanisms, other.mechanisms),
            service=_merge_service(self.service, other.service),
            nodes=_group(self.nodes + other.nodes, lambda n: n.name, _merge_node),
            path=Path(self.path.request or other.path.request, self.path.reply or other.path.reply),
            taps=_group(self.taps + other.taps, lambda t: (t.name, t.file, t.interface), _merge_tap),
            journeys=_group(
                self.journeys + other.journeys, lambda j: (j.source, j.target, j.direction, j.protocol), _merge_journey
            ),
            findings=_group(self.findings + other.findings, lambda f: (f.code, f.node, f.tap), _merge_finding),
            cells=_group(self.cells + other.cells, lambda c: (c.cell, c.hop, c.direction), _merge_cell),
            traffic=self.traffic.merge(other.traffic),
            notes=_union(self.notes, other.notes),
            **{name: _merge_section(getattr(self, name) + getattr(other, name)) for name in SECTIONS},
            fail_on=min(self.fail_on, other.fail_on, key=_THRESHOLD.__getitem__),
        )


def _string_keys(table: Mapping[Any, Any]) -> Json:
    return {str(k): _string_keys(v) if isinstance(v, Mapping) else v for k, v in table.items()}


def _union(first: Sequence[T], second: Sequence[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _group(items: Iterable[T], key: Callable[[T], object], merge: Callable[[T, T], T]) -> tuple[T, ...]:
    groups: dict[object, T] = {}
    for item in items:
        at = key(item)
        groups[at] = merge(groups[at], item) if at in groups else item
    return tuple(groups.values())


def _join_profile(first: str | None, second: str | None) -> str | None:
    if first is None or second is None or first == second:
        return first or second
    return "any"


def _merge_service(first: Service, second: Service) -> Service:
    return Service(
        _union(first.vip, second.vip),
        _union(first.ports, second.ports),
        first.tunnel if first.tunnel is not None else second.tunnel,
        {**second.dscp, **first.dscp},
    )


def _merge_section(items: tuple[Any, ...]) -> Any:
    return _group(items, lambda item: item.key, lambda first, second: first.merge(second))


def _merge_node(first: Node, second: Node) -> Node:
    return Node(first.name, first.role, _union(first.ip, second.ip), _union(first.mac, second.mac))


def _merge_tap(first: Tap, second: Tap) -> Tap:
    return replace(
        first,
        node=first.node if first.node is not None else second.node,
        link=first.link if first.link is not None else second.link,
        packets=first.packets + second.packets,
        octets=first.octets + second.octets,
    )


def _merge_journey(first: Journey, second: Journey) -> Journey:
    return replace(first, paired=first.paired + second.paired, unpaired=first.unpaired + second.unpaired)


def _merge_finding(first: Finding, second: Finding) -> Finding:
    return replace(
        first,
        severity=max(first.severity, second.severity, key=_RANK.__getitem__),
        nodes=_union(first.nodes, second.nodes),
        count=first.count + second.count,
        frames=_union(first.frames, second.frames)[:MAX_EXAMPLES],
        candidates=_union(first.candidates, second.candidates),
        symptoms=_union(first.symptoms, second.symptoms),
        ruled_out={**second.ruled_out, **first.ruled_out},
        known=first.known and second.known,
    )


def _merge_cell(first: CellVerdict, second: CellVerdict) -> CellVerdict:
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
