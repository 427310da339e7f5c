"""Health checks: answers that the checker does not take, servers that all fail them, and checks that miss a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import forwarded, in_order, names, odd_ports, spoken, unanswered
from dsrkit.diagnose.pictures.told import from_check
from dsrkit.model.names import REWRITES
from dsrkit.model.sections import HealthCheck
from dsrkit.verify.verdicts import Verdict

_UNTAKEN: Final = "health.lb.takes-reply"
_PASSES: Final = "health.real-server.passes"
_THROUGH: Final = "health.lb.through-vip"
_TAG: Final = "health.lb.tag"
_SERVICE: Final = "health.lb.tests-service"
_WAY: Final = "health.lb.stated-way"
_NEEDS_VIP: Final = ("DSR301", "DSR311", "TUN402", "TUN403", "DSC511", "DSC505")
_SILENCES: Final = (*_NEEDS_VIP, "NAT213", "DSR323")
_ASKED: Final = "the servers do not answer at their own addresses either"
_CODES: Final = {_THROUGH: "HCK701", _TAG: "HCK704", _SERVICE: "HCK705", _WAY: "HCK701"}
_WHY_DOWN: Final = "why the servers fail their checks: ping, ss -ltn and nft list ruleset on the servers"
_LOG: Final = "the checker's log and source-address options"
_NOT_TAKEN: Final = ("HCK702", "HCK703")
_CLOSED: Final = ("DSR303", "NAT212")
_DROPPED: Final = "sysctl net.ipv4.conf.all.rp_filter, accept_local and nstat -az TcpExtIPReversePathFilter there"


def untaken(case: Case) -> Iterator[Diagnosis]:
    """The load balancer gets answers and does as if there were none; when that is so for all servers, it refuses its
    clients."""
    for v in case.failed(_UNTAKEN):
        source = "it waits for one from" in v.message
        own = "of its own" in v.message
        codes = ("HCK703",) if own and not source else ("HCK702", "HCK703")
        refused = _refused(case) if _all_untaken(case) else []
        diagnosis = from_check(
            codes,
            v,
            refused,
            ruled_out={
                "HCK706": "servers stand behind the VIP and answer their checks",
                "HCK702": "the checks ask the VIP, and the answers come from there",
            },
            settle=f"{_LOG}; {_DROPPED}" if codes != ("HCK703",) else _DROPPED,
        )
        lost = {id(c) for cell in refused for c in cell.connections}
        if lost:
            diagnosis.message += f"; so it sends {len(lost)} connections of clients to no server"
        yield diagnosis


def _checks(case: Case) -> list[HealthCheck]:
    return [one for one in case.sections.get("health_checks", ()) if isinstance(one, HealthCheck)]


def _all_untaken(case: Case) -> bool:
    """Whether no server's checks were seen to be taken to the end."""
    checks = _checks(case)
    return bool(checks) and all(c.verdict != "up" for c in checks)


def _refused(case: Case) -> list[Verdict]:
    """Cells about requests that end at the load balancer, by its own word or silently."""
    cells = {id(v): v for _, v in unanswered(case.failed(".answered", ".appears")) if v.connections}
    lbs = set(names(case.scene.role("lb")))
    return [v for v in cells.values() if _ends_there(case, v) and (not v.nodes or set(v.nodes) <= lbs)]


def _ends_there(case: Case, v: Verdict) -> bool:
    """Whether the load balancer is the last to get them, or refuses them without a tap behind it that shows them."""
    macs, servers = case.scene.macs("lb"), case.scene.macs("real-server")
    own = case.scene.vips | case.scene.ips("lb")
    return all(
        (c.last_hop in macs or (not forwarded(c) and c.refusal is not None and c.refusal.source in own))
        and (c.refusal is None or c.refusal.sender not in servers)
        for c in v.connections
    )


def beside(case: Case) -> Iterator[Diagnosis]:
    """What checks say about the causes that were found: that they show the same, or cannot."""
    yield from _none_left(case)
    _answered_all_the_same(case)
    _seen_by_checks(case)
    yield from _missing(case)


def _none_left(case: Case) -> Iterator[Diagnosis]:
    """All servers fail their checks: what is wrong with them is one cause, whether the load balancer sends them the
    last requests or has begun to refuse, or no client's request is seen at all."""
    checks = _checks(case)
    if not checks or any(c.verdict != "down" for c in checks) or any(d.codes[0] in _NOT_TAKEN for d in case.found):
        return
    down = in_order(case, {c.server for c in checks})
    empty = [d for d in case.found if d.codes[0] == "HCK706"]
    own_address = all(c.through == "rip" for c in checks)
    at_servers = [d for d in case.found if d.nodes and set(d.nodes) <= set(down) and d not in empty]
    fell_silent = own_address or all(any(change.verdict == "up" for change in c.history) for c in checks)
    at_servers = [d for d in at_servers if empty or (fell_silent and d.codes[0] in (*_SILENCES, *_CLOSED))]
    if set(down) < set(names(case.servers())):
        return
    why = spoken(dict.fromkeys(change.reason for c in checks for change in c.history if change.verdict == "down"))
    checked = f"All servers that are checked ({spoken(down)}) fail their checks ({why})"
    if not empty + at_servers:
        for v in case.failed(_PASSES):
            blamed = {name for d in case.found for name in d.nodes}
            if case.mode in REWRITES and v.severity == "warning" and not blamed & set(down):
                diagnosis = from_check(("HCK706",), v, settle=_WHY_DOWN, nodes=down)
                diagnosis.message = f"{checked} to the end: no server is left for clients"
                yield diagnosis
        return
    cause = (empty + at_servers)[0]
    for one in at_servers:
        if one is not cause:
            cause.symptoms += one.symptoms
            cause.frames += one.frames
            cause.failed += one.failed
            cause.among = max(cause.among, cause.failed)
            case.found.remove(one)
    cause.ruled_out = {
        code: why for code, why in cause.ruled_out.items() if all(code not in d.codes for d in at_servers)
    }
    cause.symptoms += case.take(case.failed(_PASSES))
    cause.nodes = down
    if empty:
        cause.message += f". {checked}, so none is left"
    else:
        refuted = {code: _ASKED for code in cause.codes if own_address and code in _NEEDS_VIP}
        cause.codes = ("HCK706", *(code for code in cause.codes if code not in refuted))
        cause.ruled_out |= refuted
        cause.message += f". {checked} too: no server is left"
    cause.settle = _WHY_DOWN


def _answered_all_the_same(case: Case) -> None:
    """Refused for want of servers, which answer every check along the data path: the answers are not taken."""
    empty = next((d for d in case.found if d.codes == ("HCK706",)), None)
    checks = _checks(case)
    if empty is None or not checks or any(c.verdict != "up" or c.through != "vip" for c in checks):
        return
    servers = spoken(in_order(case, {c.server for c in checks}))
    told = next((v for v in case.verdicts if v.cell == _UNTAKEN and v.actual), None)
    if told is not None:
        empty.codes = ("HCK702", "HCK703", "HCK706")
        why = (
            f"from {told.actual}, while {told.expected} was asked: the checker may wait for an answer from there, or"
            " the kernel may drop these as packets from an address of its own"
        )
    else:
        empty.codes = ("HCK703", "HCK706")
        why = "in the VIP's name: the load balancer may drop these answers as packets from an address of its own"
    empty.message += f". Yet {servers} answer all checks, {why}"
    empty.settle = f"{_DROPPED}; ipvsadm -Ln: have the servers a weight above 0?"
    if told is not None:
        empty.settle = f"{_LOG}; {empty.settle}"
    empty.ruled_out = {code: what for code, what in empty.ruled_out.items() if code not in empty.codes}


def _seen_by_checks(case: Case) -> None:
    """A server that was found to be at fault fails its checks too."""
    for v in case.failed(_PASSES):
        cause = next((d for d in case.found if set(v.nodes) & set(d.nodes)), None)
        if cause is not None:
            cause.symptoms += case.take([v])


def _missing(case: Case) -> Iterator[Diagnosis]:
    """Checks that pass while the clients of their server fail; its cause stands beside. A service that does not run is
    no misconfiguration: that nobody notices is."""
    missed = [v for v in case.failed(_THROUGH, _SERVICE, _TAG, _WAY) if v.cell != _WAY or "own addresses" in v.message]
    lead = next((v for cell in (_THROUGH, _SERVICE, _TAG, _WAY) for v in missed if v.cell == cell), None)
    if lead is None:
        return
    lbs = set(names(case.scene.role("lb")))
    misled = set(lead.nodes) - lbs
    codes: tuple[str, ...] = (_CODES[lead.cell],)
    if lead.cell == _THROUGH and any(v.cell == _TAG for v in missed):
        codes = ("HCK701", "HCK704")
    checkers = tuple(name for name in lead.nodes if name in lbs) or lead.nodes
    cause = next((d for d in case.found if set(d.nodes) & misled), None)
    if cause is not None and lead.cell == _SERVICE and _nothing_listens(case, cause) and set(cause.nodes) <= misled:
        _unnoticed(case, cause, missed, checkers)
        return
    diagnosis = from_check(codes, lead, [v for v in missed if v is not lead], nodes=checkers)
    if cause is not None:
        what = "pings alone" if codes[0] == "HCK705" else "the server's own address, without what clients' packets need"
        diagnosis.message += f". They do not see {cause.codes[0]}, because they test {what}"
    diagnosis.settle = "what the checks ask, and by which way: the health section of this report"
    yield diagnosis


def _nothing_listens(case: Case, cause: Diagnosis) -> bool:
    """Whether servers refuse connections, to the port that other servers are asked at too."""
    return cause.codes[0] in _CLOSED and odd_ports(case, cause.nodes) is None


def _unnoticed(case: Case, cause: Diagnosis, missed: list[Verdict], checkers: tuple[str, ...]) -> None:
    """Servers whose service is down stay in rotation: make of that one finding."""
    from dsrkit.diagnose.registry import ENTRIES  # not before there is a cause

    cause.severity = cause.severity or ENTRIES[cause.codes[0]].severity
    cause.codes = ("HCK705", *cause.codes)
    cause.message += (
        f". The health checks do not notice, and clients are still sent to {spoken(cause.nodes)}: they are pings alone,"
        " which the kernel answers whatever the service does"
    )
    cause.nodes = in_order(case, (*checkers, *cause.nodes))
    cause.symptoms += case.take(missed)
