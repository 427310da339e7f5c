"""The report of a verification: what was seen, what was judged, what is wrong, and how sure that is.

Every class mirrors one object of the published JSON (`docs/report.schema.json`). Reports of parts of one capture set
form a monoid under `Report.merge`, so that chunks can be verified in any grouping.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final

from dsrkit.classes import dataclass
from dsrkit.model.frame import FrameRef, frame_filter
from dsrkit.model.names import VERDICTS, Direction, FailOn, ModeFrom, Severity, Verdict
from dsrkit.model.printable import json_text
from dsrkit.model.sections import SECTIONS, Dns, HealthCheck, Section, Session, Spread, Takeover

SCHEMA: Final = "dsrkit.report/1"
MAX_EXAMPLES: Final = 10
"""Frames that a merged finding keeps as examples; `count` still counts them all."""
MOST_CLIENTS: Final = 64
"""Addresses that a node lists if it stands for clients."""
LEADING: Final = ("ip.dst", "ip.src", "ip.dsfield.dscp", "ip.ttl", "l4.payload")
"""Of fields that failed equally often these name the finding: the checksums that follow from them do not."""

SEVERITY_RANK: Final[dict[str, int]] = {"info": 1, "warning": 2, "error": 3}
THRESHOLD: Final[dict[str, int]] = {"info": 1, "warning": 2, "error": 3, "never": 4}

Json = dict[str, Any]


def out_of_the_way(tap: str) -> str:
    """The note of a report on a tap that does not show the service, though others do."""
    return f"{tap}: no packet of the service: what becomes of requests and replies there is not observable"


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

    def with_frames(self, frames: tuple[FrameRef, ...]) -> Finding:
        """The same with other examples, which a filter for frames then names."""
        by_number = self.filter is not None and self.filter.startswith("frame.number")
        return replace(self, frames=frames, filter=frame_filter(frames) if by_number and frames else self.filter)

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
    "any" says that no single one can be named. `notes` say what was inferred, and from what; `incomplete` which parts
    of the input could not be judged.
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
    incomplete: tuple[str, ...] = ()
    fail_on: FailOn = "warning"

    @property
    def rules(self) -> Rules:
        """Verdicts counted per cell and hop."""
        count = dict.fromkeys(VERDICTS, 0)
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
        return tuple(f for f in self.findings if SEVERITY_RANK[f.severity] >= THRESHOLD[self.fail_on] and not f.known)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 findings at or above `fail_on`, 2 a part of the input, or nothing at all, could be checked."""
        if self.failing:
            return 1
        if self.incomplete:
            return 2
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
            **({"incomplete": list(self.incomplete)} if self.incomplete else {}),
        }

    def to_json(self) -> str:
        """The report as JSON text, safe to print on a terminal whatever the packets said."""
        return json_text(self.to_dict())

    @classmethod
    def from_dict(cls, data: Json, *, fail_on: FailOn = "warning") -> Report:
        """The report that `to_dict` wrote; the threshold of the exit code is none of its keys.

        Raises: UsageError for what does not follow the published schema.
        """
        from dsrkit.model.reading import report_of

        return replace(report_of(data), fail_on=fail_on)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, fail_on: FailOn = "warning") -> Report:
        """Read a report that ``verify --format json`` wrote; ``-`` is standard input.

        Raises: UsageError for a file that cannot be read, or that holds no report of this version.
        """
        from dsrkit.model.reading import read_document

        return cls.from_dict(read_document(path), fail_on=fail_on)

    def merge(self, *others: Report) -> Report:
        """The report of all these parts of one capture set; the grouping does not matter, an empty `Report()` adds
        nothing that counts, and the order decides which examples and names come first.

        Machines are known by their addresses: one that the parts name differently gets its first name everywhere.

        Raises: UsageError where the parts contradict each other: different modes, tunnels, tags or stated VIPs.
        """
        from dsrkit.model.merging import merged

        return merged(self, *others)


def _string_keys(table: Mapping[Any, Any]) -> Json:
    return {str(k): _string_keys(v) if isinstance(v, Mapping) else v for k, v in table.items()}
