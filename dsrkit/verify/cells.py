"""Field cells: the tables of the nodes between two points, composed, judged over all pairs at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.dscp import dscp_text
from dsrkit.model.names import REWRITES
from dsrkit.tables import tables
from dsrkit.tables.fields import FIELDS, WIRESHARK
from dsrkit.tables.nodes import cell_id, lifted
from dsrkit.tables.path import MAX_ROUTERS
from dsrkit.tables.rules import (
    Affine,
    Const,
    Field,
    Free,
    Recomputed,
    Role,
    Rule,
    Union,
    compose_all,
    keep,
    narrow,
    repeated,
)
from dsrkit.verify.arrays import among
from dsrkit.verify.frames import DIRECTIONS, REQUEST, TUNNEL_NAMES, UDP, Frames, Ints, Mask
from dsrkit.verify.journeys import DECAPSULATED, PLAIN, REWRITTEN, Hop, Journeys, Way
from dsrkit.verify.judged import CHECKSUM_FIELDS, checksum_state, column
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import MOST_FRAMES, Point, Verdict
from dsrkit.wire import layout
from dsrkit.wire.address import mac_text

ADVISORY: Final = frozenset(
    {
        "ip.dsfield.dscp",
        "ip.dsfield.ecn",
        "outer.dsfield.dscp",
        "outer.dsfield.ecn",
        "tcp.options",
        "tcp.window_size_value",
        "l4.checksum",
        "ipv6.flow",
        "ip.id",
    }
)
"""Fields that a router's own features (marking, MSS clamping, checksum repair after it) change in healthy networks."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What lies between two points: kinds of node in order, and their composed rules."""

    kinds: tuple[str, ...]  # what the cell id names
    rules: dict[str, Rule]
    nodes: tuple[str, ...]  # names for messages


def judge_hops(f: Frames, scene: Scene, journeys: Journeys, profile: str) -> list[Verdict]:
    """Every field cell of every hop between neighbouring sightings."""
    out: list[Verdict] = []
    for way in journeys.ways.values():
        for hop in way.hops(sure=True):
            if way.is_rare(hop):
                continue
            forward = _without_handover(f, scene, _forward(f, hop))
            stretch = between(f, scene, forward, profile) if len(forward.before) else None
            if stretch is not None:
                out += judge(f, scene, forward, stretch)
        if scene.mode == "l3dsr-tunnel" and way.direction == REQUEST:
            out += _wrapped_only(f, scene, way, profile)
    return out


def _forward(f: Frames, hop: Hop) -> Hop:
    """The pairs of a hop that go its way: nothing raises a TTL, so where it rises a packet went the other way."""
    assert hop.source is not None
    ahead = _wire_fall(f, hop.before, hop.after, hop.source, hop.target) >= 0
    return hop if ahead.all() else hop.take(ahead)


def _without_handover(f: Frames, scene: Scene, hop: Hop) -> Hop:
    """The pairs of a hop that one load balancer does not pass on to another one.

    Where a VIP has moved, its old owner routes what still comes to it to the new one: no rewrite is made there.
    """
    if hop.source is None or len(scene.role("lb")) < 2:
        return hop
    handed = np.zeros(len(hop.after), bool)
    for party in scene.role("lb"):
        others = scene.macs("lb") - party.macs
        handed |= among(f.eth_src[hop.after], list(party.macs)) & among(f.eth_dst[hop.after], list(others))
    return hop.take(~handed) if handed.any() else hop


def between(f: Frames, scene: Scene, hop: Hop, profile: str) -> Stretch | None:
    """The nodes between two points and their table; None where the packets do not tell what lies between."""
    a, b = hop.source, hop.target
    assert a is not None
    rows_a, rows_b = hop.before, hop.after
    mode = scene.mode if scene.mode in REWRITES else None
    direction = DIRECTIONS[b.direction]
    fall = _wire_fall(f, rows_a, rows_b, a, b)
    if a.form == b.form:
        return _plain_stretch(f, scene, mode, direction, hop, fall)
    if b.form == DECAPSULATED:
        return Stretch(("real-server",), {}, _names(scene, "real-server"))
    if mode is None or {a.form, b.form} != {PLAIN, REWRITTEN}:
        return None
    lb_macs = scene.macs("lb")
    at_lb_in = _all_in(f.eth_dst[rows_a], lb_macs)
    at_lb_out = _all_in(f.eth_src[rows_b], lb_macs)
    if not at_lb_in and not at_lb_out and bool((fall <= 1).all()):
        at_lb_in = at_lb_out = True  # no room for a router beside the load balancer
    elif at_lb_in and at_lb_out and bool((fall > 1).all()) and not _known_as_one(f, scene, hop):
        at_lb_in = at_lb_out = False  # what the taps show are the routers on its two sides
    lb = {c.field: narrow(c.rule, profile) for c in tables(mode).table("lb", direction).cells}
    parts, kinds = [], []
    if not at_lb_in:
        parts.append(_routers(mode, direction, 0))
        kinds.append("router")
    parts.append(lb)
    kinds.append("lb")
    if not at_lb_out:
        behind = _routers(mode, direction, 0)
        parts.append(lifted(behind) if tables(mode).table("lb", direction).pushes else behind)
        kinds.append("router")
    names = tuple(n for kind in dict.fromkeys(kinds) for n in _names(scene, kind))
    return Stretch(tuple(dict.fromkeys(kinds)), compose_all(parts), names)


def _known_as_one(f: Frames, scene: Scene, hop: Hop) -> bool:
    """Whether the machine that takes requests and the one that sends them on are the load balancer itself."""
    macs = scene.macs("lb")
    owns = any((vip, mac) in scene.claims for vip in scene.vips for mac in macs)
    same = bool((f.eth_dst[hop.before] == f.eth_src[hop.after]).all())
    return owns or same or any(p.stated for p in scene.role("lb"))


def _routers(mode: str | None, direction: str, low: int, high: int = MAX_ROUTERS) -> dict[str, Rule]:
    """The table of so many routers in a row."""
    return repeated(tables(mode).table("router", direction).rules(), low, high)


def _plain_stretch(f: Frames, scene: Scene, mode: str | None, direction: str, hop: Hop, fall: Ints) -> Stretch | None:
    a, b = hop.before, hop.after
    moved = (f.eth_src[a] != f.eth_src[b]) | (f.has_eth_dst[a] & f.has_eth_dst[b] & (f.eth_dst[a] != f.eth_dst[b]))
    if not moved.any() and bool((fall == 0).all()):
        bridge = {c.field: c.rule for c in tables(mode).table("bridge", direction).cells}
        return Stretch(("bridge",), bridge, ())
    if bool((fall <= 0).all()) and mode is None:
        return None  # something hands frames on without routing: not for us to say what
    near = scene.party_of_mac(int(f.eth_dst[a[0]]))
    far = scene.party_of_mac(int(f.eth_src[b[0]]))
    single = near is not None and near is far and near.role == "router"
    if near is not None and single:  # so for every pair, not for the first alone
        single = _all_in(f.eth_dst[a], near.macs) and _all_in(f.eth_src[b], near.macs)
    rules = _routers(mode, direction, 1, 1) if single else _routers(mode, direction, 0)
    if hop.target.form == REWRITTEN and mode is not None and tables(mode).table("lb", "request").pushes:
        rules = lifted(rules)
    named = (near.name,) if near is not None and single else _names(scene, "router")
    return Stretch(("router",), rules, named)


def _wrapped_only(f: Frames, scene: Scene, way: Way, profile: str) -> list[Verdict]:
    """Tunnel packets whose plain form no tap holds: the outer header is judged against the packet inside it.

    The packet before the load balancer is then the inner one with the TTL that the load balancer's table takes.
    """
    plain = np.asarray([p.form == PLAIN for p in way.points], bool)
    wrapped = [i for i, p in enumerate(way.points) if p.form == REWRITTEN]
    if not wrapped or not len(way.rows):
        return []
    bare = ~(way.rows[:, plain] >= 0).any(axis=1)
    lb = {c.field: narrow(c.rule, profile) for c in tables(scene.mode).table("lb", "request").cells}
    known = _known_inside(lb)
    out = []
    for i in wrapped:
        earlier = [j for j in wrapped if j < i]
        first = bare & (way.rows[:, i] >= 0) & ~(way.rows[:, earlier] >= 0).any(axis=1)
        if not first.any():
            continue
        rows = way.rows[first, i]
        at_lb = _all_in(f.eth_src[rows], scene.macs("lb"))
        rules = known if at_lb else compose_all([known, lifted(_routers(scene.mode, "request", 0))])
        outer = {k: r for k, r in rules.items() if k.startswith(("outer.", "tunnel."))}
        out += judge(
            f,
            scene,
            Hop(None, way.points[i], rows, rows, None if way.weight is None else way.weight[first]),
            Stretch(("lb",), outer, _names(scene, "lb")),
            only=tuple(outer),
        )
    return out


def _known_inside(lb: dict[str, Rule]) -> dict[str, Rule]:
    """The load balancer's rules in terms of the inner packet behind it instead of the packet before it."""
    ttl = lb.get("ip.ttl")
    steady = isinstance(ttl, Affine) and ttl.low == ttl.high

    def seen(rule: Rule) -> Rule:
        if isinstance(rule, Affine) and rule.base == Field("ip.ttl"):
            if not steady or not isinstance(ttl, Affine):
                return Free()
            return Affine(rule.base, rule.low - ttl.low, rule.high - ttl.low)
        if isinstance(rule, Union):
            parts = tuple(seen(r) for r in rule.rules)
            return Free() if any(isinstance(p, Free) for p in parts) else Union(parts)
        return rule

    return {name: seen(rule) for name, rule in lb.items()}


def judge(f: Frames, scene: Scene, hop: Hop, stretch: Stretch, *, only: tuple[str, ...] | None = None) -> list[Verdict]:
    """All cells of one hop; `only` some fields where there is no packet before."""
    mode = scene.mode if scene.mode in REWRITES else "path"
    assert mode is not None
    direction = DIRECTIONS[hop.target.direction]
    out = []
    for name, rule in _binding(f, hop, stretch, only or FIELDS):
        seen, bad, reason = _weighed(f, scene, hop, name, rule)
        verdict = Verdict(
            cell_id(mode, "+".join(stretch.kinds), direction, name),
            name,
            hop.target.direction,
            _severity(mode, stretch, name, direction, hop),
            hop.source,
            hop.target,
            nodes=stretch.nodes,
            tap=hop.target.tap,
            checked=hop.count(seen),
        )
        if not verdict.checked:
            if reason is None:
                continue
            verdict.reason = reason
        if len(bad):
            _fail(f, scene, verdict, rule, hop, bad, paired=only is None)
        out.append(verdict)
    return out


def _binding(f: Frames, hop: Hop, stretch: Stretch, names: Iterable[str]) -> Iterator[tuple[str, Rule]]:
    """The fields that a hop's packets have and that are not free to be anything, with their rules."""
    wrapped = bool((f.tunnel[hop.after] > 0).any())
    for name in names:
        rule = stretch.rules.get(name, keep(name))
        if not isinstance(rule, Free) and (wrapped or not name.startswith(("outer.", "tunnel."))):
            yield name, rule


def _fail(f: Frames, scene: Scene, verdict: Verdict, rule: Rule, hop: Hop, bad: Ints, *, paired: bool) -> None:
    """Count failures, keep the first frames, and say what was expected and found."""
    verdict.failed = len(bad)
    for i in bad[:MOST_FRAMES]:
        rows = (hop.before[i], hop.after[i]) if paired else (hop.after[i],)
        verdict.show(f.ref(int(r)) for r in rows)
    first = bad[0]
    verdict.expected, verdict.actual = explain(
        f, scene, verdict.field, rule, int(hop.before[first]), int(hop.after[first])
    )
    verdict.wireshark = wireshark_name(f, verdict.field, int(hop.after[first]))


def wireshark_name(f: Frames, name: str, row: int) -> str:
    """A judged field under the name that Wireshark has for it in this packet."""
    if f.ver[row] == 6:
        name = {"ip.ttl": "ipv6.hlim", "ip.src": "ipv6.src", "ip.dst": "ipv6.dst"}.get(name, name)
    if name in WIRESHARK:
        return WIRESHARK[name][-1 if f.proto[row] == UDP else 0]
    return name


def _severity(mode: str, stretch: Stretch, name: str, direction: str, hop: Hop) -> str:
    if "lb" in stretch.kinds:
        return "error"
    tag = mode == "l3dsr-dscp" and name == "ip.dsfield.dscp" and direction == "request" and hop.target.form == REWRITTEN
    return "error" if tag or name not in ADVISORY or "router" not in stretch.kinds else "info"


# --- rules as predicates over columns ---------------------------------------------------------------------------------


def evaluate(
    f: Frames, scene: Scene, name: str, rule: Rule, before: Ints, after: Ints
) -> tuple[Mask, Mask, str | None]:
    """(passes, observable, why not observable) for each pair. Shape: (pairs,)."""
    passed, seen, reason = _evaluate(f, scene, name, rule, before, after)
    if name in _OF_A_WHOLE_DATAGRAM:
        # A datagram that was put together (or cut) between the points: only what every part carries can be compared.
        seen = seen & (f.fragment[before] == f.fragment[after])
    return passed, seen, reason


_OF_A_WHOLE_DATAGRAM: Final = frozenset(
    {"ip.len", "ip.frag_offset", "ip.flags.df", "l4.payload", "l4.checksum", "outer.len"}
)


def _evaluate(
    f: Frames, scene: Scene, name: str, rule: Rule, before: Ints, after: Ints
) -> tuple[Mask, Mask, str | None]:
    if isinstance(rule, Recomputed) or (name in CHECKSUM_FIELDS and not isinstance(rule, Affine)):
        return _recomputed(f, name, before, after)
    value, seen = column(f, name, after)
    if isinstance(rule, Affine):
        passed, known = _affine(f, scene, rule, value, before, after)
        if rule == keep(name) and name in CHECKSUM_FIELDS:
            passed, known = _kept_checksum(f, name, passed, known, before, after)
        observable = seen & known
        return passed, observable, None if observable.any() else _why(f, name, seen, known, rule)
    assert isinstance(rule, Union)
    passed, observable = np.zeros(len(after), bool), np.zeros(len(after), bool)
    unknown = np.zeros(len(after), bool)
    for part in rule.rules:
        if part == keep("l4.dstport") and scene.odd_ports:
            continue  # the servers' ports are stated, and others are in use
        if isinstance(part, Recomputed):
            p, o, _ = _recomputed(f, name, before, after)
        else:
            assert isinstance(part, Affine)
            p, o = _affine(f, scene, part, value, before, after)
        passed |= p & o
        observable |= o
        unknown |= ~o
    # A branch that could not be looked at might have been the one that holds.
    observable &= seen & (passed | ~unknown)
    return passed, observable, None if observable.any() else _why(f, name, seen, observable, rule)


def _affine(f: Frames, scene: Scene, rule: Affine, value: Ints, before: Ints, after: Ints) -> tuple[Mask, Mask]:
    match rule.base:
        case Field(source):
            base, known = column(f, source, before)
            if rule.low == rule.high == 0:
                return value == base, known
            delta = value - base
            return (delta >= rule.low) & (delta <= rule.high), known
        case Const(number):
            delta = value - number
            return (delta >= rule.low) & (delta <= rule.high), np.ones(len(value), bool)
        case Role("real-server", "dscp"):
            return _tag(f, scene, value, before, after)
        case Role(role, what):
            return _of_role(scene, role, what, value)
    raise AssertionError(rule)


def _of_role(scene: Scene, role: str, what: str, value: Ints) -> tuple[Mask, Mask]:
    """Values that a role has. Inferred machines are never surely all: only a value of another role is then wrong."""
    allowed = role_values(scene, role, what)
    mine = among(value, list(allowed))
    if not allowed or what not in ("ip", "mac") or role == "vip" or any(p.stated for p in scene.role(role)):
        return mine, np.full(len(value), bool(allowed))
    others = [p for p in scene.parties if p.role != role]
    taken = set().union(*((p.ips if what == "ip" else p.macs) for p in others)) if others else set()
    if what == "ip":
        taken |= scene.vips
    return mine, mine | among(value, list(taken - allowed))


def role_values(scene: Scene, role: str, what: str) -> set[int]:
    """The values that a role stands for; empty where they are not known."""
    if role == "service":
        if what == "tunnel":
            return {scene.tunnel} - {0} if scene.tunnel else set()
        return scene.tunnel_ports
    if role == "vip":
        return scene.vips if what == "ip" else {port for _, port in scene.services}
    if what == "port":
        return {p for ports in scene.services.values() for p in ports}
    values = scene.ips(role) if what == "ip" else scene.macs(role)
    # Addresses are only complete if every node of the role has some.
    parties = scene.role(role)
    complete = all(p.ips if what == "ip" else p.macs for p in parties)
    return values if complete else set()


def _tag(f: Frames, scene: Scene, value: Ints, before: Ints, after: Ints) -> tuple[Mask, Mask]:
    """The DSCP must be the one that stands for this VIP at this real server (or, by a spec, for this VIP anywhere)."""
    wanted = np.full(len(value), -1, np.int64)
    for (vip, rip), tags in scene.tags.items():
        wanted[(f.dst[before] == vip) & (f.dst[after] == rip)] = tags.most_common(1)[0][0]
    stated = np.zeros(len(value), bool)
    for tag, vip in scene.tag_of_vip.items():
        stated |= (value == tag) & (f.dst[before] == vip)
    known = (wanted >= 0) | bool(scene.tag_of_vip)
    return np.where(wanted >= 0, value == wanted, stated), known


def _recomputed(f: Frames, name: str, before: Ints, after: Ints) -> tuple[Mask, Mask, str | None]:
    state, seen = checksum_state(f, name, after)
    earlier, could = checksum_state(f, name, before)
    # Broken before it came here: not this hop's doing. A tunnel's checksums have no before.
    inherited = could & (earlier == layout.SUM_INVALID) & (not name.startswith(("outer", "tunnel")))
    observable = seen & ~inherited
    return (
        state != layout.SUM_INVALID,
        observable,
        None if observable.any() else "checksum cut off, fragmented or absent",
    )


def _kept_checksum(f: Frames, name: str, passed: Mask, known: Mask, before: Ints, after: Ints) -> tuple[Mask, Mask]:
    """A checksum that must not change, unless an offload engine had still to fill it in at one of the taps."""
    unfilled = (layout.SUM_PARTIAL, layout.SUM_ZERO)
    a, _ = checksum_state(f, name, before)
    b, _ = checksum_state(f, name, after)
    return passed, known & (passed | ~(among(a, unfilled) | among(b, unfilled)))


def _why(f: Frames, name: str, seen: Mask, known: Mask, rule: Rule) -> str | None:
    if name in ("eth.src", "eth.dst") and not seen.any():
        return "the link type has no such address"
    if name == "l4.payload" and not (seen & known).any():
        return "payload cut off"
    if isinstance(rule, Affine) and isinstance(rule.base, Role) and seen.any():
        return f"the {rule.base.what} of the {rule.base.role} is not known"
    return None  # the field does not exist in these packets: no cell


# --- words ------------------------------------------------------------------------------------------------------------


def explain(f: Frames, scene: Scene, name: str, rule: Rule, before: int, after: int) -> tuple[str, str]:
    """Expected and actual value of one failed pair, as text."""
    rows_a, rows_b = np.asarray([before]), np.asarray([after])
    value, _ = column(f, name, rows_b)
    if isinstance(rule, Recomputed) or name in CHECKSUM_FIELDS:
        return "a valid checksum" if isinstance(rule, Recomputed) else "unchanged", f"{int(value[0]):#06x}"
    return _expected(f, scene, name, rule, rows_a), show(f, name, int(value[0]))


def _expected(f: Frames, scene: Scene, name: str, rule: Rule, rows: Ints) -> str:
    match rule:
        case Affine(Field(source), low, high):
            base, known = column(f, source, rows)
            if not known[0]:
                return f"as {source}"
            if low == high == 0:  # a fingerprint has any sign
                return show(f, name, int(base[0]))
            ends = sorted({max(int(base[0]) + low, 0), max(int(base[0]) + high, 0)})
            return " to ".join(show(f, name, e) for e in ends)
        case Affine(Const(value), low, high):
            return " to ".join(show(f, name, e) for e in sorted({value + low, value + high}))
        case Affine(Role(role, what), _, _):
            if what == "dscp":
                return "the tag of the real server"
            return f"{what} of {role}"
        case Union(rules):
            return " or ".join(dict.fromkeys(_expected(f, scene, name, r, rows) for r in rules))
    return "a valid value"


def show(f: Frames, name: str, value: int) -> str:
    """A field's value the way Wireshark prints it."""
    if name in ("ip.src", "ip.dst", "outer.src", "outer.dst"):
        return f.book.text(value)
    if name in ("eth.src", "eth.dst"):
        return mac_text(value)
    if name.endswith("dscp"):
        return dscp_text(value)
    if name == "tunnel.type":
        return TUNNEL_NAMES[value] or "none"
    if name in ("ip.id", "outer.id", "tcp.flags", "tunnel.header", "l4.checksum", "ip.checksum"):
        return f"{value:#06x}"
    if name in ("tcp.options", "l4.payload"):
        return f"fingerprint {value & 0xFFFF_FFFF_FFFF_FFFF:016x}"
    return str(value)


def _names(scene: Scene, role: str) -> tuple[str, ...]:
    return tuple(p.name for p in scene.role(role))


def _all_in(values: Ints, macs: set[int]) -> bool:
    known = macs - {0}
    return bool(known) and bool(among(values, list(known)).all())


def _wire_fall(f: Frames, a: Ints, b: Ints, p: Point, q: Point) -> Ints:
    if p.form == q.form:
        return f.wire_ttl[a] - f.wire_ttl[b]
    return f.ttl[a] - np.minimum(f.ttl[b], f.wire_ttl[b])


def fitting_profiles(f: Frames, scene: Scene, journeys: Journeys, candidates: Collection[str]) -> list[str]:
    """Those of `candidates` whose load balancer's table every packet obeys; none where no packet crossed one."""
    checked: set[str] = set()
    failed: set[str] = set()
    for way in journeys.ways.values() if scene.mode in REWRITES else ():
        for every in way.hops():
            hop = _without_handover(f, scene, every)
            if not len(hop.after):
                continue
            known: dict[tuple[str, Rule], tuple[bool, bool]] = {}  # most rules are those of every profile
            for profile in candidates:
                stretch = between(f, scene, hop, profile)
                if stretch is None or "lb" not in stretch.kinds:
                    break  # whatever the profile
                for one in _binding(f, hop, stretch, FIELDS):
                    if one not in known:
                        seen, bad, _ = _weighed(f, scene, hop, *one)
                        known[one] = hop.count(seen) > 0, len(bad) > 0
                    if known[one][0]:
                        checked.add(profile)
                    if known[one][1]:
                        failed.add(profile)
    return [profile for profile in candidates if profile in checked - failed]


def _weighed(f: Frames, scene: Scene, hop: Hop, name: str, rule: Rule) -> tuple[Mask, Ints, str | None]:
    """The pairs in which a rule could be looked at, those that break it, and why nothing could be looked at."""
    passed, seen, reason = evaluate(f, scene, name, rule, hop.before, hop.after)
    bad = np.flatnonzero(seen & ~passed)
    f.blemished[hop.before[bad]] = f.blemished[hop.after[bad]] = True
    return seen, bad, reason
