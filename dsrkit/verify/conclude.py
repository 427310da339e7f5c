"""From verdicts to the report: findings, the path, traffic, and everything that was inferred."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Literal, cast

import numpy as np

from dsrkit.model.names import FailOn
from dsrkit.model.report import (
    CellVerdict,
    Finding,
    FrameRef,
    Journey,
    Node,
    Path,
    Report,
    Service,
    Tap,
    Traffic,
)
from dsrkit.model.spec import Spec
from dsrkit.tables.fields import WIRESHARK
from dsrkit.verify.cells import Verdict
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import DIRECTIONS, REPLY, REQUEST, TUNNEL_NAMES, Frames
from dsrkit.verify.journeys import PLAIN, REWRITTEN, Journeys, clock_offsets, pair_counts
from dsrkit.verify.scene import DIRECT_RETURN, HEADER_MODES, Party, Scene, TapInfo
from dsrkit.wire.address import mac_text

_MOST_FRAMES = 10
_MOST_CLIENTS = 64
_SEVERITIES = ("info", "warning", "error")


def conclude(
    f: Frames,
    flows: Flows,
    scene: Scene,
    taps: list[TapInfo],
    journeys: Journeys,
    verdicts: list[Verdict],
    fits: list[str],
    notes: list[str],
    *,
    fail_on: str,
    select: Collection[str],
    ignore: Collection[str],
    spec: Spec | None,
) -> Report:
    """Put the report together."""
    for tap, offset in clock_offsets(f, journeys, len(taps)).items():
        taps[tap].offset_ns = offset
    _links(f, flows, scene, taps)
    kept = _selected(verdicts, [*select, *(spec.rules.select if spec else ())], [*ignore, *(spec.rules.ignore if spec else ())])
    mode = scene.mode
    profile = scene.profile
    if mode in HEADER_MODES and profile == "any" and fits:
        profile = fits[0]
    return Report(
        mode=mode,
        mode_from=scene.mode_from,
        profile=profile if mode in HEADER_MODES else None,
        mechanisms=(mode,) if mode else (),
        service=_service(f, scene),
        nodes=tuple(_node(f, p) for p in _in_path_order(scene)),
        path=_path(scene, journeys, taps),
        taps=tuple(
            Tap(t.name, t.file, t.interface, t.node, t.link, t.packets, t.octets, t.offset_ns) for t in taps
        ),
        journeys=tuple(
            Journey(a.name, b.name, cast("Any", DIRECTIONS[d]), proto, paired, unpaired)
            for a, b, d, proto, paired, unpaired in pair_counts(journeys)
        ),
        findings=tuple(_findings(f, scene, taps, kept, spec)),
        cells=tuple(
            CellVerdict(
                v.cell,
                v.hop,
                cast("Any", DIRECTIONS[v.direction]),
                "fail" if v.failed else "pass" if v.checked else "not_observable",
                v.checked,
                v.failed,
                v.reason,
            )
            for v in kept
        ),
        traffic=_traffic(f, scene, journeys),
        notes=tuple([*scene.notes, *_mirror_notes(taps, journeys), *notes]),
        fail_on=cast(FailOn, fail_on),
    )


def _selected(verdicts: list[Verdict], select: Collection[str], ignore: Collection[str]) -> list[Verdict]:
    """Cells whose id starts with one of `select` (all if empty) and with none of `ignore`."""
    out = [v for v in verdicts if not select or v.cell.startswith(tuple(select))]
    return [v for v in out if not ignore or not v.cell.startswith(tuple(ignore))]


# --- findings ---------------------------------------------------------------------------------------------------------

_RANK = {"appears": 0, "ip.dsfield.dscp": -1}


def _findings(f: Frames, scene: Scene, taps: list[TapInfo], verdicts: list[Verdict], spec: Spec | None) -> list[Finding]:
    """Failed cells as findings: those of one hop together, consequences under their cause."""
    failed = [v for v in verdicts if v.failed]
    groups: dict[tuple[Any, ...], list[Verdict]] = defaultdict(list)
    for v in failed:
        presence = v.field in ("answered", "appears") or v.cell.endswith(("answered-by-vip", "absent", "vip-frame-to-lb", "arp-silent"))
        groups[(v.cell,) if presence else (v.hop, v.direction, v.severity)].append(v)
    found = [_finding(f, scene, taps, group) for group in groups.values()]
    found = _causes_first(found)
    allowed = [(a.code, a.node) for a in spec.allow] if spec is not None else []
    return [x for x in found if not any(_allows(code, node, x) for code, node in allowed)]


def _allows(code: str, node: str | None, finding: Finding) -> bool:
    return (code in (finding.code, finding.name) or finding.code.startswith(code)) and (
        node is None or node in finding.nodes
    )


def _finding(f: Frames, scene: Scene, taps: list[TapInfo], group: list[Verdict]) -> Finding:
    worst = max(_SEVERITIES.index(v.severity) for v in group)
    # The cell with most failures leads; addresses before what follows from them.
    lead = max(group, key=lambda v: (_SEVERITIES.index(v.severity), v.failed, v.cell.endswith(("ip.dst", "dscp", "ttl"))))
    frames, seen = [], set()
    for v in group:
        for before, after in v.failures:
            for row in (before, after):
                if row >= 0 and row not in seen and len(frames) < _MOST_FRAMES:
                    seen.add(row)
                    frames.append(FrameRef(taps[int(f.tap[row])].file, int(f.number[row])))
    nodes = tuple(dict.fromkeys(n for v in group for n in v.nodes))
    hops = ", ".join(dict.fromkeys(v.hop for v in group if v.hop))
    failed, checked = max((v.failed, v.checked) for v in group)
    return Finding(
        code=lead.cell,
        name=lead.cell.replace(".", "-"),
        severity=cast(Literal["error", "warning", "info"], _SEVERITIES[worst]),
        message=_message(lead, hops, failed, checked),
        node=nodes[0] if nodes else None,
        nodes=nodes,
        tap=lead.tap,
        count=failed,
        frames=tuple(frames),
        field=_wireshark(f, lead),
        expected=lead.expected or None,
        actual=lead.actual or None,
        filter=_filter(frames),
        symptoms=tuple(dict.fromkeys(v.cell for v in group)),
    )


def _message(lead: Verdict, hops: str, failed: int, checked: int) -> str:
    where = f" at {hops}" if hops else ""
    what = {
        "answered": "requests to the service are not answered",
        "appears": "packets go in and do not come out",
    }.get(lead.field)
    if lead.cell.endswith("answered-by-vip"):
        what = "the answer comes from another address than the one that was asked"
    elif lead.cell.endswith("reply.absent"):
        what = "replies go to the load balancer instead of straight back to the client"
    elif lead.cell.endswith("vip-frame-to-lb"):
        what = "frames for the VIP go to a real server, past the load balancer"
    elif lead.cell.endswith("arp-silent"):
        what = "more than the owner claims the VIP towards its neighbours"
    elif what is None:
        what = f"{lead.field} does not come out as it must"
    unit = "connections" if lead.field == "answered" else "packets"
    share = f"{failed} of {checked} {unit}"
    values = f": expected {lead.expected}, found {lead.actual}" if lead.expected and lead.actual else ""
    return f"{what}{where} ({share}){values}"


def _wireshark(f: Frames, verdict: Verdict) -> str | None:
    if verdict.field in ("answered", "appears"):
        return None
    name = verdict.field
    if verdict.failures:
        row = verdict.failures[0][1]
        if f.ver[row] == 6 and name.startswith("ip."):
            name = {"ip.ttl": "ipv6.hlim", "ip.src": "ipv6.src", "ip.dst": "ipv6.dst"}.get(name, name)
        if name in WIRESHARK:
            options = WIRESHARK[name]
            name = options[-1] if f.proto[row] == 17 else options[0]
    return name


def _filter(frames: list[FrameRef]) -> str | None:
    """A display filter for the first file's frames."""
    if not frames:
        return None
    numbers = sorted({x.frame for x in frames if x.file == frames[0].file})
    return "frame.number in {" + ",".join(map(str, numbers)) + "}"


_ORDER = (
    "ip.dsfield.dscp",
    "vip-frame-to-lb",
    "absent",
    "answered-by-vip",
    "answered",
    "appears",
    "arp-silent",
)


def _causes_first(findings: list[Finding]) -> list[Finding]:
    """Fold what follows from an earlier break on the path into the finding of that break."""

    def kind(x: Finding) -> int:
        for i, end in enumerate(_ORDER):
            if x.code.endswith("." + end):
                return i
        return -1

    loud = [x for x in findings if x.severity == "error"]
    fields = [x for x in loud if kind(x) <= 0]
    presence = {_ORDER[kind(x)]: x for x in loud if kind(x) > 0}
    folded: dict[int, Finding] = {}
    causes = [
        *fields,
        *(presence[k] for k in ("vip-frame-to-lb", "absent", "answered-by-vip", "answered") if k in presence),
    ]
    for x in sorted(loud, key=kind):
        if kind(x) > 0 and causes and x is not causes[0]:
            cause = causes[0]
            if x in fields:
                continue
            folded[id(x)] = cause
    symptoms: dict[int, list[str]] = defaultdict(list)
    for x in findings:
        if id(x) in folded:
            symptoms[id(folded[id(x)])] += x.symptoms
    out = []
    for x in findings:
        if id(x) in folded:
            continue
        extra = symptoms.get(id(x), [])
        if extra:
            from dataclasses import replace

            x = replace(x, symptoms=tuple(dict.fromkeys([*x.symptoms, *extra])))
        out.append(x)
    return sorted(out, key=lambda x: (-_SEVERITIES.index(x.severity), -x.count))


# --- the set-up -------------------------------------------------------------------------------------------------------


def _node(f: Frames, party: Party) -> Node:
    ips = sorted(party.ips, key=lambda a: (f.book.is_v6(a), f.book.text(a)))
    shown = ips[:_MOST_CLIENTS] if party.role == "client" else ips
    return Node(
        party.name, party.role, tuple(f.book.text(a) for a in shown), tuple(mac_text(m) for m in sorted(party.macs))
    )


def _in_path_order(scene: Scene) -> list[Party]:
    order = ("client", "router", "bridge", "lb", "real-server", "resolver")
    return sorted(scene.parties, key=lambda p: order.index(p.role))


def _service(f: Frames, scene: Scene) -> Service:
    names = {6: "tcp", 17: "udp"}
    ports = []
    for (proto, vport), rports in sorted(scene.services.items()):
        if proto not in names:
            continue
        for rport in sorted(rports or {vport}):
            ports.append(f"{names[proto]}/{vport}" + (f":{rport}" if rport != vport else ""))
    tunnel: dict[str, Any] | None = None
    if scene.mode == "l3dsr-tunnel" and scene.tunnel:
        name = TUNNEL_NAMES[scene.tunnel]
        tunnel = {"type": "gue" if name == "gue1" else name}
        if name.startswith("gue"):
            tunnel["variant"] = 1 if name == "gue1" else 0
            if len(scene.tunnel_ports) == 1:
                tunnel["port"] = next(iter(scene.tunnel_ports))
    return Service(
        tuple(sorted(f.book.text(v) for v in scene.vips)), tuple(ports), tunnel, _dscp(f, scene)
    )


def _dscp(f: Frames, scene: Scene) -> dict[Any, Any]:
    """Tag to VIP; per node where the tag depends on the server."""
    vips = sorted(f.book.text(v) for v in scene.vips)
    if scene.mode != "l3dsr-dscp" or not vips:
        return {}
    if scene.tag_of_vip:
        return {tag: f.book.text(v) for tag, v in scene.tag_of_vip.items()}
    tags = {rip: c.most_common(1)[0][0] for rip, c in scene.tags.items()}
    if len(set(tags.values())) <= 1:
        return {tag: vips[0] for tag in tags.values()}
    out: dict[Any, Any] = {}
    for rip, tag in tags.items():
        party = scene.party_of_ip(rip)
        out[party.name if party is not None else f.book.text(rip)] = {tag: vips[0]}
    return out


def _links(f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo]) -> None:
    """Letters of links: A in front of the first router, B where the load balancer is, C and D towards servers."""
    lb, clients = list(scene.macs("lb") - {0}), list(scene.macs("client") - {0})
    rips = list(scene.ips("real-server") - scene.vips)
    for i, tap in enumerate(taps):
        if tap.link is not None:
            continue
        mine = (f.tap == i) & (flows.direction != 0)
        ends = np.concatenate([f.eth_src[mine], f.eth_dst[mine]])
        if np.isin(ends, clients).any():
            tap.link = "A"
        elif lb and np.isin(ends, lb).any():
            inside = mine & np.isin(flows.server >> 16, rips)
            only_inside = bool(inside.any()) and bool(inside[mine].all())
            tap.link = "C" if only_inside and scene.mode in ("nat", "fullnat") else "B"
        elif scene.mode in ("l3dsr-tunnel", "l3dsr-dscp") and mine.any():
            tap.link = "C"


def _path(scene: Scene, journeys: Journeys, taps: list[TapInfo]) -> Path:
    """The row of nodes, real servers by their role where there are several."""
    if scene.path_request or scene.path_reply:
        return Path(scene.path_request, scene.path_reply)
    if scene.mode not in HEADER_MODES:
        return Path()

    def one(role: str, fallback: str) -> list[str]:
        parties = scene.role(role)
        return [parties[0].name] if len(parties) == 1 else [role] if parties else [fallback] if fallback else []

    client, server, lb = one("client", "client"), one("real-server", "real-server"), one("lb", "lb")
    router = [p.name for p in scene.role("router")]
    routed = router if len(router) <= 1 else ["..."]
    if scene.mode == "l2dsr":
        return Path((*client, *routed, *lb, *server), (*server, *routed, *client))
    if scene.mode in ("nat", "fullnat"):
        return Path((*client, *routed, *lb, *server), (*server, *lb, *routed, *client))
    return Path((*client, *routed, *lb, *routed, *server), (*server, *routed, *client))


def _traffic(f: Frames, scene: Scene, journeys: Journeys) -> Traffic:
    """Octets of IP packets, each counted once however many taps saw it."""
    octets: dict[int, int] = {}
    crossed = 0
    lb = list(scene.macs("lb") - {0})
    for direction in (REQUEST, REPLY):
        matrix, points = journeys.rows[direction], journeys.points[direction]
        if not len(matrix):
            octets[direction] = 0
            continue
        first = matrix.max(axis=1)
        length = f.ip_len[first]
        octets[direction] = int(length.sum())
        through = np.zeros(len(matrix), bool)
        for i, point in enumerate(points):
            seen = matrix[:, i] >= 0
            rows = matrix[seen, i]
            through[seen] |= np.isin(f.eth_dst[rows], lb) | np.isin(f.eth_src[rows], lb)
            if point.form == REWRITTEN:
                through[seen] = True
        if scene.mode in DIRECT_RETURN and direction == REQUEST and not any(p.form == PLAIN and p.tap >= 0 for p in points):
            through[:] = True
        crossed += int(length[through].sum())
    if scene.mode not in HEADER_MODES:
        return Traffic(octets[REQUEST], octets[REPLY])
    return Traffic.of(octets[REQUEST], octets[REPLY], crossed)


def _mirror_notes(taps: list[TapInfo], journeys: Journeys) -> list[str]:
    return [f"{taps[t].name}: every frame is there twice (a mirror port of both directions); copies were left out" for t in sorted(journeys.mirrors)]
