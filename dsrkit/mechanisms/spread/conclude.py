"""From counts to the section and the verdicts of load spread."""

from __future__ import annotations

from collections import Counter
from typing import Final

from dsrkit.mechanisms.spread.collect import Collector, Counts
from dsrkit.mechanisms.spread.moves import Move
from dsrkit.mechanisms.statistics import fairness
from dsrkit.model.sections import Spread
from dsrkit.model.sections.spread import Evenness, Fairness, Load
from dsrkit.tables.checks.spread import AT_ONCE, CHECKS, ELSEWHERE, FLOW_KEPT, RESTED, STRAYED
from dsrkit.verify.frames import PROTOCOLS, REQUEST, TCP
from dsrkit.verify.observer import Told
from dsrkit.verify.scene import Party, Scene
from dsrkit.verify.verdicts import Verdict

_MOST_PAIRS: Final = 3
_SECOND: Final = 1_000_000_000
_REST_NS: Final = _SECOND
"""No timeout of a load balancer is shorter than this: what moves after less was not forgotten for its silence."""


def section(scene: Scene, collector: Collector) -> tuple[Spread, ...]:
    """Every service that got a connection, in the order of addresses and ports."""
    servers, balancers = scene.role("real-server"), scene.role("lb")
    services = sorted({service for service, _ in collector.servers.connections}, key=lambda s: _place(scene, s))
    pools: dict[int, set[int]] = {}  # servers that got anything for a VIP may serve its other ports
    for service, who in collector.servers.connections:
        pools.setdefault(service >> 24, set()).add(who)
    out = []
    for service in services:
        pool = sorted(pools[service >> 24])
        loads = tuple(_load(collector.servers, service, who, servers) for who in [w for w in pool if w >= 0] + [-1])
        loads = tuple(load for load in loads if load.name is not None or load != Load(None))
        forwarders = range(-1, len(balancers)) if len(balancers) > 1 else range(len(balancers))
        vip, port = _names(scene, service)
        out.append(
            Spread(
                vip,
                port,
                loads,
                tuple(
                    load
                    for load in (_load(collector.balancers, service, who, balancers) for who in forwarders)
                    if load.name is not None or load.connections
                ),
                evenness([load.connections for load in loads if load.name is not None]),
                collector.moved[service],
                collector.rescheduled[service],
                collector.handed_over[service],
            )
        )
    return tuple(out)


def evenness(connections: list[int]) -> Fairness:
    """Whether chance explains the counts of the servers that got any connection."""
    counts = [count for count in connections if count]
    test = fairness(counts)
    verdict: Evenness = "uneven" if test.uneven else "even" if test.conclusive else "too-few"
    return Fairness(verdict, test.method, test.total, test.categories, _rounded(test.p_value), round(test.jain, 4))


def verdicts(scene: Scene, collector: Collector, told: Told) -> list[Verdict]:
    """Whether connections stayed with their servers."""
    if not collector.servers.connections:
        return []
    check = CHECKS[FLOW_KEPT]
    verdict = Verdict(
        f"{scene.mode}.{FLOW_KEPT}",
        "flow-kept",
        REQUEST,
        check.severity,
        place="all taps",
        nodes=tuple(p.name for p in scene.role("lb")),
        checked=collector.judged.total(),
        failed=collector.moved.total(),
    )
    if not verdict.checked:
        tcp = any(service >> 16 & 0xFF == TCP for service, _ in collector.servers.connections)
        shown = "no tap shows which real server the packets of a TCP connection go to"
        verdict.reason = shown if tcp else "no TCP connection in the capture"
    moves = collector.moves
    if moves:
        verdict.tap = moves[0].after[0]
        verdict.expected, verdict.actual = (f"{_server(scene, moves[0].servers[i])}" for i in (0, 1))
        verdict.show(frame for move in moves for frame in (move.before, move.after) if frame is not None)
        sign = _sign(moves)
        verdict.signs = frozenset({sign} - {""})
        verdict.message = _message(scene, collector, sign, bool(told.sections.get("takeovers")))
        suspects = {b for move in moves for b in move.balancers if b >= 0}
        verdict.nodes = tuple(p.name for i, p in enumerate(scene.role("lb")) if not suspects or i in suspects)
    return [verdict]


def _sign(moves: list[Move]) -> str:
    """What tells the cause of moves; "" where nothing does."""
    if all(move.at_once for move in moves):
        return AT_ONCE
    if any(-1 not in m.balancers and m.balancers[0] != m.balancers[1] for m in moves):
        return ELSEWHERE
    back = {id(move) for pair in _round_trips(moves) for move in pair}
    for_good = [move for move in moves if id(move) not in back]
    if not for_good:
        return STRAYED
    return RESTED if all(move.silence >= _REST_NS for move in for_good) else ""


def _round_trips(moves: list[Move]) -> list[tuple[Move, Move]]:
    """Moves of a connection that was not silent, and those by which it is back at its server."""
    away: dict[tuple[int, int], Move] = {}
    out = []
    for move in sorted(moves, key=lambda move: move.when):
        connection = move.service, move.client
        left = away.pop(connection, None)
        if left is not None and left.servers == move.servers[::-1] and left.silence < _REST_NS:
            out.append((left, move))
        else:
            away[connection] = move
    return out


def _message(scene: Scene, collector: Collector, sign: str, takeover: bool) -> str:
    moves = collector.moves
    many = collector.moved.total()
    what = "connection was" if many == 1 else "connections were"
    if sign == STRAYED:
        moves = [left for left, _ in _round_trips(moves)]
        what = "connection was for some packets" if many == 1 else "connections were for some packets"
    ways = _ways(scene, moves)
    first = min(moves, key=lambda move: move.when)
    example = f"the first is that of {scene.address(first.client >> 16)} port {first.client & 0xFFFF}"
    if len(moves) > 1:
        span = (max(m.when for m in moves) - min(m.when for m in moves)) / _SECOND
        example += f", all within {span:.3g} s"
    if sign == AT_ONCE:
        syns = f"the SYN of {many:,} connection{'' if many == 1 else 's'}"
        return f"{syns} went to one real server and what followed to another ({ways}); {example}"
    text = f"{many:,} {what} sent to another real server in the middle ({ways}); {example}. "
    if sign == ELSEWHERE:
        cause = "the VIP was taken over" if takeover else "the path to the VIP changed (equal-cost routes, say)"
        return text + f"Another load balancer got their packets because {cause}, and did not know where they belong"
    if sign == STRAYED:
        return text + "What follows goes to the first server again: the load balancer has not forgotten it"
    if sign == RESTED:
        least = min(move.silence for move in moves) / _SECOND
        return text + (
            f"The load balancer stayed the same and had forgotten where they belong: their clients had sent nothing for"
            f" {least:.3g} s or more"
        )
    return text + "The load balancer stayed the same, and not all of them had been silent"


def _ways(scene: Scene, moves: list[Move]) -> str:
    """The most frequent changes, with the load balancers where those changed too."""
    lbs = scene.role("lb")
    ways: Counter[str] = Counter()
    for m in moves:
        ends = [_server(scene, s) for s in m.servers]
        if -1 not in m.balancers and m.balancers[0] != m.balancers[1]:
            ends = [f"{lbs[b].name} to {end}" for b, end in zip(m.balancers, ends, strict=True)]
            ways[f"{ends[0]}, then {ends[1]}"] += 1
        else:
            ways[f"{ends[0]} to {ends[1]}"] += 1
    shown = [f"{way}: {count}" for way, count in ways.most_common(_MOST_PAIRS)]
    return "; ".join(shown) + ("; ..." if len(ways) > _MOST_PAIRS else "")


def _server(scene: Scene, index: int) -> str:
    return scene.role("real-server")[index].name


def _load(counts: Counts, service: int, who: int, parties: list[Party]) -> Load:
    key = service, who
    return Load(
        parties[who].name if who >= 0 else None,
        max(0, counts.connections[key]),
        counts.request_packets[key],
        counts.request_octets[key],
        counts.reply_packets[key],
        counts.reply_octets[key],
    )


def _names(scene: Scene, service: int) -> tuple[str | None, str]:
    vip, proto, port = service >> 24, service >> 16 & 0xFF, service & 0xFFFF
    return scene.address(vip) if vip else None, f"{PROTOCOLS.get(proto, proto)}/{port}"


def _place(scene: Scene, service: int) -> tuple[object, ...]:
    return (*scene.book.sort_key([service >> 24]), service & 0xFF_FFFF)


def _rounded(p_value: float | None) -> float | None:
    return None if p_value is None else float(f"{p_value:.3g}")
