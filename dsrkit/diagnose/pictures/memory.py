"""What a load balancer remembers of connections: idle ones not long enough, closed ones for too long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.facts.idle import Woken
from dsrkit.diagnose.pictures.common import balancer, names
from dsrkit.verify.verdicts import Verdict

_SECOND: Final = 1_000_000_000
_ENOUGH: Final = 2
_RARER: Final = 10
"""Loss that other connections suffer as well is no habit of reused ports: theirs must be so much rarer."""


def memory(case: Case) -> Iterator[Diagnosis]:
    """Connections that the load balancer has forgotten, and closed ones that it still holds against new ones."""
    yield from _forgotten(case)
    yield from _held(case)


def _forgotten(case: Case) -> Iterator[Diagnosis]:
    """After a silence, a client's data ends at the load balancer, which answers as one that knows no connection."""
    facts, lbs = case.evidence.facts, case.scene.macs("lb")
    woken = list(facts.idle.woken.values())
    kept = [one for one in woken if one.frame in facts.sizes.lost and not one.answered]
    refused = _once([one for one in kept if one.reset is not None and one.resetter in lbs], case)
    cells = _kept_cells(case)
    silent = _once([one for one in kept if one.reset is None], case) if cells else []
    silent = [one for one in silent if any(one.frame in v.frames for v in cells)]
    lost = refused or silent
    if not lost:
        return
    alive = [one.gap for one in woken if one.answered]
    least = min(one.gap for one in lost)
    long = [gap for gap in alive if gap >= least]
    if len(long) > len(lost):
        return  # as long a silence does no harm to others
    lb = balancer(case)
    what = f"and resets {'it' if len(lost) == 1 else 'them'} in the VIP's name" if refused else "and drops them"
    which = "a connection that was" if len(lost) == 1 else f"{len(lost)} connections that were"
    known = [gap for gap in alive if gap < least]
    outlived = f"; one that was silent for {max(known) // _SECOND} s goes on" if known else ""
    served = sum(case.connections.answered.values())
    yield Diagnosis(
        ("NAT207",) if refused else ("NAT207", "NAT208"),
        f"{lb} has forgotten {which} silent for {least // _SECOND} s: it does not send the next request on,"
        f" {what}{outlived}" + (", while new connections work" if served > len(lost) else ""),
        names(case.scene.role("lb")),
        cells if silent else [],
        [frame for one in lost for frame in (one.frame, one.reset) if frame is not None],
        failed=len(lost),
        among=len(lost) + len(alive),
        ruled_out={"NAT208": f"these connections had been silent for {least // _SECOND} s, and it resets them"}
        if refused
        else {},
        settle="ipvsadm -L --timeout on the load balancer; sysctl net.netfilter.nf_conntrack_tcp_timeout_established on"
        " it and on firewalls beside it",
        expected="the request, sent on to the server that the connection has",
        actual="a RST from the load balancer" if refused else "every copy is lost",
    )


def _once(woken: list[Woken], case: Case) -> list[Woken]:
    """Those that one tap saw: another tap sees the same connections once more."""
    taps = [one.frame[0] for one in woken]
    best = max(taps, key=lambda tap: (taps.count(tap), case.at_balancer(tap)), default=None)
    return [one for one in woken if one.frame[0] == best]


def _kept_cells(case: Case) -> list[Verdict]:
    """Packets of open connections that went in and of which no copy came out."""
    cells = [v for v in case.failed(".lb.appears") if not v.connections and ".reply." not in v.cell]
    return [v for v in cells if v.actual == "every copy is lost"]


def _held(case: Case) -> Iterator[Diagnosis]:
    """The first SYN from a port that was in use shortly before is lost at the load balancer, the next one passes."""
    again = case.evidence.facts.reuse.again([tap.offset_ns for tap in case.taps])
    late = len(again.delayed)
    if late < _ENOUGH or late * 2 < again.reused or again.fresh < _ENOUGH:
        return
    if again.fresh_lost * again.reused * _RARER > late * again.fresh:
        return
    wait = sorted(again.waits)[late // 2] / _SECOND
    yield Diagnosis(
        ("NAT206",),
        f"{balancer(case)} drops the first SYN of connections whose client port was in use shortly before, and lets the"
        f" repeated one through {wait:.1f} s later ({late} of {again.reused} such connections, and"
        f" {again.fresh_lost or 'none'} of {again.fresh} others)",
        names(case.scene.role("lb")),
        [],
        [frame for both in again.delayed for frame in both],
        failed=late,
        among=again.reused,
        ruled_out={
            "NAT205": "the repeated SYN gets through, and only ports that were in use before are concerned",
            "NAT208": "these are new connections, not open ones",
        },
        settle="sysctl net.ipv4.vs.conn_reuse_mode net.ipv4.vs.conntrack on the load balancer, and its kernel's"
        " version",
        field="tcp.flags.syn",
        expected="the first SYN behind the load balancer",
        actual="the repeated one only",
    )
