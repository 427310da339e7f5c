"""Proxies: two sessions, and what they or the proxy and its servers do not agree about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.told import from_check
from dsrkit.verify.verdicts import Verdict

_HEADER: Final = (
    "l7.lb.header-well-formed",
    "l7.lb.header-says-session",
    "l7.real-server.header-agreed",
    "l7.lb.header-as-stated",
)
"""Checks of PROXY headers, what is wrong in itself before what is only not agreed on."""
_REWRITTEN: Final = ("ip.src", "ip.dst", "l4.srcport", "l4.dstport", "l4.checksum")
"""What NAT changes in a packet, and a router between a proxy's two sides would have to leave as it is."""
_DECIDE_HEADER: Final = (
    "send-proxy or send-proxy-v2 on the proxy's server lines, accept-proxy (or its like) on the servers: both or"
    " neither"
)


def proxy(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis for each kind of disagreement."""
    failed: dict[str, list[Verdict]] = {}
    for v in case.failed():
        if v.cell.startswith("l7."):
            failed.setdefault(v.cell, []).append(v)
    yield from _header([v for check in _HEADER for v in failed.get(check, ())])
    for v in failed.get("l7.lb.returns", ()):
        yield from_check(
            ("PRX802",),
            v,
            ruled_out={"PRX805": "the server accepts the session: its SYN-ACK goes elsewhere"},
            settle="ip route get CLIENT on the server: its gateway must be the proxy, which must take the packets"
            " (TPROXY)",
        )
    for v in failed.get("l7.lb.idle-ends-both", ()):
        yield from_check(
            ("PRX803",),
            v,
            settle="idle time-outs of both sides: timeout client and timeout server of the proxy, keep-alive of the"
            " servers",
        )
    for v in failed.get("l7.real-server.accepts", ()):
        yield from_check(
            ("PRX805",),
            v,
            ruled_out={"PRX801": "the SYN itself is refused, before any header could be sent"},
            settle="ss -ltn on the server: does its daemon listen on the port that the proxy connects to?",
        )
    yield from _translated(case, failed.get("l7.lb.own-session", []))


def _header(failed: list[Verdict]) -> Iterator[Diagnosis]:
    """Everything that is wrong with headers is one disagreement."""
    if not failed:
        return
    lead = next((v for v in failed if v.cell == "l7.real-server.header-agreed"), failed[0])
    refused = lead.cell == "l7.real-server.header-agreed"
    yield from_check(
        ("PRX801",),
        lead,
        [v for v in failed if v is not lead],
        ruled_out={"PRX805": "the servers accept the sessions, and end them after the first octets"} if refused else {},
        settle=_DECIDE_HEADER,
        nodes=tuple(dict.fromkeys(name for v in (lead, *failed) for name in v.nodes)),
    )


def _translated(case: Case, spanning: list[Verdict]) -> Iterator[Diagnosis]:
    """What is called a proxy passes the clients' own sessions on; what it rewrites is no router's mistake then."""
    stated = [v for v in case.failed() if v.field == "mode" and v.expected == "l7" and v.actual in ("nat", "fullnat")]
    found = [*spanning, *stated]
    if not found:
        return
    rewritten = [v for v in case.failed() if v.cell.startswith("path.") and v.field in _REWRITTEN]
    diagnosis = from_check(
        ("PRX804",),
        found[0],
        [*found[1:], *rewritten],
        settle="the kind of load balancing that this VIP is configured for",
        nodes=tuple(dict.fromkeys(name for v in found for name in v.nodes)),
    )
    if stated and not spanning:
        diagnosis.message = (
            "a proxy (l7) is stated, but the sessions of clients go on behind the load balancer with the same sequence"
            f" numbers: it translates addresses ({stated[0].actual})"
        )
    yield diagnosis
