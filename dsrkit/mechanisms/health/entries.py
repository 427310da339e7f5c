"""Checks as the report shows them, and the machines that they name."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from dsrkit.mechanisms.health.recognise import Check, server_text
from dsrkit.mechanisms.health.series import DOWN, UNKNOWN, UP, middle_ms
from dsrkit.mechanisms.health.traffic import Traffic
from dsrkit.model.frame import FrameRef
from dsrkit.model.sections.health_check import Change, HealthCheck
from dsrkit.verify.scene import Party, Scene, TapInfo

MOST_CHANGES: Final = 100
_WORDS: Final = {UP: "up", DOWN: "down", UNKNOWN: "unknown"}


def entry(
    check: Check, scene: Scene, taps: list[TapInfo], traffic: Traffic, offsets: list[int], lost: int
) -> HealthCheck:
    """One check for the report; `lost` of the clients' connections to its server were in vain."""
    series, base = check.series, check.series.base
    checker = scene.party_of_ip(base.source)
    source = scene.address(base.source)
    server = _server(check, scene)
    history = _history(check, taps, _times(traffic, server, offsets), offsets[check.tap])
    sizes = [series.size, *(other.size for other in check.others)]
    return HealthCheck(
        checker=checker.name if checker is not None else source,
        source=source,
        server=server_text(check, scene),
        address=scene.address(check.address) if check.address else None,
        kind=check.kind,
        target=scene.address(base.target),
        port=base.port,
        request=series.ask.text,
        size=max(sizes),
        through=check.through,
        carried=check.carried,
        tap=taps[check.tap].name,
        interval=check.interval,
        probes=len(series.at) + series.lost,
        passed=sum(r == UP for r in series.result),
        failed=sum(r == DOWN for r in series.result),
        answer_ms=middle_ms(series.answer_ns),
        timeout_ms=middle_ms(series.timeout_ns),
        first_ns=series.at[0],
        last_ns=series.at[-1],
        verdict=history[-1].verdict if history else "unknown",
        history=tuple(history[:MOST_CHANGES]),
        connections=traffic.total[server] if server >= 0 else 0,
        unanswered=lost if server >= 0 else 0,
    )


def _server(check: Check, scene: Scene) -> int:
    return next((i for i, party in enumerate(scene.role("real-server")) if party is check.party), -1)


def _times(traffic: Traffic, server: int, offsets: list[int]) -> list[int]:
    """When the server got new connections, by the first tap's clock."""
    if server not in traffic.times:
        return []
    pairs = zip(traffic.times[server], traffic.tap_of[server], strict=True)
    return sorted(at + offsets[tap] for at, tap in pairs)


def _history(check: Check, taps: list[TapInfo], times: list[int], offset: int) -> list[Change]:
    """Rows of equal verdicts; between two of them the traffic that tells how the load balancer took it."""
    series = check.series
    told = [i for i, result in enumerate(series.result) if result != UNKNOWN]
    firsts = [i for n, i in enumerate(told) if n == 0 or series.result[told[n - 1]] != series.result[i]]
    out = []
    for n, first in enumerate(firsts):
        until = firsts[n + 1] if n + 1 < len(firsts) else len(series.at)
        end = series.at[until] + offset if until < len(series.at) else None
        result = series.result[first]
        out.append(
            Change(
                at_ns=series.at[first],
                ms=round((series.at[first] - series.at[0]) / 1e6, 3),
                verdict=_WORDS[result],
                reason=series.reasons[series.why[first]],
                probes=sum(first <= i < until for i in told),
                frame=FrameRef(taps[check.tap].file, series.number[first]),
                traffic_ns=_traffic(times, series.at[first] + offset, end, result) if n or result == DOWN else None,
            )
        )
    return out


def _traffic(times: list[int], start: int, end: int | None, result: int) -> int | None:
    """The last connection until a server that failed is up again; the first one of a server that is back."""
    if result == DOWN:
        last = (bisect_left(times, end) if end is not None else len(times)) - 1
        return times[last] if last >= 0 else None
    first = bisect_left(times, start)
    return times[first] if first < len(times) and (end is None or times[first] < end) else None


def name_machines(checks: list[Check], scene: Scene) -> None:
    """Where nothing but checks is seen, the checker is the load balancer and what it asks are the servers."""
    for check in sorted(checks, key=lambda c: scene.book.sort_key([c.address or c.series.base.target])):
        source = check.series.base.source
        party = scene.party_of_ip(source)
        if party is None or (party.role == "client" and not party.stated and party.ips == {source}):
            if party is not None:
                scene.parties.remove(party)
            macs = party.macs if party is not None else set()
            scene.parties.append(Party(scene.free_name("lb"), "lb", {source}, macs))
        if check.address and check.party is None:
            scene.parties.append(Party(scene.free_name("rs", numbered=True), "real-server", {check.address}))
            check.party = scene.parties[-1]
        for other in checks:
            if other.party is None and check.address and other.address == check.address:
                other.party = check.party
