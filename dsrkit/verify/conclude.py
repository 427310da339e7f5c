"""From verdicts to the report: findings, the path, traffic, and everything that was inferred."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final, cast

from dsrkit.model.frame import FrameRef, frame_filter
from dsrkit.model.names import REWRITES, Direction, FailOn, Mode, Severity
from dsrkit.model.report import (
    LEADING,
    MOST_CLIENTS,
    CellVerdict,
    Finding,
    Journey,
    Node,
    Path,
    Report,
    Service,
    Tap,
    Traffic,
    out_of_the_way,
)
from dsrkit.model.spec import RuleSelection, Spec
from dsrkit.verify.choice import Choice, allowed, is_cell, where
from dsrkit.verify.frames import DIRECTIONS, TUNNEL_NAMES, AddressBook
from dsrkit.verify.journeys import REWRITTEN
from dsrkit.verify.judge import Judge
from dsrkit.verify.observer import Observer, Outcome, Told
from dsrkit.verify.scene import Party, Scene, TapInfo
from dsrkit.verify.verdicts import Verdict
from dsrkit.wire.address import mac_text

Diagnose = Callable[
    [Judge, list[Verdict], Mapping[str, tuple[Any, ...]], Spec | None], tuple[list[Finding], list[Verdict]]
]
"""Findings that name causes, and the verdicts that they explain."""

_SEVERITIES: Final = ("info", "warning", "error")


def conclude(
    judge: Judge,
    notes: list[str],
    *,
    fail_on: str,
    select: Collection[str],
    ignore: Collection[str],
    spec: Spec | None,
    diagnose: Diagnose | None = None,
) -> Report:
    """Put the report together; `diagnose` names causes, and what it does not explain is reported as itself."""
    scene, taps = judge.scene, judge.taps
    verdicts = judge.verdicts()
    offsets = judge.clocks.offsets(len(taps))
    for tap, offset in zip(taps, offsets, strict=True):
        tap.offset_ns = offset
    told = Told(offsets)
    outcomes = [_heard(observer, told) for observer in judge.observers]
    if scene.mode is None:
        shown = next((outcome for outcome in outcomes if outcome.mode is not None), None)
        if shown is not None:
            scene.mode, scene.mode_from = shown.mode, "inferred"
            scene.notes.append(f"mode {shown.mode}: {shown.because}")
    verdicts += [verdict for outcome in outcomes for verdict in outcome.verdicts]
    _links(judge)
    stated = spec.rules if spec is not None else RuleSelection()
    choice = Choice.of([*select, *stated.select], [*ignore, *stated.ignore])
    for option, words in (("select", select), ("ignore", ignore)):
        for word in filter(is_cell, words):
            if not any(v.cell.startswith(word) for v in verdicts):
                notes = [*notes, f"--{option} {word}: no cell of this report begins with that"]
    causes, explained = diagnose(judge, verdicts, told.sections, spec) if diagnose is not None else ([], [])
    left = [v for v in verdicts if choice.shows_cell(v.cell) and not any(v is e for e in explained)]
    findings, said = _wanted([*causes, *_findings(taps, left)], choice, spec)
    symptoms = {cell for finding in findings for cell in finding.symptoms}
    kept = [v for v in verdicts if choice.shows_cell(v.cell) or v.cell in symptoms]
    header = scene.mode in REWRITES
    profile = judge.profiles[0] if scene.profile == "any" and judge.profiles else scene.profile
    return Report(
        mode=scene.mode,
        mode_from=scene.mode_from,
        profile=profile if header else None,
        mechanisms=_mechanisms(scene, outcomes),
        service=service_of(scene),
        nodes=tuple(_node(scene.book, p) for p in _in_path_order(scene)),
        path=_path(scene),
        taps=tuple(Tap(t.name, t.file, t.interface, t.node, t.link, t.packets, t.octets, t.offset_ns) for t in taps),
        journeys=_journeys(judge),
        findings=tuple(findings),
        cells=tuple(_cell(v) for v in kept),
        traffic=_traffic(judge),
        **told.sections,
        notes=(
            *scene.notes,
            *(note for outcome in outcomes for note in outcome.notes),
            *_out_of_the_way(judge),
            *_mirror_notes(judge),
            *notes,
            *said,
        ),
        fail_on=cast(FailOn, fail_on),
    )


def _heard(observer: Observer, told: Told) -> Outcome:
    outcome = observer.conclude(told)
    if observer.name:
        told.sections[observer.name] = outcome.section
    return outcome


def _mechanisms(scene: Scene, outcomes: list[Outcome]) -> tuple[Mode, ...]:
    seen = [outcome.mechanism for outcome in outcomes]
    return tuple(dict.fromkeys(mode for mode in (cast("Mode | None", scene.mode), *seen) if mode is not None))


def _cell(v: Verdict) -> CellVerdict:
    verdict = "fail" if v.failed else "pass" if v.checked else "not_observable"
    return CellVerdict(v.cell, v.hop, _direction(v.direction), cast(Any, verdict), v.checked, v.failed, v.reason)


def _direction(number: int) -> Direction:
    return cast(Direction, DIRECTIONS[number])


def _journeys(judge: Judge) -> tuple[Journey, ...]:
    """Pairs of points in the order of the path, by protocol."""
    rank = judge.joiner.ranks()
    keys = [k for k in judge.pairs if judge.pairs[k]]
    keys.sort(key=lambda k: (judge.ends[k[:2]][0].direction, rank[k[0]], rank[k[1]], k[2]))
    out = []
    for a, b, proto in keys:
        source, target = judge.ends[a, b]
        counts = judge.pairs[a, b, proto], judge.alone[a, b, proto]
        out.append(Journey(source.name, target.name, _direction(source.direction), proto, *counts))
    return tuple(out)


# --- findings ---------------------------------------------------------------------------------------------------------

_PRESENCE: Final = ("vip-frame-to-lb", "absent", "answered-by-vip", "answered", "appears", "arp-silent")
"""Presence cells, what happens first on the path in front: a break there explains those behind it."""

_WORDS: Final = {
    "answered": "requests to the service are not answered",
    "appears": "packets go in and do not come out",
    "answered-by-vip": "the answer comes from another address than the one that was asked",
    "absent": "replies go to the load balancer instead of straight back to the client",
    "vip-frame-to-lb": "frames for the VIP go to a real server, past the load balancer",
    "arp-silent": "more than the owner claims the VIP towards its neighbours",
}


def _kind(cell: str) -> str | None:
    """The presence cell that an id names, or None for a field."""
    last = cell.rsplit(".", 1)[-1]
    return last if last in _PRESENCE else None


def _wanted(findings: list[Finding], choice: Choice, spec: Spec | None) -> tuple[list[Finding], list[str]]:
    """(what is selected and not allowed, loudest first and causes before mere symptoms; notes on what is left out)."""
    kept, notes = [], []
    for finding in findings:
        rules = allowed(finding, spec.allow if spec is not None else ())
        if not choice.shows(finding):
            notes.append(f"left out by --select, --ignore or [rules]: {where(finding)}")
        elif rules:
            reasons = "; ".join(dict.fromkeys(rule.reason for rule in rules))
            notes.append(f"allowed: {where(finding)}: {reasons}")
        else:
            kept.append(finding)
    return sorted(kept, key=lambda x: -_SEVERITIES.index(x.severity)), notes


def _findings(taps: list[TapInfo], verdicts: list[Verdict]) -> list[Finding]:
    """Failed cells as findings: one for each thing that broke, consequences under their cause."""
    groups: dict[tuple[Any, ...], list[Verdict]] = defaultdict(list)
    for v in verdicts:
        if v.failed:
            # A presence cell is one symptom wherever it shows; fields that break together at a node are one change.
            groups[(v.cell,) if _kind(v.cell) or v.message else (_node_of(v.cell), v.direction, v.severity)].append(v)
    return _causes_first([_finding(taps, group) for group in groups.values()])


def _node_of(cell: str) -> str:
    """``mode.node`` of a cell's id."""
    return ".".join(cell.split(".")[:2])


def _finding(taps: list[TapInfo], group: list[Verdict]) -> Finding:
    # The cell with most failures leads; an address, a tag or the payload before the checksum that follows from it.
    lead = max(group, key=lambda v: (_SEVERITIES.index(v.severity), v.failed, v.field in LEADING))
    frames: list[FrameRef] = []
    for v in group:
        for tap, number in v.frames:
            ref = FrameRef(taps[tap].file, number)
            if ref not in frames and len(frames) < 10:
                frames.append(ref)
    same = [v for v in group if v.cell == lead.cell]
    nodes = tuple(dict.fromkeys(n for v in group for n in v.nodes))
    failed, checked = sum(v.failed for v in same), sum(v.checked for v in same)
    if _kind(lead.cell) == "answered-by-vip":  # every tap sees the same answers
        failed, checked = max((v.failed, v.checked) for v in same)
    return Finding(
        code=lead.cell,
        name=lead.cell.replace(".", "-"),
        severity=cast(Severity, max((v.severity for v in group), key=_SEVERITIES.index)),
        message=_message(lead, ", ".join(dict.fromkeys(v.hop for v in same if v.hop)), failed, checked),
        node=nodes[0] if nodes else None,
        nodes=nodes,
        tap=taps[lead.tap].name if lead.tap is not None else None,
        count=failed,
        frames=tuple(frames),
        field=lead.wireshark,
        expected=lead.expected or None,
        actual=lead.actual or None,
        filter=frame_filter(frames),
        symptoms=tuple(dict.fromkeys(v.cell for v in group)),
    )


def _message(lead: Verdict, hops: str, failed: int, checked: int) -> str:
    if lead.message:
        return lead.message
    if lead.field == "mode":
        return f"{lead.expected} is stated, but the packets show {lead.actual}"
    kind = _kind(lead.cell)
    what = _WORDS[kind] if kind else f"{lead.field} does not come out as it must"
    where = f" at {hops}" if hops else ""
    unit = "connections" if kind == "answered" or lead.field == "answered" else "packets"
    values = f": expected {lead.expected}, found {lead.actual}" if lead.expected and lead.actual else ""
    return f"{what}{where} ({failed} of {checked} {unit}){values}"


def _causes_first(findings: list[Finding]) -> list[Finding]:
    """Fold what follows from an earlier break on the path into the finding of that break; loudest first."""
    loud = [x for x in findings if x.severity == "error"]

    def place(x: Finding) -> int:
        kind = _kind(x.code)
        return -1 if kind is None else _PRESENCE.index(kind)

    causes = sorted((x for x in loud if place(x) < _PRESENCE.index("arp-silent")), key=place)
    if causes:
        cause = causes[0]
        folded = [x for x in loud if x is not cause and place(x) >= 0]
        symptoms = dict.fromkeys([*cause.symptoms, *(s for x in folded for s in x.symptoms)])
        merged = replace(cause, symptoms=tuple(symptoms))
        findings = [merged if x is cause else x for x in findings if not any(x is y for y in folded)]
    return sorted(findings, key=lambda x: (-_SEVERITIES.index(x.severity), -x.count))


# --- the set-up -------------------------------------------------------------------------------------------------------


def _node(book: AddressBook, party: Party) -> Node:
    ips = sorted(party.ips, key=lambda a: book.sort_key([a]))
    shown = ips[:MOST_CLIENTS] if party.role == "client" else ips
    return Node(
        party.name, party.role, tuple(book.text(a) for a in shown), tuple(mac_text(m) for m in sorted(party.macs))
    )


def _in_path_order(scene: Scene) -> list[Party]:
    order = ("client", "router", "bridge", "lb", "real-server", "resolver")
    return sorted(scene.parties, key=lambda p: order.index(p.role))


def service_of(scene: Scene) -> Service:
    """What is balanced, as reports say it."""
    names = {6: "tcp", 17: "udp"}
    ports = []
    for (proto, vport), rports in sorted(scene.services.items()):
        if proto not in names:
            continue
        shown = [f":{rport}" if rport != vport else "" for rport in sorted(rports or {vport})]
        ports += [f"{names[proto]}/{vport}{own}" for own in shown]
    tunnel: dict[str, Any] | None = None
    if scene.mode == "l3dsr-tunnel" and scene.tunnel:
        name = TUNNEL_NAMES[scene.tunnel]
        tunnel = {"type": "gue" if name == "gue1" else name}
        if name.startswith("gue"):
            tunnel["variant"] = 1 if name == "gue1" else 0
            if len(scene.tunnel_ports) == 1:
                tunnel["port"] = next(iter(scene.tunnel_ports))
    return Service(tuple(sorted(scene.address(v) for v in scene.vips)), tuple(ports), tunnel, _dscp(scene))


def _dscp(scene: Scene) -> dict[Any, Any]:
    """Tag to VIP; per node where the tag depends on the server."""
    vips = sorted(scene.address(v) for v in scene.vips)
    if scene.mode != "l3dsr-dscp" or not vips:
        return {}
    if scene.tag_of_vip:
        return {tag: scene.address(v) for tag, v in scene.tag_of_vip.items()}
    tags = {pair: c.most_common(1)[0][0] for pair, c in scene.tags.items()}
    vip_of: dict[int, set[int]] = defaultdict(set)
    tag_of: dict[int, set[int]] = defaultdict(set)
    for (vip, _), tag in tags.items():
        vip_of[tag].add(vip)
        tag_of[vip].add(tag)
    if all(len(v) == 1 for v in vip_of.values()) and all(len(t) == 1 for t in tag_of.values()):
        return {tag: scene.address(next(iter(v))) for tag, v in vip_of.items()}
    out: dict[Any, Any] = defaultdict(dict)
    for (vip, rip), tag in tags.items():
        party = scene.party_of_ip(rip)
        out[party.name if party is not None else scene.address(rip)][tag] = scene.address(vip)
    return dict(out)


def _links(judge: Judge) -> None:
    """Letters of links: A at the client, B at the load balancer's outside, C behind it."""
    scene = judge.scene
    for i, tap in enumerate(judge.taps):
        macs = judge.link_macs[i]
        if tap.link is not None or not macs:
            continue
        if macs & scene.macs("client") and macs & scene.macs("lb"):
            continue  # a capture of several links
        if macs & scene.macs("client"):
            tap.link = "A"
        elif macs & scene.macs("lb"):
            inside = scene.mode in ("nat", "fullnat") and judge.forms_at[i] == {REWRITTEN}
            tap.link = "C" if inside else "B"
        elif scene.mode in ("l3dsr-tunnel", "l3dsr-dscp"):
            tap.link = "C"


def _path(scene: Scene) -> Path:
    """The row of nodes, real servers by their role where there are several."""
    if scene.path_request or scene.path_reply:
        return Path(scene.path_request, scene.path_reply)
    if scene.mode not in (*REWRITES, "l7", "dns-rr"):
        return Path()

    def one(role: str, fallback: str) -> list[str]:
        parties = scene.role(role)
        return [parties[0].name] if len(parties) == 1 else [role] if parties else [fallback] if fallback else []

    client, server, lb = one("client", "client"), one("real-server", "real-server"), one("lb", "lb")
    router = [p.name for p in scene.role("router")]
    routed = router if len(router) <= 1 else ["..."]
    if scene.mode == "l2dsr":
        return Path((*client, *routed, *lb, *server), (*server, *routed, *client))
    if scene.mode == "dns-rr":
        return Path((*client, *routed, *server), (*server, *routed, *client))
    if scene.mode in ("nat", "fullnat", "l7"):
        return Path((*client, *routed, *lb, *server), (*server, *lb, *routed, *client))
    return Path((*client, *routed, *lb, *routed, *server), (*server, *routed, *client))


def _traffic(judge: Judge) -> Traffic:
    octets = judge.octets
    seen = set().union(*judge.link_macs.values())
    if judge.scene.mode not in REWRITES or (judge.scene.macs("lb") and not seen & judge.scene.macs("lb")):
        return Traffic(octets.request, octets.reply)
    return Traffic.of(octets.request, octets.reply, octets.crossed)


def _mirror_notes(judge: Judge) -> list[str]:
    why = "frames are there twice (a mirror port of both directions, or merged captures of one link); copies left out"
    return [f"{judge.taps[t].name}: {why}" for t in sorted(judge.joiner.mirrors)]


def _out_of_the_way(judge: Judge) -> list[str]:
    """Taps that show none of the packets that others show: a verdict on the service is none on them."""
    if judge.scene.mode not in REWRITES:
        return []
    seen = {point.tap for direction in DIRECTIONS for point in judge.joiner.points(direction)}
    return [out_of_the_way(tap.name) for i, tap in enumerate(judge.taps) if seen and i not in seen]
